//! Runs of a schema before this program's own.

use super::*;

/// A run of a program that wrote schema 1, small.
const OLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/schema-1");

/// A copy of it, with its journal unpacked and `edit`ed.
fn older(edit: impl FnOnce(String) -> String) -> TempDir {
    let folder = TempDir::new().unwrap();
    let packed = Path::new(OLDER).join(journal::PACKED_NAME);
    let text = String::from_utf8(journal::unpack(&packed).unwrap()).unwrap();
    fs::write(folder.path().join(journal::FILE_NAME), edit(text)).unwrap();
    let summary = Path::new(OLDER).join("summary.csv");
    fs::copy(summary, folder.path().join("summary.csv")).unwrap();
    folder
}

#[test]
fn a_run_of_an_older_schema_has_its_journal_verified_and_its_tables_left_alone() {
    let besides = Besides {
        table: |_, _| unreachable!(),
        ..NOTHING
    };
    let checked = check(Path::new(OLDER), besides);
    assert_eq!(checked.findings, []);
    assert_eq!((checked.rows, checked.rows_ok, checked.samples), (6, 6, 12));
    let said = text(&checked);
    assert!(said.contains("consistent: 6 rows"), "{said}");
    assert!(
        said.contains("of format 1") && said.contains("not compared"),
        "{said}"
    );
    let checked = [checked];
    let json = as_json(&checked, &class::members(&checked, &[]), &[], &[]);
    assert_eq!(json["runs"][0]["older_schema"], 1);
    // Of this program's own format nothing is said.
    let today = verified(written(&contents()).path());
    assert!(!text(&today).contains("format"), "{}", text(&today));
}

#[test]
fn what_an_older_journal_or_table_says_of_itself_must_still_hold() {
    let bytes = "\"verified_bytes\":102400";
    let folder = older(|text| text.replacen(bytes, "\"verified_bytes\":102401", 1));
    let found = findings(&folder);
    assert!(
        !found.is_empty() && found[0].starts_with("journal.ndjson"),
        "{found:?}"
    );

    let folder = older(|text| text);
    assert_eq!(findings(&folder), Vec::<String>::new());
    let summary = folder.path().join("summary.csv");
    let text = fs::read_to_string(&summary).unwrap();
    fs::write(
        summary,
        text.replacen(",102400,2,2,ok,", ",102400,2,3,ok,", 1),
    )
    .unwrap();
    let found = findings(&folder);
    assert!(
        found.iter().any(|it| it.contains("more than repeats")),
        "{found:?}"
    );
}

#[test]
fn nothing_is_appended_to_a_journal_of_an_older_schema() {
    let folder = older(|text| text);
    let path = folder.path().join(journal::FILE_NAME);
    let before = fs::read(&path).unwrap();
    let error = Journal::resume(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is of format 1"), "{error}");
    assert!(error.contains("leave --resume out"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}
