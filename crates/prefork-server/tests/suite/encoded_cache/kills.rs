//! Workers are killed wherever they are: while they fill, send, and put files out for others.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::CACHE_KILLS;
use crate::asking::Admin;
use crate::downloads::{get, on_each_pool, sent_from_cache, wait_until_settled, warm_up, whole};
use crate::support::{Server, noise};

/// How many files fit.
const SLOTS: u64 = 16;

/// In a campaign files are put out for others all the time.
const FILES_MAX: u64 = 4 * SLOTS;

const FILE_LEN: usize = 590_000;

#[test]
fn no_death_of_a_worker_makes_a_reply_wrong_or_costs_the_cache() {
    on_each_pool(|pool| {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "2", "--encoded-cache", "16M"]);
        let files = 0..FILES_MAX.min(CACHE_KILLS.div_ceil(2));
        let files: Vec<Vec<u8>> = files.map(|seed| noise(seed, FILE_LEN)).collect();
        for (name, file) in (0..).zip(&files) {
            server.put(&format!("{name}"), file);
        }
        wait_until_settled(&server, &format!("{}", files.len() - 1));
        for (name, file) in (0..).zip(&files) {
            assert!(&get(&mut server.connect(), &format!("{name}")) == file);
        }
        let mut in_parts = 0;
        for n in 0..CACHE_KILLS {
            // Twice each: while it is being put there, and when it is there.
            let name = n / 2 % files.len() as u64;
            let file = &files[name as usize];
            if n % 2 == 0 && n / 2 >= SLOTS {
                // Asked for twice, it has another put out; and the parent, which is asked something, gives the memory back.
                for _ in 0..2 {
                    assert!(&get(&mut server.connect(), &format!("{name}")) == file);
                }
                sent_from_cache(&admin);
            }
            kill_a_worker_that_sends(&server, name, file, n);
            let before = sent_from_cache(&admin);
            assert!(&get(&mut server.connect(), &format!("{name}")) == file);
            let sent = sent_from_cache(&admin) - before;
            in_parts += u64::from(sent > 0 && sent < proto::base64::encoded_len(FILE_LEN as u64));
        }
        assert!(
            in_parts > 0 || CACHE_KILLS < 100,
            "no worker died while it filled"
        );
        // Whatever the dead held is free: each of them can be there.
        for (name, file) in (0..).zip(&files[..4]) {
            warm_up(&server, &admin, &format!("{name}"), file);
        }
        let (done, _) = server.stop();
        assert_eq!(u64::from(done.crashes), CACHE_KILLS);
        assert_eq!(done.sum.requests.errors.total(), 0);
    });
}

/// Two ask for the file at once, and the older worker dies at some point of that.
fn kill_a_worker_that_sends(server: &Server, name: u64, file: &[u8], n: u64) {
    let workers = server.children();
    let mut peers = [server.connect(), server.connect()];
    for peer in &mut peers {
        peer.send(format!("GET {name}\r\n"));
    }
    // It has begun.
    let _ = peers[n as usize % 2].stream.peek(&mut [0]);
    let since = Instant::now();
    while since.elapsed() < Duration::from_micros(n * 7919 % 1500) {
        std::hint::spin_loop();
    }
    server.kill_worker(workers[0], Signal::SIGKILL);
    for peer in &mut peers {
        if let Some(reply) = peer.try_reply() {
            assert!(whole(&reply) == file, "{name}");
        }
    }
    server.wait_for_children(|now| now.len() == workers.len() && !now.contains(&workers[0]));
}
