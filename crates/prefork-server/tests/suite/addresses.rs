//! `--max-connections-per-address`: one address cannot take every worker.

use std::fs;
use std::io::Write;
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn};
use tempfile::TempDir;

use crate::support::{DEADLINE, Peer, Server, each_pool, upload};

/// A request that is answered and a body that never ends: a connection that the server knows and cannot close as
/// idle.
const LIST_THEN_BODY: &str = "LIST\r\nUPLOAD x QUJD";

each_pool! {
    fn one_connection_too_many_is_told_so_and_the_others_go_on(pool) {
        let server = Server::start(pool, &["--max-connections-per-address", "2"]);
        assert_eq!(server.ready.settings.connections_per_address_max, Some(2));
        let mut first = server.connect();
        let mut second = server.connect();
        for peer in [&mut first, &mut second] {
            assert_eq!(peer.ask(LIST_THEN_BODY)["status"], "OK");
        }
        // Its request is on its way when it is refused, and does not destroy the answer.
        let request = upload("y", &[1; 5_000_000]);
        let mut third = server.connect();
        let reply = third.ask(request);
        assert_eq!((&reply["status"], &reply["code"]), (&"ERROR".into(), &"busy".into()));
        third.finish_sending();
        third.expect_end();
        // Another address has its own places.
        assert_eq!(connect_from("127.0.0.2", &server).ask("LIST\r\n")["status"], "OK");
        assert_eq!(second.ask("RA==\r\n")["status"], "OK");
        drop(second);
        serve_somebody(&server);
        drop(first);

        let (done, code) = server.stop();
        let c = &done.sum.connections;
        assert_eq!((c.refused, c.client_gone, code), (c.refused_over_address_cap, 1, 0));
        assert!(c.refused >= 1, "{c:?}");
        // A refused connection asked for nothing.
        assert_eq!(done.sum.requests.errors.total(), 0);
    }

    fn of_many_at_once_as_many_are_served_as_may_be(pool) {
        let server = Server::start(pool, &["--max-connections-per-address", "3"]);
        let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
        for peer in &mut peers {
            peer.send(LIST_THEN_BODY);
        }
        // The refused ones let their workers go at once; those that are served stay.
        let served: Vec<_> = peers.into_iter().filter_map(|mut peer| {
            let reply = peer.reply();
            assert!(reply["status"] == "OK" || reply["code"] == "busy", "{reply}");
            (reply["status"] == "OK").then_some(peer)
        }).collect();
        assert_eq!(served.len(), 3);
        drop(served);
        let (done, _) = server.stop();
        let c = &done.sum.connections;
        assert_eq!((c.accepted, c.refused_over_address_cap, c.client_gone), (20, 17, 3));
    }

    fn a_killed_worker_takes_no_place_with_it(pool) {
        let server = Server::start(pool, &["--max-connections-per-address", "1", "--workers", "2"]);
        for _ in 0..3 {
            let mut peer = serve_somebody(&server);
            peer.send("UPLOAD x QUJD");
            let workers = server.children();
            assert!(!workers.is_empty());
            for &pid in &workers {
                server.kill_worker(pid, Signal::SIGKILL);
            }
            server.wait_for_children(|now| now.iter().all(|pid| !workers.contains(pid)));
            assert!(peer.try_reply().is_none());
        }
        serve_somebody(&server);
        let (done, code) = server.stop();
        assert_eq!((done.sum.connections.aborted_by_crash, code), (3, 0));
    }
}

/// The table in which addresses are counted is as large as the server thought at its start: whoever is let in beyond
/// it would be let in uncounted.
#[test]
fn a_reload_does_not_let_more_in_than_can_be_counted() {
    let folder = TempDir::new().unwrap();
    let settings = folder.path().join("server.toml");
    let reload = |server: &Server, text: &str, want: &str| {
        fs::write(&settings, format!("workers = 1\n{text}")).unwrap();
        server.signal(Signal::SIGHUP);
        server.wait_for_log(want)
    };
    fs::write(&settings, "workers = 1\nmax-connections-per-address = 2\n").unwrap();
    let server = Server::start("event", &["--config", settings.to_str().unwrap()]);
    let before = server.children();
    let refused = "max-connections-per-address = 2\nevent-connections = 1025\n";
    let line = reload(&server, refused, "nothing is reloaded");
    assert!(
        line.contains("--event-connections") && line.contains("1,024"),
        "{line}"
    );
    assert_eq!(server.children(), before);
    // As many as can be counted are let in, and more where nobody counts; then counting cannot begin.
    reload(
        &server,
        "max-connections-per-address = 2\nevent-connections = 1024\n",
        "INFO reloaded",
    );
    reload(&server, "event-connections = 1025\n", "INFO reloaded");
    reload(&server, refused, "nothing is reloaded");
    server.stop();
}

/// Connects until a place is free: the server notices an end, or a worker's death, when it comes to that.
fn serve_somebody(server: &Server) -> Peer {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut peer = server.connect();
        // Its worker may have been killed by now.
        let sent = peer.stream.write_all(b"LIST\r\n");
        match sent.ok().and_then(|()| peer.try_reply()) {
            Some(reply) if reply["status"] == "OK" => return peer,
            _ => assert!(Instant::now() < deadline, "no place became free"),
        }
    }
}

pub(crate) fn connect_from(source: &str, server: &Server) -> Peer {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    let source = SocketAddrV4::new(source.parse().unwrap(), 0);
    socket::bind(socket.as_raw_fd(), &SockaddrIn::from(source)).unwrap();
    let server: SocketAddrV4 = server.ready.address.parse().unwrap();
    socket::connect(socket.as_raw_fd(), &SockaddrIn::from(server)).unwrap();
    Peer::new(TcpStream::from(socket))
}
