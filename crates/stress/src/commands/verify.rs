//! `stress verify`: which runs, and what is said of them. The end of every run goes through here too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use cli_kit::output::{print, say};
use screen::Screen;
use stress_data::Unusable;
use stress_data::verify::class::{members, table};
use stress_data::verify::{self, Besides, Checked};
use stress_report::submitted;

use super::exit::Exit;
use super::runs;

const NOTES: &str = "\
What is verified:
  the journal    planned operations = the sum of their outcomes; where our server left a ledger, its
                 ok and its bytes are the clients' to the byte, and its workers add up; every sample
                 has the status its facts give it; times are in order, samples do not overlap and
                 take no less than their windows; our server has the settings that were asked for,
                 and its workers' processes and CPU time are those of its ledger
  the files      summary.csv, clients.csv, run.json, and a report's table.csv if there is one, are
                 what the journal gives, to the byte
  their values   clients and workers add up to the pools, statuses are of the closed set, a missing
                 value is empty
  several runs   no two samples have the same records: the same nanoseconds between the events of an
                 operation, whatever the clock's offset, or all times multiplied by one factor

Exit codes:
  0    all of it holds
  2    usage, or a run that is named is not there (the others are verified all the same)
  3    something does not; file, row and column are named";

/// Which runs to verify.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = cli_kit::fitted(NOTES))]
pub(super) struct VerifyArgs {
    /// The runs: their folders, or their names in --out [default: the newest].
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// Where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    out: PathBuf,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Verifies the run in the folder `run`, with the table that is handed in if there is one.
pub(super) fn check(run: &Path) -> Checked {
    let besides = Besides {
        table: submitted::check,
        handed_in: submitted::handed_in,
    };
    verify::check(run, besides)
}

/// The folders of the runs that are meant, each once, and the exit code if one of them is not there, which is said.
///
/// # Errors
/// No run is named and there is no newest one.
pub(super) fn folders(named: &[PathBuf], out: &Path) -> Result<(Vec<PathBuf>, Option<Exit>)> {
    let mut folders: Vec<PathBuf> = Vec::new();
    // As the shell has it for results/*: the README beside the runs is none of them.
    let (files, named): (Vec<&PathBuf>, Vec<&PathBuf>) =
        named.iter().partition(|run| run.is_file());
    for file in &files {
        say(format_args!(
            "{} is not a folder, and is left out",
            file.display()
        ));
    }
    if named.is_empty() && !files.is_empty() {
        return Err(Unusable("name folders of runs: files are none".into()).into());
    }
    if named.is_empty() {
        folders.push(runs::locate(None, out)?);
    }
    let mut missing = None;
    for named in named {
        match runs::locate(Some(named), out) {
            Ok(run) => folders.push(run),
            // A run without its journal: that is a finding.
            Err(_) if named.is_dir() => folders.push(named.clone()),
            Err(_) if out.join(named).is_dir() => folders.push(out.join(named)),
            // The rest is verified all the same.
            Err(error) => {
                say(format_args!("error: {error}"));
                missing = Some(Exit::Usage);
            }
        }
    }
    let mut seen = BTreeSet::new();
    folders.retain(|run| seen.insert(std::fs::canonicalize(run).unwrap_or_else(|_| run.clone())));
    Ok((folders, missing))
}

/// Verifies all runs that are named, each by itself and all against each other.
///
/// # Errors
/// No run is named and there is no newest one.
pub(super) fn run(args: &VerifyArgs) -> Result<Exit> {
    let (folders, missing) = folders(&args.runs, &args.out)?;
    let mut checked = Vec::new();
    for run in folders {
        let one = check(&run);
        if !args.json {
            print(&verify::text(&one))?;
        }
        checked.push(one);
    }
    let copies = verify::copies(&checked);
    let names: Vec<String> = checked
        .iter()
        .map(|one| one.run.display().to_string())
        .collect();
    let members = members(&checked, &copies);
    print(&match args.json {
        true => format!("{}\n", verify::as_json(&checked, &members, &copies, &names)),
        false => {
            let copied = copies.iter().map(|copies| copies.text(&names));
            let copied: String = copied.map(|text| format!("copies: {text}\n")).collect();
            let class = match checked.len() {
                1 => String::new(),
                _ => table(&checked, &members, Screen::stdout()),
            };
            copied + &class + &verify::total(&checked)
        }
    })?;
    let is_well = copies.is_empty() && checked.iter().all(|one| one.findings.is_empty());
    Ok(match is_well {
        true => missing.unwrap_or(Exit::Verified),
        false => Exit::RowFailed,
    })
}
