//! HUP, TTIN, TTOU: other settings and sizes while requests go on, and settings that are wrong.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::load::Load;
use crate::support::{DEADLINE, Server, command, each_pool, under, upload};

/// A configuration file that a test can change.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("server.toml");
        fs::write(&path, text).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }

    fn start(&self, pool: &str) -> Server {
        Server::start(pool, &["--config", self.path.to_str().unwrap()])
    }
}

each_pool! {
    fn a_reload_under_load_loses_nothing_and_its_settings_are_in_force(pool) {
        let file = File::new("workers = 3\nupload-max = '1M'\n");
        let server = file.start(pool);
        Load::put_file(&server);
        let load = Load::default();
        std::thread::scope(|scope| {
            load.start(scope, &server.ready.address, 4);
            load.wait_for(20);
            for (size, setting) in [(4, "500K"), (2, "400K")] {
                let before = server.children();
                file.write(&format!("workers = {size}\nupload-max = '{setting}'\n"));
                server.signal(Signal::SIGHUP);
                load.wait_for(20);
                server.wait_for_log("reloaded");
                let processes = if pool == "thread" { 1 } else { size };
                server.wait_for_children(|now| {
                    now.len() == processes && now.iter().all(|pid| !before.contains(pid))
                });
            }
            load.stop();
        });
        assert_eq!(server.connect().ask(upload("big", &[7; 450_000]))["code"], "too_large");
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (0, 0));
        assert_eq!(done.sum.requests.errors.too_large, 1);
        let mut done = done;
        done.sum.requests.errors.too_large = 0;
        done.sum.requests.started -= 1;
        load.check(&[&done]);
    }

    fn two_reloads_at_once_reach_every_worker(pool) {
        let settings = |max: &str| format!("workers = 12\nupload-max = '{max}'\n");
        let file = File::new(&settings("1M"));
        let server = file.start(pool);
        let before = server.children();
        for max in ["500K", "400K"] {
            file.write(&settings(max));
            server.signal(Signal::SIGHUP);
            server.wait_for_log("reloading");
        }
        server.wait_for_log("reloaded");
        server.wait_for_children(|now| now.len() == before.len() && now.iter().all(|pid| !before.contains(pid)));
        // Each blocking worker has one of them.
        let mut peers: Vec<_> = (0..12).map(|_| server.connect()).collect();
        for peer in &mut peers {
            peer.send(upload("f", &[7; 450_000]));
        }
        for peer in &mut peers {
            assert_eq!(peer.reply()["code"], "too_large");
        }
        drop(peers);
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (0, 0));
    }

    fn a_slow_client_from_before_one_reload_does_not_keep_its_worker_from_the_next(pool) {
        let file = File::new("workers = 1\n");
        let server = file.start(pool);
        let worker = server.ready.worker_pids[0];
        let idle = sockets(worker);
        let mut slow = server.connect();
        let request = upload("slow", &[7; 1000]);
        let (start, rest) = request.split_at(100);
        slow.send(start);
        let deadline = Instant::now() + DEADLINE;
        while !has_somebody_soon(worker, idle) {
            assert!(Instant::now() < deadline, "nobody has accepted");
        }
        for settings in ["workers = 1\nmax-requests = 1000\n", "workers = 1\nread-only = true\n"] {
            file.write(settings);
            server.signal(Signal::SIGHUP);
            server.wait_for_log("reloaded");
        }
        // Whoever is told to leave may have let somebody in a moment before.
        let deadline = Instant::now() + DEADLINE;
        while server.connect().ask(upload("f", b"x"))["code"] != "unknown_verb" {
            assert!(Instant::now() < deadline, "uploads are accepted for ever");
        }
        // And the slow one is served to its end by whom it had before.
        assert_eq!(slow.send(rest).reply()["size"], 1000);
        drop(slow);
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (0, 0));
    }

    fn at_four_times_the_workers_the_one_that_has_retired_for_the_longest_is_cut(pool) {
        let file = File::new("workers = 1\ndrain-timeout = '100ms'\n");
        let server = file.start(pool);
        let request = upload("slow", &[7; 1000]);
        let (start, rest) = request.split_at(100);
        let mut slow = Vec::new();
        for reload in 1..=4 {
            // Whoever is told to leave may let somebody in a moment before: then the next one is the new worker's.
            let newest = *server.children().last().unwrap();
            let idle = sockets(newest);
            let deadline = Instant::now() + DEADLINE;
            while !has_somebody_soon(newest, idle) {
                assert!(Instant::now() < deadline, "it accepts nobody");
                let mut peer = server.connect();
                peer.send(start);
                slow.push(peer);
            }
            server.signal(Signal::SIGHUP);
            if reload == 4 {
                let line = server.wait_for_log("too many replaced workers");
                let oldest = format!("pid={}", server.ready.worker_pids[0]);
                assert!(line.contains(&oldest), "{line}");
            }
            server.wait_for_log("reloaded");
        }
        assert!(slow[0].try_reply().is_none_or(|reply| reply["code"] == "shutting_down"));
        server.wait_for_children(|now| now.len() == 4);
        // Nobody else is cut.
        let last = slow.last_mut().unwrap();
        assert_eq!(last.send(rest).reply()["size"], 1000);
        drop(slow);
        let (done, code) = server.stop();
        assert!(done.sum.connections.aborted_by_stop >= 1, "{done:#?}");
        assert_eq!((done.crashes, code), (0, 3));
    }

    fn a_file_that_is_wrong_changes_nothing(pool) {
        let file = File::new("workers = 2\n");
        let server = file.start(pool);
        let before = server.children();
        for (wrong, want) in [
            ("workers = 2 3\n", "line 1"),
            ("workers = 0\n", "--workers 0"),
            ("workers = 'many'\n", "--workers"),
            ("wrokers = 2\n", "'wrokers' is no setting"),
        ] {
            file.write(wrong);
            server.signal(Signal::SIGHUP);
            let line = server.wait_for_log(want);
            assert!(line.contains("nothing is reloaded"), "{line}");
            assert_eq!(server.children(), before);
        }
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        let (done, _) = server.stop();
        assert_eq!(done.crashes, 0);
    }

    fn a_setting_that_cannot_change_is_named_and_changes_nothing(pool) {
        let file = File::new("workers = 2\n");
        let server = file.start(pool);
        let before = server.children();
        file.write("workers = 7\nlog-format = 'json'\npidfile = '/nowhere/pid'\n");
        server.signal(Signal::SIGHUP);
        let line = server.wait_for_log("a running server cannot change");
        assert!(line.contains("--pidfile --log-format"), "{line}");
        assert_eq!(server.children(), before);
        server.stop();
    }

    fn the_pool_grows_and_shrinks_under_load_without_a_loss(pool) {
        let server = Server::start(pool, &["--workers", "2"]);
        Load::put_file(&server);
        let load = Load::default();
        std::thread::scope(|scope| {
            load.start(scope, &server.ready.address, 4);
            for (signal, size) in [
                (Signal::SIGTTIN, 3),
                (Signal::SIGTTIN, 4),
                (Signal::SIGTTOU, 3),
                (Signal::SIGTTOU, 2),
                (Signal::SIGTTOU, 1),
            ] {
                load.wait_for(8);
                let before = server.children();
                server.signal(signal);
                server.wait_for_children(|now| {
                    if pool == "thread" { now.len() == 1 && now != before } else { now.len() == size }
                });
            }
            server.signal(Signal::SIGTTOU);
            server.wait_for_log("the pool keeps its size");
            load.wait_for(8);
            load.stop();
        });
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (0, 0));
        load.check(&[&done]);
    }

    fn a_graceful_stop_under_load_loses_nothing(pool) {
        let server = Server::start(pool, &["--workers", "3"]);
        Load::put_file(&server);
        let load = Load::default();
        let address = server.ready.address.clone();
        let (done, code) = std::thread::scope(|scope| {
            load.start(scope, &address, 6);
            load.wait_for(20);
            server.stop()
        });
        assert_eq!((done.sum.connections.aborted_by_stop, code), (0, 0));
        load.check(&[&done]);
    }

    fn worn_out_workers_are_replaced_under_load_without_a_loss(pool) {
        let server = Server::start(pool, &["--workers", "2", "--max-requests", "10"]);
        Load::put_file(&server);
        let load = Load::default();
        std::thread::scope(|scope| {
            load.start(scope, &server.ready.address, 4);
            for _ in 0..3 {
                let before = server.children();
                load.wait_for(20);
                server.wait_for_children(|now| !now.is_empty() && now.iter().all(|pid| !before.contains(pid)));
            }
            load.stop();
        });
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (0, 0));
        assert!(done.workers.iter().all(|worker| worker.generations >= 4), "{done:#?}");
        load.check(&[&done]);
    }
}

/// How many sockets a process has: one for each connection beside those that it began with.
fn sockets(pid: u32) -> usize {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = fds.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// Whether a process has accepted somebody within a moment: it has more sockets than when it was idle.
fn has_somebody_soon(pid: u32, idle: usize) -> bool {
    let deadline = Instant::now() + Duration::from_millis(300);
    while sockets(pid) <= idle {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[test]
fn a_reload_after_the_root_was_replaced_says_that_the_old_folder_is_served() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let server = Server::start_on(&root, "process", &["--workers", "1"]);
    server.put("old", b"content");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    fs::rename(&root, folder.path().join("moved")).unwrap();
    for (state, want) in [("gone", "is gone"), ("another", "is another folder now")] {
        if state == "another" {
            fs::create_dir(&root).unwrap();
        }
        server.signal(Signal::SIGHUP);
        let line = server.wait_for_log(want);
        assert!(
            line.contains("--root") && line.contains("restart"),
            "{line}"
        );
        server.wait_for_log("reloaded");
    }
    let list = server.connect().ask("LIST\r\n");
    assert_eq!(list["data"], serde_json::json!(["old"]));
    server.stop();
}

/// A server whose controlling terminal is ours to close; `launcher` decides what it thinks of HUP.
fn on_a_terminal(launcher: &[&str]) -> (Server, std::os::fd::OwnedFd, TempDir) {
    let root = TempDir::new().unwrap();
    let terminal = nix::pty::openpty(None, None).unwrap();
    let like = command(root.path(), "process", &["--workers", "1"]);
    let mut command = under(&[launcher, &["setsid", "--ctty"]].concat(), &like);
    command.stdin(Stdio::from(terminal.slave));
    (Server::spawn(&mut command), terminal.master, root)
}

#[test]
fn a_server_whose_terminal_is_gone_stops_gracefully_and_reloads_when_told() {
    let (server, terminal, _root) = on_a_terminal(&["env", "--default-signal=HUP"]);
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    drop(terminal);
    server.wait_for_log("the terminal is gone");
    let (done, code) = server.done();
    assert_eq!((done.reason.as_str(), code), ("drained", 0));
}

#[test]
fn a_server_started_to_outlive_its_terminal_does() {
    let (server, terminal, _root) = on_a_terminal(&["env", "--ignore-signal=HUP"]);
    drop(terminal);
    server.wait_for_log("going on");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    assert_eq!(server.stop().1, 0);
}

#[test]
fn a_reload_that_makes_no_worker_is_taken_back() {
    let file = File::new("workers = 2\n");
    let folder = TempDir::new().unwrap();
    // Address space for some threads, and not for some thousand.
    let program = env!("CARGO_BIN_EXE_prefork-server");
    let script = format!(
        "ulimit -v 300000; exec {program} --pool thread --bind 127.0.0.1:0 --root {} --config {}",
        folder.path().display(),
        file.path.display()
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let server = Server::spawn(&mut command);
    let before = server.children();
    file.write("workers = 4000\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("never became ready");
    assert_eq!(server.children(), before);
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    // The settings are the old ones again, for a worker that dies as for a later reload.
    file.write("workers = 3\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    let (done, code) = server.stop();
    assert_eq!(code, 0);
    assert_eq!(done.sum.connections.closed, 1);
}

#[test]
fn check_config_starts_nothing_and_tells_right_from_wrong() {
    let file = File::new("workers = 8\n");
    let check = |want_code: i32, want: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_prefork-server"))
            .args(["--check-config", "--config", file.path.to_str().unwrap()])
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.code(), Some(want_code), "{said}");
        assert!(said.contains(want), "{said}");
        // clap's own frame around its message would be a second one.
        let frames = said.matches("error:").count() + said.matches("try '--help'").count();
        assert_eq!(frames, usize::from(want_code != 0), "{said}");
    };
    check(0, "8 process workers");
    file.write("workers = 'x'\n");
    check(2, "server.toml");
    file.write("pool = 'fibre'\n");
    check(2, "[possible values: process, thread");
    file.write("bind = 5\n");
    check(2, "server.toml: --bind 5: ");
    file.write(&"# much ado\n".repeat(100_000));
    check(2, "larger than a MiB");
    fs::remove_file(&file.path).unwrap();
    check(2, "there is no such file");
    nix::unistd::mkfifo(&file.path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    check(2, "no regular file");
}

#[test]
fn a_congestion_control_that_the_kernel_does_not_have_is_wrong_before_anything_starts() {
    let available =
        fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control").unwrap();
    let root = tempfile::tempdir().unwrap();
    for only_check in [true, false] {
        let output = Command::new(env!("CARGO_BIN_EXE_prefork-server"))
            .args([
                "--congestion",
                "no-such-one",
                "--bind",
                "127.0.0.1:0",
                "--root",
            ])
            .arg(root.path())
            .args(only_check.then_some("--check-config"))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(output.stdout.is_empty());
        for want in ["--congestion", "'no-such-one'", available.trim()] {
            assert!(said.contains(want), "{want}: {said}");
        }
    }
}
