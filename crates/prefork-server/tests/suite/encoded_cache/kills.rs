//! Workers are killed wherever they are: while they fill, send, and put files out for others.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{scope, yield_now};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::CACHE_KILLS;
use crate::asking::Admin;
use crate::downloads::{Over, sent_from_cache, warm_up};
use crate::support::{DEADLINE, Server, content, each_pool, noise};

/// More than fit: some are put out for others all the time.
const FILES: u64 = 6;

const FILE_LEN: usize = 3_000_000;

each_pool! {
    fn no_death_of_a_worker_makes_a_reply_wrong_or_costs_the_cache(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "4", "--encoded-cache", "16M"]);
        let files: Vec<Vec<u8>> = (0..FILES).map(|seed| noise(seed, FILE_LEN)).collect();
        for (name, file) in (0..).zip(&files) {
            server.put(&format!("{name}"), file);
        }
        warm_up(&server, &admin, "0", &files[0]);
        let (whole, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        scope(|scope| {
            for client in 0..4 {
                let (server, files, whole, is_over) = (&server, &files, &whole, &is_over);
                scope.spawn(move || {
                    let _over = Over(is_over);
                    download_until(server, files, client, whole, is_over);
                });
            }
            let _over = Over(&is_over);
            kill_workers(&server, pool, &whole, &is_over);
        });
        // Whatever the dead held is free: each of them can be there.
        for (name, file) in (0..).zip(&files) {
            warm_up(&server, &admin, &format!("{name}"), file);
        }
        assert!(sent_from_cache(&admin) > 0);
        let (done, _) = server.stop();
        assert_eq!(u64::from(done.crashes), CACHE_KILLS);
        assert_eq!(done.sum.requests.errors.total(), 0);
    }
}

fn download_until(
    server: &Server,
    files: &[Vec<u8>],
    client: u64,
    whole: &AtomicU64,
    is_over: &AtomicBool,
) {
    let mut random = client + 1;
    while !is_over.load(SeqCst) {
        let mut peer = server.connect();
        for _ in 0..5 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let name = (random >> 33) % FILES;
            if std::io::Write::write_all(&mut peer.stream, format!("GET {name}\r\n").as_bytes())
                .is_err()
            {
                break;
            }
            let Some(reply) = peer.try_reply() else { break };
            assert!(content(&reply) == files[name as usize], "{name}");
            let crc32 = format!("{:08x}", crc32fast::hash(&files[name as usize]));
            assert_eq!(reply["crc32"], crc32.as_str());
            whole.fetch_add(1, SeqCst);
        }
    }
}

/// One after the other, each after some replies, and a few microseconds of chance.
fn kill_workers(server: &Server, pool: &str, whole: &AtomicU64, is_over: &AtomicBool) {
    for n in 0..CACHE_KILLS {
        let (from, deadline) = (whole.load(SeqCst), Instant::now() + DEADLINE);
        while whole.load(SeqCst) < from + 2 && !is_over.load(SeqCst) {
            assert!(Instant::now() < deadline, "nothing is answered");
            yield_now();
        }
        for _ in 0..n.wrapping_mul(7919) % 4000 {
            std::hint::spin_loop();
        }
        let expected = if pool == "thread" { 1 } else { 4 };
        let workers = server.wait_for_children(|now| now.len() == expected);
        let worker = workers[n as usize % expected];
        kill(Pid::from_raw(worker.cast_signed()), Signal::SIGKILL).unwrap();
        server.wait_for_children(|now| now.len() == expected && !now.contains(&worker));
    }
}
