//! What the access log says: one JSON line a request.
//!
//! An [`AccessLogger`] goes with each connection. It asks the session, which knows no socket and no clock, whether a
//! request is over, and adds who the peer is and how long it took. A line costs 4.3 µs, beside 50 for the smallest
//! request over a connection of its own (`cargo bench --bench limits`); without a log there is no logger.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::session::{Finished, Session};
use crate::operator::logs::AccessLog;
use crate::shared::scoreboard::{Field, Slot};

/// Writes down one connection's requests.
#[derive(Debug)]
pub struct AccessLogger<'a> {
    log: &'a AccessLog,
    slot: Slot,
    worker: u32,
    peer: Option<SocketAddr>,
    /// Since when the next request has been waited for.
    waiting_since: Duration,
    /// When the open request's head was complete, if one is open.
    head_at: Option<Duration>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Line<'a> {
    /// When the request was over: UTC, RFC 3339.
    time: String,
    /// The same by CLOCK_MONOTONIC, nanoseconds: no clock that is set moves it, and programs of one machine can compare it
    /// with their own.
    monotonic_ns: u64,
    /// The client's address and port; null if it was gone before it could be asked for.
    peer: Option<SocketAddr>,
    /// `list`, `get`, `upload` or `delete`; null where the head did not get so far.
    verb: Option<&'static str>,
    /// The file; null where there is none, or the head was refused.
    name: Option<&'a str>,
    /// Content bytes of the file; of a list, of its JSON; where a transfer broke off, as far as it came.
    bytes: u64,
    /// `ok`, an error's code, or why there was no answer: `client_gone`, `timed_out`, `aborted_by_stop`, `aborted_by_crash`.
    outcome: &'static str,
    /// From accept, or from the end of the request before, to the complete head.
    wait_ms: f64,
    /// From there to the end.
    transfer_ms: f64,
    /// The worker who served it: its slot, from 0.
    worker: u32,
    /// That worker's process.
    pid: u32,
}

impl<'a> AccessLogger<'a> {
    /// For a connection with `peer`, accepted just now by `worker`, which counts in `slot`.
    #[must_use]
    pub fn new(log: &'a AccessLog, slot: Slot, worker: u32, peer: Option<SocketAddr>) -> Self {
        Self {
            log,
            slot,
            worker,
            peer,
            waiting_since: now(),
            head_at: None,
        }
    }

    /// Looks whether a request is over, and whether one has begun. To be called whenever the session may have
    /// come to either: of both there is at most one at a time.
    pub fn look(&mut self, session: &mut Session<'_>) {
        if let Some(finished) = session.take_finished() {
            self.write_down(&finished);
        }
        if session.is_request_open() && self.head_at.is_none() {
            self.head_at = Some(now());
        }
    }

    fn write_down(&mut self, finished: &Finished) {
        let now = now();
        let head_at = self.head_at.take().unwrap_or(now);
        let line = Line {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            monotonic_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            peer: self.peer,
            verb: finished.verb.map(proto::Verb::as_str),
            name: finished.name.as_ref().map(proto::FileName::as_str),
            bytes: finished.bytes,
            outcome: finished.outcome.as_str(),
            wait_ms: millis(head_at.saturating_sub(self.waiting_since)),
            transfer_ms: millis(now.saturating_sub(head_at)),
            worker: self.worker,
            pid: std::process::id(),
        };
        if !self.log.write(&line) {
            self.slot.add(Field::Unlogged, 1);
        }
        self.waiting_since = now;
    }
}

/// The clock that a line names: it exists on every Linux.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// With three decimals: many a request takes less than a millisecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_are_what_the_types_say() {
        crate::schemas::keep::<Line<'_>>(
            "access-log",
            "The access log of prefork-server: one line a request",
        );
    }
}
