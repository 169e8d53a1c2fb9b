//! The streaming base64 codec beside the general-purpose engine it is meant to beat, in one run.

use std::hint::black_box;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proto::base64::{Decoder, Encoder, encoded_len};

/// What a sender reads at a time, what that is encoded, and what a receiver reads at a time.
const CHUNK_LENS: [usize; 3] = [96 << 10, 128 << 10, 256 << 10];

fn content(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for len in CHUNK_LENS {
        let raw = content(len);
        let room = encoded_len(len as u64) as usize;
        group.throughput(Throughput::Bytes(len as u64));
        let id = |name| BenchmarkId::new(name, format!("{} KiB", len >> 10));
        group.bench_function(id("Encoder::encode"), |b| {
            let mut out = Vec::with_capacity(room);
            b.iter(|| {
                out.clear();
                Encoder::new().encode(black_box(&raw), &mut out);
            });
        });
        group.bench_function(id("Encoder::encode_into"), |b| {
            let mut out = vec![0; room];
            b.iter(|| Encoder::new().encode_into(black_box(&raw), &mut out));
        });
        group.bench_function(id("general_purpose"), |b| {
            let mut out = vec![0; room];
            b.iter(|| STANDARD.encode_slice(black_box(&raw), &mut out));
        });
    }
    group.finish();
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for len in CHUNK_LENS {
        let raw = content(len / 4 * 3);
        let text = STANDARD.encode(&raw).into_bytes();
        let mut out = vec![0; raw.len()];
        // Bytes of file content, as everywhere.
        group.throughput(Throughput::Bytes(raw.len() as u64));
        let id = |name| BenchmarkId::new(name, format!("{} KiB", len >> 10));
        group.bench_function(id("Decoder::decode"), |b| {
            b.iter(|| Decoder::new().decode(black_box(&text), &mut out));
        });
        // What every chunk of a body would cost if its end were looked for first.
        group.bench_function(id("memchr2, then Decoder::decode"), |b| {
            b.iter(|| {
                let end = memchr::memchr2(b'\r', b'\n', black_box(&text)).unwrap_or(text.len());
                Decoder::new().decode(&text[..end], &mut out)
            });
        });
        group.bench_function(id("general_purpose"), |b| {
            b.iter(|| STANDARD.decode_slice(black_box(&text), &mut out));
        });
    }
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = encode, decode }
criterion_main!(benches);
