//! Who hangs: processes that have given no sign of life for too long. Pure, the time is an argument.
//!
//! Every worker comes round its loop at least once in [`LOOK_MAX`], whatever its peer does, and counts each
//! round in its slot. A worker whose count stands still is stuck in a system call, in a loop, or stopped; or it waits for
//! a slow disk, which it says before it does, and is given more time for.

use std::collections::HashMap;
use std::time::Duration;

use crate::shared::report::{LOOK_MAX, ProcessId};

/// By what a worker's patience with the disk is longer than the timeout. At the end of an upload at most twice
/// [`crate::store::WRITEBACK_LEN`] of it are not on the disk yet, so that with the default of 60 s even 55 KB/s is fast enough;
/// a worker that truly hangs there is found all the same.
const STORE_PATIENCE: u32 = 10;

/// What is known of the workers' signs of life.
#[derive(Debug)]
pub(crate) struct Watchdog {
    timeout: Duration,
    looked: Duration,
    /// By process and worker: the last sign, and when it was new.
    seen: HashMap<(ProcessId, u32), (Sign, Duration)>,
}

/// What a worker shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sign {
    /// How often it has come round its loop.
    pub rounds: u64,
    /// It is in a call of the store that may wait for the disk.
    pub is_in_store: bool,
}

impl Watchdog {
    /// A watchdog that bites after `timeout` without a sign of life; zero turns it off.
    #[must_use]
    pub(crate) fn new(timeout: Duration, now: Duration) -> Self {
        Self {
            timeout,
            looked: now,
            seen: HashMap::new(),
        }
    }

    /// When to look next; none when it is off.
    #[must_use]
    pub(crate) fn next_look(&self) -> Option<Duration> {
        (!self.timeout.is_zero()).then(|| self.looked + self.interval())
    }

    /// Looks at every worker's count, if it is time to; says which processes hang.
    pub(crate) fn look(
        &mut self,
        now: Duration,
        signs: impl Iterator<Item = (ProcessId, u32, Sign)>,
    ) -> Vec<ProcessId> {
        if self.next_look().is_none_or(|at| now < at) {
            return Vec::new();
        }
        // If the parent itself was late (a suspended machine), nobody had a chance to give a sign.
        let was_late = now.saturating_sub(self.looked) > 2 * self.interval();
        self.looked = now;
        let before = std::mem::take(&mut self.seen);
        let mut hung = Vec::new();
        for (process, worker, sign) in signs {
            let since = match before.get(&(process, worker)) {
                Some((same, since)) if *same == sign && !was_late => *since,
                _ => now,
            };
            let patience = match sign.is_in_store {
                true => self.timeout * STORE_PATIENCE,
                false => self.timeout,
            };
            if now.saturating_sub(since) >= patience && !hung.contains(&process) {
                hung.push(process);
            }
            self.seen.insert((process, worker), (sign, since));
        }
        hung
    }

    fn interval(&self) -> Duration {
        (self.timeout / 4).min(LOOK_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn id(seat: u32) -> ProcessId {
        ProcessId {
            seat,
            generation: 1,
        }
    }

    const fn sign(rounds: u64) -> Sign {
        Sign {
            rounds,
            is_in_store: false,
        }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_worker_whose_count_stands_still_hangs_and_others_do_not() {
        let mut watchdog = Watchdog::new(TIMEOUT, Duration::ZERO);
        for second in 1..=10 {
            let signs = [(id(0), 0, sign(7)), (id(1), 1, sign(second))];
            assert_eq!(watchdog.look(seconds(second), signs.into_iter()), []);
        }
        let signs = [(id(0), 0, sign(7)), (id(1), 1, sign(11))];
        assert_eq!(watchdog.look(seconds(11), signs.into_iter()), [id(0)]);
    }

    #[test]
    fn one_thread_that_stands_still_is_enough_and_its_process_is_named_once() {
        let mut watchdog = Watchdog::new(TIMEOUT, Duration::ZERO);
        for second in 1..=10 {
            let signs = [
                (id(0), 0, sign(7)),
                (id(0), 1, sign(7)),
                (id(0), 2, sign(second)),
            ];
            assert_eq!(watchdog.look(seconds(second), signs.into_iter()), []);
        }
        let signs = [
            (id(0), 0, sign(7)),
            (id(0), 1, sign(7)),
            (id(0), 2, sign(11)),
        ];
        assert_eq!(watchdog.look(seconds(11), signs.into_iter()), [id(0)]);
    }

    #[test]
    fn a_worker_that_waits_for_the_disk_has_more_time_and_not_for_ever() {
        let mut watchdog = Watchdog::new(TIMEOUT, Duration::ZERO);
        let waiting = Sign {
            rounds: 7,
            is_in_store: true,
        };
        let mut look =
            |second, sign| watchdog.look(seconds(second), [(id(0), 0, sign)].into_iter());
        let found = (1..200).find(|second| look(*second, waiting) == [id(0)]);
        assert_eq!(found, Some(101));
        // One call after the other is work, however long it takes in all.
        assert_eq!(look(200, sign(7)), []);
        assert_eq!(look(201, waiting), []);
        // And one that hangs after it has been in the store is found as early as any other.
        let found = (202..300).find(|second| look(*second, sign(7)) == [id(0)]);
        assert_eq!(found, Some(212));
    }

    #[test]
    fn a_parent_that_was_late_accuses_nobody() {
        let mut watchdog = Watchdog::new(TIMEOUT, Duration::ZERO);
        let signs = || [(id(0), 0, sign(7))].into_iter();
        assert_eq!(watchdog.look(seconds(1), signs()), []);
        assert_eq!(watchdog.look(seconds(1000), signs()), []);
        for second in 1001..1010 {
            assert_eq!(watchdog.look(seconds(second), signs()), []);
        }
        assert_eq!(watchdog.look(seconds(1010), signs()), [id(0)]);
    }

    #[test]
    fn a_new_process_in_the_same_place_starts_anew() {
        let mut watchdog = Watchdog::new(TIMEOUT, Duration::ZERO);
        for second in 1..=9 {
            watchdog.look(seconds(second), [(id(0), 0, sign(0))].into_iter());
        }
        let successor = ProcessId {
            seat: 0,
            generation: 2,
        };
        let signs = [(successor, 0, sign(0))];
        assert_eq!(watchdog.look(seconds(11), signs.into_iter()), []);
    }

    #[test]
    fn zero_turns_it_off() {
        let mut watchdog = Watchdog::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(watchdog.next_look(), None);
        assert_eq!(
            watchdog.look(seconds(1), [(id(0), 0, sign(0))].into_iter()),
            []
        );
    }
}
