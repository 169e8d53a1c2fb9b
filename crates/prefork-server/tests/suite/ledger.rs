//! The ledger adds up, whoever dies when.

mod phases;

use nix::sys::signal::Signal;

use crate::support::{Server, each_pool, noise, upload};

each_pool! {
    fn every_kind_of_end_has_its_column(pool) {
        let server = Server::start(pool, &["--workers", "2", "--head-timeout", "100ms", "--upload-max", "1000"]);
        server.put("f", b"abc");
        server.connect().ask("GET f\r\n");
        server.connect().ask("GET missing\r\n");
        let mut refused = server.connect();
        assert_eq!(refused.ask("LIST\rX\r\n")["code"], "bad_request");
        refused.expect_end();
        // A silent client and one that never ends its head.
        server.connect().expect_end();
        let mut slow = server.connect();
        assert_eq!(slow.ask("LIS")["code"], "timeout");
        slow.expect_end();
        let mut gone = server.connect();
        gone.send("UPLOAD x QUJ").finish_sending();
        gone.expect_end();

        let (done, _) = server.stop();
        let c = &done.sum.connections;
        assert_eq!((c.accepted, c.closed, c.refused, c.timed_out, c.client_gone), (6, 2, 1, 2, 1));
        let r = &done.sum.requests;
        assert_eq!((r.started, r.ok.get, r.errors.not_found, r.errors.bad_request, r.client_gone), (4, 1, 1, 1, 1));
    }

    fn it_balances_though_workers_are_killed_at_every_point(pool) {
        let server = Server::start(pool, &["--workers", "4"]);
        server.put("f", &noise(1, 2_000_000));
        let kills = 25;
        let served: u64 = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|client| {
                    let server = &server;
                    scope.spawn(move || {
                        let request = upload(&format!("u{client}"), &noise(client, 400_000));
                        let mut served = 0;
                        for round in 0..60 {
                            let mut peer = server.connect();
                            let request: &[u8] = if round % 2 == 0 { b"GET f\r\n" } else { &request };
                            // A worker may die while this is being sent.
                            let sent = std::io::Write::write_all(&mut peer.stream, request);
                            served += u64::from(sent.is_ok() && peer.try_reply().is_some());
                        }
                        served
                    })
                })
                .collect();
            let mut killed = 0;
            while killed < kills {
                let Some(pid) = server.children().first().copied() else { continue };
                server.kill_worker_if_there(pid, Signal::SIGKILL);
                killed += 1;
                // The next kill waits until the pool has served somebody again.
                while server.connect().send("LIST\r\n").try_reply().is_none() {}
            }
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        server.wait_for_entries(|names| names.iter().all(|name| !name.starts_with('.')));
        let (done, code) = server.stop();
        assert_eq!(code, 0);
        assert!(u64::from(done.crashes) <= kills, "{done:#?}");
        let ok = &done.sum.requests.ok;
        assert!(ok.get + ok.upload >= served, "{served}: {done:#?}");
        assert!(done.sum.requests.aborted_by_crash <= u64::from(done.crashes) * 4);
    }
}

impl Server {
    fn kill_worker_if_there(&self, pid: u32, signal: Signal) {
        // It may just have died of the kill before.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal);
    }
}
