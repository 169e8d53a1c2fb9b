//! The command line against servers that follow a script.

#[path = "../common/mod.rs"]
mod common;
mod listings;
mod pipes;
mod standard_output;
mod uploads;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};
use tempfile::TempDir;

use common::{Act, PATIENCE, Scripted, base64, content, get_reply, say, upload_reply};

#[path = "../../../cli-kit/tests/support/handouts.rs"]
mod handouts;

const PROGRAM: handouts::Program = handouts::Program(env!("CARGO_BIN_EXE_prefork-client"));

/// The program, in a folder of its own.
struct Program {
    folder: TempDir,
    server: String,
}

impl Program {
    fn new(server: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            server: server.to_owned(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-client"));
        command
            .env("PREFORK_SERVER", &self.server)
            .current_dir(self.folder.path())
            .args(args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn run(&self, args: &[&str], wanted_code: i32) -> Ran {
        check_code(self.command(args).output().unwrap(), wanted_code)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).unwrap()
    }

    /// Hidden ones too.
    fn files(&self) -> Vec<String> {
        names(self.folder.path())
    }
}

struct Ran {
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[track_caller]
fn check_code(output: Output, wanted_code: i32) -> Ran {
    let [out, err] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(
        output.status.code(),
        Some(wanted_code),
        "stdout: {out}\nstderr: {err}"
    );
    Ran { out, err }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
}

const EOL: Act = Act::Hear("\r\n");
const NOT_FOUND: &str =
    "{\"status\":\"ERROR\",\"data\":\"no such file\",\"code\":\"not_found\"}\r\n\r\n";
const DELETED: &str = "{\"status\":\"OK\",\"message\":\"a has been deleted\"}\r\n\r\n";

#[test]
fn a_servers_words_are_nothing_a_terminal_obeys() {
    let reply = "{\"status\":\"ERROR\",\"data\":\"\\u001b[2J\",\"code\":\"\\u0007\"}\r\n\r\n";
    let server = Scripted::once(vec![EOL, say(reply)]);
    let ran = Program::new(&server.name()).run(&["delete", "a"], 1);
    assert!(ran.err.contains("\\u{1b}[2J"), "{}", ran.err);
    assert!(!ran.err.contains(['\u{1b}', '\u{7}']), "{}", ran.err);
}

#[test]
fn several_files_come_over_one_connection_and_a_failure_does_not_stop_them() {
    let (one, three) = (content(200_000), content(7));
    let server = Scripted::once(vec![
        Act::Hear("GET one\r\n"),
        say(&get_reply("one", &one)),
        Act::Hear("GET two\r\n"),
        say(NOT_FOUND),
        Act::Hear("GET three\r\n"),
        say(&get_reply("three", &three)),
        Act::HearEnd,
    ]);
    let program = Program::new(&server.name());
    fs::create_dir(program.folder.path().join("to")).unwrap();
    let ran = program.run(&["get", "one", "two", "three", "-o", "to"], 1);
    assert!(ran.err.contains("2 of 3 files done"), "{}", ran.err);
    assert!(
        ran.err.contains("two: refused: no such file (not_found)"),
        "{}",
        ran.err
    );
    assert_eq!(names(&program.folder.path().join("to")), ["one", "three"]);
    assert!(program.read("to/one") == one && program.read("to/three") == three);
    server.heard();
}

#[test]
fn each_file_is_one_json_object() {
    let acts = vec![EOL, say(&get_reply("a", b"hello")), EOL, say(NOT_FOUND)];
    let server = Scripted::once(acts);
    let ran = Program::new(&server.name()).run(&["get", "a", "b", "--json"], 1);
    let wanted = [
        json!({"name": "a", "operation": "get", "ok": true, "size": 5, "crc32": "3610a686",
            "verified": true, "error": null}),
        json!({"name": "b", "operation": "get", "ok": false, "size": null, "crc32": null,
            "verified": null, "error": {"kind": "refused", "code": "not_found",
            "message": "no such file", "fate_unknown": false}}),
    ];
    assert_eq!(ran.json(), wanted);
    assert_eq!(ran.err, "");
}

#[test]
fn a_local_file_is_not_overwritten_unless_forced() {
    let server = Scripted::once(vec![EOL, say(&get_reply("a", b"new"))]);
    let program = Program::new(&server.name());
    program.write("a", b"old");
    let ran = program.run(&["get", "a"], 1);
    assert!(ran.err.contains("--force"), "{}", ran.err);
    assert_eq!(program.read("a"), b"old");
    program.run(&["get", "a", "--force"], 0);
    assert_eq!(program.read("a"), b"new");
    assert_eq!(program.files(), ["a"]);
}

#[test]
fn a_download_may_go_to_standard_output() {
    let file = content(300_000);
    let server = Scripted::once(vec![EOL, say(&get_reply("a", &file))]);
    let program = Program::new(&server.name());
    let output = program.command(&["get", "a", "-o", "-"]).output().unwrap();
    assert!(output.status.success() && output.stdout == file);
    assert!(program.files().is_empty());
}

#[test]
fn a_device_is_written_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let server = Scripted::once(vec![EOL, say(&get_reply("a", b"hello"))]);
    Program::new(&server.name()).run(&["get", "a", "-o", "/dev/null"], 0);
    assert!(
        fs::metadata("/dev/null")
            .unwrap()
            .file_type()
            .is_char_device()
    );
}

#[test]
fn what_is_wrong_or_incomplete_leaves_no_file() {
    let whole = get_reply("a", &content(100_000));
    let wrong = format!(
        "{{\"status\":\"OK\",\"data_file\":\"{}\",\"crc32\":\"00000000\"}}\r\n\r\n",
        base64(b"hello")
    );
    for reply in [&whole[..whole.len() - 1], &whole[..70_000], &wrong] {
        let server = Scripted::once(vec![EOL, say(reply)]);
        let program = Program::new(&server.name());
        program.run(&["get", "a"], 1);
        assert!(program.files().is_empty());
    }
}

#[test]
fn a_server_that_closes_after_each_reply_is_connected_to_anew() {
    for verb in ["upload", "delete"] {
        let reply = |name| match verb {
            "upload" => upload_reply(name, b"hello"),
            _ => DELETED.to_owned(),
        };
        let scripts =
            ["a", "b", "c"].map(|name| vec![EOL, Act::SayAndClose(reply(name).into_bytes())]);
        let server = Scripted::start(scripts.to_vec());
        let program = Program::new(&server.name());
        for name in ["a", "b", "c"] {
            program.write(name, b"hello");
        }
        program.run(&[verb, "a", "b", "c"], 0);
        server.heard();
    }
}

#[test]
fn a_download_is_asked_for_again_when_the_connection_turns_out_to_be_closed() {
    let server = Scripted::start(vec![
        vec![EOL, say(&get_reply("a", b"hello")), EOL],
        vec![Act::Hear("GET b\r\n"), say(&get_reply("b", b"world"))],
    ]);
    let program = Program::new(&server.name());
    program.run(&["get", "a", "b"], 0);
    assert_eq!(program.read("b"), b"world");
    server.heard();
}

#[test]
fn an_upload_that_may_be_stored_is_not_sent_again_but_reported() {
    let server = Scripted::start(vec![
        vec![EOL, say(&upload_reply("a", b"hello")), EOL],
        vec![
            Act::Hear("UPLOAD c aGVsbG8=\r\n"),
            say(&upload_reply("c", b"hello")),
        ],
    ]);
    let program = Program::new(&server.name());
    for name in ["a", "b", "c"] {
        program.write(name, b"hello");
    }
    let ran = program.run(&["upload", "a", "b", "c"], 4);
    assert!(
        ran.err.contains("error: b: unknown, it may or may not"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("unknown:   b\n"), "{}", ran.err);
    assert!(ran.err.contains("done:      a, c\n"), "{}", ran.err);
    server.heard();
}

#[test]
fn a_delete_that_may_be_done_is_reported_as_unknown() {
    let server = Scripted::once(vec![EOL]);
    let ran = Program::new(&server.name()).run(&["delete", "a", "--json"], 4);
    let error = &ran.json()[0]["error"];
    assert_eq!(
        (&error["kind"], &error["fate_unknown"]),
        (&json!("eof"), &json!(true))
    );
}

#[test]
fn a_failed_download_is_never_called_unknown() {
    let server = Scripted::once(vec![EOL]);
    Program::new(&server.name()).run(&["get", "a"], 1);
}

#[test]
fn nobody_listening_is_told_with_a_remedy() {
    let program = Program::new("127.0.0.1:1");
    let ran = program.run(&["get", "a", "b"], 3);
    let wanted = "cannot connect to 127.0.0.1:1: connection refused — is the server running? start one \
                  with `prefork-server`, or name another with --server HOST:PORT";
    assert!(ran.err.contains(wanted), "{}", ran.err);
    assert!(ran.err.contains("not tried: b"), "{}", ran.err);
    assert!(program.files().is_empty());
    let ran = program.run(&["upload", "--json", env!("CARGO_MANIFEST_PATH")], 3);
    assert_eq!(ran.json()[0]["error"]["kind"], "connect");
}

#[test]
fn a_silent_server_is_given_up_with_a_remedy() {
    let server = Scripted::once(vec![EOL, Act::HearEnd]);
    let ran = Program::new(&server.name()).run(&["list", "--timeout", "50ms"], 1);
    assert!(
        ran.err.contains("50ms") && ran.err.contains("--timeout"),
        "{}",
        ran.err
    );
    server.heard();
}

#[test]
fn another_protocol_is_recognised() {
    let server = Scripted::once(vec![EOL, say("HTTP/1.1 400 Bad Request\r\n\r\n")]);
    let ran = Program::new(&server.name()).run(&["list", "--json"], 1);
    let listing = &ran.json()[0];
    assert_eq!(listing["error"]["kind"], "bad_reply");
    assert!(
        listing["error"]["message"]
            .as_str()
            .unwrap()
            .contains("HTTP/1.1"),
        "{listing}"
    );
}

#[test]
fn the_terminator_is_sent_as_chosen() {
    let reply = say("{\"status\": \"OK\", \"data\": []}\r\n\r\n");
    let server = Scripted::once(vec![Act::Hear("LIST\r\n\r\n"), reply]);
    Program::new(&server.name()).run(&["list", "--terminator", "crlfcrlf"], 0);
}

#[test]
fn wrong_usage_is_told_before_anything_is_sent() {
    fn check(program: &Program, args: &[&str], wanted: &str) {
        let ran = program.run(args, 2);
        assert!(ran.err.contains(wanted), "{args:?}: {}", ran.err);
    }
    let program = Program::new("127.0.0.1:1");
    program.write(".hidden", b"");
    program.write("a", b"");
    check(&program, &["upload", ".hidden"], "--as NAME");
    check(
        &program,
        &["upload", ".hidden"],
        "must not start with a dot",
    );
    check(&program, &["upload", "-"], "--as NAME");
    check(&program, &["upload", "a", "a", "--as", "b"], "--as");
    check(&program, &["upload", "a", "./a"], "both be stored as 'a'");
    check(&program, &["upload", "a", "--as", "b/c"], "slash");
    check(&program, &["get", "../a"], "must not start with a dot");
    check(&program, &["get", "a", "b", "-o", "-"], "folder");
    check(&program, &["get", "a", "b", "-o", "a"], "folder");
    check(&program, &["get", "b", "-o", "missing/"], "mkdir -p");
    check(&program, &["get", "b", "-o", "-", "--json"], "--json");
    check(&program, &["--server", "::1", "list"], "[::1]");
    check(&program, &["--timeout", "5", "list"], "30s");
    check(&program, &["--terminator", "cr", "list"], "crlfcrlf");
    assert_eq!(program.files(), [".hidden", "a"]);
}

/// The server's address is in the environment here, and need not be given.
#[test]
fn what_need_not_be_given_is_not_shown_as_if_it_had_to_be() {
    let program = Program::new("127.0.0.1:1");
    for (command, wanted) in [
        ("get", "get [OPTIONS] <NAME>..."),
        ("download", "get [OPTIONS] <NAME>..."),
        ("upload", "upload [OPTIONS] <PATH>..."),
        ("delete", "delete [OPTIONS] <NAME>..."),
        ("completions", "completions [OPTIONS] <SHELL>"),
    ] {
        let ran = program.run(&[command], 2);
        let wanted = format!("\nUsage: prefork-client {wanted}\n");
        assert!(ran.err.contains(&wanted), "{command}: {}", ran.err);
        assert!(
            program.run(&[command, "--help"], 0).out.contains(&wanted),
            "{command}"
        );
    }
}

#[test]
fn the_help_names_every_exit_code_and_default() {
    let ran = Program::new("").run(&["--help"], 0);
    for wanted in [
        "\n  0 ",
        "\n  1 ",
        "\n  2 ",
        "\n  3 ",
        "\n  4 ",
        "\n  130 ",
        "127.0.0.1:46666",
        "60s",
    ] {
        assert!(ran.out.contains(wanted), "{wanted}");
    }
}

#[test]
fn quiet_says_nothing_of_what_went_well() {
    let acts = vec![
        EOL,
        say(&get_reply("a", b"hello")),
        EOL,
        say(&get_reply("b", b"hello")),
    ];
    let server = Scripted::once(acts);
    let ran = Program::new(&server.name()).run(&["get", "a", "b", "--quiet"], 0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
}

#[test]
fn an_interrupted_download_leaves_no_file() {
    let (tell, told) = mpsc::channel();
    let reply = get_reply("a", &content(1 << 20));
    let acts = vec![EOL, say(&reply[..500_000]), Act::Tell(tell), Act::HearEnd];
    let server = Scripted::once(acts);
    let program = Program::new(&server.name());
    let child = program.command(&["get", "a", "b"]).spawn().unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    interrupt(&child);
    let ran = check_code(child.wait_with_output().unwrap(), 130);
    assert!(ran.err.contains("a: interrupted"), "{}", ran.err);
    assert!(ran.err.contains("not tried: b"), "{}", ran.err);
    assert!(program.files().is_empty());
    server.heard();
}

#[test]
fn an_interrupt_ends_the_waiting_for_a_reply() {
    let (tell, told) = mpsc::channel();
    let server = Scripted::once(vec![EOL, Act::Tell(tell), Act::HearEnd]);
    let program = Program::new(&server.name());
    program.write("a", b"hello");
    let child = program.command(&["upload", "a", "--json"]).spawn().unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    interrupt(&child);
    let ran = check_code(child.wait_with_output().unwrap(), 130);
    let error = &ran.json()[0]["error"];
    assert_eq!(
        (&error["kind"], &error["fate_unknown"]),
        (&json!("interrupted"), &json!(true))
    );
}

#[test]
fn bash_completes_what_it_may_be_told() {
    let folder = tempfile::tempdir().unwrap();
    let check = |words: &[&str], want: &[&str]| {
        PROGRAM.check_completion(folder.path(), words, want);
    };
    check(&["--terminator", ""], &["crlf", "crlfcrlf", "lf", "none"]);
    check(&["up"], &["upload"]);
    check(&["get", "--f"], &["--force", "--fsync"]);
    // Nothing of the program's own: bash offers files then.
    check(&["upload", ""], &[]);
    check(&["upload", "--a"], &["--as"]);
    check(&["--timeout", ""], &[]);
    check(&["completions", "z"], &["zsh"]);
}

#[test]
fn the_scripts_and_the_manual_are_printed_whole_or_not_at_all() {
    PROGRAM.check_scripts();
    PROGRAM.check_ends();
}

#[test]
fn the_manual_tells_every_flag_and_renders_without_a_warning() {
    PROGRAM.check_manual(&[
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "COMMANDS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "EXAMPLES",
        "SEE ALSO",
    ]);
    PROGRAM.check_rendering();
}

#[test]
fn exit_codes_hold_though_nobody_can_read_why() {
    // Nobody listens there.
    let program = Program::new("127.0.0.1:1");
    program.write("f", b"content");
    for args in [
        &["list"][..],
        &["get", "f"],
        &["upload", "f"],
        &["delete", "f", "g"],
    ] {
        let full = fs::File::create("/dev/full").unwrap();
        let told = program.command(args).output().unwrap();
        let untold = program.command(args).stderr(full).status().unwrap();
        assert_eq!(untold.code(), told.status.code(), "{args:?}");
        assert_ne!(untold.code(), Some(101), "{args:?}");
    }
}
