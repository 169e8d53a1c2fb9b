//! Clients that ask and are gone before they are answered, and clients that only look so.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, content, each_pool, noise, upload};

const GONE: usize = 30;

each_pool! {
    /// By the socket, one that has closed it and one that has finished sending are alike until the first bytes of an answer.
    fn nothing_is_read_for_who_is_gone_and_who_has_finished_sending_is_answered(pool) {
        let folder = TempDir::new().unwrap();
        let log = folder.path().join("access.log").display().to_string();
        let server = Server::start(pool, &["--workers", "1", "--access-log", &log]);
        let big = noise(1, 1 << 20);
        server.put("big", &big);
        let worker = server.ready.worker_pids[0];
        // All have asked, and are gone, before the worker looks.
        server.kill_worker(worker, Signal::SIGSTOP);
        let mut waiting = Vec::new();
        for number in 0..GONE {
            server.connect().send("GET big\r\n");
            if number % 10 == 0 {
                let name = format!("small{number}");
                let mut peer = server.connect();
                peer.send(upload(&name, b"it")).send("GET big\r\nLIST\r\n");
                peer.send(format!("GET none\r\nDELETE {name}\r\nGET {name}\r\n"));
                peer.finish_sending();
                waiting.push((peer, name));
            }
        }
        server.kill_worker(worker, Signal::SIGCONT);
        for (peer, name) in &mut waiting {
            assert_eq!(peer.reply()["status"], "OK");
            assert_eq!(content(&peer.reply()), big);
            let names = peer.reply()["data"].clone();
            assert!(names.as_array().unwrap().contains(&name.as_str().into()), "{names}");
            assert_eq!(peer.reply()["code"], "not_found");
            assert_eq!(peer.reply()["message"], format!("{name} has been deleted"));
            assert_eq!(peer.reply()["code"], "not_found");
            peer.expect_end();
        }
        let (done, code) = server.stop();
        assert_eq!((done.sum.connections.client_gone, code), (GONE as u64, 0));
        let lines = fs::read_to_string(&log).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let gone: Vec<_> = lines.filter(|it| it["outcome"] == "client_gone").collect();
        assert_eq!(gone.len(), GONE);
        // The kernel may need a moment to tell, on a busy machine longer than a turn.
        let read_for = gone.iter().filter(|it| it["bytes"] != 0).count();
        assert!(read_for < GONE / 2, "{gone:?}");
    }
}
