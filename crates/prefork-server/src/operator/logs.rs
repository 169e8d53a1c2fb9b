//! The files the server writes for its operator: the access log, and the log where it is not standard error.
//!
//! Every process writes its own lines, each with one write(2) to a file opened for appending: no lock, no thread,
//! no pipe that a slow reader could fill. The price is that after a rotation all processes must change
//! over to the new one: see `logs::shared_file`.

mod access;
mod opening;
pub(crate) mod shared_file;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use nix::unistd::dup2_stderr;

use crate::operator::logger;

pub(crate) use access::AccessLog;

use shared_file::{Opener, SharedFile, Target};

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

/// The parent's means of opening the files anew.
#[derive(Debug, Default)]
pub struct Reopener {
    openers: Vec<Opener>,
}

/// A file that is wanted: the flag that names it, where it is, and the file itself where only the user who starts the server
/// can open it.
#[derive(Debug)]
pub struct Wanted {
    flag: &'static str,
    path: PathBuf,
    stream: Option<OwnedFd>,
}

impl Wanted {
    /// The file at `path`. To be called before root is dropped, which only a standard stream of this process is
    /// opened with: all else is opened as the user who writes it and who opens it anew.
    ///
    /// # Errors
    /// Names the flag whose file cannot be opened.
    pub fn new(flag: &'static str, path: &Path) -> Result<Self> {
        let stream = opening::standard_stream(path).transpose();
        let stream = stream.map_err(|why| failed(flag, path, &why))?;
        Ok(Self {
            flag,
            path: path.to_owned(),
            stream,
        })
    }

    fn open(&mut self) -> Result<OwnedFd> {
        match self.stream.take() {
            Some(stream) => Ok(stream),
            None => {
                opening::append_to(&self.path).map_err(|why| failed(self.flag, &self.path, &why))
            }
        }
    }
}

fn failed(flag: &str, path: &Path, why: &str) -> anyhow::Error {
    anyhow!("cannot open {flag} {}: {why}", path.display())
}

impl Logs {
    /// Opens the files that are wanted.
    ///
    /// # Errors
    /// Names the flag whose file cannot be opened.
    pub fn open(access: Option<Wanted>, log: Option<Wanted>) -> Result<(Self, Reopener)> {
        let (mut logs, mut reopener) = (Self::default(), Reopener::default());
        if let Some(mut wanted) = access {
            let target = Target::Own(wanted.open()?);
            let (file, opener) = SharedFile::new(&wanted.path, target)
                .context("cannot share --access-log with the workers")?;
            logs.access = Some(AccessLog::new(file));
            reopener.openers.push(opener);
        }
        if let Some(mut wanted) = log {
            logs.log_to_be = Some(wanted.open()?);
            let (file, opener) = SharedFile::new(&wanted.path, Target::StandardError)
                .context("cannot share --log-file with the workers")?;
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

    /// The descriptors that a process needs to write them, besides standard error.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let access = self.access.iter().map(AccessLog::file);
        let files = access.chain(self.log.as_deref());
        files.flat_map(SharedFile::descriptors)
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
    /// Opens the files and leaves them.
    pub fn look(&self) {
        self.openers.iter().for_each(Opener::look);
    }

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
                    error,
                    "cannot reopen this file; the one that is open is kept"
                ),
            }
        }
    }
}
