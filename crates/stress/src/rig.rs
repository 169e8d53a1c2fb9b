//! Rigs: what starts the server of a row, says when it is ready, and stops it again.

pub(crate) mod foreign;
pub(crate) mod own;
pub(crate) mod probe;
mod processes;
pub(crate) mod target;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proto::announce::{Done, Ready};
use stress_data::matrix::Cell;
use stress_data::measurement::{ServerChoice, Settings};

use crate::host::clock::WaitEnded;

/// How long a server may take until it serves.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// A server that is running. Dropping it ends the server at once.
pub(crate) trait Rig {
    /// Where it serves.
    fn address(&self) -> SocketAddr;
    /// What it said it was; none for a foreign server.
    fn ready(&self) -> Option<&Ready>;
    /// Its processes as far as they are known, the one that started the others first.
    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }
    /// The window is about to begin: no client has come yet.
    fn before_window(&mut self) {}
    /// The window has ended: the last client has gone.
    fn after_window(&mut self) {}
    /// Stops the server gracefully and says what is left of it. `interrupt` cuts that short.
    fn stop(&mut self, interrupt: &AtomicBool) -> Ending;
}

/// How a server ended.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// Its ledger; none for a foreign server, or one that was lost.
    pub(crate) done: Option<Done>,
    /// Why it counts as lost, if it does: it was gone before it was stopped, or left no ledger.
    pub(crate) lost: Option<String>,
}

/// Why there is no server, or none that can be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// It did not become ready, and why.
    #[error("{0}")]
    NotReady(String),
}

/// Starts the server that `settings` choose for `cell`. Must be called on the main thread.
///
/// # Errors
/// See [`Error`].
pub(crate) fn start(
    cell: &Cell,
    settings: &Settings,
    root: &Path,
    log: &Path,
    interrupt: &AtomicBool,
) -> Result<Box<dyn Rig>, Error> {
    let terminator = || settings.terminator.parse().map_err(Error::NotReady);
    let settle = settings.server_settle;
    Ok(match &settings.server {
        ServerChoice::Own => Box::new(own::Own::launch(
            &own::arguments(cell, settings),
            root,
            log,
            interrupt,
        )?),
        ServerChoice::Command(command) => {
            let workers = cell.servers;
            let mut foreign = foreign::Foreign::start(command, workers, root, log, interrupt)?;
            foreign.settle(terminator()?, cell.servers, settle, interrupt)?;
            Box::new(foreign)
        }
        ServerChoice::Target { address, admin } => {
            let target = target::Target::find(address, admin.as_deref())?;
            target.settle(terminator()?, cell.servers, settle, interrupt)?;
            Box::new(target)
        }
    })
}

impl From<WaitEnded> for Error {
    fn from(wait_ended: WaitEnded) -> Self {
        match wait_ended {
            WaitEnded::Interrupted => Self::Interrupted,
            WaitEnded::Late => Self::NotReady(format!("not ready within {READY_LIMIT:?}")),
        }
    }
}
