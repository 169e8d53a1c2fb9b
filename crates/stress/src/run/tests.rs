//! The loop and the folder, with a bench that makes its measurements up.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::Ordering;

use clap::Parser;

use super::samples::Bench;
use super::*;
use crate::cli::Args;
use crate::matrix::Cell;
use crate::measure;
use crate::measurement::{Measurement, Status};
use crate::testing;

/// A request whose results and work lie in `out`: `--work-dir` says that memory will do.
fn request(out: &Path, words: &[&str]) -> Request {
    let out = out.to_str().unwrap();
    let fixed = [
        "stress",
        "--op",
        "upload",
        "--size",
        "10M",
        "--progress",
        "none",
        "--out",
        out,
        "--work-dir",
        out,
    ];
    let argv: Vec<OsString> = fixed.iter().chain(words).map(Into::into).collect();
    Request::new(Args::try_parse_from(&argv).unwrap(), &argv).unwrap()
}

/// What the bench does with the cell of a number.
type Script = fn(u32, &AtomicBool) -> Result<Status, measure::Error>;

struct ScriptedBench<'a> {
    script: Script,
    interrupt: &'a AtomicBool,
    measured: Vec<(u32, u32)>,
}

impl Bench for ScriptedBench<'_> {
    fn shortage(&self, cell: &Cell) -> Option<String> {
        (cell.number == 30).then(|| "not enough memory".into())
    }

    fn measure(&mut self, cell: &Cell, repeat: u32) -> Result<Measurement, measure::Error> {
        self.measured.push((cell.number, repeat));
        let status = (self.script)(cell.number, self.interrupt)?;
        let contents = testing::contents(&crate::matrix::Selection::default(), 1);
        let measurement = testing::measurement(&contents, 0, repeat, status);
        Ok(Measurement {
            cell: cell.clone(),
            ..measurement
        })
    }
}

/// Takes what is left to take, and says how that ended and which cells were measured.
fn take(request: &Request, folder: &mut Folder, script: Script) -> (Ended, Vec<(u32, u32)>) {
    let interrupt = AtomicBool::new(false);
    let turns = turns_left(request, &folder.contents);
    let mut bench = ScriptedBench {
        script,
        interrupt: &interrupt,
        measured: Vec::new(),
    };
    let mut taker = Taker {
        folder,
        progress: progress(request, &turns),
        settings: &request.settings,
        session: 0,
        interrupt: &interrupt,
    };
    let ended = taker.take(&request.plan.cells, &turns, &mut bench);
    (ended, bench.measured)
}

fn statuses(run: &Path) -> Vec<(u32, Status)> {
    let contents = Contents::read(run).unwrap();
    let samples = contents.samples.values();
    samples
        .map(|sample| (sample.measurement.cell.number, sample.measurement.status))
        .collect()
}

#[test]
fn a_cell_that_fails_or_cannot_be_run_is_a_row_and_the_run_goes_on() {
    let out = tempfile::tempdir().unwrap();
    let request = request(out.path(), &["--clients", "1"]);
    let mut folder = Folder::open(&request).unwrap();
    let (ended, measured) = take(&request, &mut folder, |number, _| {
        Ok(if number == 28 {
            Status::Failed
        } else {
            Status::Ok
        })
    });
    assert!(matches!(ended, Ended::Complete));
    assert_eq!(measured, [(28, 0), (29, 0)]);
    let want = [(28, Status::Failed), (29, Status::Ok), (30, Status::NotRun)];
    assert_eq!(statuses(&folder.path), want);
}

#[test]
fn a_stop_discards_the_sample_in_hand_and_resuming_takes_the_rest() {
    let out = tempfile::tempdir().unwrap();
    let request = request(out.path(), &["--servers", "5"]);
    let mut folder = Folder::open(&request).unwrap();
    let (ended, measured) = take(&request, &mut folder, |number, _| match number {
        32 => Err(measure::Error::Interrupted),
        _ => Ok(Status::Ok),
    });
    assert!(matches!(ended, Ended::Interrupted));
    assert_eq!(measured, [(29, 0), (32, 0)]);
    assert_eq!(statuses(&folder.path), [(29, Status::Ok)]);
    let path = folder.path.clone();
    drop(folder);

    let again = Request {
        start: crate::cli::request::Start::ResumeNewest,
        ..request
    };
    let mut folder = Folder::open(&again).unwrap();
    assert_eq!(folder.path, path);
    let (ended, measured) = take(&again, &mut folder, |_, _| Ok(Status::Ok));
    assert!(matches!(ended, Ended::Complete));
    assert_eq!(measured, [(32, 0), (35, 0)]);
}

#[test]
fn a_signal_between_two_samples_stops_before_the_next() {
    let out = tempfile::tempdir().unwrap();
    let request = request(out.path(), &["--clients", "1"]);
    let mut folder = Folder::open(&request).unwrap();
    let (ended, measured) = take(&request, &mut folder, |_, interrupt| {
        interrupt.store(true, Ordering::Relaxed);
        Ok(Status::Ok)
    });
    assert!(matches!(ended, Ended::Interrupted));
    assert_eq!(measured, [(28, 0)]);
    assert_eq!(statuses(&folder.path), [(28, Status::Ok)]);
}

#[test]
fn a_harness_that_cannot_go_on_keeps_what_it_has() {
    let out = tempfile::tempdir().unwrap();
    let request = request(out.path(), &["--clients", "1"]);
    let mut folder = Folder::open(&request).unwrap();
    let (ended, _) = take(&request, &mut folder, |number, _| match number {
        29 => Err(measure::Error::Harness("the work directory is gone".into())),
        _ => Ok(Status::Ok),
    });
    assert!(
        matches!(ended, Ended::Broken(error) if error.to_string() == "the work directory is gone")
    );
    assert_eq!(statuses(&folder.path), [(28, Status::Ok)]);
}

#[test]
fn repeats_are_taken_round_by_round() {
    let out = tempfile::tempdir().unwrap();
    let request = request(out.path(), &["--servers", "1", "--repeat", "3"]);
    let mut folder = Folder::open(&request).unwrap();
    let (_, measured) = take(&request, &mut folder, |_, _| Ok(Status::Ok));
    let repeats: Vec<u32> = measured.iter().map(|(_, repeat)| *repeat).collect();
    assert_eq!(repeats, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

fn refusal(request: &Request) -> String {
    let error = Folder::open(request).unwrap_err();
    assert!(error.is::<Unusable>(), "{error:#}");
    error.to_string()
}

#[test]
fn a_run_started_otherwise_is_not_resumed_and_the_difference_is_named() {
    let out = tempfile::tempdir().unwrap();
    let run = Folder::open(&request(out.path(), &[])).unwrap().path;
    let run = run.to_str().unwrap();
    let error = refusal(&request(out.path(), &["--timeout", "1m", "--resume", run]));
    assert!(
        error.contains("timeout_ms: 300000 in the run, 60000 now"),
        "{error}"
    );
    assert!(error.contains("the flags of its start"), "{error}");
    assert!(Folder::open(&request(out.path(), &["--resume", run])).is_ok());
    let latest = out.path().join("latest");
    let resumed = Folder::open(&request(
        out.path(),
        &["--resume", latest.to_str().unwrap()],
    ))
    .unwrap();
    assert_eq!(resumed.path.to_str(), Some(run));
}

#[test]
fn a_foreign_server_is_the_same_only_with_the_same_paths() {
    let out = tempfile::tempdir().unwrap();
    let open = |server: &str, words: &[&str]| {
        let command = format!("python3 {server}/server.py {{port}} {{root}}");
        let words = [&["--server-cmd", command.as_str()][..], words].concat();
        request(out.path(), &words)
    };
    let run = Folder::open(&open("/home/a", &[])).unwrap().path;
    let kept = std::fs::read_to_string(run.join(crate::journal::FILE_NAME)).unwrap();
    assert!(kept.contains("python3 …/server.py {port}"), "{kept}");
    assert!(Folder::open(&open("/home/a", &["--resume"])).is_ok());
    let error = refusal(&open("/home/b", &["--resume"]));
    assert!(
        error.contains("--server-cmd with all of its paths"),
        "{error}"
    );
}

#[test]
fn there_must_be_something_to_resume() {
    let out = tempfile::tempdir().unwrap();
    let error = refusal(&request(out.path(), &["--resume"]));
    assert!(
        error.contains("no run in") && error.contains("is unfinished"),
        "{error}"
    );
    let error = refusal(&request(out.path(), &["--resume", "/nonexistent"]));
    assert_eq!(error, "--resume: there is no run in /nonexistent");
    let run = out.path().join("packed");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join(crate::journal::PACKED_NAME), []).unwrap();
    let error = refusal(&request(out.path(), &["--resume", run.to_str().unwrap()]));
    assert!(error.contains("unpack it first: gunzip "), "{error}");
}
