//! How long a connection has its worker, and what is known of its socket meanwhile.

use std::time::{Duration, Instant};

/// After so many bytes a connection lets others have their turn.
const TURN_LEN: usize = 1 << 20;

/// After so many answered requests, too: each may cost a file.
pub(super) const TURN_REQUESTS: u32 = 16;

/// And after so long, whatever it was that took the time. What cannot be interrupted is looked at when it is over:
/// one piece of a file, one listing, one sync.
const TURN_TIME: Duration = Duration::from_millis(2);

/// What a connection has had of its turn.
#[derive(Debug)]
pub(super) struct Turn {
    ends: Instant,
    pub(super) moved_len: usize,
    pub(super) answered: u32,
    /// There is no room for more: less could be sent than there was.
    pub(super) is_full: bool,
}

impl Turn {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            ends: now + TURN_TIME,
            moved_len: 0,
            answered: 0,
            is_full: false,
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.moved_len >= TURN_LEN || self.answered >= TURN_REQUESTS || now >= self.ends
    }
}
