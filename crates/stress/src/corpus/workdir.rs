//! The directory that holds corpora and roots during a run. It is locked while its run lives, so that the next
//! run can tell what a killed one left behind from what is in use.

use std::cell::RefCell;
use std::fmt::Display;
use std::fs::{self, File, TryLockError};
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::{self, JoinHandle};

use super::files::Sources;
use stress_data::Unusable;

/// How the names of work directories begin.
const PREFIX: &str = "stress-work-";
/// Threads that remove a row's files: to remove one is to wait for those of its pages that are being written to the disk,
/// and eight wait together. 2.5 GB of uploads took 0.9 s, and 1.2 to 4.3 one after the other.
const REMOVERS: usize = 8;
/// How often a directory may be lost to another run that is just cleaning up.
const ATTEMPTS: u32 = 16;

/// The directory that holds corpora and roots during a run: locked, beside the results, gone afterwards.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    /// Holds the lock. Children do not inherit it: it ends with this process, however that ends.
    _lock: File,
    sources: Sources,
    removals: Removals,
}

/// Threads that remove what rows have left.
type Removals = Rc<RefCell<Vec<JoinHandle<()>>>>;

/// Nothing of earlier rows is being removed any more, nor will it be while this lives: a window needs it.
#[derive(Debug)]
pub(crate) struct Quiet<'a>(PhantomData<&'a WorkDir>);

impl WorkDir {
    /// Makes and locks a fresh directory inside `parent`, and removes those that a killed run left there.
    ///
    /// # Errors
    /// What cannot be done.
    pub(crate) fn create(parent: &Path) -> io::Result<Self> {
        let trouble = |error: io::Error| io::Error::other(format!("{}: {error}", parent.display()));
        // Servers are told where their root is, and have a working directory of their own.
        let parent = fs::canonicalize(parent).map_err(trouble)?;
        remove_stale(&parent).map_err(trouble)?;
        for _ in 0..ATTEMPTS {
            let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent);
            let path = made.map_err(trouble)?.keep();
            if let Some(lock) = lock(&path).map_err(trouble)? {
                return Ok(Self {
                    sources: Sources::new(&path),
                    removals: Removals::default(),
                    path,
                    _lock: lock,
                });
            }
        }
        Err(io::Error::other(
            "other runs keep removing the work directory",
        ))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The files that download rows serve.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// A fresh directory for one row.
    pub(crate) fn row(&self) -> io::Result<RowDir> {
        let made = tempfile::Builder::new()
            .prefix("row-")
            .tempdir_in(&self.path)?;
        let row = RowDir {
            path: made.keep(),
            removals: Rc::clone(&self.removals),
        };
        fs::create_dir(row.root())?;
        Ok(row)
    }

    /// Waits until what earlier rows have left is gone.
    pub(crate) fn quiet(&self) -> Quiet<'_> {
        for removal in self.removals.take() {
            // One that panicked has left something, which goes with the work directory.
            let _ = removal.join();
        }
        Quiet(PhantomData)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        self.quiet();
        // Should it fail, the next run removes it: its lock is gone by then.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A folder that is there while this is: what had to be made of it is removed again when dropped, if nothing is in it.
#[derive(Debug)]
pub(crate) struct MadeFolders {
    /// The folders that were not there, the innermost first.
    missing: Vec<PathBuf>,
}

impl MadeFolders {
    /// Makes the folder, and those that it is in, where they are missing.
    pub(crate) fn folder(path: &Path) -> io::Result<Self> {
        let missing = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = Self {
            missing: missing.map(Path::to_owned).collect(),
        };
        fs::create_dir_all(path)?;
        Ok(made)
    }
}

/// The folder that `--work-dir` names, made if it is missing, and a work directory in it.
///
/// # Errors
/// [`Unusable`]: another folder has to be named.
pub(crate) fn make(folder: &Path) -> Result<(MadeFolders, WorkDir), Unusable> {
    let unusable = |error: &dyn Display| {
        let folder = folder.display();
        Unusable(format!(
            "--work-dir {folder}: cannot make a work directory there ({error}): name another folder"
        ))
    };
    let made = MadeFolders::folder(folder).map_err(|error| unusable(&error))?;
    let work = WorkDir::create(folder).map_err(|error| unusable(&error))?;
    Ok((made, work))
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in &self.missing {
            // One with something in it stays, and so do those that it is in.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// What one row has on disk. Dropped, it is removed beside what comes next, until [`WorkDir::quiet`].
#[derive(Debug)]
pub(crate) struct RowDir {
    path: PathBuf,
    removals: Removals,
}

impl RowDir {
    /// The folder that is served.
    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Where the server's standard error goes.
    pub(crate) fn server_log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// Where the server's configuration file is, if it has one.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("server.toml")
    }

    /// Where the client processes' standard error goes.
    pub(crate) fn client_log(&self) -> PathBuf {
        self.path.join("clients.log")
    }
}

impl Drop for RowDir {
    fn drop(&mut self) {
        let (path, root) = (self.path.clone(), self.root());
        let removal = thread::Builder::new().spawn(move || remove(&path, &root));
        match removal {
            Ok(removal) => self.removals.borrow_mut().push(removal),
            Err(_) => remove(&self.path, &self.root()),
        }
    }
}

/// Removes the folder `path` of a row, the files in its `root` several at a time.
fn remove(path: &Path, root: &Path) {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    thread::scope(|scope| {
        for part in files.chunks(files.len().div_ceil(REMOVERS).max(1)) {
            let remove_all = move || {
                for file in part {
                    // A folder, or what cannot be removed: the next line has the last word.
                    let _ = fs::remove_file(file);
                }
            };
            // Without a thread more the files go all the same.
            let _ = thread::Builder::new().spawn_scoped(scope, remove_all);
        }
    });
    let _ = fs::remove_dir_all(path);
}

/// Locks `path`; none if another run got hold of it between its making and its locking, and is removing it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let directory = match File::open(path) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match directory.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // The lock is on the directory, not on its name: the name may lead nowhere by now.
    let still_there = fs::metadata(path).is_ok_and(|found| {
        directory
            .metadata()
            .is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
    });
    Ok(still_there.then_some(directory))
}

/// Removes the work directories in `parent` that nobody holds the lock of.
fn remove_stale(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        if !is_ours || !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        // Held until it is gone. What cannot be removed (a killed run's server may be ending just now) is left
        // to the next start.
        if let Ok(Some(_lock)) = lock(&path) {
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> Vec<PathBuf> {
        fs::read_dir(parent)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    #[test]
    fn a_work_directory_is_gone_afterwards() {
        let parent = tempfile::tempdir().unwrap();
        let work = WorkDir::create(parent.path()).unwrap();
        fs::write(work.path().join("file"), "content").unwrap();
        assert!(work.row().unwrap().root().parent().is_some());
        work.quiet();
        assert_eq!(
            names(work.path()).len(),
            1,
            "a row's directory goes with it"
        );
        drop(work);
        assert_eq!(names(parent.path()), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_a_row_has_left_is_gone_before_a_window() {
        let parent = tempfile::tempdir().unwrap();
        let work = WorkDir::create(parent.path()).unwrap();
        for len in [0, 1, 7, 8, 9, 300] {
            let row = work.row().unwrap();
            for number in 0..len {
                fs::write(row.root().join(number.to_string()), "content").unwrap();
            }
            fs::create_dir_all(row.root().join("folder/inner")).unwrap();
            fs::write(row.server_log(), "").unwrap();
            drop(row);
            work.quiet();
            assert_eq!(names(work.path()), Vec::<PathBuf>::new(), "{len}");
        }
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_is_in_use_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let stale = parent.path().join(format!("{PREFIX}killed"));
        fs::create_dir_all(stale.join("row-1/root")).unwrap();
        fs::write(stale.join("source-10"), "x").unwrap();
        let other = parent.path().join("2026-run");
        fs::create_dir(&other).unwrap();

        let first = WorkDir::create(parent.path()).unwrap();
        assert!(!stale.exists());
        let second = WorkDir::create(parent.path()).unwrap();
        assert!(first.path().exists() && second.path().exists() && other.exists());
    }

    #[test]
    fn what_was_made_for_a_run_is_gone_again_and_what_has_something_in_it_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let inner = parent.path().join("a/b/c");
        let made = MadeFolders::folder(&inner).unwrap();
        assert!(inner.is_dir());
        fs::write(parent.path().join("a/kept"), "").unwrap();
        drop(made);
        assert_eq!(names(&parent.path().join("a")).len(), 1, "b is gone");
        drop(MadeFolders::folder(&parent.path().join("a")).unwrap());
        assert!(parent.path().join("a/kept").exists());
        let empty = parent.path().join("empty");
        fs::create_dir(&empty).unwrap();
        drop(MadeFolders::folder(&empty).unwrap());
        assert!(empty.is_dir(), "it was there before");
        assert!(MadeFolders::folder(Path::new("/proc/none/here")).is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = WorkDir::create(Path::new("/nonexistent/folder")).unwrap_err();
        assert!(
            error.to_string().starts_with("/nonexistent/folder: "),
            "{error}"
        );
    }
}
