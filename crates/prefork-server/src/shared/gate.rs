//! Whether the workers may accept: not before the server that theirs takes over from has left it the socket. A new
//! server that has to leave again before cuts nobody.
//!
//! A word of shared memory, and no pipe that ends: that would end with the parent, too.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// One word for all workers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    word: &'static AtomicU64,
}

impl Gate {
    /// Shared with every process forked from now on.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub(crate) fn new(is_open: bool) -> nix::Result<Self> {
        let word = &sys::shared_words(1)?[0];
        word.store(u64::from(is_open), Ordering::Release);
        Ok(Self { word })
    }

    /// For good.
    pub(crate) fn open(self) {
        self.word.store(1, Ordering::Release);
    }

    /// Whether a worker may accept.
    #[must_use]
    pub(crate) fn is_open(self) -> bool {
        self.word.load(Ordering::Acquire) != 0
    }
}
