//! Two servers and one folder: who may write, and whose pending uploads are whose.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::{Server, command, content, noise, skip, upload, wait_until};

/// One folder under two names, as two machines have one of a file server's.
struct TwoMounts {
    folder: TempDir,
    mounted: Vec<PathBuf>,
}

impl TwoMounts {
    /// Nothing, and says so, where that cannot be had.
    fn new(args: &[&str]) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            eprintln!("SKIPPED: this machine has no /dev/fuse");
            return None;
        }
        let mut mounts = Self {
            folder: TempDir::new().unwrap(),
            mounted: Vec::new(),
        };
        fs::create_dir(mounts.at("both")).unwrap();
        for name in ["one", "two"] {
            let path = mounts.at(name);
            fs::create_dir(&path).unwrap();
            let mut bindfs = Command::new("bindfs");
            bindfs.args(args).arg(mounts.at("both")).arg(&path);
            if !bindfs.status().is_ok_and(|status| status.success()) {
                skip("bindfs, or the permission to mount (apt-get install bindfs)");
                return None;
            }
            mounts.mounted.push(path);
        }
        Some(mounts)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pending(&self) -> Vec<String> {
        let names = fs::read_dir(self.at("both")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.starts_with(".prefork-tmp."))
            .collect()
    }
}

impl Drop for TwoMounts {
    fn drop(&mut self) {
        for path in &self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(path).status();
        }
    }
}

#[test]
fn a_second_server_on_another_mount_leaves_the_firsts_pending_uploads() {
    let Some(mounts) = TwoMounts::new(&[]) else {
        return;
    };
    let first = Server::start_on(&mounts.at("one"), "process", &[]);
    let file = noise(1, 3_000_000);
    let request = upload("f", &file);
    let (start, rest) = request.split_at(request.len() / 2);
    let mut peer = first.connect();
    peer.send(start);
    wait_until("an upload is pending", || !mounts.pending().is_empty());
    let pending = mounts.pending();
    // Nobody forwards its lock, so it starts.
    let second = Server::start_on(&mounts.at("two"), "process", &[]);
    second.wait_for_log("left unfinished uploads alone");
    assert_eq!(mounts.pending(), pending);
    // Nor does the death of a worker of its own make it take others' for that worker's.
    second.kill_worker(second.ready.worker_pids[0], Signal::SIGKILL);
    second.wait_for_another_worker();
    assert_eq!(mounts.pending(), pending);
    assert_eq!(peer.send(rest).reply()["status"], "OK");
    assert_eq!(content(&second.connect().ask("GET f\r\n")), file);
    drop(peer);

    // What a dead server of this machine left is swept by the next, on whichever mount.
    let mut peer = first.connect();
    peer.send(start);
    wait_until("an upload is pending", || !mounts.pending().is_empty());
    // Its workers are to have no time to clean up.
    for &worker in &first.ready.worker_pids {
        first.kill_worker(worker, Signal::SIGSTOP);
    }
    first.kill_worker(first.ready.pid, Signal::SIGKILL);
    first.exit_code();
    assert!(!mounts.pending().is_empty(), "a killed server leaves it");
    assert_eq!(second.stop().1, 0);
    let third = Server::start_on(&mounts.at("two"), "process", &[]);
    assert!(mounts.pending().is_empty());
    assert_eq!(third.stop().1, 0);
}

#[test]
fn where_locks_are_forwarded_a_second_server_is_refused_on_another_mount_too() {
    let Some(mounts) = TwoMounts::new(&["--multithreaded", "--enable-lock-forwarding"]) else {
        return;
    };
    let first = Server::start_on(&mounts.at("one"), "process", &[]);
    let refused = command(&mounts.at("two"), "process", &[])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("served by another") && said.contains("--root"),
        "{said}"
    );
    // Servers that only read are welcome.
    Server::start_on(&mounts.at("two"), "process", &["--read-only"]).stop();
    assert_eq!(first.stop().1, 0);
    Server::start_on(&mounts.at("two"), "process", &[]).stop();
}

#[test]
fn servers_that_only_read_share_a_root_with_each_other_and_with_one_that_writes() {
    let folder = TempDir::new().unwrap();
    let settings = folder.path().join("server.toml");
    let set = |is_read_only: bool| {
        fs::write(
            &settings,
            format!("read-only = {is_read_only}\nworkers = 1\n"),
        )
        .unwrap();
    };
    let root = TempDir::new().unwrap();
    set(true);
    let changing = ["--config", settings.to_str().unwrap()];
    let reader = Server::start_on(root.path(), "process", &changing);
    let writer = Server::start_on(root.path(), "process", &["--workers", "1"]);
    let other = Server::start_on(root.path(), "process", &["--read-only", "--workers", "1"]);
    assert_eq!(writer.connect().ask(upload("f", b"abc"))["status"], "OK");
    for server in [&reader, &other] {
        assert_eq!(content(&server.connect().ask("GET f\r\n")), b"abc");
    }
    // It cannot become a second one that writes.
    set(false);
    reader.signal(Signal::SIGHUP);
    let said = reader.wait_for_log("nothing is reloaded");
    assert!(
        said.contains(&format!("(process {})", writer.ready.pid)),
        "{said}"
    );
    assert_eq!(
        reader.connect().ask(upload("g", b""))["code"],
        "unknown_verb"
    );
    writer.stop();
    reader.signal(Signal::SIGHUP);
    reader.wait_for_log("reloaded");
    let refused = command(root.path(), "process", &[]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains(&format!("(process {})", reader.ready.pid)),
        "{said}"
    );
    other.stop();
    reader.stop();
    assert!(!root.path().join(".prefork-lock").exists());
}

/// Whoever starts another server is told which one is in the way.
fn check_that_it_is_refused(root: &Path, holder: u32) {
    let refused = command(root, "process", &[]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let holder = format!("(process {holder})");
    assert!(
        said.contains("served by another") && said.contains(&holder),
        "{said}"
    );
}

/// The lock goes from server to server, and its file with the last of them.
#[test]
fn an_upgrade_hands_the_lock_on() {
    let root = TempDir::new().unwrap();
    let lock = root.path().join(".prefork-lock");
    let mut server = Server::start_on(root.path(), "process", &["--workers", "1"]);
    for _ in 0..2 {
        let before = server.ready.pid;
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        server.next_done();
        server.wait_until_alone(before);
        assert!(lock.exists(), "the old server has left it to the new one");
        check_that_it_is_refused(root.path(), server.ready.pid);
    }
    // Servers of older releases have locked the folder only. Who took that lock is gone, and who has it is known.
    fs::remove_file(&lock).unwrap();
    check_that_it_is_refused(root.path(), server.ready.pid);
    server.signal(Signal::SIGTERM);
    server.wait_until_all_are_gone();
    assert!(!lock.exists());
}
