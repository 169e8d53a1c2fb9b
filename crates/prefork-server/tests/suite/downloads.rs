//! Downloads as they have to be, whether the file is in the encoded cache or not, and how it comes to be there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::asking::Admin;
use crate::support::{DEADLINE, Peer, Server, content};

/// A file has to be left alone for so long before it is put into the cache.
const SETTLED: Duration = Duration::from_secs(2);

/// How often it is looked whether there is room for it by now: to ask all the time would keep other tests waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// All is over when one of those is that go on until then, however it ends.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// The content of a reply, which has its size and its CRC-32.
pub(crate) fn whole(reply: &Value) -> Vec<u8> {
    let content = content(reply);
    assert_eq!(reply["size"], content.len() as u64);
    let crc32 = format!("{:08x}", crc32fast::hash(&content));
    assert_eq!(reply["crc32"], crc32.as_str());
    content
}

pub(crate) fn get(peer: &mut Peer, name: &str) -> Vec<u8> {
    whole(&peer.ask(format!("GET {name}\r\n")))
}

pub(crate) fn sent_from_cache(admin: &Admin) -> u64 {
    admin.status().sum.counts.requests.sent_from_cache_bytes
}

/// Waits until the file has been left alone for long enough to be put into the cache.
pub(crate) fn wait_until_settled(server: &Server, name: &str) {
    let file = fs::metadata(server.root().join(name)).unwrap();
    let changed = Duration::new(file.ctime().cast_unsigned(), file.ctime_nsec() as u32);
    let settled = SystemTime::UNIX_EPOCH + changed + SETTLED;
    while let Ok(left) = settled.duration_since(SystemTime::now()) {
        sleep(left + Duration::from_millis(1));
    }
}

/// Downloads the file until all of one reply came from the cache.
pub(crate) fn warm_up(server: &Server, admin: &Admin, name: &str, file: &[u8]) {
    wait_until_settled(server, name);
    let deadline = Instant::now() + DEADLINE;
    let text_len = proto::base64::encoded_len(file.len() as u64);
    for attempt in 0.. {
        let before = sent_from_cache(admin);
        // One connection each: a worker that is replaced ends those that it has between two requests.
        assert!(get(&mut server.connect(), name) == file, "{name}");
        if sent_from_cache(admin) - before == text_len {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{name} is never sent from the cache"
        );
        // The first download leaves no trace, the second puts it there, if there is room.
        if attempt > 1 {
            sleep(LOOK_AGAIN);
        }
    }
}

/// Runs a check on a server of each pool at once, so that what they wait for they wait for together.
pub(crate) fn on_each_pool(check: impl Fn(&str) + Sync) {
    let test = thread::current();
    thread::scope(|scope| {
        for pool in ["process", "thread", "event"] {
            let name = format!("{} ({pool})", test.name().unwrap_or("a test"));
            let check = &check;
            let thread = thread::Builder::new().name(name);
            thread.spawn_scoped(scope, move || check(pool)).unwrap();
        }
    });
}
