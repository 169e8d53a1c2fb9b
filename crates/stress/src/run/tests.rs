//! The loop and the folder, with a bench that makes its measurements up.

mod drawing;

use std::path::Path;
use std::time::Duration;

use stress_data::matrix::Cell;
use stress_data::measurement::{Measurement, Status};
use stress_data::summary;

use super::measure;
use super::samples::{Drawn, Sampler};
use super::*;
use crate::commands;
use crate::testing;

/// A request whose results and work lie in `out`: `--work-dir` says that memory will do.
fn request(out: &Path, words: &[&str]) -> Request {
    let out = out.to_str().unwrap();
    let fixed = [
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
    commands::tests::parse(&[&fixed[..], words].concat()).unwrap()
}

/// What the bench does with the row of a number.
type Script = fn(u32, &Stops) -> Result<Status, measure::Error>;

struct ScriptedSampler<'a> {
    script: Script,
    stops: &'a Stops,
    /// What a sample of a row takes.
    cost: fn(&Cell) -> Duration,
    now: Duration,
    measured: Vec<(u32, u32)>,
}

impl Sampler for ScriptedSampler<'_> {
    fn shortage(&self, cell: &Cell) -> Option<String> {
        (cell.number == 30).then(|| "not enough memory".into())
    }

    fn measure(&mut self, cell: &Cell, repeat: u32) -> Result<Measurement, measure::Error> {
        self.measured.push((cell.number, repeat));
        self.now += (self.cost)(cell);
        let status = (self.script)(cell.number, self.stops)?;
        let contents = testing::contents(&stress_data::matrix::Selection::default(), 1);
        let measurement = testing::measurement(&contents, 0, repeat, status);
        Ok(Measurement {
            cell: cell.clone(),
            ..measurement
        })
    }

    fn draw(&mut self, cell: &Cell, repeat: u32) -> Result<Drawn, measure::Error> {
        Ok((self.measure(cell, repeat)?, Vec::new()))
    }

    fn elapsed(&self) -> Duration {
        self.now
    }
}

/// Takes what is left to take, and says how that ended and which rows were measured.
fn take(request: &Request, folder: &mut Folder, script: Script) -> (Ended, Vec<(u32, u32)>) {
    take_at_cost(request, folder, script, |_| Duration::from_secs(1))
}

fn take_at_cost(
    request: &Request,
    folder: &mut Folder,
    script: Script,
    cost: fn(&Cell) -> Duration,
) -> (Ended, Vec<(u32, u32)>) {
    let stops = Stops::default();
    let turns = turns_left(request, &folder.contents);
    let agenda = agenda(request, &folder.contents, &turns);
    let mut bench = ScriptedSampler {
        script,
        stops: &stops,
        cost,
        now: Duration::ZERO,
        measured: Vec::new(),
    };
    let mut taker = Sampling {
        folder,
        progress: progress(request, &turns),
        settings: &request.settings,
        session: 0,
        stops: &stops,
    };
    let ended = taker.take(&request.plan.cells, agenda, &mut bench);
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
fn a_row_that_fails_or_cannot_be_run_is_booked_and_the_run_goes_on() {
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
    let (ended, measured) = take(&request, &mut folder, |number, stops| match number {
        32 => {
            stops.stop_by_user();
            Err(measure::Error::Interrupted)
        }
        _ => Ok(Status::Ok),
    });
    assert!(matches!(ended, Ended::Interrupted));
    assert_eq!(measured, [(29, 0), (32, 0)]);
    assert_eq!(statuses(&folder.path), [(29, Status::Ok)]);
    let path = folder.path.clone();
    drop(folder);

    let again = Request {
        start: crate::run::request::Start::ResumeNewest,
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
    let (ended, measured) = take(&request, &mut folder, |_, stops| {
        stops.stop_by_user();
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

/// Ten seconds for each client, whatever else.
fn ten_seconds_a_client(cell: &Cell) -> Duration {
    Duration::from_secs(10) * cell.clients
}

#[test]
fn a_budget_takes_the_cheap_rows_and_books_the_others_with_the_reason() {
    let out = tempfile::tempdir().unwrap();
    // One, five and fifty clients with one, five and fifty workers: 10, 50 and 500 seconds each.
    let request = request(out.path(), &["--budget", "205s"]);
    let mut folder = Folder::open(&request).unwrap();
    let (ended, measured) = take_at_cost(
        &request,
        &mut folder,
        |_, _| Ok(Status::Ok),
        ten_seconds_a_client,
    );
    assert!(matches!(ended, Ended::Complete));
    // Number 30 has no memory. From one client five are predicted to take as many times as long, which they do;
    // after 10 + 10 + 3 × 50 seconds 30.9 of 200.9 are left, and nothing is that short.
    assert_eq!(measured, [(28, 0), (29, 0), (31, 0), (32, 0), (33, 0)]);
    let want = [33, 34, 35, 36].map(|number| match number {
        33 => (number, Status::Ok),
        _ => (number, Status::NotRun),
    });
    assert_eq!(statuses(&folder.path)[5..], want);
    let note = |number: u32| folder.contents.samples[&(number, 0)].measurement.notes[0].clone();
    assert_eq!(
        note(34),
        "--budget: it would take about 8 min 20 s, and 30.9 s were left"
    );
    let rows = summary::rows(&folder.contents);
    assert_eq!(rows[6].status, Status::NotRun);
    assert_eq!(rows[6].time_ns, None);
    drop(folder);

    // With more time the rest is taken, and what the earlier samples took is not forgotten.
    let again = Request {
        start: crate::run::request::Start::ResumeNewest,
        budget: Some(Duration::from_secs(600)),
        ..request
    };
    let mut folder = Folder::open(&again).unwrap();
    let (_, measured) = take_at_cost(
        &again,
        &mut folder,
        |_, _| Ok(Status::Ok),
        ten_seconds_a_client,
    );
    assert_eq!(measured, [(34, 0)]);
    assert_eq!(
        folder.contents.samples[&(35, 0)].measurement.notes[0],
        "--budget: it would take about 8 min 20 s, and 1 min 28 s were left"
    );
}

#[test]
fn a_sample_that_outlasts_the_budget_is_ended_and_booked_as_not_run() {
    let out = tempfile::tempdir().unwrap();
    let request = request(out.path(), &["--clients", "1", "--budget", "60s"]);
    let mut folder = Folder::open(&request).unwrap();
    // What ends a sample without the user wanting it is the alarm.
    let (ended, measured) = take(&request, &mut folder, |number, _| match number {
        28 => Ok(Status::Ok),
        _ => Err(measure::Error::Interrupted),
    });
    assert!(matches!(ended, Ended::Complete));
    assert_eq!(measured, [(28, 0), (29, 0)]);
    let want = [(28, Status::Ok), (29, Status::NotRun), (30, Status::NotRun)];
    assert_eq!(statuses(&folder.path), want);
}

#[test]
fn within_a_budget_every_row_is_taken_once_before_one_is_taken_twice() {
    let out = tempfile::tempdir().unwrap();
    let words = ["--servers", "1", "--repeat", "3", "--budget", "10m"];
    let request = request(out.path(), &words);
    let mut folder = Folder::open(&request).unwrap();
    let (_, measured) = take_at_cost(
        &request,
        &mut folder,
        |_, _| Ok(Status::Ok),
        |cell| Duration::from_secs(4) * cell.clients,
    );
    // 4 + 20 + 200 seconds a round; of the third only the cheap ones fit into 588.
    assert_eq!(
        measured,
        [
            (28, 0),
            (31, 0),
            (34, 0),
            (28, 1),
            (31, 1),
            (34, 1),
            (28, 2),
            (31, 2)
        ]
    );
    let row = &summary::rows(&folder.contents)[2];
    assert_eq!((row.samples, row.repeats), (2, 3));
}

#[test]
fn within_a_budget_warm_ups_come_just_before_what_they_warm_up_for() {
    let out = tempfile::tempdir().unwrap();
    let words = ["--servers", "1", "--warmup", "2", "--budget", "130s"];
    let request = request(out.path(), &words);
    let mut folder = Folder::open(&request).unwrap();
    let (_, measured) = take_at_cost(
        &request,
        &mut folder,
        |_, _| Ok(Status::Ok),
        |cell| Duration::from_secs(4) * cell.clients,
    );
    // 4 seconds each, then 20 each; fifty clients would take 200.
    assert_eq!(
        measured,
        [(28, 0), (28, 1), (28, 0), (31, 0), (31, 1), (31, 0)]
    );
    assert_eq!(folder.contents.warmups.len(), 4);
    let want = [(28, Status::Ok), (31, Status::Ok), (34, Status::NotRun)];
    assert_eq!(statuses(&folder.path), want);
}

#[test]
fn failed_samples_are_taken_again_on_demand_and_the_row_says_so() {
    let out = tempfile::tempdir().unwrap();
    let start = request(out.path(), &["--clients", "1"]);
    let mut folder = Folder::open(&start).unwrap();
    take(&start, &mut folder, |number, _| {
        Ok(if number == 29 {
            Status::ServerLost
        } else {
            Status::Ok
        })
    });
    drop(folder);
    // Every sample but number 30 was taken, so that it alone is unfinished.
    let words = ["--clients", "1", "--resume"];
    let mut folder = Folder::open(&request(out.path(), &words)).unwrap();
    let (_, measured) = take(&request(out.path(), &words), &mut folder, |_, _| {
        Ok(Status::Ok)
    });
    assert_eq!(measured, []);
    drop(folder);

    let again = request(out.path(), &["--clients", "1", "--rerun-failed"]);
    let mut folder = Folder::open(&again).unwrap();
    let (_, measured) = take(&again, &mut folder, |_, _| Ok(Status::Ok));
    assert_eq!(measured, [(29, 0)]);
    let contents = Contents::read(&folder.path).unwrap();
    assert_eq!(contents, folder.contents);
    assert_eq!(contents.retaken.len(), 1);
    let row = &summary::rows(&contents)[1];
    assert_eq!(row.flags, [summary::Flag::Retaken]);
    // Number 30 could not be taken again, and is what it was.
    assert_eq!(
        contents.samples[&(30, 0)].measurement.status,
        Status::NotRun
    );
}

#[test]
fn what_cannot_be_taken_again_keeps_what_it_has() {
    let out = tempfile::tempdir().unwrap();
    let start = request(out.path(), &["--clients", "1"]);
    let mut folder = Folder::open(&start).unwrap();
    take(&start, &mut folder, |_, _| Ok(Status::Failed));
    drop(folder);
    let words = ["--clients", "1", "--rerun-failed", "--budget", "5s"];
    let again = request(out.path(), &words);
    let mut folder = Folder::open(&again).unwrap();
    let hour = |_: &Cell| Duration::from_hours(1);
    take_at_cost(&again, &mut folder, |_, _| Ok(Status::Failed), hour);
    // The first took an hour, and so nothing else was begun.
    let want = [
        (28, Status::Failed),
        (29, Status::Failed),
        (30, Status::NotRun),
    ];
    assert_eq!(statuses(&folder.path), want);
    assert_eq!(Contents::read(&folder.path).unwrap().retaken.len(), 1);
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
    crate::run::results::point_latest(Path::new(run)).unwrap();
    let latest = out.path().join("latest");
    let resumed = Folder::open(&request(
        out.path(),
        &["--resume", latest.to_str().unwrap()],
    ))
    .unwrap();
    assert_eq!(resumed.path.to_str(), Some(run));
}

#[test]
fn latest_points_at_a_run_once_something_was_measured_in_it() {
    let out = tempfile::tempdir().unwrap();
    let latest = || std::fs::read_link(out.path().join("latest")).ok();
    let book = |folder: &mut Folder, status: Status, ended_ns: Option<u64>| {
        let mut measurement = testing::measurement(&folder.contents, 0, 0, status);
        measurement.records = vec![stress_data::record::Record {
            ended_ns,
            ..stress_data::record::Record::not_sent(0, 0)
        }];
        let sample = testing::sample(measurement);
        folder.append(Line::Sample(Box::new(sample))).unwrap();
    };
    let open = |words: &[&str]| Folder::open(&request(out.path(), words)).unwrap();
    let mut first = open(&[]);
    book(&mut first, Status::NotRun, None);
    // A server that never served: no operation was tried.
    book(&mut first, Status::ServerLost, None);
    assert_eq!(latest(), None);
    book(&mut first, Status::Failed, Some(7));
    let name = |folder: &Folder| folder.path.file_name().map(PathBuf::from);
    assert_eq!(latest(), name(&first));

    let mut second = open(&[]);
    book(&mut second, Status::NotRun, None);
    assert_eq!(latest(), name(&first));
    // It goes on, and has something then.
    let path = second.path.to_str().unwrap().to_owned();
    drop(second);
    let mut second = open(&["--resume", &path]);
    assert_eq!(latest(), name(&first));
    book(&mut second, Status::Ok, Some(7));
    assert_eq!(latest(), name(&second));
    // The older one goes on, and stays the older one.
    let path = first.path.to_str().unwrap().to_owned();
    drop(first);
    book(&mut open(&["--resume", &path]), Status::Ok, Some(7));
    assert_eq!(latest(), name(&second));
}

#[test]
fn a_foreign_server_is_the_same_only_with_the_same_paths() {
    let out = tempfile::tempdir().unwrap();
    let open = |server: &str, words: &[&str]| {
        let command = format!("python3 {server}/server.py {{port}} {{workers}} {{root}}");
        let words = [&["--server-cmd", command.as_str()][..], words].concat();
        request(out.path(), &words)
    };
    let run = Folder::open(&open("/home/a", &[])).unwrap().path;
    let kept = std::fs::read_to_string(run.join(stress_data::journal::FILE_NAME)).unwrap();
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
        error.starts_with("--resume: no run in") && error.contains("is unfinished"),
        "{error}"
    );
    let error = refusal(&request(out.path(), &["--rerun-failed"]));
    assert!(error.starts_with("--rerun-failed: no run in"), "{error}");
    let error = refusal(&request(out.path(), &["--resume", "/nonexistent"]));
    assert_eq!(error, "--resume: there is no run in /nonexistent");
    let run = out.path().join("packed");
    std::fs::create_dir(&run).unwrap();
    let error = refusal(&request(out.path(), &["--resume", run.to_str().unwrap()]));
    assert!(
        error.contains("packed has no journal (journal.ndjson)"),
        "{error}"
    );
    std::fs::write(run.join(stress_data::journal::PACKED_NAME), []).unwrap();
    let error = refusal(&request(out.path(), &["--resume", run.to_str().unwrap()]));
    assert!(error.contains("unpack it first: gunzip "), "{error}");
}
