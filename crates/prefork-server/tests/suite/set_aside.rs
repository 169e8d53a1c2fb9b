//! Blocking workers set connections aside that have no transfer in hand (`--set-aside`).

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::addresses::connect_from;
use crate::asking::Admin;
use crate::support::{Peer, Server, content, each_blocking_pool, noise, upload};

fn names(reply: &Value) -> Vec<&str> {
    let names = reply["data"].as_array().expect("a listing");
    names.iter().map(|name| name.as_str().unwrap()).collect()
}

/// Connections that all have nothing in hand, each in a way of its own.
fn sixteen(server: &Server) -> Vec<Peer> {
    let mut peers: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for (index, peer) in peers.iter_mut().enumerate() {
        match index % 4 {
            0 => {}
            1 => drop(peer.send("LIS")),
            2 => drop(peer.ask("LIST\r\n")),
            _ => assert_eq!(peer.ask("LIST\r\nLIS")["status"], "OK"),
        }
    }
    peers
}

fn start(pool: &str) -> (Admin, Server) {
    let admin = Admin::new();
    let server = admin.start(pool, &["--workers", "1"]);
    (admin, server)
}

/// Waits until the worker has a request in hand, the last of so many. An answer that is just being booked as sent is in
/// flight, too.
fn wait_for_transfer(admin: &Admin, started: u64) {
    admin.wait_for(|it| {
        let requests = &it.sum.counts.requests;
        (requests.started, requests.in_flight) == (started, 1)
    });
}

each_blocking_pool! {
    fn who_has_nothing_in_hand_keeps_nobody_waiting_and_is_not_sent_away(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        assert_eq!(server.ready.settings.set_aside, Some(16));
        let mut aside = sixteen(&server);
        for _ in 0..20 {
            assert_eq!(names(&server.connect().ask("LIST\r\n")), [""; 0]);
        }
        for (index, peer) in aside.iter_mut().enumerate().rev() {
            let rest = if index % 2 == 0 { "LIST\r\n" } else { "T\r\n" };
            assert_eq!(names(&peer.ask(rest)), [""; 0]);
        }
        drop(aside);
        let (done, code) = server.stop();
        let c = &done.sum.connections;
        assert_eq!((c.accepted, c.closed, code), (36, 36, 0));
        assert_eq!(done.sum.requests.ok.list, 44);
    }

    fn a_full_worker_accepts_nobody_and_evicts_nobody(pool) {
        let server = Server::start(pool, &["--workers", "1", "--set-aside", "2"]);
        let mut three: Vec<_> = (0..3).map(|_| server.connect()).collect();
        for peer in &mut three {
            peer.ask("LIST\r\n");
        }
        let mut fourth = server.connect();
        fourth.send("LIST\r\n");
        // Were the fourth accepted, its listing would be made in between.
        for n in 0..30 {
            assert_eq!(three[n % 3].ask(upload(&format!("f{n}"), b"abc"))["size"], 3);
        }
        three.pop();
        assert_eq!(names(&fourth.reply()).len(), 30);
        for peer in &mut three {
            assert_eq!(names(&peer.ask("LIST\r\n")).len(), 30);
        }
        server.stop();
    }

    fn a_transfer_is_not_interleaved_and_what_arrives_meanwhile_is_not_lost(pool) {
        let (admin, server) = start(pool);
        let mut aside: Vec<_> = (0..3).map(|_| server.connect()).collect();
        for peer in &mut aside {
            assert_eq!(names(&peer.ask("LIST\r\n")), [""; 0]);
        }
        let request = upload("x", &noise(1, 600_000));
        let (start, rest) = request.split_at(request.len() / 2);
        let mut busy = server.connect();
        busy.send(start);
        wait_for_transfer(&admin, 4);
        for peer in &mut aside {
            peer.send("LIST\r\n");
        }
        busy.send(&rest[..rest.len() - 1]);
        assert_eq!(busy.send("\n").reply()["size"], 600_000);
        for peer in &mut aside {
            assert_eq!(names(&peer.reply()), ["x"]);
        }
        server.stop();
    }

    fn each_of_those_set_aside_has_its_own_deadline(pool) {
        let limits = ["--head-timeout", "300ms", "--idle-timeout", "400ms"];
        let server = Server::start(pool, &[&["--workers", "2"], &limits[..]].concat());
        let mut silent: Vec<_> = (0..6).map(|_| server.connect()).collect();
        let mut idle: Vec<_> = (0..6).map(|_| server.connect()).collect();
        for peer in &mut idle {
            peer.ask("LIST\r\n");
        }
        let mut slow: Vec<_> = (0..6).map(|_| server.connect()).collect();
        for peer in &mut slow {
            peer.send("LIS");
        }
        for peer in &mut slow {
            assert_eq!(peer.reply()["code"], "timeout");
        }
        for peer in silent.iter_mut().chain(&mut idle).chain(&mut slow) {
            peer.expect_end();
        }
        let (done, _) = server.stop();
        let c = &done.sum.connections;
        assert_eq!((c.accepted, c.timed_out, c.closed), (18, 12, 6));
    }

    fn all_that_a_killed_worker_has_set_aside_is_booked(pool) {
        let (admin, server) = start(pool);
        let mut aside: Vec<_> = (0..5).map(|_| server.connect()).collect();
        for peer in &mut aside {
            peer.ask("LIST\r\n");
        }
        let mut busy = server.connect();
        busy.send("UPLOAD half QUJD");
        wait_for_transfer(&admin, 6);
        server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
        for peer in aside.iter_mut().chain([&mut busy]) {
            assert!(peer.try_reply().is_none());
        }
        assert_eq!(names(&server.connect().ask("LIST\r\n")), [""; 0]);
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (1, 0));
        let c = &done.sum.connections;
        assert_eq!((c.accepted, c.aborted_by_crash, c.closed), (7, 6, 1));
        let r = &done.sum.requests;
        assert_eq!((r.started, r.aborted_by_crash, r.ok.list), (7, 1, 6));
    }

    fn a_stop_answers_whoever_has_asked_though_a_slow_transfer_is_in_hand(pool) {
        let (admin, server) = start(pool);
        let [mut idle, mut asking, mut busy] = [server.connect(), server.connect(), server.connect()];
        for peer in [&mut idle, &mut asking] {
            peer.ask("LIST\r\n");
        }
        busy.send("UPLOAD half QUJD");
        wait_for_transfer(&admin, 3);
        asking.send("LIST\r\n");
        let mut queued = server.connect();
        queued.send("LIST\r\n");
        server.signal(Signal::SIGTERM);
        // Nobody waits for the slow one any more, and nobody is cut.
        for peer in [&mut asking, &mut queued] {
            assert_eq!(names(&peer.reply()), [""; 0]);
            peer.expect_end();
        }
        idle.expect_end();
        assert_eq!(busy.ask("\r\n")["size"], 3);
        busy.expect_end();
        let (done, code) = server.done();
        assert_eq!((done.reason.as_str(), done.sum.connections.closed, code), ("drained", 4, 0));
    }

    fn a_worker_that_is_replaced_answers_whoever_has_asked(pool) {
        let (admin, server) = start(pool);
        let [mut idle, mut asking, mut busy] = [server.connect(), server.connect(), server.connect()];
        for peer in [&mut idle, &mut asking] {
            peer.ask("LIST\r\n");
        }
        busy.send("UPLOAD half QUJD");
        wait_for_transfer(&admin, 3);
        asking.send("LIST\r\n");
        server.signal(Signal::SIGHUP);
        assert_eq!(names(&asking.reply()), [""; 0]);
        asking.expect_end();
        idle.expect_end();
        assert_eq!(names(&server.connect().ask("LIST\r\n")), [""; 0]);
        assert_eq!(busy.ask("\r\n")["size"], 3);
        busy.expect_end();
        let (done, code) = server.stop();
        assert_eq!((done.crashes, done.sum.connections.closed, code), (0, 4, 0));
    }

    fn with_none_to_be_set_aside_a_worker_has_one_connection_from_accept_to_its_end(pool) {
        let server = Server::start(pool, &["--workers", "1", "--set-aside", "0"]);
        assert_eq!(server.ready.settings.set_aside, Some(0));
        let mut first = server.connect();
        first.ask("LIST\r\n");
        let mut second = server.connect();
        second.send("LIST\r\n");
        for n in 0..30 {
            assert_eq!(first.ask(upload(&format!("f{n}"), b"abc"))["size"], 3);
        }
        drop(first);
        assert_eq!(names(&second.reply()).len(), 30);
        server.stop();
    }

    fn connections_beyond_an_addresss_cap_keep_nobody_waiting(pool) {
        for set_aside in ["0", "2", "16"] {
            let cap = ["--workers", "2", "--set-aside", set_aside, "--max-connections-per-address", "1"];
            let server = Server::start(pool, &cap);
            let mut first = server.connect();
            assert_eq!(first.ask("LIST\r\nUPLOAD x QUJD")["status"], "OK");
            let over = &AtomicBool::new(false);
            let start = Instant::now();
            std::thread::scope(|scope| {
                let trickle = move |mut peer: Peer| {
                    assert_eq!(peer.reply()["code"], "busy");
                    // Lingering takes what still comes, for 5 s.
                    while !over.load(Relaxed) && peer.stream.write_all(b"x").is_ok() {
                        std::thread::yield_now();
                    }
                };
                for _ in 0..20 {
                    let peer = server.connect();
                    scope.spawn(move || trickle(peer));
                }
                let good = connect_from("127.0.0.2", &server).ask("LIST\r\n");
                over.store(true, Relaxed);
                assert_eq!(good["status"], "OK");
            });
            assert!(start.elapsed() < Duration::from_secs(5), "they were waited for");
            assert_eq!(first.ask("\r\n")["size"], 3);
            drop(first);
            let (done, code) = server.stop();
            let c = &done.sum.connections;
            assert_eq!((c.accepted, c.refused_over_address_cap, c.refused, code), (22, 20, 20, 0));
        }
    }

    fn a_worker_is_busy_with_what_it_has_not_set_aside(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "1"]);
        let mut aside = sixteen(&server);
        let is_idle = |set_aside| {
            admin.wait_for(|it| {
                let worker = &it.workers[0];
                (worker.is_busy, worker.connections_set_aside) == (false, set_aside)
            })
        };
        is_idle(16);
        aside[0].send("UPLOAD x QUJD");
        admin.wait_for(|it| it.workers[0].is_busy && it.workers[0].connections_set_aside == 15);
        assert_eq!(aside[0].ask("\r\n")["size"], 3);
        is_idle(16);
        aside.truncate(3);
        is_idle(3);
        drop(aside);
        is_idle(0);
        server.stop();
    }
}

/// A listener that is waited at in accept cannot be one that is not.
#[test]
fn a_reload_changes_how_many_are_set_aside_but_not_whether_any_are() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("server.toml");
    let write = |set_aside: &str| {
        let cap = "max-connections-per-address = 100";
        std::fs::write(
            &file,
            format!("workers = 1\nset-aside = {set_aside}\n{cap}\n"),
        )
        .unwrap();
    };
    write("16");
    let server = Server::start("process", &["--config", file.to_str().unwrap()]);
    write("0");
    server.signal(Signal::SIGHUP);
    assert!(
        server
            .wait_for_log("cannot change these")
            .contains("--set-aside")
    );
    // The addresses of so many cannot be counted.
    write("17");
    server.signal(Signal::SIGHUP);
    let line = server.wait_for_log("nothing is reloaded");
    assert!(line.contains("--set-aside 17"), "{line}");
    let before = server.children();
    write("1");
    server.signal(Signal::SIGHUP);
    server.wait_for_children(|now| now.len() == 1 && now != before);
    let mut two: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for peer in &mut two {
        peer.ask("LIST\r\n");
    }
    let mut third = server.connect();
    third.send("GET f\r\n");
    assert_eq!(two[0].ask(upload("f", b"abc"))["size"], 3);
    drop(two);
    assert_eq!(content(&third.reply()), b"abc");
    server.stop();
}
