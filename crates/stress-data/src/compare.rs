//! What changed between two runs, combination by combination, and whether it means anything.

pub mod evidence;
pub mod matching;
pub mod shift;
pub mod verdict;

use crate::fingerprint::Fingerprint;
use crate::run::Run;
use crate::summary::metric::Metric;
use crate::{Unusable, size};
use shift::Interval;

use evidence::{Mean, Sampled};
use matching::Matching;
use verdict::{Change, Verdict};

/// Two runs beside each other.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// What the runs are called.
    pub names: (String, String),
    /// The figure that is compared.
    pub metric: Metric,
    /// What differs in how and on what the runs were made: name, old, new.
    pub conditions: Vec<(String, String, String)>,
    /// Which rows belong together.
    pub matching: Matching<'a>,
    /// What became of each.
    pub changes: Vec<Change<'a>>,
    /// Of all rows, and of each operation.
    pub means: Vec<Mean>,
}

impl<'a> Comparison<'a> {
    /// How `metric` changed from `old` to `new`.
    ///
    /// # Errors
    /// The two have nothing in common.
    pub fn new(old: &'a Run, new: &'a Run, metric: Metric) -> Result<Self, Unusable> {
        let matching = Matching::new(&old.rows, &new.rows);
        if matching.pairs.is_empty() {
            return Err(Unusable(format!(
                "{} and {} have no combination of operation, volume and workers in common",
                old.name, new.name
            )));
        }
        let (then, now) = (&old.contents, &new.contents);
        let pairs = matching.pairs.iter();
        let mut changes: Vec<Change<'a>> = pairs
            .map(|(old, new)| Change::new((old, then), (new, now), metric))
            .collect();
        let sampled: Vec<Sampled> = changes.iter().map(|it| it.sampled.clone()).collect();
        for (change, chance) in changes.iter_mut().zip(evidence::row_chances(&sampled)) {
            change.judge(chance);
        }
        Ok(Self {
            names: (old.name.clone(), new.name.clone()),
            metric,
            conditions: conditions(&then.header.fingerprint, &now.header.fingerprint),
            matching,
            changes,
            means: evidence::means(&sampled),
        })
    }

    /// How many rows got worse.
    #[must_use]
    pub fn regressions(&self) -> usize {
        let changes = self.changes.iter();
        changes.filter(|change| self.is_regression(change)).count()
    }

    /// Whether a program that watches over regressions should stop here: a mean or a row is worse by more than chance.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        let mut means = self.means.iter();
        means.any(|mean| mean.is_sure() && self.is_to_the_bad(mean.ratio)) || self.regressions() > 0
    }

    /// Whether the row was ok and is not any more, or differs to the bad.
    #[must_use]
    pub fn is_regression(&self, change: &Change<'_>) -> bool {
        match (change.verdict, change.shift) {
            (Verdict::Broken, _) => true,
            (Verdict::Differs, Some(shift)) => self.is_to_the_bad(shift.ratio),
            _ => false,
        }
    }

    fn is_to_the_bad(&self, ratio: f64) -> bool {
        (ratio > 1.0) != self.metric.is_better_high()
    }

    /// How many intervals do not hold "no change", how many would not by chance alone, and how many intervals there are.
    #[must_use]
    pub fn beside_none(&self) -> (usize, f64, usize) {
        let shifts = self.changes.iter().filter_map(|change| change.shift);
        let intervals: Vec<Interval> = shifts.filter_map(|shift| shift.interval).collect();
        let beside = intervals.iter().filter(|it| !it.holds_one()).count();
        let by_chance = intervals.iter().map(|it| 1.0 - it.confidence).sum();
        (beside, by_chance, intervals.len())
    }
}

/// What besides the cells and their number is not the same.
fn conditions(old: &Fingerprint, new: &Fingerprint) -> Vec<(String, String, String)> {
    let mut found = old.conditions(new);
    let bytes = |text: &mut String| {
        if let Ok(bytes) = text.parse() {
            *text = size::approximate(bytes);
        }
    };
    for (name, old, new) in &mut found {
        if name == "memory_bytes" {
            bytes(old);
            bytes(new);
        }
    }
    // A few pages that another kernel keeps for itself are no difference to a reader.
    found.retain(|(_, old, new)| old != new);
    found
}
