//! The folder of a run: made once and never overwritten; its tables are written from the journal alone.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use humantime::format_rfc3339_seconds;
use serde::Serialize;
use stress_data::fingerprint::Binary;
use stress_data::journal::{self, Contents, End, Session};
use stress_data::machine::Machine;
use stress_data::matrix::PlanName;
use stress_data::measurement::{Settings, Status};
use stress_data::schedule::Order;
use stress_data::summary::{self, Row};

use crate::models;
use crate::run::Unusable;

/// Folders of one second and label before giving up on a new name.
const SAME_NAME_MAX: u32 = 1_000;

/// Makes `<out>/<utc>-<label>`, with a number behind it if that is taken.
///
/// # Errors
/// The folder cannot be made.
pub fn create_folder(out: &Path, label: &str, now: SystemTime) -> Result<PathBuf> {
    let utc = format_rfc3339_seconds(now)
        .to_string()
        .replace(['-', ':'], "");
    let name = format!("{utc}-{label}");
    for attempt in 1..=SAME_NAME_MAX {
        let folder = match attempt {
            1 => out.join(&name),
            _ => out.join(format!("{name}-{attempt}")),
        };
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(&folder, &error).into()),
        }
    }
    anyhow::bail!(
        "{} has too many runs of one name: choose another --label",
        out.display()
    )
}

/// Why nothing can be written where `--out` says.
pub(crate) fn unusable(folder: &Path, error: &io::Error) -> Unusable {
    let folder = folder.display();
    Unusable(format!(
        "cannot make {folder} ({error}): name another folder with --out"
    ))
}

/// Points `latest` beside the run at it, in one step.
///
/// # Errors
/// What the system said.
pub fn point_latest(run: &Path) -> io::Result<()> {
    let (Some(out), Some(name)) = (run.parent(), run.file_name()) else {
        return Ok(());
    };
    let fresh = out.join(format!(".latest-{}", std::process::id()));
    std::os::unix::fs::symlink(name, &fresh)?;
    fs::rename(&fresh, out.join("latest")).inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}

/// Whether no newer run than `run` is what `latest` points at. Names begin with the time of a run's start.
pub fn is_newest(run: &Path) -> bool {
    let latest = run.with_file_name("latest");
    let name = run.file_name();
    !latest.exists() || fs::read_link(latest).is_ok_and(|newest| newest.file_name() < name)
}

/// The newest run in `out` that is not finished: that has samples which are `wanted`, or was killed before its
/// tables were written.
///
/// # Errors
/// `out` cannot be read.
pub fn newest_unfinished(
    out: &Path,
    wanted: impl Fn(&Contents) -> bool,
) -> io::Result<Option<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.path().join(journal::FILE_NAME).is_file() {
            folders.push(entry.path());
        }
    }
    // Names begin with the time of their start.
    folders.sort_unstable();
    let is_unfinished = |run: &PathBuf| {
        let contents = Contents::read(run);
        contents.is_ok_and(|contents| wanted(&contents) || !has_tables(run, &contents))
    };
    Ok(folders.into_iter().rev().find(is_unfinished))
}

/// Whether all tables are there, and were written after the last line of the journal.
fn has_tables(run: &Path, contents: &Contents) -> bool {
    let written = |name: &str| fs::metadata(run.join(name)).and_then(|data| data.modified());
    let Ok(journal) = written(journal::FILE_NAME) else {
        return false;
    };
    derived(contents).all(|derived| written(derived.name).is_ok_and(|table| table >= journal))
}

/// Writes the [`derived`] files into the folder `run`, each whole or not at all.
///
/// # Errors
/// A file cannot be written.
pub fn write_all(run: &Path, contents: &Contents, rows: &[Row]) -> Result<()> {
    for derived in derived(contents) {
        replace(run, derived.name, |out| (derived.fill)(contents, rows, out))?;
    }
    Ok(())
}

/// A file that is computed from the journal alone.
#[derive(Clone, Copy)]
pub struct Derived {
    /// Its name in the folder of a run.
    pub name: &'static str,
    is_wanted: fn(&Contents) -> bool,
    fill: fn(&Contents, &[Row], &mut dyn Write) -> Result<()>,
}

/// All files that are computed from the journal: written at the end of a run, and verified afterwards.
const DERIVED: [Derived; 4] = [
    Derived {
        name: "summary.csv",
        is_wanted: |_| true,
        fill: |_, rows, out| Ok(summary::csv::write(rows, out)?),
    },
    Derived {
        name: "clients.csv",
        is_wanted: |_| true,
        fill: |contents, _, out| Ok(summary::clients::write(contents, out)?),
    },
    Derived {
        name: "models.md",
        is_wanted: |contents| contents.header.fingerprint.plan == PlanName::Models,
        fill: |contents, rows, out| {
            let page = models::markdown(contents, rows);
            Ok(out.write_all(page.as_bytes())?)
        },
    },
    Derived {
        name: "run.json",
        is_wanted: |_| true,
        fill: |contents, rows, out| {
            serde_json::to_writer_pretty(&mut *out, &RunJson::new(contents, rows))?;
            Ok(out.write_all(b"\n")?)
        },
    },
];

/// Those that a run with these `contents` has.
pub fn derived(contents: &Contents) -> impl Iterator<Item = Derived> {
    let derived = DERIVED.into_iter();
    derived.filter(|derived| (derived.is_wanted)(contents))
}

impl Derived {
    /// What has to stand in it.
    ///
    /// # Errors
    /// What writing said.
    pub fn content(&self, contents: &Contents, rows: &[Row]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        (self.fill)(contents, rows, &mut out)?;
        Ok(out)
    }
}

/// Writes the file `name` in `folder` anew, whole or not at all: nothing is left beside it either way.
pub(crate) fn replace(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let temporary = folder.join(format!(".{name}.tmp"));
    let path = folder.join(name);
    let write = || -> Result<()> {
        let mut out = BufWriter::new(File::create(&temporary)?);
        fill(&mut out)?;
        out.flush()?;
        Ok(fs::rename(&temporary, &path)?)
    };
    write()
        .inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
        .with_context(|| format!("cannot write {}", path.display()))
}

/// `run.json`: what was measured with what on what, and how it went.
#[derive(Debug, Serialize)]
struct RunJson<'a> {
    schema: u32,
    label: &'a str,
    created_utc: &'a str,
    totals: Totals,
    plan: PlanJson,
    settings: &'a Settings,
    machine: &'a Machine,
    binary: &'a Binary,
    sessions: Vec<SessionJson<'a>>,
}

#[derive(Debug, Serialize)]
struct PlanJson {
    cells: usize,
    cells_without_filters: u32,
    repeats: u32,
    order: Order,
}

#[derive(Debug, Serialize)]
struct SessionJson<'a> {
    #[serde(flatten)]
    session: &'a Session,
    ended_utc: Option<&'a str>,
    wall_ns: Option<u64>,
    interrupted: Option<bool>,
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
