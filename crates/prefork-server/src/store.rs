//! The store: the only module that touches files.
//!
//! Everything is relative to one directory descriptor and one checked [`FileName`]; no path of a client's
//! making ever reaches the kernel. A name shows a whole old or a whole new content, never a mix or a part.

mod list;
mod lock;
mod read;
mod temporary;
mod upload;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::statfs::fstatfs;
use nix::unistd::{UnlinkatFlags, unlinkat};
use proto::{Code, FileName};

pub use list::Listing;
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
}

/// Why a root cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there.
    #[error("the folder {0} does not exist: make it, or name another with --root")]
    Missing(PathBuf),
    /// It is something else.
    #[error("{0} is not a folder: name one with --root")]
    NotADirectory(PathBuf),
    /// Another server has it.
    #[error(
        "the folder {path} is served by another prefork-server{holder}: stop that one, or name another folder with --root"
    )]
    InUse {
        /// The root.
        path: PathBuf,
        /// ` (process N)`, where it can be found out.
        holder: String,
    },
    /// Something else.
    #[error("cannot serve the folder {path}: {source}")]
    Io {
        /// The root.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Why a request on a file was not carried out. The texts go to clients and name no path of the server's.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No regular file has this name.
    #[error("no such file")]
    NotFound,
    /// Something that is not a file has this name.
    #[error("this name is taken by something that is not a file")]
    NotAFile,
    /// The disk or a quota is full, or would be fuller than allowed.
    #[error("no space left on the server")]
    NoSpace,
    /// The upload is over the limit.
    #[error("larger than the {0} bytes this server takes")]
    TooLarge(u64),
    /// Something failed that is not the client's fault.
    #[error("the server could not read or write the file")]
    Io(#[source] io::Error),
}

impl StoreError {
    /// The code a client is told.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::NotAFile => Code::BadName,
            Self::NoSpace => Code::NoSpace,
            Self::TooLarge(_) => Code::TooLarge,
            Self::Io(_) => Code::Internal,
        }
    }
}

impl From<Errno> for StoreError {
    fn from(errno: Errno) -> Self {
        match errno {
            // ELOOP and EXDEV: what openat2 says of a symbolic link it was told not to follow.
            Errno::ENOENT | Errno::ELOOP | Errno::EXDEV | Errno::ENXIO => Self::NotFound,
            Errno::EISDIR | Errno::ENOTDIR | Errno::ENOTEMPTY => Self::NotAFile,
            Errno::ENOSPC | Errno::EDQUOT => Self::NoSpace,
            other => Self::Io(other.into()),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(errno @ (Errno::ENOSPC | Errno::EDQUOT)) => errno.into(),
            _ => Self::Io(error),
        }
    }
}

/// A directory of files, locked for one server.
#[derive(Debug)]
pub struct Store {
    root: Arc<Root>,
    path: PathBuf,
}

/// What an upload needs of the store while it is pending.
#[derive(Debug)]
struct Root {
    /// Holds the lock, which every worker inherits. Nobody unlocks it: that would free it for all. It ends when
    /// the last process with this descriptor is gone.
    directory: File,
    options: StoreOptions,
    temporaries: Temporaries,
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
        if options.create {
            #[expect(
                clippy::disallowed_methods,
                reason = "before there is a root, there is only its path"
            )]
            std::fs::create_dir_all(path).map_err(failed)?;
        }
        let directory = lock::open_directory(path)?;
        lock::take(&directory, path)?;
        let temporaries = Temporaries::probe(&directory).map_err(|errno| failed(errno.into()))?;
        let root = Arc::new(Root {
            directory,
            options,
            temporaries,
        });
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Ok(Self { root, path })
    }

    /// Removes every temporary file an earlier server left: no other server lives on this root. Returns how
    /// many there were.
    ///
    /// # Errors
    /// What the directory's reading or an unlink says.
    pub fn sweep(&self) -> io::Result<usize> {
        temporary::sweep(&self.root.directory, |_| true)
    }

    /// Removes the temporary files of one dead process.
    ///
    /// # Errors
    /// What the directory's reading or an unlink says.
    pub fn sweep_pid(&self, pid: u32) -> io::Result<usize> {
        temporary::sweep(&self.root.directory, |owner| owner == pid)
    }

    /// How pending uploads are kept out of sight.
    #[must_use]
    pub fn temporaries(&self) -> Temporaries {
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
        fstatfs(&self.root.directory).map_or_else(
            |_| "unknown".to_owned(),
            |stat| lock::file_system_name(stat.filesystem_type()),
        )
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
    /// [`StoreError::NoSpace`] or [`StoreError::Io`].
    pub fn create(&self, name: &FileName) -> Result<PendingUpload, StoreError> {
        PendingUpload::create(&self.root, name)
    }

    /// Removes a regular file.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] also for everything that is not a regular file.
    pub fn delete(&self, name: &FileName) -> Result<(), StoreError> {
        // Whatever the name becomes between this look and the unlink is inside the root and not a directory.
        read::open(&self.root.directory, name)?;
        unlinkat(
            &self.root.directory,
            name.as_str(),
            UnlinkatFlags::NoRemoveDir,
        )?;
        if self.root.options.durability == Durability::Full {
            nix::unistd::fsync(self.root.directory.as_fd())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
