//! A server ends that has taken over, while the one before it still finishes what it has in hand: whoever is queued is
//! served, and the port is free.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::{Peer, Server, each_pool, noise, upload, wait_until, workers_of};

/// The server that serves, and an upload that the one before it has in hand.
struct Succession {
    server: Server,
    slow: Held,
}

/// An upload of which one half has been sent.
struct Held {
    peer: Peer,
    rest: Vec<u8>,
}

impl Held {
    fn start(server: &Server, name: &str) -> Self {
        let mut peer = server.connect();
        // From here on a worker has it in hand.
        assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
        let mut start = upload(name, &noise(1, 100_000));
        let rest = start.split_off(start.len() / 2);
        peer.send(start);
        Self { peer, rest }
    }

    fn finish(mut self) {
        assert_eq!(self.peer.send(self.rest).reply()["status"], "OK");
        self.peer.expect_end();
    }
}

impl Succession {
    fn new(pool: &str, args: &[&str], upgrades: usize) -> Self {
        let args = [&["--workers", "1"], args].concat();
        let mut server = Server::start(pool, &args);
        for _ in 1..upgrades {
            let before = server.ready.pid;
            server.signal(Signal::SIGUSR2);
            server.wait_for_successor();
            server.next_done();
            server.wait_until_alone(before);
        }
        let slow = Held::start(&server, "slow");
        let old_workers = server.ready.worker_pids.clone();
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        let accepts = |pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
            !name.starts_with("prefork:old")
        };
        wait_until("the old workers retire", || {
            !old_workers.iter().any(accepts)
        });
        Self { server, slow }
    }

    /// The new server is gone, but not the old one.
    fn check_and_end(self) {
        let address = &self.server.ready.address;
        wait_until("the port is free", || match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => false,
            bound => bound.map(drop).is_ok(),
        });
        assert!(TcpStream::connect(address).is_err());
        let new = format!("/proc/{}", self.server.ready.pid);
        wait_until("the old server has reaped the new one", || {
            !Path::new(&new).exists()
        });
        self.slow.finish();
        let old = self.server.next_done();
        let requests = &old.sum.requests;
        assert_eq!(
            (old.reason.as_str(), requests.ok.upload, old.crashes),
            ("handed_over", 1, 0)
        );
        self.server.wait_until_all_are_gone();
        assert_eq!(
            self.server.entries().last().map(String::as_str),
            Some("slow")
        );
        assert!(!self.server.root().join(".prefork-lock").exists());
    }
}

/// Every way of waiting for newcomers that a pool has, with how many upgrades before.
fn ways(pool: &str) -> Vec<(&'static [&'static str], usize)> {
    let own: &[&str] = match pool {
        "event" => &["--defer-accept", "10"],
        _ => &["--set-aside", "0"],
    };
    vec![(&[], 1), (own, 1), (&[], 2)]
}

each_pool! {
    fn a_graceful_stop_loses_nobody_while_the_old_server_still_finishes(pool) {
        for (args, upgrades) in ways(pool) {
            let Succession { server, slow } = Succession::new(pool, args, upgrades);
            // A blocking worker is busy with it, so that the others are queued.
            let busy = Held::start(&server, "busy");
            let mut queued: Vec<_> = (0..5).map(|_| server.connect()).collect();
            for peer in &mut queued {
                peer.send("LIST\r\n");
            }
            server.signal(Signal::SIGTERM);
            server.wait_for_log("stopping gracefully");
            busy.finish();
            for peer in &mut queued {
                assert_eq!(peer.reply()["status"], "OK", "{args:?} {upgrades}");
                peer.expect_end();
            }
            let new = server.next_done();
            let (requests, connections) = (&new.sum.requests, &new.sum.connections);
            assert_eq!((new.reason.as_str(), requests.ok.upload, requests.ok.list), ("drained", 1, 6));
            assert_eq!(connections.aborted_by_stop, 0);
            Succession { server, slow }.check_and_end();
        }
    }

    fn a_killed_server_leaves_the_port_free_while_the_old_one_still_finishes(pool) {
        for (args, upgrades) in ways(pool) {
            let succession = Succession::new(pool, args, upgrades);
            let server = &succession.server;
            assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
            server.signal(Signal::SIGKILL);
            succession.check_and_end();
        }
    }

    fn a_worker_that_was_replaced_has_no_listener(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        let held = Held::start(&server, "held");
        let before = server.children();
        let sockets = |pid: u32| {
            let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            let links = links.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
            links.filter(|to| to.to_string_lossy().starts_with("socket:")).count()
        };
        server.signal(Signal::SIGHUP);
        server.wait_for_log("reloaded");
        // What it has beside the connection that is in its hand is its line to the parent.
        wait_until("it has let go", || sockets(before[0]) == 2);
        held.finish();
        assert!(workers_of(server.ready.pid).len() <= 2);
        server.stop();
    }
}
