//! `--log-file`: log lines of all processes in one file, which can be moved away and opened anew.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::User;
use tempfile::TempDir;

use crate::asking::Admin;
use crate::support::{DEADLINE, Server, command, each_pool, is_root};

each_pool! {
    fn log_lines_go_to_the_file_and_to_a_new_one_when_told_so(pool) {
        let folder = TempDir::new().unwrap();
        let [path, old] = ["server.log", "server.log.1"].map(|name| folder.path().join(name));
        let args = ["--log-file", path.to_str().unwrap(), "--log-level", "debug", "--workers", "2"];
        let mut server = Server::start(pool, &args);
        assert_eq!(server.ready.settings.log_file, Some(path.display().to_string()));
        wait_for(&path, "INFO ready");
        server.connect().ask("GET one\r\n");
        wait_for(&path, "request refused");
        fs::rename(&path, &old).unwrap();
        server.signal(Signal::SIGUSR1);
        wait_for(&path, "reopened");
        // The workers change over with their next line.
        for _ in 0..4 {
            server.connect().ask("LIST\r\n");
        }
        // A line comes after its answer.
        wait_until(&path, |text| text.matches("request served").count() == 4);
        server.kill_worker(server.children()[0], Signal::SIGKILL);
        wait_for(&path, "worker died");
        server.connect().ask("DELETE two\r\n");
        server.signal(Signal::SIGTERM);
        server.done_in_place();

        let count = |path: &Path, text: &str| read(path).matches(text).count();
        assert_eq!((count(&old, "request refused"), count(&old, "request served")), (1, 0));
        assert_eq!((count(&path, "request refused"), count(&path, "request served")), (1, 4));
        assert!(read(&path).ends_with("no connection was cut\n"));
        // Nobody else was told anything, once the server was set up.
        let elsewhere = server.rest_of_log();
        assert!(!elsewhere.iter().any(|line| line.contains("ready") || line.contains("request")), "{elsewhere:?}");
    }

    fn a_file_that_cannot_be_opened_anew_leaves_the_old_one_in_use(pool) {
        let folder = TempDir::new().unwrap();
        let [path, old] = ["server.log", "server.log.1"].map(|name| folder.path().join(name));
        let args = ["--log-file", path.to_str().unwrap(), "--log-level", "debug"];
        let server = Server::start(pool, &args);
        fs::rename(&path, &old).unwrap();
        fs::create_dir(&path).unwrap();
        server.signal(Signal::SIGUSR1);
        wait_for(&old, "cannot reopen this file");
        server.connect().ask("LIST\r\n");
        wait_for(&old, "request served");
        let (_, code) = server.stop();
        assert_eq!(code, 0);
    }

    fn a_log_that_cannot_be_written_fails_nothing(pool) {
        let server = Server::start(pool, &["--log-file", "/dev/full", "--log-level", "trace"]);
        let mut peer = server.connect();
        for _ in 0..10 {
            assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
        }
        drop(peer);
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.ok.list, done.crashes, code), (10, 0, 0));
    }

    fn they_are_opened_anew_though_neither_parent_nor_worker_is_root_and_workers_are_confined(pool) {
        if !is_root() {
            return;
        }
        let folder = TempDir::new().unwrap();
        let nobody = User::from_name("nobody").unwrap().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("root")] {
            let _ = fs::create_dir(&path);
            chown(&path, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
        }
        let [log, access] = ["server.log", "access.log"].map(|name| folder.path().join(name));
        let args = [
            "--user", "nobody", "--workers", "2", "--log-level", "debug",
            "--log-file", log.to_str().unwrap(), "--access-log", access.to_str().unwrap(),
        ];
        let server = Server::start_on(&folder.path().join("root"), pool, &args);
        for round in 0..3 {
            for path in [&log, &access] {
                fs::rename(path, path.with_extension(round.to_string())).unwrap();
            }
            server.signal(Signal::SIGUSR1);
            wait_until(&log, |text| text.matches("reopened").count() == 2);
            for _ in 0..4 {
                assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
            }
            wait_until(&log, |text| text.matches("request served").count() == 4);
            wait_until(&access, |text| text.lines().count() == 4);
        }
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.ok.list, done.sum.requests.unlogged, done.crashes, code), (12, 0, 0, 0));
    }
}

#[test]
fn whoever_starts_a_server_that_cannot_start_is_told_why_all_the_same() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("server.log");
    let running = Server::start("process", &[]);
    let root = TempDir::new().unwrap();
    let args = [
        "--log-file",
        path.to_str().unwrap(),
        "--bind",
        &running.ready.address,
    ];
    let output = crate::support::command(root.path(), "process", &args)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--bind"), "{text}");
}

/// A pipe with a name: whoever reads it may come and go.
#[test]
fn a_log_that_is_a_fifo_needs_a_reader_at_the_start_and_none_later() {
    let folder = TempDir::new().unwrap();
    let [log, access] = ["log", "access"].map(|name| folder.path().join(name));
    for path in [&log, &access] {
        nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
    }
    let [log_arg, access_arg] = [&log, &access].map(|path| path.to_str().unwrap());
    for flag in ["--log-file", "--access-log"] {
        let root = TempDir::new().unwrap();
        let path = if flag == "--log-file" {
            log_arg
        } else {
            access_arg
        };
        let refused = command(root.path(), "process", &[flag, path])
            .output()
            .unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(
            said.contains(flag) && said.contains("start its reader first"),
            "{said}"
        );
    }
    let admin = Admin::new();
    let read_both = || [&log, &access].map(|path| open_to_read(path));
    let mut readers = read_both();
    let args = [
        "--workers",
        "1",
        "--log-level",
        "debug",
        "--log-file",
        log_arg,
        "--access-log",
        access_arg,
    ];
    let server = admin.start("event", &args);
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    wait_for_line(&mut readers[0], "request served");
    wait_for_line(&mut readers[1], "\"verb\":\"list\"");
    drop(readers);
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    let unlogged = |status: &proto::status::Status| status.sum.counts.requests.unlogged;
    admin.wait_for(|status| unlogged(status) == 1 && status.server.log_lines_lost > 0);
    // It cannot be opened anew without a reader, and is kept.
    server.signal(Signal::SIGUSR1);
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    admin.wait_for(|status| unlogged(status) == 2);
    let mut readers = read_both();
    assert_eq!(server.connect().ask("GET none\r\n")["code"], "not_found");
    wait_for_line(&mut readers[0], "request refused");
    wait_for_line(&mut readers[1], "\"verb\":\"get\"");
    let (done, code) = server.stop();
    assert_eq!((done.sum.requests.unlogged, done.crashes, code), (2, 0, 0));
}

/// One that the user who writes it may not open is told so, with the cure.
#[test]
fn a_fifo_of_another_user_is_refused_with_what_to_do() {
    if !is_root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("log");
    nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
    let _reader = open_to_read(&fifo);
    let root = TempDir::new().unwrap();
    let args = ["--user", "nobody", "--log-file", fifo.to_str().unwrap()];
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = command(root.path(), "process", &args).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("--log-file") && said.contains("chown nobody"),
        "{said}"
    );
}

/// Without waiting for a writer.
fn open_to_read(fifo: &Path) -> BufReader<fs::File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    BufReader::new(fs::File::from(
        nix::fcntl::open(fifo, flags, Mode::empty()).unwrap(),
    ))
}

fn wait_for_line(reader: &mut BufReader<fs::File>, text: &str) {
    let deadline = Instant::now() + DEADLINE;
    let mut said = String::new();
    while !said.contains(text) {
        assert!(Instant::now() < deadline, "no '{text}' in {said}");
        // Nothing yet is an error here.
        let _ = reader.read_line(&mut said);
        std::thread::yield_now();
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Waits until a file has `text` in it.
fn wait_for(path: &Path, text: &str) {
    wait_until(path, |content| content.contains(text));
}

fn wait_until(path: &Path, is_right: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_right(&read(path)) {
        assert!(
            Instant::now() < deadline,
            "{path:?} has only {}",
            read(path)
        );
        std::thread::yield_now();
    }
}
