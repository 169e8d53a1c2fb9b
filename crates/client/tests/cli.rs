//! The command line against servers that follow a script.

mod common;

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

#[path = "../../manual/tests/support/handouts.rs"]
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
fn a_listing_is_one_name_a_line() {
    let reply = "{\"status\":\"OK\",\"data\":[\"a.bin\",\"two words\"]}\r\n\r\n";
    let server = Scripted::start(vec![vec![EOL, say(reply)], vec![EOL, say(reply)]]);
    let program = Program::new(&server.name());
    let ran = program.run(&["list"], 0);
    assert_eq!((&ran.out[..], &ran.err[..]), ("a.bin\ntwo words\n", ""));
    let listing = program.run(&["list", "--json"], 0).json().remove(0);
    assert_eq!(listing["names"], json!(["a.bin", "two words"]));
    assert_eq!(listing["truncated"], json!(false));
}

/// A script takes each line for a file of its folder.
#[test]
fn names_that_are_no_file_names_are_not_listed_and_nothing_is_said_that_a_terminal_obeys() {
    for wrong in [
        "../up",
        "/etc/passwd",
        "folder/a",
        "a\\b",
        "..",
        ".hidden",
        "",
        " ",
        "two\nlines",
        "\u{1b}[31mred",
        "\u{202e}gpj.exe",
        "a\0b",
        &"n".repeat(256),
    ] {
        let names = json!(["a.bin", wrong, "b.bin"]);
        let reply =
            json!({"status": "OK", "data": names, "truncated": true}).to_string() + "\r\n\r\n";
        let server = Scripted::start(vec![vec![EOL, say(&reply)]; 3]);
        let program = Program::new(&server.name());
        for args in [&["list"][..], &["list", "--quiet"]] {
            let ran = program.run(args, 1);
            assert_eq!(ran.out, "a.bin\nb.bin\n", "{wrong:?}");
            let wanted = "error: the server lists what is no file name, left out here: '";
            assert!(ran.err.contains(wanted), "{wrong:?}: {}", ran.err);
            let is_visible = |line: &str| line.chars().all(|c| c == ' ' || c.is_ascii_graphic());
            assert!(ran.err.lines().count() == 2 && ran.err.lines().all(is_visible));
        }
        let listing = program.run(&["list", "--json"], 1).json().remove(0);
        assert_eq!(listing["names"], json!(["a.bin", "b.bin"]), "{wrong:?}");
        let (ok, kind) = (&listing["ok"], &listing["error"]["kind"]);
        assert_eq!(
            (ok, kind),
            (&json!(false), &json!("bad_reply")),
            "{wrong:?}"
        );
    }
}

#[test]
fn of_many_names_that_are_none_a_few_are_told() {
    let names: Vec<_> = (0..100).map(|number| format!("../{number}")).collect();
    let reply = json!({"status": "OK", "data": names}).to_string() + "\r\n\r\n";
    let server = Scripted::once(vec![EOL, say(&reply)]);
    let ran = Program::new(&server.name()).run(&["list"], 1);
    let wanted = "error: the server lists what are no file names, left out here: \
                  '../0', '../1', '../2', '../3', '../4' and 95 more\n";
    assert_eq!((&ran.out[..], &ran.err[..]), ("", wanted));
}

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

/// Larger than what the kernel holds between the two: it cannot all be sent to a server that does not read it.
fn write_large(program: &Program, name: &str) {
    let file = fs::File::create(program.folder.path().join(name)).unwrap();
    file.set_len(24 << 20).unwrap();
}

#[test]
fn an_upload_cut_before_its_last_byte_is_stored_by_no_prefork_server_and_maybe_in_part_by_another()
{
    for (case, ending) in [
        ("reset", vec![Act::Reset]),
        ("closed", vec![]),
        (
            "another protocol",
            vec![say("HTTP/1.1 400 Bad Request\r\n\r\n"), Act::HearEnd],
        ),
        (
            "a reply that breaks off",
            vec![say("{\"status\":"), Act::ShutDown, Act::HearEnd],
        ),
        (
            "a confirmation too early",
            vec![say("{\"status\":\"OK\"}\r\n\r\n"), Act::HearEnd],
        ),
    ] {
        let cut = [vec![Act::HearLen(1)], ending.clone()].concat();
        let server = Scripted::start(vec![cut.clone(), cut]);
        let program = Program::new(&server.name());
        write_large(&program, "a");
        let ran = program.run(&["upload", "a"], 4);
        for part in [
            "a prefork-server has not stored it",
            "may have stored what came",
        ] {
            assert!(ran.err.contains(part), "{case}: {}", ran.err);
        }
        let ran = program.run(&["upload", "a", "--json"], 4);
        assert_eq!(
            ran.json()[0]["error"]["fate_unknown"],
            json!(true),
            "{case}"
        );

        // A checksum tells that it is one.
        let first = vec![EOL, say(&upload_reply("b", b"hello")), Act::HearLen(1)];
        let server = Scripted::once([first, ending].concat());
        let program = Program::new(&server.name());
        program.write("b", b"hello");
        write_large(&program, "a");
        let ran = program.run(&["upload", "b", "a"], 1);
        let wanted = "error: a: not stored, it was cut before its last byte was sent: ";
        assert!(ran.err.contains(wanted), "{case}: {}", ran.err);
        assert!(!ran.err.contains("unknown"), "{case}: {}", ran.err);
    }
}

#[test]
fn an_upload_given_up_before_its_last_byte_is_not_stored_either() {
    // Nobody accepts: what fits in the kernel's buffers is taken, and no more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::new(&listener.local_addr().unwrap().to_string());
    write_large(&program, "a");
    let ran = program.run(&["upload", "a", "--timeout", "50ms"], 4);
    assert!(
        ran.err.contains("a prefork-server has not stored it"),
        "{}",
        ran.err
    );
}

#[test]
fn a_failed_download_is_never_called_unknown() {
    let server = Scripted::once(vec![EOL]);
    Program::new(&server.name()).run(&["get", "a"], 1);
}

#[test]
fn an_upload_comes_from_a_pipe() {
    let file = content(300_000);
    let server = Scripted::once(vec![EOL, say(&upload_reply("a", &file))]);
    let program = Program::new(&server.name());
    let mut child = program
        .command(&["upload", "-", "--as", "a"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&file).unwrap();
    check_code(child.wait_with_output().unwrap(), 0);
    assert!(server.heard()[0].text() == format!("UPLOAD a {}\r\n", base64(&file)));
}

/// What becomes of the upload of a large file that is changed while the server takes no more of it.
fn upload_while(change: impl FnOnce(&fs::File)) -> (Ran, common::Heard) {
    let (meet, met) = mpsc::sync_channel(0);
    let server = Scripted::once(vec![Act::HearLen(1), Act::Pause(meet), Act::HearEnd]);
    let program = Program::new(&server.name());
    write_large(&program, "log");
    let path = program.folder.path().join("log");
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let child = program.command(&["upload", "log"]).spawn().unwrap();
    met.recv_timeout(PATIENCE).unwrap();
    change(&file);
    met.recv_timeout(PATIENCE).unwrap();
    let ran = check_code(child.wait_with_output().unwrap(), 1);
    (ran, server.heard().remove(0))
}

#[test]
fn a_file_that_changes_its_length_while_it_is_uploaded_is_an_error_and_not_stored() {
    fn wrote_on(mut file: &fs::File) {
        use std::io::{Seek, SeekFrom};
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"one line more\n").unwrap();
    }
    type Change = fn(&fs::File);
    let changes: [(Change, &str); 3] = [
        (|file| file.set_len(0).unwrap(), "gave only "),
        (
            |file| file.set_len((24 << 20) - 1).unwrap(),
            "gave only 25165823",
        ),
        (wrote_on, "gave more"),
    ];
    for (change, wanted) in changes {
        let (ran, heard) = upload_while(change);
        for part in [
            wanted,
            "log: it had 25165824 bytes",
            "upload it again",
            "another server may have stored what came",
        ] {
            assert!(ran.err.contains(part), "{part}: {}", ran.err);
        }
        assert!(!ran.err.contains("verified"), "{}", ran.err);
        // The end of the request never came, and a reset says that it never will.
        assert!(heard.was_reset && !heard.bytes.ends_with(b"\n"), "{wanted}");
    }
}

#[test]
fn a_file_whose_size_says_nothing_goes_through_a_pipe() {
    let server = Scripted::once(vec![Act::HearEnd]);
    let ran = Program::new(&server.name()).run(&["upload", "/proc/self/status"], 1);
    assert!(ran.err.contains("cat PATH | prefork-client"), "{}", ran.err);
    // Nothing was sent.
    assert!(!ran.err.contains("another server"), "{}", ran.err);
    assert!(server.heard()[0].was_reset);
}

#[test]
fn standard_input_that_was_read_in_part_gives_the_rest() {
    use std::io::{Seek, SeekFrom};
    let server = Scripted::once(vec![EOL, say(&upload_reply("a", b"rest"))]);
    let program = Program::new(&server.name());
    program.write("whole", b"some rest");
    let mut file = fs::File::open(program.folder.path().join("whole")).unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    let mut command = program.command(&["upload", "-", "--as", "a"]);
    check_code(command.stdin(file).output().unwrap(), 0);
}

#[test]
fn an_unreadable_file_does_not_keep_the_others_from_being_sent() {
    let server = Scripted::once(vec![EOL, say(&upload_reply("a", b"hello"))]);
    let program = Program::new(&server.name());
    program.write("a", b"hello");
    fs::create_dir(program.folder.path().join("folder")).unwrap();
    let ran = program.run(&["upload", "missing", "folder", "a"], 1);
    assert!(
        ran.err
            .contains("cannot read missing: no such file or directory"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("it is a folder"), "{}", ran.err);
    assert!(ran.err.contains("1 of 3 files done"), "{}", ran.err);
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
fn what_is_too_long_is_told_with_the_flag_that_allows_more() {
    let file = content(3_000);
    let listing = json!({"status": "OK", "data": vec!["a.bin"; 100]}).to_string() + "\r\n\r\n";
    let file_reply = [EOL, say(&get_reply("a", &file)), Act::HearEnd].to_vec();
    let listing_reply = [EOL, say(&listing), Act::HearEnd].to_vec();
    let server = Scripted::start(vec![
        file_reply.clone(),
        file_reply,
        listing_reply.clone(),
        listing_reply,
    ]);
    let program = Program::new(&server.name());
    let ran = program.run(&["get", "a", "--download-max", "2K"], 1);
    let wanted = "a: the content is longer than 2048 bytes — allow more with --download-max";
    assert!(ran.err.contains(wanted), "{}", ran.err);
    assert!(program.files().is_empty());
    program.run(&["get", "a", "--download-max", "3KB"], 0);
    assert!(program.read("a") == file);
    let ran = program.run(&["list", "--listing-max", "1K"], 1);
    let wanted = "the reply is longer than 1024 bytes — allow more with --listing-max";
    assert!(
        ran.err.contains(wanted) && ran.out.is_empty(),
        "{}",
        ran.err
    );
    program.run(&["list", "--listing-max", "1M"], 0);
    server.heard();
    let ran = program.run(&["list", "--listing-max", "much"], 2);
    assert!(
        ran.err.contains("invalid size 'much': write bytes"),
        "{}",
        ran.err
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
fn a_reader_that_has_seen_enough_is_no_error() {
    let names = vec!["\"a-name-that-fills-the-pipe\""; 100_000].join(",");
    let reply = format!("{{\"status\":\"OK\",\"data\":[{names}]}}\r\n\r\n");
    let server = Scripted::once(vec![EOL, say(&reply)]);
    let mut child = Program::new(&server.name())
        .command(&["list"])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(check_code(child.wait_with_output().unwrap(), 0).err, "");

    let server = Scripted::once(vec![EOL, say(&get_reply("a", &content(1 << 20)))]);
    let mut child = Program::new(&server.name())
        .command(&["get", "a", "-o", "-"])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(check_code(child.wait_with_output().unwrap(), 1).err, "");
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
fn an_interrupted_upload_is_reset_and_not_ended() {
    let (tell, told) = mpsc::channel();
    let server = Scripted::once(vec![Act::HearLen(100_000), Act::Tell(tell), Act::HearEnd]);
    let program = Program::new(&server.name());
    let mut child = program
        .command(&["upload", "-", "--as", "a"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // The pipe stays open: the program waits for more when the signal comes.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&content(96 << 10)).unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    interrupt(&child);
    check_code(child.wait_with_output().unwrap(), 130);
    assert!(server.heard()[0].was_reset);
}

/// A program in whose folder there is a named pipe, started with `args`.
struct Piped {
    program: Program,
    child: Child,
    path: PathBuf,
}

impl Piped {
    fn start(server: &str, args: &[&str]) -> Self {
        let program = Program::new(server);
        let path = program.folder.path().join("pipe");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let child = program.command(args).spawn().unwrap();
        Self {
            program,
            child,
            path,
        }
    }

    /// What `work` on the pipe returns. It waits for the program to open the other end, and not for ever.
    fn in_time<T: Send + 'static>(&self, work: impl FnOnce(&Path) -> T + Send + 'static) -> T {
        let path = self.path.clone();
        in_time(self.child.id(), move || work(&path))
    }

    /// The program's end: its folder holds what it held before.
    fn end(self, wanted_code: i32) {
        let (id, child) = (self.child.id(), self.child);
        let output = in_time(id, move || child.wait_with_output().unwrap());
        check_code(output, wanted_code);
        assert_eq!(self.program.files(), ["pipe"]);
    }

    /// The same after one signal, which must bring it about.
    fn end_by_one_signal(self) {
        interrupt(&self.child);
        self.end(130);
    }
}

/// Kills the program `id` if `work` does not come to its end.
fn in_time<T: Send + 'static>(id: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(work()));
    told.recv_timeout(PATIENCE).unwrap_or_else(|error| {
        let _ = kill(Pid::from_raw(id.cast_signed()), Signal::SIGKILL);
        panic!("{error}");
    })
}

/// Waits until the program's own handling of SIGINT is in force.
fn wait_for_handler(child: &Child) {
    let caught = |status: String| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
        mask & (1 << (Signal::SIGINT as i32 - 1)) != 0
    };
    let deadline = Instant::now() + PATIENCE;
    while !caught(fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap()) {
        assert!(Instant::now() < deadline, "no handler for SIGINT");
        thread::yield_now();
    }
}

#[test]
fn a_signal_ends_the_waiting_for_whoever_reads_or_writes_a_named_pipe() {
    for args in [&["get", "a", "-o", "pipe"][..], &["upload", "pipe"]] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let piped = Piped::start(&server.local_addr().unwrap().to_string(), args);
        wait_for_handler(&piped.child);
        piped.end_by_one_signal();
    }
}

#[test]
fn a_named_pipe_gets_the_whole_download() {
    let file = content(300_000);
    let server = Scripted::once(vec![EOL, say(&get_reply("a", &file))]);
    let piped = Piped::start(&server.name(), &["get", "a", "-o", "pipe"]);
    assert!(piped.in_time(|path| fs::read(path).unwrap()) == file);
    piped.end(0);
}

#[test]
fn a_signal_ends_the_writing_of_a_named_pipe_whose_reader_has_stopped_reading() {
    let reply = get_reply("a", &content(1 << 20));
    let server = Scripted::once(vec![EOL, say(&reply), Act::HearEnd]);
    let piped = Piped::start(&server.name(), &["get", "a", "-o", "pipe"]);
    // With the first byte here, the program is writing what does not fit into a pipe.
    let _reader = piped.in_time(|path| {
        let mut reader = fs::File::open(path).unwrap();
        reader.read_exact(&mut [0]).unwrap();
        reader
    });
    piped.end_by_one_signal();
}

#[test]
fn an_upload_comes_from_a_named_pipe() {
    let file = content(300_000);
    let server = Scripted::once(vec![EOL, say(&upload_reply("pipe", &file))]);
    let piped = Piped::start(&server.name(), &["upload", "pipe"]);
    let request = format!("UPLOAD pipe {}\r\n", base64(&file));
    piped.in_time(move |path| fs::write(path, file).unwrap());
    piped.end(0);
    assert!(server.heard()[0].text() == request);
}

/// Where nothing can be written to standard output, the message says that it was that.
#[test]
fn a_full_standard_output_is_named() {
    let server = Scripted::start(vec![
        vec![EOL, say("{\"status\":\"OK\",\"data\":[\"a\"]}\r\n\r\n")],
        vec![EOL, say("{\"status\":\"OK\",\"data\":[\"a\"]}\r\n\r\n")],
        vec![EOL, say(DELETED)],
    ]);
    let program = Program::new(&server.name());
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["delete", "a", "--json"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = program.command(args).stdout(full).output().unwrap();
        let said = check_code(output, 1).err;
        let want = "error: cannot write to standard output: no space left on device\n";
        assert!(said.ends_with(want), "{args:?}: {said}");
    }
}

/// Nobody would get what was asked for, and the exit code would say that it was done.
#[test]
fn a_standard_output_that_is_closed_is_an_error_for_what_is_written_there_and_nothing_is_asked() {
    // A connection would be a panic: nobody serves it.
    let server = Scripted::start(vec![]);
    let program = Program::new(&server.name());
    program.write("a", b"hello");
    for redirection in [">&-", "1</dev/null"] {
        for args in [
            &["list"][..],
            &["list", "--json"],
            &["get", "a", "-o", "-"],
            &["get", "a", "-o", "/dev/stdout"],
            &["get", "a", "--json"],
            &["upload", "a", "--json"],
            &["delete", "a", "--json"],
            &["man"],
            &["completions", "bash"],
            &["--help"],
            &["--version"],
        ] {
            let ran = check_code(redirected(&program, redirection, args), 1);
            let want =
                "error: cannot write to standard output: it is closed, or open for reading only\n";
            assert_eq!(ran.err, want, "{args:?} {redirection}");
        }
    }
    server.heard();
}

#[test]
fn a_standard_output_that_is_closed_or_thrown_away_disturbs_nothing_that_does_not_need_it() {
    let listing = "{\"status\":\"OK\",\"data\":[\"a\"]}\r\n\r\n";
    let server = Scripted::start(vec![
        vec![EOL, say(&upload_reply("a", b"hello"))],
        vec![EOL, say(DELETED)],
        vec![EOL, say(listing)],
        vec![EOL, say(listing)],
    ]);
    let program = Program::new(&server.name());
    program.write("a", b"hello");
    for (redirection, args) in [
        (">&-", &["upload", "a"][..]),
        (">&-", &["delete", "a"]),
        // As programs do that want nothing of it: for reading and writing.
        ("1<>/dev/null", &["list"]),
        (">/dev/null", &["list"]),
    ] {
        check_code(redirected(&program, redirection, args), 0);
    }
    server.heard();
}

fn redirected(program: &Program, redirection: &str, args: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec \"$0\" \"$@\" {redirection}")])
        .arg(env!("CARGO_BIN_EXE_prefork-client"))
        .args(args)
        .env("PREFORK_SERVER", &program.server)
        .current_dir(program.folder.path())
        .stdin(Stdio::null());
    shell.output().unwrap()
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
