//! A connection that goes on asking, and never waits for an answer: it has its turns, and no more.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::support::{DEADLINE, Peer, Server, content, each_pool};

/// The most that the pipeliner may be answered between two answers of a good client, at the best of times: a few turns.
/// A turn of a megabyte was more than ten thousand.
const ANSWERS_BETWEEN_MAX: u64 = 1_000;

/// Writes requests without end, and takes what is answered, until it is over or the server ends the connection.
fn pipeline(peer: Peer, over: &AtomicBool, mut requests: impl FnMut(&mut Vec<u8>) + Send) {
    let writer = peer.stream;
    let mut reader = writer.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = &writer;
            while !over.load(Relaxed) {
                let mut some = Vec::new();
                requests(&mut some);
                if writer.write_all(&some).is_err() {
                    return;
                }
            }
            let _ = writer.shutdown(Shutdown::Both);
        });
        let mut chunk = vec![0; 1 << 18];
        while matches!(reader.read(&mut chunk), Ok(len) if len > 0) {}
        over.store(true, Relaxed);
        let _ = writer.shutdown(Shutdown::Both);
    });
}

/// How far the pipeliner has come: what it has stored last under this name.
const COUNTER: &str = "counter";

fn count_up(from: u64) -> impl FnMut(&mut Vec<u8>) + Send {
    let mut next = from;
    move |some| {
        for _ in 0..100 {
            let digits = format!("{next:09}");
            let body = crate::support::encode(digits.as_bytes());
            some.extend_from_slice(format!("UPLOAD {COUNTER} {body}\r\n").as_bytes());
            next += 1;
        }
    }
}

/// What a client that comes anew each time sees of it.
fn look(server: &Server) -> Option<u64> {
    let reply = server.connect().ask(format!("GET {COUNTER}\r\n"));
    let is_there = reply["status"] == "OK";
    is_there.then(|| String::from_utf8(content(&reply)).unwrap().parse().unwrap())
}

each_pool! {
    fn a_client_that_pipelines_has_its_turns_and_no_more(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        let over = AtomicBool::new(false);
        let between = std::thread::scope(|scope| {
            let peer = server.connect();
            scope.spawn(|| pipeline(peer, &over, count_up(0)));
            let deadline = Instant::now() + DEADLINE;
            let mut between = Vec::new();
            while between.len() < 20 {
                assert!(Instant::now() < deadline, "{between:?}");
                if let (Some(before), Some(after)) = (look(&server), look(&server))
                    && before > 0
                {
                    between.push(after - before);
                }
            }
            over.store(true, Relaxed);
            between
        });
        // The machine may put the good client aside, but not each time.
        assert!(between.iter().any(|answers| *answers < ANSWERS_BETWEEN_MAX), "{between:?}");
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (0, 0));
    }

    fn a_graceful_stop_ends_though_one_client_never_stops_asking(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        let over = AtomicBool::new(false);
        let asked = AtomicU64::new(0);
        let (done, code) = std::thread::scope(|scope| {
            let (peer, over) = (server.connect(), &over);
            scope.spawn(move || pipeline(peer, over, count_up(0)));
            while look(&server).is_none() {}
            // Whoever has asked before the stop is answered.
            let mut waiting: Vec<_> = (0..10).map(|_| server.connect()).collect();
            for peer in &mut waiting {
                peer.send("LIST\r\n");
            }
            server.signal(Signal::SIGTERM);
            for mut peer in waiting {
                assert_eq!(peer.reply()["status"], "OK");
                peer.expect_end();
                asked.fetch_add(1, Relaxed);
            }
            server.done()
        });
        assert_eq!(asked.load(Relaxed), 10);
        assert_eq!((done.reason.as_str(), done.sum.connections.aborted_by_stop, code), ("drained", 0, 0));
    }

    fn empty_lines_without_end_are_no_head_and_no_request(pool) {
        let limits = ["--head-timeout", "300ms", "--idle-timeout", "300ms"];
        let server = Server::start(pool, &[&["--workers", "1"], &limits[..]].concat());
        for first in ["", "LIST\r\n"] {
            let mut peer = server.connect();
            if !first.is_empty() {
                peer.ask(first);
            }
            let lines = b"\r\n".repeat(100_000);
            let deadline = Instant::now() + DEADLINE;
            while peer.stream.write_all(&lines).is_ok() {
                assert!(Instant::now() < deadline, "it may go on for ever");
            }
        }
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        let (done, _) = server.stop();
        let c = &done.sum.connections;
        assert_eq!((c.accepted, c.timed_out, c.closed), (3, 1, 2));
    }
}
