use super::*;
use crate::journal::Line;
use crate::matrix::Selection;
use crate::{summary, testing};

fn entry(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn all_tables_are_written_whole_and_nothing_is_left_beside_them() {
    let run = tempfile::tempdir().unwrap();
    let mut contents = testing::contents(&Selection::default(), 1);
    contents.add(Line::Session(testing::session()));
    contents.add(Line::End(End {
        session: 0,
        ended_utc: "2026-11-24T04:00:43Z".into(),
        wall_ns: 43_200_000_000,
        cpu: None,
        interrupted: true,
    }));
    let rows = summary::rows(&contents);
    write_all(run.path(), &contents, &rows).unwrap();
    write_all(run.path(), &contents, &rows).unwrap();
    assert_eq!(
        entry(run.path()),
        ["clients.csv", "run.json", "summary.csv"]
    );
    let csv = fs::read_to_string(run.path().join("summary.csv")).unwrap();
    assert_eq!(csv.lines().count(), 82);
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(run.path().join("run.json")).unwrap()).unwrap();
    assert_eq!(json["totals"]["rows"], 81);
    assert_eq!(json["totals"]["not_run"], 81);
    assert_eq!(json["plan"]["cells"], 81);
    assert_eq!(json["machine"]["cpu_model"], "A CPU");
    assert_eq!(json["sessions"][0]["commit"], "unknown");
    assert_eq!(json["sessions"][0]["wall_ns"], 43_200_000_000_u64);
    assert_eq!(json["sessions"][0]["interrupted"], true);
}

#[test]
fn a_file_that_cannot_be_replaced_leaves_nothing_half_written() {
    let run = tempfile::tempdir().unwrap();
    fs::create_dir(run.path().join("summary.csv")).unwrap();
    let contents = testing::contents(&Selection::default(), 1);
    let error = write_all(run.path(), &contents, &summary::rows(&contents)).unwrap_err();
    let words = format!("{error:#}");
    assert!(words.contains("summary.csv: Is a directory"), "{words}");
    assert_eq!(entry(run.path()), ["summary.csv"]);
}

#[test]
fn the_schemas_are_what_the_types_say() {
    crate::schemas::keep::<RunJson<'_>>(
        "run",
        "run.json of a run: what was measured with what on what, and how it went",
    );
    let baseline = "stress baseline --json: what the machine can";
    crate::schemas::keep::<crate::machine::Ceilings>("baseline", baseline);
}
