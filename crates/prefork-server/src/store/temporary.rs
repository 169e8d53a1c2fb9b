//! Temporary files: how an upload stays out of sight until it is whole.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
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
    /// Finds out what the file system can do.
    pub(super) fn probe(directory: &File) -> nix::Result<Self> {
        match open_unnamed(directory) {
            Ok(_) => Ok(Self::Tmpfile),
            // EISDIR: a kernel or file system that does not know the flag at all.
            Err(
                Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL | Errno::ENOENT | Errno::ENOSYS,
            ) => Ok(Self::Named),
            // A full disk or a root that cannot be written can still be read from.
            Err(Errno::ENOSPC | Errno::EDQUOT | Errno::EACCES | Errno::EROFS | Errno::EPERM) => {
                Ok(Self::Tmpfile)
            }
            Err(errno) => Err(errno),
        }
    }
}

/// A file without a name.
pub(super) fn open_unnamed(directory: &File) -> nix::Result<OwnedFd> {
    openat(
        directory,
        ".",
        OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC,
        MODE,
    )
}

/// A file under a fresh hidden name, and that name.
pub(super) fn open_named(directory: &File) -> nix::Result<(OwnedFd, String)> {
    let flags =
        OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    under_fresh_name(|name| openat(directory, name, flags, MODE))
}

/// Gives an unnamed file a fresh hidden name.
pub(super) fn link_unnamed(directory: &File, file: &File) -> nix::Result<String> {
    under_fresh_name(|name| {
        match linkat(file, "", directory, name, AtFlags::AT_EMPTY_PATH) {
            // Without CAP_DAC_READ_SEARCH the kernel says ENOENT; the way through /proc is open to all.
            Err(Errno::ENOENT | Errno::EPERM) => {
                use std::os::fd::AsRawFd;
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                linkat(
                    AT_FDCWD,
                    path.as_str(),
                    directory,
                    name,
                    AtFlags::AT_SYMLINK_FOLLOW,
                )
            }
            result => result,
        }
    })
    .map(|((), name)| name)
}

/// Removes the hidden names whose process `is_stale`.
pub(super) fn sweep(directory: &File, is_stale: impl Fn(u32) -> bool) -> io::Result<usize> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut entries = Dir::openat(directory, ".", flags, Mode::empty())?;
    let mut removed = 0;
    for entry in entries.iter() {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        let Some(owner) = owner(name) else { continue };
        if is_stale(owner) {
            match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) => removed += 1,
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(removed)
}

/// The process a hidden name belongs to.
fn owner(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('.')?;
    number.parse::<u64>().ok()?;
    pid.parse().ok()
}

/// Calls `make` with hidden names until one is free. A name carries the pid, asked for anew each time since a
/// worker is a fork of its parent, and a number that no two threads share.
fn under_fresh_name<T>(mut make: impl FnMut(&str) -> nix::Result<T>) -> nix::Result<(T, String)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..NAMES_MAX {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}.{number}", std::process::id());
        match make(&name) {
            Ok(made) => return Ok((made, name)),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EEXIST)
}
