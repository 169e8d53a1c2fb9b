//! What a run is asked to keep to: conditions of its rows (`--fail-on`), and its time (`--budget`).

use std::fs;

use tempfile::TempDir;

use super::commands::{measure, stderr, stdout, stress};

#[test]
fn conditions_decide_the_exit_code() {
    let out = TempDir::new().unwrap();
    let check = |conditions: &[&str], code: i32, words: &str| {
        let output = measure(out.path(), &[&["--op", "list"], conditions].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{conditions:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(words),
            "{conditions:?}: {}",
            stderr(&output)
        );
    };
    check(&["--fail-on", "clients_failed>0,status!=ok"], 0, "");
    check(
        &["--fail-on", "clients_failed>0", "--fail-on", "clients_ok<3"],
        4,
        "--fail-on clients_ok<3: row 3: clients_ok is 2",
    );
    // Without --baseline no row has a ceiling; and no row will ever have this status.
    check(
        &["--fail-on", "ceiling_fraction<0.5"],
        4,
        "--fail-on ceiling_fraction<0.5: no row has a value of ceiling_fraction",
    );
    check(
        &["--fail-on", "status=fialed"],
        2,
        "unknown status 'fialed'",
    );
    check(&["--fail-on", "speed>1"], 2, "unknown column 'speed'");
}

#[test]
fn a_budget_ends_a_run_of_a_server_that_does_not_answer() {
    let out = TempDir::new().unwrap();
    // Without the budget each of the three rows would wait for its server for ten seconds.
    let args = [
        "--budget",
        "5s",
        "--keep-going",
        "--server-cmd",
        "sh -c 'exec sleep 1000' {port} {root}",
    ];
    let output = measure(out.path(), &args);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.matches("not_run").count(), 3, "{text}");
    assert!(
        text.contains("3 rows are not complete for want of time (--budget)"),
        "{text}"
    );
    let verified = stress(out.path(), &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));

    // A resumption has a budget of its own, or none.
    let goes_on = [
        "--resume",
        "--keep-going",
        "--server-cmd",
        "sh -c 'exec sleep 1000' {port} {root}",
        "--budget",
        "5s",
    ];
    let output = measure(out.path(), &goes_on);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(
        fs::read_dir(out.path()).unwrap().count(),
        1,
        "one run, and no latest: nothing was measured"
    );
}
