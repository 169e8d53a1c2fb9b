//! The folder of a run: made once and never overwritten.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;
use humantime::format_rfc3339_seconds;
use stress_data::Unusable;
use stress_data::derived;
use stress_data::journal::{self, Contents};

/// Folders of one second and label before giving up on a new name.
const SAME_NAME_MAX: u32 = 1_000;

/// Makes `<out>/<utc>-<label>`, with a number behind it if that is taken.
///
/// # Errors
/// The folder cannot be made.
pub(crate) fn create_folder(out: &Path, label: &str, now: SystemTime) -> Result<PathBuf> {
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
pub(crate) fn point_latest(run: &Path) -> io::Result<()> {
    let (Some(out), Some(name)) = (run.parent(), run.file_name()) else {
        return Ok(());
    };
    let fresh = out.join(format!(".latest-{}", std::process::id()));
    std::os::unix::fs::symlink(name, &fresh)?;
    fs::rename(&fresh, out.join("latest")).inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}

/// The folder behind `results/latest`, under its own name.
pub(crate) fn real_name(run: &Path) -> PathBuf {
    fs::read_link(run).map_or_else(|_| run.to_owned(), |target| run.with_file_name(target))
}

/// Whether no newer run than `run` is what `latest` points at. Names begin with the time of a run's start.
pub(crate) fn is_newest(run: &Path) -> bool {
    let latest = run.with_file_name("latest");
    let name = run.file_name();
    !latest.exists() || fs::read_link(latest).is_ok_and(|newest| newest.file_name() < name)
}

/// The newest run in `out` that is not finished: that has samples which are `wanted`, or was killed before its
/// tables were written.
///
/// # Errors
/// `out` cannot be read.
pub(crate) fn newest_unfinished(
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
    derived::names(contents).all(|name| written(name).is_ok_and(|table| table >= journal))
}

#[cfg(test)]
mod tests;
