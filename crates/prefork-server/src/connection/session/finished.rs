//! What a session says of a request that is over, for the access log.

use proto::{Code, FileName, Verb};

use crate::shared::scoreboard::RequestEnd;

/// A request that is over. There is one for each that was counted as started, unless its worker died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The verb, where the head got far enough to know it.
    pub verb: Option<Verb>,
    /// The file, where there is one.
    pub name: Option<FileName>,
    /// Content bytes that were moved: for a request carried out what the ledger counts for it.
    pub bytes: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Carried out, and the answer sent.
    Ok,
    /// Answered with an error, or broken off with one.
    Error(Code),
    /// It got no answer.
    Unanswered(RequestEnd),
}

impl Outcome {
    /// `ok`, an error's code, or why there was no answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error(code) => code.as_str(),
            Self::Unanswered(end) => end.as_str(),
        }
    }
}
