//! The folder that is to be served: opened, or made, and nothing more. What root is needed for ends here; all else the
//! store does with the rights of the server's user.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, faccessat, fchown, mkdir};

use super::{OpenError, file_system};
use crate::rights::User;
use crate::rights::footing::{self, Footing};

/// What the umask leaves of it.
const MODE: Mode = Mode::from_bits_truncate(0o777);

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    pub(super) directory: File,
    pub(super) path: PathBuf,
}

impl Folder {
    /// Opens the folder: the last time that its path is used.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, OFlag::empty())
    }

    /// Opens the folder, and makes it first if it is not there, as that of `owner` or of this process's user. Root makes
    /// it for another user only where nobody can put another folder of root's in its place before it is given away.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it.
    pub fn open_or_make(path: &Path, owner: Option<&User>) -> Result<Self, OpenError> {
        let made = match owner {
            Some(owner) => owner.act(|| mkdir(path, MODE)),
            None => mkdir(path, MODE),
        };
        match (made, owner) {
            (Ok(()) | Err(Errno::EEXIST), _) => Self::open(path),
            (Err(Errno::EACCES), Some(owner)) => Self::make_for(path, owner),
            (Err(errno), _) => Err(OpenError::io(path, errno)),
        }
    }

    fn make_for(path: &Path, owner: &User) -> Result<Self, OpenError> {
        if footing::of_file(path) != Ok(Footing::Own) {
            return Err(OpenError::NotForRoot {
                path: path.to_owned(),
                owner: owner.name().to_owned(),
            });
        }
        mkdir(path, MODE).map_err(|errno| OpenError::io(path, errno))?;
        let folder = Self::open_with(path, OFlag::O_NOFOLLOW)?;
        fchown(&folder.directory, Some(owner.uid()), Some(owner.gid()))
            .map_err(|errno| OpenError::io(path, errno))?;
        Ok(folder)
    }

    fn open_with(path: &Path, flags: OFlag) -> Result<Self, OpenError> {
        let flags = flags | OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match open(path, flags, Mode::empty()) {
            Ok(directory) => Ok(Self {
                directory: File::from(directory),
                path: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
            }),
            Err(Errno::ENOENT) => Err(OpenError::Missing(path.to_owned())),
            Err(Errno::ENOTDIR) => Err(OpenError::NotADirectory(path.to_owned())),
            Err(errno) => Err(OpenError::io(path, errno)),
        }
    }

    /// The folder's absolute path, for people: nothing is ever opened by it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process's user may list the folder and open what is in it.
    #[must_use]
    pub fn can_read(&self) -> bool {
        is_accessible(&self.directory, AccessFlags::R_OK | AccessFlags::X_OK)
    }

    /// Whether the file system is mounted read-only: then every change is refused, with `--read-only` or without.
    #[must_use]
    pub fn is_mounted_read_only(&self) -> bool {
        file_system::is_read_only(&self.directory)
    }

    /// Whether each change of a file's content shows in its times, as the encoded cache has to know it.
    #[must_use]
    pub fn stamps_changes_of_files(&self) -> bool {
        file_system::has(&self.directory, file_system::Trait::TimesOfFiles)
    }

    /// Whether this process's user may put files into the folder and remove them.
    #[must_use]
    pub fn can_write(&self) -> bool {
        is_accessible(&self.directory, AccessFlags::W_OK | AccessFlags::X_OK)
    }
}

/// Whether this process's real user has that access.
fn is_accessible(directory: &File, access: AccessFlags) -> bool {
    faccessat(directory, ".", access, AtFlags::empty()).is_ok()
}
