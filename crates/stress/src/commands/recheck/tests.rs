//! The words, with known times; and what has to be said again.

use stress_data::matrix::Selection;

use super::*;
use crate::testing;

fn cells() -> Vec<Cell> {
    Plan::new(&Selection::default()).cells
}

/// Cells that took these milliseconds then and now.
fn judged(times_ms: &[(&[u64], &[u64])], within: f64) -> Ratios {
    let ns = |times: &[u64]| times.iter().map(|ms| ms * 1_000_000).collect();
    let cells = cells().into_iter();
    let pairs = cells.zip(times_ms).map(|(cell, (then, now))| Pair {
        cell,
        then_ns: ns(then),
        now_ns: ns(now),
    });
    Ratios::of(pairs.collect(), within)
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let recheck = Recheck {
        run: "a-run".repeat(50),
        path: Path::new("results/another"),
        ratios: judged(&[(&[1], &[18_446_744_073_709]), (&[1 << 40], &[1])], 1.2),
        within: 1.2,
        seed: u64::MAX,
        is_same_machine: false,
    };
    testing::check_fits(|screen| recheck.text(screen));
}

#[test]
fn the_words_say_what_the_exit_code_does() {
    let check = |times: &[(&[u64], &[u64])], exit: Exit, words: &str| {
        let recheck = Recheck {
            run: "a".into(),
            path: Path::new("results/b-recheck"),
            ratios: judged(times, 2.0),
            within: 2.0,
            seed: 1,
            is_same_machine: false,
        };
        assert_eq!(recheck.exit(), exit);
        let text = recheck.text(Screen::FILE);
        assert!(text.contains(words), "{text}");
        assert_eq!(recheck.json()["holds"], exit == Exit::Verified);
    };
    check(
        &[(&[10], &[20]), (&[20], &[40])],
        Exit::Verified,
        "1 of 1 ratio between the rows is within a factor of 2. The run's ratios hold.",
    );
    check(
        &[(&[10], &[20]), (&[20], &[40]), (&[10], &[900])],
        Exit::Threshold,
        "do NOT hold",
    );
    check(
        &[(&[10], &[]), (&[20], &[40])],
        Exit::CellFailed,
        "is not ok here",
    );
}

#[test]
fn a_foreign_server_has_to_be_named_again_with_its_paths() {
    let args = |server_cmd: Option<&str>, server_cwd: Option<&str>| RecheckArgs {
        run: "x".into(),
        sample: 6,
        repeat: 3,
        within: 2.0,
        seed: 1,
        server_cmd: server_cmd.map(str::to_owned),
        server_cwd: server_cwd.map(PathBuf::from),
        server_root: None,
        out: "results".into(),
        work_dir: None,
        progress: Shown::None,
        json: false,
    };
    let command = "python3 /home/me/s.py {port} {root}";
    let mut kept = testing::settings();
    assert!(settings(&args(None, None), &kept).is_ok());
    let error = settings(&args(Some(command), None), &kept).unwrap_err();
    assert!(error.to_string().contains("leave them out"), "{error}");

    kept.server = testing::foreign("python3 …/s.py {port} {root}");
    for given in [None, Some("python3 /home/me/other.py {port} {root}")] {
        let error = settings(&args(given, None), &kept).unwrap_err();
        assert!(error.is::<Unusable>(), "{error}");
        let words = "python3 …/s.py {port} {root}";
        assert!(error.to_string().contains(words), "{error}");
    }
    let found = settings(&args(Some(command), None), &kept).unwrap();
    assert_eq!(found.server, testing::foreign(command));

    // One without a path is known as it is, and so is one whose folder is said again.
    kept.server = testing::foreign("serve {port} {root}");
    assert_eq!(settings(&args(None, None), &kept).unwrap(), kept);
    let in_folder = |folder: &str| ServerChoice::Command {
        command: "serve {port} {root}".into(),
        cwd: Some(folder.into()),
        host: None,
        port: None,
        root: None,
    };
    kept.server = in_folder("…/work");
    assert!(settings(&args(None, None), &kept).is_err());
    let found = settings(&args(None, Some("/home/me/work")), &kept).unwrap();
    assert_eq!(found.server, in_folder("/home/me/work"));
}

#[test]
fn rows_of_workers_that_the_server_was_not_told_are_not_measured_again() {
    let untold = testing::foreign("serve --workers 5 {port} {root}");
    let error = refuse_untold(&untold, &cells()).unwrap_err().to_string();
    assert!(error.contains("--servers N"), "{error}");
    assert!(refuse_untold(&untold, &cells()[..1]).is_ok());
    let told = testing::foreign("serve {workers} {port} {root}");
    assert!(refuse_untold(&told, &cells()).is_ok());
    assert!(refuse_untold(&ServerChoice::Own, &cells()).is_ok());
}
