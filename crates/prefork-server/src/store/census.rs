//! Files that cannot be served because of their names: how many the last listing left out, for the status, and one line in
//! the log, for the operator whose files seem to be missing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::sys;

/// One more than the last listing left out; 0 before the first.
const LEFT_OUT: usize = 0;
/// The log has been told.
const IS_TOLD: usize = 1;
const WORDS: usize = 2;

/// Shared by all processes of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Census {
    words: &'static [AtomicU64],
}

impl Census {
    pub(super) fn new() -> nix::Result<Self> {
        let words = sys::shared_words(WORDS)?;
        Ok(Self { words })
    }

    /// How many files the last listing left out; none before the first.
    pub(super) fn left_out(self) -> Option<u64> {
        self.words[LEFT_OUT].load(Relaxed).checked_sub(1)
    }

    /// A listing has left out so many, of which `name` is one.
    pub(super) fn record(self, left_out: u64, name: Option<&[u8]>) {
        self.words[LEFT_OUT].store(left_out + 1, Relaxed);
        let Some(name) = name else {
            return self.words[IS_TOLD].store(0, Relaxed);
        };
        if self.words[IS_TOLD].swap(1, Relaxed) == 0 {
            let name = String::from_utf8_lossy(name);
            tracing::warn!(
                files = left_out,
                ?name,
                "the root holds files that no client can name: LIST leaves them out; rename them (UTF-8 without \
                 '\\', control characters, or spaces at an end)"
            );
        }
    }
}
