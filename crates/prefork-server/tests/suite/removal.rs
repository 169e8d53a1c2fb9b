//! Large files that lose their last name or their last reader: the worker goes on while they are freed.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::exhaustion::Fault;
use crate::support::{DEADLINE, Peer, Server, content, each_pool, noise, upload};

/// More than is freed at once, and than the sockets hold.
const LARGE: u64 = 12_000_000;

fn put_large(server: &Server) {
    let file = fs::File::create(server.root().join("f")).unwrap();
    file.set_len(LARGE).unwrap();
}

/// How a large file is removed, after what was prepared.
#[derive(Debug, Clone, Copy)]
enum Way {
    Deleted,
    Replaced,
    /// An upload of which most has come.
    BrokenOff,
    /// A download whose file is deleted meanwhile.
    LastReaderGone,
}

const WAYS: [Way; 4] = [
    Way::Deleted,
    Way::Replaced,
    Way::BrokenOff,
    Way::LastReaderGone,
];

impl Way {
    fn take(self, server: &Server, peer: &mut Peer) {
        let mut other = server.connect();
        match self {
            Self::Deleted => assert_eq!(peer.ask("DELETE f\r\n")["status"], "OK"),
            Self::Replaced => assert_eq!(peer.ask(upload("f", b"new"))["status"], "OK"),
            Self::BrokenOff => {
                let request = upload("g", &noise(2, 2_000_000));
                other.send(&request[..request.len() - 10]);
            }
            Self::LastReaderGone => {
                other.send("GET f\r\n");
                assert_eq!(other.stream.peek(&mut [0]).unwrap(), 1);
                fs::remove_file(server.root().join("f")).unwrap();
            }
        }
    }
}

/// The threads of a process that free files.
fn freeing(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let tasks = tasks.map(|task| task.unwrap().path());
    let is_it = |task: &std::path::PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|it| it == "prefork:free\n")
    };
    let number = |task: std::path::PathBuf| task.file_name()?.to_str()?.parse().ok();
    tasks.filter(is_it).filter_map(number).collect()
}

/// How many files without a name a process has open under the root.
fn removed(pid: u32, root: &Path) -> usize {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
    let is_removed = |to: &std::path::PathBuf| {
        to.starts_with(root) && to.to_string_lossy().ends_with(" (deleted)")
    };
    links.filter(is_removed).count()
}

fn wait_for_removed(server: &Server, wanted: usize) {
    let deadline = Instant::now() + DEADLINE;
    while removed(server.ready.worker_pids[0], &server.root()) != wanted {
        assert!(
            Instant::now() < deadline,
            "not {wanted} removed files are open"
        );
        std::thread::yield_now();
    }
}

each_pool! {
    fn a_worker_goes_on_while_a_large_file_is_freed(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        let worker = server.ready.worker_pids[0];
        let mut peer = server.connect();
        // With the first one the thread begins; before, there is none.
        assert_eq!(peer.ask(upload("f", &noise(1, 500_000)))["status"], "OK");
        assert_eq!(peer.ask("DELETE f\r\n")["status"], "OK");
        assert!(freeing(worker).is_empty());
        put_large(&server);
        assert_eq!(peer.ask("DELETE f\r\n")["status"], "OK");
        wait_for_removed(&server, 0);
        let [thread] = freeing(worker)[..] else { panic!("one thread frees") };
        // It takes longer to close a file than this test may take.
        let Some(fault) = Fault::tamper_thread(thread, "close", "delay_enter=100000000") else { return };
        for (way, wanted) in WAYS.into_iter().zip(1..) {
            put_large(&server);
            way.take(&server, &mut peer);
            assert_eq!(peer.ask("LIST\r\n")["status"], "OK", "{way:?}");
            wait_for_removed(&server, wanted);
            assert_eq!(peer.ask("LIST\r\n")["status"], "OK", "{way:?}");
        }
        fault.end();
        wait_for_removed(&server, 0);
        drop(peer);
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (0, 0));
    }

    fn who_reads_a_removed_file_reads_all_of_it(pool) {
        let server = Server::start(pool, &["--workers", "2"]);
        let file = noise(1, 12_000_000);
        for way in [Way::Deleted, Way::Replaced] {
            server.put("f", &file);
            let mut reader = server.connect();
            reader.send("GET f\r\n");
            assert_eq!(reader.stream.peek(&mut [0]).unwrap(), 1);
            way.take(&server, &mut server.connect());
            assert_eq!(content(&reader.reply()), file, "{way:?}");
        }
        server.stop();
    }
}
