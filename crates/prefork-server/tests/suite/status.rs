//! `prefork-server status`: what it prints, how it watches, and what it says when nobody answers.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::status::Status;
use tempfile::TempDir;

use crate::asking::Admin;
use crate::support::{Server, each_pool};

fn status(socket: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
    command.arg("status").arg(socket).args(args);
    command
}

fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).unwrap()
}

each_pool! {
    fn it_shows_a_row_for_each_worker_and_sums_that_add_up(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "3"]);
        let mut peer = server.connect();
        peer.ask("LIST\r\n");
        peer.ask("GET missing\r\n");
        // Between two requests a blocking worker would have it set aside.
        peer.send("UPLOAD half QUJD");
        admin.wait_for(|it| (it.sum.counts.requests.started, it.sum.counts.requests.in_flight) == (3, 1));
        let output = status(admin.path(), &[]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let shown = text(&output.stdout);
        for want in [
            &format!("pid {}, running for", server.ready.pid),
            &format!("3 {pool} workers wanted, 1 busy"),
            "queue: 0 of",
            "connections: 1 = 1 open",
            "requests: 3 = 1 list + 1 not_found + 1 in hand",
        ] {
            assert!(shown.contains(want), "{want}: {shown}");
        }
        let rows: Vec<&str> = shown.lines().filter(|line| line.contains(" idle ") || line.contains(" busy ")).collect();
        assert_eq!(rows.len(), 3, "{shown}");
        assert_eq!(rows.iter().filter(|row| row.contains(" busy ")).count(), 1, "{shown}");

        let output = status(admin.path(), &["--json"]).output().unwrap();
        let read: Status = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((read.server.pid, read.workers.len()), (server.ready.pid, 3));
        // A stop would wait for its upload.
        drop(peer);
        server.stop();
    }
}

#[test]
fn it_watches_line_after_line_until_the_server_is_gone() {
    let admin = Admin::new();
    let server = admin.start("process", &["--workers", "1"]);
    let mut watching = status(admin.path(), &["--json", "--watch=100ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Status>(&lines.next()?.unwrap()).ok();
    let first = next().unwrap().server.uptime_ms;
    assert!(next().unwrap().server.uptime_ms > first);
    server.stop();
    while next().is_some() {}
    let output = watching.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(admin.arg()), "{output:?}");
}

#[test]
fn on_a_terminal_it_shows_in_place_until_it_is_ended() {
    let admin = Admin::new();
    // More workers than the terminal has rows.
    let server = admin.start("thread", &["--workers", "30"]);
    let mut peer = server.connect();
    peer.send("UPLOAD half QUJD");
    admin.wait_for(|it| it.sum.counts.requests.in_flight == 1);
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).unwrap();
    let mut watching = status(admin.path(), &["--watch=100ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::from(terminal.slave))
        .spawn()
        .unwrap();
    let mut screen = std::fs::File::from(terminal.master);
    let mut shown = String::new();
    let home = "\x1b[H";
    while shown.matches(home).count() < 3 {
        let mut piece = [0; 4096];
        let len = screen.read(&mut piece).unwrap();
        assert!(len > 0, "{shown}");
        shown.push_str(&String::from_utf8_lossy(&piece[..len]));
    }
    let frame = shown.split(home).nth(1).unwrap();
    let lines: Vec<String> = frame.lines().map(without_colours).collect();
    assert_eq!(lines.len(), 24, "{frame}");
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{frame}"
    );
    assert!(lines[0].starts_with("prefork-server"), "{frame}");
    let mut rows = lines.iter();
    assert!(
        rows.any(|line| line.trim_start().starts_with("slot ")),
        "{frame}"
    );
    assert!(rows.next().unwrap().contains(" busy "), "{frame}");
    assert!(lines[22].starts_with("… and "), "{frame}");
    // Not SIGINT, which is ignored in what a shell runs in the background. Without its reader it ends anyway.
    kill(Pid::from_raw(watching.id().cast_signed()), Signal::SIGTERM).unwrap();
    drop(screen);
    watching.wait().unwrap();
    drop(peer);
    server.stop();
}

fn without_colours(line: &str) -> String {
    let codes = ["\x1b[1m", "\x1b[0m", "\x1b[K", "\x1b[J"];
    codes
        .iter()
        .fold(line.to_owned(), |line, code| line.replace(code, ""))
}

fn error_of(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    text(&output.stderr)
}

#[test]
fn when_nobody_answers_it_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let check = |path: &Path, want: &[&str]| {
        let output = status(path, &[]).output().unwrap();
        let said = error_of(&output);
        assert!(want.iter().all(|it| said.contains(it)), "{said}");
    };
    check(
        &folder.path().join("missing"),
        &["no such socket", "--admin"],
    );
    let stale = folder.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    check(&stale, &["nobody listens", "--admin"]);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    check(&file, &["no socket"]);
    // A server of another kind.
    let other = folder.path().join("other");
    let listener = UnixListener::bind(&other).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            // What is left unread would break the connection off before its end.
            assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
            std::io::Write::write_all(&mut stream, b"220 hello\r\n").unwrap();
        });
        check(&other, &["no prefork-server"]);
    });
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_for_ever() {
    let admin = Admin::new();
    let server = admin.start("process", &["--workers", "1"]);
    server.signal(Signal::SIGSTOP);
    let output = status(admin.path(), &[]).output().unwrap();
    server.signal(Signal::SIGCONT);
    assert!(
        error_of(&output).contains("no answer within 5s"),
        "{output:?}"
    );
    server.stop();
}

#[test]
fn another_user_is_told_who_may_ask() {
    let admin = Admin::new();
    let server = admin.start("process", &["--workers", "1"]);
    // Run from its descriptor: another user may not reach the folder that the program is in.
    let program = OwnedFd::from(fs::File::open(env!("CARGO_BIN_EXE_prefork-server")).unwrap());
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg("status").arg(admin.path());
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    } else {
        // Whom a file belongs to, it can still be closed to.
        fs::set_permissions(admin.path(), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let output = command.output().unwrap();
    assert!(
        error_of(&output).contains("only the user that the server runs as"),
        "{output:?}"
    );
    server.stop();
}

#[test]
fn it_is_a_command_apart_from_the_servers_flags() {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
        command.args(args).output().unwrap()
    };
    let help = run(&["--help"]);
    assert!(text(&help.stdout).contains("status"), "{help:?}");
    let help = run(&["status", "--help"]);
    assert!(text(&help.stdout).contains("--watch"), "{help:?}");
    let mixed = run(&["--workers", "3", "status", "/x"]);
    assert_eq!(mixed.status.code(), Some(2), "{mixed:?}");
    // No key of a configuration file.
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("server.toml");
    fs::write(&config, "status = '/x'\n").unwrap();
    let output = run(&["--check-config", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("'status' is no setting"),
        "{output:?}"
    );
    let server = Server::start(
        "process",
        &["--admin", folder.path().join("a").to_str().unwrap()],
    );
    server.stop();
}
