//! A worker is killed in each phase of a request, by each of three signals: the client sees a cut, nothing partial
//! is to be seen in the root, the next client is served, and the ledger says what the dead worker had in hand.

mod trace;

use std::io::Read;

use nix::sys::signal::Signal;
use proto::announce::Done;

use crate::asking::Admin;
use crate::support::{Peer, Server, each_pool, noise, upload};

const SIGNALS: [Signal; 3] = [Signal::SIGKILL, Signal::SIGSEGV, Signal::SIGABRT];

/// What a kill in one phase is to come to. Nothing else may have been booked, but the next client's LIST.
#[derive(Debug, Clone, Copy, Default)]
struct Booked {
    requests_cut: u64,
    lists: u64,
    bad_requests: u64,
}

/// Starts servers with one worker, brings each into the phase by `enter`, and kills its worker there.
fn check(pool: &str, want: Booked, enter: impl Fn(&Server, &Admin) -> Peer) {
    for signal in SIGNALS {
        let (admin, server) = start(pool);
        let peer = enter(&server, &admin);
        kill(&server, signal);
        check_what_is_left(server, peer, want, signal);
    }
}

fn start(pool: &str) -> (Admin, Server) {
    let admin = Admin::new();
    let server = admin.start(pool, &["--workers", "1"]);
    server.put("kept", b"old content");
    server.put("large", &vec![1; 50_000_000]);
    (admin, server)
}

/// Signals the worker until it is dead: Rust's own handler takes the first SIGSEGV for a stack overflow, and leaves
/// the next to the kernel, as a real one would come again at once.
fn kill(server: &Server, signal: Signal) {
    let worker = server.ready.worker_pids[0];
    server.wait_for_children(|now| {
        let is_there = now.contains(&worker);
        if is_there {
            server.kill_worker_if_there(worker, signal);
        }
        !is_there
    });
}

fn check_what_is_left(server: Server, mut peer: Peer, want: Booked, signal: Signal) {
    assert!(
        peer.try_reply().is_none(),
        "{signal}: no answer, or none that is whole"
    );
    let mut next = server.connect();
    let listed = next.ask("LIST\r\n");
    assert_eq!(
        listed["data"],
        serde_json::json!(["kept", "large"]),
        "{signal}"
    );
    drop(next);
    // Nothing hidden either.
    server.wait_for_entries(|names| names == ["kept", "large"]);
    assert_eq!(server.stored("kept").unwrap(), b"old content", "{signal}");
    let (done, code) = server.stop();
    assert_eq!((done.crashes, code), (1, 0), "{signal}");
    check_books(&done, want, signal);
}

fn check_books(done: &Done, want: Booked, signal: Signal) {
    let c = &done.sum.connections;
    assert_eq!(
        (c.accepted, c.aborted_by_crash, c.closed),
        (2, 1, 1),
        "{signal}: {done:#?}"
    );
    let r = &done.sum.requests;
    let cut = (r.aborted_by_crash, want.requests_cut);
    let lists = (r.ok.list, want.lists + 1);
    let errors = (r.errors.bad_request, want.bad_requests);
    for (booked, wanted) in [cut, lists, errors] {
        assert_eq!(booked, wanted, "{signal}: {done:#?}");
    }
    assert_eq!(
        r.started,
        want.requests_cut + want.lists + want.bad_requests + 1,
        "{signal}: {done:#?}"
    );
}

/// Waits until the worker has accepted, and has taken from the socket whatever was sent.
fn wait_until_taken(server: &Server, admin: &Admin, peer: &Peer) {
    admin.wait_for(|it| it.sum.counts.connections.in_flight == 1);
    let (local, remote) = (peer.stream.local_addr().unwrap(), &server.ready.address);
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    let unread = || {
        let entries = procfs::net::tcp().unwrap();
        let of_server = |it: &&procfs::net::TcpNetEntry| {
            it.remote_address == local && it.local_address.to_string() == *remote
        };
        entries
            .iter()
            .find(of_server)
            .expect("a connection")
            .rx_queue
    };
    while unread() > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "the worker does not read"
        );
        std::thread::yield_now();
    }
}

each_pool! {
    fn a_kill_while_a_client_is_silent(pool) {
        check(pool, Booked::default(), |server, admin| {
            let peer = server.connect();
            wait_until_taken(server, admin, &peer);
            peer
        });
    }

    fn a_kill_in_a_head(pool) {
        check(pool, Booked::default(), |server, admin| {
            let mut peer = server.connect();
            peer.send("DELETE ke");
            wait_until_taken(server, admin, &peer);
            peer
        });
    }

    fn a_kill_in_an_uploads_body(pool) {
        check(pool, Booked { requests_cut: 1, ..Booked::default() }, |server, admin| {
            let mut peer = server.connect();
            // More than the worker collects before it writes to the file.
            let request = upload("kept", &noise(1, 2_000_000));
            peer.send(&request[..1_500_000]);
            wait_until_taken(server, admin, &peer);
            admin.wait_for(|it| it.sum.counts.requests.in_flight == 1);
            peer
        });
    }

    fn a_kill_while_an_upload_is_being_committed(pool) {
        for signal in SIGNALS {
            let (admin, server) = start(pool);
            let mut peer = server.connect();
            let request = upload("kept", &noise(1, 1_000_000));
            let (most, rest) = request.split_at(request.len() - 1);
            peer.send(most);
            wait_until_taken(&server, &admin, &peer);
            // All is there but the end of line. From its arrival on the worker is followed, system call by system
            // call, until the new file has its hidden name, and dies before that becomes the real one.
            let is_in_the_act = || server.entries().iter().any(|name| name.starts_with('.'));
            let seen = trace::kill_when(
                server.ready.worker_pids[0],
                signal,
                || {
                    peer.send(rest);
                },
                is_in_the_act,
            );
            assert!(seen, "{signal}: the upload was not seen between its end and its name");
            let want = Booked { requests_cut: 1, ..Booked::default() };
            check_what_is_left(server, peer, want, signal);
        }
    }

    fn a_kill_in_a_download(pool) {
        check(pool, Booked { requests_cut: 1, ..Booked::default() }, |server, admin| {
            let mut peer = server.connect();
            peer.send("GET large\r\n");
            assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
            admin.wait_for(|it| it.sum.counts.requests.in_flight == 1);
            peer
        });
    }

    fn a_kill_between_requests(pool) {
        check(pool, Booked { lists: 1, ..Booked::default() }, |server, admin| {
            let mut peer = server.connect();
            peer.ask("LIST\r\n");
            admin.wait_for(|it| it.sum.counts.requests.in_flight == 0 && it.sum.counts.connections.in_flight == 1);
            peer
        });
    }

    fn a_kill_while_a_refused_client_is_lingered_for(pool) {
        check(pool, Booked { bad_requests: 1, ..Booked::default() }, |server, _| {
            let mut peer = server.connect();
            assert_eq!(peer.ask("LIST\rX\r\n")["code"], "bad_request");
            // The server has ended its side, and takes what the client may still send.
            assert_eq!(peer.stream.read(&mut [0]).unwrap(), 0);
            peer
        });
    }
}
