//! The soak, for real and short: our server keeps its promises under kills, reloads and upgrades.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn soak(pool: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(["soak", "--time", "3s", "--kill-every", "100ms", "--json"])
        .args(["--clients", "6", "--servers", "4", "--size", "300K"])
        .args(["--server-pool", pool])
        .arg("--work-dir")
        .arg(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let verdict: Value = serde_json::from_str(&text).unwrap();
    assert!(verdict["operations"].as_u64().unwrap() > 0, "{text}");
    assert!(verdict["kills"].as_u64().unwrap() > 10, "{text}");
    assert_eq!(
        (&verdict["reloads"], &verdict["upgrades"]),
        (&2.into(), &1.into())
    );
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[test]
fn a_process_pool_keeps_its_promises() {
    soak("process");
}

#[test]
fn a_thread_pool_keeps_its_promises() {
    soak("thread");
}

#[test]
fn an_event_pool_keeps_its_promises() {
    soak("event");
}

#[test]
fn one_that_is_stopped_says_what_came_of_it_and_not_that_anything_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut soak = Command::new(env!("CARGO_BIN_EXE_stress"))
        .args([
            "soak",
            "--time",
            "60s",
            "--reloads",
            "20",
            "--upgrades",
            "0",
        ])
        .args(["--clients", "2", "--servers", "2", "--size", "100K"])
        .arg("--work-dir")
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = BufReader::new(soak.stderr.take().unwrap()).lines();
    words.find(|line| line.as_ref().unwrap().contains("reloading"));
    kill(Pid::from_raw(soak.id().cast_signed()), Signal::SIGTERM).unwrap();
    let output = soak.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(
        text.contains("every ledger balances") && !text.contains("BROKEN"),
        "{text}"
    );
}

/// A soak without kills, with what it says on standard error.
fn start(program: &Path, folder: &Path, args: &[&str]) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut soak = Command::new(program)
        .args(["soak", "--kill-every", "0s", "--size", "100K"])
        .args(["--clients", "2", "--servers", "2"])
        .args(args)
        .arg("--work-dir")
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let words = BufReader::new(soak.stderr.take().unwrap()).lines();
    (soak, words)
}

/// What a soak comes to that ends by itself, and before a minute is over.
fn verdict(soak: Child, started: Instant) -> String {
    let output = soak.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(started.elapsed() < Duration::from_secs(50), "{text}");
    text
}

#[test]
fn a_server_that_dies_ends_the_soak_with_how_it_died() {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    // Reloads come all the time, and so does the first of them.
    let program = Path::new(env!("CARGO_BIN_EXE_stress"));
    let args = ["--time", "60s", "--reloads", "100", "--upgrades", "0"];
    let (soak, mut words) = start(program, folder.path(), &args);
    words.find(|line| line.as_ref().unwrap().contains("reloading"));
    let children = format!("/proc/{0}/task/{0}/children", soak.id());
    let server = fs::read_to_string(children).unwrap();
    let server: i32 = server.trim().parse().expect("one child: the server");
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
    let said = words.map_while(Result::ok).collect::<Vec<_>>().join("\n");
    assert!(
        said.contains("the server is gone: it ended by itself (signal: 9"),
        "{said}"
    );
    let text = verdict(soak, started);
    let broken = "BROKEN  the server ran until it was told to stop: after ";
    assert!(
        text.contains(broken) && text.contains("(signal: 9"),
        "{text}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_upgrade_that_does_not_take_place_is_told_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let program = folder.path().join("stress");
    fs::copy(env!("CARGO_BIN_EXE_stress"), &program).unwrap();
    let args = ["--reloads", "0", "--upgrades", "1", "--time", "1s"];
    let started = Instant::now();
    let (soak, words) = start(&program, &work, &args);
    // It runs, and its server will; what an upgrade would start is not there.
    fs::remove_file(&program).unwrap();
    let said = words.map_while(Result::ok).collect::<Vec<_>>().join("\n");
    assert!(said.contains("not upgrading: "), "{said}");
    let text = verdict(soak, started);
    let broken = "BROKEN  every reload and upgrade came to its end: 0 of 0 reloads, 0 of 1 upgrade; not upgrading: ";
    assert!(text.contains(broken), "{text}");
    assert_eq!(text.matches("BROKEN").count(), 1, "{text}");
}

#[test]
fn root_soaks_where_the_kernel_has_no_landlock() {
    let has_strace = Command::new("strace").arg("-V").output().is_ok();
    if !has_strace || !nix::unistd::geteuid().is_root() {
        let is_ci = std::env::var_os("CI").is_some();
        assert!(
            !is_ci,
            "in CI nothing is skipped: strace and root are needed"
        );
        eprintln!("SKIPPED: strace and root are needed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-o", "/dev/null", "-e"])
        .arg("inject=landlock_create_ruleset:error=EOPNOTSUPP")
        .arg(env!("CARGO_BIN_EXE_stress"))
        .args([
            "soak",
            "--time",
            "200ms",
            "--reloads",
            "0",
            "--upgrades",
            "0",
        ])
        .args([
            "--clients",
            "1",
            "--servers",
            "1",
            "--kill-every",
            "0s",
            "--work-dir",
        ])
        .arg(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
}
