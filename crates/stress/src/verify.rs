//! `stress verify`: computes every number of a run again from its journal, checks every identity, and finds runs
//! whose records are copies of one another. The end of every run goes through here too.

pub(crate) mod copies;
mod facts;
mod files;
mod server;
mod table;

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::slice;

use anyhow::Result;
use serde_json::json;
use stress_data::journal::{self, Contents};
use stress_data::measurement::Status;
use stress_data::{size, summary};

use crate::console::{print, say};
use crate::exit::Exit;
use crate::run::Unusable;
use crate::runs;

use copies::{Copies, Prints};

/// So many findings of one run are shown to a person.
const SHOWN_MAX: usize = 20;

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
#[command(after_help = manual::fitted(NOTES))]
pub struct VerifyArgs {
    /// The runs: their folders, or their names in --out [default: the newest].
    #[arg(value_name = "RUN")]
    pub runs: Vec<PathBuf>,

    /// Where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    pub out: PathBuf,

    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file it is in.
    pub file: String,
    /// Where in it: row and column, or sample; empty for the whole of it.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    fn new(file: &str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place: place.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, what } = self;
        match place.as_str() {
            "" => write!(f, "{file}: {what}"),
            place => write!(f, "{file}, {place}: {what}"),
        }
    }
}

/// What became of one run.
#[derive(Debug)]
pub struct Checked {
    /// Its folder.
    pub run: PathBuf,
    /// Rows of its table.
    pub rows: usize,
    /// Those of them that are ok: what is consistent may be a row that failed.
    pub rows_ok: usize,
    /// Samples taken.
    pub samples: usize,
    /// Operations recorded.
    pub operations: usize,
    /// What does not hold; nothing if all is well.
    pub findings: Vec<Finding>,
    /// What is strange, and possible.
    pub warnings: Vec<Finding>,
    /// What tells its samples from all others.
    prints: Prints,
}

/// Verifies the run in the folder `run`. What cannot be read is a finding too.
#[must_use]
pub fn check(run: &Path) -> Checked {
    let mut checked = Checked {
        run: run.to_owned(),
        rows: 0,
        rows_ok: 0,
        samples: 0,
        operations: 0,
        findings: Vec::new(),
        warnings: Vec::new(),
        prints: Prints::default(),
    };
    let contents = match Contents::read(run) {
        Ok(contents) => contents,
        Err(error) => {
            let is_missing = matches!(&error, journal::Error::Io { reason, .. }
                if reason.kind() == std::io::ErrorKind::NotFound);
            let what = match is_missing {
                true => "it is not there, so that nothing can be computed again".into(),
                false => error.to_string(),
            };
            checked
                .findings
                .push(Finding::new(journal::FILE_NAME, "", what));
            return checked;
        }
    };
    let rows = summary::rows(&contents);
    let taken = || contents.samples.values().filter(|sample| sample.is_taken());
    checked.rows = rows.len();
    checked.rows_ok = rows.iter().filter(|row| row.status == Status::Ok).count();
    checked.samples = taken().count();
    checked.operations = taken().map(|sample| sample.measurement.records.len()).sum();
    checked.findings = facts::check(&contents);
    checked.warnings = facts::warnings(&contents);
    checked.findings.extend(files::check(run, &contents, &rows));
    checked.findings.extend(table::check(run));
    checked.prints = Prints::of(&contents);
    checked
}

/// Verifies all runs that are named, each by itself and all against each other.
///
/// # Errors
/// No run is named and there is no newest one.
pub fn run(args: &VerifyArgs) -> Result<Exit> {
    let mut folders: Vec<PathBuf> = Vec::new();
    // As the shell has it for results/*: the README beside the runs is none of them.
    let (files, named): (Vec<&PathBuf>, Vec<&PathBuf>) =
        args.runs.iter().partition(|run| run.is_file());
    for file in &files {
        say(format_args!(
            "{} is no folder, and left out",
            file.display()
        ));
    }
    if named.is_empty() && !files.is_empty() {
        return Err(Unusable("verify: name folders of runs".into()).into());
    }
    if named.is_empty() {
        folders.push(runs::locate(None, &args.out)?);
    }
    let mut missing = None;
    for named in named {
        match runs::locate(Some(named), &args.out) {
            Ok(run) => folders.push(run),
            // A run without its journal: that is a finding.
            Err(_) if named.is_dir() => folders.push(named.clone()),
            Err(_) if args.out.join(named).is_dir() => folders.push(args.out.join(named)),
            // The rest is verified all the same.
            Err(error) => {
                say(format_args!("error: {error}"));
                missing = Some(Exit::Usage);
            }
        }
    }
    let mut seen = BTreeSet::new();
    folders.retain(|run| seen.insert(std::fs::canonicalize(run).unwrap_or_else(|_| run.clone())));

    let mut checked = Vec::new();
    for run in folders {
        let one = check(&run);
        if !args.json {
            print(&text(&one))?;
        }
        checked.push(one);
    }
    let prints: Vec<&Prints> = checked.iter().map(|one| &one.prints).collect();
    let copies = copies::find(&prints);
    let names: Vec<String> = checked
        .iter()
        .map(|one| one.run.display().to_string())
        .collect();
    print(&match args.json {
        true => format!("{}\n", as_json(&checked, &copies, &names)),
        false => {
            let copied = copies.iter().map(|copies| copies.text(&names));
            let copied: String = copied.map(|text| format!("copies: {text}\n")).collect();
            copied + &total(&checked)
        }
    })?;
    let is_well = copies.is_empty() && checked.iter().all(|one| one.findings.is_empty());
    Ok(match is_well {
        true => missing.unwrap_or(Exit::Verified),
        false => Exit::CellFailed,
    })
}

/// What became of a run, for a person.
#[must_use]
pub fn text(checked: &Checked) -> String {
    let run = checked.run.display();
    let mut out = match checked.findings.len() as u64 {
        0 => format!("{run}: consistent: {}\n", amounts(slice::from_ref(checked))),
        findings => format!(
            "{run}: NOT consistent, {}:\n",
            size::counted(findings, "finding")
        ),
    };
    for finding in checked.findings.iter().take(SHOWN_MAX) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {finding}");
    }
    if let Some(more @ 1..) = checked.findings.len().checked_sub(SHOWN_MAX) {
        let _ = writeln!(out, "  … and {more} more");
    }
    for warning in checked.warnings.iter().take(SHOWN_MAX) {
        let _ = writeln!(out, "  warning: {warning}");
    }
    out
}

/// Of several runs, what all come to.
fn total(checked: &[Checked]) -> String {
    if checked.len() < 2 {
        return String::new();
    }
    let consistent = checked.iter().filter(|one| one.findings.is_empty());
    let consistent = match consistent.count() {
        all if all == checked.len() => "all consistent".to_owned(),
        some => format!("{some} consistent"),
    };
    let runs = size::counted(checked.len() as u64, "run");
    format!("{runs}, {consistent}: {}\n", amounts(checked))
}

/// `2 rows (1 ok), 2 samples, 10 operations`.
fn amounts(checked: &[Checked]) -> String {
    let sum = |of: fn(&Checked) -> usize| checked.iter().map(of).sum::<usize>() as u64;
    format!(
        "{} ({} ok), {}, {}",
        size::counted(sum(|one| one.rows), "row"),
        size::with_commas(sum(|one| one.rows_ok)),
        size::counted(sum(|one| one.samples), "sample"),
        size::counted(sum(|one| one.operations), "operation"),
    )
}

fn as_json(checked: &[Checked], copies: &[Copies], names: &[String]) -> serde_json::Value {
    let finding = |finding: &Finding| json!({"file": finding.file, "place": finding.place, "what": finding.what});
    let one = |one: &Checked| {
        json!({
            "run": one.run.display().to_string(),
            "is_verified": one.findings.is_empty(),
            "rows": one.rows,
            "rows_ok": one.rows_ok,
            "samples": one.samples,
            "operations": one.operations,
            "findings": one.findings.iter().map(finding).collect::<Vec<_>>(),
            "warnings": one.warnings.iter().map(finding).collect::<Vec<_>>(),
        })
    };
    json!({
        "runs": checked.iter().map(one).collect::<Vec<_>>(),
        "copies": copies.iter().map(|copies| copies.json(names)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
