//! Standard output and standard error that are full or gone: no run is lost by them, and exit codes hold.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

use tempfile::TempDir;

/// A stream on which every write fails for want of space.
fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full")
        .into()
}

/// A pipe that nobody reads any more.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn stress(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A run of two rows in `out`.
fn two_rows(out: &Path) -> Command {
    let mut command = stress(&["--op", "download", "--size", "1K", "--clients", "1,5"]);
    command.args(["--servers", "1", "--timeout", "30s"]);
    command.arg("--out").arg(out).arg("--work-dir").arg(out);
    command
}

fn end(command: &mut Command, stdout: Stdio, stderr: Stdio) -> ExitStatus {
    let command = command.stdout(stdout).stderr(stderr);
    command.status().expect("stress runs")
}

fn errors(command: &mut Command, stdout: Stdio) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.stdout(stdout).output().expect("stress runs");
    (status.code(), String::from_utf8(stderr).expect("UTF-8"))
}

/// The same with its standard output closed.
fn closed(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" >&-", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

fn assert_whole(out: &Path) {
    let run = out.join("latest");
    for name in ["summary.csv", "run.json", "report.html", "table.xlsx"] {
        assert!(run.join(name).is_file(), "{name} is missing");
    }
    let table = fs::read_to_string(run.join("summary.csv")).unwrap();
    assert_eq!(table.matches(",1,1,ok,").count(), 2, "{table}");
}

#[test]
fn a_run_goes_on_when_nobody_can_be_told_how_it_goes() {
    for stderr in [full(), gone()] {
        let out = TempDir::new().unwrap();
        let status = end(&mut two_rows(out.path()), Stdio::null(), stderr);
        assert_eq!(status.code(), Some(0), "{status}");
        assert_whole(out.path());
    }
    let out = TempDir::new().unwrap();
    let status = end(&mut two_rows(out.path()), gone(), gone());
    assert_eq!(status.code(), Some(0), "{status}");
    assert_whole(out.path());
}

#[test]
fn a_table_that_cannot_be_printed_is_an_error_after_every_file_is_written() {
    let out = TempDir::new().unwrap();
    let (code, said) = errors(&mut two_rows(out.path()), full());
    assert_eq!(code, Some(1), "{said}");
    let words = "error: cannot write to standard output: No space left on device";
    assert!(said.contains(words), "{said}");
    assert_whole(out.path());
    let out = TempDir::new().unwrap();
    let (code, said) = errors(&mut closed(&two_rows(out.path())), Stdio::null());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("standard output: it is closed"), "{said}");
    assert_whole(out.path());
}

#[test]
fn results_that_do_not_arrive_are_an_error_and_a_reader_that_has_seen_enough_is_none() {
    let out = TempDir::new().unwrap();
    two_rows(out.path()).output().expect("stress runs");
    let run = out.path().join("latest");
    let run = run.to_str().unwrap();
    let asked: [&[&str]; 8] = [
        &["show", run],
        &["show", run, "--json"],
        &["report", run, "--out", run],
        &["verify", run],
        &["explain", run, "1"],
        &["--dry-run"],
        &["--help"],
        &["man"],
    ];
    for args in asked {
        let (code, said) = errors(&mut stress(args), full());
        assert_eq!(code, Some(1), "{args:?}: {said}");
        assert!(
            said.contains("cannot write to standard output: No space"),
            "{args:?}: {said}"
        );
        let (code, said) = errors(&mut stress(args), gone());
        assert_eq!(code, Some(0), "{args:?}: {said}");
        assert!(!said.contains("error"), "{args:?}: {said}");
        let (code, said) = errors(&mut closed(&stress(args)), Stdio::null());
        assert_eq!(code, Some(1), "{args:?}: {said}");
        let words = "cannot write to standard output: it is closed, or open for reading only";
        assert!(said.contains(words), "{args:?}: {said}");
        let status = end(&mut stress(args), Stdio::null(), full());
        assert_eq!(status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn exit_codes_hold_when_the_reason_cannot_be_said() {
    let out = TempDir::new().unwrap();
    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    let check = |command: &mut Command, code: i32| {
        for stderr in [full(), gone()] {
            let status = end(command, Stdio::null(), stderr);
            assert_eq!(status.code(), Some(code), "{command:?}");
        }
    };
    check(&mut stress(&["--nonsense"]), 2);
    check(&mut stress(&["show", "/nonexistent"]), 2);
    check(&mut stress(&["verify", "/nonexistent"]), 2);
    check(&mut stress(&["--out", file.to_str().unwrap()]), 2);
    let never = ["--fail-on", "clients_ok>0"];
    check(two_rows(out.path()).args(never), 4);
}
