//! The supervisor's rules, with real processes: who hangs, who never starts, who dies too early.

use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{self, DEADLINE, Server, can_trace, each_pool, upload};

each_pool! {
    fn a_worker_that_hangs_is_replaced_and_one_that_waits_for_its_client_is_not(pool) {
        let server = Server::start(pool, &["--workers", "2", "--worker-timeout", "4s"]);
        let request = upload("slow", &[7; 1000]);
        let (start, rest) = request.split_at(100);
        let before = server.children();
        if pool != "thread" {
            // Who has the slow client is not known: the other one is stopped.
            let mut slow = server.connect();
            slow.send(start);
            let busy = wait_for_socket(&before);
            let other = *before.iter().find(|pid| **pid != busy).unwrap();
            kill(Pid::from_raw(other.cast_signed()), Signal::SIGSTOP).unwrap();
            let after = server.wait_for_children(|now| now.len() == 2 && !now.contains(&other));
            assert!(after.contains(&busy), "the one that waits for its client lives");
            assert_eq!(slow.send(rest).reply()["size"], 1000);
        } else {
            kill(Pid::from_raw(before[0].cast_signed()), Signal::SIGSTOP).unwrap();
            server.wait_for_children(|now| now.len() == 1 && now != before);
        }
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (1, 0));
    }

    fn a_pool_whose_workers_are_killed_before_they_serve_is_given_up(pool) {
        let server = Server::start(pool, &["--workers", "2"]);
        let deadline = Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(&server.ready.address).is_ok() {
            assert!(Instant::now() < deadline, "it goes on for ever");
            for pid in server.children() {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
        }
        let (done, code) = server.done();
        assert_eq!((done.reason.as_str(), code), ("gave_up", 4));
        assert!(done.crashes >= 5, "{done:#?}");
    }
}

/// The kernel is made to take longer for an fsync than a worker may go without a sign of life.
#[test]
fn a_worker_that_waits_for_a_slow_disk_is_not_taken_for_a_hung_one() {
    if !can_trace() {
        return;
    }
    let tracer = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
    ];
    let slow = ["-e", "inject=fdatasync:delay_enter=5500000"];
    let root = tempfile::TempDir::new().unwrap();
    let args = [
        "--worker-timeout",
        "4s",
        "--durability",
        "data",
        "--workers",
        "1",
    ];
    let command = support::command(root.path(), "event", &args);
    let server = Server::spawn(&mut support::under(
        &[&tracer[..], &slow].concat(),
        &command,
    ));
    assert_eq!(server.connect().ask(upload("f", b"abc"))["status"], "OK");
    let (done, code) = server.stop();
    assert_eq!((done.crashes, done.sum.requests.ok.upload, code), (0, 1, 0));
}

/// Which of the processes has accepted a connection: one has a socket more than the others.
fn wait_for_socket(pids: &[u32]) -> u32 {
    let sockets = |pid: &u32| {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    };
    let deadline = Instant::now() + DEADLINE;
    loop {
        let most = pids.iter().max_by_key(|pid| sockets(pid)).unwrap();
        if pids.iter().any(|pid| sockets(pid) < sockets(most)) {
            return *most;
        }
        assert!(Instant::now() < deadline, "nobody has accepted");
    }
}

#[test]
fn workers_that_never_become_ready_are_killed_and_given_up() {
    let root = tempfile::TempDir::new().unwrap();
    let args = ["--workers", "2000", "--boot-timeout", "1ms"];
    let output = support::command(root.path(), "thread", &args)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{log}");
    assert!(log.contains("did not answer in time"), "{log}");
}

#[test]
fn a_worker_that_cannot_start_is_not_started_for_ever() {
    let root = tempfile::TempDir::new().unwrap();
    let program = env!("CARGO_BIN_EXE_prefork-server");
    let script = format!(
        "ulimit -v 300000; exec {program} --pool thread --workers 4000 --bind 127.0.0.1:0 --root {}",
        root.path().display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{log}");
    // A thread for which there is no memory is either not started, or ends its process as it starts.
    let says_why = log.contains("cannot start a thread") || log.contains("panicked");
    assert!(says_why && log.contains("gave up"), "{log}");
}
