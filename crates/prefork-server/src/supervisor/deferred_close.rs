//! How a graceful stop begins where accepts are deferred (`--defer-accept`).
//!
//! The kernel keeps a silent connection as half open. If the listener refused new connections at once, what such
//! a client sends next would be taken for a stranger's and reset (20 of 20). So first the kernel is told to hand
//! everybody out again, and only a little later does the listener refuse them; meanwhile the server serves as before.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::sys;

/// How long it goes on accepting: who sends meanwhile is served, however long it was silent before (20 of 20 at
/// once, after 0.5, 1.0 and 1.4 s); a client that had connected less than half a second before the stop is even handed
/// out without a word, because the kernel looks at it again 1 s after it came. A client that was silent for longer, and sends
/// later than this, is reset.
const GRACE: Duration = Duration::from_millis(1500);

/// Whether the listener is about to be closed to new connections.
#[derive(Debug, Default)]
pub(super) struct DeferredClose {
    /// When it closes, if it is to be closed.
    pub(super) closes_at: Option<Instant>,
}

impl DeferredClose {
    /// Begins to close it. False if there is nothing to wait for: then it can be closed at once.
    pub(super) fn is_waiting_after(&mut self, listener: &TcpListener, now: Instant) -> bool {
        if !matches!(sys::defer_accept(listener), Ok(1..)) {
            return false;
        }
        if let Err(error) = sys::set_defer_accept(listener, 0) {
            tracing::warn!(error = error.desc(), "cannot stop deferring accepts");
            return false;
        }
        self.closes_at = Some(now + GRACE);
        true
    }

    /// Whether the time has come to close it; true once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        self.closes_at.take_if(|at| *at <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_that_defers_nobody_closes_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut door = DeferredClose::default();
        assert!(!door.is_waiting_after(&listener, Instant::now()));
        assert_eq!(door.closes_at, None);
    }

    #[test]
    fn a_door_that_defers_stops_deferring_and_closes_once_a_little_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        sys::set_defer_accept(&listener, 10).unwrap();
        let (mut door, now) = (DeferredClose::default(), Instant::now());
        assert!(door.is_waiting_after(&listener, now));
        assert_eq!(sys::defer_accept(&listener), Ok(0));
        assert!(!door.is_due(now + GRACE / 2));
        assert_eq!(door.closes_at, Some(now + GRACE));
        assert!(door.is_due(now + GRACE));
        assert!(!door.is_due(now + GRACE * 2));
    }
}
