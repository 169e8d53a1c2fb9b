//! Peak memory of a process: VmHWM from /proc.
//!
//! `ru_maxrss` will not do: a forked child's starts at its parent's size.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::sys::prctl::{get_dumpable, set_dumpable};

use crate::shared::scoreboard::{Field, Slot};
use crate::sys;

/// The kernel compares a thousandth of the memory there is for each.
const SOONER: i32 = 500;
const OOM_SCORE_ADJ_MAX: i32 = 1000;

/// The largest resident size that process `pid` has had, in bytes; none if it cannot be read.
#[must_use]
pub fn peak_rss_bytes(pid: u32) -> Option<u64> {
    parse_peak(&sys::read_kernel_file(format!("/proc/{pid}/status"))?)
}

/// Has the kernel end this process sooner than its parent when memory runs out: the parent replaces it, and nobody the
/// parent. To become likelier to be ended takes no right.
#[expect(
    clippy::disallowed_methods,
    reason = "/proc is the kernel, not the root that the store guards"
)]
pub fn go_before_the_parent() {
    let path = "/proc/self/oom_score_adj";
    let own = sys::read_kernel_file(path).and_then(|text| text.trim().parse::<i32>().ok());
    let raised = (own.unwrap_or(0) + SOONER)
        .min(OOM_SCORE_ADJ_MAX)
        .to_string();
    if fs::write(path, &raised).is_err() {
        // Of a process that was root's its own user may not write this, but for the moment in which it could be traced.
        let was = get_dumpable().unwrap_or(false);
        let _ = set_dumpable(true).map(|()| fs::write(path, &raised));
        let _ = set_dumpable(was);
    }
}

/// What the kernel tells about this process. It is opened before the process is confined, for afterwards it
/// cannot be.
#[derive(Debug)]
pub struct OwnStatus {
    file: Option<File>,
}

impl OwnStatus {
    /// Opens this process's status; without /proc there will be no peak to publish.
    #[must_use]
    pub fn open() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "/proc is the kernel, not the root that the store guards"
        )]
        let file = File::open("/proc/self/status").ok();
        Self { file }
    }

    /// Writes this process's peak into its slots, as the last thing before it leaves.
    pub fn publish_peak(&self, slots: impl Iterator<Item = Slot>) {
        let peak = self.peak().unwrap_or(0);
        for slot in slots {
            slot.set(Field::PeakRss, peak);
        }
    }

    fn peak(&self) -> Option<u64> {
        // The peak is in the first two kilobytes, however long the file is.
        let mut start = [0; 4096];
        let len = self.file.as_ref()?.read_at(&mut start, 0).ok()?;
        parse_peak(&String::from_utf8_lossy(&start[..len]))
    }
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
        assert!(
            OwnStatus::open()
                .peak()
                .is_some_and(|bytes| bytes > 64 << 10)
        );
    }
}
