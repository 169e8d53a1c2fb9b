//! The supervisor's rules, with real processes: who hangs, who never starts, who dies too early.

use std::os::unix::process::CommandExt;
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
    let says_why = [
        "cannot start a thread",
        "panicked",
        "out of memory",
        "memory allocation of",
    ];
    let says_why = says_why.iter().any(|reason| log.contains(reason));
    assert!(says_why && log.contains("gave up"), "{log}");
}

#[test]
fn a_fork_that_fails_is_waited_for_by_the_name_of_the_limit() {
    if !support::is_root() || !support::can_limit() {
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let folder = tempfile::TempDir::new().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
    let admin = folder.path().join("admin");
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::os::unix::fs::chown(&root, Some(uid), Some(gid)).unwrap();
    let args = [
        "--workers",
        "2",
        "--user",
        "nobody",
        "--admin",
        admin.to_str().unwrap(),
    ];
    let server = Server::start_on(&root, "process", &args);
    let limit = |processes: &str| {
        let limit = format!("--nproc={processes}:1000");
        let pid = server.ready.pid.to_string();
        let mut prlimit = Command::new("prlimit");
        // Whose process it is may do it, root in a container may not.
        prlimit.uid(uid).gid(gid).args(["--pid", &pid, &limit]);
        assert!(prlimit.status().unwrap().success());
    };
    limit("1");
    let [first, second] = server.ready.worker_pids[..] else {
        panic!("two workers");
    };
    server.kill_worker(first, Signal::SIGKILL);
    let line = server.wait_for_log("cannot be forked");
    assert!(
        line.contains("ulimit -u") && line.contains(&uid.to_string()),
        "{line}"
    );
    // One serves, however often the other cannot be made; and when none does, they are waited for.
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    server.kill_worker(second, Signal::SIGKILL);
    server.wait_for_children(<[u32]>::is_empty);
    let mut waiting = server.connect();
    waiting.send("LIST\r\n");
    let status = prefork_server::status::fetch(&admin).unwrap();
    let hits = &status.sum.limits_hit;
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert_eq!(hits[0].limit, "ulimit -u");
    limit("1000");
    assert_eq!(waiting.reply()["status"], "OK");
    server.wait_for_children(|now| now.len() == 2);
    let (done, code) = server.stop();
    assert_eq!((done.crashes, code), (2, 0));
}
