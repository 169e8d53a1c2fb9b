//! What a living process uses, as /proc tells: CPU time and memory. What is dead is accounted for by wait4(2).

use std::time::Duration;

use procfs::WithCurrentSystemInfo;
use procfs::process::Process;

use crate::shared::memory;

/// What a process has used up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User CPU time, to a clock tick.
    pub cpu_user: Duration,
    /// System CPU time, to a clock tick.
    pub cpu_system: Duration,
    /// Resident memory now.
    pub rss_bytes: u64,
    /// The largest resident size that it has had, if that could be read.
    pub peak_rss_bytes: Option<u64>,
}

/// What process `pid` has used; none if there is no such process.
#[must_use]
pub(crate) fn of(pid: u32) -> Option<Usage> {
    let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    Some(Usage {
        cpu_user: ticks(stat.utime),
        cpu_system: ticks(stat.stime),
        rss_bytes: stat.rss_bytes().get(),
        peak_rss_bytes: memory::peak_rss_bytes(pid),
    })
}

fn ticks(count: u64) -> Duration {
    let micros = u128::from(count) * 1_000_000 / u128::from(procfs::ticks_per_second().max(1));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_has_memory_and_a_dead_one_nothing() {
        let own = of(std::process::id()).unwrap();
        assert!(own.rss_bytes > 64 << 10);
        assert!(own.peak_rss_bytes.unwrap() > 64 << 10);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!(of(pid), None);
    }
}
