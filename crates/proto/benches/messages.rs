//! Whole messages through the decoders, in pieces of the size a socket read delivers.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proto::base64::Encoder;
use proto::reply::{self, Code, ReplyDecoder};
use proto::request::{Event, RequestDecoder, Verb, encode_head};
use proto::{FileName, Limits};

const READ_LEN: usize = 256 << 10;
const CONTENT_LEN: usize = 1 << 20;
const LISTED: usize = 1600;

fn name(number: usize) -> FileName {
    format!("file-{number:06}.bin")
        .parse()
        .expect("a plain name")
}

fn push_content(wire: &mut Vec<u8>) {
    let content: Vec<u8> = (0..CONTENT_LEN as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect();
    let mut encoder = Encoder::new();
    encoder.encode(&content, wire);
    encoder.finish(wire);
}

/// Reads all requests in `wire` and returns how many there were.
fn read_requests(decoder: &mut RequestDecoder, wire: &[u8], out: &mut [u8]) -> u32 {
    let mut requests = 0;
    for mut piece in wire.chunks(READ_LEN) {
        while !piece.is_empty() {
            let step = decoder.decode(black_box(piece), out);
            piece = &piece[step.consumed..];
            requests += u32::from(matches!(step.event, Some(Event::Request(_))));
        }
    }
    requests
}

/// Reads all replies in `wire` and returns how many there were.
fn read_replies(decoder: &mut ReplyDecoder, wire: &[u8], out: &mut [u8]) -> u32 {
    let mut replies = 0;
    for mut piece in wire.chunks(READ_LEN) {
        while !piece.is_empty() {
            let step = decoder
                .decode(black_box(piece), out)
                .expect("well-formed replies");
            piece = &piece[step.consumed..];
            replies += u32::from(step.reply.is_some());
        }
    }
    replies
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("request");
    let mut out = vec![0; READ_LEN];
    let mut decoder = RequestDecoder::new(Limits::default());

    let mut head = Vec::new();
    encode_head(&mut head, Verb::Get, Some(&name(1)));
    head.extend_from_slice(b"\r\n");
    group.throughput(Throughput::Elements(1));
    group.bench_function("GET head", |b| {
        b.iter(|| read_requests(&mut decoder, &head, &mut out));
    });

    let mut upload = Vec::new();
    encode_head(&mut upload, Verb::Upload, Some(&name(1)));
    push_content(&mut upload);
    upload.extend_from_slice(b"\r\n");
    group.throughput(Throughput::Bytes(CONTENT_LEN as u64));
    group.bench_function("UPLOAD of 1 MiB", |b| {
        b.iter(|| read_requests(&mut decoder, &upload, &mut out));
    });
    group.finish();
}

fn replies(c: &mut Criterion) {
    let mut group = c.benchmark_group("reply");
    let mut out = vec![0; READ_LEN];
    let mut decoder = ReplyDecoder::new();

    let mut error = Vec::new();
    reply::encode_error(&mut error, Code::NotFound, "there is no file of that name");
    group.throughput(Throughput::Elements(1));
    group.bench_function("error", |b| {
        b.iter(|| read_replies(&mut decoder, &error, &mut out));
    });

    let names: Vec<_> = (0..LISTED).map(name).collect();
    let encode_listing = |wire: &mut Vec<u8>| {
        reply::encode_list_start(wire);
        for (at, name) in names.iter().enumerate() {
            reply::encode_list_item(wire, name, at == 0);
        }
        reply::encode_list_end(wire, false);
    };
    let mut listing = Vec::new();
    encode_listing(&mut listing);
    group.throughput(Throughput::Elements(LISTED as u64));
    group.bench_function("listing of 1,600 names", |b| {
        b.iter(|| read_replies(&mut decoder, &listing, &mut out));
    });
    group.bench_function("encoding a listing of 1,600 names", |b| {
        b.iter(|| {
            listing.clear();
            encode_listing(&mut listing);
        });
    });

    let mut download = Vec::new();
    reply::encode_get_start(&mut download, &name(1));
    push_content(&mut download);
    reply::encode_get_end(&mut download, CONTENT_LEN as u64, 0);
    group.throughput(Throughput::Bytes(CONTENT_LEN as u64));
    group.bench_function("download of 1 MiB", |b| {
        b.iter(|| read_replies(&mut decoder, &download, &mut out));
    });
    let escaped = String::from_utf8(download)
        .expect("replies are ASCII")
        .replace('/', "\\/");
    group.bench_function("download of 1 MiB with escaped slashes", |b| {
        b.iter(|| read_replies(&mut decoder, escaped.as_bytes(), &mut out));
    });
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = requests, replies }
criterion_main!(benches);
