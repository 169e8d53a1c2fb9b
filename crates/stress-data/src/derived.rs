//! The files of a run that are computed from its journal alone: written at its end, and computed again to verify it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fingerprint::Binary;
use crate::journal::{Contents, End, Session};
use crate::machine::Machine;
use crate::matrix::PlanName;
use crate::measurement::{Settings, Status};
use crate::schedule::Order;
use crate::summary::{self, Row};
use serde::Serialize;

use crate::models;

/// A file that cannot be written.
// Its reason is in its words, and so is no source: a chain of errors would say it twice.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {reason}")]
pub struct Unwritten {
    path: PathBuf,
    reason: io::Error,
}

/// Writes the files that are computed from the journal into the folder `run`, each whole or not at all.
///
/// # Errors
/// A file cannot be written.
pub fn write_all(run: &Path, contents: &Contents, rows: &[Row]) -> Result<(), Unwritten> {
    for (name, fill) in derived(contents) {
        replace(run, name, |out| fill(contents, rows, out))?;
    }
    Ok(())
}

/// The names of these files of a run with these `contents`.
pub fn names(contents: &Contents) -> impl Iterator<Item = &'static str> {
    derived(contents).map(|(name, _)| name)
}

/// A file that is computed from the journal alone: its name, and how it is filled.
pub(crate) type Derived = (&'static str, Fill);

type Fill = fn(&Contents, &[Row], &mut dyn Write) -> io::Result<()>;

/// The page that a run of another plan does not have.
const MODELS: &str = "models.md";

/// All of them: written at the end of a run, and verified afterwards.
const DERIVED: [Derived; 4] = [
    ("summary.csv", |_, rows, out| {
        Ok(summary::csv::write(rows, out)?)
    }),
    ("clients.csv", |contents, rows, out| {
        Ok(summary::clients::write(contents, rows, out)?)
    }),
    (MODELS, |contents, rows, out| {
        out.write_all(models::markdown(contents, rows).as_bytes())
    }),
    ("run.json", |contents, rows, out| {
        serde_json::to_writer_pretty(&mut *out, &RunJson::new(contents, rows))?;
        out.write_all(b"\n")
    }),
];

/// Those that a run with these `contents` has.
pub(crate) fn derived(contents: &Contents) -> impl Iterator<Item = Derived> {
    let has_models = contents.header.fingerprint.plan == PlanName::Models;
    let derived = DERIVED.into_iter();
    derived.filter(move |(name, _)| has_models || *name != MODELS)
}

/// Writes the file `name` in `folder` anew, whole or not at all: nothing is left beside it either way.
///
/// # Errors
/// What `fill` or the system said.
pub fn replace(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Unwritten> {
    let temporary = folder.join(format!(".{name}.tmp"));
    let path = folder.join(name);
    let write = || {
        let mut out = BufWriter::new(File::create(&temporary)?);
        fill(&mut out)?;
        out.flush()?;
        fs::rename(&temporary, &path)
    };
    write().map_err(|reason| {
        let _ = fs::remove_file(&temporary);
        Unwritten {
            path: path.clone(),
            reason,
        }
    })
}

/// `run.json`: what was measured with what on what, and how it went.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct RunJson<'a> {
    /// The version of this format.
    #[cfg_attr(feature = "schema", schemars(extend("const" = crate::journal::SCHEMA)))]
    schema: u32,
    /// The user's word for the run.
    label: &'a str,
    /// When it was first started, RFC 3339, UTC.
    created_utc: &'a str,
    /// How it went.
    totals: Totals,
    /// What was to be measured.
    plan: PlanJson,
    /// How it was measured.
    settings: &'a Settings,
    /// On what.
    machine: &'a Machine,
    /// With what: the program.
    binary: &'a Binary,
    /// Each start and resumption.
    sessions: Vec<SessionJson<'a>>,
}

/// What was to be measured.

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct PlanJson {
    /// Rows.
    cells: usize,
    /// Rows that the plan has without filters.
    cells_without_filters: u32,
    /// Samples of each.
    repeats: u32,
    /// The order of the samples.
    order: Order,
}

/// A start or a resumption.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct SessionJson<'a> {
    #[serde(flatten)]
    session: &'a Session,
    /// When it ended; null if it was killed, and so are all that follow.
    ended_utc: Option<&'a str>,
    /// How long it took, nanoseconds.
    wall_ns: Option<u64>,
    /// It was stopped before all samples were taken.
    interrupted: Option<bool>,
    /// Processor time that the hypervisor took away meanwhile, thousandths of all.
    steal_permille: Option<u64>,
}

impl<'a> RunJson<'a> {
    fn new(contents: &'a Contents, rows: &[Row]) -> Self {
        let fingerprint = &contents.header.fingerprint;
        let session = |session: &'a Session| {
            let end = contents
                .ends
                .iter()
                .find(|end| end.session == session.number);
            SessionJson {
                session,
                ended_utc: end.map(|end| end.ended_utc.as_str()),
                wall_ns: end.map(|end| end.wall_ns),
                interrupted: end.map(|end| end.interrupted),
                steal_permille: end.and_then(|end: &End| end.cpu?.steal_permille()),
            }
        };
        Self {
            schema: contents.header.schema,
            label: &contents.header.label,
            created_utc: &contents.header.created_utc,
            totals: Totals::new(contents, rows),
            plan: PlanJson {
                cells: fingerprint.cells.len(),
                cells_without_filters: fingerprint.full_len,
                repeats: fingerprint.repeats,
                order: fingerprint.order,
            },
            settings: &fingerprint.settings,
            machine: &fingerprint.machine,
            binary: &fingerprint.binary,
            sessions: contents.sessions.iter().map(session).collect(),
        }
    }
}

/// How a run went, in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Totals {
    /// Rows of the table.
    pub rows: usize,
    /// Rows all of whose samples were taken and verified.
    pub ok: usize,
    /// Rows with a sample that was not.
    pub failed: usize,
    /// Rows some of whose samples are missing.
    #[serde(skip_serializing_if = "is_zero")]
    pub cut: usize,
    /// Rows without any sample.
    pub not_run: usize,
    /// Content bytes that were verified.
    pub verified_bytes: u64,
    /// Time of all sessions that came to their end, nanoseconds.
    pub wall_ns: u64,
}

/// Earlier versions did not tell rows that were cut from those that were not run: their files stay as they are.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Totals {
    /// The totals of a run.
    #[must_use]
    pub fn new(contents: &Contents, rows: &[Row]) -> Self {
        let count = |is_counted: fn(Status) -> bool| {
            rows.iter().filter(|row| is_counted(row.status)).count()
        };
        let ok = count(|status| status == Status::Ok);
        let cut = count(|status| status == Status::Cut);
        let not_run = count(|status| status == Status::NotRun);
        let records = contents
            .samples
            .values()
            .flat_map(|sample| &sample.measurement.records);
        Self {
            rows: rows.len(),
            ok,
            failed: rows.len() - ok - cut - not_run,
            cut,
            not_run,
            verified_bytes: records.map(|record| record.verified_bytes).sum(),
            wall_ns: contents.ends.iter().map(|end| end.wall_ns).sum(),
        }
    }

    /// The time of all sessions.
    #[must_use]
    pub const fn wall(&self) -> Duration {
        Duration::from_nanos(self.wall_ns)
    }
}

#[cfg(test)]
mod tests;
