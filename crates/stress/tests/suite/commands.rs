//! The real program on runs that it has made itself: show, verify, compare, explain, recheck.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Three rows, one of each operation.
const SMALL: [&str; 8] = [
    "--size",
    "100K",
    "--clients",
    "2",
    "--servers",
    "2",
    "--progress",
    "none",
];

pub(crate) fn stress(out: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(args)
        .arg("--out")
        .arg(out)
        .output()
        .expect("stress runs")
}

/// Measures in `out`, which may be in memory.
pub(crate) fn measure(out: &Path, args: &[&str]) -> Output {
    let work = out.to_str().unwrap();
    stress(out, &[&SMALL[..], &["--work-dir", work], args].concat())
}

/// A finished run in a folder of its own.
fn measured(args: &[&str]) -> TempDir {
    let out = TempDir::new().unwrap();
    let output = measure(out.path(), args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    out
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// The same in one line, however it was wrapped.
fn unwrapped(output: &Output) -> String {
    let text = stdout(output);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// The folder that `latest` points at.
fn latest(out: &Path) -> PathBuf {
    fs::canonicalize(out.join("latest")).unwrap()
}

/// Changes a file of the newest run.
fn edit(out: &Path, file: &str, from: &str, to: &str) {
    let path = latest(out).join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn show_prints_what_the_run_printed() {
    let out = TempDir::new().unwrap();
    let at_the_end = measure(out.path(), &[]);
    let shown = stress(out.path(), &["show"]);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let (then, now) = (stdout(&at_the_end), stdout(&shown));
    assert_eq!(then, now);
    // The last line is what to open.
    let report = now.lines().last().unwrap().strip_prefix("report: ");
    let report = Path::new(report.unwrap());
    assert!(report.is_file(), "{}", report.display());
    fs::remove_file(report).unwrap();
    let bare = stdout(&stress(out.path(), &["show"]));
    let run = bare.lines().last().unwrap().strip_prefix("run: ");
    assert!(Path::new(run.unwrap()).is_dir(), "{bare}");
    let name = latest(out.path());
    let name = name.file_name().unwrap().to_str().unwrap();
    let json = stress(out.path(), &["show", name, "--json"]);
    let lines = stdout(&json);
    assert_eq!(lines.lines().count(), 3);
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["status"], "ok");
    }
    let none = stress(out.path(), &["show", "nonsense"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("there is no run in nonsense, nor in "));
}

#[test]
fn verify_accepts_a_run_and_names_what_was_changed_in_it() {
    let out = measured(&[]);
    let verified = stress(out.path(), &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
    assert!(stdout(&verified).contains(": consistent: 3 rows (3 ok), 3 samples, 44 operations"));

    edit(out.path(), "summary.csv", ",2,0,", ",1,1,");
    let verified = stress(out.path(), &["verify", "--json"]);
    assert_eq!(verified.status.code(), Some(3));
    let json: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    let findings = json["runs"][0]["findings"].as_array().unwrap();
    assert_eq!(findings[0]["file"], "summary.csv");
    assert_eq!(findings[0]["place"], "row 1, clients_ok");
    assert_eq!(json["runs"][0]["is_verified"], false);
}

#[test]
fn every_argument_that_means_nothing_here_is_a_usage_error() {
    let out = measured(&["--op", "list"]);
    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    let beneath = file.join("folder").to_str().unwrap().to_owned();
    let folders = |command: &'static str| [command, "--work-dir", beneath.as_str()];
    let check = |args: &[&str], words: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_stress"))
            .args(args)
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(words),
            "{args:?}: {}",
            stderr(&output)
        );
    };
    check(
        &["hostile", "--only", "nonsense"],
        "--only: no attack has that word",
    );
    for command in ["hostile", "soak", "baseline"] {
        check(&folders(command), "--work-dir");
    }
    check(&["--quick", "--out", &beneath], "--out");
    check(&["baseline", "--work-dir", "/proc"], "--work-dir /proc");
    let run = latest(out.path());
    let run = run.to_str().unwrap();
    check(&["report", run, "--out", &beneath], "--out");
    for command in ["show", "verify", "report", "recheck"] {
        check(&[command, "NOSUCH"], "NOSUCH");
    }
    check(&["explain", "NOSUCH", "1"], "NOSUCH");
    check(&["explain", run, "99"], "no row 99");
    check(&["compare", run, "NOSUCH"], "NOSUCH");
    // What is there is verified all the same, and what does not hold in it says more.
    let both = stress(out.path(), &["verify", "NOSUCH", run]);
    assert_eq!(both.status.code(), Some(2));
    assert!(stdout(&both).contains("1 row"), "{}", stdout(&both));
    let bare = out.path().join("bare");
    fs::create_dir(&bare).unwrap();
    let both = stress(out.path(), &["verify", "NOSUCH", "bare"]);
    assert_eq!(both.status.code(), Some(3));
}

#[test]
fn faults_and_warm_ups_are_verified_and_explained_too() {
    let out = TempDir::new().unwrap();
    // Large enough for a worker to be met with a connection in hand; of two workers a silent client takes one.
    let cells =
        "--op upload --size 60M --clients 2 --servers 2 --fault none,silent-client,kill-worker";
    let mut args: Vec<&str> = cells.split(' ').collect();
    let work = out.path().to_str().unwrap();
    args.extend(["--warmup", "1", "--progress", "none", "--work-dir", work]);
    // At its end the run is verified by itself, too.
    let output = stress(out.path(), &args);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    let verified = stress(out.path(), &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
    let lines = stdout(&stress(out.path(), &["show", "--json"]));
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let explained = stress(out.path(), &["explain", "latest", &row["no"].to_string()]);
        let text = unwrapped(&explained);
        let words = match row["fault"].as_str().unwrap() {
            "none" => "went in connecting",
            "kill-worker" => "Fault kill-worker: worker process",
            _ => "Fault silent-client: 1 faulty client had a connection besides",
        };
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_journal_whose_bytes_were_raised_does_not_verify() {
    let out = measured(&[]);
    let bytes = "\"bytes\":102400,\"verified_bytes\":102400";
    edit(
        out.path(),
        "journal.ndjson",
        bytes,
        "\"bytes\":102500,\"verified_bytes\":102500",
    );
    let verified = stress(out.path(), &["verify"]);
    assert_eq!(verified.status.code(), Some(3));
    let text = stdout(&verified);
    assert!(
        text.contains("204900 bytes ok at the clients, 204800 at the server"),
        "{text}"
    );
    assert!(text.contains("clients.csv, row 1, repeat 0, client 0, request 0, bytes: 102400 is written, 102500 follows"), "{text}");
}

#[test]
fn copies_of_a_run_are_found_among_many() {
    let out = measured(&[]);
    assert_eq!(measure(out.path(), &[]).status.code(), Some(0));
    let original = latest(out.path());
    let copy = out.path().join("20990101T000000Z-mine");
    fs::create_dir(&copy).unwrap();
    for file in ["journal.ndjson", "summary.csv", "clients.csv", "run.json"] {
        // Under another label, as somebody else would hand it in.
        let text = fs::read_to_string(original.join(file)).unwrap();
        let text = text.replace("\"label\":\"run\"", "\"label\":\"mine\"");
        let text = text.replace("\"label\": \"run\"", "\"label\": \"mine\"");
        fs::write(copy.join(file), text).unwrap();
    }
    let runs: Vec<String> = fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    // Two runs, the copy of one, and latest, which is one of them once more; each with three samples and three timelines.
    assert_eq!(runs.len(), 4);
    let mut args = vec!["verify"];
    args.extend(runs.iter().map(String::as_str));
    let verified = stress(out.path(), &args);
    assert_eq!(verified.status.code(), Some(3));
    let text = stdout(&verified);
    assert_eq!(text.matches(": consistent: 3 rows").count(), 3, "{text}");
    let last = text.lines().last().unwrap();
    let total = "3 runs, all consistent: 9 rows (9 ok), 9 samples, 132 operations";
    assert_eq!(last, total);
    let copies: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("copies: "))
        .collect();
    assert_eq!(copies.len(), 1, "{text}");
    assert!(
        copies[0].contains("20990101T000000Z-mine: 6 samples are copies (of 6 and 6)"),
        "{text}"
    );
    assert!(
        copies[0].contains("20 of 40 operations") || copies[0].contains("40 of 40 operations"),
        "{text}"
    );
}

#[test]
fn a_run_compared_with_itself_shows_no_difference_and_a_slower_one_does() {
    let out = measured(&["--repeat", "4", "--op", "download"]);
    let same = stress(out.path(), &["compare", "latest", "latest"]);
    assert_eq!(same.status.code(), Some(0), "{}", stderr(&same));
    let text = stdout(&same);
    assert!(
        text.contains("1 row compared: 1 no difference seen"),
        "{text}"
    );

    // The same run with all its ends a quarter of an hour later: more than any machine is busy.
    let slow = out.path().join("slow");
    fs::create_dir(&slow).unwrap();
    let journal = fs::read_to_string(latest(out.path()).join("journal.ndjson")).unwrap();
    let mut lines = Vec::new();
    for line in journal.lines() {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(records) = line.pointer_mut("/sample/measurement/records") {
            for record in records.as_array_mut().unwrap() {
                let ended = record["ended_ns"].as_u64().unwrap();
                record["ended_ns"] = (ended + 1_000_000_000_000).into();
            }
        }
        lines.push(line.to_string());
    }
    fs::write(slow.join("journal.ndjson"), lines.join("\n") + "\n").unwrap();
    let slower = stress(out.path(), &["compare", "latest", "slow"]);
    assert_eq!(slower.status.code(), Some(4), "{}", stderr(&slower));
    assert!(stdout(&slower).contains("1 differs"), "{}", stdout(&slower));
    let faster = stress(out.path(), &["compare", "slow", "latest", "--json"]);
    assert_eq!(faster.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&faster.stdout).unwrap();
    assert_eq!(json["rows"][0]["verdict"], "differs");
    assert_eq!(json["is_worse"], false);
    // Of four samples each the two most extreme of 70 orders are left out.
    let confidence = json["rows"][0]["confidence"].as_f64().unwrap();
    assert!((confidence - (1.0 - 2.0 / 70.0)).abs() < 1e-9);
}

#[test]
fn a_foreign_server_is_compared_with_ours() {
    let out = measured(&[]);
    let ours = latest(out.path());
    let program = env!("CARGO_BIN_EXE_stress");
    let command = format!(
        "'{program}' __server --bind 127.0.0.1:{{port}} --workers {{workers}} --root {{root}}"
    );
    let foreign = measure(out.path(), &["--server-cmd", &command]);
    assert_eq!(foreign.status.code(), Some(0), "{}", stderr(&foreign));
    let compared = stress(out.path(), &["compare", ours.to_str().unwrap(), "latest"]);
    // Which of the two is faster here and now is no matter.
    let code = compared.status.code();
    assert!(
        matches!(code, Some(0 | 4)),
        "{code:?} {}",
        stderr(&compared)
    );
    let text = stdout(&compared);
    assert!(
        text.contains("compared: server_pool process in OLD, none in NEW"),
        "{text}"
    );
    assert!(text.contains("3 rows compared"), "{text}");
    assert!(text.contains("one sample  "), "{text}");
}

#[test]
fn a_row_is_explained_with_its_records() {
    let out = measured(&[]);
    let explained = stress(out.path(), &["explain", "latest", "7"]);
    assert_eq!(explained.status.code(), Some(2));
    assert!(
        stderr(&explained).contains("its rows are 1, 2, 3"),
        "{}",
        stderr(&explained)
    );
    for row in ["1", "2", "3"] {
        let explained = stress(out.path(), &["explain", "latest", row]);
        assert_eq!(explained.status.code(), Some(0), "{}", stderr(&explained));
        let text = unwrapped(&explained);
        for part in [
            "Each of 2 client threads",
            "went in connecting",
            "The first client was done",
            "Of 2 server workers",
            "ended, s bytes outcome",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let json = stress(out.path(), &["explain", "latest", "3", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["records"].as_array().unwrap().len(), 40);
    assert_eq!(json["row"]["no"], 3);
}

#[test]
fn a_recheck_confirms_ratios_and_finds_one_that_was_made_up() {
    let out = measured(&[]);
    let work = out.path().to_str().unwrap();
    // A factor of ten thousand: whatever else this machine does meanwhile.
    let args = [
        "recheck",
        "latest",
        "--repeat",
        "2",
        "--within",
        "10000",
        "--progress",
        "none",
        "--work-dir",
        work,
    ];
    let before = latest(out.path());
    let fine = stress(out.path(), &args);
    assert_eq!(
        fine.status.code(),
        Some(0),
        "{} {}",
        stdout(&fine),
        stderr(&fine)
    );
    assert!(
        stdout(&fine).contains("3 of 3 ratios between the rows are within a factor of 10000"),
        "{}",
        stdout(&fine)
    );
    assert_eq!(latest(out.path()), before, "latest is still the run itself");

    // The download is said to have taken three hours.
    let path = before.join("journal.ndjson");
    let journal = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<serde_json::Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let download = lines
        .iter_mut()
        .find(|line| line["sample"]["measurement"]["cell"]["number"] == 1)
        .unwrap();
    for record in download["sample"]["measurement"]["records"]
        .as_array_mut()
        .unwrap()
    {
        let ended = record["ended_ns"].as_u64().unwrap();
        record["ended_ns"] = (ended + 10_000_000_000_000).into();
    }
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let made_up = stress(out.path(), &args);
    assert_eq!(
        made_up.status.code(),
        Some(4),
        "{} {}",
        stdout(&made_up),
        stderr(&made_up)
    );
    let text = stdout(&made_up);
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with("1  download"));
    assert!(line.unwrap().ends_with("does not hold"), "{text}");
}
