//! Files are replaced, cut short and changed in place at random points of many replies.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::scope;

use nix::sys::socket::{setsockopt, sockopt};

use crate::CACHE_CHANGES;
use crate::asking::Admin;
use crate::downloads::{Over, on_each_pool, sent_from_cache, warm_up, whole};
use crate::support::{Server, noise, wait_until};

/// More than the kernel takes of a reply that is not read.
const FILE_LEN: usize = 4_000_000;

/// Beside the one of whose replies each change is in the middle.
const READERS: usize = 3;

/// A page of the file that is changed first, and one behind it that is changed next: a reply that has the second change
/// without the first is what the file never was.
const PAGES: [usize; 2] = [3 << 12, 960 << 12];
const PAGE_LEN: usize = 4096;

/// A file and what becomes of it, one version after the other.
struct History {
    name: &'static str,
    content_of: fn(u64) -> Vec<u8>,
    /// Turns the file at the path into this version, in one call of the kernel.
    change: fn(&Path, u64),
    /// How many versions come right behind each other.
    steps: u32,
    /// Whether a reply may break off for it.
    breaks_off: bool,
    /// Which version it is about to be, and which it is.
    begun: AtomicU64,
    done: AtomicU64,
}

fn replace(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(&new, path).unwrap();
}

/// Every second version is the whole file, the others are shorter ones.
fn cut(version: u64) -> Vec<u8> {
    let whole = noise(version / 2, FILE_LEN);
    let len = FILE_LEN >> (version % 2) >> (version / 2 % 3 * (version % 2));
    whole[..len].to_vec()
}

/// Each version has one page more that was changed.
fn patched(version: u64) -> Vec<u8> {
    let mut content = noise(1, FILE_LEN);
    for (at, page) in (0..).zip(PAGES) {
        let changes = (version + 1 - at) / 2;
        content[page..page + PAGE_LEN].copy_from_slice(&noise(100 + changes, PAGE_LEN));
    }
    content
}

fn histories() -> [History; 3] {
    let history = |name, content_of, change, steps, breaks_off| History {
        name,
        content_of,
        change,
        steps,
        breaks_off,
        begun: AtomicU64::new(0),
        done: AtomicU64::new(0),
    };
    [
        history(
            "replaced",
            |version| noise(version, FILE_LEN),
            |path, version| replace(path, &noise(version, FILE_LEN)),
            1,
            false,
        ),
        history(
            "cut",
            cut,
            |path, version| match version % 2 {
                0 => replace(path, &cut(version)),
                _ => {
                    let file = File::options().write(true).open(path).unwrap();
                    file.set_len(cut(version).len() as u64).unwrap();
                }
            },
            1,
            true,
        ),
        history(
            "patched",
            patched,
            |path, version| {
                let page = PAGES[(version + 1) as usize % 2];
                let changes = version.div_ceil(2);
                let file = File::options().write(true).open(path).unwrap();
                file.write_all_at(&noise(100 + changes, PAGE_LEN), page as u64)
                    .unwrap();
            },
            2,
            true,
        ),
    ]
}

impl History {
    fn change(&self, server: &Server) {
        for _ in 0..self.steps {
            let version = self.begun.fetch_add(1, SeqCst) + 1;
            (self.change)(&server.root().join(self.name), version);
            self.done.store(version, SeqCst);
        }
    }

    /// A reply is what the file was at some moment between the request and its end, or breaks off. Says whether it is whole.
    /// `midway` is done when `len` bytes of it have been read.
    fn check_a_download(&self, server: &Server, len: usize, midway: impl FnOnce()) -> bool {
        let first = self.done.load(SeqCst);
        let mut peer = server.connect();
        setsockopt(&peer.stream, sockopt::RcvBuf, &(64 << 10)).unwrap();
        peer.send(format!("GET {}\r\n", self.name));
        peer.read_ahead(len);
        midway();
        let reply = peer.try_reply();
        let last = self.begun.load(SeqCst);
        let Some(reply) = reply else {
            assert!(self.breaks_off, "{} broke off", self.name);
            return false;
        };
        let content = whole(&reply);
        let is_one = (first..=last).any(|version| content == (self.content_of)(version));
        assert!(is_one, "{} is none of {first} to {last}", self.name);
        true
    }
}

#[test]
fn a_reply_is_what_the_file_was_at_one_moment_or_breaks_off() {
    on_each_pool(|pool| {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "4", "--encoded-cache", "32M"]);
        let histories = histories();
        for it in &histories {
            server.put(it.name, &(it.content_of)(0));
        }
        let mut broken_off = 0;
        for _ in 0..CACHE_CHANGES {
            for it in &histories {
                let now = (it.content_of)(it.done.load(SeqCst));
                warm_up(&server, &admin, it.name, &now);
            }
            broken_off += change_under_readers(&server, &admin, &histories);
            histories[1].change(&server);
        }
        let (done, _) = server.stop();
        assert_eq!(done.sum.requests.errors.total(), broken_off);
        assert_eq!(done.sum.requests.errors.internal, broken_off);
    });
}

/// How many replies broke off.
fn change_under_readers(server: &Server, admin: &Admin, histories: &[History]) -> u64 {
    let [replies, broken_off] = [const { AtomicU64::new(0) }; 2];
    let is_over = AtomicBool::new(false);
    let count = |is_whole| match is_whole {
        true => replies.fetch_add(1, SeqCst),
        false => broken_off.fetch_add(1, SeqCst),
    };
    let sent_before = sent_from_cache(admin);
    scope(|scope| {
        for reader in 0..READERS {
            let (is_over, count) = (&is_over, &count);
            scope.spawn(move || {
                let _over = Over(is_over);
                for n in reader.. {
                    count(histories[n % histories.len()].check_a_download(server, 0, || {}));
                    if is_over.load(SeqCst) {
                        return;
                    }
                }
            });
        }
        let _over = Over(&is_over);
        let wait_for_a_reply = || {
            let before = replies.load(SeqCst);
            wait_until("there is a reply", || {
                replies.load(SeqCst) > before || is_over.load(SeqCst)
            });
        };
        for it in histories {
            wait_for_a_reply();
            // Of chance: how the readers came to answer so far.
            let len = 1 + (sent_from_cache(admin) - sent_before) as usize % (FILE_LEN / 8);
            count(it.check_a_download(server, len, || it.change(server)));
            wait_for_a_reply();
        }
        assert!(sent_from_cache(admin) > sent_before);
    });
    broken_off.load(SeqCst)
}
