//! Opening a file to write lines to: with the rights of who writes them, and saying what to do where that fails.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::Uid;

use crate::rights::current_user;
use crate::rights::footing::{self, Footing, LINKS_MAX};

/// Readable for its owner's group: log readers are often that.
const MODE: Mode = Mode::from_bits_truncate(0o640);

/// Writing never waits, not even for the reader of a pipe: then a line that does not fit is lost and counted.
const FLAGS: OFlag = OFlag::O_WRONLY
    .union(OFlag::O_APPEND)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

/// Opens `path` for appending; makes the file if there is none. Where this process is root's, only in a place where
/// nobody else can exchange what the name leads to.
///
/// # Errors
/// In words for a person, without the path.
pub(super) fn append_to(path: &Path) -> Result<OwnedFd, String> {
    let (path, footing) = follow(path)?;
    if footing == Footing::Shared {
        let file = open_in_shared_folder(&path)?;
        return Ok(file);
    }
    open(&path, FLAGS | OFlag::O_CREAT, MODE).map_err(|errno| explain(&path, errno))
}

/// The descriptor that is one of this process's own standard streams under another name, opened anew. To be called
/// while the process may still be root: a pipe's or a terminal's owner is the user who started the server.
pub(super) fn standard_stream(path: &Path) -> Option<Result<OwnedFd, String>> {
    let number = standard_stream_number(path)?;
    let opened = open(format!("/proc/self/fd/{number}").as_str(), FLAGS, MODE);
    Some(opened.map_err(|errno| match errno {
        Errno::ENXIO => {
            "it is a socket here, which cannot be opened by a name: name a file".to_owned()
        }
        errno => explain(path, errno),
    }))
}

pub(super) fn is_standard_stream(path: &Path) -> bool {
    standard_stream_number(path).is_some()
}

fn standard_stream_number(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(1),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(2),
        _ => None,
    }
}

/// For root, goes along the links that only root can have made; for others the kernel does that with their rights.
fn follow(path: &Path) -> Result<(PathBuf, Footing), String> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let footing = footing::of_file(&path)?;
        // What is in /proc is the kernel's.
        let may_follow =
            Uid::effective().is_root() && footing == Footing::Own && !path.starts_with("/proc");
        match path.read_link() {
            Ok(target) if may_follow => {
                path = footing::folder_of(&path).join(target);
            }
            _ => return Ok((path, footing)),
        }
    }
    Err(explain(&path, Errno::ELOOP))
}

/// Others may have put something under the name, but cannot exchange what root has made: it must be that, or new.
fn open_in_shared_folder(path: &Path) -> Result<OwnedFd, String> {
    let flags = FLAGS | OFlag::O_NOFOLLOW;
    let is_roots_own = |file: &std::fs::Metadata| file.is_file() && footing::is_own(file);
    let refusal = || {
        "its folder is one that everybody can write to, and this is no file that only root can have put there: \
         remove it, or name a file in a folder that only root can write to"
            .to_owned()
    };
    match path.symlink_metadata() {
        Ok(metadata) if is_roots_own(&metadata) => {
            let file = File::from(open(path, flags, MODE).map_err(|errno| explain(path, errno))?);
            match file.metadata() {
                Ok(metadata) if is_roots_own(&metadata) => Ok(file.into()),
                _ => Err(refusal()),
            }
        }
        Ok(_) => Err(refusal()),
        Err(_) => open(path, flags | OFlag::O_CREAT | OFlag::O_EXCL, MODE)
            .map_err(|errno| explain(path, errno)),
    }
}

/// What to do about a file that cannot be opened.
fn explain(path: &Path, errno: Errno) -> String {
    let (user, _) = current_user();
    let folder = footing::folder_of(path).display();
    match errno {
        Errno::EACCES | Errno::EPERM if path.symlink_metadata().is_ok() => format!(
            "user {user}, who writes it, may not open it for writing: give it to that user (chown {user} {}), or name \
             another file",
            path.display()
        ),
        Errno::EACCES => format!(
            "user {user}, who writes it, may not make a file in {folder}: let that user write to the folder, or name \
             a file elsewhere"
        ),
        Errno::ENOENT | Errno::ENOTDIR => {
            format!("there is no folder {folder}: make it, or name a file elsewhere")
        }
        Errno::ENXIO => {
            "it is a pipe that nobody reads, or a socket: start its reader first, or name a file"
                .to_owned()
        }
        Errno::EISDIR => "it is a folder: name a file".to_owned(),
        Errno::ELOOP => "its links lead in a circle: remove them, or name another file".to_owned(),
        errno => errno.desc().to_owned(),
    }
}
