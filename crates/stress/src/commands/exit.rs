//! How the program ends, for scripts.

use std::process::ExitCode;

/// The exit codes, besides clap's 2 for usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Every operation of every row was verified.
    Verified,
    /// The harness itself could not go on.
    Harness,
    /// What was typed does not fit what is there.
    Usage,
    /// Some row failed, or was not run, or something written does not follow from what was measured.
    RowFailed,
    /// A threshold was crossed, or a figure got worse.
    Threshold,
    /// The user stopped it; what was done is kept.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Verified => 0,
            Exit::Harness => 1,
            Exit::Usage => 2,
            Exit::RowFailed => 3,
            Exit::Threshold => 4,
            Exit::Interrupted => cli_kit::interrupt::EXIT_CODE,
        })
    }
}
