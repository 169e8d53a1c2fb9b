//! Temporary files: how an upload stays out of sight until it is whole.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::signal::kill;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, UnlinkatFlags, linkat, unlinkat};

use crate::sys::read_kernel_file;

/// No [`proto::FileName`] starts with a dot, so no client can see or name one of these.
const PREFIX: &str = ".prefork-tmp.";

/// Names tried before giving up: each is taken only by a file that a thread of this process made before a reboot of the
/// counter, or by a process that wants to be in the way.
const NAMES_MAX: u32 = 1000;

/// While it is not known who may read it: nobody else.
pub(super) const PRIVATE: Mode = Mode::from_bits_truncate(0o600);

proto::worded! {
    /// How pending uploads are kept out of sight.
    pub enum Temporaries {
        /// Without any name (`O_TMPFILE`): whatever dies, the kernel cleans up.
        Tmpfile = "tmpfile",
        /// Under a hidden name, on file systems that cannot do better.
        Named = "named",
    }
}

impl Temporaries {
    /// Finds out what the file system can do, by doing it.
    pub(super) fn probe(directory: &File, mark: &Mark) -> nix::Result<Self> {
        let hidden = open_unnamed(directory, PRIVATE)
            .and_then(|unnamed| link_unnamed(directory, &File::from(unnamed), mark));
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
pub(super) fn open_unnamed(directory: &File, mode: Mode) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    openat(directory, ".", flags, mode)
}

/// A file under a fresh hidden name, and that name.
pub(super) fn open_named(
    directory: &File,
    mark: &Mark,
    mode: Mode,
) -> nix::Result<(OwnedFd, String)> {
    let flags =
        OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    under_fresh_name(mark, |name| openat(directory, name, flags, mode))
}

/// Gives an unnamed file a fresh hidden name.
pub(super) fn link_unnamed(directory: &File, file: &File, mark: &Mark) -> nix::Result<String> {
    let link = |name: &str| match linkat(file, "", directory, name, AtFlags::AT_EMPTY_PATH) {
        // Before Linux 6.10 this takes CAP_DAC_READ_SEARCH (open(2)).
        Err(Errno::ENOENT | Errno::EPERM) => link_through_proc(directory, file, name),
        result => result,
    };
    under_fresh_name(mark, link).map(|((), name)| name)
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

/// What a sweep came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Files that were removed.
    pub removed: usize,
    /// Files that another server may still write, or that may not be removed.
    pub left: usize,
}

/// Removes the files under hidden names whose owner `is_stale`, and counts those that stay.
pub(super) fn sweep(directory: &File, is_stale: impl Fn(&Owner) -> bool) -> io::Result<Swept> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut entries = Dir::openat(directory, ".", flags, Mode::empty())?;
    let mut swept = Swept::default();
    for entry in entries.iter() {
        let entry = entry?;
        let Some((hidden, owner)) = entry
            .file_name()
            .to_str()
            .ok()
            .and_then(|hidden| Some((hidden, owner(hidden)?)))
        else {
            continue;
        };
        if !is_stale(&owner) {
            swept.left += 1;
            continue;
        }
        match unlink(directory, hidden) {
            Ok(()) => swept.removed += 1,
            // Gone already, or a folder, which no store made.
            Err(Errno::ENOENT | Errno::EISDIR) => {}
            // Another user's in a folder where only owners may remove their files.
            Err(_) => swept.left += 1,
        }
    }
    Ok(swept)
}

/// Which server makes a temporary file, and where its processes can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Of no other server, on whatever machine.
    pub(super) server: u64,
    /// Where a process id means the same process: this boot of this machine, and this namespace of process ids.
    pub(super) place: String,
}

impl Mark {
    /// A new server's.
    pub(super) fn new() -> Self {
        // New keys each time, from the system's randomness.
        let server = RandomState::new().hash_one(0);
        // Without /proc it is nobody's place but this server's: what it leaves behind cannot be proven to be left.
        let place = place().unwrap_or_else(|| format!("{server:016x}-0"));
        Self { server, place }
    }
}

fn place() -> Option<String> {
    let boot = read_kernel_file("/proc/sys/kernel/random/boot_id")?;
    let boot: String = boot
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let namespace = namespace
        .to_str()?
        .strip_prefix("pid:[")?
        .strip_suffix(']')?;
    Some(format!("{boot}-{namespace}"))
}

/// Whose a hidden name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// Which server's. None with those of older releases.
    pub(super) mark: Option<Mark>,
    /// The process that made it.
    pub(super) pid: u32,
}

impl Owner {
    /// Whether it is a server's of its own, one of this machine's, whose process is dead.
    pub(super) fn is_provably_dead(&self, mark: &Mark) -> bool {
        let can_tell = self.mark.as_ref().is_some_and(|it| it.place == mark.place);
        can_tell && self.is_dead()
    }

    /// Whether its process is dead, or another machine's.
    pub(super) fn is_dead(&self) -> bool {
        is_dead(self.pid)
    }
}

/// Whether no process here has that number, or one that is dead and that nobody has reaped.
pub(super) fn is_dead(pid: u32) -> bool {
    let stat = read_kernel_file(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| state.starts_with('Z'))
        || kill(Pid::from_raw(pid.cast_signed()), None) == Err(Errno::ESRCH)
}

pub(super) fn hidden_name(mark: &Mark, pid: u32, number: u64) -> String {
    format!("{PREFIX}{:016x}.{}.{pid}.{number}", mark.server, mark.place)
}

/// Whom a hidden name belongs to; nothing for a name that no server would have made.
pub(super) fn owner(name: &str) -> Option<Owner> {
    let parts: Vec<_> = name.strip_prefix(PREFIX)?.split('.').collect();
    let (mark, pid, number) = match parts[..] {
        [pid, number] => (None, pid, number),
        [server, place, pid, number] => {
            let server = u64::from_str_radix(server, 16).ok()?;
            let place = place.to_owned();
            (Some(Mark { server, place }), pid, number)
        }
        _ => return None,
    };
    let (pid, number) = (pid.parse().ok()?, number.parse().ok()?);
    let made = match &mark {
        Some(mark) => hidden_name(mark, pid, number),
        None => format!("{PREFIX}{pid}.{number}"),
    };
    (made == name).then_some(Owner { mark, pid })
}

/// Calls `make` with hidden names until one is free. A name carries the pid, asked for anew each time since a
/// worker is a fork of its parent, and a number that no two threads share.
fn under_fresh_name<T>(
    mark: &Mark,
    mut make: impl FnMut(&str) -> nix::Result<T>,
) -> nix::Result<(T, String)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..NAMES_MAX {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let hidden = hidden_name(mark, std::process::id(), number);
        match make(&hidden) {
            Ok(made) => return Ok((made, hidden)),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EEXIST)
}
