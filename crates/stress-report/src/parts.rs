//! Where the time of an operation went: connecting, waiting for the first byte, and the rest.

use stress_data::journal::Contents;
use stress_data::record::parts;

/// The mean operation of a cell in its three parts, nanoseconds. Means, because only means add up to the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Parts {
    /// From its start (the release, or the end of the one before it) to the established connection.
    pub(super) connect_ns: f64,
    /// From there to the first byte of the reply.
    pub(super) wait_ns: f64,
    /// From there to the last byte of the reply.
    pub(super) rest_ns: f64,
}

impl Parts {
    /// The parts of the verified operations in all samples of the cell `number`; none if there are none.
    pub(super) fn of(contents: &Contents, number: u32) -> Option<Self> {
        let samples = contents.samples.range((number, 0)..=(number, u32::MAX));
        let operations: Vec<[u64; 3]> = samples
            .flat_map(|(_, sample)| parts(&sample.measurement.records))
            .collect();
        let mean = |index: usize| {
            let sum: f64 = operations.iter().map(|parts| parts[index] as f64).sum();
            sum / operations.len() as f64
        };
        (!operations.is_empty()).then(|| Self {
            connect_ns: mean(0),
            wait_ns: mean(1),
            rest_ns: mean(2),
        })
    }

    /// All of it.
    pub(super) fn total_ns(&self) -> f64 {
        self.connect_ns + self.wait_ns + self.rest_ns
    }

    /// How much of it passed before the first byte of the reply.
    pub(super) fn share_before_first_byte(&self) -> f64 {
        match self.total_ns() {
            0.0 => 0.0,
            total => (self.connect_ns + self.wait_ns) / total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_parts() {
        let parts = Parts {
            connect_ns: 10.0,
            wait_ns: 30.0,
            rest_ns: 60.0,
        };
        assert_eq!(parts.total_ns(), 100.0);
        assert!((parts.share_before_first_byte() - 0.4).abs() < 1e-9);
    }
}
