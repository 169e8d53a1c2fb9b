//! The directory that holds corpora and roots during a run: locked, beside the results, gone afterwards.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use crate::corpus::{self, Content, DOWNLOAD_SALT, LIST_FILE_LEN};
use crate::measure::Error;

/// What work directories are called, so that the next start can tell which ones a killed run left.
const PREFIX: &str = ".stress-work-";

/// Held as long as the run lives, however it ends.
const LOCK: &str = "lock";

/// A locked directory; removed when dropped.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    _lock: File,
    /// CRC-32 of the source file of each volume that has been made.
    sources: RefCell<HashMap<u64, u32>>,
}

impl WorkDir {
    /// Makes and locks a fresh directory inside `parent`, and removes those that a killed run left there.
    ///
    /// # Errors
    /// [`Error::Harness`] if that cannot be done.
    pub fn create(parent: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| {
            Error::Harness(format!(
                "cannot make a work directory in {}: {error} (--work-dir names another place)",
                parent.display()
            ))
        };
        fs::create_dir_all(parent).map_err(failed)?;
        remove_stale(parent).map_err(failed)?;
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        let path = path.canonicalize().map_err(failed)?;
        Ok(Self { path, _lock: lock, sources: RefCell::default() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that downloads of this volume are served from, and its CRC-32. Made once a run: later cells
    /// find it in the page cache as the first one does, because making it puts it there.
    pub(crate) fn source(&self, seed: u64, volume: u64) -> io::Result<(PathBuf, u32)> {
        let path = self.path.join(format!("source-{volume}.bin"));
        if let Some(crc32) = self.sources.borrow().get(&volume) {
            return Ok((path, *crc32));
        }
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        io::copy(&mut Content::new(seed, DOWNLOAD_SALT, volume), &mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let crc32 = corpus::crc32(seed, DOWNLOAD_SALT, volume);
        self.sources.borrow_mut().insert(volume, crc32);
        Ok((path, crc32))
    }

    /// A folder with the files that fill the root of a list cell, made once a run.
    pub(crate) fn list_files(&self, seed: u64, volume: u64) -> io::Result<PathBuf> {
        let folder = self.path.join(format!("list-{volume}"));
        if folder.exists() {
            return Ok(folder);
        }
        fs::create_dir(&folder)?;
        let mut left = volume;
        for (salt, name) in (0..).zip(corpus::list_names(volume)) {
            let len = left.min(LIST_FILE_LEN);
            left -= len;
            io::copy(&mut Content::new(seed, salt, len), &mut File::create(folder.join(name))?)?;
        }
        Ok(folder)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn remove_stale(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_ours && entry.file_type()?.is_dir() && is_unlocked(&entry.path()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Whether nobody holds the lock. A directory without one is being made or removed by somebody.
fn is_unlocked(path: &Path) -> bool {
    File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_directory_is_gone_afterwards_and_what_a_killed_run_left_too() {
        let parent = tempfile::TempDir::new().unwrap();
        let stale = parent.path().join(format!("{PREFIX}1"));
        fs::create_dir(&stale).unwrap();
        fs::write(stale.join(LOCK), b"").unwrap();
        let held = parent.path().join(format!("{PREFIX}2"));
        fs::create_dir(&held).unwrap();
        let lock = File::create(held.join(LOCK)).unwrap();
        lock.lock().unwrap();

        let work = WorkDir::create(parent.path()).unwrap();
        let path = work.path().to_owned();
        assert!(path.exists() && !stale.exists() && held.exists());
        drop(work);
        assert!(!path.exists());
    }

    #[test]
    fn a_source_is_what_its_checksum_says() {
        let parent = tempfile::TempDir::new().unwrap();
        let work = WorkDir::create(parent.path()).unwrap();
        for _ in 0..2 {
            let (path, crc32) = work.source(1, 100_000).unwrap();
            let read = corpus::crc32_of(&mut File::open(path).unwrap()).unwrap();
            assert_eq!(read, (100_000, crc32));
        }
    }
}
