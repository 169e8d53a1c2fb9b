//! `--root-max-bytes`: what all files hold together stays within it, whoever uploads and whoever dies.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::{ScopedJoinHandle, scope};
use std::time::Instant;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{DEADLINE, Server, each_pool, noise, upload};

const MAX: usize = 1_000_000;

each_pool! {
    fn uploads_at_once_stay_within_the_quota_together(pool) {
        let server = Server::start(pool, &["--root-max-bytes", "1000000B", "--workers", "8"]);
        assert_eq!(server.ready.settings.root_bytes_max, Some(MAX as u64));
        let uploaded: Vec<String> = scope(|scope| {
            let clients: Vec<_> = (0..8u64).map(|client| {
                let server = &server;
                scope.spawn(move || {
                    let name = format!("f{client}");
                    let mut peer = server.connect();
                    let reply = peer.ask(upload(&name, &noise(client, 300_000)));
                    // Refused or not, the connection goes on.
                    assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
                    match reply["code"].as_str() {
                        None => Some(name),
                        Some(code) => { assert_eq!(code, "no_space"); None }
                    }
                })
            }).collect();
            clients.into_iter().filter_map(|client| client.join().unwrap()).collect()
        });
        // Some may have been refused for others that were refused later; nobody got too much.
        assert!(uploaded.len() <= 3);
        let mut names = uploaded.clone();
        names.sort();
        assert_eq!(server.entries(), names);
        // Nothing is reserved any more: it can be filled to the last byte.
        assert_fills_up(&server);
        let (done, _) = server.stop();
        assert_eq!(done.sum.requests.errors.no_space, 8 - uploaded.len() as u64 + 1);
    }

    fn what_a_killed_worker_had_reserved_is_free_again(pool) {
        let server = Server::start(pool, &["--root-max-bytes", "1000000B", "--workers", "1"]);
        server.put("kept", &noise(1, 100_000));
        for round in 0..3 {
            let mut peer = server.connect();
            let request = upload("f", &noise(round, 850_000));
            peer.send(&request[..request.len() - 2]);
            // It has reserved what it has written.
            let deadline = Instant::now() + DEADLINE;
            while pending_len(&server) < 700_000 {
                assert!(Instant::now() < deadline, "nothing is written");
            }
            let workers = server.children();
            for &pid in &workers {
                server.kill_worker(pid, Signal::SIGKILL);
            }
            server.wait_for_children(|now| now.iter().all(|pid| !workers.contains(pid)));
            assert!(peer.try_reply().is_none());
        }
        assert_fills_up(&server);
        assert_eq!(server.stored("kept").unwrap(), noise(1, 100_000));
        server.stop();
    }

    fn a_replaced_file_counts_once_and_a_deleted_one_no_more(pool) {
        let server = Server::start(pool, &["--root-max-bytes", "1000000B"]);
        let mut peer = server.connect();
        for round in 0..5 {
            assert_eq!(peer.ask(upload("f", &noise(round, 700_000)))["status"], "OK");
        }
        assert_eq!(peer.ask(upload("g", &noise(9, 700_000)))["code"], "no_space");
        assert_eq!(server.stored("f").unwrap(), noise(4, 700_000));
        assert_eq!(peer.ask("DELETE f\r\n")["status"], "OK");
        assert_eq!(peer.ask(upload("g", &noise(9, 700_000)))["status"], "OK");
        assert_eq!(server.entries(), ["g"]);
    }

    fn whoever_finds_the_books_open_waits_until_they_are_closed(pool) {
        let server = Server::start(pool, &["--root-max-bytes", "1000000B", "--workers", "1"]);
        server.put("f", b"abc");
        let mut peer = server.connect();
        // The kernel may let this process rest for as long as the server waits: then once more.
        let was_served = (0..20).any(|_| {
            let open = OpenBooks::take(&server);
            peer.send(upload("g", &noise(1, 900_000)));
            wait_until_pending(&server);
            drop(open);
            let reply = peer.reply();
            assert!(reply["status"] == "OK" || reply["code"] == "busy", "{reply}");
            reply["status"] == "OK"
        });
        assert!(was_served);
        let was_served = (0..20).any(|_| {
            let open = OpenBooks::take(&server);
            peer.send("DELETE f\r\n");
            drop(open);
            peer.reply()["status"] == "OK"
        });
        assert!(was_served);
        assert_eq!(server.entries(), ["g"]);
        assert_eq!(server.stored("g").unwrap(), noise(1, 900_000));
        assert_eq!(peer.ask("DELETE g\r\n")["status"], "OK");
        assert_fills_up(&server);
    }

    fn whoever_finds_the_books_open_for_long_is_told_that_the_server_is_busy(pool) {
        let server = Server::start(pool, &["--root-max-bytes", "1000000B", "--workers", "3"]);
        server.put("f", b"abc");
        let open = OpenBooks::take(&server);
        // A body in one piece, one in many, and none; what is sent behind is served after it.
        let requests = [upload("g", b"d"), upload("h", &noise(1, 900_000)), b"DELETE f\r\n".to_vec()];
        let peers = requests.map(|request| {
            let mut peer = server.connect();
            peer.send([request, b"LIST\r\n".to_vec()].concat());
            peer
        });
        for mut peer in peers {
            assert_eq!(peer.reply()["code"], "busy");
            assert_eq!(peer.reply()["data"], serde_json::json!(["f"]));
        }
        drop(open);
        assert_eq!(server.connect().ask("DELETE f\r\n")["status"], "OK");
        assert_fills_up(&server);
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.errors.busy, code), (3, 0));
    }

    fn a_stop_does_not_wait_for_open_books(pool) {
        let server = Server::start(pool, &["--root-max-bytes", "1000000B", "--workers", "1"]);
        let _open = OpenBooks::take(&server);
        let mut peer = server.connect();
        peer.send(upload("g", &noise(1, 900_000)));
        wait_until_pending(&server);
        server.signal(Signal::SIGQUIT);
        assert!(peer.try_reply().is_none_or(|reply| reply["code"] == "busy"));
        assert!(server.entries().is_empty());
        server.done();
    }

    /// The old and the new server do not see what the other has reserved, but what the other has finished.
    fn what_is_stored_stays_within_the_quota_through_an_upgrade(pool) {
        let mut server = Server::start(pool, &["--root-max-bytes", "1000000B", "--workers", "1"]);
        let mut early = server.connect();
        // Whole pieces: when the end comes, nothing is left to be reserved.
        let request = upload("early", &noise(1, 3 * (256 << 10)));
        early.send(&request[..request.len() - 2]);
        let deadline = Instant::now() + DEADLINE;
        while pending_len(&server) < 3 * (256 << 10) {
            assert!(Instant::now() < deadline, "the upload is not written");
        }
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        let deadline = Instant::now() + DEADLINE;
        // The old server may let somebody in until its workers have heard that they are to leave.
        while server.connect().ask(upload("late", &noise(2, 800_000)))["status"] != "OK" {
            assert!(Instant::now() < deadline, "the new server takes no upload");
        }
        early.send(&request[request.len() - 2..]);
        assert_eq!(early.reply()["code"], "no_space");
        assert_eq!(server.entries(), ["late"]);
        drop(early);
        assert_eq!(server.next_done().reason, "handed_over");
        assert_fills_up(&server);
        server.signal(Signal::SIGTERM);
        server.next_done();
    }

    fn it_holds_though_workers_are_killed_at_every_point(pool) {
        let server = Server::start(pool, &["--root-max-bytes", "1000000B", "--workers", "4"]);
        let acknowledged = Mutex::new(HashMap::new());
        scope(|scope| {
            let clients: Vec<_> = (0..4u64).map(|client| {
                let (server, acknowledged) = (&server, &acknowledged);
                scope.spawn(move || {
                    for round in 0..30 {
                        // Each client has names of its own, so it knows what they must hold.
                        let name = format!("f{client}-{}", round % 2);
                        let content = noise(client * 100 + round, 100_000 + round as usize * 9_000);
                        let mut peer = server.connect();
                        let sent = peer.stream.write_all(&upload(&name, &content));
                        // Unless there is a reply, either content may be there.
                        let reply = sent.ok().and_then(|()| peer.try_reply());
                        let mut acknowledged = acknowledged.lock().unwrap();
                        match reply {
                            Some(reply) if reply["status"] == "OK" => { acknowledged.insert(name, content); }
                            Some(reply) => assert_eq!(reply["code"], "no_space"),
                            None => { acknowledged.remove(&name); }
                        }
                    }
                })
            }).collect();
            while !clients.iter().all(ScopedJoinHandle::is_finished) {
                if let Some(pid) = server.children().first() {
                    // It may just have died of the kill before.
                    let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
                }
                // The next kill waits until the pool has served somebody again.
                while server.connect().send("LIST\r\n").try_reply().is_none() {}
            }
        });
        let names = server.entries();
        let sum: usize = names.iter().map(|name| server.stored(name).unwrap().len()).sum();
        assert!(sum <= MAX, "{sum} bytes in {names:?}");
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
        for (name, content) in acknowledged.into_inner().unwrap() {
            assert!(server.stored(&name).unwrap() == content, "{name}");
        }
        assert_fills_up(&server);
        server.stop();
    }
}

/// An event worker has others to serve while one of its clients waits for the quota's books.
#[test]
fn nobody_else_waits_for_the_books() {
    let args = ["--root-max-bytes", "1000000B", "--workers", "1"];
    let server = Server::start("event", &args);
    server.put("f", b"abc");
    let (mut uploader, mut other) = (server.connect(), server.connect());
    assert_eq!(other.ask("GET f\r\n")["status"], "OK");
    let deadline = Instant::now() + DEADLINE;
    loop {
        let open = OpenBooks::take(&server);
        uploader.send(upload("g", &noise(1, 900_000)));
        wait_until_pending(&server);
        for _ in 0..3 {
            assert_eq!(other.ask("GET f\r\n")["status"], "OK");
        }
        uploader.stream.set_nonblocking(true).unwrap();
        let was_still_waiting = uploader.stream.peek(&mut [0]).is_err();
        uploader.stream.set_nonblocking(false).unwrap();
        drop(open);
        uploader.reply();
        if was_still_waiting {
            break;
        }
        // Unless this process was put aside for that long itself.
        assert!(
            Instant::now() < deadline,
            "GET waits for somebody else's UPLOAD"
        );
    }
    server.stop();
}

/// The quota's books, which this process keeps from all workers as one of them would: by a record lock.
struct OpenBooks {
    _file: File,
}

impl OpenBooks {
    fn take(server: &Server) -> Self {
        let is_lock = |path: &PathBuf| {
            std::fs::read_link(path).is_ok_and(|target| {
                target
                    .to_string_lossy()
                    .contains("memfd:prefork-server quota")
            })
        };
        let open = std::fs::read_dir(format!("/proc/{}/fd", server.ready.pid)).unwrap();
        let mut paths = open.map(|entry| entry.unwrap().path());
        let path = paths.find(is_lock).expect("the quota's lock");
        let file = File::options().write(true).open(path).unwrap();
        let whole = libc::flock {
            l_type: libc::F_WRLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_SETLKW(&whole)).unwrap();
        // It is closed with the file.
        Self { _file: file }
    }
}

/// Waits until a worker has begun an upload.
fn wait_until_pending(server: &Server) {
    let deadline = Instant::now() + DEADLINE;
    while pending_lens(server).is_empty() {
        assert!(Instant::now() < deadline, "no upload is pending");
    }
}

/// There is room for exactly what is missing to the quota, and for no byte more.
fn assert_fills_up(server: &Server) {
    let names = server.entries();
    let sum: usize = names
        .iter()
        .map(|name| server.stored(name).unwrap().len())
        .sum();
    let mut peer = server.connect();
    let reply = peer.ask(upload("rest", &noise(7, MAX - sum)));
    assert_eq!(reply["status"], "OK", "{sum} bytes in {names:?}: {reply}");
    assert_eq!(peer.ask(upload("more", &[1]))["code"], "no_space");
}

/// How long the pending uploads of all workers are together, as far as they have been written: open files in the
/// root, without a name or under a hidden one.
fn pending_len(server: &Server) -> u64 {
    pending_lens(server).iter().sum()
}

fn pending_lens(server: &Server) -> Vec<u64> {
    let root = server.root();
    let is_pending = |path: &PathBuf| {
        std::fs::read_link(path).is_ok_and(|target| {
            let text = target.to_string_lossy();
            target.starts_with(&root)
                && (text.ends_with(" (deleted)") || text.contains("/.prefork-tmp."))
        })
    };
    let lists = server.children().into_iter();
    let open = lists.filter_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).ok());
    let paths = open.flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let files = paths.filter(is_pending);
    files
        .filter_map(|path| Some(std::fs::metadata(path).ok()?.len()))
        .collect()
}
