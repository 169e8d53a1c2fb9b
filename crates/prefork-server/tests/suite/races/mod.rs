//! Clients use names that somebody on the machine keeps turning into something else.
//!
//! Whoever may write to the root may put links, pipes, devices and folders there, at the worst moment. Nothing
//! that a client asks for may lead out of the root then, or stop a worker. Shown with the workers confined and,
//! since the store must be safe by itself, with the same workers unconfined.

mod flips;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::RACE;
use crate::support::{Server, command, content, each_pool, is_root, upload};
use flips::Racer;

/// How long a race is: short in the suite, long as a campaign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    /// How often a name becomes something else, at least.
    pub(crate) flips: u64,
    /// How many requests are made meanwhile, at least.
    pub(crate) requests: u64,
}

const CLIENTS: u64 = 2;

/// What nobody may ever be served.
const SECRET: &[u8] = b"the secret outside the root";

/// What every file begins with that may be served.
const HARMLESS: &[u8] = b"harmless";

each_pool! {
    fn no_flip_of_names_leads_out_of_the_root_or_stops_a_worker(pool) {
        race(pool, "auto");
    }

    fn nor_does_one_where_only_the_store_guards_it(pool) {
        race(pool, "off");
    }
}

fn race(pool: &str, sandbox: &str) {
    // Says so where the devices are missing; the rest can be raced all the same.
    let makes_devices = is_root();
    let ground = Ground::new();
    let args = ["--workers", "3", "--sandbox", sandbox];
    let server = Server::spawn(&mut command(&ground.root, pool, &args));
    let before = ground.outside();
    let mut racer = Racer::new(&ground.root, &ground.outside, &ground.stage, makes_devices);
    let (requests, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let (server, requests, over) = (&server, &requests, &over);
                scope.spawn(move || ask_until(server, seed, requests, over))
            })
            .collect();
        while racer.flips() < RACE.flips || requests.load(Ordering::Relaxed) < RACE.requests {
            racer.flip();
            // A client that found something wrong has left with it.
            if clients
                .iter()
                .any(std::thread::ScopedJoinHandle::is_finished)
            {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(racer.flips() >= RACE.flips, "{}", racer.flips());
    assert_eq!(ground.outside(), before);
    let (done, code) = server.stop();
    let generations: Vec<_> = done
        .workers
        .iter()
        .map(|worker| worker.generations)
        .collect();
    assert_eq!((done.crashes, generations, code), (0, vec![1; 3], 0));
    let ok = done.sum.requests.ok;
    assert!(ok.get > 0 && ok.upload > 0 && ok.delete > 0, "{ok:?}");
    assert_eq!(done.sum.requests.errors.internal, 0);
}

/// A root, and what lies beside it.
struct Ground {
    _folder: TempDir,
    root: PathBuf,
    outside: PathBuf,
    /// Where the racer keeps what is not in the root at the moment.
    stage: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let [root, outside, stage] =
            ["root", "outside", "stage"].map(|name| folder.path().join(name));
        for made in [&root, &outside, &stage] {
            fs::create_dir(made).unwrap();
        }
        fs::write(outside.join("secret"), SECRET).unwrap();
        // It gets hard links in the root, and so may be served; but it must never change.
        fs::write(
            outside.join("linked"),
            [HARMLESS, b" though outside"].concat(),
        )
        .unwrap();
        Self {
            _folder: folder,
            root,
            outside,
            stage,
        }
    }

    /// Everything outside: name, inode, time of change and content.
    fn outside(&self) -> Vec<(String, u64, i64, Vec<u8>)> {
        let entries = fs::read_dir(&self.outside).unwrap();
        let mut seen: Vec<_> = entries
            .map(|entry| describe(&entry.unwrap().path()))
            .collect();
        seen.sort();
        seen
    }
}

fn describe(path: &Path) -> (String, u64, i64, Vec<u8>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let content = fs::read(path).unwrap();
    (
        path.display().to_string(),
        metadata.ino(),
        metadata.mtime_nsec(),
        content,
    )
}

/// Asks for anything until the race is over. Every request is answered, in time, and with nothing from outside.
fn ask_until(server: &Server, seed: u64, requests: &AtomicU64, over: &AtomicBool) {
    let mut peer = server.connect();
    let mut random = flips::Random::new(seed + 1);
    let body = [HARMLESS, &seed.to_le_bytes()].concat();
    while !over.load(Ordering::Relaxed) {
        let name = flips::name(random.below(flips::NAMES));
        let request = match random.below(10) {
            0..4 => format!("GET {name}\r\n").into_bytes(),
            4..7 => upload(&name, &body),
            7..9 => format!("DELETE {name}\r\n").into_bytes(),
            _ => b"LIST\r\n".to_vec(),
        };
        let reply = peer.send(&request).try_reply().expect("an answer in time");
        check(&request, &reply);
        requests.fetch_add(1, Ordering::Relaxed);
    }
}

fn check(request: &[u8], reply: &Value) {
    let request = String::from_utf8_lossy(request);
    match reply["code"].as_str() {
        None if request.starts_with("GET") => {
            let served = content(reply);
            assert!(
                served.starts_with(HARMLESS),
                "{request:?}: {:?}",
                String::from_utf8_lossy(&served)
            );
        }
        None => assert_eq!(reply["status"], "OK"),
        // No file then; or, for an upload, a folder.
        Some("not_found") if !request.starts_with("UPLOAD") => {}
        Some("bad_name") if request.starts_with("UPLOAD") => {}
        Some(_) => panic!("{request:?}: {reply}"),
    }
}
