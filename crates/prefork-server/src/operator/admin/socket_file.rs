//! The admin socket's file: for its owner only, never in the place of a living server's, removed only by whose it is.

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen,
    socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::Pid;

use crate::rights::footing;
use crate::words;

/// How many may wait to be accepted.
const BACKLOG: i32 = 64;

/// For its owner only: who may ask learns the names of paths and processes.
const MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// Hidden names tried before giving up: each is taken only by chance, or by a process that guesses.
const NAMES_MAX: u32 = 16;

/// Where the socket is, or will be. Dropped, by the process that made it and by no child, it removes the file if that is
/// still this server's: after an upgrade it is the successor's.
#[derive(Debug)]
pub(crate) struct SocketFile {
    maker: Pid,
    path: PathBuf,
    /// Under which name it is as long as it is not published.
    hidden: Option<PathBuf>,
    /// Device and inode: which file is this server's, whatever its name leads to by then.
    identity: (u64, u64),
}

impl SocketFile {
    /// Makes a listening socket that has no connection yet, since it has its name only from [`SocketFile::publish`] on:
    /// until then `path` leads where it did before, after an upgrade to the `predecessor`.
    ///
    /// # Errors
    /// In words for a person: a server listens there, something else is there, or the system's reason.
    pub(super) fn open(path: &Path, predecessor: Option<Pid>) -> Result<(UnixListener, Self)> {
        footing::of_file(path).map_err(anyhow::Error::msg)?;
        refuse_what_is_in_use(path, predecessor)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        // Before it has a name: the file is made with what the socket has (unix(7)).
        fchmod(&socket, MODE)?;
        let hidden = bind_hidden(&socket, path)?;
        let place = Self {
            maker: Pid::this(),
            path: path.to_owned(),
            identity: identity(&hidden).inspect_err(|_| remove(&hidden))?,
            hidden: Some(hidden),
        };
        listen(&socket, Backlog::new(BACKLOG)?)?;
        Ok((UnixListener::from(socket), place))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the socket in its place, instead of what is there, in one step.
    pub(super) fn publish(&mut self) -> std::io::Result<()> {
        if let Some(hidden) = &self.hidden {
            footing::put_in_place(hidden, &self.path)?;
            self.hidden = None;
        }
        Ok(())
    }

    /// Whether the file is still this server's.
    pub(super) fn is_own(&self) -> bool {
        identity(self.name()).is_ok_and(|it| it == self.identity)
    }

    fn name(&self) -> &Path {
        self.hidden.as_ref().unwrap_or(&self.path)
    }

    /// Leaves the file where it is.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }

    /// Removes the file if it is still this server's; a child of the server may do it.
    pub(crate) fn remove(&self) {
        match identity(self.name()) {
            Ok(identity) if identity == self.identity => remove(self.name()),
            Ok(_) => {}
            Err(error) => cannot_remove(self.name(), &error),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.maker == Pid::this() {
            self.remove();
        }
    }
}

/// Removes sockets beside the path under hidden names of processes that are dead: left by servers that were killed
/// between making one and giving it its name.
pub(super) fn sweep(path: &Path) {
    // Who may not list the folder makes a name of its own there as well as before.
    for entry in std::fs::read_dir(footing::folder_of(path))
        .into_iter()
        .flatten()
        .flatten()
    {
        let hidden = entry.path();
        let maker = maker_of(path, &entry.file_name());
        // Its maker may be a living process of another container, which has numbers of its own.
        if maker.is_some_and(is_dead)
            && is_own_socket(&hidden)
            && knock(&hidden).is_ok_and(|answer| answer == Err(Errno::ECONNREFUSED))
        {
            remove(&hidden);
        }
    }
}

fn is_own_socket(hidden: &Path) -> bool {
    let is_own_socket = |it: std::fs::Metadata| it.file_type().is_socket() && footing::is_own(&it);
    hidden.symlink_metadata().is_ok_and(is_own_socket)
}

/// A dead process's names are free for the process that has its number now.
fn is_dead(maker: Pid) -> bool {
    maker == Pid::this() || kill(maker, None) == Err(Errno::ESRCH)
}

/// Gives the socket a name beside the path, so that it can be renamed to it.
fn bind_hidden(socket: &OwnedFd, path: &Path) -> Result<PathBuf> {
    for number in 0..NAMES_MAX {
        let mut hidden = hidden_name(path, Pid::this());
        if number > 0 {
            // New keys each time, from the system's randomness.
            let chance = RandomState::new().hash_one(0) & 0xff_ffff;
            hidden.as_mut_os_string().push(format!("{chance:06x}"));
        }
        let address = UnixAddr::new(hidden.as_os_str())
            .context("the path is too long for a socket (100 bytes)")?;
        match bind(socket.as_raw_fd(), &address) {
            Ok(()) => return Ok(hidden),
            Err(Errno::EADDRINUSE) => {}
            Err(error) => {
                return Err(error).context(
                    "cannot make a socket there (its folder must be one that the server's user may write to)",
                );
            }
        }
    }
    bail!("cannot make a socket there: every name beside it is taken")
}

/// The name that a process tries first; all that it tries begin so, and say whose they are.
fn hidden_name(path: &Path, maker: Pid) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:06x}", maker.as_raw()));
    name.into()
}

/// Who has made a hidden name beside `path`, if it is one.
fn maker_of(path: &Path, name: &OsStr) -> Option<Pid> {
    let prefix = path.file_name()?.as_bytes();
    let number = name.as_bytes().strip_prefix(prefix)?.strip_prefix(b".")?;
    let is_ours = matches!(number.len(), 6 | 12) && number.iter().all(u8::is_ascii_hexdigit);
    let maker = std::str::from_utf8(number.get(..6)?).ok()?;
    let maker = i32::from_str_radix(maker, 16).ok()?;
    (is_ours && maker > 0).then(|| Pid::from_raw(maker))
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the operator's file, not one in the root that the store guards"
)]
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        cannot_remove(path, &error);
    }
}

/// What is gone already is no reason for a word.
fn cannot_remove(path: &Path, error: &std::io::Error) {
    if error.kind() != std::io::ErrorKind::NotFound {
        tracing::warn!(error = words::plain(error), path = %path.display(), "cannot remove the admin socket");
    }
}

/// A socket that nobody listens on was left by a server that was killed, and may be replaced, as may the predecessor's;
/// all else may not.
fn refuse_what_is_in_use(path: &Path, predecessor: Option<Pid>) -> Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        bail!("this is a file already, and no socket: remove it, or choose another path");
    }
    footing::may_replace(path).map_err(anyhow::Error::msg)?;
    match knock(path)? {
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(()),
        Ok(Some(pid)) if predecessor == Some(pid) => Ok(()),
        Ok(Some(pid)) => {
            bail!("another server listens there (process {pid}): stop it, or choose another path")
        }
        // EAGAIN: its queue is full, so it has one.
        Ok(None) | Err(Errno::EAGAIN) => {
            bail!("another server listens there: stop it, or choose another path")
        }
        Err(error) => {
            bail!(
                "cannot find out whether another server listens there: {}; remove it, or choose another path",
                error.desc()
            )
        }
    }
}

/// Who listens on the socket there, as far as that is known.
fn knock(path: &Path) -> Result<nix::Result<Option<Pid>>> {
    let address = UnixAddr::new(path).context("the path is too long for a socket")?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    Ok(connect(probe.as_raw_fd(), &address).map(|()| {
        let peer = getsockopt(&probe, sockopt::PeerCredentials).ok()?;
        Some(Pid::from_raw(peer.pid()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn it_has_its_name_from_publishing_to_removing_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        let (_listener, mut place) = SocketFile::open(&path, None).unwrap();
        assert!(!path.exists());
        place.publish().unwrap();
        let mode = std::fs::symlink_metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(place);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_successor_that_was_killed_before_it_had_the_name_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        let (_old_listener, mut old) = SocketFile::open(&path, None).unwrap();
        old.publish().unwrap();
        let (new_listener, new) = SocketFile::open(&path, Some(Pid::this())).unwrap();
        drop(new_listener);
        std::mem::forget(new);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        sweep(&path);
        let left = std::fs::read_dir(folder.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["admin"]);
    }

    #[test]
    fn what_dead_processes_left_beside_the_path_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let path = at("admin");
        // No process has such a number (pid_max).
        let dead = 0x7f_ffff_u32;
        let this = std::process::id();
        let names = |number: u32| {
            [
                format!("admin.{number:06x}"),
                format!("admin.{number:06x}abcdef"),
            ]
        };
        for name in names(dead).iter().chain(&names(this)) {
            drop(UnixListener::bind(at(name)).unwrap());
        }
        let kept = [
            format!("admin.{:06x}", Pid::parent().as_raw()),
            format!("admin.{dead:06x}a"),
            format!("admin.+{:05x}", dead >> 4),
            "admin.000000".to_owned(),
            format!("other.{dead:06x}"),
        ];
        for name in &kept {
            drop(UnixListener::bind(at(name)).unwrap());
        }
        std::fs::File::create_new(at(&format!("admin.{:06x}", dead - 1))).unwrap();
        let _living = UnixListener::bind(at(&format!("admin.{:06x}", dead - 2))).unwrap();
        sweep(&path);
        let left = std::fs::read_dir(folder.path()).unwrap();
        let left: Vec<_> = left
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        for name in names(dead).iter().chain(&names(this)) {
            assert!(!left.contains(name), "{left:?}");
        }
        assert_eq!(left.len(), kept.len() + 2, "{left:?}");
    }

    #[test]
    fn a_successor_takes_the_name_and_the_predecessor_leaves_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        let (_old_listener, mut old) = SocketFile::open(&path, None).unwrap();
        old.publish().unwrap();
        let (_new_listener, mut new) = SocketFile::open(&path, Some(Pid::this())).unwrap();
        new.publish().unwrap();
        drop(old);
        UnixStream::connect(&path).unwrap();
        drop(new);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_server_left_is_replaced_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, mut place) = SocketFile::open(&path, None).unwrap();
        place.publish().unwrap();
        let said = format!("{:#}", SocketFile::open(&path, None).unwrap_err());
        let who = format!("(process {})", std::process::id());
        assert!(
            said.contains("listens there") && said.contains(&who),
            "{said}"
        );

        let file = folder.path().join("file");
        #[expect(clippy::disallowed_methods, reason = "the test makes a file")]
        std::fs::write(&file, "precious").unwrap();
        let said = format!("{:#}", SocketFile::open(&file, None).unwrap_err());
        assert!(said.contains("no socket"), "{said}");
        let long = folder.path().join("a".repeat(110));
        let said = format!("{:#}", SocketFile::open(&long, None).unwrap_err());
        assert!(said.contains("too long"), "{said}");
    }

    #[test]
    fn whatever_else_lies_there_stays_and_its_mode_too() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::File::create_new(at("file")).unwrap();
        std::fs::set_permissions(at("file"), std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::hard_link(at("file"), at("hard-link")).unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling-link")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), MODE).unwrap();
        let living = UnixListener::bind(at("living")).unwrap();
        let look = || {
            let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| {
                let entry = entry.unwrap();
                let metadata = entry.path().symlink_metadata().unwrap();
                (entry.file_name(), metadata.ino(), metadata.mode())
            });
            entries.collect::<std::collections::BTreeSet<_>>()
        };
        let before = look();
        for name in [
            "file",
            "hard-link",
            "link",
            "dangling-link",
            "folder",
            "pipe",
            "living",
        ] {
            // A successor's path may be a new one, where something lies that is not its predecessor's.
            for predecessor in [None, Some(Pid::from_raw(1))] {
                let said = format!(
                    "{:#}",
                    SocketFile::open(&at(name), predecessor).unwrap_err()
                );
                assert!(said.contains("another path"), "{name}: {said}");
            }
        }
        assert_eq!(look(), before);
        drop(living);
    }
}
