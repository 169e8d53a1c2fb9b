//! What may end a run early: the user's signals, and the end of the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use cli_kit::interrupt::{self, SIGALRM, SIGHUP, SIGINT, SIGTERM};
use nix::unistd::alarm;

/// What has asked the run to end.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    user: Arc<AtomicBool>,
    /// The user, or the end of the budget: what a sample in hand is ended by.
    any: Arc<AtomicBool>,
}

impl Stops {
    /// Catches the signals; the user's second one ends the process at once.
    pub(crate) fn catch() -> Result<Self> {
        let user = catch_interrupts()?;
        let any = Arc::new(AtomicBool::new(false));
        // Behind the user's flag, so that whoever sees this one set by a user sees the other set too.
        set_by_interrupts(&any)?;
        interrupt::set(&any, &[SIGALRM]).context(CANNOT)?;
        Ok(Self { user, any })
    }

    /// What a sample in hand watches.
    pub(crate) fn any(&self) -> &AtomicBool {
        &self.any
    }

    /// Whether the user wants the run to end.
    pub(crate) fn is_by_user(&self) -> bool {
        self.user.load(Ordering::Relaxed)
    }

    /// Ends the sample that is in hand after `left`. By the kernel's alarm rather than a thread of ours: nothing
    /// runs beside what is measured. Children do not inherit it.
    pub(crate) fn end_after(left: Duration) {
        // 0 would be no alarm at all. Durations that do not fit are longer than 136 years.
        let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1);
        alarm::set(seconds);
    }

    /// Takes back [`Stops::end_after`].
    pub(crate) fn end_never() {
        alarm::cancel();
    }
}

const CANNOT: &str = "cannot catch signals";

/// The signals by which a user stops a run. Not a HUP that the program's starter has had ignored: nohup(1) means that a
/// run outlives its terminal.
fn heeded() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut signals = vec![SIGINT, SIGTERM, SIGHUP];
    signals.retain(|signal| *signal != SIGHUP || !ignores(&status, SIGHUP));
    signals
}

/// Whether the process with this status (proc_pid_status(5)) ignores `signal`.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// A flag that the first INT, TERM or HUP sets; the second one ends the process at once.
pub(crate) fn catch_interrupts() -> Result<Arc<AtomicBool>> {
    interrupt::catch(&heeded()).context(CANNOT)
}

/// Lets INT, TERM and HUP do no more than set `flag`.
pub(crate) fn set_by_interrupts(flag: &Arc<AtomicBool>) -> Result<()> {
    interrupt::set(flag, &heeded()).context(CANNOT)
}

#[cfg(test)]
impl Stops {
    /// As after a user's signal.
    pub(crate) fn stop_by_user(&self) {
        self.user.store(true, Ordering::Relaxed);
        self.any.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        let of_nohup = "Name:\tstress\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\n";
        assert!(ignores(of_nohup, SIGHUP));
        assert!(!ignores(of_nohup, SIGINT));
        assert!(!ignores("SigIgn:\t0000000000001006\n", SIGHUP));
        assert!(!ignores("", SIGHUP));
    }
}
