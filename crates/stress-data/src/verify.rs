//! Computes every number of a run again from its journal, checks every identity, and finds runs whose records are copies
//! of one another.

pub mod class;
mod copies;
mod edges;
mod facts;
mod files;
mod server;
mod table;
mod timeline;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::slice;

use serde::Serialize;

use crate::journal::{self, Contents};
use crate::measurement::Status;
use crate::size;
use crate::summary::{self, Row};

use class::{Combination, HandedIn, Member};
pub use copies::Copies;
use copies::{CopiesJson, Prints};
pub use files::line_differences;

/// So many findings of one run are shown to a person.
const SHOWN_MAX: usize = 20;

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The file it is in.
    pub file: String,
    /// Where in it: row and column, or sample; empty for the whole of it.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    /// A finding in `file`.
    #[must_use]
    pub fn new(file: &str, place: impl Into<String>, what: impl Into<String>) -> Self {
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
#[derive(Debug, Default)]
pub struct Checked {
    /// Its folder.
    pub run: PathBuf,
    /// Rows of its table.
    pub rows: usize,
    /// Those of them that are ok: what is consistent may be a row that failed.
    pub rows_ok: usize,
    /// Samples taken.
    pub samples: usize,
    /// The format of its journal, if it is an older one: then its tables have columns of other meanings, and only the
    /// journal was verified.
    pub older_schema: Option<u32>,
    /// Operations recorded.
    pub operations: usize,
    /// What does not hold; nothing if all is well.
    pub findings: Vec<Finding>,
    /// What is strange, and possible.
    pub warnings: Vec<Finding>,
    /// Who handed it in, if its folder says so.
    pub handed_in: HandedIn,
    /// What its rows measured, and whether that is ok.
    combinations: BTreeMap<Combination, bool>,
    /// What tells its samples from all others.
    prints: Prints,
}

/// What else is looked at in the folder of a run: files that are no part of every run.
#[derive(Debug, Clone, Copy)]
pub struct Besides {
    /// A table, with the rows that it should have.
    pub table: fn(&Path, &[Row]) -> Vec<Finding>,
    /// Who handed it in.
    pub handed_in: fn(&Path) -> Result<HandedIn, Finding>,
}

/// Verifies the run in the folder `run`, and what `besides` looks at. What cannot be read is a finding too.
#[must_use]
pub fn check(run: &Path, besides: Besides) -> Checked {
    let mut checked = journal_and_tables(run, besides);
    match (besides.handed_in)(run) {
        Ok(handed_in) => checked.handed_in = handed_in,
        Err(finding) => checked.findings.push(finding),
    }
    checked
}

fn journal_and_tables(run: &Path, besides: Besides) -> Checked {
    let contents = match Contents::read(run) {
        Ok(contents) => contents,
        Err(error) => {
            return Checked {
                run: run.to_owned(),
                findings: vec![unreadable(&error)],
                ..Checked::default()
            };
        }
    };
    let rows = summary::rows(&contents);
    let taken = || contents.samples.values().filter(|sample| sample.is_taken());
    let mut findings = facts::check(&contents);
    findings.extend(files::journals(run));
    if contents.older_schema().is_none() {
        findings.extend(files::check(run, &contents, &rows));
        findings.extend((besides.table)(run, &rows));
    }
    findings.extend(table::check(run));
    Checked {
        run: run.to_owned(),
        rows: rows.len(),
        rows_ok: rows.iter().filter(|row| row.status == Status::Ok).count(),
        samples: taken().count(),
        operations: taken().map(|sample| sample.measurement.records.len()).sum(),
        older_schema: contents.older_schema(),
        findings,
        warnings: facts::warnings(&contents),
        handed_in: HandedIn::default(),
        combinations: class::combinations(&rows),
        prints: Prints::of(&contents),
    }
}

fn unreadable(error: &journal::Error) -> Finding {
    let is_missing = matches!(error, journal::Error::Io { reason, .. }
        if reason.kind() == std::io::ErrorKind::NotFound);
    let what = match is_missing {
        true => "it is not there, so that nothing can be computed again".into(),
        false => error.to_string(),
    };
    Finding::new(journal::FILE_NAME, "", what)
}

/// The samples of all runs that are copies of one another.
#[must_use]
pub fn copies(checked: &[Checked]) -> Vec<Copies> {
    let prints: Vec<&Prints> = checked.iter().map(|one| &one.prints).collect();
    copies::find(&prints)
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
    if let Some(schema) = checked.older_schema {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "  its journal is of format {schema}, of which some columns had another meaning (docs/COLUMNS.md): its tables were not compared with it"
        );
    }
    for finding in checked.findings.iter().take(SHOWN_MAX) {
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
#[must_use]
pub fn total(checked: &[Checked]) -> String {
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

/// `stress verify --json`.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct AllJson<'a> {
    /// Each run.
    runs: Vec<CheckedJson<'a>>,
    /// Two runs with samples that are copies of one another, or one with such samples.
    copies: Vec<CopiesJson<'a>>,
}

/// What became of one run.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct CheckedJson<'a> {
    /// Its folder.
    run: String,
    /// Nothing was found that does not hold. Copies are told of apart.
    is_verified: bool,
    /// The format of its journal, if it is an older one: then its tables were not compared with it.
    older_schema: Option<u32>,
    /// Rows of its table.
    rows: usize,
    /// Those of them that are ok.
    rows_ok: usize,
    /// Samples taken.
    samples: usize,
    /// Operations recorded.
    operations: usize,
    /// Who handed it in, as its folder says; nobody if it says nothing.
    authors: &'a [String],
    /// Their numbers: none, or one for each.
    student_ids: &'a [String],
    /// Their class.
    class: Option<&'a str>,
    /// What more than half of the runs measured, and this one did not, or not ok.
    missing: &'a [Combination],
    /// The folders of the runs that have samples in common with it; its own, if it has some twice.
    copies_of: Vec<&'a str>,
    /// What does not hold.
    findings: &'a [Finding],
    /// What is strange, and possible.
    warnings: &'a [Finding],
}

/// What became of all runs, for a program.
#[must_use]
pub fn as_json(
    checked: &[Checked],
    members: &[Member],
    copies: &[Copies],
    names: &[String],
) -> serde_json::Value {
    let runs = checked.iter().zip(members).map(|(one, member)| {
        let copies = member.copies_of.iter();
        CheckedJson {
            run: one.run.display().to_string(),
            is_verified: one.findings.is_empty(),
            older_schema: one.older_schema,
            rows: one.rows,
            rows_ok: one.rows_ok,
            samples: one.samples,
            operations: one.operations,
            authors: &one.handed_in.authors,
            student_ids: &one.handed_in.student_ids,
            class: one.handed_in.class.as_deref(),
            missing: &member.missing,
            copies_of: copies.map(|place| names[*place].as_str()).collect(),
            findings: &one.findings,
            warnings: &one.warnings,
        }
    });
    let all = AllJson {
        runs: runs.collect(),
        copies: copies.iter().map(|copies| copies.json(names)).collect(),
    };
    // Numbers and strings: that cannot fail.
    serde_json::to_value(all).unwrap_or_default()
}

#[cfg(test)]
mod tests;
