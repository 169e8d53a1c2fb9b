//! Opening and locking the root, and who may use it.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::signal::kill;
use nix::sys::stat::{Mode, major, minor};
use nix::unistd::{AccessFlags, Pid, faccessat};

use super::OpenError;

/// Opens the root: the last time that its path is used.
pub(super) fn open_directory(path: &Path) -> Result<File, OpenError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    match open(path, flags, Mode::empty()) {
        Ok(fd) => Ok(File::from(fd)),
        Err(Errno::ENOENT) => Err(OpenError::Missing(path.to_owned())),
        Err(Errno::ENOTDIR) => Err(OpenError::NotADirectory(path.to_owned())),
        Err(errno) => Err(OpenError::Io {
            path: path.to_owned(),
            source: errno.into(),
        }),
    }
}

/// What it takes to list a directory and to open what is in it.
pub(super) const READ: AccessFlags = AccessFlags::R_OK.union(AccessFlags::X_OK);

/// What it takes to put files into a directory and to remove them.
pub(super) const WRITE: AccessFlags = AccessFlags::W_OK.union(AccessFlags::X_OK);

/// Whether this process's real user has that access.
pub(super) fn is_accessible(directory: &File, access: AccessFlags) -> bool {
    faccessat(directory, ".", access, AtFlags::empty()).is_ok()
}

/// Locks the root against a second server, as flock(2) does: for all processes that inherit the descriptor.
pub(super) fn take(directory: &File, path: &Path) -> Result<(), OpenError> {
    match directory.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let holder =
                holder(directory).map_or_else(String::new, |pid| format!(" (process {pid})"));
            Err(OpenError::InUse {
                path: path.to_owned(),
                holder,
            })
        }
        Err(TryLockError::Error(source)) => Err(OpenError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Who took the lock, as /proc/locks says: `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`. Where the file
/// system's device differs from what stat(2) shows (btrfs, overlay) there is no such line, and no answer.
fn holder(directory: &File) -> Option<Pid> {
    let metadata = directory.metadata().ok()?;
    let device = metadata.dev();
    let file = format!(
        "{:02x}:{:02x}:{}",
        major(device),
        minor(device),
        metadata.ino()
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "/proc is the kernel, not the root that the store guards"
    )]
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_flock = words.next() == Some("FLOCK");
        let pid: i32 = words.nth(2)?.parse().ok()?;
        (is_flock && words.next() == Some(&file)).then_some(Pid::from_raw(pid))
    })?;
    // It may be gone, and the lock be held by what it forked.
    (pid.as_raw() > 0 && kill(pid, None) != Err(Errno::ESRCH)).then_some(pid)
}
