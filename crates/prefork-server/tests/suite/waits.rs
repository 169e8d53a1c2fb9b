//! The parent waits for nothing but its own poll: whoever does not read what it writes, does not answer what it asks, or
//! asks without end, keeps it from nothing.

mod descriptors;
mod sink;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::asking::Admin;
use crate::downloads::warm_up;
use crate::support::{
    DEADLINE, Server, children_of, command, noise, under, upload, with_a_disk_at,
};
use sink::{Kind, Stuck, Which};

/// A server whose standard output or error nobody reads any more: it reaps, reloads, answers, counts what is lost, and
/// stops.
fn check(which: Which, kind: Kind) {
    let admin = Admin::new();
    let args = [
        "--workers",
        "2",
        "--log-level",
        "debug",
        "--admin",
        admin.arg(),
    ];
    let mut server = Stuck::start(which, kind, &args);
    let before = server.children();
    server.signal_one(before[0], Signal::SIGKILL);
    let reaped = server.wait_for_children(|now| now.len() == 2 && !now.contains(&before[0]));
    // A worker that has written its line for the first request is there for the second.
    let mut peer = server.connect();
    for _ in 0..2 {
        assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
    }
    admin.wait_for(|it| crate::admin::serving(it) == 2);
    server.signal(Signal::SIGHUP);
    drop(peer);
    server.wait_for_children(|now| now.len() == 2 && now.iter().all(|it| !reaped.contains(it)));
    if which == Which::Error {
        assert!(admin.status().server.log_lines_lost > 0);
        assert!(admin.metrics().value("prefork_log_lines_lost_total", &[]) > 0.0);
        server.sink().resume();
        server.sink().wait_for("log lines have been lost");
        server.sink().stop();
    }
    assert!(
        !server.sink().flags().contains(OFlag::O_NONBLOCK),
        "it is the shell's too"
    );
    server.signal(Signal::SIGTERM);
    server.wait_for_children(<[u32]>::is_empty);
    if which == Which::Output {
        // DONE has no room, and whoever signals again does not want to wait for some.
        server.signal(Signal::SIGTERM);
    }
    assert_eq!(server.exit_code(), Some(0));
}

macro_rules! table {
    ($($name:ident: $which:ident, $kind:ident;)+) => {
        $(#[test] fn $name() { check(Which::$which, Kind::$kind); })+
    };
}

table! {
    an_unread_pipe_as_standard_output_keeps_it_from_nothing: Output, Pipe;
    an_unread_socket_as_standard_output_keeps_it_from_nothing: Output, Socket;
    a_stopped_terminal_as_standard_output_keeps_it_from_nothing: Output, Terminal;
    an_unread_pipe_as_standard_error_keeps_it_from_nothing: Error, Pipe;
    an_unread_socket_as_standard_error_keeps_it_from_nothing: Error, Socket;
    a_stopped_terminal_as_standard_error_keeps_it_from_nothing: Error, Terminal;
}

#[test]
fn done_is_written_whole_to_a_reader_who_takes_a_rest() {
    let args = ["--workers", "2"];
    let mut server = Stuck::start(Which::Output, Kind::Pipe, &args);
    server.signal(Signal::SIGTERM);
    server.wait_for_children(<[u32]>::is_empty);
    server.sink().resume();
    server.sink().wait_for("\"event\":\"done\"");
    server.sink().wait_for("\n");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_service_manager_that_reads_nothing_is_told_when_it_does() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let other = UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    let mut full = 0;
    while other.send_to(b"x", &path).is_ok() {
        full += 1;
    }
    let root = TempDir::new().unwrap();
    let mut command = command(root.path(), "process", &["--workers", "1"]);
    let server = Server::spawn(command.env("NOTIFY_SOCKET", &path));
    let first = server.children();
    server.signal(Signal::SIGHUP);
    server.wait_for_children(|now| now.len() == 1 && now != first);
    let mut said = [0; 100];
    let mut hear = || {
        let len = manager.recv(&mut said).unwrap();
        String::from_utf8_lossy(&said[..len]).into_owned()
    };
    for _ in 0..full {
        assert_eq!(hear(), "x");
    }
    for want in ["READY=1", "RELOADING=1", "READY=1"] {
        assert!(hear().starts_with(want), "{want}");
    }
    server.stop();
}

/// The state that the kernel shows in `ps`.
fn sleeps(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('S')
}

#[test]
fn an_input_without_end_is_no_work() {
    let root = TempDir::new().unwrap();
    let mut command = command(
        root.path(),
        "process",
        &["--workers", "1", "--exit-with-stdin"],
    );
    let server = Server::spawn(command.stdin(fs::File::open("/dev/zero").unwrap()));
    let deadline = Instant::now() + DEADLINE;
    // One that spins is never seen asleep so often in a row.
    let mut asleep = 0;
    while asleep < 200 {
        asleep = if sleeps(server.ready.pid) {
            asleep + 1
        } else {
            0
        };
        assert!(Instant::now() < deadline, "it spins");
    }
    let (_, code) = server.stop();
    assert_eq!(code, 0);
}

#[test]
fn who_asks_for_metrics_need_not_wait_for_the_silent() {
    let server = Server::start("process", &["--workers", "1", "--metrics", "127.0.0.1:0"]);
    let address = server.ready.settings.metrics.clone().unwrap();
    let began = Instant::now();
    let silent: Vec<_> = (0..40)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("prefork_workers_wanted"), "{answer}");
    }
    // The silent have two seconds each, sixteen at a time.
    assert!(began.elapsed() < Duration::from_secs(2));
    drop(silent);
    server.stop();
}

#[test]
fn a_name_to_listen_at_is_looked_up_once_and_then_compared_as_typed() {
    let setup = "echo '127.0.0.1 here' >/etc/hosts &&";
    let Some(launcher) = with_a_disk_at(Path::new("/etc"), "", setup) else {
        return;
    };
    let root = TempDir::new().unwrap();
    let args = ["--workers", "1", "--bind", "here:0", "--metrics", "here:0"];
    let mut server = Server::spawn(&mut under(
        &launcher,
        &command(root.path(), "process", &args),
    ));
    let (address, old) = (server.ready.address.clone(), server.ready.pid);
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let hosts = format!("/proc/{old}/root/etc/hosts");
    for elsewhere in ["127.0.0.9 here\n", ""] {
        fs::write(&hosts, elsewhere).unwrap();
        server.signal(Signal::SIGHUP);
        server.wait_for_log("reloaded");
    }
    server.signal(Signal::SIGUSR2);
    server.wait_for_successor();
    assert_eq!(server.ready.address, address);
    assert_eq!(server.next_done().reason, "handed_over");
    server.signal(Signal::SIGTERM);
    server.next_done();
    server.wait_until_all_are_gone();
}

/// The parent does its work while the root's folder is read for what a dead worker has left there.
#[test]
fn a_root_that_takes_long_to_read_is_read_by_a_child() {
    let server = Server::start("process", &["--workers", "2"]);
    let root = server.root();
    let args = ["-P", root.to_str().unwrap()];
    let Some(fault) = crate::exhaustion::Fault::tamper_at(
        server.ready.pid,
        "getdents64",
        "delay_enter=30000000",
        &args,
    ) else {
        return;
    };
    let before = server.children();
    server.kill_worker(before[0], Signal::SIGKILL);
    let is_sweeper = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it == "prefork:sweep\n")
    };
    let deadline = Instant::now() + DEADLINE;
    let sweeper = || children_of(server.ready.pid).into_iter().find(is_sweeper);
    while sweeper().is_none() {
        assert!(Instant::now() < deadline, "nobody sweeps");
    }
    // It has its name a moment before it has closed what is not its own.
    let is_own = |it: &String| it == "pipe" || it == "root";
    loop {
        let kept = descriptors::of(sweeper().unwrap(), &root);
        if kept.iter().all(is_own) {
            break;
        }
        assert!(Instant::now() < deadline, "{kept:?}");
    }
    // Meanwhile another one dies, all are replaced, and a signal is taken.
    server.kill_worker(before[1], Signal::SIGKILL);
    server.wait_for_children(|now| now.len() == 2 && !now.contains(&before[1]));
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    assert!(sweeper().is_some());
    fault.end();
    let (done, code) = server.stop();
    assert_eq!((done.crashes, code), (2, 0));
}

#[test]
fn what_is_mounted_over_the_kernels_own_files_and_does_not_answer_is_not_read() {
    let (root, hung) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    // Opening it for reading waits for somebody who writes.
    let setup = r#"mkfifo "$0/hung" && for it in meminfo stat uptime; do mount --bind "$0/hung" /proc/$it || exit; done &&"#;
    let Some(launcher) = with_a_disk_at(hung.path(), "", setup) else {
        return;
    };
    let admin = Admin::new();
    let args = [
        "--workers",
        "2",
        "--encoded-cache",
        "8M",
        "--admin",
        admin.arg(),
    ];
    let server = Server::spawn(&mut under(
        &launcher,
        &command(root.path(), "process", &args),
    ));
    let file = noise(1, 300_000);
    assert_eq!(server.connect().ask(upload("f", &file))["status"], "OK");
    // From the time when there is something there, the parent looks each second whether memory is short.
    warm_up(&server, &admin, "f", &file);
    server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
    server.wait_for_another_worker();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    assert_eq!(server.stop().1, 0);
}
