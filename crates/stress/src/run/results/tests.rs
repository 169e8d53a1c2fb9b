use std::fs::File;

use stress_data::derived::write_all;
use stress_data::journal::{Journal, Line};
use stress_data::matrix::Selection;
use stress_data::measurement::Status;
use stress_data::summary;

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
            let sample = Line::Sample(Box::new(testing::sample(measurement)));
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
