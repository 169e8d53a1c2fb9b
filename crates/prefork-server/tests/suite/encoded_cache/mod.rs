//! `--encoded-cache`: a reply may be faster for it, and is never another, whatever becomes of the files, of the workers
//! and of the memory.

mod changes;
mod kills;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::process::{Command, Stdio};
use std::thread::scope;

use nix::sys::signal::Signal;
use nix::unistd::User;
use tempfile::TempDir;

use crate::asking::Admin;
use crate::downloads::{get, on_each_pool, sent_from_cache, wait_until_settled, warm_up, whole};
use crate::support::{self, Server, content, noise, upload};

/// Content in a piece.
const PIECE: usize = 96 << 10;

#[test]
fn files_come_from_the_cache_byte_for_byte_whatever_their_length() {
    on_each_pool(|pool| {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "2", "--encoded-cache", "16M"]);
        assert_eq!(server.ready.settings.encoded_cache_bytes, Some(16 << 20));
        let lens = [
            256 << 10,
            3 * PIECE,
            5 * PIECE + 1,
            5 * PIECE + 2,
            12 * PIECE - 1,
            36 * PIECE + 5,
        ];
        for (seed, len) in (0..).zip(lens) {
            server.put(&format!("f{len}"), &noise(seed, len));
        }
        server.put("small", &noise(9, (256 << 10) - 1));
        // The first download leaves no trace.
        let mut peer = server.connect();
        wait_until_settled(&server, "f262144");
        assert_eq!(get(&mut peer, "f262144"), noise(0, 256 << 10));
        assert_eq!(admin.status().server.cached_bytes, Some(0));
        for (seed, len) in (0..).zip(lens) {
            warm_up(&server, &admin, &format!("f{len}"), &noise(seed, len));
        }
        let held: usize = lens.iter().map(|len| len.div_ceil(3) * 4).sum();
        assert_eq!(admin.status().server.cached_bytes, Some(held as u64));
        let before = sent_from_cache(&admin);
        for _ in 0..5 {
            assert_eq!(get(&mut peer, "small"), noise(9, (256 << 10) - 1));
        }
        assert_eq!(sent_from_cache(&admin), before);
        assert_eq!(
            admin.metrics().value("prefork_encoded_cache_bytes", &[]),
            held as f64
        );
        assert_eq!(
            admin
                .metrics()
                .value("prefork_encoded_cache_sent_bytes_total", &[]),
            before as f64
        );
        drop(peer);
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.sent_from_cache_bytes, code), (before, 0));
    });
}

#[test]
fn a_file_that_has_changed_is_sent_as_it_is_at_once() {
    on_each_pool(|pool| {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "2", "--encoded-cache", "32M"]);
        let old = noise(1, 10 * PIECE + 7);
        let path = |name: &str| server.root().join(name);
        let opened = |name: &str| File::options().write(true).open(path(name)).unwrap();
        let names = [
            "uploaded",
            "renamed",
            "rewritten",
            "written",
            "cut",
            "grown",
        ];
        for name in names {
            server.put(name, &old);
        }
        for name in names {
            warm_up(&server, &admin, name, &old);
        }
        let new = noise(2, old.len());
        let mut peer = server.connect();
        assert_eq!(peer.ask(upload("uploaded", &new))["status"], "OK");
        server.put(".new", &new);
        fs::rename(path(".new"), path("renamed")).unwrap();
        opened("rewritten").write_all_at(&new, 0).unwrap();
        fs::write(path("written"), &new).unwrap();
        opened("cut").set_len(5 * PIECE as u64).unwrap();
        opened("grown")
            .write_all_at(b"more", old.len() as u64)
            .unwrap();
        for name in ["uploaded", "renamed", "rewritten", "written"] {
            assert!(get(&mut peer, name) == new, "{name}");
        }
        assert!(get(&mut peer, "cut") == old[..5 * PIECE]);
        assert!(get(&mut peer, "grown") == [&old[..], b"more"].concat());
        assert_eq!(peer.ask("DELETE cut\r\n")["status"], "OK");
        assert_eq!(peer.ask("GET cut\r\n")["code"], "not_found");
        // And then these are sent from the cache.
        for name in ["uploaded", "rewritten"] {
            warm_up(&server, &admin, name, &new);
        }
    });
}

/// More than there are slots.
const SMALL_FILES: u64 = 17;

#[test]
fn slow_readers_get_all_of_files_that_were_put_out_for_others() {
    on_each_pool(|pool| {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "3", "--encoded-cache", "8M"]);
        let files = ["a", "b"].map(|name| (name, noise(u64::from(name.as_bytes()[0]), 5_000_000)));
        for (name, file) in &files {
            server.put(name, file);
        }
        for n in 0..SMALL_FILES {
            server.put(&format!("{n}"), &noise(n, 256 << 10));
        }
        let slow = files.each_ref().map(|(name, file)| {
            // For the second the first is put out.
            warm_up(&server, &admin, name, file);
            let before = sent_from_cache(&admin);
            let mut slow = server.connect();
            slow.send(format!("GET {name}\r\n"));
            // Its socket is full of the cache's pages.
            admin.wait_for(|it| it.sum.counts.requests.sent_from_cache_bytes > before);
            slow
        });
        // For one of these the second.
        for n in 0..SMALL_FILES {
            warm_up(&server, &admin, &format!("{n}"), &noise(n, 256 << 10));
        }
        for (mut slow, (name, file)) in slow.into_iter().zip(&files) {
            assert!(&whole(&slow.reply()) == file, "{name}");
        }
        // Nor are they in the way of the next.
        warm_up(&server, &admin, "a", &files[0].1);
    });
}

#[test]
fn workers_that_come_later_use_what_others_have_put_there() {
    on_each_pool(|pool| {
        let admin = Admin::new();
        let mut server = admin.start(pool, &["--workers", "2", "--encoded-cache", "16M"]);
        let file = noise(1, 3_000_000);
        server.put("f", &file);
        warm_up(&server, &admin, "f", &file);
        let text_len = support::encode(&file).len() as u64;
        let sends_at_once = |server: &Server| {
            let before = sent_from_cache(&admin);
            assert!(get(&mut server.connect(), "f") == file);
            assert_eq!(sent_from_cache(&admin) - before, text_len);
        };
        let workers = server.children();
        server.signal(Signal::SIGHUP);
        server.wait_for_children(|now| now.iter().all(|pid| !workers.contains(pid)));
        sends_at_once(&server);
        let workers = server.children();
        for &pid in &workers {
            server.kill_worker(pid, Signal::SIGKILL);
        }
        server.wait_for_children(|now| {
            now.iter().all(|pid| !workers.contains(pid)) && !now.is_empty()
        });
        sends_at_once(&server);
        // A new server has a cache of its own, and the old one gives its back, though somebody still reads there.
        let large = noise(2, 5_000_000);
        server.put("large", &large);
        let mut slow = server.connect();
        slow.send("GET large\r\n");
        assert_eq!(slow.stream.peek(&mut [0]).unwrap(), 1);
        let old = server.ready.pid;
        assert!(memory_of_cache(old) > 0);
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        support::wait_until("the old server's cache is empty", || {
            memory_of_cache(old) == 0
        });
        warm_up(&server, &admin, "f", &file);
        assert!(content(&slow.reply()) == large);
        server.signal(Signal::SIGTERM);
        server.next_done();
        server.next_done();
    });
}

/// What the cache of a server's holds, by the kernel's word.
fn memory_of_cache(pid: u32) -> u64 {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let of_cache = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let target = fs::read_link(&path).ok()?;
        let is_it = target
            .to_string_lossy()
            .starts_with("/memfd:prefork-server encoded cache");
        is_it.then(|| fs::metadata(path).map_or(0, |it| it.blocks()))
    });
    of_cache.sum()
}

#[test]
fn a_server_that_only_reads_has_a_cache_if_it_is_told_to() {
    let server = Server::start("process", &["--read-only"]);
    assert_eq!(server.ready.settings.encoded_cache_bytes, None);
    let (admin, root) = (Admin::new(), TempDir::new().unwrap());
    let file = noise(1, 1_000_000);
    fs::write(root.path().join("f"), &file).unwrap();
    let args = [
        "--read-only",
        "--encoded-cache",
        "8M",
        "--admin",
        admin.arg(),
    ];
    let server = Server::start_on(root.path(), "process", &args);
    warm_up(&server, &admin, "f", &file);
}

#[test]
fn there_is_none_where_a_file_can_change_and_its_times_stay() {
    let Some(mount) = crate::hung_disk::Mount::new() else {
        return;
    };
    let server = Server::start_on(&mount.root(), "process", &["--encoded-cache", "8M"]);
    assert_eq!(server.ready.settings.encoded_cache_bytes, None);
    server.wait_for_log("this file system's times need not show that a file has changed");
    server.stop();
    let server = Server::start_on(&mount.root(), "process", &[]);
    assert_eq!(server.ready.settings.encoded_cache_bytes, None);
    assert_eq!(server.stop().1, 0);
}

#[test]
fn unless_it_is_told_it_takes_an_eighth_of_the_memory_and_not_too_much() {
    let server = Server::start("process", &[]);
    let bytes_max = server.ready.settings.encoded_cache_bytes;
    assert!(matches!(bytes_max, Some(1..=0x2000_0000)), "{bytes_max:?}");
    let server = Server::start("process", &["--encoded-cache", "0"]);
    assert_eq!(server.ready.settings.encoded_cache_bytes, None);
}

#[test]
fn workers_without_rights_use_it_too() {
    if !support::is_root() {
        return;
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let (admin_root, root) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    chown(root.path(), Some(nobody.uid.as_raw()), None).unwrap();
    fs::set_permissions(admin_root.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let admin = Admin::at(admin_root);
    let file = noise(1, 1_000_000);
    fs::write(root.path().join("f"), &file).unwrap();
    let args = [
        "--user",
        "nobody",
        "--sandbox",
        "auto",
        "--encoded-cache",
        "8M",
        "--admin",
        admin.arg(),
    ];
    let server = Server::start_on(root.path(), "process", &args);
    assert_eq!(server.ready.settings.uid, nobody.uid.as_raw());
    warm_up(&server, &admin, "f", &file);
    // Also one that comes later.
    server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
    server.wait_for_another_worker();
    warm_up(&server, &admin, "f", &file);
}

/// A limit on the size of files is one on that of this memory too.
#[test]
fn memory_that_cannot_be_written_costs_the_cache_and_no_reply() {
    let limit = |kib: u32| format!("ulimit -f {kib}; exec \"$0\" \"$@\"");
    let (some, less) = (limit(2000), limit(100));
    let refused = "inject=pwrite64:error=ENOMEM";
    scope(|scope| {
        for limit in [&some, &less] {
            scope.spawn(|| check_that_it_goes_on_without(&["sh", "-c", limit]));
        }
        if support::can_trace() {
            let tracer = ["strace", "-f", "-o", "/dev/null", "-e", refused];
            check_that_it_goes_on_without(&tracer);
        }
    });
}

fn check_that_it_goes_on_without(launcher: &[&str]) {
    let (admin, root) = (Admin::new(), TempDir::new().unwrap());
    let file = noise(1, 3_000_000);
    fs::write(root.path().join("f"), &file).unwrap();
    let args = ["--encoded-cache", "8M", "--admin", admin.arg()];
    let like = support::command(root.path(), "process", &args);
    let server = Server::spawn(&mut support::under(launcher, &like));
    wait_until_settled(&server, "f");
    for _ in 0..2 {
        assert!(get(&mut server.connect(), "f") == file);
    }
    server.wait_for_log("going on without a cache");
    // Nothing may have been written; it is the server's own count that comes last.
    admin.wait_for(|status| status.server.cached_bytes == Some(0));
    assert_eq!(memory_of_cache(server.ready.pid), 0);
    for _ in 0..3 {
        assert!(get(&mut server.connect(), "f") == file);
    }
    assert_eq!(admin.status().server.cached_bytes, Some(0));
    server.signal(Signal::SIGTERM);
    let warnings = server.rest_of_log();
    let is_said_again = warnings.iter().any(|it| it.contains("without a cache"));
    assert!(!is_said_again, "{warnings:?}");
}

#[test]
fn memory_that_cannot_be_had_costs_the_cache_and_no_start() {
    if !support::can_trace() {
        return;
    }
    let root = TempDir::new().unwrap();
    let like = support::command(root.path(), "process", &["--encoded-cache", "8M"]);
    // What comes next is for the lock of the store's books.
    let inject = "inject=memfd_create:error=EMFILE:when=1";
    let tracer = ["strace", "-o", "/dev/null", "-e", inject];
    let server = Server::spawn(&mut support::under(&tracer, &like));
    assert_eq!(server.ready.settings.encoded_cache_bytes, None);
    server.wait_for_log("its memory cannot be had; going on without a cache");
    server.put("f", b"content");
    assert_eq!(get(&mut server.connect(), "f"), b"content");
    server.stop();
}

/// `vm.memfd_noexec`, which each namespace of process ids has for itself, refuses memory that could be run as a program.
#[test]
fn memory_that_must_not_be_run_is_had_as_such() {
    let launcher = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        "echo 2 > /proc/sys/vm/memfd_noexec && exec \"$@\"",
        "sh",
    ];
    let probe = Command::new(launcher[0])
        .args(&launcher[1..])
        .arg("true")
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        return support::skip("vm.memfd_noexec, or the permission to set it (unshare --pid)");
    }
    let (admin, root) = (Admin::new(), TempDir::new().unwrap());
    let file = noise(1, 400_000);
    fs::write(root.path().join("f"), &file).unwrap();
    let args = [
        "--encoded-cache",
        "8M",
        "--admin",
        admin.arg(),
        "--exit-with-stdin",
    ];
    let like = support::command(root.path(), "process", &args);
    let mut server = Server::spawn(&mut support::under(&launcher, &like));
    // It is 1 there, which is another process here.
    assert_eq!(server.ready.pid, 1);
    server.ready.pid = u32::MAX;
    assert_eq!(server.ready.settings.encoded_cache_bytes, Some(8 << 20));
    warm_up(&server, &admin, "f", &file);
    server.close_input();
    assert_eq!(server.done().0.crashes, 0);
}

#[test]
fn a_reload_to_read_only_gives_up_a_cache_that_nobody_asked_for() {
    let (admin, folder) = (Admin::new(), TempDir::new().unwrap());
    let config = folder.path().join("config.toml");
    fs::write(&config, "read-only = false\n").unwrap();
    let server = admin.start("process", &["--config", config.to_str().unwrap()]);
    let file = noise(1, 400_000);
    server.put("f", &file);
    warm_up(&server, &admin, "f", &file);
    fs::write(&config, "read-only = true\n").unwrap();
    server.signal(Signal::SIGHUP);
    admin.wait_for(|status| status.server.cached_bytes == Some(0));
    for _ in 0..3 {
        assert!(get(&mut server.connect(), "f") == file);
    }
    assert_eq!(admin.status().server.cached_bytes, Some(0));
    server.stop();
}

#[test]
fn a_running_server_cannot_change_it() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, "encoded-cache = \"8M\"\n").unwrap();
    let server = Server::start("process", &["--config", config.to_str().unwrap()]);
    File::create(&config)
        .unwrap()
        .write_all(b"encoded-cache = \"9M\"\n")
        .unwrap();
    server.signal(Signal::SIGHUP);
    let said = server.wait_for_log("a running server cannot change these");
    assert!(said.contains("--encoded-cache"), "{said}");
}
