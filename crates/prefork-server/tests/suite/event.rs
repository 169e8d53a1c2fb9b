//! What only the event pool can do: many connections at once in one worker.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Peer, Server, command, content, noise, upload};

fn names(reply: &Value) -> Vec<&str> {
    let names = reply["data"].as_array().expect("a listing");
    names.iter().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn one_worker_serves_two_hundred_connections_at_once_slow_and_silent_ones_among_them() {
    let server = Server::start("event", &["--workers", "1"]);
    let file = noise(1, 3_000_000);
    server.put("f", &file);
    let connect_forty = || -> Vec<Peer> { (0..40).map(|_| server.connect()).collect() };
    let (mut silent, mut heads, mut bodies) = (connect_forty(), connect_forty(), connect_forty());
    let (mut readers, mut idle) = (connect_forty(), connect_forty());
    for peer in &mut heads {
        peer.send("LIS");
    }
    let request = upload("u", &noise(2, 600_000));
    let (first_half, second_half) = request.split_at(request.len() / 2);
    for peer in &mut bodies {
        peer.send(first_half);
    }
    for peer in &mut readers {
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
    }
    for peer in &mut idle {
        assert_eq!(names(&peer.ask("LIST\r\n")), ["f"]);
    }
    // All of them are in the middle of something; each can still end it, in any order.
    for peer in silent.iter_mut().rev() {
        assert_eq!(names(&peer.ask("LIST\r\n")), ["f"]);
    }
    for (peer, head) in bodies.iter_mut().rev().zip(&mut heads) {
        assert_eq!(peer.send(second_half).reply()["size"], 600_000);
        assert_eq!(names(&head.send("T\r\n").reply()), ["f", "u"]);
    }
    for peer in readers.iter_mut().rev() {
        assert_eq!(content(&peer.reply()), file);
    }
    let (done, code) = server.stop();
    let ok = &done.sum.requests.ok;
    assert_eq!((ok.list, ok.upload, ok.get, code), (120, 40, 40, 0));
    assert_eq!(
        (done.sum.connections.accepted, done.sum.connections.closed),
        (200, 200)
    );
}

#[test]
fn a_small_request_is_answered_while_the_same_worker_sends_an_endless_file() {
    let server = Server::start("event", &["--workers", "1"]);
    // A hole: it takes no room, and no client reads it to its end.
    server.put("endless", b"");
    let file = std::fs::File::options()
        .write(true)
        .open(server.root().join("endless"));
    file.unwrap().set_len(1 << 40).unwrap();
    let mut reader = server.connect();
    reader.send("GET endless\r\n");
    let (read_bytes, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut chunk = vec![0; 1 << 20];
            while !is_over.load(Relaxed) {
                // As fast as it can, so that the worker always has something to do for it.
                let len = reader.stream.read(&mut chunk).expect("the next piece");
                read_bytes.fetch_add(len as u64, Relaxed);
            }
        });
        let mut peer = server.connect();
        for _ in 0..20 {
            let before = read_bytes.load(Relaxed);
            assert_eq!(names(&peer.ask("LIST\r\n")), ["endless"]);
            while read_bytes.load(Relaxed) < before + (1 << 20) {
                thread::yield_now();
            }
        }
        is_over.store(true, Relaxed);
    });
    drop(reader);
    let (done, _) = server.stop();
    assert_eq!(
        (done.sum.requests.ok.list, done.sum.connections.client_gone),
        (20, 1)
    );
}

#[test]
fn a_worker_at_its_limit_accepts_nobody_until_it_has_room() {
    let server = Server::start("event", &["--workers", "1", "--event-connections", "2"]);
    let [mut a, mut b, mut c] = [server.connect(), server.connect(), server.connect()];
    b.send("UPLOAD b QUJD");
    a.send("UPLOAD a0 ");
    c.send("LIST\r\n");
    // A is never idle: each upload ends with the next one's start. Were C accepted, its listing would be made in
    // between.
    for n in 1..=20 {
        assert_eq!(a.ask(format!("QUJD\r\nUPLOAD a{n} "))["status"], "OK");
    }
    assert_eq!(a.ask("QUJD\r\n")["status"], "OK");
    drop(a);
    assert_eq!(names(&c.reply()).len(), 21);
    assert_eq!(b.ask("\r\n")["size"], 3);
    let (done, _) = server.stop();
    assert_eq!(
        (done.sum.connections.accepted, done.sum.connections.closed),
        (3, 3)
    );
}

#[test]
fn at_the_limit_the_longest_idle_connection_yields_to_a_waiting_client() {
    // If the machine stands still until the one that yields has had its time, the next one has to yield too.
    let yields_alone = (0..5).any(|_| longest_idle_yields_alone());
    assert!(yields_alone, "the one that was idle for less had to yield");
}

fn longest_idle_yields_alone() -> bool {
    let server = Server::start("event", &["--workers", "1", "--event-connections", "3"]);
    let mut idle: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for peer in &mut idle {
        assert_eq!(names(&peer.ask("LIST\r\n")), [""; 0]);
    }
    // The first one has a request in hand, so that the second one has been idle longest.
    idle[0].send("UPLOAD x ");
    assert_eq!(names(&server.connect().ask("LIST\r\n")), [""; 0]);
    idle[1].expect_end();
    assert_eq!(idle[0].ask("QUJD\r\n")["size"], 3);
    let reply = idle[2].send("LIST\r\n").try_reply();
    if let Some(reply) = &reply {
        assert_eq!(names(reply), ["x"]);
    }
    let (done, _) = server.stop();
    assert_eq!(
        (done.sum.connections.accepted, done.sum.connections.closed),
        (4, 4)
    );
    reply.is_some()
}

#[test]
fn each_of_many_connections_has_its_own_deadline() {
    let limits = ["--head-timeout", "300ms", "--idle-timeout", "400ms"];
    let server = Server::start("event", &[&["--workers", "1"], &limits[..]].concat());
    let mut silent: Vec<_> = (0..50).map(|_| server.connect()).collect();
    let mut idle: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for peer in &mut idle {
        peer.ask("LIST\r\n");
    }
    let mut slow: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for peer in &mut slow {
        peer.send("LIS");
    }
    // Its body may take longer than any of them.
    let mut busy = server.connect();
    busy.send("UPLOAD f ");
    for peer in &mut slow {
        assert_eq!(peer.reply()["code"], "timeout");
        busy.send("QUJD");
    }
    for peer in silent.iter_mut().chain(&mut idle).chain(&mut slow) {
        peer.expect_end();
    }
    assert_eq!(busy.ask("\r\n")["size"], 150);
    let (done, _) = server.stop();
    let c = &done.sum.connections;
    assert_eq!((c.accepted, c.timed_out, c.closed), (151, 100, 51));
}

#[test]
fn all_that_a_killed_worker_had_in_hand_is_booked() {
    let server = Server::start("event", &["--workers", "1"]);
    let mut idle: Vec<_> = (0..5).map(|_| server.connect()).collect();
    let mut busy: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for peer in &mut busy {
        // The first upload's answer says that the second one has begun.
        assert_eq!(peer.ask("UPLOAD whole QUJD\r\nUPLOAD half QUJD")["size"], 3);
    }
    for peer in &mut idle {
        peer.ask("LIST\r\n");
    }
    server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
    for peer in busy.iter_mut().chain(&mut idle) {
        assert!(peer.try_reply().is_none());
    }
    assert_eq!(names(&server.connect().ask("LIST\r\n")), ["whole"]);
    let (done, code) = server.stop();
    assert_eq!((done.crashes, code), (1, 0));
    let c = &done.sum.connections;
    assert_eq!((c.accepted, c.aborted_by_crash, c.closed), (26, 25, 1));
    let r = &done.sum.requests;
    assert_eq!(
        (r.started, r.aborted_by_crash, r.ok.upload, r.ok.list),
        (46, 20, 20, 6)
    );
}

#[test]
fn a_stop_closes_what_is_idle_and_finishes_what_is_in_hand() {
    let server = Server::start("event", &["--workers", "2"]);
    let file = noise(1, 3_000_000);
    server.put("f", &file);
    let mut idle: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for peer in &mut idle {
        peer.ask("LIST\r\n");
    }
    let mut busy: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for peer in &mut busy {
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
    }
    server.signal(Signal::SIGTERM);
    for peer in &mut idle {
        peer.expect_end();
    }
    for peer in &mut busy {
        assert_eq!(content(&peer.reply()), file);
        peer.expect_end();
    }
    let (done, code) = server.done();
    assert_eq!(
        (done.reason.as_str(), done.sum.connections.closed, code),
        ("drained", 100, 0)
    );
}

#[test]
fn a_worker_holds_no_more_connections_than_it_has_descriptors_for() {
    let root = tempfile::TempDir::new().unwrap();
    let plain = command(root.path(), "event", &["--workers", "1"]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let server = Server::spawn(&mut limited);
    assert_eq!(server.ready.settings.event_connections, Some(4));
    let mut peers: Vec<_> = (0..60).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.send("LIST\r\n");
    }
    for mut peer in peers {
        assert_eq!(names(&peer.reply()), [""; 0]);
    }
    let (done, code) = server.stop();
    assert_eq!((done.sum.requests.ok.list, done.crashes, code), (60, 0, 0));
}

#[test]
fn a_worker_out_of_descriptors_goes_on_once_it_has_some() {
    let server = Server::start("event", &["--workers", "1"]);
    let mut held: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for peer in &mut held {
        peer.ask("LIST\r\n");
    }
    // No more than it has open: not one connection more can be accepted.
    let pid = server.ready.worker_pids[0].to_string();
    let limit = Command::new("prlimit")
        .args(["--pid", &pid, "--nofile=10:"])
        .status();
    assert!(limit.expect("prlimit, of util-linux").success());
    let mut peer = server.connect();
    peer.send("LIST\r\n");
    server.wait_for_log("cannot accept");
    drop(held);
    let limit = Command::new("prlimit")
        .args(["--pid", &pid, "--nofile=100:"])
        .status();
    assert!(limit.unwrap().success());
    assert_eq!(names(&peer.reply()), [""; 0]);
    let (done, code) = server.stop();
    assert_eq!(
        (done.sum.connections.closed, done.crashes, code),
        (11, 0, 0)
    );
}

#[test]
fn ready_says_how_many_connections_a_worker_holds() {
    let limit = |pool, args: &[&str]| {
        let server = Server::start(pool, args);
        let limit = server.ready.settings.event_connections;
        server.stop();
        limit
    };
    assert_eq!(limit("event", &[]), Some(1024));
    assert_eq!(limit("event", &["--event-connections", "7"]), Some(7));
    assert_eq!(limit("process", &[]), None);
    let reply = json!({"status": "OK", "data": []});
    let server = Server::start("event", &["--event-connections", "1", "--workers", "1"]);
    assert_eq!(server.connect().ask("LIST\r\n"), reply);
    assert_eq!(server.connect().ask("LIST\r\n"), reply);
}

#[test]
fn an_upgrade_cannot_change_between_waiting_in_accept_and_waiting_for_events() {
    let check = |before: &str, after: &str| {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("server.toml");
        let settings = |pool: &str| format!("workers = 2\npool = {pool}\n");
        std::fs::write(&file, settings(before)).unwrap();
        let root = tempfile::TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
        command
            .args(["--bind", "127.0.0.1:0", "--allow-root", "--root"])
            .arg(root.path())
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let server = Server::spawn(&mut command);
        std::fs::write(&file, settings(after)).unwrap();
        server.signal(Signal::SIGUSR2);
        // The new server says why not; once it has ended, the old one says that it goes on.
        server.wait_for_log("start the server anew");
        server.wait_for_log("the upgrade failed");
        // The socket that both have had is still as this one's workers need it.
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        let (done, code) = server.stop();
        let served = (done.sum.requests.ok.list, done.crashes, code);
        assert_eq!(served, (1, 0, 0), "{before} to {after}");
    };
    let in_accept = "'process'\nset-aside = 0";
    check(in_accept, "'event'");
    check(in_accept, "'process'");
    check("'event'", "'thread'\nset-aside = 0");
}
