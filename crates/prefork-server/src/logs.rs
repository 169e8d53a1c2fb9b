//! The files the server writes for its operator: the access log, and the log where it is not standard error.
//!
//! Every process writes its own lines, each with one write(2) to a file opened for appending: no lock, no thread,
//! no pipe that a slow reader could fill. The price is that whoever rotates a file must have all processes change
//! over to the new one: see `logs::shared_file`.

pub mod access;
mod shared_file;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{dup2_stderr, fchown};

use crate::logger;
use crate::sandbox::User;

pub use shared_file::{Opener, SharedFile};

use access::AccessLog;
use shared_file::Target;

/// The files, as every process has them.
#[derive(Debug, Default)]
pub struct Logs {
    /// Where requests are written down, if they are.
    pub access: Option<AccessLog>,
    /// Where log lines go, if not to standard error.
    log: Option<Arc<SharedFile>>,
    /// That file, until it becomes standard error.
    log_to_be: Option<OwnedFd>,
}

/// The parent's means of opening the files anew; a child drops it at once.
#[derive(Debug, Default)]
pub struct Reopener {
    openers: Vec<Opener>,
}

impl Logs {
    /// Opens the files that are wanted, and gives them to whom the server is to become.
    ///
    /// # Errors
    /// Names the flag whose file cannot be opened.
    pub fn open(
        access: Option<&Path>,
        log: Option<&Path>,
        user: Option<&User>,
    ) -> Result<(Self, Reopener)> {
        let (mut logs, mut reopener) = (Self::default(), Reopener::default());
        let open = |flag: &str, path: &Path| {
            open_for(user, path).with_context(|| format!("cannot open {flag} {}", path.display()))
        };
        if let Some(path) = access {
            let (file, opener) = SharedFile::new(path, Target::Own(open("--access-log", path)?))?;
            logs.access = Some(AccessLog::new(file));
            reopener.openers.push(opener);
        }
        if let Some(path) = log {
            logs.log_to_be = Some(open("--log-file", path)?);
            let (file, opener) = SharedFile::new(path, Target::StandardError)?;
            logs.log = Some(file);
            reopener.openers.push(opener);
        }
        Ok((logs, reopener))
    }

    /// From here on this process's standard error is the log file, if there is one: a panic's words go there too.
    ///
    /// # Errors
    /// What dup2(2) says.
    pub fn divert(&mut self) -> nix::Result<()> {
        if let (Some(file), Some(log)) = (self.log_to_be.take(), &self.log) {
            dup2_stderr(&file)?;
            logger::follow(log);
        }
        Ok(())
    }

    /// Changes over to the files that the parent has opened anew, if it has. An idle worker calls this from time
    /// to time, so that it does not keep an old file for ever; where nothing has changed it costs two loads.
    pub fn refresh(&self) {
        if let Some(access) = &self.access {
            access.refresh();
        }
        if let Some(log) = &self.log {
            log.refresh();
        }
    }
}

impl Reopener {
    /// Opens every file anew, under the name it had at the start, and has all processes change over. A file that
    /// cannot be opened is kept as it is. For the parent only, and only while it has no other thread.
    pub fn reopen(&mut self) {
        // All first: what is said of them belongs into the new log.
        let results: Vec<_> = self.openers.iter_mut().map(Opener::reopen).collect();
        for (opener, result) in self.openers.iter().zip(results) {
            match result {
                Ok(()) => tracing::info!(file = %opener.path().display(), "reopened"),
                Err(error) => tracing::error!(
                    file = %opener.path().display(),
                    error = error.desc(),
                    "cannot reopen this file; the one that is open is kept"
                ),
            }
        }
    }
}

/// Opens a file that `user` can open anew.
fn open_for(user: Option<&User>, path: &Path) -> nix::Result<OwnedFd> {
    let file = shared_file::append_to(path)?;
    if let Some(user) = user {
        // A device is everybody's.
        let is_file =
            SFlag::from_bits_truncate(fstat(&file)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        if is_file {
            fchown(&file, Some(user.uid()), Some(user.gid()))?;
        }
    }
    Ok(file)
}
