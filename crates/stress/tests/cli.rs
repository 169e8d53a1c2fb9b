//! The real program, as far as it goes without measuring.

use std::process::{Command, Output};

fn stress(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(args)
        .output()
        .expect("stress runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn a_dry_run_lists_81_rows_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results");
    let output = stress(&["--dry-run", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 82, "a head and 81 rows");
    assert!(lines[0].starts_with("  no  operation"), "{}", lines[0]);
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        words(1),
        [
            "1", "download", "10M", "10485760", "1", "1", "thread", "process"
        ]
    );
    assert_eq!(
        words(42),
        [
            "42", "upload", "50M", "52428800", "5", "50", "thread", "process"
        ]
    );
    assert_eq!(
        words(81),
        [
            "81",
            "list",
            "100M",
            "104857600",
            "50",
            "50",
            "thread",
            "process"
        ]
    );
    assert!(
        stderr(&output).contains("81 cells of 81, 1 sample each, about 56.6 GB"),
        "{}",
        stderr(&output)
    );
    assert!(!out.exists());
}

#[test]
fn filters_leave_the_numbers_alone() {
    let numbers = |args: &[&str]| -> Vec<u64> {
        let output = stress(&[&["--dry-run", "--json"], args].concat());
        let number = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["number"]
                .as_u64()
                .unwrap()
        };
        stdout(&output).lines().map(number).collect()
    };
    let three = ["--op", "upload", "--size", "50M", "--clients", "5"];
    assert_eq!(numbers(&three), [40, 41, 42]);
    let one = [
        "--servers",
        "5",
        "--client-pool",
        "process",
        "--server-pool",
        "thread",
    ];
    assert_eq!(numbers(&[&three[..], &one].concat()), [41]);
    assert_eq!(numbers(&["--op", "download,upload"]).len(), 54);
}

#[test]
fn wrong_usage_exits_2_and_says_what_to_write() {
    let check = |args: &[&str], part: &str| {
        let output = stress(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains(part),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(stdout(&output).is_empty());
    };
    check(&["--size", "50X"], "50MiB");
    check(&["--nonsense"], "--nonsense");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    check(
        &["--congestion", "none-such", "--out", out],
        "does not grant 'none-such'",
    );
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    check(
        &["--resume", "--out", out, "--work-dir", out],
        "--resume: no run in",
    );
}

#[test]
fn help_names_every_exit_code() {
    let output = stress(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    for part in [
        "Examples:",
        "\n  0    every operation",
        "\n  130  interrupted",
        "--client-workers",
        "--server-cmd",
    ] {
        assert!(text.contains(part), "{part}");
    }
}
