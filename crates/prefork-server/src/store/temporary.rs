//! Temporary files: how an upload stays out of sight until it is whole.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

/// No [`proto::FileName`] starts with a dot, so no client can see or name one of these.
const PREFIX: &str = ".prefork-tmp.";

/// Names tried before giving up: each is taken only by a file of a dead process with the same pid.
const NAMES_MAX: u32 = 1000;

/// What the umask leaves of it.
const MODE: Mode = Mode::from_bits_truncate(0o644);

/// How pending uploads are kept out of sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporaries {
    /// Without any name (`O_TMPFILE`): whatever dies, the kernel cleans up.
    Tmpfile,
    /// Under a hidden name, on file systems that cannot do better.
    Named,
}

impl fmt::Display for Temporaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tmpfile => "tmpfile",
            Self::Named => "named",
        })
    }
}

impl Temporaries {
    /// Finds out what the file system can do, by doing it.
    pub(super) fn probe(directory: &File) -> nix::Result<Self> {
        let hidden = open_unnamed(directory)
            .and_then(|unnamed| link_unnamed(directory, &File::from(unnamed)));
        match hidden {
            Ok(hidden) => unlink(directory, &hidden).map(|()| Self::Tmpfile),
            // A full disk or a root that cannot be written can still be read from, and says nothing about names.
            Err(Errno::ENOSPC | Errno::EDQUOT | Errno::EACCES | Errno::EROFS) => Ok(Self::Tmpfile),
            Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EIO)) => Err(errno),
            // EOPNOTSUPP, or EISDIR from a kernel that does not know the flag, or a file that cannot be linked.
            Err(_) => Ok(Self::Named),
        }
    }
}

/// A file without a name.
pub(super) fn open_unnamed(directory: &File) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    openat(directory, ".", flags, MODE)
}

/// A file under a fresh hidden name, and that name.
pub(super) fn open_named(directory: &File) -> nix::Result<(OwnedFd, String)> {
    let flags =
        OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    under_fresh_name(|name| openat(directory, name, flags, MODE))
}

/// Gives an unnamed file a fresh hidden name.
pub(super) fn link_unnamed(directory: &File, file: &File) -> nix::Result<String> {
    let link = |name: &str| match linkat(file, "", directory, name, AtFlags::AT_EMPTY_PATH) {
        // Before Linux 6.10 this takes CAP_DAC_READ_SEARCH (open(2)).
        Err(Errno::ENOENT | Errno::EPERM) => link_through_proc(directory, file, name),
        result => result,
    };
    under_fresh_name(link).map(|((), name)| name)
}

/// The way that is open to all, where /proc is mounted.
pub(super) fn link_through_proc(directory: &File, file: &File, name: &str) -> nix::Result<()> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let follow = AtFlags::AT_SYMLINK_FOLLOW;
    linkat(AT_FDCWD, path.as_str(), directory, name, follow)
}

/// Removes a hidden name.
pub(super) fn unlink(directory: &File, hidden: &str) -> nix::Result<()> {
    unlinkat(directory, hidden, UnlinkatFlags::NoRemoveDir)
}

/// Removes the files under hidden names whose process `is_stale`. Goes on past what cannot be removed, and
/// then says so.
pub(super) fn sweep(directory: &File, is_stale: impl Fn(u32) -> bool) -> io::Result<usize> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut entries = Dir::openat(directory, ".", flags, Mode::empty())?;
    let mut removed = 0;
    let mut failure = None;
    for entry in entries.iter() {
        let entry = entry?;
        let hidden = entry.file_name().to_str().ok();
        let Some(hidden) = hidden.filter(|hidden| owner(hidden).is_some_and(&is_stale)) else {
            continue;
        };
        match unlink(directory, hidden) {
            Ok(()) => removed += 1,
            // Gone already, or a folder, which no store made.
            Err(Errno::ENOENT | Errno::EISDIR) => {}
            Err(errno) => failure = Some(errno),
        }
    }
    failure.map_or(Ok(removed), |errno| Err(errno.into()))
}

fn hidden_name(pid: u32, number: u64) -> String {
    format!("{PREFIX}{pid}.{number}")
}

/// The process a hidden name belongs to; nothing for a name that [`hidden_name`] would not have made.
pub(super) fn owner(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let (pid, number) = (pid.parse().ok()?, number.parse().ok()?);
    (hidden_name(pid, number) == name).then_some(pid)
}

/// Calls `make` with hidden names until one is free. A name carries the pid, asked for anew each time since a
/// worker is a fork of its parent, and a number that no two threads share.
fn under_fresh_name<T>(mut make: impl FnMut(&str) -> nix::Result<T>) -> nix::Result<(T, String)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..NAMES_MAX {
        let hidden = hidden_name(std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        match make(&hidden) {
            Ok(made) => return Ok((made, hidden)),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EEXIST)
}
