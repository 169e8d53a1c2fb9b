//! What the server gets from whoever starts it, and what a program started from it would get.

use std::fs;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;

use nix::sys::signal::Signal;
use prefork_server::inside::{Durability, Folder, Store, StoreOptions};
use prefork_server::listener;
use prefork_server::sys;
use tempfile::TempDir;

use crate::support::{Server, command, each_pool, skip, under};

each_pool! {
    fn what_was_inherited_is_closed_and_nothing_is_passed_on(pool) {
        let folder = TempDir::new().unwrap();
        let (root, secret) = (folder.path().join("root"), folder.path().join("secret"));
        fs::create_dir(&root).unwrap();
        fs::write(&secret, b"secret").unwrap();
        let open_more = format!(r#"exec 3<"{0}" 9<>"{0}"; exec "$@""#, secret.display());
        let server = command(&root, pool, &["--workers", "2"]);
        let server = Server::spawn(&mut under(&["sh", "-c", &open_more, "sh"], &server));
        // A connection in hand, and a file.
        let mut peer = server.connect();
        peer.send("UPLOAD a QUJD");
        let mut other = server.connect();
        assert_eq!(other.ask("LIST\r\n")["status"], "OK");
        for pid in server.ready.worker_pids.iter().chain([&server.ready.pid]) {
            let mut beyond = 0;
            for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
                let path = entry.unwrap().path();
                let Ok(target) = fs::read_link(&path) else { continue };
                assert_ne!(target, secret, "{pid} still has {path:?}");
                let number: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
                if number > 2 && closes_on_exec(*pid, number) == Some(false) {
                    panic!("{pid} would pass {target:?} on");
                }
                beyond += u32::from(number > 2);
            }
            assert!(beyond >= 4, "listener, root, its lock and reports at least: {beyond}");
        }
        assert_eq!(peer.ask("\r\n")["status"], "OK");
        server.stop();
    }

    /// As a starter that never waits for its children leaves it: their deaths are then kept from the parent too.
    fn a_server_hears_of_its_workers_deaths_though_its_starter_does_not_care(pool) {
        let launcher = ["env", "--ignore-signal=CHLD"];
        // Bit 17 of what grep itself ignores then.
        let ignored = Command::new(launcher[0]).args([launcher[1], "grep", "SigIgn:.*1....$", "/proc/self/status"]).output();
        if !ignored.is_ok_and(|output| output.status.success()) {
            return skip("an env(1) that knows --ignore-signal (coreutils 8.31)");
        }
        let root = TempDir::new().unwrap();
        let server = Server::spawn(&mut under(&launcher, &command(root.path(), pool, &["--workers", "1"])));
        server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
        server.wait_for_another_worker();
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (1, 0));
    }
}

/// None if it has been closed meanwhile.
fn closes_on_exec(pid: u32, fd: u32) -> Option<bool> {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
    Some(flags & nix::libc::O_CLOEXEC != 0)
}

#[test]
fn a_program_that_is_run_sees_only_the_three_standard_descriptors() {
    let root = TempDir::new().unwrap();
    let options = StoreOptions {
        durability: Durability::Full,
        upload_len_max: 1 << 20,
        min_free_bytes: 0,
        read_only: false,
        root_bytes_max: None,
    };
    // All that parent and workers open, by the code that opens it.
    let store = Store::open(Folder::open(root.path()).unwrap(), options).unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let listener = listener::bind(address).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = sys::accept(&listener).unwrap();
    let mut upload = store.create(&"a".parse().unwrap()).unwrap();
    upload.write(b"content").unwrap();
    upload.commit().unwrap();
    let download = store.read(&"a".parse().unwrap()).unwrap();
    let pending = store.create(&"b".parse().unwrap()).unwrap();

    let list = "for fd in /proc/$$/fd/*; do readlink $fd; done";
    let seen = Command::new("sh").args(["-c", list]).output().unwrap();
    let seen = String::from_utf8(seen.stdout).unwrap();
    assert!(seen.lines().count() >= 3, "{seen}");
    let sockets = [listener.as_fd(), accepted.as_fd(), peer.as_fd()];
    for fd in sockets {
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let target = fs::read_link(link).unwrap();
        assert!(
            !seen.lines().any(|line| target.as_os_str() == line),
            "{target:?}: {seen}"
        );
    }
    let root = root.path().to_str().unwrap();
    assert!(!seen.contains(root), "{seen}");
    drop((peer, download, pending));
}

#[test]
fn what_was_adopted_is_kept_but_goes_no_further() {
    // In a process of its own, which has inherited what this one has passed on.
    const INHERITED: &str = "PREFORK_TEST_INHERITED";
    if std::env::var_os(INHERITED).is_some() {
        let _adopted = sys::adopt(7).unwrap();
        assert!(sys::close_inherited().unwrap() >= 1);
        let this = std::process::id();
        let closes = [7, 8].map(|fd| closes_on_exec(this, fd));
        assert_eq!(closes, [Some(true), None]);
        return;
    }
    let test = "hardening::inherited::what_was_adopted_is_kept_but_goes_no_further";
    let output = Command::new("sh")
        .args(["-c", r#"exec 7</dev/null 8</dev/null; exec "$@""#, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INHERITED, "yes")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}
