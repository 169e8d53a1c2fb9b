//! Why a root cannot be served, and why a request on a file was not carried out.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use proto::Code;
use proto::reply::UNKNOWN_VERB_TEXT;

use crate::words;

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
    /// Root would have to make it where others could put another folder in its place.
    #[error(
        "cannot make the folder {path} for user {owner}: others than root can write to where it would be; \
         make it (mkdir {path}; chown {owner} {path}), or name another with --root"
    )]
    NotForRoot {
        /// The root.
        path: PathBuf,
        /// Whose it should be.
        owner: String,
    },
    /// What it is locked with is not this server's.
    #[error(
        "cannot lock the folder that --root names: {path} is {what}; remove it when no server writes to the folder, or \
         name another with --root"
    )]
    Lock {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// It is not the folder that the running server serves.
    #[error("{0} is not the folder that the running server serves, which an upgrade cannot change")]
    Another(PathBuf),
    /// Something else.
    #[error(
        "cannot serve the folder {path}: {}; name a folder with --root that the server's user may use",
        words::plain(source)
    )]
    Io {
        /// The root.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// Why a request on a file was not carried out. The texts go to clients and name no path of the server's.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No regular file has this name.
    #[error("no such file")]
    NotFound,
    /// A folder has this name, so nothing can be stored under it.
    #[error("this name is taken by something that is not a file")]
    NotAFile,
    /// The protocol allows this name, but the server's file system does not.
    #[error("the server's file system does not take this name")]
    NameRefused,
    /// The disk or a quota is full, or would be fuller than allowed.
    #[error("no space left on the server")]
    NoSpace,
    /// This server changes no file.
    #[error("{UNKNOWN_VERB_TEXT}: this server is read-only, it takes no UPLOAD and no DELETE")]
    ReadOnly,
    /// The server is short of something that others have just now: descriptors, memory, the quota's books.
    #[error("the server has too much to do; try again")]
    Busy(#[source] io::Error),
    /// Another process has the quota's books open, and will for a moment: the same call may be made again, as if this
    /// one had not been.
    #[error("the server has too much to do; try again")]
    NotYet,
    /// The listings that clients have not taken yet fill the memory that there is for them.
    #[error("the server has too much to do; try again")]
    ListingsHeld,
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
            Self::NotAFile | Self::NameRefused => Code::BadName,
            Self::NoSpace => Code::NoSpace,
            Self::Busy(_) | Self::NotYet | Self::ListingsHeld => Code::Busy,
            // The only code that says "do not try again here, with any name": as far as this server goes there
            // is no such verb. The text has what existing clients look for with that code.
            Self::ReadOnly => Code::UnknownVerb,
            Self::TooLarge(_) => Code::TooLarge,
            Self::Io(_) => Code::Internal,
        }
    }

    /// What an error says when a name was looked up that should be a file's.
    pub(super) fn of_lookup(errno: Errno) -> Self {
        match errno {
            // ELOOP: a symbolic link, which nobody follows. ENXIO: a socket. The rest: no such thing can exist.
            Errno::ENOENT
            | Errno::ELOOP
            | Errno::EXDEV
            | Errno::ENXIO
            | Errno::EISDIR
            | Errno::ENOTDIR
            | Errno::ENAMETOOLONG
            | Errno::EILSEQ => Self::NotFound,
            other => other.into(),
        }
    }

    /// What an error says when a file was to be put under a client's name.
    pub(super) fn of_naming(errno: Errno) -> Self {
        match errno {
            Errno::EISDIR | Errno::ENOTEMPTY | Errno::EEXIST => Self::NotAFile,
            // EINVAL is how vfat refuses a character.
            Errno::ENAMETOOLONG | Errno::EILSEQ | Errno::EINVAL => Self::NameRefused,
            other => other.into(),
        }
    }
}

impl From<Errno> for StoreError {
    fn from(errno: Errno) -> Self {
        match errno {
            // EFBIG: the process may not make files of that size (RLIMIT_FSIZE).
            Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG => Self::NoSpace,
            Errno::EROFS => Self::ReadOnly,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM => Self::Busy(errno.into()),
            other => Self::Io(other.into()),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(errno) => errno.into(),
            None => Self::Io(error),
        }
    }
}
