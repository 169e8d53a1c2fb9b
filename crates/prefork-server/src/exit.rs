//! Exit codes of the server and of its workers.

use std::process::ExitCode;

use nix::errno::Errno;

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
pub(crate) const WORKER_DONE: i32 = 0;

/// A worker could not start or could not go on.
pub(crate) const WORKER_FAILED: i32 = 1;

/// Errors that say that something is missing now and may be there later. A worker that cannot start for one of them
/// leaves with an exit code that says so.
pub(crate) const SHORTAGES: [Errno; 6] = [
    Errno::EAGAIN,
    Errno::ENOMEM,
    Errno::EMFILE,
    Errno::ENFILE,
    Errno::ENOBUFS,
    Errno::ENOSPC,
];

/// The exit code of the first of them.
const WORKER_STARVED: i32 = 75;

/// The exit code of a worker that cannot start for want of something.
#[must_use]
pub(crate) fn of_shortage(error: Errno) -> Option<i32> {
    let index = SHORTAGES.iter().position(|it| *it == error)?;
    Some(WORKER_STARVED + i32::try_from(index).ok()?)
}

/// What such an exit code says.
#[must_use]
pub(crate) fn shortage(exit_code: i32) -> Option<Errno> {
    let index = usize::try_from(exit_code.checked_sub(WORKER_STARVED)?).ok()?;
    SHORTAGES.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_says_what_was_missing_and_others_say_nothing() {
        for error in SHORTAGES {
            assert_eq!(of_shortage(error).and_then(shortage), Some(error));
        }
        assert_eq!(of_shortage(Errno::EACCES), None);
        for code in [0, 1, 74, 81, 127, -1, i32::MIN] {
            assert_eq!(shortage(code), None, "{code}");
        }
    }
}
