//! What worker processes report to the parent, over one pipe: that they are ready, that they are worn out.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::roster::ProcessId;
use crate::scoreboard::{Field, Slot};

/// A report's length: shorter than PIPE_BUF, so written whole or not at all.
const REPORT_LEN: usize = 12;

/// A report, as the parent reads it. Not to be believed as it is: the parent checks that there is such a
/// process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Who says that it reports.
    pub process: ProcessId,
    /// What.
    pub kind: Kind,
}

/// What is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It serves from now on.
    Ready,
    /// It has served as many requests as it should: it wants a successor.
    WornOut,
}

/// A worker process's end of the pipe.
#[derive(Debug)]
pub struct Reporter<'a> {
    pipe: &'a OwnedFd,
    process: ProcessId,
    worn_out_after: Option<u64>,
    has_reported: AtomicBool,
}

impl<'a> Reporter<'a> {
    /// For one process. `max_requests` is taken less up to a fifth, differently for each process, so that a
    /// pool started at once is not worn out at once.
    #[must_use]
    pub fn new(pipe: &'a OwnedFd, process: ProcessId, max_requests: Option<u64>) -> Self {
        let mixed = (u64::from(process.seat) << 32 | u64::from(process.generation))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            >> 32;
        Self {
            pipe,
            process,
            worn_out_after: max_requests.map(|max| (max - mixed % (max / 5 + 1)).max(1)),
            has_reported: AtomicBool::new(false),
        }
    }

    /// Says that the process is ready.
    ///
    /// # Errors
    /// What write(2) says.
    pub fn ready(&self) -> nix::Result<()> {
        self.write(Kind::Ready)
    }

    /// Counts one round of a worker's loop, and asks for a successor once the worker has served for long
    /// enough. It goes on serving until the parent tells it to leave.
    pub fn count_round(&self, slot: Slot) {
        slot.add(Field::SignsOfLife, 1);
        if self
            .worn_out_after
            .is_some_and(|after| slot.get(Field::Started) >= after)
            && !self.has_reported.swap(true, Relaxed)
        {
            // A full pipe means that the parent has more than enough to do: the next round asks again.
            let is_written = self.write(Kind::WornOut).is_ok();
            self.has_reported.store(is_written, Relaxed);
        }
    }

    fn write(&self, kind: Kind) -> nix::Result<()> {
        let report = encode(Report {
            process: self.process,
            kind,
        });
        nix::unistd::write(self.pipe.as_fd(), &report).map(drop)
    }
}

/// Takes the reports that there are, from the parent's end. What is no report is passed over.
pub fn read(pipe: &OwnedFd) -> Vec<Report> {
    let mut reports = Vec::new();
    let mut buffer = [0; REPORT_LEN];
    while let Ok(REPORT_LEN) = nix::unistd::read(pipe, &mut buffer) {
        reports.extend(decode(buffer));
    }
    reports
}

fn encode(report: Report) -> [u8; REPORT_LEN] {
    let kind: u32 = match report.kind {
        Kind::Ready => 0,
        Kind::WornOut => 1,
    };
    let mut bytes = [0; REPORT_LEN];
    bytes[..4].copy_from_slice(&kind.to_le_bytes());
    bytes[4..8].copy_from_slice(&report.process.seat.to_le_bytes());
    bytes[8..].copy_from_slice(&report.process.generation.to_le_bytes());
    bytes
}

fn decode(bytes: [u8; REPORT_LEN]) -> Option<Report> {
    let [k0, k1, k2, k3, s0, s1, s2, s3, g0, g1, g2, g3] = bytes;
    let kind = match u32::from_le_bytes([k0, k1, k2, k3]) {
        0 => Kind::Ready,
        1 => Kind::WornOut,
        _ => return None,
    };
    let process = ProcessId {
        seat: u32::from_le_bytes([s0, s1, s2, s3]),
        generation: u32::from_le_bytes([g0, g1, g2, g3]),
    };
    Some(Report { process, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written_and_nonsense_is_none() {
        for kind in [Kind::Ready, Kind::WornOut] {
            let process = ProcessId {
                seat: 4095,
                generation: 70_000,
            };
            let report = Report { process, kind };
            assert_eq!(decode(encode(report)), Some(report));
        }
        assert_eq!(decode([0xff; REPORT_LEN]), None);
    }
}
