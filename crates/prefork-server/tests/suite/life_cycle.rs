//! Starting, stopping, dying.

use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::support::{self, DEADLINE, Server, content, each_pool, noise, upload};

each_pool! {
    fn ready_says_what_is_in_force(pool) {
        let server = Server::start(pool, &["--workers", "3", "--durability", "data", "--head-timeout", "7s"]);
        let ready = server.ready.clone();
        assert_eq!((ready.pool.as_str(), ready.workers), (pool, 3));
        assert_eq!(ready.worker_pids.len(), if pool == "thread" { 1 } else { 3 });
        assert_eq!(ready.settings.durability, "data");
        assert_eq!(ready.settings.head_timeout_ms, 7000);
        assert!(!ready.address.ends_with(":0"));
        server.stop();
    }

    fn an_idle_server_stops_with_an_empty_ledger(pool) {
        let server = Server::start(pool, &["--workers", "50"]);
        let (done, code) = server.stop();
        assert_eq!((done.reason.as_str(), code), ("drained", 0));
        assert_eq!(done.workers.len(), 50);
        assert_eq!(done.sum.connections.accepted, 0);
        assert!(done.peak_rss_bytes.is_some());
    }

    fn a_graceful_stop_serves_whoever_is_queued(pool) {
        let server = Server::start(pool, &["--workers", "2"]);
        let file = noise(1, 3_000_000);
        server.put("f", &file);
        // Two block a worker each as nobody reads, and the rest wait in the backlog; an event pool has all in hand.
        let mut peers: Vec<_> = (0..40).map(|_| server.connect()).collect();
        for peer in &mut peers {
            peer.send("GET f\r\n");
        }
        assert_eq!(peers[0].stream.peek(&mut [0]).unwrap(), 1);
        server.signal(Signal::SIGTERM);
        std::thread::scope(|scope| {
            for peer in &mut peers {
                scope.spawn(|| {
                    assert_eq!(content(&peer.reply()), file);
                    peer.expect_end();
                });
            }
        });
        let (done, code) = server.done();
        assert_eq!((done.sum.requests.ok.get, done.sum.connections.accepted, code), (40, 40, 0));
    }

    fn a_queued_client_may_send_its_request_after_the_stop_began(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        server.put("f", &vec![1; 5_000_000]);
        let mut first = server.connect();
        first.send("GET f\r\n");
        assert_eq!(first.stream.peek(&mut [0]).unwrap(), 1);
        let mut queued = server.connect();
        server.signal(Signal::SIGTERM);
        // A blocking worker is busy with the first one until here, and the other is queued; an event worker has
        // accepted both. Either way the stop is well under way.
        let deadline = Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(&server.ready.address).is_ok() {
            assert!(Instant::now() < deadline, "the door stayed open");
        }
        queued.send("GET f\r\n");
        assert_eq!(content(&first.reply()).len(), 5_000_000);
        drop(first);
        assert_eq!(content(&queued.reply()).len(), 5_000_000);
        queued.expect_end();
        let (done, code) = server.done();
        assert_eq!((done.sum.requests.ok.get, code), (2, 0));
    }

    fn a_draining_server_refuses_whoever_comes_new(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        server.put("f", &vec![1; 20_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        server.signal(Signal::SIGTERM);
        let deadline = Instant::now() + DEADLINE;
        // Those that come before the door is closed are queued, and served.
        while std::net::TcpStream::connect(&server.ready.address).is_ok() {
            assert!(Instant::now() < deadline, "the door stayed open");
        }
        assert_eq!(content(&peer.reply()).len(), 20_000_000);
        server.done();
    }

    fn idle_connections_are_closed_by_a_stop_and_not_counted_as_cut(pool) {
        let server = Server::start(pool, &["--workers", "2"]);
        let mut peer = server.connect();
        peer.ask("LIST\r\n");
        server.signal(Signal::SIGTERM);
        peer.expect_end();
        let (done, code) = server.done();
        assert_eq!((done.sum.connections.closed, code), (1, 0));
    }

    fn a_second_signal_cuts_what_is_in_hand_and_says_so(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        server.put("f", &vec![1; 50_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        server.signal(Signal::SIGTERM);
        server.signal(Signal::SIGINT);
        server.signal(Signal::SIGQUIT);
        let (done, code) = server.done();
        assert_eq!((done.reason.as_str(), done.sum.connections.aborted_by_stop, code), ("stopped", 1, 3));
        assert_eq!(done.sum.requests.aborted_by_stop, 1);
        assert!(peer.try_reply().is_none());
    }

    fn a_drain_that_takes_too_long_is_cut(pool) {
        let server = Server::start(pool, &["--workers", "1", "--drain-timeout", "100ms"]);
        server.put("f", &vec![1; 50_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        let (done, code) = server.stop();
        assert_eq!((done.sum.connections.aborted_by_stop, code), (1, 3));
    }

    fn a_server_whose_starter_is_gone_stops_at_once(pool) {
        let mut server = Server::start(pool, &["--workers", "5", "--exit-with-stdin"]);
        server.close_input();
        let (done, code) = server.done();
        assert_eq!((done.reason.as_str(), code), ("stopped", 0));
    }

    fn workers_leave_when_their_parent_is_killed(pool) {
        let server = Server::start(pool, &["--workers", "5"]);
        server.put("f", &vec![1; 50_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        server.signal(Signal::SIGKILL);
        server.wait_until_all_are_gone();
    }

    fn a_killed_worker_is_replaced_and_its_connection_accounted_for(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        server.put("f", &vec![1; 50_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
        assert!(peer.try_reply().is_none(), "a reply without its terminator is none");
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        let (done, code) = server.stop();
        let connections = &done.sum.connections;
        assert_eq!((connections.accepted, connections.aborted_by_crash, connections.closed), (2, 1, 1));
        assert_eq!(done.sum.requests.aborted_by_crash, 1);
        assert_eq!((done.crashes, done.workers[0].generations, code), (1, 2, 0));
    }

    fn an_upload_whose_worker_is_killed_leaves_nothing(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        server.put("kept", b"old content");
        let mut peer = server.connect();
        let request = upload("kept", &vec![1; 30_000_000]);
        // More than all buffers between hold: the worker has read and written some of it.
        peer.send(&request[..request.len() - 2]);
        server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
        assert!(peer.try_reply().is_none());
        assert_eq!(server.connect().ask("LIST\r\n")["data"], serde_json::json!(["kept"]));
        assert_eq!(server.entries(), ["kept"]);
        assert_eq!(server.stored("kept").unwrap(), b"old content");
        server.stop();
    }
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_remedy() {
    let server = Server::start("process", &[]);
    let root = tempfile::TempDir::new().unwrap();
    let args = ["--bind", &server.ready.address];
    let output = support::command(root.path(), "process", &args)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    let who = format!("in use by process {} (prefork-server)", server.ready.pid);
    assert!(text.contains("--bind") && text.contains(&who), "{text}");
}

#[test]
fn an_address_of_another_machine_is_an_error_that_names_the_remedy() {
    for flag in ["--bind", "--metrics"] {
        let root = tempfile::TempDir::new().unwrap();
        // TEST-NET-1 (RFC 5737): nobody's.
        let output = support::command(root.path(), "process", &[flag, "192.0.2.1:0"])
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        let want = format!("no address 192.0.2.1: choose one of its own with {flag}");
        assert!(text.contains(&want), "{text}");
    }
}

#[test]
fn wrong_flags_are_usage_errors() {
    let check = |args: &[&str], want: &str| {
        let root = tempfile::TempDir::new().unwrap();
        let output = support::command(root.path(), "process", args)
            // Else one that is right after all would serve.
            .arg("--check-config")
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(want), "{args:?}: {text}");
    };
    check(&["--workers", "0"], "--workers 0");
    check(&["--workers", "many"], "--workers");
    check(&["--rate-window", "0s"], "--rate-window");
    check(&["--head-timeout", "0s"], "--head-timeout 0s");
    check(&["--idle-timeout", "0s"], "--idle-timeout 0s");
    check(&["--upload-max", "0"], "--read-only");
    check(&["--upload-max", "4X"], "invalid size '4X'");
    check(&["--event-connections", "10"], "add --pool event");
    check(
        &["--pool", "event", "--set-aside", "3"],
        "it has --event-connections",
    );
    check(&["--set-aside", "1025"], "0 to 1024");
    check(
        &["--pool", "event", "--event-connections", "0"],
        "1 to 65536 connections",
    );
    check(&["--nonsense"], "--nonsense");
}

#[test]
fn exit_codes_hold_though_nobody_can_read_why() {
    let check = |args: &[&str], want: i32| {
        let root = tempfile::TempDir::new().unwrap();
        let full = std::fs::File::create("/dev/full").unwrap();
        // One that started after all would end with its standard input.
        let status = support::command(root.path(), "process", args)
            .arg("--exit-with-stdin")
            .current_dir(root.path())
            .stdin(Stdio::null())
            .stderr(full)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(want), "{args:?}");
    };
    check(&["--bind", "x"], 2);
    check(&["--config", "missing"], 2);
    check(&["--admin", "missing/admin"], 1);
}

#[test]
fn plain_it_serves_a_folder_of_its_own_making() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_prefork-server"))
        .args(["--bind", "127.0.0.1:0", "--exit-with-stdin"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert!(
        line.contains(r#""workers":5"#) && line.contains(r#""pool":"process""#),
        "{line}"
    );
    assert!(folder.path().join("files").is_dir());
    drop(child.stdin.take());
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(
        told.contains("prefork-client --server 127.0.0.1:"),
        "{told}"
    );
    assert!(ended.status.success(), "{told}");
}

#[test]
fn json_log_lines_are_json() {
    let root = tempfile::TempDir::new().unwrap();
    let args = [
        "--log-format",
        "json",
        "--log-level",
        "info",
        "--exit-with-stdin",
    ];
    let mut command = support::command(root.path(), "process", &args);
    // Without anybody on standard input it stops as soon as it is ready, or before.
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stderr).unwrap();
    assert!(!lines.is_empty());
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(
            line["level"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn what_cannot_be_removed_at_the_end_is_named() {
    let folder = tempfile::TempDir::new().unwrap();
    let [run, moved] = ["run", "moved"].map(|name| folder.path().join(name));
    std::fs::create_dir(&run).unwrap();
    let [pidfile, admin] = ["pid", "admin"].map(|name| run.join(name).display().to_string());
    let server = Server::start("process", &["--pidfile", &pidfile, "--admin", &admin]);
    std::fs::rename(&run, &moved).unwrap();
    std::fs::write(&run, "no folder any more").unwrap();
    server.signal(Signal::SIGTERM);
    for (what, path) in [("the pidfile", pidfile), ("the admin socket", admin)] {
        let line = server.wait_for_log(&format!("cannot remove {what}"));
        assert!(
            line.contains(&path) && line.contains("Not a directory"),
            "{line}"
        );
    }
    assert_eq!(server.done().1, 0);
}

/// A call that fails late in the start, and what is said of it.
const LATE: [(&str, &str); 4] = [
    ("flock:error=ENOLCK:when=2", "--root"),
    ("socketpair:error=ENFILE:when=1", "--access-log"),
    ("listen:error=EADDRINUSE:when=4", "--admin"),
    ("memfd_create:error=EMFILE", "quota"),
];

#[test]
fn a_start_that_fails_leaves_nothing_and_says_of_what() {
    if !support::can_trace() {
        return;
    }
    for (inject, what) in LATE {
        let folder = tempfile::TempDir::new().unwrap();
        let [root, admin, access] =
            ["root", "admin", "access"].map(|name| folder.path().join(name));
        std::fs::create_dir(&root).unwrap();
        let [admin, access] = [admin, access].map(|path| path.display().to_string());
        let args = [
            "--admin",
            &admin,
            "--metrics",
            "127.0.0.1:0",
            "--access-log",
            &access,
        ];
        let inject = format!("inject={inject}");
        let tracer = ["strace", "-o", "/dev/null", "-e", &inject];
        let mut server = support::under(&tracer, &support::command(&root, "process", &args));
        let output = server.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{inject}: {said}");
        assert!(
            said.contains("error: ") && said.contains(what),
            "{inject}: {said}"
        );
        let left = |path: &std::path::Path| {
            let entries = std::fs::read_dir(path).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name());
            names.filter(|name| name != "access").collect::<Vec<_>>()
        };
        assert_eq!(left(folder.path()), ["root"], "{inject}: {said}");
        assert!(left(&root).is_empty(), "{inject}: {said}");
    }
}

#[test]
fn a_thread_that_cannot_wait_for_connections_says_why() {
    if !support::can_trace() {
        return;
    }
    let root = tempfile::TempDir::new().unwrap();
    let inject = "inject=epoll_create1:error=ENOMEM";
    let tracer = ["strace", "-f", "-o", "/dev/null", "-e", inject];
    let command = support::command(root.path(), "thread", &["--workers", "1"]);
    let output = support::under(&tracer, &command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(
        said.contains("cannot start a thread: Out of memory; memory is short"),
        "{said}"
    );
}
