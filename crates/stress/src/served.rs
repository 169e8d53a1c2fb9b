//! A folder that is not the harness's own: that of a server that serves no other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder, for one cell. What the cell leaves in it is removed when dropped; names that begin with a dot are
/// nobody's business.
#[derive(Debug)]
pub(crate) struct Served {
    path: PathBuf,
}

impl Served {
    /// Takes the folder, which is made if it is missing and must be empty.
    ///
    /// # Errors
    /// What the system said, or that it is not empty.
    pub(crate) fn take(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let path = fs::canonicalize(path)?;
        match visible(&path)?.first() {
            None => Ok(Self { path }),
            Some(entry) => Err(io::Error::other(format!(
                "--server-root: {} is not empty ({} is in it): empty it, or name another",
                path.display(),
                entry.file_name().unwrap_or_default().display()
            ))),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for entry in visible(&self.path).unwrap_or_default() {
            // A folder is none of ours; its removal fails, and the next cell says so.
            let _ = fs::remove_file(entry);
        }
    }
}

fn visible(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_left_as_it_was_found_and_not_taken_with_somebodys_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("files");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(".gitkeep"), "").unwrap();
        let served = Served::take(&path).unwrap();
        fs::write(served.path().join("u0000-0.bin"), "x").unwrap();
        drop(served);
        assert_eq!(visible(&path).unwrap(), Vec::<PathBuf>::new());
        assert!(path.join(".gitkeep").exists());

        fs::write(path.join("thesis.pdf"), "x").unwrap();
        let error = Served::take(&path).unwrap_err().to_string();
        assert!(error.contains("not empty (thesis.pdf is in it)"), "{error}");
        assert!(path.join("thesis.pdf").exists());
    }
}
