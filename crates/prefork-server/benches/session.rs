//! A session without its socket: what a worker costs beside the kernel's share of moving bytes.
//!
//! Each figure is the whole of a request: head, body or file, base64, CRC-32, the store's page-cache reads or
//! writes. `plain_copy` moves the same file bytes with the same sizes and nothing else: read the others as
//! ratios to it.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark stands outside the store"
)]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prefork_server::inside::Scoreboard;
use prefork_server::inside::{BufferPool, Service, Session, Want};
use prefork_server::inside::{Durability, Folder, Store, StoreOptions};
use proto::{Limits, base64};

const FILE_LEN: usize = 8 << 20;

/// Feeds `request` as a socket would, in pieces of at most the session's space with a pause before each, and
/// drops what it answers.
/// Returns how many bytes it answered.
fn converse(session: &mut Session<'_>, buffer_pool: &mut BufferPool, mut request: &[u8]) -> usize {
    let mut answered = 0;
    loop {
        session.put_buffers(buffer_pool);
        session.take_buffers(buffer_pool);
        match session.want() {
            Want::Write => {
                let len = session.output().len();
                answered += len;
                session.sent(black_box(len));
            }
            Want::Read(_) if request.is_empty() => return answered,
            Want::Read(_) => {
                let space = session.space();
                let len = request.len().min(space.len());
                space[..len].copy_from_slice(&request[..len]);
                request = &request[len..];
                session.arrived(len);
            }
            Want::Next => session.go_on(),
            Want::Send | Want::Resume | Want::Peer | Want::Linger(_) | Want::Close => {
                unreachable!("nothing here ends the conversation")
            }
        }
    }
}

fn upload_request(content: &[u8]) -> Vec<u8> {
    let mut request = b"UPLOAD up.bin ".to_vec();
    let mut encoder = base64::Encoder::new();
    encoder.encode(content, &mut request);
    encoder.finish(&mut request);
    request.extend_from_slice(b"\r\n");
    request
}

fn sessions(criterion: &mut Criterion) {
    let root = tempfile::TempDir::new().expect("a temporary folder");
    let content: Vec<u8> = (0..FILE_LEN as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(root.path().join("f.bin"), &content).expect("room for the file");
    let options = StoreOptions {
        durability: Durability::None,
        upload_len_max: 1 << 32,
        min_free_bytes: 0,
        read_only: false,
        root_bytes_max: None,
    };
    let store = Store::open(Folder::open(root.path()).unwrap(), options).expect("a root");
    let service = Service::new(store, Limits::default());
    let scoreboard = Scoreboard::new(1).expect("a page of memory");
    let mut session = Session::new(&service, scoreboard.slot(0));
    let mut buffer_pool = BufferPool::default();

    let mut group = criterion.benchmark_group("session");
    group
        .sample_size(20)
        .measurement_time(std::time::Duration::from_secs(2));
    group.throughput(Throughput::Bytes(FILE_LEN as u64));
    group.bench_function("plain_copy_8MiB", |bencher| {
        let file = File::open(root.path().join("f.bin")).expect("the file");
        let mut piece = vec![0; 96 << 10];
        bencher.iter(|| {
            let mut offset = 0;
            while let Ok(len @ 1..) = file.read_at(&mut piece, offset) {
                black_box(&piece[..len]);
                offset += len as u64;
            }
        });
    });
    group.bench_function("download_8MiB", |bencher| {
        bencher.iter(|| converse(&mut session, &mut buffer_pool, b"GET f.bin\r\n"));
    });
    let upload = upload_request(&content);
    group.bench_function("upload_8MiB", |bencher| {
        bencher.iter(|| converse(&mut session, &mut buffer_pool, &upload));
    });
    group.finish();

    let mut group = criterion.benchmark_group("session_small");
    group
        .sample_size(20)
        .measurement_time(std::time::Duration::from_secs(2));
    group.bench_function("not_found", |bencher| {
        bencher.iter(|| converse(&mut session, &mut buffer_pool, b"GET missing\r\n"));
    });
    for number in 0..1600 {
        let name = root.path().join(format!("l{number:04}.bin"));
        std::fs::hard_link(root.path().join("f.bin"), name).expect("a link");
    }
    group.bench_function("list_1600", |bencher| {
        bencher.iter(|| converse(&mut session, &mut buffer_pool, b"LIST\r\n"));
    });
    group.finish();
}

criterion_group!(benches, sessions);
criterion_main!(benches);
