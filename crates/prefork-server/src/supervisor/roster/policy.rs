//! The rules that a roster keeps.

use std::time::Duration;

/// How many processes there may be at once for each seat, those included that retire; one more may be starting.
pub(super) const PROCESSES_PER_SEAT: u32 = 4;

/// The most processes that a pool of so many seats ever has at once.
#[must_use]
pub const fn processes_max(seats: u32) -> u32 {
    PROCESSES_PER_SEAT * seats + 1
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// From fork to READY.
    pub boot_timeout: Duration,
    /// After so many early deaths in a row in the whole pool, or twice its size if that is more, it is given up,
    /// unless a worker serves.
    pub patience_min: u32,
    /// A process that dies younger than this without having answered a request died early.
    pub useful_life: Duration,
    /// The first pause after an early death; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// The longest pause before a fork that failed is tried again: it costs nothing, and what it waits for may be there
    /// at any moment.
    pub fork_pause_max: Duration,
    /// How long a pool that was full once may go without anybody who serves before it is given up, and how long a
    /// roll may wait for processes that cannot be forked before it is taken back.
    pub outage_max: Duration,
    /// How often in a row the processes of one seat may fail to become ready before a roll is taken back.
    pub successor_tries: u32,
    /// How long a graceful stop may take before connections are cut.
    pub drain_timeout: Duration,
    /// How long a process that accepts nothing more may take to finish what it has in hand.
    pub retire_timeout: Duration,
    /// How long a process that was told to leave at once may take before it is killed.
    pub stop_timeout: Duration,
    /// Seeds the jitter of the pauses.
    pub seed: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            boot_timeout: Duration::from_secs(10),
            patience_min: 5,
            useful_life: Duration::from_secs(1),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            fork_pause_max: Duration::from_secs(1),
            outage_max: Duration::from_secs(60),
            successor_tries: 3,
            drain_timeout: Duration::from_secs(30),
            retire_timeout: Duration::from_hours(1),
            stop_timeout: Duration::from_secs(2),
            seed: 0,
        }
    }
}
