//! Exit codes of the server and of its workers.

use std::process::ExitCode;

/// How the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Stopped, and nothing was cut short.
    Done,
    /// It could not start, or could not go on.
    Error,
    /// The command line makes no sense.
    Usage,
    /// Stopped, but connections were cut.
    Cut,
    /// The workers kept dying before they could serve.
    GaveUp,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::Usage => 2,
            Exit::Cut => 3,
            Exit::GaveUp => 4,
        })
    }
}

/// A worker left because it was asked to, or because its parent is gone.
pub const WORKER_DONE: i32 = 0;

/// A worker could not start or could not go on.
pub const WORKER_FAILED: i32 = 1;
