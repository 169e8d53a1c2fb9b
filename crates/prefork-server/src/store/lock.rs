//! Locking the root, so that one server writes to it at a time. Servers that only read need no lock.
//!
//! The lock is on a hidden file in the root. The folder itself will not do: every user who can read it can lock it, and through
//! two mounts of one file system (NFS, FUSE) a lock on a folder is two. It is locked beside the file, for servers of
//! older releases, which lock nothing else.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, major, minor};
use nix::unistd::{Pid, Uid, UnlinkatFlags, unlinkat};

use super::OpenError;
use super::list::kind_of;
use super::temporary::is_dead;
use crate::shared::title;
use crate::sys::read_kernel_file;

/// No [`proto::FileName`] starts with a dot.
pub(super) const NAME: &str = ".prefork-lock";

/// For the server's user only: who can open it can lock it.
const MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// How often the file may have been removed, by a server that stopped, between its being found and its being locked.
const TRIES_MAX: u32 = 150;

/// Through FUSE a name may be known for a second after it is gone, and cannot be opened until then.
const PAUSE: Duration = Duration::from_millis(10);

/// What is known of other servers that write here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// None has the lock, of this release or an older one.
    Sole,
    /// The predecessor, and no other has.
    Successor,
    /// Some older one may.
    Unknown,
}

/// The lock. Every worker inherits it, and it ends when the last process with these descriptors is gone.
#[derive(Debug)]
pub(super) struct Lock {
    directory: Arc<File>,
    /// None where no file can be made, so that nothing else can be written either.
    file: Option<File>,
    pub(super) standing: Standing,
    /// The process that removes the file when it drops the lock; 0 for none.
    remover: AtomicI32,
}

impl Lock {
    /// Locks the root against a second server that writes.
    pub(super) fn take(directory: &Arc<File>, path: &Path) -> Result<Self, OpenError> {
        let file = take_file(directory, path)?;
        // From here on dropping it removes the file.
        let mut lock = Self::new(directory, file, Standing::Unknown);
        lock.remove_at_the_end(true);
        if take_folder(directory, path)? && lock.file.is_some() {
            lock.standing = Standing::Sole;
        }
        Ok(lock)
    }

    /// Goes on with the lock of a predecessor, which has locked the folder too. One of an older release has no file.
    pub(super) fn adopt(
        directory: &Arc<File>,
        path: &Path,
        file: Option<OwnedFd>,
    ) -> Result<Self, OpenError> {
        let file = match file {
            Some(file) => Some(File::from(file)),
            None => take_file(directory, path)?,
        };
        Ok(Self::new(directory, file, Standing::Successor))
    }

    fn new(directory: &Arc<File>, file: Option<File>, standing: Standing) -> Self {
        Self {
            directory: Arc::clone(directory),
            file,
            standing,
            remover: AtomicI32::new(0),
        }
    }

    /// To be handed to a successor.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Whether the file is to be removed when this process has done with it: not if another server goes on with it.
    pub(super) fn remove_at_the_end(&self, removes: bool) {
        let pid = if removes { Pid::this().as_raw() } else { 0 };
        self.remover.store(pid, Relaxed);
    }

    /// Removes the file, if `process` is to.
    pub(super) fn remove_for(&self, process: Pid) {
        if self.remover.load(Relaxed) == process.as_raw()
            && let Some(file) = &self.file
            && is_named(&self.directory, file)
        {
            // A server that has opened it meanwhile finds out that it has no name any more.
            let _ = unlinkat(&self.directory, NAME, UnlinkatFlags::NoRemoveDir);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.remove_for(Pid::this());
    }
}

fn take_file(directory: &File, path: &Path) -> Result<Option<File>, OpenError> {
    for _ in 0..TRIES_MAX {
        let file = match open_file(directory, path)? {
            Opened::File(file) => file,
            Opened::Unwritable => return Ok(None),
            Opened::Gone => {
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, holder(&file))),
            Err(TryLockError::Error(source)) => return Err(OpenError::io(path, source)),
        }
        // What a server on another machine has locked over NFS the machine that has the disk sees as this.
        // Not every file system has both kinds of lock.
        if let Err(Errno::EAGAIN | Errno::EACCES) = lock_as_record(&file) {
            return Err(in_use(path, None));
        }
        if is_named(directory, &file) {
            return Ok(Some(file));
        }
    }
    let reason = io::Error::other(format!(
        "{NAME} comes and goes: do servers start and stop there?"
    ));
    Err(OpenError::io(path, reason))
}

/// What came of opening the file that is to be locked.
enum Opened {
    File(File),
    /// This server can make no file here.
    Unwritable,
    /// It was there, and is not any more.
    Gone,
}

fn open_file(directory: &File, path: &Path) -> Result<Opened, OpenError> {
    let refused = |what: String| OpenError::Lock {
        path: path.join(NAME),
        what,
    };
    // Looked at before it is opened: nothing that is not this server's is.
    let look = || match fstatat(directory, NAME, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => vet(&stat).map_err(refused),
        Err(_) => Ok(()),
    };
    look()?;
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    match openat(
        directory,
        NAME,
        flags | OFlag::O_NOCTTY | OFlag::O_CLOEXEC,
        MODE,
    ) {
        Ok(file) => {
            let stat = fstat(&file).map_err(|errno| OpenError::io(path, errno))?;
            vet(&stat).map_err(refused)?;
            Ok(Opened::File(File::from(file)))
        }
        Err(Errno::ENOENT | Errno::ESTALE) => Ok(Opened::Gone),
        Err(Errno::EACCES | Errno::EROFS | Errno::EPERM | Errno::ENOSPC | Errno::EDQUOT) => {
            Ok(Opened::Unwritable)
        }
        Err(errno) => {
            look()?;
            Err(OpenError::io(path, errno))
        }
    }
}

/// Whether that is what a server makes: an empty file of its user's, under no other name.
fn vet(stat: &FileStat) -> Result<(), String> {
    let user = Uid::effective();
    let owner = Uid::from_raw(stat.st_uid);
    if kind_of(stat.st_mode) != SFlag::S_IFREG || stat.st_nlink > 1 || stat.st_size > 0 {
        return Err("no file that a server makes".to_owned());
    }
    // Root may take it from whom the server was before.
    if owner != user && !user.is_root() {
        let name = nix::unistd::User::from_uid(owner).ok().flatten();
        let name = name.map_or_else(|| owner.to_string(), |user| user.name);
        return Err(format!("user {name}'s, who runs a server here or did"));
    }
    Ok(())
}

/// Whether the file still has its name.
fn is_named(directory: &File, file: &File) -> bool {
    let named = fstatat(directory, NAME, AtFlags::AT_SYMLINK_NOFOLLOW);
    let own = fstat(file);
    matches!((named, own), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// Locks the whole file as fcntl(2) does, for all processes that inherit the descriptor.
fn lock_as_record(file: &File) -> nix::Result<()> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole)).map(drop)
}

/// Locks the folder itself; says whether it could. Only a server is a reason not to start: anybody who can read the folder
/// can lock it.
fn take_folder(directory: &File, path: &Path) -> Result<bool, OpenError> {
    match directory.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => {
            let holder = holder(directory);
            if let Some(pid) = holder.filter(|pid| title::is_server(*pid) && is_trusted(*pid)) {
                return Err(in_use(path, Some(pid)));
            }
            let pid = holder.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
            tracing::warn!(
                root = %path.display(),
                pid,
                "the folder is locked by a process that is no server of this user's; starting all the same"
            );
            Ok(false)
        }
        Err(TryLockError::Error(source)) => Err(OpenError::io(path, source)),
    }
}

/// Whether a process is root's or this user's.
fn is_trusted(pid: Pid) -> bool {
    let status = read_kernel_file(format!("/proc/{pid}/status")).unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let effective = uids.and_then(|uids| uids.split_whitespace().nth(1)?.parse().ok());
    effective.is_some_and(|uid: u32| uid == 0 || uid == Uid::effective().as_raw())
}

fn in_use(path: &Path, holder: Option<Pid>) -> OpenError {
    OpenError::InUse {
        path: path.to_owned(),
        holder: holder.map_or_else(String::new, |pid| format!(" (process {pid})")),
    }
}

/// Who has the lock: the process that took it, or if that is gone a server that it has started, as in an upgrade.
fn holder(file: &File) -> Option<Pid> {
    let metadata = file.metadata().ok()?;
    let device = metadata.dev();
    let inode = format!(":{}", metadata.ino());
    let exact = format!("{:02x}:{:02x}{inode}", major(device), minor(device));
    // Where the file system's device differs from what stat(2) shows (btrfs, overlay) the inode's number has to do.
    let find = |text: &str| {
        let exactly = taker(text, |file| file == exact);
        exactly.or_else(|| taker(text, |file| file.ends_with(&inode)))
    };
    let pid = find(&read_kernel_file("/proc/locks")?)?;
    if pid.as_raw() > 0 && !is_dead(pid.as_raw().unsigned_abs()) {
        return Some(pid);
    }
    // A process that has a descriptor of it shows the lock there.
    let has_it = |pid: &Pid| {
        numbers(&format!("/proc/{pid}/fdinfo")).any(|fd| {
            let shown = read_kernel_file(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
            shown.contains("lock:") && find(&shown.replace("lock:", "")).is_some()
        })
    };
    let mut others = numbers("/proc").map(Pid::from_raw);
    others.find(|pid| title::is_server(*pid) && has_it(pid))
}

/// Who took the lock on a file that `is_it`, as /proc/locks says: `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`.
fn taker(locks: &str, is_it: impl Fn(&str) -> bool) -> Option<Pid> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_flock = words.next() == Some("FLOCK");
        let pid: i32 = words.nth(2)?.parse().ok()?;
        (is_flock && words.next().is_some_and(&is_it)).then_some(Pid::from_raw(pid))
    })
}

/// The numbers among the names in a folder of /proc.
fn numbers(folder: &str) -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
