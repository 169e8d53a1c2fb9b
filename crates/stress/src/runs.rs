//! Which run is meant: a folder, or the name of one in the folder of all runs.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::journal::{FILE_NAME, PACKED_NAME};
use crate::run::Unusable;

/// Where runs are if nothing else is said.
pub const OUT: &str = "results";
/// The link to the newest of them.
const LATEST: &str = "latest";

/// The folder of the run `named`: a path, or a name in `out`; the newest in `out` if none is named.
///
/// # Errors
/// [`Unusable`] if there is no run.
pub fn locate(named: Option<&Path>, out: &Path) -> Result<PathBuf> {
    let candidates = match named {
        Some(named) => vec![named.to_owned(), out.join(named)],
        None => vec![out.join(LATEST)],
    };
    if let Some(run) = candidates.iter().find(|run| has_journal(run)) {
        return Ok(real_name(run));
    }
    let tried: Vec<String> = candidates
        .iter()
        .map(|run| run.display().to_string())
        .collect();
    Err(Unusable(format!(
        "there is no run in {}: name the folder of a run, which has a {FILE_NAME}",
        tried.join(", nor in "),
    ))
    .into())
}

/// What a run is called: the last name of its folder.
#[must_use]
pub fn name(run: &Path) -> String {
    let last = run.file_name().unwrap_or(run.as_os_str());
    last.to_string_lossy().into_owned()
}

fn has_journal(run: &Path) -> bool {
    [FILE_NAME, PACKED_NAME]
        .iter()
        .any(|name| run.join(name).is_file())
}

/// The folder behind `results/latest`, under its own name.
fn real_name(run: &Path) -> PathBuf {
    std::fs::read_link(run).map_or_else(|_| run.to_owned(), |target| run.with_file_name(target))
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
        std::fs::create_dir(&run).unwrap();
        assert!(locate(Some(&run), out.path()).is_err(), "it has no journal");
        std::fs::write(run.join(PACKED_NAME), "").unwrap();
        std::os::unix::fs::symlink("20260101T000000Z-run", out.path().join(LATEST)).unwrap();
        assert_eq!(locate(Some(&run), Path::new("/nonexistent")).unwrap(), run);
        let short = Path::new("20260101T000000Z-run");
        assert_eq!(locate(Some(short), out.path()).unwrap(), run);
        assert_eq!(locate(None, out.path()).unwrap(), run);
        assert_eq!(name(&run), "20260101T000000Z-run");
    }
}
