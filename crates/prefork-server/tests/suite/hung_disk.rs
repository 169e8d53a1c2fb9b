//! A file system that does not answer any more, as a network's whose server is gone: the parent serves on, and who waits
//! for the disk is not taken for a worker that hangs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::status::Status;
use tempfile::TempDir;

use crate::asking::Admin;
use crate::support::{Server, children_of, command, noise, skip, under, upload, wait_until};

/// A folder on a file system of its own, whose server can be stopped.
pub(crate) struct Mount {
    folder: TempDir,
    server: Child,
}

impl Mount {
    /// None, and says so, where that cannot be had.
    pub(crate) fn new() -> Option<Self> {
        Self::with("attr_timeout=0,entry_timeout=0,negative_timeout=0")
    }

    /// The same, mounted with these options.
    pub(crate) fn with(options: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        let mut bindfs = Command::new("bindfs");
        bindfs.args(["-f", "-o", options]).arg(&from).arg(&to);
        let Ok(mut server) = bindfs.stdin(Stdio::null()).stderr(Stdio::null()).spawn() else {
            skip("bindfs (apt-get install bindfs)");
            return None;
        };
        fs::create_dir(from.join("root")).unwrap();
        let mut has_ended = false;
        wait_until("it is mounted", || {
            has_ended = server.try_wait().unwrap().is_some();
            has_ended || to.join("root").is_dir()
        });
        if has_ended {
            skip("the permission to mount");
            return None;
        }
        Some(Self { folder, server })
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("to/root")
    }

    /// The folder that is mounted there.
    pub(crate) fn beneath(&self) -> PathBuf {
        self.folder.path().join("from/root")
    }

    /// Whether a process has nothing open but its standard streams, and files that it has found here.
    fn has_all_that(&self, pid: u32) -> bool {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            return false;
        };
        let is_standard =
            |it: &fs::DirEntry| ["0", "1", "2"].iter().any(|fd| it.file_name() == *fd);
        let others = open.flatten().filter(|it| !is_standard(it));
        let mut links = others.filter_map(|it| fs::read_link(it.path()).ok());
        links.all(|link| link.starts_with(self.folder.path()))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.server.id().cast_signed());
        kill(pid, signal).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.signal(Signal::SIGCONT);
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.folder.path().join("to"))
            .status();
        let _ = self.server.wait();
    }
}

/// The child that looks at the files; there is none but the workers that were there at the start.
fn looking(server: &Server) -> Option<u32> {
    let mut children = children_of(server.ready.pid);
    children.retain(|pid| !server.ready.worker_pids.contains(pid));
    children.first().copied()
}

#[test]
fn a_reload_on_a_root_that_hangs_keeps_the_parent_from_nothing() {
    let Some(mount) = Mount::new() else { return };
    let admin = Admin::new();
    let args = [
        "--workers",
        "2",
        "--admin",
        admin.arg(),
        "--boot-timeout",
        "1s",
    ];
    let server = Server::start_on(&mount.root(), "process", &args);
    mount.signal(Signal::SIGSTOP);
    server.signal(Signal::SIGHUP);
    // Somebody ends the child that waits instead of the parent.
    wait_until("a child looks", || looking(&server).is_some());
    server.kill_worker(looking(&server).unwrap(), Signal::SIGKILL);
    server.wait_for_log("nothing is reloaded: the process that was to look");
    server.signal(Signal::SIGHUP);
    server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
    server.wait_for_another_worker();
    admin.wait_for(|it| it.server.pid == server.ready.pid);
    server.wait_for_log("nothing is reloaded: the file system of --config");
    mount.signal(Signal::SIGCONT);
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    assert_eq!(server.stop().1, 0);
    assert!(!mount.root().join(".prefork-lock").exists());
}

/// A server whose program is found by a link, with what its operator asks it to write on a file system that may hang.
struct Linked {
    server: Server,
    admin: Admin,
    folder: TempDir,
}

impl Linked {
    fn start(mount: &Mount) -> Self {
        let on_mount = |name: &str| mount.root().join(name).display().to_string();
        let (log, pidfile) = (on_mount("log"), on_mount("pid"));
        let (folder, admin) = (TempDir::new().unwrap(), Admin::new());
        let link = folder.path().join("prefork-server");
        let root = folder.path().join("files");
        fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_prefork-server"), &link).unwrap();
        let args = [
            "--workers",
            "2",
            "--admin",
            admin.arg(),
            "--boot-timeout",
            "1s",
            "--access-log",
            &log,
            "--pidfile",
            &pidfile,
        ];
        let script = format!("exec {} \"$@\"", link.display());
        let like = command(&root, "process", &args);
        let server = Server::spawn(&mut under(&["sh", "-c", &script], &like));
        Self {
            server,
            admin,
            folder,
        }
    }

    /// What is started next.
    fn link_to(&self, program: &Path) {
        let link = self.folder.path().join("prefork-server");
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(program, &link).unwrap();
    }

    /// The parent answers and replaces.
    fn check_that_it_goes_on(&self) {
        let victim = self.admin.wait_for(|it| it.workers.len() == 2).workers[0]
            .ledger
            .pid;
        self.server.kill_worker(victim, Signal::SIGKILL);
        let others = |it: &Status| it.workers.iter().all(|it| it.ledger.pid != victim);
        self.admin
            .wait_for(|it| it.workers.len() == 2 && others(it));
    }

    fn check_that_it_stops(self) {
        self.server.signal(Signal::SIGTERM);
        self.server
            .wait_for_log("the file system of --pidfile does not answer");
        assert_eq!(self.server.exit_code(), Some(0));
    }
}

#[test]
fn no_signal_and_no_stop_waits_for_a_log_a_program_or_a_pidfile_that_hangs() {
    let Some(mount) = Mount::new() else { return };
    let it = Linked::start(&mount);
    // The next release, on a file system that hangs when it is to be started.
    let next = mount.root().join("prefork-server");
    fs::copy(env!("CARGO_BIN_EXE_prefork-server"), &next).unwrap();
    it.link_to(&next);

    mount.signal(Signal::SIGSTOP);
    let refusals = [
        (Signal::SIGUSR1, "no log is opened anew: the file system of"),
        (Signal::SIGUSR2, "not upgrading: the file system of"),
    ];
    for (signal, _) in refusals {
        it.server.signal(signal);
    }
    // The child that looks may outlive the server: neither its port nor its lock is to be in use then.
    wait_until("the child has no descriptor of the server's", || {
        looking(&it.server).is_some_and(|pid| mount.has_all_that(pid))
    });
    it.check_that_it_goes_on();
    for (_, words) in refusals {
        it.server.wait_for_log(words);
    }
    mount.signal(Signal::SIGCONT);
    it.server.signal(Signal::SIGUSR1);
    it.server.wait_for_log("reopened");

    mount.signal(Signal::SIGSTOP);
    it.check_that_it_stops();
}

#[test]
fn an_upgrade_that_fails_takes_nothing_back_from_a_file_system_that_hangs() {
    let Some(mount) = Mount::new() else { return };
    let it = Linked::start(&mount);
    let may_fail = it.folder.path().join("may-fail");
    let script = format!(
        "#!/bin/sh\nuntil [ -e {} ]; do sleep .02; done\n",
        may_fail.display()
    );
    let failing = it.folder.path().join("failing");
    fs::write(&failing, script).unwrap();
    fs::set_permissions(&failing, Permissions::from_mode(0o755)).unwrap();
    it.link_to(&failing);

    it.server.signal(Signal::SIGUSR2);
    it.server.wait_for_log("a new server is starting");
    mount.signal(Signal::SIGSTOP);
    fs::write(&may_fail, "").unwrap();
    it.server
        .wait_for_log("it ended before it was ready; this server goes on");
    it.check_that_it_goes_on();
    it.server
        .wait_for_log("cannot take the pidfile and the admin socket back: the file system of");
    it.check_that_it_goes_on();
    it.check_that_it_stops();
}

#[test]
fn a_stop_says_done_and_what_it_leaves_on_a_file_system_that_hangs() {
    let Some(mount) = Mount::new() else { return };
    let admin = mount.root().with_file_name("admin").display().to_string();
    let args = ["--workers", "1", "--admin", &admin];
    let server = Server::start_on(&mount.root(), "process", &args);
    mount.signal(Signal::SIGSTOP);
    server.signal(Signal::SIGTERM);
    server.wait_for_log("the file system of --admin does not answer");
    server.wait_for_log("the file system of --root does not answer");
    assert_eq!(server.exit_code(), Some(0));
}

/// One worker waits for the disk with `request`; another, stopped, gives no sign of life from later on, and is aborted.
fn check_that_waiting_is_no_hang(request: &[u8]) {
    let Some(mount) = Mount::new() else { return };
    let server = Server::start_on(
        &mount.root(),
        "process",
        &["--workers", "2", "--worker-timeout", "4s"],
    );
    assert_eq!(server.connect().ask(upload("there", b"x"))["status"], "OK");
    mount.signal(Signal::SIGSTOP);
    let mut waiting = server.connect();
    waiting.send(request);
    // It is the other worker that answers this.
    assert_eq!(server.connect().ask("NONSENSE\r\n")["code"], "unknown_verb");
    for &worker in &server.ready.worker_pids {
        server.kill_worker(worker, Signal::SIGSTOP);
    }
    let aborted = server.wait_for_log("aborting a worker");
    let waits = |pid: &&u32| !aborted.contains(&pid.to_string());
    let left: Vec<_> = server.ready.worker_pids.iter().filter(waits).collect();
    assert_eq!(left.len(), 1, "{aborted}");
    // The aborted one too: stopped, it would die only when the server kills it.
    for &worker in &server.ready.worker_pids {
        server.kill_worker(worker, Signal::SIGCONT);
    }
    mount.signal(Signal::SIGCONT);
    let reply = waiting.reply();
    assert_eq!(
        reply["status"],
        "OK",
        "{}",
        String::from_utf8_lossy(request)
    );
    server.stop();
}

#[test]
fn a_worker_that_waits_for_the_disk_with_any_request_is_not_taken_for_hung() {
    let upload = upload("new", &noise(1, 300_000));
    let requests: [&[u8]; 4] = [b"LIST\r\n", b"GET there\r\n", b"DELETE there\r\n", &upload];
    thread::scope(|scope| {
        for request in requests {
            scope.spawn(|| check_that_waiting_is_no_hang(request));
        }
    });
}
