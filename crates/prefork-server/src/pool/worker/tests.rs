use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use proto::Limits;

use super::*;
use crate::shared::gate::Gate;
use crate::shared::listener;
use crate::shared::report;
use crate::shared::report::ProcessId;
use crate::shared::scoreboard::{Command, Scoreboard};
use crate::store::{Durability, Folder, Store, StoreOptions};

type Run = fn(&Worker<'_>) -> Left;

/// What a peer gets until the end, however that comes.
fn converse(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    let timeout = Some(Duration::from_secs(60));
    socket.set_read_timeout(timeout).unwrap();
    socket.write_all(request).unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !answer.ends_with(b"\r\n\r\n") {
        match socket.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(len) => answer.extend_from_slice(&chunk[..len]),
        }
    }
    answer
}

/// Runs a worker while `talk` talks to it, then drains it; what it has counted is left in the slot.
fn with_worker(run: Run, waits: bool, talk: impl FnOnce(SocketAddr, Slot)) -> Slot {
    let root = tempfile::TempDir::new().unwrap();
    let options = StoreOptions {
        durability: Durability::None,
        upload_len_max: 1 << 20,
        min_free_bytes: 0,
        read_only: false,
        root_bytes_max: None,
    };
    let store = Store::open(Folder::open(root.path()).unwrap(), options).unwrap();
    let service = Service::new(store, Limits::default());
    let any_port = ([127, 0, 0, 1], 0).into();
    let listener = listener::bind(any_port).unwrap();
    listener::configure(&listener, &Congestion::System, None, waits).unwrap();
    let listener = Listener::new(listener);
    let slot = Scoreboard::new(1).unwrap().slot(0);
    let (_reports, reporting) = report::channel().unwrap();
    let process = ProcessId {
        seat: 0,
        generation: 1,
    };
    let timeout = Duration::from_secs(60);
    let logs = Logs::default();
    let gate = Gate::new(true).unwrap();
    let worker = Worker {
        index: 0,
        slot,
        listener: &listener,
        gate,
        service: &service,
        clocks: Clocks {
            head_timeout: timeout,
            idle_timeout: timeout,
            rate_min_bytes_per_s: 1,
            // No clock has a time so far from now: the first wait inside a body panics.
            rate_window: Duration::MAX,
            accept_unterminated: None,
        },
        congestion: &Congestion::System,
        reporter: &Reporter::new(&reporting, process, None),
        address_cap: None,
        logs: &logs,
        cache: None,
    };
    let address = listener.socket().local_addr().unwrap();
    let left = thread::scope(|scope| {
        let running = scope.spawn(|| run(&worker));
        talk(address, slot);
        listener::close_the_door(listener.socket()).unwrap();
        slot.tell(Command::Drain);
        running.join().unwrap()
    });
    assert_eq!(left, Left::Asked);
    slot
}

/// Every kind of worker, and whether it waits in accept.
const KINDS: [(Run, bool); 3] = [
    (|worker| blocking::run(worker, 0, || Ok(())), true),
    (|worker| blocking::run(worker, 16, || Ok(())), false),
    (|worker| event::run(worker, 10), false),
];

#[test]
fn a_panic_costs_its_connection_and_no_other_under_every_kind_of_worker() {
    for (run, waits) in KINDS {
        let slot = with_worker(run, waits, |address, _| {
            for _ in 0..3 {
                assert_eq!(converse(address, b"UPLOAD half QUJD"), b"");
                assert!(converse(address, b"LIST\r\n").starts_with(br#"{"status":"OK","data":[]"#));
            }
        });
        let counts = slot.counts();
        let c = &counts.connections;
        assert_eq!((c.accepted, c.aborted_by_crash, c.closed), (6, 3, 3));
        let r = &counts.requests;
        assert_eq!((r.started, r.aborted_by_crash, r.ok.list), (6, 3, 3));
    }
}

#[test]
fn a_worker_that_is_to_leave_looks_into_the_queue_at_once() {
    let drained: [Run; 2] = [
        |worker| {
            worker.slot.tell(Command::Drain);
            blocking::run(worker, 16, || Ok(()))
        },
        |worker| {
            worker.slot.tell(Command::Drain);
            event::run(worker, 10)
        },
    ];
    for run in drained {
        let leave = |_| {
            let began = Instant::now();
            with_worker(run, false, |_, _| ());
            began.elapsed()
        };
        // On a loaded machine one of them may be late; one that waits for a knock always is.
        let shortest = (0..5).map(leave).min().unwrap();
        assert!(shortest < report::LOOK, "{shortest:?}");
    }
}

#[test]
fn a_worker_gives_signs_of_life_while_it_answers_one_who_never_waits() {
    const REQUESTS: u64 = 3_200;
    for (run, waits) in KINDS {
        with_worker(run, waits, |address, slot| {
            let before = slot.get(Field::SignsOfLife);
            let mut socket = TcpStream::connect(address).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(60)))
                .unwrap();
            // What is not read of the answers fits into the sockets' buffers.
            socket
                .write_all(&b"LIST\r\n".repeat(REQUESTS as usize))
                .unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            socket.read_to_end(&mut Vec::new()).unwrap();
            assert_eq!(slot.counts().requests.ok.list, REQUESTS);
            let signs = slot.get(Field::SignsOfLife) - before;
            assert!(signs >= REQUESTS / 16, "{signs}");
        });
    }
}
