//! `--defer-accept`: a client that has sent nothing costs no worker, and a stop does not forget it.

use nix::sys::signal::Signal;

use crate::support::{Server, each_pool};

each_pool! {
    fn a_silent_client_costs_no_worker(pool) {
        // Otherwise it would have the only one for longer than this test waits.
        let args = ["--workers", "1", "--head-timeout", "120s", "--defer-accept", "60"];
        let server = Server::start(pool, &args);
        // The kernel counts in retransmissions: 1 + 2 + 4 + 8 + 16 + 32.
        assert_eq!(server.ready.settings.defer_accept_s, Some(63));
        let mut silent = server.connect();
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        assert_eq!(silent.ask("LIST\r\n")["status"], "OK");
    }

    fn a_stop_serves_those_who_were_silent_until_then(pool) {
        let server = Server::start(pool, &["--workers", "20", "--defer-accept", "10"]);
        let mut silent: Vec<_> = (0..20).map(|_| server.connect()).collect();
        server.signal(Signal::SIGTERM);
        server.wait_for_log("stopping gracefully");
        // By the time that a server without anybody to serve is gone, this one would be, too, did it not wait.
        Server::start(pool, &[]).stop();
        for peer in &mut silent {
            peer.send("LIST\r\n");
        }
        for peer in &mut silent {
            assert_eq!(peer.reply()["status"], "OK");
            peer.expect_end();
        }
        let (done, code) = server.done();
        assert_eq!((done.sum.requests.ok.list, done.sum.connections.accepted, code), (20, 20, 0));
    }

    fn a_second_signal_does_not_wait_for_the_silent(pool) {
        let server = Server::start(pool, &["--defer-accept", "10"]);
        let _silent = server.connect();
        server.signal(Signal::SIGTERM);
        server.signal(Signal::SIGINT);
        let (done, _) = server.done();
        assert_eq!(done.reason, "stopped");
    }
}
