//! The real program on a run of the schema before its own.

use std::fs;
use std::path::Path;

use stress_data::journal;
use tempfile::TempDir;

use crate::commands::{stderr, stdout, stress};

const OLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../stress-data/fixtures/schema-1"
);

#[test]
fn a_run_of_schema_1_is_shown_reported_and_verified_and_nothing_is_appended_to_it() {
    let out = TempDir::new().unwrap();
    let run = out.path().join("older");
    fs::create_dir(&run).unwrap();
    let summary = Path::new(OLDER).join("summary.csv");
    fs::copy(summary, run.join("summary.csv")).unwrap();
    let journal = journal::unpack(&Path::new(OLDER).join(journal::PACKED_NAME)).unwrap();
    let path = run.join(journal::FILE_NAME);
    fs::write(&path, &journal).unwrap();

    let run = run.to_str().unwrap();
    for command in [
        &["show", run][..],
        &["explain", run, "1"],
        &["report", run],
        &["compare", run, run],
    ] {
        let output = stress(out.path(), command);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let verified = stress(out.path(), &["verify", run]);
    let said = stdout(&verified);
    assert_eq!(verified.status.code(), Some(0), "{said}");
    assert!(
        said.contains("of format 1") && said.contains("not compared"),
        "{said}"
    );

    let resumed = stress(out.path(), &["--resume", run, "--progress", "none"]);
    let said = stderr(&resumed);
    assert_ne!(resumed.status.code(), Some(0), "{said}");
    assert!(
        said.contains("is of format 1") && said.contains("leave --resume out"),
        "{said}"
    );
    assert_eq!(fs::read(&path).unwrap(), journal);
}
