//! What the limits that are off by default, and the access log, cost whoever turns them on.
//!
//! Read the figures as differences within one run: `quota/...` with and without, `access_log/...` with and
//! without, and `address_cap/...` beside the 50 µs that accepting and closing a connection takes.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use prefork_server::inside::AccessLogger;
use prefork_server::inside::Holdings;
use prefork_server::inside::Scoreboard;
use prefork_server::inside::{AddressCap, Admission};
use prefork_server::inside::{BufferPool, Service, Session, Want};
use prefork_server::inside::{Durability, Folder, Quota, Store, StoreOptions};
use prefork_server::inside::{Logs, Wanted};
use proto::Limits;

const OPTIONS: StoreOptions = StoreOptions {
    durability: Durability::None,
    upload_len_max: 1 << 32,
    min_free_bytes: 0,
    read_only: false,
    root_bytes_max: None,
};

/// Holdings in which so many processes have their rows.
fn holdings(processes: u32, cells: u32) -> Holdings {
    let holdings = Holdings::new(processes, cells).expect("memory");
    for taken in 0..processes {
        holdings.free_row(0..taken).expect("a row for each");
    }
    holdings
}

fn address_cap(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("address_cap");
    for (name, processes, in_hand) in [
        ("5_blocking", 5, 1),
        ("50_blocking", 50, 1),
        ("5_event_full", 5, 1024),
    ] {
        let holdings = holdings(processes, in_hand);
        let cap = |row| AddressCap {
            holdings,
            row: holdings.row(row),
            connections_max: 100_000,
        };
        let peer: SocketAddr = "192.0.2.1:1".parse().expect("an address");
        let admit = |row| match cap(row).admit(peer) {
            Admission::Admitted(Some(place)) => place,
            other => unreachable!("{other:?}"),
        };
        // All but the one that is measured.
        let others: Vec<_> = (0..processes)
            .flat_map(|row| (0..in_hand).map(move |cell| (row, cell)))
            .skip(1)
            .map(|(row, _)| admit(row))
            .collect();
        group.bench_function(name, |bencher| bencher.iter(|| drop(admit(0))));
        drop(others);
    }
    group.finish();
}

fn quota(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("quota");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(2));
    for (size, len) in [("1KiB", 1 << 10), ("8MiB", 8 << 20)] {
        let content = vec![7; len];
        for (kind, root_bytes_max) in [("without", None), ("with", Some(1 << 40))] {
            let root = tempfile::TempDir::new().expect("a temporary folder");
            let options = StoreOptions {
                root_bytes_max,
                ..OPTIONS
            };
            let mut store =
                Store::open(Folder::open(root.path()).unwrap(), options).expect("a root");
            store.share_quota(Quota::new(holdings(10, 1)).expect("memory"));
            let name = "f".parse().expect("a name");
            group.bench_function(BenchmarkId::new(kind, size), |bencher| {
                bencher.iter(|| {
                    let mut upload = store.create(&name).expect("an upload");
                    for piece in content.chunks(256 << 10) {
                        upload.write(piece).expect("room");
                    }
                    upload.commit().expect("a commit");
                });
            });
        }
    }
    // The folder was changed behind the server's back: whoever opens the books measures it.
    let root = tempfile::TempDir::new().expect("a temporary folder");
    let options = StoreOptions {
        root_bytes_max: Some(1 << 40),
        ..OPTIONS
    };
    let mut store = Store::open(Folder::open(root.path()).unwrap(), options).expect("a root");
    store.share_quota(Quota::new(holdings(10, 1)).expect("memory"));
    for number in 0..10_000 {
        let name = format!("f{number}").parse().expect("a name");
        store
            .create(&name)
            .and_then(|mut upload| upload.commit())
            .expect("a file");
    }
    let outside = root.path().join("outside");
    group.bench_function("measure_10000_files", |bencher| {
        bencher.iter(|| {
            std::fs::hard_link(root.path().join("f0"), &outside).expect("a link");
            black_box(store.used_bytes().expect("a root"));
            #[expect(
                clippy::disallowed_methods,
                reason = "a benchmark stands outside the store"
            )]
            std::fs::remove_file(&outside).expect("the link");
        });
    });
    group.finish();
}

fn access_log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("access_log");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let root = tempfile::TempDir::new().expect("a temporary folder");
    let store = Store::open(Folder::open(root.path()).unwrap(), OPTIONS).expect("a root");
    let service = Service::new(store, Limits::default());
    let slot = Scoreboard::new(1).expect("a page of memory").slot(0);
    let path = folder.path().join("access.log");
    let wanted = Wanted::new("--access-log", &path).expect("a log");
    let (logs, _reopener) = Logs::open(Some(wanted), None).expect("a log");
    for kind in ["without", "with"] {
        let mut session = Session::new(&service, slot);
        let mut buffer_pool = BufferPool::default();
        let peer = "192.0.2.1:1".parse().ok();
        let log = logs.access.as_ref().filter(|_| kind == "with");
        let mut logger = log.map(|log| AccessLogger::new(log, slot, 0, peer));
        if logger.is_some() {
            session.remember_finished();
        }
        let request = b"GET missing\r\n";
        group.bench_function(BenchmarkId::new(kind, "not_found"), |bencher| {
            bencher.iter(|| {
                session.take_buffers(&mut buffer_pool);
                session.space()[..request.len()].copy_from_slice(request);
                session.arrived(request.len());
                if let Some(logger) = &mut logger {
                    logger.look(&mut session);
                }
                assert_eq!(session.want(), Want::Write);
                session.sent(session.output().len());
                if let Some(logger) = &mut logger {
                    logger.look(&mut session);
                }
                session.put_buffers(&mut buffer_pool);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, address_cap, quota, access_log);
criterion_main!(benches);
