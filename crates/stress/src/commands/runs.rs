//! Which run is meant: a folder, or the name of one in the folder of all runs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use stress_data::Unusable;
use stress_data::journal::{FILE_NAME, PACKED_NAME};

use crate::run::results::real_name;

/// Where runs are if nothing else is said.
pub(super) const OUT: &str = "results";
/// The link to the newest of them.
const LATEST: &str = "latest";

/// The folder of the run `named`: a path, or a name in `out`; the newest in `out` if none is named: what `latest`
/// points at, or without it (a fresh clone has none) the last by name, which begins with the time.
///
/// # Errors
/// [`Unusable`] if there is no run.
pub(super) fn locate(named: Option<&Path>, out: &Path) -> Result<PathBuf> {
    // Without the link the word means the same.
    let has_link = |out: &Path| out.join(LATEST).exists() || Path::new(LATEST).exists();
    let named = named.filter(|named| *named != Path::new(LATEST) || has_link(out));
    let candidates = match named {
        Some(named) => vec![named.to_owned(), out.join(named)],
        None => vec![out.join(LATEST)],
    };
    if let Some(run) = candidates.iter().find(|run| has_journal(run)) {
        return Ok(real_name(run));
    }
    match named {
        Some(_) => Err(not_there(&candidates).into()),
        None => last_by_name(out).ok_or_else(|| {
            let out = out.display();
            let message = format!(
                "there is no run in {out}: measure one (stress --quick), or name the folder of a run, which has a {FILE_NAME}"
            );
            Unusable(message).into()
        }),
    }
}

fn not_there(candidates: &[PathBuf]) -> Unusable {
    if let Some(folder) = candidates.iter().find(|folder| folder.is_dir()) {
        return Unusable(format!(
            "{} has no journal: the folder of a run has a {FILE_NAME}, from which all else is computed",
            folder.display()
        ));
    }
    let mut tried: Vec<String> = candidates
        .iter()
        .map(|run| run.display().to_string())
        .collect();
    // A whole path is the same in any folder.
    tried.dedup();
    Unusable(format!(
        "there is no run in {}: name the folder of a run, which has a {FILE_NAME}",
        tried.join(", nor in "),
    ))
}

/// The last run in `out`; what cannot be read is none, nor is one that ended before the first line of its journal.
fn last_by_name(out: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(out).ok()?;
    let runs = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let has_begun = |run: &PathBuf| {
        let journal = std::fs::metadata(run.join(FILE_NAME));
        has_journal(run) && journal.map_or(true, |journal| journal.len() > 0)
    };
    runs.filter(has_begun).max()
}

fn has_journal(run: &Path) -> bool {
    [FILE_NAME, PACKED_NAME]
        .iter()
        .any(|name| run.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_path_by_name_or_as_the_newest() {
        let out = tempfile::tempdir().unwrap();
        let error = locate(None, out.path()).unwrap_err();
        assert!(error.is::<Unusable>(), "{error}");
        let run = out.path().join("20260101T000000Z-run");
        let error = locate(Some(&run), out.path()).unwrap_err().to_string();
        assert_eq!(error.matches("-run").count(), 1, "{error}");
        std::fs::create_dir(&run).unwrap();
        let error = locate(Some(&run), out.path()).unwrap_err().to_string();
        assert!(error.contains("-run has no journal"), "{error}");
        std::fs::write(run.join(PACKED_NAME), "").unwrap();
        std::os::unix::fs::symlink("20260101T000000Z-run", out.path().join(LATEST)).unwrap();
        assert_eq!(locate(Some(&run), Path::new("/nonexistent")).unwrap(), run);
        let short = Path::new("20260101T000000Z-run");
        assert_eq!(locate(Some(short), out.path()).unwrap(), run);
        assert_eq!(locate(None, out.path()).unwrap(), run);
    }

    #[test]
    fn without_a_link_to_the_newest_run_it_is_the_last_by_name() {
        let out = tempfile::tempdir().unwrap();
        for name in ["20260102T000000Z-b", "20260101T000000Z-z"] {
            std::fs::create_dir(out.path().join(name)).unwrap();
            std::fs::write(out.path().join(name).join(PACKED_NAME), "").unwrap();
        }
        std::fs::create_dir(out.path().join("20260103T000000Z-work")).unwrap();
        std::fs::create_dir(out.path().join("20260103T000000Z-dead")).unwrap();
        std::fs::write(out.path().join("20260103T000000Z-dead").join(FILE_NAME), "").unwrap();
        std::fs::write(out.path().join("README.md"), "").unwrap();
        let newest = out.path().join("20260102T000000Z-b");
        assert_eq!(locate(None, out.path()).unwrap(), newest);
        assert_eq!(locate(Some(Path::new(LATEST)), out.path()).unwrap(), newest);
        // One that points at a run that was removed is none.
        std::os::unix::fs::symlink("20260104T000000Z-gone", out.path().join(LATEST)).unwrap();
        assert_eq!(locate(None, out.path()).unwrap(), newest);
    }
}
