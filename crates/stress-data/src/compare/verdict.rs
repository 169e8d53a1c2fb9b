//! What a pair of rows comes to: a change with its uncertainty, and whether it means anything. Pure.

use crate::journal::Contents;
use crate::measurement::Status;
use crate::summary::Row;
use crate::summary::metric::{Metric, paired};
use crate::summary::statistics::median;

use super::evidence::{ALPHA, ROW_SAMPLES, Sampled};
use crate::shift::Shift;

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
    /// What can be compared of it, round by round: nothing of a row that went wrong on either side.
    pub(super) sampled: Sampled,
}

words! {
    /// What is to be made of a change; a closed set of words. Of two runs none is the better one: they were made one after
    /// the other, and the machine was not the same twice.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum Verdict {
        /// The interval holds "no change", or a difference as large comes about by chance in one row of so many.
        NoDifference = "no difference seen",
        /// The same, and with more samples it could be told.
        NeedsSamples = "needs 7 repeats",
        /// By more than chance gives.
        Differs = "differs",
        /// The same of subjects of one run, to the good.
        Better = "better",
        /// The same of subjects of one run, to the bad.
        Worse = "worse",
        /// It was ok in the old run and is not in the new one.
        Broken = "broken",
        /// It is ok in the new run and was not in the old one.
        Repaired = "repaired",
        /// There is nothing to compare: no sample that is ok on either side, or not run.
        Unknown = "unknown",
    }
}

impl<'a> Change<'a> {
    /// How `metric` of the row `old` changed in `new`; not judged yet if both are as they should be. Samples of one run
    /// are paired, round by round.
    pub(crate) fn new(
        [(old, old_contents), (new, new_contents)]: [(&'a Row, &Contents); 2],
        metric: Metric,
        is_paired: bool,
    ) -> Self {
        let then = metric.by_repeat(old_contents, old.cell.number);
        let now = metric.by_repeat(new_contents, new.cell.number);
        let verdict = match (is_broken(old), is_broken(new)) {
            (false, true) if old.is_as_expected() => Verdict::Broken,
            (true, false) if new.is_as_expected() => Verdict::Repaired,
            (false, false) => Verdict::NoDifference,
            _ => Verdict::Unknown,
        };
        let mut sampled = Sampled::new(new, &then, &now);
        if verdict != Verdict::NoDifference {
            sampled.pairs.clear();
        }
        let pairs = paired(&then, &now);
        let [then, now] = [then, now].map(|values| Vec::from_iter(values.into_values()));
        Self {
            old,
            new,
            medians: (median(then.iter().copied()), median(now.iter().copied())),
            lens: (then.len(), now.len()),
            shift: match is_paired {
                true => Shift::paired(&pairs),
                false => Shift::of(&then, &now),
            },
            verdict,
            sampled,
        }
    }

    /// Whether it means anything, where a difference as large in any row of the comparison comes by chance so often. Of
    /// subjects of one run, by a figure, one is then better or worse.
    pub(super) fn judge(&mut self, chance: f64, of_one_run: Option<Metric>) {
        if self.verdict != Verdict::NoDifference {
            return;
        }
        let verdict = judged(self.shift.as_ref(), self.lens.0.min(self.lens.1), chance);
        self.verdict = match (verdict, of_one_run, self.shift) {
            (Verdict::Differs, Some(metric), Some(shift)) => match metric.is_worse(shift.ratio) {
                true => Verdict::Worse,
                false => Verdict::Better,
            },
            (verdict, ..) => verdict,
        };
    }
}

/// Whether something went wrong that was not wanted, rather than not being done.
fn is_broken(row: &Row) -> bool {
    let is_done = !matches!(row.status, Status::NotRun | Status::Cut);
    is_done && !row.is_as_expected()
}

fn judged(shift: Option<&Shift>, samples: usize, chance: f64) -> Verdict {
    let Some(Shift { interval, .. }) = shift else {
        return Verdict::Unknown;
    };
    match interval {
        Some(interval) if interval.holds_one() => Verdict::NoDifference,
        _ if chance <= ALPHA => Verdict::Differs,
        _ if samples < ROW_SAMPLES => Verdict::NeedsSamples,
        _ => Verdict::NoDifference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::Interval;

    #[test]
    fn only_what_chance_does_not_give_is_a_difference() {
        let check = |interval: Option<(f64, f64)>, samples, chance, want| {
            let interval = interval.map(|(low, high)| Interval {
                low,
                high,
                confidence: 0.9,
            });
            let shift = Shift {
                ratio: 1.5,
                interval,
            };
            let got = judged(Some(&shift), samples, chance);
            assert_eq!(got, want, "{shift:?} {samples} {chance}");
        };
        check(Some((0.9, 2.0)), 3, 0.01, Verdict::NoDifference);
        check(Some((1.01, 2.0)), 3, 0.01, Verdict::Differs);
        check(Some((0.2, 0.9)), 3, 0.05, Verdict::Differs);
        check(Some((1.01, 2.0)), 3, 0.06, Verdict::NeedsSamples);
        check(Some((1.01, 2.0)), 7, 0.06, Verdict::NoDifference);
        // One sample: nothing is known of the spread.
        check(None, 1, 1.0, Verdict::NeedsSamples);
        assert_eq!(judged(None, 0, 1.0), Verdict::Unknown);
    }
}
