//! Runs that are killed and stopped wherever they are, and resumed: in the end every sample of the plan is there,
//! once, and nothing else is left.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stress_data::journal::{Contents, FILE_NAME, Line};
use stress_data::measurement::Status;
use tempfile::TempDir;

use super::support::{Ended, Harness, Process, assert_gone, descendants, until, work_dirs};

/// Eight rows of both client pools.
const PLAN: [&str; 12] = [
    "--op",
    "download,upload",
    "--size",
    "256K",
    "--clients",
    "3",
    "--servers",
    "1,2",
    "--client-pool",
    "thread,process",
    "--requests",
    "2",
];
const CELLS: usize = 8;
/// The most starts that a run may need: kills are fewer.
const STARTS_MAX: usize = 40;

/// A fact to wait for: where in a run something is to happen.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The journal has its header.
    Begun,
    /// The journal has grown by so many bytes.
    Grown(u64),
    /// The folder of a row is there.
    Files,
    /// The server's process is there.
    Server,
    /// The server's workers are there.
    Worker,
    /// The parent of the client processes is there.
    Crew,
    /// A client process is there.
    Client,
    /// The last session has its end, and the tables are being written.
    End,
}

impl Moment {
    /// Waits until it has come in `harness`, whose journal had `len` bytes before; false if the harness ended first.
    fn wait(self, harness: &Harness, folder: &Path, len: u64) -> bool {
        let fact = format!("{self:?}");
        until(&fact, || match self.has_come(harness, folder, len) {
            true => Some(true),
            false => harness.has_ended().then_some(false),
        })
    }

    fn has_come(self, harness: &Harness, folder: &Path, len: u64) -> bool {
        match self {
            Self::Begun => journal(folder).is_some(),
            Self::Grown(by) => journal_len(folder) >= len + by.max(1),
            Self::Files => work_dirs(folder).iter().any(|work| has_row(work)),
            Self::Server => harness.find("__server").is_some(),
            Self::Worker => harness
                .find("__server")
                .is_some_and(|server| !descendants(server.pid).is_empty()),
            Self::Crew => harness.find("__clients").is_some(),
            Self::Client => harness
                .find("__clients")
                .is_some_and(|crew| !descendants(crew.pid).is_empty()),
            Self::End => journal(folder)
                .and_then(|path| fs::read_to_string(path).ok())
                .is_some_and(|text| text.contains("\n{\"end\":")),
        }
    }
}

fn has_row(work: &Path) -> bool {
    let mut entries = fs::read_dir(work).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with("row-"))
}

/// The journal of the only run in `folder` that has one.
fn journal(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let journals = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path().join(FILE_NAME));
    let mut whole = journals.filter(|path| Contents::read(path.parent().unwrap()).is_ok());
    whole.next()
}

fn journal_len(folder: &Path) -> u64 {
    journal(folder).map_or(0, |path| fs::metadata(path).map_or(0, |data| data.len()))
}

/// The run as it is so far; none before its journal has a header.
fn contents(folder: &Path) -> Option<Contents> {
    journal(folder).map(|path| Contents::read(path.parent().unwrap()).unwrap())
}

/// Starts the run, or goes on with it.
fn start(folder: TempDir, repeats: &str) -> Harness {
    let resume: &[&str] = match contents(folder.path()) {
        Some(contents) if !contents.is_finished() => &["--resume"],
        Some(_) => &["--rerun-failed"],
        None => &[],
    };
    Harness::start_in(
        folder,
        &[&PLAN[..], &["--repeat", repeats], resume].concat(),
    )
}

/// SplitMix64, as the harness has it: the same moments on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    fn moment(&mut self) -> Moment {
        match self.roll(6) {
            0 => Moment::Files,
            1 => Moment::Server,
            2 => Moment::Worker,
            3 => Moment::Crew,
            4 => Moment::Client,
            // A line of the journal is some kilobytes.
            _ => Moment::Grown(self.roll(8_000)),
        }
    }
}

/// Kills a process that may have ended by itself meanwhile. It is a child of one that has not been waited for, or
/// of init's, and was alive a moment ago.
fn kill_if_alive(process: &Process) {
    if process.is_alive() {
        let _ = kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL);
    }
}

/// Kills somebody of the run that is not the harness.
fn kill_somebody(dice: &mut Dice, harness: &Harness) {
    let victim = match dice.roll(3) {
        0 => harness.find("__server"),
        1 => harness
            .find("__server")
            .and_then(|server| descendants(server.pid).pop()),
        _ => harness
            .find("__clients")
            .and_then(|crew| descendants(crew.pid).pop()),
    };
    if let Some(victim) = victim {
        kill_if_alive(&victim);
    }
}

/// As if the write of a line had been cut by the kill.
fn tear_last_line(folder: &Path) {
    if let Some(path) = journal(folder) {
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"{\"sample\":{\"session\":0,").unwrap();
    }
}

/// Everything that has to hold at the end: the plan and the rows are the same, and all is well.
fn assert_complete(folder: &Path, repeats: &str) {
    let path = journal(folder).expect("a journal");
    let run = path.parent().unwrap();
    let contents = Contents::read(run).unwrap();
    let planned: Vec<(u32, u32)> = contents.plan().collect();
    assert_eq!(planned.len(), CELLS * repeats.parse::<usize>().unwrap());
    let taken: Vec<(u32, u32)> = contents.samples.keys().copied().collect();
    assert_eq!(taken, planned);

    // Line by line: of every planned sample one that is ok, and it is the last of its lines.
    let text = fs::read_to_string(&path).unwrap();
    let mut statuses: BTreeMap<(u32, u32), Vec<Status>> = BTreeMap::new();
    for line in text.lines() {
        if let Line::Sample(sample) = serde_json::from_str(line).unwrap() {
            let measurement = sample.measurement;
            let key = (measurement.cell.number, measurement.repeat);
            statuses.entry(key).or_default().push(measurement.status);
        }
    }
    for (key, statuses) in &statuses {
        let (last, before) = statuses.split_last().unwrap();
        assert_eq!(*last, Status::Ok, "{key:?}: {statuses:?}");
        assert!(!before.contains(&Status::Ok), "{key:?}: {statuses:?}");
    }

    let mut table = csv::Reader::from_path(run.join("summary.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    let numbers: Vec<u32> = rows.iter().map(|row| row["no"].parse().unwrap()).collect();
    let cells = &contents.header.fingerprint.cells;
    assert_eq!(
        numbers,
        cells.iter().map(|cell| cell.number).collect::<Vec<_>>()
    );
    for row in &rows {
        assert_eq!(
            (row["status"].as_str(), row["samples"].as_str()),
            ("ok", repeats)
        );
    }
    let verified = Command::new(env!("CARGO_BIN_EXE_stress"))
        .arg("verify")
        .arg(run)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    assert_eq!(verified.status.code(), Some(0), "{said}");
    assert_eq!(work_dirs(folder), Vec::<PathBuf>::new());
}

/// Starts the run as often as it takes until all of it is there.
fn finish(mut folder: TempDir, repeats: &str) -> TempDir {
    for _ in 0..STARTS_MAX {
        let ended = start(folder, repeats).wait();
        let code = ended.status.code();
        // It may have come to its end before its last kill.
        let is_over = ended.errors.contains("--rerun-failed: no run in");
        assert!(
            is_over || matches!(code, Some(0 | 3)),
            "{code:?}: {}",
            ended.errors
        );
        folder = ended.into_folder();
        if is_over || code == Some(0) {
            return folder;
        }
    }
    panic!("the run does not come to its end");
}

/// Kills the harness, its server, a worker or a client at `kills` moments that come from `seed`.
fn killed_and_resumed(seed: u64, kills: usize) {
    // Enough samples for all of the kills to meet one.
    const REPEATS: &str = "4";
    let mut dice = Dice(seed);
    let mut folder = TempDir::new().unwrap();
    let mut killed = 0;
    for round in 0..kills {
        let len = journal_len(folder.path());
        let path = folder.path().to_owned();
        let harness = start(folder, REPEATS);
        if dice.roll(2) == 0 && dice.moment().wait(&harness, &path, len) {
            kill_somebody(&mut dice, &harness);
        }
        dice.moment().wait(&harness, &path, len);
        let processes = harness.descendants();
        harness.signal_if_alive(Signal::SIGKILL);
        let ended = harness.wait();
        assert_gone(&processes);
        killed += usize::from(ended.status.signal() == Some(Signal::SIGKILL as i32));
        folder = ended.into_folder();
        if round % 3 == 2 {
            tear_last_line(folder.path());
        }
    }
    assert!(
        killed >= kills / 2,
        "{killed} of {kills} met a living harness"
    );
    let folder = finish(folder, REPEATS);
    assert_complete(folder.path(), REPEATS);
}

#[test]
fn a_run_that_is_killed_again_and_again_has_every_sample_once_in_the_end() {
    killed_and_resumed(1, 8);
}

#[test]
fn so_it_has_when_it_is_killed_elsewhere() {
    killed_and_resumed(2, 8);
}

/// A run at `moment`. Some moments are short, and on a busy machine none of them may be seen in one run.
fn met_at(moment: Moment) -> (Harness, PathBuf) {
    for _ in 0..STARTS_MAX {
        let folder = TempDir::new().unwrap();
        let path = folder.path().to_owned();
        let harness = start(folder, "1");
        if moment.wait(&harness, &path, 0) {
            return (harness, path);
        }
    }
    panic!("{moment:?} is never seen");
}

/// Stops a run by SIGINT at `moment`, and goes on with it.
fn interrupted_and_resumed(moment: Moment) {
    let (harness, path) = met_at(moment);
    let processes = harness.descendants();
    harness.signal_if_alive(Signal::SIGINT);
    let ended: Ended = harness.wait();
    // One that was all but over ends as if nothing had been.
    let code = ended.status.code();
    let is_complete = contents(&path).is_some_and(|contents| contents.is_finished());
    let is_as_expected = code == Some(130) || code == Some(0) && is_complete;
    assert!(is_as_expected, "{moment:?}: {code:?} {}", ended.errors);
    ended.assert_clean();
    assert_gone(&processes);
    assert!(
        contents(&path).is_some(),
        "{moment:?}: what was done is kept"
    );

    let folder = match is_complete {
        true => ended.into_folder(),
        false => finish(ended.into_folder(), "1"),
    };
    assert_complete(folder.path(), "1");
}

#[test]
fn an_interrupt_before_the_first_sample_keeps_the_run() {
    for moment in [Moment::Begun, Moment::Files] {
        interrupted_and_resumed(moment);
    }
}

#[test]
fn an_interrupt_while_the_server_starts_keeps_the_run() {
    for moment in [Moment::Server, Moment::Worker] {
        interrupted_and_resumed(moment);
    }
}

#[test]
fn an_interrupt_while_clients_start_or_work_keeps_the_run() {
    for moment in [Moment::Crew, Moment::Client] {
        interrupted_and_resumed(moment);
    }
}

#[test]
fn an_interrupt_between_samples_or_at_the_end_keeps_the_run() {
    for moment in [Moment::Grown(12_000), Moment::End] {
        interrupted_and_resumed(moment);
    }
}
