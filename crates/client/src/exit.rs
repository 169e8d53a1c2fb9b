//! The exit codes, for scripts; the help lists them.

use std::process::ExitCode;

use crate::outcome::{Failure, Kind, Outcome};

/// How the program ends, besides clap's 2 for usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    /// Some file failed: refused, different from what was sent, or not readable or writable here.
    Failed = 1,
    /// No connection.
    Unreachable = 3,
    /// At least one upload or delete may or may not have been carried out.
    Unknown = 4,
    /// What a shell reports for a program that an interrupt has ended.
    Interrupted = 130,
}

impl Exit {
    /// The gravest of what happened to several files.
    pub(crate) fn of(outcomes: &[Outcome]) -> Self {
        Self::of_failures(outcomes.iter().filter_map(Outcome::failure))
    }

    /// The gravest of several failures, or that there are none.
    pub(crate) fn of_failures<'a>(failures: impl IntoIterator<Item = &'a Failure>) -> Self {
        let gravity = |exit: &Self| match exit {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Unreachable => 2,
            Self::Unknown => 3,
            Self::Interrupted => 4,
        };
        failures
            .into_iter()
            .map(Self::of_failure)
            .max_by_key(gravity)
            .unwrap_or(Self::Done)
    }

    fn of_failure(failure: &Failure) -> Self {
        match failure.kind {
            Kind::Interrupted => Self::Interrupted,
            _ if failure.fate.is_unknown() => Self::Unknown,
            Kind::Connect => Self::Unreachable,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Fate;

    #[test]
    fn the_gravest_failure_decides() {
        let failure = |kind, is_unknown| Failure {
            kind,
            fate: match is_unknown {
                true => Fate::Unknown,
                false => Fate::NotDone,
            },
            ..Failure::local(String::new())
        };
        let refused = failure(Kind::Refused, false);
        let unreachable = failure(Kind::Connect, false);
        let unknown = failure(Kind::Reset, true);
        let interrupted = failure(Kind::Interrupted, true);
        assert_eq!(Exit::of_failures([]), Exit::Done);
        assert_eq!(Exit::of_failures([&refused]), Exit::Failed);
        assert_eq!(
            Exit::of_failures([&unreachable, &refused]),
            Exit::Unreachable
        );
        assert_eq!(Exit::of_failures([&unknown, &unreachable]), Exit::Unknown);
        assert_eq!(
            Exit::of_failures([&refused, &interrupted, &unknown]),
            Exit::Interrupted
        );
    }
}
