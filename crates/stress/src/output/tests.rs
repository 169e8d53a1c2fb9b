use stress_data::journal::{Journal, Line, Sample};
use stress_data::matrix::Selection;

use super::*;
use crate::testing;

fn entry(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn a_folder_is_named_by_time_and_label_and_never_taken_twice() {
    let out = tempfile::tempdir().unwrap();
    let now = humantime::parse_rfc3339("2026-11-24T04:00:00.7Z").unwrap();
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        name(create_folder(out.path(), "run", now).unwrap()),
        "20261124T040000Z-run"
    );
    assert_eq!(
        name(create_folder(out.path(), "run", now).unwrap()),
        "20261124T040000Z-run-2"
    );
    assert_eq!(
        name(create_folder(out.path(), "quick", now).unwrap()),
        "20261124T040000Z-quick"
    );
}

#[test]
fn latest_points_at_the_newest_run_by_its_name_alone() {
    let out = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let run = out.path().join(name);
        fs::create_dir(&run).unwrap();
        point_latest(&run).unwrap();
        assert_eq!(
            fs::read_link(out.path().join("latest")).unwrap(),
            Path::new(name)
        );
    }
    assert_eq!(entry(out.path()), ["a", "b", "latest"]);
}

#[test]
fn the_newest_unfinished_run_is_found_among_others() {
    let out = tempfile::tempdir().unwrap();
    let selection = Selection {
        volumes: vec![1],
        clients: vec![5],
        servers: vec![5],
        ..Selection::default()
    };
    let newest = || newest_unfinished(out.path(), |contents| !contents.is_finished()).unwrap();
    let make = |name: &str, samples: usize| {
        let run = out.path().join(name);
        fs::create_dir(&run).unwrap();
        let mut contents = testing::contents(&selection, 1);
        let mut journal = Journal::create(&run, &contents.header).unwrap();
        for index in 0..samples {
            let measurement = testing::measurement(&contents, index, 0, Status::Ok);
            let sample = Line::Sample(Box::new(Sample {
                session: 0,
                is_warmup: false,
                cpu: None,
                wall_ns: None,
                measurement,
            }));
            journal.append(&sample).unwrap();
            contents.add(sample);
        }
        write_all(&run, &contents, &summary::rows(&contents)).unwrap();
        run
    };
    assert_eq!(newest(), None);
    make("20260101T000000Z-run", 1);
    let unfinished = make("20260102T000000Z-run", 2);
    let finished = make("20260103T000000Z-run", 3);
    fs::create_dir(out.path().join("20260104T000000Z-run")).unwrap();
    assert_eq!(newest(), Some(unfinished.clone()));
    // Killed after its last sample, before its last table.
    fs::remove_file(finished.join("run.json")).unwrap();
    assert_eq!(newest(), Some(finished.clone()));
    let contents = Contents::read(&finished).unwrap();
    write_all(&finished, &contents, &summary::rows(&contents)).unwrap();
    assert_eq!(newest(), Some(unfinished));
    // Killed when the tables of an earlier session were there.
    let table = File::options()
        .write(true)
        .open(finished.join("summary.csv"))
        .unwrap();
    table.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(newest(), Some(finished));
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
