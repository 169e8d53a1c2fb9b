//! What operators get wrong: each mistake ends the start with the flag or the file in the message and what to do about
//! it, and with no name or number of the kernel's.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::stat::Mode;
use tempfile::TempDir;

use crate::support::Server;

/// A folder with everything that a flag may wrongly point at.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let ground = Self(TempDir::new().unwrap());
        std::fs::create_dir(ground.at("root")).unwrap();
        std::fs::write(ground.at("file"), "no TOML at all").unwrap();
        std::fs::write(ground.at("key.toml"), "wrokers = 3\n").unwrap();
        std::fs::write(ground.at("value.toml"), "receive-buffer = '4G'\n").unwrap();
        nix::unistd::mkfifo(&ground.at("pipe"), Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink(ground.at("loop"), ground.at("loop")).unwrap();
        ground
    }

    fn at(&self, name: &str) -> PathBuf {
        let name = name.replace("NAME-TOO-LONG", &"x".repeat(300));
        self.0.path().join(name)
    }

    /// The server with these words, of which `@name` stands for a path on this ground.
    fn server(&self, words: &str) -> Command {
        // A server that starts after all is not waited for for ever.
        let mut command = Command::new("timeout");
        command.args(["60", env!("CARGO_BIN_EXE_prefork-server")]);
        command.args(words.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => self.at(name).into_os_string(),
            None => word.into(),
        }));
        command.stdin(Stdio::null());
        command
    }
}

/// What a person is told must name what is wrong, and must not be the kernel's or the compiler's own words for it.
fn check(words: &str, output: &Output, wanted: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(1 | 2)),
        "{words}: {:?}: {said}",
        output.status
    );
    for part in wanted {
        assert!(said.contains(part), "{words}: no '{part}' in: {said}");
    }
    assert_plain(words, &said);
}

fn assert_plain(words: &str, said: &str) {
    for raw in ["Os {", "Some(", "os error", "panicked", "Errno"] {
        assert!(!said.contains(raw), "{words}: '{raw}' in: {said}");
    }
    let errno = said
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| is_errno(word));
    assert_eq!(errno, None, "{words}: {said}");
}

/// `EAGAIN` and its like: `E`, and at least two more capitals.
fn is_errno(word: &str) -> bool {
    word.len() >= 4
        && word.starts_with('E')
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Files and folders that are not what they should be.
const FILES: [(&str, &[&str]); 33] = [
    ("--root @none", &["none", "does not exist", "--root"]),
    ("--root @file", &["file", "not a folder", "--root"]),
    ("--root @loop", &["loop", "--root"]),
    (
        "--root @root --config @none",
        &["--config", "none", "there is no such file"],
    ),
    (
        "--root @root --config @root",
        &["--config", "root", "no regular file"],
    ),
    (
        "--root @root --config @pipe",
        &["--config", "pipe", "no regular file"],
    ),
    (
        "--root @root --config @file",
        &["--config", "file", "line 1"],
    ),
    (
        "--root @root --config @key.toml",
        &["--config", "key.toml", "'wrokers' is no setting"],
    ),
    (
        "--root @root --config @value.toml",
        &["--config", "value.toml", "1K to 1G"],
    ),
    (
        "--root @root --log-file @none/log",
        &["--log-file", "none/log", "make it"],
    ),
    (
        "--root @root --log-file @file/log",
        &["--log-file", "file/log", "make it"],
    ),
    (
        "--root @root --log-file @root",
        &["--log-file", "root", "name a file"],
    ),
    (
        "--root @root --log-file @pipe",
        &["--log-file", "pipe", "start its reader"],
    ),
    ("--root @root --log-file @loop", &["--log-file", "loop"]),
    (
        "--root @root --access-log @none/log",
        &["--access-log", "none/log", "make it"],
    ),
    (
        "--root @root --access-log @root",
        &["--access-log", "root", "name a file"],
    ),
    (
        "--root @root --access-log @pipe",
        &["--access-log", "pipe", "start its reader"],
    ),
    (
        "--root @root --pidfile @none/pid",
        &["--pidfile", "none/pid", "mkdir -p"],
    ),
    ("--root @root --pidfile @root", &["--pidfile", "root"]),
    (
        "--root @root --access-log @pid --pidfile @pid",
        &["--pidfile", "--access-log", "name another"],
    ),
    (
        "--root @root --pidfile @root/.prefork-lock",
        &["--pidfile", ".prefork-lock", "name another"],
    ),
    (
        "--root @root --admin @none/admin",
        &["--admin", "none/admin", "folder"],
    ),
    // Root looks at the way there first.
    (
        "--root @root --pidfile @NAME-TOO-LONG/pid",
        &["--pidfile", "/pid", "File name too long"],
    ),
    (
        "--root @root --admin @NAME-TOO-LONG/admin",
        &["--admin", "/admin", "too long"],
    ),
    (
        "--root @root --access-log @NAME-TOO-LONG/log",
        &["--access-log", "/log", "File name too long"],
    ),
    (
        "--root @root --admin @file",
        &["--admin", "file", "choose another"],
    ),
    (
        "--root @root --admin @root",
        &["--admin", "root", "choose another"],
    ),
    (
        "--root @root --metrics nowhere",
        &["--metrics nowhere", "HOST:PORT"],
    ),
    (
        "--root @root --bind nowhere",
        &["--bind nowhere", "HOST:PORT"],
    ),
    ("--root @root --bind 192.0.2.1:0", &["192.0.2.1", "--bind"]),
    ("status @none", &["none", "--admin"]),
    ("status @file", &["file", "no socket"]),
    ("status @root", &["root"]),
];

#[test]
fn a_file_that_is_not_what_it_should_be_is_named_with_its_flag_and_the_cure() {
    for (words, wanted) in FILES {
        // A ground each: a server that starts after all must not be in the way of the next.
        let ground = Ground::new();
        let is_server = !words.starts_with("status");
        let mut command = ground.server(words);
        if is_server {
            command.args(["--allow-root", "--workers", "1"]);
            if !words.contains("--bind") {
                command.args(["--bind", "127.0.0.1:0"]);
            }
        }
        check(words, &command.output().unwrap(), wanted);
    }
}

/// Values that make no sense. With durations and sizes: beyond what the clock and the kernel can tell.
const VALUES: [(&str, &[&str]); 12] = [
    ("--workers 0", &["--workers", "1 to 4096"]),
    ("--workers 5000", &["--workers", "1 to 4096"]),
    (
        "--event-connections 3",
        &["--event-connections", "--pool event"],
    ),
    (
        "--pool event --event-connections 0",
        &["--event-connections", "1 to"],
    ),
    ("--congestion none-such", &["--congestion", "write auto"]),
    ("--user no-such-user", &["--user", "useradd"]),
    ("--receive-buffer 4G", &["--receive-buffer", "1K to 1G"]),
    ("--receive-buffer 0", &["--receive-buffer", "1K to 1G"]),
    ("--upload-max 99999999999T", &["--upload-max", "too large"]),
    (
        "--defer-accept 4294967296",
        &["--defer-accept", "4294967296"],
    ),
    (
        "--max-connections-per-address 4294967296",
        &["--max-connections-per-address", "4294967296"],
    ),
    ("--idle-timeout 5", &["--idle-timeout", "30s"]),
];

#[test]
fn a_value_that_makes_no_sense_is_answered_with_those_that_do() {
    let ground = Ground::new();
    let run = |words: &str, wanted: &[&str]| {
        let mut command = ground.server(words);
        command
            .args(["--check-config", "--root"])
            .arg(ground.at("root"));
        check(words, &command.output().unwrap(), wanted);
    };
    for (words, wanted) in VALUES {
        run(words, wanted);
    }
    for flag in [
        "--accept-unterminated",
        "--head-timeout",
        "--idle-timeout",
        "--rate-window",
        "--drain-timeout",
        "--retire-timeout",
        "--boot-timeout",
        "--worker-timeout",
    ] {
        for value in ["18446744073709551615s", "99999999999999999999s", "1000y"] {
            run(&format!("{flag} {value}"), &[flag, "the most is 1year"]);
        }
    }
}

#[test]
fn what_is_handed_over_wrongly_is_named() {
    let ground = Ground::new();
    for (variable, value) in [
        ("PREFORK_SERVER_UPGRADE", "nonsense"),
        ("PREFORK_SERVER_UPGRADE", "1:bound:3:4:5"),
    ] {
        let mut command = ground.server("--allow-root --root @root --bind 127.0.0.1:0");
        command.env(variable, value);
        check(value, &command.output().unwrap(), &[variable, "unset it"]);
    }
}

#[test]
fn standard_output_that_takes_nothing_is_named() {
    let ground = Ground::new();
    for words in ["--check-config --root @root", "man"] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = ground
            .server(words)
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        check(
            words,
            &output.wait_with_output().unwrap(),
            &["standard output"],
        );
    }
    // Closed, it would be /dev/null to the standard library, and all of it lost without a word.
    for words in [
        "--check-config --root @root",
        "--self-test --allow-root --root @root",
        "status @root/none.sock",
        "man",
        "completions bash",
        "--help",
    ] {
        let plain = ground.server(words);
        let closed = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" >&-"])
            .arg(plain.get_program())
            .args(plain.get_args())
            .output()
            .unwrap();
        check(words, &closed, &["standard output: it is closed"]);
    }
}

#[test]
fn threads_that_would_leave_no_descriptor_to_serve_with_are_refused_with_the_number_needed() {
    let ground = Ground::new();
    let plain =
        ground.server("--pool thread --workers 100 --allow-root --bind 127.0.0.1:0 --root @root");
    let limited = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    check(
        "threads",
        &limited,
        &[
            "--workers 100",
            "ulimit -Hn 1932",
            "134 at the least",
            "hard limit is 64",
        ],
    );
}

#[test]
fn a_start_without_room_for_what_all_workers_share_names_the_limit() {
    let ground = Ground::new();
    let plain = ground.server(
        "--pool event --workers 400 --max-connections-per-address 9 --allow-root --bind 127.0.0.1:0 --root @root",
    );
    let limited = Command::new("sh")
        .args(["-c", "ulimit -v 30000; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = [
        "cannot map",
        "ulimit -v is reached",
        "30720000 bytes",
        "LimitAS=",
    ];
    check("address space", &limited, &words);
}

#[test]
fn a_root_that_the_servers_user_cannot_write_is_told_at_the_start_whoever_that_is() {
    if !nix::unistd::Uid::effective().is_root() {
        // As any other user: a folder that is its own, and closed to it.
        let ground = Ground::new();
        set_mode(&ground.at("root"), 0o555);
        let server = Server::start_on(&ground.at("root"), "process", &[]);
        let line = server.wait_for_log("cannot write to the folder");
        assert!(line.contains("--read-only"), "{line}");
        return;
    }
    // As root, who may write everywhere, unless the folder is one that nobody may.
    let ground = Ground::new();
    set_mode(&ground.at("root"), 0o555);
    let name = ground.at("root");
    std::os::unix::fs::chown(&name, Some(65534), Some(65534)).unwrap();
    set_mode(ground.0.path(), 0o755);
    let output = ground
        .server("--self-test --user nobody --root @root")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("cannot write to the folder") && said.contains("--read-only"),
        "{said}"
    );
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_that_no_client_can_name_are_counted_and_told_once() {
    let server = Server::start("process", &["--workers", "2"]);
    for name in [&b"not\xffutf8"[..], b"tab\tname", b".hidden on purpose"] {
        std::fs::write(server.root().join(std::ffi::OsStr::from_bytes(name)), b"").unwrap();
    }
    for _ in 0..3 {
        assert_eq!(
            server.connect().ask("LIST\r\n")["data"],
            serde_json::json!([])
        );
    }
    let line = server.wait_for_log("LIST leaves them out");
    assert!(
        line.contains("files=2") && line.contains("rename them"),
        "{line}"
    );
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let mut server = server;
    server.done_in_place();
    assert!(
        !server
            .rest_of_log()
            .iter()
            .any(|line| line.contains("LIST leaves them out"))
    );
}
