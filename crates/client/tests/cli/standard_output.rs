//! Standard output that is full, closed, or read no further.

use super::*;

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
