//! The soak, for real and short: our server keeps its promises under kills, reloads and upgrades.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

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
    let left = std::fs::read_dir(folder.path()).unwrap().count();
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
