//! What has to be said again.

use stress_data::matrix::Selection;
use stress_data::measurement::ServerCommand;

use super::*;
use crate::testing;

fn cells() -> Vec<Cell> {
    Plan::new(&Selection::default()).cells
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
    let in_folder = |folder: &str| {
        ServerChoice::Command(ServerCommand {
            command: "serve {port} {root}".into(),
            cwd: Some(folder.into()),
            ..ServerCommand::default()
        })
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

#[test]
fn a_row_that_failed_goes_before_a_ratio_that_does_not_hold() {
    let check = |times: &[(u64, &[u64])], want: Exit| {
        let pairs = cells()
            .into_iter()
            .zip(times)
            .map(|(cell, (then, now))| Pair {
                cell,
                then_ns: vec![*then],
                now_ns: now.to_vec(),
            });
        assert_eq!(exit(&Ratios::of(pairs.collect(), 2.0)), want);
    };
    check(&[(10, &[20]), (20, &[40])], Exit::Verified);
    check(&[(10, &[20]), (20, &[40]), (10, &[900])], Exit::Threshold);
    check(&[(10, &[]), (20, &[40]), (10, &[900])], Exit::RowFailed);
}
