//! The store: the only module that touches files.
//!
//! Everything is relative to one directory descriptor and one checked [`FileName`]; no path of a client's
//! making ever reaches the kernel. A name shows a whole old or a whole new content, never a mix or a part.

mod error;
mod file_system;
mod list;
mod lock;
mod quota;
mod read;
mod temporary;
mod upload;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};
use proto::FileName;

use quota::Books;

pub use error::{OpenError, StoreError};
pub use list::Listing;
pub use quota::Quota;
pub use read::Download;
pub use temporary::Temporaries;
pub use upload::PendingUpload;

/// What "uploaded" promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Durability {
    /// Survives the death of any process.
    None,
    /// The content is on disk; the name may be lost with the power.
    Data,
    /// Content and name survive a power loss.
    Full,
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Data => "data",
            Self::Full => "full",
        })
    }
}

/// How a store behaves.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// What an upload promises.
    pub durability: Durability,
    /// The largest upload in bytes.
    pub upload_len_max: u64,
    /// Free space in bytes that uploads leave on the file system.
    pub min_free_bytes: u64,
    /// Make the directory if it is not there.
    pub create: bool,
    /// Change nothing in it, and need no right to.
    pub read_only: bool,
    /// What all files may hold together, in bytes; needs [`Store::share_quota`].
    pub root_bytes_max: Option<u64>,
}

/// A directory of files, locked for one server.
#[derive(Debug)]
pub struct Store {
    root: Arc<Root>,
    path: PathBuf,
    is_new: bool,
}

/// What an upload needs of the store while it is pending.
#[derive(Debug)]
struct Root {
    /// Holds the lock, which every worker inherits. Nobody unlocks it: that would free it for all. It ends when
    /// the last process with this descriptor is gone.
    directory: Arc<File>,
    options: StoreOptions,
    /// How pending uploads are kept out of sight; none in a store that is only read.
    temporaries: Option<Temporaries>,
    /// Whether uploads reserve blocks ahead.
    reserves: bool,
    /// What it takes to keep `options.root_bytes_max`.
    quota: Option<Arc<Quota>>,
}

impl Store {
    /// Opens and locks the directory at `path`.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        let failed = |source: io::Error| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let is_new = options.create && !path.exists();
        if options.create {
            #[expect(
                clippy::disallowed_methods,
                reason = "before there is a root, there is only its path"
            )]
            match std::fs::create_dir_all(path) {
                // It is something else, or a link to nothing: opening it says which.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
        let directory = lock::open_directory(path)?;
        lock::take(&directory, path)?;
        let store = Self::with_directory(directory, path, options).map_err(failed)?;
        Ok(Self { is_new, ..store })
    }

    /// Takes over the locked directory of another server, which `path` must lead to.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it.
    pub fn adopt(
        directory: OwnedFd,
        path: &Path,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        let failed = |source: io::Error| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let directory = File::from(directory);
        let identity = |file: &File| file.metadata().map(|it| (it.dev(), it.ino()));
        let asked_for = lock::open_directory(path)?;
        if identity(&directory).map_err(failed)? != identity(&asked_for).map_err(failed)? {
            return Err(OpenError::Another(path.to_owned()));
        }
        Self::with_directory(directory, path, options).map_err(failed)
    }

    fn with_directory(directory: File, path: &Path, options: StoreOptions) -> io::Result<Self> {
        let temporaries = if options.read_only {
            None
        } else {
            Some(Temporaries::probe(&directory)?)
        };
        let root = Arc::new(Root {
            reserves: file_system::gains_by_reserving(&directory),
            directory: Arc::new(directory),
            options,
            temporaries,
            quota: None,
        });
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Ok(Self {
            root,
            path,
            is_new: false,
        })
    }

    /// Whether opening made the directory.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Makes the directory another user's.
    ///
    /// # Errors
    /// What fchown(2) says.
    pub fn give_to(&self, owner: Uid, group: Gid) -> nix::Result<()> {
        fchown(&self.root.directory, Some(owner), Some(group))
    }

    /// Whether this process's user may list the directory and open what is in it.
    #[must_use]
    pub fn can_read(&self) -> bool {
        lock::is_accessible(&self.root.directory, lock::READ)
    }

    /// Whether this process's user may put files into the directory and remove them.
    #[must_use]
    pub fn can_write(&self) -> bool {
        lock::is_accessible(&self.root.directory, lock::WRITE)
    }

    /// The same directory under other options.
    #[must_use]
    pub fn with_options(&self, options: StoreOptions) -> Self {
        let temporaries = match self.root.temporaries {
            _ if options.read_only => None,
            Some(known) => Some(known),
            // It was only read until now. What can always be done is good enough where that cannot be found out.
            None => Some(Temporaries::probe(&self.root.directory).unwrap_or(Temporaries::Named)),
        };
        let root = Root {
            directory: Arc::clone(&self.root.directory),
            options,
            temporaries,
            reserves: self.root.reserves,
            quota: self.root.quota.clone(),
        };
        Self {
            root: Arc::new(root),
            path: self.path.clone(),
            is_new: self.is_new,
        }
    }

    /// Whether nothing in it is changed, by this store.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.root.options.read_only
    }

    /// The directory, to be handed to another server together with its lock.
    #[must_use]
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.root.directory.as_fd()
    }

    /// Gives the store what it takes to keep all files within [`StoreOptions::root_bytes_max`].
    pub fn share_quota(&mut self, quota: Quota) {
        if let Some(root) = Arc::get_mut(&mut self.root) {
            root.quota = Some(Arc::new(quota));
        }
    }

    /// What this process and its children reserve of the quota from now on is written down in row `index`.
    pub fn hold_in(&self, index: u32) {
        if let Some(quota) = &self.root.quota {
            quota.hold_in(index);
        }
    }

    /// What all files hold together, with what pending uploads have reserved; none if there is no limit on it.
    ///
    /// # Errors
    /// What measuring the folder says.
    pub fn used_bytes(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.root.books()?.map(|books| books.used_bytes()))
    }

    /// Removes every temporary file an earlier server left, and returns how many there were. Only for a start:
    /// the lock says that no other server lives on this root, so nobody's upload is pending.
    ///
    /// # Errors
    /// What the directory's reading or an unlink says.
    pub fn sweep(&self) -> io::Result<usize> {
        self.sweep_where(|_| true)
    }

    /// Removes the temporary files of every process that is dead. For a start beside a server that still lives.
    ///
    /// # Errors
    /// What the directory's reading or an unlink says.
    pub fn sweep_dead(&self) -> io::Result<usize> {
        let is_dead = |pid: u32| {
            let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
            nix::sys::signal::kill(pid, None) == Err(nix::errno::Errno::ESRCH)
        };
        self.sweep_where(is_dead)
    }

    /// Removes the temporary files of one dead process.
    ///
    /// # Errors
    /// What the directory's reading or an unlink says.
    pub fn sweep_pid(&self, pid: u32) -> io::Result<usize> {
        self.sweep_where(|owner| owner == pid)
    }

    fn sweep_where(&self, is_stale: impl Fn(u32) -> bool) -> io::Result<usize> {
        if self.is_read_only() {
            return Ok(0);
        }
        temporary::sweep(&self.root.directory, is_stale)
    }

    /// How pending uploads are kept out of sight; none in a store that is only read.
    #[must_use]
    pub fn temporaries(&self) -> Option<Temporaries> {
        self.root.temporaries
    }

    /// The directory's absolute path, for people: nothing is ever opened by it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.path
    }

    /// The kind of file system, such as `ext4`.
    #[must_use]
    pub fn file_system(&self) -> String {
        file_system::name(&self.root.directory)
    }

    /// Whether the file system is mounted read-only: then every change is refused, with `--read-only` or without.
    #[must_use]
    pub fn is_mounted_read_only(&self) -> bool {
        file_system::is_read_only(&self.root.directory)
    }

    /// The names of the regular files, sorted by bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Listing, StoreError> {
        list::list(&self.root.directory)
    }

    /// Opens a file for reading. Replacing or deleting it meanwhile does not touch what is read.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] also for everything that is not a regular file.
    pub fn read(&self, name: &FileName) -> Result<Download, StoreError> {
        read::open(&self.root.directory, name)
    }

    /// Begins an upload that nobody sees until it is committed.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], [`StoreError::NotAFile`] where the name is a folder's,
    /// [`StoreError::NameRefused`], [`StoreError::NoSpace`], [`StoreError::NotYet`] or [`StoreError::Io`].
    pub fn create(&self, name: &FileName) -> Result<PendingUpload, StoreError> {
        PendingUpload::create(&self.root, name)
    }

    /// Removes a regular file.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`]; [`StoreError::NotYet`]; [`StoreError::NotFound`] also for everything that is not a regular file.
    pub fn delete(&self, name: &FileName) -> Result<(), StoreError> {
        if self.is_read_only() {
            return Err(StoreError::ReadOnly);
        }
        let directory = &self.root.directory;
        if !list::is_file(directory, name).map_err(StoreError::of_lookup)? {
            return Err(StoreError::NotFound);
        }
        let unlink = || {
            // Whatever the name becomes between that look and this is in the root; a folder stays.
            unlinkat(directory, name.as_str(), UnlinkatFlags::NoRemoveDir)
                .map_err(StoreError::of_lookup)
        };
        match self.root.books()? {
            None => unlink()?,
            Some(mut books) => {
                let old_len = quota::visible_len(directory, name.as_str())?;
                books.record(old_len, 0, unlink)?;
            }
        }
        if self.root.options.durability == Durability::Full {
            directory.sync_all()?;
        }
        Ok(())
    }
}

impl Root {
    /// The quota's books, open for this thread, if there is a limit.
    fn books(&self) -> Result<Option<Books<'_>>, StoreError> {
        match (&self.quota, self.options.root_bytes_max) {
            (Some(quota), Some(bytes_max)) => quota.open(&self.directory, bytes_max).map(Some),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
