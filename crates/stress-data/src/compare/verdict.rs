//! What a pair of rows comes to: a change with its uncertainty, and whether it means anything. Pure.

use crate::journal::Contents;
use crate::measurement::Status;
use crate::summary::Row;
use crate::summary::metric::Metric;
use crate::summary::statistics::median;

use super::shift::Shift;

/// One combination in both runs.
#[derive(Debug)]
pub struct Change<'a> {
    /// Its row in the old run.
    pub old: &'a Row,
    /// Its row in the new one.
    pub new: &'a Row,
    /// Medians of the samples that are ok.
    pub medians: (Option<u64>, Option<u64>),
    /// How many samples those are.
    pub lens: (usize, usize),
    /// None if one of the runs has no sample that is ok.
    pub shift: Option<Shift>,
    /// What is to be made of it.
    pub verdict: Verdict,
}

words! {
    /// What is to be made of a change; a closed set of words.
    pub enum Verdict {
        /// The interval holds "no change", or the change is within the noise.
        NoDifference = "no difference seen",
        /// Beyond the noise, to the good.
        Better = "better",
        /// Beyond the noise, to the bad.
        Worse = "worse",
        /// It was ok in the old run and is not in the new one.
        Broken = "broken",
        /// It is ok in the new run and was not in the old one.
        Repaired = "repaired",
        /// There is nothing to compare: no sample that is ok on either side, or not run.
        Unknown = "unknown",
    }
}

impl Verdict {
    /// Whether a program that watches over regressions should stop here.
    #[must_use]
    pub const fn is_regression(self) -> bool {
        matches!(self, Self::Worse | Self::Broken)
    }
}

impl<'a> Change<'a> {
    /// How `metric` of the row `old` changed in `new`; differences up to `noise` (0.2 is 20 %) mean nothing.
    pub(crate) fn new(
        (old, old_contents): (&'a Row, &Contents),
        (new, new_contents): (&'a Row, &Contents),
        metric: Metric,
        noise: f64,
    ) -> Self {
        let old_values = metric.values(old_contents, old.cell.number);
        let new_values = metric.values(new_contents, new.cell.number);
        let shift = Shift::of(&old_values, &new_values);
        let verdict = match (is_broken(old), is_broken(new)) {
            (false, true) if old.is_as_expected() => Verdict::Broken,
            (true, false) if new.is_as_expected() => Verdict::Repaired,
            (false, false) => judge(shift.as_ref(), metric.is_better_high(), noise),
            _ => Verdict::Unknown,
        };
        Self {
            old,
            new,
            medians: (
                median(old_values.iter().copied()),
                median(new_values.iter().copied()),
            ),
            lens: (old_values.len(), new_values.len()),
            shift,
            verdict,
        }
    }
}

/// Whether something went wrong that was not wanted, rather than not being done.
fn is_broken(row: &Row) -> bool {
    let is_done = !matches!(row.status, Status::NotRun | Status::Cut);
    is_done && !row.is_as_expected()
}

fn judge(shift: Option<&Shift>, is_better_high: bool, noise: f64) -> Verdict {
    let Some(Shift { ratio, interval }) = shift else {
        return Verdict::Unknown;
    };
    let is_within_noise = |ratio: f64| (1.0 / (1.0 + noise)..=1.0 + noise).contains(&ratio);
    let is_unsure = interval.is_some_and(|interval| interval.holds_one());
    match *ratio {
        ratio if is_unsure || is_within_noise(ratio) => Verdict::NoDifference,
        ratio if (ratio > 1.0) == is_better_high => Verdict::Better,
        _ => Verdict::Worse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::shift::Interval;

    fn shift(ratio: f64, interval: Option<(f64, f64)>) -> Shift {
        let interval = interval.map(|(low, high)| Interval {
            low,
            high,
            confidence: 0.95,
        });
        Shift { ratio, interval }
    }

    #[test]
    fn only_a_sure_change_beyond_the_noise_is_one() {
        let check = |ratio, interval, want| {
            let shift = shift(ratio, interval);
            assert_eq!(judge(Some(&shift), false, 0.2), want, "{shift:?}");
        };
        check(1.0, Some((0.9, 1.1)), Verdict::NoDifference);
        // Large, and not sure.
        check(1.5, Some((0.9, 2.0)), Verdict::NoDifference);
        // Sure, and small.
        check(1.1, Some((1.05, 1.15)), Verdict::NoDifference);
        check(1.1, Some((1.05, 1.4)), Verdict::NoDifference);
        check(1.5, Some((1.05, 1.9)), Verdict::Worse);
        check(0.5, Some((0.4, 0.6)), Verdict::Better);
        // A fifth more in one direction is a sixth less in the other.
        check(0.84, Some((0.83, 0.85)), Verdict::NoDifference);
        check(0.83, Some((0.82, 0.84)), Verdict::Better);
        // One sample: the noise is all there is to go by.
        check(1.19, None, Verdict::NoDifference);
        check(1.21, None, Verdict::Worse);
        assert_eq!(judge(None, false, 0.2), Verdict::Unknown);
        assert_eq!(judge(Some(&shift(1.5, None)), true, 0.2), Verdict::Better);
        assert_eq!(judge(Some(&shift(0.5, None)), true, 0.2), Verdict::Worse);
    }
}
