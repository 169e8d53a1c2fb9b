//! `stress recheck`: measures some rows of a run again, with the run's own settings, and says whether the ratios
//! between them hold on this machine.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use cli_kit::output::{self, print};
use screen::Screen;
use stress_data::Unusable;
use stress_data::journal::Contents;
use stress_data::matrix::{Cell, Plan, PlanName};
use stress_data::measurement::{ServerChoice, Settings};
use stress_data::paths::{ELSEWHERE, without_paths};
use stress_data::recheck::choice::choose;
use stress_data::recheck::ratios::{Pair, Ratios};
use stress_data::run::Run;
use stress_data::schedule::Order;
use stress_data::summary::metric::Metric;
use stress_report::recheck::Recheck;

use super::exit::Exit;
use super::{runs, words};
use crate::host::environment;
use crate::run::progress::Shown;
use crate::run::request::{Request, Start};
use crate::run::{self, Ended};

/// The most rows that can be asked for: more is a run of its own.
const SAMPLE_MAX: u32 = 1_000;

const NOTES: &str = "\
How it is judged:
  Of the run's rows that are ok some are chosen by --seed, in turn from its operations, and measured
  --repeat times. Each took some factor longer or shorter than in the run; the median of the factors
  is what the machines differ by. A row holds if its factor is within --within of that, by the
  median of all its samples or by any single one. The measurement is a run of its own in --out, with
  label recheck; latest does not point at it.

Exit codes:
  0    all ratios hold
  1    the harness could not go on
  2    usage
  3    a row that was ok in the run is not ok here
  4    a ratio does not hold
  130  interrupted";

/// Which run to measure again, and how much of it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = cli_kit::fitted(NOTES))]
pub(super) struct RecheckArgs {
    /// The run: its folder, or its name in --out.
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    run: PathBuf,

    /// How many rows are measured again; two or more make a ratio.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = cli_kit::value::whole(2..=SAMPLE_MAX))]
    sample: u32,

    /// Samples of each.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = cli_kit::value::whole(1..=100_u32))]
    repeat: u32,

    /// How far a row's factor may be from the common one: 2 is from half to double.
    #[arg(long, value_name = "FACTOR", default_value = "2", value_parser = factor)]
    within: f64,

    /// The seed of the choice of rows.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = cli_kit::value::whole(0..=u64::MAX))]
    seed: u64,

    /// The command of the foreign server that was measured: a run keeps no paths, so one with paths in it has to be
    /// given again.
    #[arg(long, value_name = "CMD", value_hint = clap::ValueHint::CommandString)]
    server_cmd: Option<String>,

    /// Its --server-cwd again, if it had one.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    server_cwd: Option<PathBuf>,

    /// Its --server-root again, if it had one.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    server_root: Option<PathBuf>,

    /// Where the folder of the new run is made, and where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    out: PathBuf,

    /// Where files are served from meanwhile [default: the --out folder].
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    work_dir: Option<PathBuf>,

    /// What is shown on standard error meanwhile.
    #[arg(long, value_parser = words::shown(), default_value = "auto", value_name = "HOW")]
    progress: Shown,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Measures, compares, prints. Must be called on the main thread.
///
/// # Errors
/// The run is not there, cannot be read, or has too little to measure again; or the harness cannot go on.
pub(super) fn run(args: &RecheckArgs) -> Result<Exit> {
    let folder = runs::locate(Some(&args.run), &args.out)?;
    let contents = Contents::read(&folder)?;
    let request = request(args, &contents)?;
    let measured = run::measure(&request)?;
    if !matches!(measured.ended, Ended::Complete) {
        output::say("interrupted: nothing can be said about the ratios");
        return Ok(Exit::Interrupted);
    }
    let pairs = pairs(&request.plan.cells, &contents, &measured.run.contents);
    let ratios = Ratios::of(pairs, args.within);
    let is_same_machine = contents.header.fingerprint.machine == environment::machine();
    let recheck = Recheck {
        run: Run::name_of(&folder),
        measured: measured.run.name,
        ratios,
        within: args.within,
        seed: args.seed,
        is_same_machine,
    };
    print(&match args.json {
        true => format!("{}\n", recheck.json()),
        false => recheck.text(Screen::stdout()),
    })?;
    Ok(exit(&recheck.ratios))
}

/// The run that measures the chosen rows again.
fn request(args: &RecheckArgs, contents: &Contents) -> Result<Request> {
    let fingerprint = &contents.header.fingerprint;
    refuse_subjects(&fingerprint.settings)?;
    refuse_untold(&fingerprint.settings.server, &fingerprint.cells)?;
    let candidates = fingerprint.cells.iter();
    // What took no time at all has no ratio to anything.
    let has_time = |cell: &&Cell| {
        !Metric::TimePerClientS
            .values(contents, cell.number)
            .is_empty()
    };
    let candidates: Vec<&Cell> = candidates.filter(has_time).collect();
    let cells = choose(&candidates, args.sample as usize, args.seed);
    if cells.len() < 2 {
        let message = "a ratio needs two rows of the run with a sample that is ok".to_owned();
        return Err(Unusable(message).into());
    }
    Ok(Request {
        plan: Plan {
            cells,
            full_len: fingerprint.full_len,
        },
        plan_name: PlanName::Standard,
        repeats: args.repeat,
        order: Order::Interleaved,
        settings: settings(args, &fingerprint.settings)?,
        is_probed: false,
        keep_going: false,
        baseline: false,
        out: args.out.clone(),
        work_dir: args.work_dir.clone(),
        label: "recheck".into(),
        start: Start::Fresh,
        rerun_failed: false,
        timelines: Vec::new(),
        is_latest: false,
        budget: None,
        progress: args.progress,
        command_line: std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
    })
}

/// The paths of several servers cannot be given again.
fn refuse_subjects(settings: &Settings) -> Result<(), Unusable> {
    let mut subjects = settings.subjects.iter();
    match subjects.find(|subject| subject.server != ServerChoice::Own) {
        None => Ok(()),
        Some(foreign) => Err(Unusable(format!(
            "the run's subject {} was started by a command, of which a run keeps no paths: measure the run's subjects anew with its own command line (stress report says it), and see what stress compare says of the new run",
            foreign.name
        ))),
    }
}

/// Rows of several numbers of workers, of a server that always had the same, say nothing that could hold.
fn refuse_untold(server: &ServerChoice, cells: &[Cell]) -> Result<(), Unusable> {
    let numbers: BTreeSet<u32> = cells.iter().map(|cell| cell.servers).collect();
    if server.is_told_workers() || numbers.len() < 2 {
        return Ok(());
    }
    let message = "the run's rows say several numbers of server workers, but its --server-cmd has no {workers} and so its server always had one: measure it anew, with one --servers N";
    Err(Unusable(message.into()))
}

/// The run's own settings; the paths of a foreign server have to come from the user.
fn settings(args: &RecheckArgs, kept: &Settings) -> Result<Settings> {
    let mut settings = kept.clone();
    let given = &mut settings.server;
    match given {
        ServerChoice::Own | ServerChoice::Target { .. } => {
            if args.server_cmd.is_some() || args.server_cwd.is_some() || args.server_root.is_some()
            {
                let message = "--server-cmd, --server-cwd, --server-root: the run did not start a foreign server; leave them out";
                return Err(Unusable(message.into()).into());
            }
        }
        ServerChoice::Command(it) => {
            if let Some(command) = &args.server_cmd {
                it.command.clone_from(command);
            }
            it.cwd = args.server_cwd.clone().or_else(|| it.cwd.take());
            it.root = args.server_root.clone().or_else(|| it.root.take());
        }
    }
    let is_whole = !serde_json::to_string(given)?.contains(&format!("{ELSEWHERE}/"));
    if is_whole && without_paths(given)? == kept.server {
        return Ok(settings);
    }
    Err(Unusable(format!(
        "the run measured another server; start the same one with --server-cmd (and --server-cwd, --server-root), with its paths on this machine: {}",
        serde_json::to_string(&kept.server)?
    ))
    .into())
}

fn pairs(cells: &[Cell], then: &Contents, now: &Contents) -> Vec<Pair> {
    let times = |contents, number| Metric::TimePerClientS.values(contents, number);
    cells
        .iter()
        .map(|cell| Pair {
            cell: cell.clone(),
            then_ns: times(then, cell.number),
            now_ns: times(now, cell.number),
        })
        .collect()
}

fn exit(ratios: &Ratios) -> Exit {
    match (ratios.failed_len(), ratios.holds()) {
        (1.., _) => Exit::RowFailed,
        (0, true) => Exit::Verified,
        (0, false) => Exit::Threshold,
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (1.0..=10_000.0).contains(&factor) => Ok(factor),
        _ => Err("write a factor from 1 to 10000, such as 2 or 1.3".into()),
    }
}

#[cfg(test)]
mod tests;
