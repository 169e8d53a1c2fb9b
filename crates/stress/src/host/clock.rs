//! Time: the one clock of all records, and how long a wait may take.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;
use nix::time::{ClockId, clock_gettime};

/// The longest single wait: how late an interrupt may be noticed. A signal that arrives at another thread than
/// the waiting one does not end its wait.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// Now, in nanoseconds of CLOCK_MONOTONIC: one origin for all processes of a machine.
pub(crate) fn now_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// CPU time of this thread so far, user and system.
pub(crate) fn thread_cpu_ns() -> u64 {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of this process so far, user and system.
pub(crate) fn process_cpu_ns() -> u64 {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// Nanoseconds of a clock; 0 of one of a process that is gone.
pub(super) fn read(clock: ClockId) -> u64 {
    // The others exist on every Linux, and have not run for 584 years.
    clock_gettime(clock).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    })
}

/// What ends a wait that nothing else ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline<'a> {
    end: Option<Instant>,
    interrupt: Option<&'a AtomicBool>,
}

/// Why a wait was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitEnded {
    /// The time is over.
    Late,
    /// The user asked to stop.
    Interrupted,
}

impl<'a> Deadline<'a> {
    /// Until `limit` has passed.
    pub(crate) fn after(limit: Duration) -> Self {
        // A limit beyond what the clock can express is none.
        let end = Instant::now().checked_add(limit);
        let interrupt = None;
        Self { end, interrupt }
    }

    /// Until then, or until `interrupt` becomes true.
    pub(crate) const fn or_once(mut self, interrupt: &'a AtomicBool) -> Self {
        self.interrupt = Some(interrupt);
        self
    }

    /// The same, for `limit` from now at most.
    pub(crate) fn at_most(&self, limit: Duration) -> Self {
        let other = Deadline::after(limit);
        let end = match (self.end, other.end) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
        Self { end, ..*self }
    }

    /// Whether it is over.
    pub(crate) fn check(&self) -> Result<(), WaitEnded> {
        if self
            .interrupt
            .is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
        {
            return Err(WaitEnded::Interrupted);
        }
        match self.end {
            Some(end) if Instant::now() >= end => Err(WaitEnded::Late),
            _ => Ok(()),
        }
    }

    /// Waits until it is over.
    pub(crate) fn sleep(&self) {
        while self.check().is_ok() {
            std::thread::sleep(self.slice());
        }
    }

    /// How long the next wait may take before [`Deadline::check`] is due.
    pub(crate) fn slice(&self) -> Duration {
        match self.end {
            Some(end) => end.saturating_duration_since(Instant::now()).min(SLICE),
            None => SLICE,
        }
    }

    /// The same for poll(2), rounded up: rounded down, the last millisecond would be spent spinning.
    pub(crate) fn poll_timeout(&self) -> PollTimeout {
        let millis = self.slice().as_nanos().div_ceil(1_000_000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_the_kernels_and_goes_forward() {
        let first = now_ns();
        assert!(first > 0);
        assert!(now_ns() >= first);
    }

    #[test]
    fn patience_ends_with_its_time_or_with_an_interrupt() {
        let interrupt = AtomicBool::new(false);
        let deadline = Deadline::after(Duration::from_hours(1)).or_once(&interrupt);
        assert_eq!(deadline.check(), Ok(()));
        assert_eq!(deadline.slice(), SLICE);
        interrupt.store(true, Ordering::Relaxed);
        assert_eq!(deadline.check(), Err(WaitEnded::Interrupted));
        assert_eq!(
            Deadline::after(Duration::ZERO).check(),
            Err(WaitEnded::Late)
        );
        assert_eq!(Deadline::after(Duration::ZERO).slice(), Duration::ZERO);
        assert_eq!(Deadline::after(Duration::MAX).check(), Ok(()));
        assert_eq!(
            deadline.at_most(Duration::ZERO).check(),
            Err(WaitEnded::Interrupted)
        );
        let endless = Deadline::after(Duration::MAX);
        assert_eq!(
            endless.at_most(Duration::ZERO).check(),
            Err(WaitEnded::Late)
        );
        assert_eq!(
            Deadline::after(Duration::ZERO).at_most(SLICE).check(),
            Err(WaitEnded::Late)
        );
    }
}
