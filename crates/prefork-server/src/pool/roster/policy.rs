//! The rules that a roster keeps.

use std::time::Duration;

/// The rules.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// From fork to READY.
    pub boot_timeout: Duration,
    /// After so many early deaths in a row in the whole pool, or twice its size if that is more, it is given up.
    pub patience_min: u32,
    /// A process that dies younger than this without having answered a request died early.
    pub useful_life: Duration,
    /// The first pause after an early death; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How often in a row the successor of one seat may fail to become ready before a roll is taken back.
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
            successor_tries: 3,
            drain_timeout: Duration::from_secs(30),
            retire_timeout: Duration::from_hours(1),
            stop_timeout: Duration::from_secs(2),
            seed: 0,
        }
    }
}
