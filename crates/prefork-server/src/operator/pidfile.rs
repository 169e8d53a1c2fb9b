//! The file that holds the parent's process id, so that it can be signalled.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::rights::footing;
use crate::shared::title;
use crate::words;

/// More than any process id takes.
const LEN_MAX: u64 = 64;

/// A process id on disk. It is always there whole, and removed only by whom it names.
#[derive(Debug)]
pub(crate) struct Pidfile {
    path: PathBuf,
    owner: Pid,
}

/// What lies under the path.
enum Found {
    Nothing,
    Process(Pid),
    /// No number of a process, or no file.
    Another,
}

impl Pidfile {
    /// Whether the file may be written: it is not there, or names a process that is no living server, or
    /// the `predecessor` in an upgrade. To be asked at the start, before anybody is served.
    ///
    /// # Errors
    /// In words for a person, with the flag.
    pub(crate) fn check(path: &Path, predecessor: Option<Pid>) -> Result<()> {
        let flag = format!("--pidfile {}", path.display());
        footing::of_file(path)
            .and_then(|_| footing::may_replace(path))
            .map_err(|why| anyhow!("{flag}: {why}"))?;
        match look(path).with_context(|| format!("{flag}: cannot look at it"))? {
            Found::Process(pid) if Some(pid) != predecessor && pid != Pid::this() => {
                if title::is_server(pid) {
                    bail!(
                        "{flag}: it names another server, process {pid}, which runs: stop that one, or name another file"
                    );
                }
                Ok(())
            }
            Found::Nothing | Found::Process(_) => Ok(()),
            Found::Another => bail!(
                "{flag}: it is there, and no file that holds a process id: remove it, or name another"
            ),
        }
    }

    /// Writes this process's id, in place of the one the file held: after an upgrade the predecessor's.
    ///
    /// # Errors
    /// In words for a person, with the flag.
    pub(crate) fn write(path: &Path, predecessor: Option<Pid>) -> Result<Self> {
        Self::check(path, predecessor)?;
        replace(path).map_err(|error| anyhow!(words::cannot_write("--pidfile", path, &error)))?;
        Ok(Self {
            path: path.to_owned(),
            owner: Pid::this(),
        })
    }

    /// Writes this process's id again, if the file is gone or names another.
    ///
    /// # Errors
    /// In words for a person, with the flag.
    pub(crate) fn restore(&self) -> Result<()> {
        if self.is_own() {
            return Ok(());
        }
        Self::write(&self.path, None).map(drop)
    }

    /// Whether it is this server's: a file that another user has put there may well name this process.
    fn is_own(&self) -> bool {
        let found = look(&self.path);
        matches!(found, Ok(Found::Process(pid)) if pid == Pid::this())
            && footing::may_replace(&self.path).is_ok()
    }

    /// Removes the file if it still names the process that has it; a child of that one may do it.
    pub(crate) fn remove(&self) {
        if let Err(error) = self.try_to_remove() {
            tracing::warn!(error, path = %self.path.display(), "cannot remove the pidfile");
        }
    }

    /// As [`Self::remove`]. A file that names this process stays with a reason only: it is not certain whose it is.
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's file, not one in the root that the store guards"
    )]
    fn try_to_remove(&self) -> Result<(), String> {
        let in_words = |error| words::plain(&error);
        match look(&self.path).map_err(in_words)? {
            Found::Process(pid) if pid == self.owner => {
                footing::may_replace(&self.path)?;
                std::fs::remove_file(&self.path).map_err(in_words)
            }
            _ => Ok(()),
        }
    }
}

/// Reads what is there, without waiting for a pipe's other end, and without following a link.
fn look(path: &Path) -> io::Result<Found> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match open(path, flags | OFlag::O_NOCTTY, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Ok(Found::Nothing),
        // A link, a socket.
        Err(Errno::ELOOP | Errno::ENXIO) => return Ok(Found::Another),
        Err(Errno::EACCES) if path.symlink_metadata().is_ok() => return Ok(Found::Another),
        Err(errno) => return Err(errno.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(Found::Another);
    }
    let mut text = Vec::new();
    file.take(LEN_MAX).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    Ok(match (text.trim(), text.trim().parse()) {
        ("", _) => Found::Nothing,
        (_, Ok(pid)) => Found::Process(Pid::from_raw(pid)),
        (_, Err(_)) => Found::Another,
    })
}

/// A new file under a name that nobody can guess takes the place of the old one at one stroke: what the old name was a
/// link to stays as it is.
fn replace(path: &Path) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(footing::folder_of(path))?;
    writeln!(file, "{}", std::process::id())?;
    let made = file.into_temp_path();
    footing::put_in_place(&made, path)?;
    // It is not there any more.
    let _ = made.keep();
    Ok(())
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests make and look at files"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_holds_this_process_and_goes_with_it_but_not_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let pidfile = Pidfile::write(&path, None).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        pidfile.remove();
        assert!(!path.exists());

        let pidfile = Pidfile::write(&path, None).unwrap();
        fs::write(&path, "1\n").unwrap();
        pidfile.remove();
        assert!(path.exists());
    }

    #[test]
    fn one_that_names_this_process_and_stays_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let pidfile = Pidfile::write(&path, None).unwrap();
        fs::hard_link(&path, folder.path().join("again")).unwrap();
        let for_everybody = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        fs::set_permissions(folder.path(), for_everybody).unwrap();
        let why = pidfile.try_to_remove().unwrap_err();
        assert!(why.contains("has another name too"), "{why}");
        assert!(path.exists());
        fs::remove_file(folder.path().join("again")).unwrap();
        assert_eq!(pidfile.try_to_remove(), Ok(()));
        assert!(!path.exists());
        assert_eq!(pidfile.try_to_remove(), Ok(()), "gone already");
    }

    #[test]
    fn it_replaces_a_process_id_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "words\n").unwrap();
        fs::hard_link(at("precious"), at("hard-link")).unwrap();
        symlink(at("precious"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling-link")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in [
            "precious",
            "hard-link",
            "link",
            "dangling-link",
            "folder",
            "pipe",
            "socket",
        ] {
            let before = at(name).symlink_metadata().unwrap();
            let said = format!("{:#}", Pidfile::write(&at(name), None).unwrap_err());
            let flag = format!("--pidfile {}: ", at(name).display());
            assert!(
                said.starts_with(&flag) && said.contains("name another"),
                "{name}: {said}"
            );
            let after = at(name).symlink_metadata().unwrap();
            assert_eq!(
                before.modified().unwrap(),
                after.modified().unwrap(),
                "{name}"
            );
        }
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "words\n");
        drop(socket);
        // What a dead server left, or a user has made in advance.
        for text in ["", "\n", "999999999\n", &format!("{}", std::process::id())] {
            fs::write(at("pid"), text).unwrap();
            Pidfile::write(&at("pid"), None).unwrap().remove();
            assert!(!at("pid").exists(), "{text:?}");
        }
        // This test's parent lives, but is no server.
        fs::write(at("pid"), Pid::parent().to_string()).unwrap();
        Pidfile::check(&at("pid"), None).unwrap();
        // What had taken the place of a pidfile when its server stopped: it must not wait for the pipe's other end.
        Pidfile {
            path: at("pipe"),
            owner: Pid::this(),
        }
        .remove();
        assert!(at("pipe").symlink_metadata().is_ok());
    }
}
