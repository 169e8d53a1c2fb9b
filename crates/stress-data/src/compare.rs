//! What changed between two runs, combination by combination, and whether it means anything.

pub mod matching;
pub mod shift;
pub mod verdict;

use crate::fingerprint::Fingerprint;
use crate::run::Run;
use crate::summary::metric::Metric;
use crate::{Unusable, size};

use matching::Matching;
use verdict::Change;

/// Two runs beside each other.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// What the runs are called.
    pub names: (String, String),
    /// The figure that is compared.
    pub metric: Metric,
    /// As a share: 0.2 is 20 %.
    pub noise: f64,
    /// What differs in how and on what the runs were made: name, old, new.
    pub conditions: Vec<(String, String, String)>,
    /// Which rows belong together.
    pub matching: Matching<'a>,
    /// What became of each.
    pub changes: Vec<Change<'a>>,
}

impl<'a> Comparison<'a> {
    /// How `metric` changed from `old` to `new`; differences up to `noise` (0.2 is 20 %) mean nothing.
    ///
    /// # Errors
    /// The two have nothing in common.
    pub fn new(old: &'a Run, new: &'a Run, metric: Metric, noise: f64) -> Result<Self, Unusable> {
        let matching = Matching::new(&old.rows, &new.rows);
        if matching.pairs.is_empty() {
            return Err(Unusable(format!(
                "{} and {} have no combination of operation, volume and workers in common",
                old.name, new.name
            )));
        }
        let (then, now) = (&old.contents, &new.contents);
        let pairs = matching.pairs.iter();
        let changes = pairs
            .map(|(old, new)| Change::new((old, then), (new, now), metric, noise))
            .collect();
        Ok(Self {
            names: (old.name.clone(), new.name.clone()),
            metric,
            noise,
            conditions: conditions(&then.header.fingerprint, &now.header.fingerprint),
            matching,
            changes,
        })
    }

    /// How many rows got worse.
    #[must_use]
    pub fn regressions(&self) -> usize {
        let verdicts = self.changes.iter().map(|change| change.verdict);
        verdicts.filter(|verdict| verdict.is_regression()).count()
    }

    /// The geometric mean of all changes, and of how many.
    #[must_use]
    pub fn mean_ratio(&self) -> Option<(f64, usize)> {
        let ratios = self.changes.iter().filter_map(|change| change.shift);
        let logs: Vec<f64> = ratios.map(|shift| shift.ratio.ln()).collect();
        let len = logs.len();
        (len > 0).then(|| ((logs.iter().sum::<f64>() / len as f64).exp(), len))
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
