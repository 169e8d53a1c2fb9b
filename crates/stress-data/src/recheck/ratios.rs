//! Whether the ratios between some cells are those of another run. Pure.

use crate::matrix::Cell;
use crate::shift::{Shift, middle};
use crate::summary::statistics::median;

/// One cell, measured then and now: times per client of the samples that are ok.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The cell.
    pub cell: Cell,
    /// In the run.
    pub then_ns: Vec<u64>,
    /// Here.
    pub now_ns: Vec<u64>,
}

words! {
    /// What a cell comes to.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum Verdict {
        /// Its factor is near the common one.
        Holds = "holds",
        /// It is not.
        DoesNotHold = "does not hold",
        /// No sample of it is ok now.
        Failed = "failed here",
    }
}

/// One cell, judged.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub pair: Pair,
    /// The median in the run.
    pub then_ns: Option<u64>,
    /// The median here.
    pub now_ns: Option<u64>,
    /// Now over then; none if it failed.
    pub factor: Option<f64>,
    /// That over the common factor.
    pub relative: Option<f64>,
    /// What that comes to.
    pub verdict: Verdict,
}

/// All cells, judged.
#[derive(Debug)]
pub struct Ratios {
    /// The cells.
    pub rows: Vec<Row>,
    /// The median of all factors; none if all failed.
    pub common: Option<f64>,
    within: f64,
}

impl Ratios {
    /// Judges `pairs`: a factor may be off the common one by a factor of `within`.
    #[must_use]
    pub fn of(pairs: Vec<Pair>, within: f64) -> Self {
        let shifts: Vec<Option<Shift>> = pairs
            .iter()
            .map(|pair| Shift::of(&pair.then_ns, &pair.now_ns))
            .collect();
        let factors = shifts.iter().flatten().map(|shift| shift.ratio);
        let mut factors: Vec<f64> = factors.collect();
        factors.sort_unstable_by(f64::total_cmp);
        let common = middle(&factors);
        let row = |(pair, shift): (Pair, Option<Shift>)| {
            let factor = shift.map(|shift| shift.ratio);
            let relative = factor.zip(common).map(|(factor, common)| factor / common);
            let verdict = match relative.zip(common) {
                None => Verdict::Failed,
                Some((_, common)) if comes_within(&pair, common, within) => Verdict::Holds,
                Some(_) => Verdict::DoesNotHold,
            };
            Row {
                then_ns: median(pair.then_ns.iter().copied()),
                now_ns: median(pair.now_ns.iter().copied()),
                pair,
                factor,
                relative,
                verdict,
            }
        };
        Self {
            rows: pairs.into_iter().zip(shifts).map(row).collect(),
            common,
            within,
        }
    }

    /// Whether every cell holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.rows.iter().all(|row| row.verdict == Verdict::Holds)
    }

    /// How many cells are not ok now.
    #[must_use]
    pub fn failed_len(&self) -> usize {
        let failed = self.rows.iter();
        failed.filter(|row| row.verdict == Verdict::Failed).count()
    }

    /// How many of the ratios between two cells are what they were, by their medians, and how many there are.
    #[must_use]
    pub fn pair_counts(&self) -> (usize, usize) {
        let factors: Vec<f64> = self.rows.iter().filter_map(|row| row.factor).collect();
        let (mut holding, mut all) = (0, 0);
        for (index, first) in factors.iter().enumerate() {
            for second in &factors[index + 1..] {
                all += 1;
                holding += usize::from(is_within(first / second, self.within));
            }
        }
        (holding, all)
    }
}

/// Whether the median factor is near the common one, or that of any two single samples: one that was disturbed
/// proves nothing.
fn comes_within(pair: &Pair, common: f64, within: f64) -> bool {
    let extremes = |values: &[u64]| {
        let (min, max) = (values.iter().min(), values.iter().max());
        min.zip(max).map(|(min, max)| (*min as f64, *max as f64))
    };
    let (Some(then), Some(now)) = (extremes(&pair.then_ns), extremes(&pair.now_ns)) else {
        return false;
    };
    let (least, most) = (now.0 / then.1 / common, now.1 / then.0 / common);
    // The range of single factors reaches into the allowed one.
    least <= within && most >= 1.0 / within
}

fn is_within(ratio: f64, within: f64) -> bool {
    (1.0 / within..=within).contains(&ratio)
}
