//! Whether two sides differ by more than chance. Noise is measured by the samples themselves and never supposed: both
//! tests ask how often a difference as large comes about when samples change sides at random. Pure.
//!
//! Four means are tested, of all rows and of each operation: in each pair of samples the sides are exchanged or not, and
//! the four are held to [`ALPHA`] together (Holm 1979). Single rows are many, so that the largest of their differences is
//! what each is compared with (Westfall and Young 1993): sides are shuffled within every row, and a row's difference counts
//! in units of the spread of rows with like windows, because three samples of its own tell little of it.

use std::collections::BTreeMap;

use crate::matrix::Operation;
use crate::schedule::split_mix;
use crate::summary::Row;
use crate::summary::metric::paired;

use crate::shift::Interval;

/// How often equal sides may be taken for different: by the means together, and by the rows together.
pub const ALPHA: f64 = 0.05;
/// So many samples on each side let a single one of 81 rows be told from chance, whatever the others do.
pub const ROW_SAMPLES: usize = 7;
/// Exchanges that are drawn; the least that can be found is one in so many and one.
const DRAWS: usize = 999;
/// Of a normal distribution 95 % lie within so many deviations.
const NORMAL_95: f64 = 1.96;

/// One combination, measured on both sides.
#[derive(Debug, Clone)]
pub struct Sampled {
    /// What was done: a mean is of one operation.
    pub operation: Operation,
    /// About how long a sample took: the spread is that of rows that take as long.
    pub window_ns: u64,
    /// A sample of each side, from the same round, above zero.
    pub pairs: Vec<(u64, u64)>,
}

impl Sampled {
    /// Of `row`, and one that it is compared with: their samples by repeat.
    #[must_use]
    pub fn new(row: &Row, old: &BTreeMap<u32, u64>, new: &BTreeMap<u32, u64>) -> Self {
        let mut pairs = paired(old, new);
        pairs.retain(|(old, new)| *old > 0 && *new > 0);
        let window = row.makespan.unwrap_or_default().as_nanos();
        Self {
            operation: row.cell.operation,
            window_ns: u64::try_from(window).unwrap_or(u64::MAX),
            pairs,
        }
    }

    /// Of every pair the logarithm of new over old.
    fn logs(&self) -> impl Iterator<Item = f64> {
        let pairs = self.pairs.iter();
        pairs.map(|(old, new)| (*new as f64 / *old as f64).ln())
    }

    /// 0 for windows under 10 ms, 1 to 100 ms, 2 to 1 s, 3 for longer ones.
    fn class(&self) -> usize {
        let limits = [10_000_000, 100_000_000, 1_000_000_000];
        limits.partition_point(|limit| *limit <= self.window_ns)
    }
}

/// A geometric mean of ratios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// Of which operation; none for all.
    pub operation: Option<Operation>,
    /// New over old.
    pub ratio: f64,
    /// Where it lies at 95 %, by the spread of its own pairs; none for a single pair.
    pub interval: Option<Interval>,
    /// Of how many rows.
    pub rows: usize,
    /// How often chance gives as much, the other means considered.
    pub p: f64,
}

impl Mean {
    /// Whether chance is ruled out, as far as [`ALPHA`] does.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.p <= ALPHA
    }

    /// The mean of `rows`, each of which counts alike; none of rows without a pair.
    #[must_use]
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Sampled>) -> Option<Self> {
        let rows = rows.into_iter().filter(|row| !row.pairs.is_empty());
        let rows: Vec<&Sampled> = rows.collect();
        let weighted = |row: &&Sampled| {
            let weight = 1.0 / (rows.len() * row.pairs.len()) as f64;
            row.logs().map(|log| (weight, log)).collect::<Vec<_>>()
        };
        let pairs: Vec<(f64, f64)> = rows.iter().flat_map(weighted).collect();
        if pairs.is_empty() {
            return None;
        }
        let mean: f64 = pairs.iter().map(|(weight, log)| weight * log).sum();
        Some(Self {
            operation: None,
            ratio: mean.exp(),
            interval: interval(&pairs, mean),
            rows: rows.len(),
            p: exchanged(&pairs, mean),
        })
    }
}

/// The mean of all rows, then that of each operation that there is. Where all rows are of one operation these are one.
#[must_use]
pub fn means(rows: &[Sampled]) -> Vec<Mean> {
    let of = |operation| {
        let rows = rows.iter().filter(|row| row.operation == operation);
        let mean = Mean::of(rows)?;
        let operation = Some(operation);
        Some(Mean { operation, ..mean })
    };
    let mut means: Vec<Mean> = Operation::ALL.into_iter().filter_map(of).collect();
    if means.len() > 1 {
        means.splice(0..0, Mean::of(rows));
    }
    hold_together(&mut means);
    means
}

/// Holm's correction: the least p counts as often as there are means, the next one time less, and none less than the one
/// before it.
fn hold_together(means: &mut [Mean]) {
    let mut order: Vec<usize> = (0..means.len()).collect();
    order.sort_by(|one, other| means[*one].p.total_cmp(&means[*other].p));
    let mut least = 0.0_f64;
    for (left, index) in (1..=means.len()).rev().zip(order) {
        least = least.max(means[index].p * left as f64).min(1.0);
        means[index].p = least;
    }
}

fn interval(pairs: &[(f64, f64)], mean: f64) -> Option<Interval> {
    let len = pairs.len() as f64;
    let squares = pairs.iter();
    let squares: f64 = squares
        .map(|(weight, log)| (weight * (log - mean)).powi(2))
        .sum();
    let half = NORMAL_95 * (squares * len / (len - 1.0)).sqrt();
    (pairs.len() > 1).then(|| Interval {
        low: (mean - half).exp(),
        high: (mean + half).exp(),
        confidence: 0.95,
    })
}

/// How often the mean is as far from none when the sides of each pair are exchanged at random.
fn exchanged(pairs: &[(f64, f64)], mean: f64) -> f64 {
    let parts: Vec<f64> = pairs.iter().map(|(weight, log)| weight * log).collect();
    let mut state = 0;
    let mut as_far = 1;
    for _ in 0..DRAWS {
        let mut sum = 0.0;
        for chunk in parts.chunks(64) {
            let bits = split_mix(&mut state);
            for (place, part) in chunk.iter().enumerate() {
                sum += if bits >> place & 1 == 0 { *part } else { -part };
            }
        }
        as_far += usize::from(sum.abs() >= mean.abs() * (1.0 - 1e-9));
    }
    chance(as_far)
}

/// The share of draws that are as far as what was measured, which is one of them.
fn chance(as_far: usize) -> f64 {
    as_far as f64 / (1 + DRAWS) as f64
}

/// Of each row how often chance gives a difference as large in any of them. A row without a pair, or in whose class no
/// spread is known, cannot be told from chance: 1.
#[must_use]
pub fn row_chances(rows: &[Sampled]) -> Vec<f64> {
    let mut sides: Vec<Sides> = rows.iter().map(Sides::of).collect();
    let measured = distances(&sides);
    let mut as_far = vec![1_usize; rows.len()];
    let mut state = 0;
    for _ in 0..DRAWS {
        for row in &mut sides {
            row.shuffle(&mut state);
        }
        let most = distances(&sides).into_iter().fold(0.0, f64::max);
        for (count, distance) in as_far.iter_mut().zip(&measured) {
            *count += usize::from(most >= distance * (1.0 - 1e-9));
        }
    }
    let chances = as_far.into_iter().zip(&measured);
    let of = |(count, distance): (usize, &f64)| match *distance > 0.0 {
        true => chance(count),
        false => 1.0,
    };
    chances.map(of).collect()
}

/// The logarithms of a row's samples, those of the old side first.
struct Sides {
    class: usize,
    logs: Vec<f64>,
}

impl Sides {
    fn of(row: &Sampled) -> Self {
        let (old, new): (Vec<f64>, Vec<f64>) = row
            .pairs
            .iter()
            .map(|(old, new)| ((*old as f64).ln(), (*new as f64).ln()))
            .unzip();
        Self {
            class: row.class(),
            logs: [old, new].concat(),
        }
    }

    fn shuffle(&mut self, state: &mut u64) {
        for last in (1..self.logs.len()).rev() {
            let other = split_mix(state) % (last as u64 + 1);
            self.logs.swap(last, other as usize);
        }
    }

    /// How far apart the means of the two sides are, and the squares of what is left within them.
    fn apart(&self) -> (f64, f64) {
        let (old, new) = self.logs.split_at(self.logs.len() / 2);
        let mean = |side: &[f64]| side.iter().sum::<f64>() / side.len().max(1) as f64;
        let squares = |side: &[f64]| {
            let mean = mean(side);
            side.iter().map(|log| (log - mean).powi(2)).sum::<f64>()
        };
        ((mean(new) - mean(old)).abs(), squares(old) + squares(new))
    }
}

/// How far apart each row's sides are, in units of what chance makes of rows with like windows.
fn distances(rows: &[Sides]) -> Vec<f64> {
    let apart: Vec<(f64, f64)> = rows.iter().map(Sides::apart).collect();
    let (mut squares, mut freedom) = ([0.0; 4], [0.0; 4]);
    for (row, (_, within)) in rows.iter().zip(&apart) {
        squares[row.class] += within;
        freedom[row.class] += row.logs.len().saturating_sub(2) as f64;
    }
    let distance = |(row, (apart, _)): (&Sides, &(f64, f64))| {
        let variance = squares[row.class] / freedom[row.class];
        // Of two means of so many samples each.
        let unit = (variance * 4.0 / row.logs.len() as f64).sqrt();
        match unit > 0.0 && unit.is_finite() {
            true => apart / unit,
            false => 0.0,
        }
    };
    rows.iter().zip(&apart).map(distance).collect()
}

#[cfg(test)]
mod tests;
