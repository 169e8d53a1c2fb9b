//! Dropping root, and being root.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::User;
use tempfile::TempDir;

use crate::support::{
    Server, can_trace, command, content, each_pool, is_root, noise, under, upload,
};

/// Every machine has this user, and it owns nothing.
const NOBODY: &str = "nobody";

/// No kernel has Landlock then.
const NO_LANDLOCK: &str = "inject=landlock_create_ruleset:error=ENOSYS";

each_pool! {
    fn started_as_root_it_serves_as_the_user_it_is_told(pool) {
        if !is_root() {
            return;
        }
        let root = root_of_nobodys();
        let server = Server::start_on(root.path(), pool, &["--user", NOBODY, "--workers", "2"]);
        let nobody = User::from_name(NOBODY).unwrap().unwrap();
        assert_eq!(server.ready.settings.user, NOBODY);
        assert_eq!(server.ready.settings.uid, nobody.uid.as_raw());
        for pid in server.ready.worker_pids.iter().chain([&server.ready.pid]) {
            assert_powerless(*pid, &nobody);
        }
        use_every_verb(&server);

        // The parent, which is not root either, can still replace a worker by one of the same kind.
        server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
        let replaced = server.wait_for_another_worker();
        assert_powerless(replaced, &nobody);
        use_every_verb(&server);

        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (1, 0));
        // Confined and without privileges a worker still tells how much memory it took.
        assert!(done.peak_rss_bytes.is_some_and(|bytes| bytes > 64 << 10), "{done:#?}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    /// The new server is started by one that is not root any more.
    fn an_upgrade_changes_neither_the_user_nor_the_confinement(pool) {
        if !is_root() {
            return;
        }
        let root = root_of_nobodys();
        let nobody = User::from_name(NOBODY).unwrap().unwrap();
        let args = ["--user", NOBODY, "--workers", "2", "--log-level", "info"];
        let like = command(root.path(), pool, &args);
        let (_folder, program) = program_for_all();
        let mut command = Command::new(program);
        command.args(like.get_args()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Server::spawn(&mut command);
        let before = server.ready.clone();
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        assert_eq!(server.ready.settings.user, before.settings.user);
        assert_eq!(server.ready.settings.sandbox, before.settings.sandbox);
        for pid in server.ready.worker_pids.iter().chain([&server.ready.pid]) {
            assert_powerless(*pid, &nobody);
        }
        server.wait_until_alone(before.pid);
        use_every_verb(&server);
        server.signal(Signal::SIGTERM);
        server.wait_until_all_are_gone();
    }
}

fn use_every_verb(server: &Server) {
    let file = noise(7, 700_000);
    let mut peer = server.connect();
    assert_eq!(peer.ask(upload("a.bin", &file))["status"], "OK");
    // Once more, over a file that is there.
    assert_eq!(peer.ask(upload("a.bin", &file))["status"], "OK");
    assert_eq!(peer.ask("LIST\r\n")["data"], serde_json::json!(["a.bin"]));
    assert_eq!(content(&peer.ask("GET a.bin\r\n")), file);
    assert_eq!(peer.ask("DELETE a.bin\r\n")["status"], "OK");
}

/// As `ps` would show it: nowhere root, in no group but its own, without capabilities, and for good.
fn assert_powerless(pid: u32, user: &User) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> Vec<String> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let values = line.unwrap_or_else(|| panic!("{name} in {status}"));
        values.split_whitespace().map(str::to_owned).collect()
    };
    // Real, effective, saved, and for the file system.
    assert_eq!(field("Uid:"), vec![user.uid.to_string(); 4], "{pid}");
    assert_eq!(field("Gid:"), vec![user.gid.to_string(); 4], "{pid}");
    assert_eq!(field("Groups:"), [user.gid.to_string()], "{pid}");
    for capabilities in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
        assert_eq!(
            field(capabilities),
            ["0000000000000000"],
            "{pid} {capabilities}"
        );
    }
    assert_eq!(field("NoNewPrivs:"), ["1"], "{pid}");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().filter(|word| *word == "0").count(),
        2,
        "{core}"
    );
}

/// The program where everybody may run it: this machine's build folder may be closed to others.
fn program_for_all() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("prefork-server");
    // Not by this process: what it has open for writing, another test's child may have too until it is itself,
    // and what somebody may write to cannot be run.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_prefork-server"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    (folder, program)
}

fn root_of_nobodys() -> TempDir {
    let root = TempDir::new().unwrap();
    let nobody = User::from_name(NOBODY).unwrap().unwrap();
    chown(
        root.path(),
        Some(nobody.uid.as_raw()),
        Some(nobody.gid.as_raw()),
    )
    .unwrap();
    root
}

/// What a server says that is stopped as soon as it is ready, if it comes to that.
pub(super) fn output_of(mut command: Command) -> Output {
    command.args([
        "--exit-with-stdin",
        "--bind",
        "127.0.0.1:0",
        "--workers",
        "1",
    ]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ready = Vec::new();
    output.read_until(b'\n', &mut ready).unwrap();
    drop(child.stdin.take());
    let ended = child.wait_with_output().unwrap();
    Output {
        stdout: ready,
        ..ended
    }
}

/// A server without the flags that the other tests give every server.
fn bare(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
    command.arg("--root").arg(root).args(args);
    command
}

fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(output.stdout.is_empty(), "never READY: {text}");
    assert!(
        words.iter().all(|word| text.contains(word)),
        "{words:?} in: {text}"
    );
}

#[test]
fn as_root_it_warns_once_where_landlock_confines_the_workers() {
    if !is_root() {
        return;
    }
    let root = TempDir::new().unwrap();
    let warnings = |args: &[&str]| {
        let output = output_of(bare(root.path(), args));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains(r#""uid":0"#)
        );
        text.matches("RUNNING AS ROOT").count()
    };
    assert_eq!(warnings(&[]), 1);
    assert_eq!(warnings(&["--sandbox", "require"]), 1);
    assert_eq!(warnings(&["--allow-root"]), 0);
    assert_eq!(warnings(&["--allow-root", "--sandbox", "off"]), 0);
}

#[test]
fn as_root_it_refuses_where_nothing_confines_the_workers() {
    if !is_root() {
        return;
    }
    let root = TempDir::new().unwrap();
    let remedies = ["--user NAME", "--allow-root"];
    assert_refused(
        &output_of(bare(root.path(), &["--sandbox", "off"])),
        1,
        &remedies,
    );
    if !can_trace() {
        return;
    }
    let without_landlock = |args: &[&str]| {
        let tracer = ["strace", "-f", "-o", "/dev/null", "-e", NO_LANDLOCK];
        output_of(under(&tracer, &bare(root.path(), args)))
    };
    assert_refused(&without_landlock(&[]), 1, &remedies);
    assert_refused(
        &without_landlock(&["--allow-root", "--sandbox", "require"]),
        1,
        &["--sandbox require", "Linux 6.2"],
    );
    let allowed = without_landlock(&["--allow-root"]);
    let ready = String::from_utf8(allowed.stdout).unwrap();
    assert!(
        ready.contains(r#""level":"none","landlock_abi":null"#),
        "{ready}"
    );
    assert!(allowed.status.success());
}

#[test]
fn a_user_that_is_none_or_root_is_a_usage_error() {
    let root = TempDir::new().unwrap();
    let check = |user: &str, words: &[&str]| {
        assert_refused(&output_of(bare(root.path(), &["--user", user])), 2, words);
    };
    check("no-such-user", &["--user no-such-user", "useradd"]);
    check("root", &["--user root", "--allow-root"]);
    check("0", &["--user 0", "--allow-root"]);
}

#[test]
fn without_root_no_other_user_can_be_had() {
    if !is_root() {
        return;
    }
    let (_folder, program) = program_for_all();
    let root = root_of_nobodys();
    let nobody = User::from_name(NOBODY).unwrap().unwrap();
    let as_nobody = |user: &str| {
        let mut command = Command::new(&program);
        command
            .arg("--root")
            .arg(root.path())
            .args(["--user", user]);
        command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
        output_of(command)
    };
    assert_refused(
        &as_nobody("daemon"),
        1,
        &["--user daemon", "start the server as root"],
    );
    // To be asked to become who one is already is nothing to refuse.
    let ready = String::from_utf8(as_nobody(NOBODY).stdout).unwrap();
    assert!(ready.contains(r#""user":"nobody""#), "{ready}");
}

#[test]
fn a_root_that_the_user_cannot_use_is_found_out_at_the_start() {
    if !is_root() {
        return;
    }
    let root = TempDir::new().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let refused = output_of(bare(root.path(), &["--user", NOBODY]));
    assert_refused(&refused, 1, &["cannot read the folder", "chown nobody"]);
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = output_of(bare(root.path(), &["--user", NOBODY]));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && text.contains("cannot write to the folder"),
        "{text}"
    );
}

#[test]
fn the_folder_that_it_makes_belongs_to_the_user_that_serves_it() {
    if !is_root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
    command.args(["--user", NOBODY]).current_dir(folder.path());
    let output = output_of(command);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && !text.contains("cannot write"),
        "{text}"
    );
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder.path().join("files")).unwrap());
    assert_eq!(
        owner,
        User::from_name(NOBODY).unwrap().unwrap().uid.as_raw()
    );
}
