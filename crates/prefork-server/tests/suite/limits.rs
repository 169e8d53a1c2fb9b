//! Slow, silent and greedy clients.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::{DEADLINE, Server, content, each_pool, encode, noise, upload};

each_pool! {
    fn a_refused_upload_still_gets_its_answer(pool) {
        let server = Server::start(pool, &["--upload-max", "1M"]);
        let mut peer = server.connect();
        // Most of it is still on its way when the server has seen enough.
        peer.send(upload("big", &vec![1; 20_000_000]));
        let reply = peer.reply();
        assert_eq!((&reply["status"], &reply["code"]), (&"ERROR".into(), &"too_large".into()));
        peer.finish_sending();
        peer.expect_end();
        assert_eq!(server.entries(), [""; 0]);
    }

    fn a_full_disk_is_an_answer_and_the_connection_goes_on(pool) {
        // No disk has that much room.
        let server = Server::start(pool, &["--min-free", "1000000G"]);
        server.put("f", b"abc");
        let mut peer = server.connect();
        assert_eq!(peer.ask(upload("g", &noise(1, 5_000_000)))["code"], "no_space");
        assert_eq!(content(&peer.ask("GET f\r\n")), b"abc");
        assert_eq!(server.entries(), ["f"]);
    }

    fn whoever_goes_on_asking_is_not_idle(pool) {
        let server = Server::start(pool, &["--idle-timeout", "1s"]);
        server.put("f", b"abc");
        let deadline = Instant::now() + DEADLINE;
        'again: loop {
            assert!(Instant::now() < deadline, "this process never gets round to asking");
            let mut peer = server.connect();
            let (start, mut asked) = (Instant::now(), Instant::now());
            while start.elapsed() < Duration::from_millis(1500) {
                let reply = peer.stream.write_all(b"GET f\r\n").ok().and_then(|()| peer.try_reply());
                // If this process was put aside, it was idle.
                if asked.elapsed() > Duration::from_millis(500) {
                    continue 'again;
                }
                assert_eq!(content(&reply.expect("a reply")), b"abc");
                asked = Instant::now();
                // Most of the time the server waits for the next request.
                let answered = Instant::now();
                while answered.elapsed() < Duration::from_millis(20) {
                    std::thread::yield_now();
                }
            }
            break;
        }
    }

    fn a_body_below_the_least_rate_is_cut(pool) {
        let server = Server::start(pool, &["--min-rate", "1M", "--rate-window", "200ms"]);
        let mut peer = server.connect();
        let reply = peer.ask("UPLOAD x QUJD");
        assert_eq!(reply["code"], "timeout");
        peer.expect_end();
        assert_eq!(server.entries(), [""; 0]);
        let (done, _) = server.stop();
        assert_eq!((done.sum.connections.timed_out, done.sum.requests.timed_out), (1, 1));
    }

    fn a_reader_below_the_least_rate_is_cut(pool) {
        let server = Server::start(pool, &["--min-rate", "1M", "--rate-window", "200ms", "--workers", "1"]);
        server.put("f", &vec![1; 50_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        // It does not read. A blocking worker is free for the next client once the rate has been measured, an
        // event worker at once.
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        // The stop waits for what is in hand, and this ends only by being cut.
        let (done, _) = server.stop();
        assert_eq!((done.sum.connections.timed_out, done.sum.requests.timed_out), (1, 1));
        assert!(peer.try_reply().is_none());
    }

    fn idle_connections_keep_nobody_waiting_and_stay(pool) {
        let server = Server::start(pool, &["--workers", "2"]);
        let mut idle: Vec<_> = (0..2).map(|_| server.connect()).collect();
        for peer in &mut idle {
            peer.ask("LIST\r\n");
        }
        // Far below the idle timeout of 30 s.
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        for peer in &mut idle {
            assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
        }
    }

    fn a_client_that_writes_all_before_it_reads_is_served(pool) {
        let server = Server::start(pool, &[]);
        server.put("f", &noise(1, 300_000));
        let mut peer = server.connect();
        // A bad body in between is one error, and the rest goes on.
        let mut requests = b"GET f\r\nUPLOAD x QU\0D".to_vec();
        requests.extend(encode(&noise(2, 30_000)).into_bytes());
        requests.extend(b"\r\nLIST\r\n");
        peer.stream.write_all(&requests).unwrap();
        assert_eq!(content(&peer.reply()).len(), 300_000);
        assert_eq!(peer.reply()["code"], "bad_base64");
        assert_eq!(peer.reply()["data"], serde_json::json!(["f"]));
    }
}
