//! Where the time of operations went: connecting, waiting for the first byte, and the rest. Pure.

use stress_data::journal::Sample;
use stress_data::record::parts;
use stress_data::summary::statistics::Spread;

/// How long one part of each operation took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) spread: Spread,
    sum_ns: u64,
}

/// The verified operations of some samples in their three parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// From the start (the release, or the end of the operation before) to the established connection.
    pub(super) connect: Part,
    /// From there to the first byte of the reply.
    pub(super) wait: Part,
    /// From there to the last byte of the reply.
    pub(super) rest: Part,
    /// How many operations.
    pub(super) len: usize,
}

impl Parts {
    /// None if no operation was verified.
    pub(super) fn of<'a>(samples: impl Iterator<Item = &'a Sample>) -> Option<Self> {
        let all: Vec<[u64; 3]> = samples
            .flat_map(|sample| parts(&sample.measurement.records))
            .collect();
        let part = |index: usize| {
            let values = all.iter().map(|parts| parts[index]);
            Some(Part {
                spread: Spread::of(values.clone())?,
                sum_ns: values.sum(),
            })
        };
        Some(Self {
            connect: part(0)?,
            wait: part(1)?,
            rest: part(2)?,
            len: all.len(),
        })
    }

    /// The mean of a part; means, because only these add up to the whole.
    pub(super) fn mean_ns(&self, part: Part) -> f64 {
        part.sum_ns as f64 / self.len as f64
    }

    /// The share of some parts in the whole.
    pub(super) fn share<const N: usize>(&self, parts: [Part; N]) -> f64 {
        let sum = |parts: &[Part]| parts.iter().map(|part| part.sum_ns).sum::<u64>();
        match sum(&[self.connect, self.wait, self.rest]) {
            0 => 0.0,
            whole => sum(&parts) as f64 / whole as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_parts() {
        let part = |sum_ns| Part {
            spread: Spread::of([sum_ns]).unwrap(),
            sum_ns,
        };
        let parts = Parts {
            connect: part(10),
            wait: part(30),
            rest: part(60),
            len: 2,
        };
        assert!((parts.share([parts.connect, parts.wait]) - 0.4).abs() < 1e-9);
        assert!((parts.mean_ns(parts.rest) - 30.0).abs() < 1e-9);
    }
}
