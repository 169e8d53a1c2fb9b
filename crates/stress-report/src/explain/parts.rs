//! The parts of the verified operations of a sample: connecting, waiting, transferring. Pure.

use std::time::Duration;

use stress_data::record::{Record, parts};
use stress_data::summary::statistics::median;

/// How long one part took: over all verified operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) median: Duration,
    pub(super) min: Duration,
    pub(super) max: Duration,
    /// All of them together.
    pub(super) sum: Duration,
}

/// What operations consist of. An operation begins when the one before it ended, the first at the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    /// From the beginning to the connection.
    pub(super) connect: Part,
    /// From the connection to the first byte of the reply.
    pub(super) wait: Part,
    /// From the first byte to the end.
    pub(super) transfer: Part,
    /// Verified operations.
    pub(super) len: usize,
}

impl Parts {
    /// None if no operation was verified.
    pub(super) fn of(records: &[Record]) -> Option<Self> {
        let steps = parts(records);
        let part = |index: usize| Part::of(steps.iter().map(|step| step[index]));
        Some(Self {
            connect: part(0)?,
            wait: part(1)?,
            transfer: part(2)?,
            len: steps.len(),
        })
    }

    /// The share of a part in the whole, in percent.
    pub(super) fn percent(&self, part: &Part) -> f64 {
        let whole = self.connect.sum + self.wait.sum + self.transfer.sum;
        match whole.is_zero() {
            true => 0.0,
            false => part.sum.as_secs_f64() / whole.as_secs_f64() * 100.0,
        }
    }
}

impl Part {
    fn of(values: impl Iterator<Item = u64> + Clone) -> Option<Self> {
        Some(Self {
            median: Duration::from_nanos(median(values.clone())?),
            min: Duration::from_nanos(values.clone().min()?),
            max: Duration::from_nanos(values.clone().max()?),
            sum: values.map(Duration::from_nanos).sum(),
        })
    }
}
