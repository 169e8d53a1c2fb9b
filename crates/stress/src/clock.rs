//! The clock of all records: CLOCK_MONOTONIC, which has one origin for all processes of a machine.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since the clock's origin.
#[must_use]
pub fn monotonic_ns() -> u64 {
    // CLOCK_MONOTONIC cannot fail on Linux, and its numbers are never negative.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_nsec().unsigned_abs()
    })
}
