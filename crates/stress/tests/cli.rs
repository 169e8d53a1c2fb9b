//! The real program, as far as it goes without measuring.

use std::process::{Command, Output};

#[path = "../../cli-kit/tests/support/handouts.rs"]
mod handouts;

const PROGRAM: handouts::Program = handouts::Program(env!("CARGO_BIN_EXE_stress"));

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
    assert!(lines[0].starts_with("no  operation"), "{}", lines[0]);
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
        stderr(&output).contains("81 rows of 81, 1 sample each, about 56.6 GB"),
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

#[test]
fn bash_completes_what_it_may_be_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a-run")).unwrap();
    let check = |words: &[&str], want: &[&str]| {
        PROGRAM.check_completion(folder.path(), words, want);
    };
    check(&["--plan", ""], &["standard", "assignment", "models"]);
    check(&["--server-pool", "p"], &["process"]);
    check(&["--op", ""], &["download", "upload", "list"]);
    check(
        &["--op", "download,"],
        &["download,download", "download,upload", "download,list"],
    );
    check(&["--op", "list,u"], &["list,upload"]);
    // Nothing of the program's own: bash offers files then.
    check(&["show", ""], &[]);
    check(&["show", "--o"], &["--out"]);
    check(&["soak", "--durability", ""], &["none", "data", "full"]);
    check(&["comp"], &["compare", "completions"]);
    check(
        &["soak", "--server-pool", ""],
        &["process", "thread", "event"],
    );
    check(&["verify", "--j"], &["--json"]);
    check(&["--target-admin", "a"], &["a-run"]);
    check(&["--repeat", ""], &[]);
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
        "FILES",
        "NOTES",
        "EXAMPLES",
        "SEE ALSO",
    ]);
    PROGRAM.check_rendering();
}

#[test]
fn a_dry_run_of_somebody_elses_server_says_nothing_of_its_pool() {
    let own = [
        "--dry-run",
        "--op",
        "list",
        "--size",
        "1M",
        "--clients",
        "1",
    ];
    let foreign = ["--server-cmd", "run {port} {root}", "--servers", "5"];
    let text = stdout(&stress(&[&own[..], &foreign].concat()));
    assert!(
        text.lines()
            .nth(1)
            .unwrap()
            .ends_with("thread       foreign"),
        "{text}"
    );
    let json = stdout(&stress(&[&own[..], &foreign, &["--json"]].concat()));
    assert!(json.contains("\"server_pool\":null"), "{json}");
    let json = stdout(&stress(&[&own[..], &["--servers", "5", "--json"]].concat()));
    assert!(json.contains("\"server_pool\":\"process\""), "{json}");
}

#[test]
fn a_work_directory_that_cannot_be_used_leaves_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results");
    let output = stress(&[
        "--quick",
        "--out",
        out.to_str().unwrap(),
        "--work-dir",
        "/proc",
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("--work-dir /proc: "),
        "{}",
        stderr(&output)
    );
    assert!(!out.exists(), "and not the folder that was made for it");
}

#[test]
fn a_folder_to_serve_that_is_not_empty_leaves_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("d0001.bin"), "x").unwrap();
    let out = folder.path().join("results");
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (out_path, root_path) = (path(&out), path(&root));
    let server = [
        "--server-cmd",
        "serve {port} {workers}",
        "--server-root",
        &root_path,
    ];
    // In memory or not is no matter here.
    let output = stress(&[&server[..], &["--out", &out_path, "--work-dir", &out_path]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("is not empty: "),
        "{}",
        stderr(&output)
    );
    assert!(!out.exists());
}
