//! `--ready`: JSON for programs, a sentence for people, and which of the two without the flag.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::announce::Announcement;
use tempfile::TempDir;

/// The two lines of a server that is stopped as soon as it is ready; its standard output is `stdout`, read by `reader`.
fn lines(args: &[&str], stdout: Stdio, reader: Option<File>) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_prefork-server"))
        .args(["--bind", "127.0.0.1:0", "--workers", "1", "--allow-root"])
        .arg("--root")
        .arg(folder.path())
        .args(args)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let piped = server.stdout.take();
    let reader: Box<dyn Read> = match reader {
        Some(terminal) => Box::new(terminal),
        None => Box::new(piped.unwrap()),
    };
    let mut said = BufReader::new(reader).lines();
    let mut lines = vec![said.next().unwrap().unwrap()];
    kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGTERM).unwrap();
    // A terminal that nobody has any more ends with an error.
    lines.extend(said.map_while(Result::ok));
    assert!(server.wait().unwrap().success(), "{lines:?}");
    lines
}

fn on_a_terminal(args: &[&str]) -> Vec<String> {
    let size = nix::pty::Winsize {
        ws_row: 24,
        ws_col: 200,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).unwrap();
    let reader = File::from(terminal.master);
    lines(args, Stdio::from(terminal.slave), Some(reader))
}

fn in_a_pipe(args: &[&str]) -> Vec<String> {
    lines(args, Stdio::piped(), None)
}

fn check_sentences(lines: &[String]) {
    assert_eq!(lines.len(), 2, "{lines:?}");
    let (ready, done) = (&lines[0], &lines[1]);
    assert!(
        ready.starts_with("ready: /") && ready.contains(", 1 process worker, pid "),
        "{ready}"
    );
    assert_eq!(
        done.trim_end(),
        "drained: 0 connections, 0 requests, 0 errors, 0 crashes; all accounted for"
    );
}

fn check_json(lines: &[String]) {
    assert_eq!(lines.len(), 2, "{lines:?}");
    let read = |line: &String| Announcement::from_line(line.trim_end()).unwrap();
    assert!(matches!(read(&lines[0]), Announcement::Ready(_)));
    assert!(matches!(read(&lines[1]), Announcement::Done(_)));
}

#[test]
fn on_a_terminal_people_read_sentences_and_in_a_pipe_programs_read_json() {
    check_sentences(&on_a_terminal(&[]));
    check_json(&in_a_pipe(&[]));
}

#[test]
fn either_can_be_asked_for_anywhere() {
    check_json(&on_a_terminal(&["--ready", "json"]));
    check_sentences(&in_a_pipe(&["--ready", "text"]));
}
