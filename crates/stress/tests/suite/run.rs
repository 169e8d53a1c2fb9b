//! The real program, measuring the real server with small files.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A run in `out`. Tests may have their folders in memory: `--work-dir` says that this will do.
fn stress(out: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.arg("--out").arg(out).arg("--work-dir").arg(out);
    command.args(["--timeout", "30s"]).args(args);
    command
}

fn run(out: &Path, args: &[&str]) -> Output {
    stress(out, args).output().expect("stress runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The newest run: `latest` points at none in which nothing was measured.
fn newest(out: &Path) -> PathBuf {
    let runs = names(out).into_iter().filter(|name| name != "latest");
    out.join(runs.max().expect("a run"))
}

/// The rows of the newest run's table, by column.
fn rows(out: &Path) -> Vec<std::collections::HashMap<String, String>> {
    let mut reader = csv::Reader::from_path(newest(out).join("summary.csv")).expect("a table");
    reader
        .deserialize()
        .map(|row| row.expect("a row"))
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn every_operation_is_measured_verified_and_written() {
    let out = tempfile::tempdir().unwrap();
    let output = run(
        out.path(),
        &["--size", "100K", "--clients", "5", "--servers", "1"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows = rows(out.path());
    assert_eq!(rows.len(), 3);
    for (row, operation) in rows.iter().zip(["download", "upload", "list"]) {
        assert_eq!(row["operation"], operation);
        assert_eq!(row["status"], "ok");
        assert_eq!(row["top_outcome"], "ok");
        assert_eq!(
            (row["clients_ok"].as_str(), row["clients_failed"].as_str()),
            ("5", "0")
        );
        assert_eq!(row["server_workers_ok"], "1");
        assert_eq!(row["durability"], "none");
        for column in [
            "time_per_client_s",
            "makespan_s",
            "server_cpu_s",
            "client_cpu_s",
        ] {
            assert!(
                row[column].parse::<f64>().is_ok(),
                "{operation} {column}: {row:?}"
            );
        }
        assert!(row["aggregate_bytes_per_s"].parse::<u64>().unwrap() > 0);
    }
    let run = out.path().join("latest");
    assert_eq!(
        names(&run),
        [
            "clients.csv",
            "journal.ndjson",
            "report.html",
            "report.md",
            "run.json",
            "summary.csv",
            "table.csv",
            "table.xlsx",
        ]
    );
    let contents = stress_data::journal::Contents::read(&run).unwrap();
    assert_eq!(contents.timelines.len(), 3, "each row was drawn too");
    // 5 downloads, 5 uploads and 5 × 20 lists, with a head.
    assert_eq!(
        fs::read_to_string(run.join("clients.csv"))
            .unwrap()
            .lines()
            .count(),
        111
    );
    assert_eq!(
        names(out.path()).len(),
        2,
        "only the run and latest remain: {:?}",
        names(out.path())
    );
    assert!(
        text(&output.stdout).contains("3 rows, 3 ok, 0 failed"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn a_work_directory_that_was_made_for_a_run_is_gone_after_it() {
    let out = tempfile::tempdir().unwrap();
    let made = out.path().join("a/b");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.args([
        "--op",
        "list",
        "--size",
        "1K",
        "--clients",
        "1",
        "--servers",
        "1",
    ]);
    let command = command.arg("--out").arg(out.path());
    let output = command.arg("--work-dir").arg(&made).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(names(out.path()).len(), 2, "{:?}", names(out.path()));
}

#[test]
fn all_pools_measure_the_same_rows() {
    let out = tempfile::tempdir().unwrap();
    let pools = [
        "--client-pool",
        "thread,process",
        "--server-pool",
        "process,thread,event",
    ];
    let cell = [
        "--op",
        "download,upload",
        "--size",
        "100K",
        "--clients",
        "5",
        "--servers",
        "5",
        "--json",
    ];
    let output = run(out.path(), &[&cell[..], &pools].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().count(), 12);
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["status"], "ok", "{row}");
    }
}

#[test]
fn a_server_that_does_not_start_is_a_row_and_exits_3() {
    let out = tempfile::tempdir().unwrap();
    let args = [
        "--op",
        "download",
        "--size",
        "1K",
        "--clients",
        "1",
        "--servers",
        "1,5",
    ];
    let output = run(
        out.path(),
        &[
            &args[..],
            &[
                "--server-cmd",
                "false {port} {workers} {root}",
                "--keep-going",
            ],
        ]
        .concat(),
    );
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let rows = rows(out.path());
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_ne!(row["status"], "ok");
        assert_eq!(
            (row["clients_ok"].as_str(), row["clients_failed"].as_str()),
            ("0", "1")
        );
        for column in [
            "time_per_client_s",
            "aggregate_bytes_per_s",
            "server_workers_ok",
            "server_pool",
        ] {
            assert_eq!(row[column], "", "{column}");
        }
    }
}

#[test]
fn a_stopped_run_keeps_its_samples_and_the_command_it_prints_goes_on() {
    let out = tempfile::tempdir().unwrap();
    let args = [
        "--op",
        "download",
        "--size",
        "1K",
        "--clients",
        "1",
        "--servers",
        "1",
        "--repeat",
        "20",
        "--progress",
        "plain",
    ];
    let mut child = stress(out.path(), &args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("stress runs");
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(
        lines.any(|line| line.starts_with("[ 1/20]")),
        "no first sample"
    );
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(
        rest.iter()
            .any(|line| line.contains("of 20 samples taken, which are kept")),
        "{rest:?}"
    );
    assert_eq!(rows(out.path())[0]["status"], "cut");

    let command = rest.last().unwrap();
    let output = Command::new("sh")
        .args(["-c", command])
        .output()
        .expect("a shell");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{command}: {}",
        text(&output.stderr)
    );
    assert_eq!(rows(out.path())[0]["samples"], "20");
    assert_eq!(names(out.path()).len(), 2, "{:?}", names(out.path()));
}

#[test]
fn no_file_of_a_run_names_a_path_of_the_machine() {
    let cell = ["--op", "list", "--size", "64K", "--clients", "1"];
    let server = "/bin/sh -c 'echo cannot read \"/opt/data/x\"; exit 3' {port} {root}";
    for server in [&[][..], &["--keep-going", "--server-cmd", server]] {
        let out = tempfile::tempdir().unwrap();
        let args = [&cell[..], &["--servers", "1"], server].concat();
        run(out.path(), &args);
        let run = newest(out.path());
        let program = Path::new(env!("CARGO_BIN_EXE_stress")).parent().unwrap();
        for name in names(&run) {
            let content = fs::read(run.join(&name)).unwrap();
            let content = String::from_utf8_lossy(&content);
            for path in [out.path(), program, "/opt".as_ref(), "/bin".as_ref()] {
                let path = path.to_str().unwrap();
                assert!(!content.contains(path), "{path} in {name}: {content}");
            }
        }
        // What a reader needs of them is there.
        let journal = fs::read_to_string(run.join("journal.ndjson")).unwrap();
        assert!(journal.contains("\"…/stress\",\"--out\""), "{journal}");
        match server {
            [] => assert!(journal.contains("\"root\":\"…/root\""), "{journal}"),
            _ => assert!(journal.contains("cannot read \\\"…/x\\\""), "{journal}"),
        }
    }
}

#[test]
fn warming_up_is_kept_and_not_counted() {
    let out = tempfile::tempdir().unwrap();
    let cell = ["--op", "upload", "--size", "1K", "--clients", "1"];
    let more = ["--servers", "1,5", "--warmup", "2", "--repeat", "3"];
    let output = run(out.path(), &[&cell[..], &more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let contents = stress_data::journal::Contents::read(&out.path().join("latest")).unwrap();
    assert_eq!((contents.warmups.len(), contents.samples.len()), (4, 6));
    for row in rows(out.path()) {
        assert_eq!(
            (row["samples"].as_str(), row["status"].as_str()),
            ("3", "ok")
        );
        assert_eq!(row["warmup_samples"], "2");
    }
}

#[test]
fn buffers_are_axes_and_memory_is_a_column() {
    let out = tempfile::tempdir().unwrap();
    let cell = ["--op", "download", "--size", "1M", "--clients", "2"];
    let more = ["--client-buffer", "64K,128K", "--server-buffer", "256K"];
    let args = [&cell[..], &["--servers", "2", "--watch-memory"], &more].concat();
    let output = run(out.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows = rows(out.path());
    assert_eq!(rows.len(), 2);
    for (row, client) in rows.iter().zip(["65536", "131072"]) {
        assert_eq!(row["client_buffer_bytes"], client);
        assert_eq!(row["server_buffer_bytes"], "262144", "as the server says");
        let bytes = |column: &str| row[column].parse::<u64>().unwrap();
        assert!(bytes("server_memory_bytes") > 1 << 16);
        assert_eq!(
            bytes("memory_per_connection_bytes"),
            bytes("server_memory_bytes") / 2
        );
    }
}

#[test]
fn a_row_that_has_not_the_descriptors_for_its_clients_is_not_run() {
    let rows_of = |pool: &str| {
        let out = tempfile::tempdir().unwrap();
        let args = ["--op", "list", "--size", "4K", "--servers", "1"];
        let more = [
            "--requests",
            "1",
            "--clients",
            "1,50",
            "--client-pool",
            pool,
        ];
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 130; exec \"$@\"", "sh"]);
        let command = stress(out.path(), &[&args[..], &more].concat());
        limited.arg(command.get_program()).args(command.get_args());
        let output = limited.output().expect("a shell");
        let rows = rows(out.path());
        let statuses = rows.iter().map(|row| row["status"].clone());
        (
            output.status.code(),
            statuses.collect::<Vec<_>>(),
            text(&output.stdout),
        )
    };
    let (code, statuses, shown) = rows_of("thread");
    assert_eq!(code, Some(3), "{shown}");
    assert_eq!(statuses, ["ok", "not_run"], "{shown}");
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("not enough descriptors: 164 needed"),
        "{shown}"
    );
    // As processes, each has its own.
    let (code, statuses, shown) = rows_of("process");
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(statuses, ["ok", "ok"], "{shown}");
}

#[test]
fn a_disk_that_fills_up_is_said_once_and_leaves_no_half_files() {
    let out = tempfile::tempdir().unwrap();
    let args = ["--op", "list", "--size", "4K", "--clients", "5"];
    let more = ["--servers", "1", "--requests", "20", "--repeat", "5"];
    let args = [&args[..], &more].concat();
    // No file may become longer than a few samples are: to the harness the same as a disk without space.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 160; exec \"$@\"", "sh"]);
    let command = stress(out.path(), &args);
    limited.arg(command.get_program()).args(command.get_args());
    let output = limited.output().expect("a shell");
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let last = errors.lines().last().unwrap();
    assert!(
        last.ends_with("journal.ndjson: File too large (os error 27)"),
        "{errors}"
    );
    assert_eq!(last.matches("File too large").count(), 1, "{errors}");
    let run = out.path().join("latest");
    let left = names(&run);
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");

    // With space again, all of it is there, and goes on.
    let output = run_again(out.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(rows(out.path())[0]["samples"], "5");
}

fn run_again(out: &Path, args: &[&str]) -> Output {
    run(out, &[args, &["--resume"]].concat())
}

/// Every line of a traced run, from the release of a row's clients to the end of its server, and all others.
#[test]
fn nothing_is_removed_while_clients_are_at_work() {
    if Command::new("strace").arg("-V").output().is_err() {
        return crate::support::skip("strace");
    }
    let out = tempfile::tempdir().unwrap();
    let trace = out.path().join("trace");
    let mut command = Command::new("strace");
    let calls = "trace=unlink,unlinkat,rmdir,shutdown,kill";
    command.args([
        "-f",
        "--seccomp-bpf",
        "-e",
        "signal=none",
        "-e",
        calls,
        "-o",
    ]);
    command.arg(&trace).arg(env!("CARGO_BIN_EXE_stress"));
    command
        .arg("--out")
        .arg(out.path())
        .arg("--work-dir")
        .arg(out.path());
    let plan = "--op upload --size 100K --clients 8 --servers 1,2 --requests 3 --repeat 2";
    let output = command.args(plan.split(' ')).output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let trace = fs::read_to_string(&trace).unwrap();
    // Who stops servers has released clients.
    let mut stops = trace.lines().filter(|line| line.contains("SIGTERM"));
    let harness = stops.next().unwrap().split(' ').next().unwrap();
    let (mut windows, mut removed, mut is_open) = (0, 0, false);
    for line in trace.lines() {
        if line.starts_with(harness) && line.contains("shutdown(") {
            (windows, is_open) = (windows + 1, true);
        } else if line.contains("kill(") && line.contains("SIGTERM") {
            is_open = false;
        } else if line.contains("unlink") || line.contains("rmdir(") {
            assert!(!is_open, "{line}");
            removed += usize::from(line.contains("\"u000") || line.contains("/u000"));
        }
    }
    assert_eq!((windows, is_open), (5, false), "with the timeline's");
    assert!(removed >= 5 * 8 * 3, "{removed}");
}

/// In each of a download row's fresh servers the file is old enough to be kept encoded from the second download on.
#[test]
fn a_download_row_finds_the_encoded_cache_ready() {
    let out = tempfile::tempdir().unwrap();
    let plan =
        "--op download --size 1M --clients 2 --servers 1,2 --requests 3 --encoded-cache 0,8M";
    let output = run(out.path(), &plan.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{output:?}");
    let table = text(&output.stdout);
    assert!(
        table.contains("process server, no encoded cache"),
        "{table}"
    );
    assert!(
        table.contains("process server, encoded cache 8M"),
        "{table}"
    );
    let caches = rows(out.path())
        .into_iter()
        .map(|mut row| row.remove("encoded_cache_bytes"));
    let caches: Vec<String> = caches.map(Option::unwrap).collect();
    assert_eq!(caches, ["0", "0", "8388608", "8388608"]);
    let journal = fs::read_to_string(newest(out.path()).join("journal.ndjson")).unwrap();
    let sent: Vec<bool> = journal
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|line| {
            let sum = line.pointer("/sample/measurement/done/sum/requests/sent_from_cache_bytes");
            Some(sum?.as_u64() > Some(0))
        })
        .collect();
    assert_eq!(sent, [false, false, true, true]);
}
