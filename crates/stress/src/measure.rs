//! Measures one cell once: server, corpus, clients, verification, reconciliation, cleaning up.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::matrix::Cell;
use crate::measurement::{Measurement, Settings};

/// Why there is no measurement. Anything that goes wrong *inside* a cell is a row, not one of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user asked to stop; what the cell had done so far is thrown away.
    #[error("interrupted")]
    Interrupted,
    /// The harness itself cannot go on (the work directory is gone, no process can be started).
    #[error("{0}")]
    Harness(String),
}

/// The directory that holds corpora and roots during a run: locked, beside the results, gone afterwards.
#[derive(Debug)]
pub struct WorkDir {}

impl WorkDir {
    /// Makes and locks a fresh directory inside `parent`, and removes those that a killed run left there.
    ///
    /// # Errors
    /// [`Error::Harness`] if that cannot be done.
    pub fn create(parent: &Path) -> Result<Self, Error> {
        todo!()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        todo!()
    }
}

/// Measures `cell` once. Must be called on the main thread: children ask the kernel to be killed with the
/// thread that spawned them. `interrupt` becomes true when the user asks to stop.
///
/// # Errors
/// See [`Error`].
pub fn measure(
    cell: &Cell,
    repeat: u32,
    settings: &Settings,
    work: &WorkDir,
    interrupt: &AtomicBool,
) -> Result<Measurement, Error> {
    todo!()
}

/// Bytes of disk that `cell` needs in the work directory at its worst.
#[must_use]
pub fn disk_needed(cell: &Cell, settings: &Settings) -> u64 {
    todo!()
}
