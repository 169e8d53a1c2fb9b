//! Peak memory of a process: VmHWM from /proc.
//!
//! `ru_maxrss` will not do: a forked child's starts at its parent's size.

use crate::scoreboard::{Field, Slot};

/// The largest resident size that process `pid` has had, in bytes; none if it cannot be read.
#[must_use]
pub fn peak_rss_bytes(pid: u32) -> Option<u64> {
    parse_peak(&read_status(&format!("/proc/{pid}/status"))?)
}

/// Writes this process's peak into its slots, as the last thing before it leaves.
pub fn publish_peak(slots: impl Iterator<Item = Slot>) {
    let peak = read_status("/proc/self/status")
        .as_deref()
        .and_then(parse_peak)
        .unwrap_or(0);
    for slot in slots {
        slot.set(Field::PeakRss, peak);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "/proc is the kernel, not the root that the store guards"
)]
fn read_status(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes() {
        assert_eq!(
            parse_peak("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n"),
            Some(1234 * 1024)
        );
        assert_eq!(parse_peak("Name:\tx\n"), None);
        assert!(peak_rss_bytes(std::process::id()).is_some_and(|bytes| bytes > 64 << 10));
    }
}
