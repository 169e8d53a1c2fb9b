//! Servers that are not ours: any command that listens where it is told to.

use stress_data::matrix::Operation;
use stress_data::measurement::Status;
use stress_data::record::Outcome;

use super::support::{python, refused, run};

/// Our own server, measured as if we did not know it.
fn own_as_foreign() -> String {
    let stress = env!("CARGO_BIN_EXE_stress");
    format!("'{stress}' __server --bind 127.0.0.1:{{port}} --workers {{workers}} --root {{root}}")
}

#[test]
fn a_foreign_server_is_measured_without_a_ledger() {
    let command = own_as_foreign();
    let axes = ["--size", "1M", "--clients", "2", "--servers", "2"];
    let ended = run(&[&axes[..], &["--server-cmd", &command]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    let measurements = ended.measurements();
    assert_eq!(measurements.len(), 3);
    for measurement in &measurements {
        assert_eq!(measurement.status, Status::Ok, "{measurement:#?}");
        assert_eq!((&measurement.ready, &measurement.done), (&None, &None));
        // Its processes are looked at all the same: a parent and two workers.
        let server = measurement.edges.unwrap().server().unwrap();
        assert!(server.processes >= 3 && server.cpu_us > 0, "{server:?}");
        assert_eq!(measurement.notes, Vec::<String>::new());
    }
    ended.assert_clean();
}

#[test]
fn uploads_to_a_server_that_says_nothing_of_them_are_read_back() {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../scripts/reference_server.py"
    );
    let Some(python) = python() else { return };
    for pool in ["thread", "process"] {
        let command = format!(
            "{python} -S '{script}' --port {{port}} --workers {{workers}} --root {{root}} --pool {pool}"
        );
        let axes = ["--size", "1M", "--clients", "2", "--servers", "2"];
        let ended = run(&[&axes[..], &["--server-cmd", &command]].concat());
        assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
        for measurement in &ended.measurements() {
            assert_eq!(measurement.status, Status::Ok, "{measurement:#?}");
            let verified = measurement
                .records
                .iter()
                .map(|record| record.verified_bytes);
            match measurement.cell.operation {
                Operation::List => assert!(verified.sum::<u64>() > 0),
                _ => assert_eq!(verified.sum::<u64>(), 2 << 20),
            }
            assert_eq!(measurement.unverified, 0);
        }
        ended.assert_clean();
        let upload = ["--op", "upload", "--verify", "size"];
        let trusting = run(&[&axes[..], &upload, &["--server-cmd", &command]].concat());
        assert_eq!(trusting.status.code(), Some(0), "{}", trusting.errors);
        assert_eq!(trusting.measurement().unverified, 2);
        trusting.assert_clean();
    }
}

fn check_not_ready(command: &str, words: &str) {
    let axes = [
        "--size",
        "1M",
        "--clients",
        "2",
        "--servers",
        "1",
        "--op",
        "upload",
    ];
    let args = [&axes[..], &["--server-cmd", command]].concat();
    // In a row a path is shortened.
    let said = refused(&args).replace("/nonexistent/", "…/");
    assert!(said.contains(words), "no '{words}' in '{said}'");
    let ended = run(&[&args[..], &["--keep-going"]].concat());
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    let measurement = ended.measurement();
    assert_eq!(measurement.status, Status::ServerLost);
    let notes = measurement.notes.join("\n");
    assert!(notes.contains(words), "no '{words}' in '{notes}'");
    let outcomes: Vec<Outcome> = measurement
        .records
        .iter()
        .map(|record| record.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::NotSent; 2]);
    ended.assert_clean();
}

#[test]
fn a_server_that_cannot_start_is_a_row_that_says_why() {
    check_not_ready(
        "/nonexistent/server {port} {root}",
        "…/server: No such file",
    );
    check_not_ready(
        "sh -c 'echo no {port} here >&2; exit 7' {root}",
        "exit status: 7",
    );
    check_not_ready(
        "sh -c 'echo no port here >&2; exit 7' {port} {root}",
        "no port here",
    );
}
