//! Disks that are full or broken, and descriptors that have run out: the server answers, books, and goes on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::announce::Limit;
use tempfile::TempDir;

use crate::support::{
    Peer, Server, can_limit, can_trace, command, content, each_pool, noise, skip, under, upload,
    with_a_disk_at,
};

/// A system call that fails, in whom, what is asked meanwhile, and how that is answered.
const FAULTS: [(&str, &str, Ask, &str); 21] = [
    ("openat2", "EIO", Ask::Get, "internal"),
    ("openat2", "ENFILE", Ask::Get, "busy"),
    ("openat2", "EMFILE", Ask::Get, "busy"),
    ("pread64", "EIO", Ask::Get, "internal"),
    ("getdents64", "EIO", Ask::List, "internal"),
    ("openat", "ENFILE", Ask::List, "busy"),
    ("openat", "ENFILE", Ask::Upload, "busy"),
    ("openat", "ENOSPC", Ask::Upload, "no_space"),
    ("openat", "EDQUOT", Ask::Upload, "no_space"),
    ("openat", "EIO", Ask::Upload, "internal"),
    ("pwrite64", "ENOSPC", Ask::Upload, "no_space"),
    ("pwrite64", "EDQUOT", Ask::Upload, "no_space"),
    ("pwrite64", "EIO", Ask::Upload, "internal"),
    ("ftruncate", "EIO", Ask::Upload, "internal"),
    ("fsync", "EIO", Ask::Upload, "internal"),
    ("fsync", "EDQUOT", Ask::Upload, "no_space"),
    ("linkat", "EIO", Ask::Upload, "internal"),
    ("linkat", "ENOSPC", Ask::Upload, "no_space"),
    ("/^renameat", "EIO", Ask::Upload, "internal"),
    ("/^renameat", "ENOSPC", Ask::Upload, "no_space"),
    ("unlinkat", "EIO", Ask::Delete, "internal"),
];

#[derive(Clone, Copy)]
enum Ask {
    Get,
    List,
    Upload,
    Delete,
}

impl Ask {
    fn request(self) -> Vec<u8> {
        match self {
            Self::Get => b"GET f\r\n".to_vec(),
            Self::List => b"LIST\r\n".to_vec(),
            // Large enough for blocks to be reserved, which the end gives back.
            Self::Upload => upload("f", &noise(2, 700_000)),
            Self::Delete => b"DELETE f\r\n".to_vec(),
        }
    }
}

each_pool! {
    fn a_disk_that_fails_at_any_step_costs_the_request_and_nothing_else(pool) {
        // In memory a sync that fails would not be asked for; and only there blocks are not reserved.
        let server = Server::start(pool, &["--workers", "1", "--durability", "full"]);
        let old = noise(1, 300_000);
        server.put("f", &old);
        let mut peer = server.connect();
        assert_eq!(content(&peer.ask("GET f\r\n")), old);
        let mut expected = std::collections::BTreeMap::<&str, u64>::new();
        for (call, error, ask, code) in FAULTS {
            if call == "ftruncate" && is_in_memory(&server) {
                continue;
            }
            let Some(fault) = Fault::inject(server.children()[0], call, error) else { return };
            let reply = peer.ask(ask.request());
            fault.end();
            assert_eq!((&reply["status"], &reply["code"]), (&"ERROR".into(), &code.into()), "{call} {error}: {reply}");
            *expected.entry(code).or_default() += 1;
            assert_eq!(server.entries(), ["f"], "{call} {error}");
            // The same connection goes on, with the old content.
            assert_eq!(content(&peer.ask("GET f\r\n")), old, "{call} {error}");
        }
        assert_eq!(peer.ask(upload("f", &noise(3, 700_000)))["status"], "OK");
        assert_eq!(peer.ask("DELETE f\r\n")["status"], "OK");
        drop(peer);
        let (done, code) = server.stop();
        let errors = &done.sum.requests.errors;
        assert_eq!((errors.internal, errors.no_space, errors.busy), (expected["internal"], expected["no_space"], expected["busy"]));
        assert_eq!((errors.total(), done.crashes, code), (expected.values().sum(), 0, 0));
    }

    fn a_disk_that_fails_in_the_middle_of_a_download_ends_it_without_its_terminator(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        server.put("f", &vec![1; 50_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        let Some(fault) = Fault::inject(server.children()[0], "pread64", "EIO") else { return };
        assert!(peer.try_reply().is_none());
        fault.end();
        assert_eq!(content(&server.connect().ask("GET f\r\n")).len(), 50_000_000);
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.errors.internal, done.sum.requests.ok.get, code), (1, 1, 0));
    }

    fn reserving_blocks_may_fail_as_long_as_the_writes_do_not(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        let Some(fault) = Fault::inject(server.children()[0], "fallocate", "ENOSPC") else { return };
        assert_eq!(server.connect().ask(upload("f", &noise(2, 700_000)))["status"], "OK");
        fault.end();
        assert_eq!(server.stored("f").unwrap(), noise(2, 700_000));
        server.stop();
    }

    fn a_small_disk_that_is_full_is_an_answer(pool) {
        let root = TempDir::new().unwrap();
        let Some(launcher) = with_a_disk_at(root.path(), "-o size=2m", "") else { return };
        let server = Server::spawn(&mut under(&launcher, &command(root.path(), pool, &["--workers", "2"])));
        let entries = || {
            let seen = PathBuf::from(format!("/proc/{}/root", server.ready.pid)).join(root.path().strip_prefix("/").unwrap());
            let names = std::fs::read_dir(seen).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name != ".prefork-lock").collect::<Vec<_>>()
        };
        let mut peer = server.connect();
        assert_eq!(peer.ask(upload("f", &noise(1, 500_000)))["status"], "OK");
        for round in 0..3 {
            assert_eq!(peer.ask(upload("f", &noise(round, 3_000_000)))["code"], "no_space");
            assert_eq!(content(&peer.ask("GET f\r\n")), noise(1, 500_000));
            assert_eq!(entries(), ["f"]);
        }
        // What was written of it is free again.
        assert_eq!(peer.ask(upload("g", &noise(4, 1_300_000)))["status"], "OK");
        drop(peer);
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.errors.no_space, done.sum.requests.ok.upload, code), (3, 2, 0));
    }

    fn without_a_descriptor_to_accept_with_clients_wait_and_nothing_spins(pool) {
        if can_limit() {
            for way in ways_to_wait(pool) {
                accept_without_a_descriptor(pool, way);
            }
        }
    }

    fn without_a_descriptor_for_the_file_a_request_is_refused_for_now(pool) {
        if !can_limit() {
            return;
        }
        let server = Server::start(pool, &["--workers", "1"]);
        server.put("f", b"abc");
        let worker = server.children()[0];
        let mut peer = server.connect();
        peer.ask("LIST\r\n");
        limit_descriptors(worker, &lowest_free_descriptor(worker).to_string());
        // No listing from before will do.
        fs::rename(server.root().join("f"), server.root().join("g")).unwrap();
        fs::rename(server.root().join("g"), server.root().join("f")).unwrap();
        for request in [b"GET f\r\n".to_vec(), b"LIST\r\n".to_vec(), upload("f", &noise(1, 500_000))] {
            let reply = peer.ask(&request);
            assert_eq!((&reply["status"], &reply["code"]), (&"ERROR".into(), &"busy".into()), "{reply}");
        }
        limit_descriptors(worker, "1024");
        assert_eq!(content(&peer.ask("GET f\r\n")), b"abc");
        assert_eq!(server.entries(), ["f"]);
        drop(peer);
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.errors.busy, done.sum.requests.ok.get, code), (3, 1, 0));
    }

    fn an_accept_that_fails_for_want_of_something_is_tried_again(pool) {
        let errors = [
            "ENFILE", "ENOBUFS", "ENOMEM", "EPERM", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH",
            "EOPNOTSUPP", "ENETUNREACH", "ETIMEDOUT", "ENOSR",
        ];
        for (error, way) in errors.into_iter().zip(ways_to_wait(pool).iter().cycle()) {
            let server = Server::start(pool, way);
            let Some(fault) = Fault::inject(server.children()[0], "accept4", error) else { return };
            let mut peer = connect_once_accepts_fail(&server);
            peer.send("LIST\r\n");
            fault.end();
            assert_eq!(peer.reply()["status"], "OK", "{error}");
            drop(peer);
            let (done, code) = server.stop();
            let c = &done.sum.connections;
            let mut by_limit = c.accept_errors_by_limit;
            let limit = match error {
                "ENFILE" => Limit::FileMax,
                "ENOBUFS" | "ENOMEM" => Limit::Memory,
                _ => Limit::Network,
            };
            assert!(c.accept_errors >= 1, "{error}");
            assert_eq!(*by_limit.get_mut(limit), c.accept_errors, "{error}");
            assert_eq!((c.accepted, done.crashes, code), (1, 0, 0), "{error}");
        }
    }

    fn requests_for_a_file_that_cannot_be_read_are_told_with_file_and_client_but_not_each(pool) {
        let mut server = Server::start(pool, &["--workers", "1"]);
        server.put("f", b"abc");
        let Some(fault) = Fault::inject(server.children()[0], "openat2", "EACCES") else { return };
        // Where the file cannot be opened in one way, it is tried in the other.
        let mut peer = server.connect();
        let (since, mut failed) = (Instant::now(), 0u64);
        while failed < 100 {
            let replies = (0..20).map(|_| b"GET f\r\n".as_slice()).collect::<Vec<_>>().concat();
            peer.send(&replies);
            for _ in 0..20 {
                assert_eq!(peer.reply()["code"], "internal");
                failed += 1;
            }
        }
        let seconds = since.elapsed().as_secs();
        fault.end();
        let line = server.wait_for_log("a request failed");
        let address = peer.stream.local_addr().unwrap();
        for part in ["verb=\"get\"", "name=\"f\"", &format!("peer={address}"), "Permission denied", "mode"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        // Those that had no line of their own are counted in a later one.
        server.wait_for_log("more requests failed");
        drop(peer);
        server.signal(Signal::SIGTERM);
        let (done, _) = server.done_in_place();
        assert_eq!(done.sum.requests.errors.internal, failed);
        let lines = server.rest_of_log().iter().filter(|line| line.contains("failed")).count();
        assert!(lines as u64 <= seconds + 2, "{lines} more lines in {seconds} s");
    }

    fn a_client_that_is_gone_before_it_is_accepted_costs_nobody(pool) {
        for error in ["ECONNABORTED", "EPROTO"] {
            let server = Server::start(pool, &["--workers", "1"]);
            let Some(fault) = Fault::inject(server.children()[0], "accept4", &format!("{error}:when=1..3")) else { return };
            for _ in 0..2 {
                assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK", "{error}");
            }
            fault.end();
            let (done, code) = server.stop();
            let c = &done.sum.connections;
            assert_eq!((c.accepted, c.accept_errors, done.crashes, code), (2, 0, 0, 0), "{error}");
        }
    }
}

fn accept_without_a_descriptor(pool: &str, way: &[&str]) {
    let mut server = Server::start(pool, way);
    server.put("f", b"abc");
    let worker = server.children()[0];
    let since = Instant::now();
    limit_descriptors(worker, &lowest_free_descriptor(worker).to_string());
    let mut peer = connect_once_accepts_fail(&server);
    peer.send("GET f\r\n");
    limit_descriptors(worker, "1024");
    assert_eq!(content(&peer.reply()), b"abc");
    let tenths = since.elapsed().as_millis() / 100;
    drop(peer);
    server.signal(Signal::SIGTERM);
    let (done, code) = server.done_in_place();
    let errors = u128::from(done.sum.connections.accept_errors);
    // Each was followed by a tenth of a second without one. A loop that spins has thousands by now.
    assert!(
        (1..=tenths + 1).contains(&errors),
        "{errors} in {tenths} tenths of a second"
    );
    assert_eq!((done.sum.requests.ok.get, code), (1, 0));
    let mentions = server
        .rest_of_log()
        .into_iter()
        .filter(|line| line.contains("cannot accept"))
        .count();
    assert!(
        mentions as u128 <= errors / 100,
        "{mentions} more lines for {errors}"
    );
}

/// What keeps an event worker from listening or waiting is over in the end, and costs nobody a connection.
#[test]
fn an_event_worker_that_cannot_wait_for_a_while_goes_on_afterwards() {
    for (fault, limit) in [
        // The listener cannot be taken out of the set, and so is there when it is to be put back.
        ("ENOMEM:when=1", None),
        ("ENOMEM", Some(Limit::Memory)),
        ("ENOSPC", Some(Limit::MaxUserWatches)),
    ] {
        let server = Server::start("event", &["--workers", "1"]);
        let Some(injected) = Fault::inject(server.children()[0], "epoll_ctl", fault) else {
            return;
        };
        let mut peer = server.connect();
        assert_eq!(peer.ask("LIST\r\n")["status"], "OK", "{fault}");
        if limit.is_some() {
            let line = server.wait_for_log("cannot ");
            assert!(line.contains("limit="), "{line}");
        }
        injected.end();
        assert_eq!(peer.ask("LIST\r\n")["status"], "OK", "{fault}");
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK", "{fault}");
        drop(peer);
        let (done, code) = server.stop();
        let c = &done.sum.connections;
        assert_eq!(
            (c.accepted, c.closed, done.crashes, code),
            (2, 2, 0, 0),
            "{fault}"
        );
        let mut by_limit = c.accept_errors_by_limit;
        if let Some(limit) = limit {
            assert!(*by_limit.get_mut(limit) > 0, "{fault}");
        }
    }
}

/// A thread that waits in accept holds a descriptor: the limit is raised for all of them.
#[test]
fn more_threads_than_the_soft_limit_on_descriptors_serve_all_the_same() {
    let root = TempDir::new().unwrap();
    let launcher = ["sh", "-c", "ulimit -Sn 64; exec \"$0\" \"$@\""];
    for set_aside in ["0", "16"] {
        let workers = ["--workers", "100", "--set-aside", set_aside];
        let server = Server::spawn(&mut under(
            &launcher,
            &command(root.path(), "thread", &workers),
        ));
        let mut peers: Vec<_> = (0..90).map(|_| server.connect()).collect();
        for peer in &mut peers {
            assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
        }
        drop(peers);
        let (done, code) = server.stop();
        assert_eq!(
            (
                done.sum.requests.errors.busy,
                done.sum.connections.accept_errors,
                code
            ),
            (0, 0, 0)
        );
    }
}

/// A system call of a running process, all its threads, that fails until this ends.
pub(crate) struct Fault {
    strace: Child,
    /// It would end if it could not say whom else it has attached to.
    _said: BufReader<std::process::ChildStderr>,
}

impl Fault {
    /// None, loudly, where this machine does not let this test do it.
    fn inject(pid: u32, call: &str, error: &str) -> Option<Self> {
        Self::tamper(pid, call, &format!("error={error}"))
    }

    /// The same with a call that is tampered with in another way, in strace's words.
    pub(crate) fn tamper(pid: u32, call: &str, how: &str) -> Option<Self> {
        Self::tamper_at(pid, call, how, &[])
    }

    /// The same, and only where `more` of strace's flags say so.
    pub(crate) fn tamper_at(pid: u32, call: &str, how: &str, more: &[&str]) -> Option<Self> {
        Self::start(pid, call, how, &[&["-f"], more].concat())
    }

    /// The same with a thread alone.
    pub(crate) fn tamper_thread(thread: u32, call: &str, how: &str) -> Option<Self> {
        Self::start(thread, call, how, &[])
    }

    fn start(pid: u32, call: &str, how: &str, more: &[&str]) -> Option<Self> {
        if !can_trace() {
            return None;
        }
        let mut strace = Command::new("strace")
            .args(["-o", "/dev/null", "-p", &pid.to_string()])
            .args(["-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:{how}")])
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(strace.stderr.take().unwrap());
        while !said.contains("attached") {
            if lines.read_line(&mut said).unwrap() == 0 {
                let _ = strace.wait();
                assert!(said.contains("not permitted"), "{said}");
                skip("the permission to trace a process that runs already");
                return None;
            }
        }
        Some(Self {
            strace,
            _said: lines,
        })
    }

    pub(crate) fn end(mut self) {
        let _ = kill(
            Pid::from_raw(self.strace.id().cast_signed()),
            Signal::SIGTERM,
        );
        self.strace.wait().unwrap();
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// A connection that the server's only worker has tried to accept in vain, or will try to.
fn connect_once_accepts_fail(server: &Server) -> Peer {
    // A worker that waits for events tries only when somebody is there; one that waits in accept tries all the time,
    // and would still succeed if it was waiting when accepts began to fail.
    let waits_in_accept = server.ready.settings.set_aside == Some(0);
    let early = (!waits_in_accept).then(|| server.connect());
    server.wait_for_log("cannot accept");
    early.unwrap_or_else(|| server.connect())
}

/// Ways to wait for newcomers that a pool has.
fn ways_to_wait(pool: &str) -> &'static [&'static [&'static str]] {
    match pool {
        "event" => &[&["--workers", "1"]],
        _ => &[&["--workers", "1"], &["--workers", "1", "--set-aside", "0"]],
    }
}

fn is_in_memory(server: &Server) -> bool {
    server.ready.settings.root_file_system == "tmpfs"
}

/// The number of the descriptor that a process would open next.
fn lowest_free_descriptor(pid: u32) -> u32 {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let open: Vec<u32> = open
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    (0..).find(|number| !open.contains(number)).unwrap()
}

fn limit_descriptors(pid: u32, limit: &str) {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &pid.to_string(), &format!("--nofile={limit}:")]);
    assert!(prlimit.status().unwrap().success());
}
