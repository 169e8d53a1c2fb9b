//! Opening and locking the root.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, major, minor};
use nix::sys::statfs::{self, FsType};

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

/// Who holds the lock, as /proc/locks says: `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`.
fn holder(directory: &File) -> Option<u32> {
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
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_flock = words.next() == Some("FLOCK");
        let pid = words.nth(2)?;
        (is_flock && words.next() == Some(&file)).then(|| pid.parse().ok())?
    })
}

/// The name of a file system by its magic number (statfs(2)).
pub(super) fn file_system_name(kind: FsType) -> String {
    const NAMES: &[(FsType, &str)] = &[
        (statfs::EXT4_SUPER_MAGIC, "ext4"),
        (statfs::TMPFS_MAGIC, "tmpfs"),
        (statfs::XFS_SUPER_MAGIC, "xfs"),
        (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlay"),
        (statfs::NFS_SUPER_MAGIC, "nfs"),
        (statfs::FUSE_SUPER_MAGIC, "fuse"),
    ];
    NAMES
        .iter()
        .find(|(magic, _)| *magic == kind)
        .map_or_else(|| format!("{:#x}", kind.0), |(_, name)| (*name).to_owned())
}
