//! How the program ends, for scripts.

use std::process::ExitCode;

/// The exit codes, besides clap's 2 for usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every operation of every cell was verified.
    Verified,
    /// The harness itself could not go on.
    Harness,
    /// What was typed does not fit what is there.
    Usage,
    /// Some cell failed, or was not run.
    CellFailed,
    /// The user stopped it; what was done is kept.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Verified => 0,
            Exit::Harness => 1,
            Exit::Usage => 2,
            Exit::CellFailed => 3,
            // As a shell reports a process that SIGINT ended.
            Exit::Interrupted => 130,
        })
    }
}
