//! Samples whose records are copies of one another. Pure.
//!
//! Two measurements never take the same nanoseconds: an operation is three intervals (to the connection, to the
//! first byte, to the end), each of which varies by more than ten thousand nanoseconds. So the intervals of a
//! sample's operations tell it from all others, whatever the clock's offset, the names, the numbers or the order
//! of the records. Two operations are taken for the same if two of their three intervals are (one time may have
//! been changed), and two samples for copies if half of the larger one's operations are the same. Of 77,952
//! operations in six runs with small files, 3 × 10^9 pairs, two pairs agreed by chance in two intervals; samples
//! of very few operations have to agree in all three.
//!
//! What is left is a copy with all times multiplied: its intervals differ, but their ratios to the original's are
//! one number, to a few parts in a million, in half of the operations. Clients that finish together have ratios
//! that lie close together too, but not ten of them that close.

use std::collections::{BTreeMap, HashMap};

use crate::journal::{Contents, Sample};
use crate::matrix::Operation;
use crate::record::Record;
use serde::Serialize;

/// Shorter intervals than this are so common that they tell nothing apart.
const INTERVAL_MIN_NS: u64 = 2_000;
/// Samples of fewer operations have to agree in all of their intervals.
const SEVERAL_LEN: usize = 4;
/// Scaled copies are looked for in samples of this many operations or more.
const SCALED_LEN_MIN: usize = 20;
/// Ratios that differ by less are one ratio: rounding a scaled time of a millisecond to a nanosecond.
const SCALED_TOLERANCE: f64 = 2e-6;
/// How many pairs are named of two runs.
const NAMED_MAX: usize = 3;

/// What tells the samples of a run from all others.
#[derive(Debug, Default)]
pub(super) struct Prints {
    samples: Vec<Print>,
}

/// One sample's.
#[derive(Debug)]
struct Print {
    /// Of which cell, and which repeat of it.
    sample: (u32, u32),
    /// What was measured, but for the number and the pools: a scaled copy is looked for in the same combination.
    shape: (Operation, u64, u32),
    operations: Vec<Intervals>,
}

/// To the connection, from there to the first byte, from there to the end.
type Intervals = [u64; 3];

impl Prints {
    /// Those of a run's samples.
    pub(super) fn of(contents: &Contents) -> Self {
        let all = contents.all_samples();
        let prints = all.map(Print::of);
        Self {
            samples: prints.filter(|it| !it.operations.is_empty()).collect(),
        }
    }
}

impl Print {
    fn of(sample: &Sample) -> Self {
        let measurement = &sample.measurement;
        let cell = &measurement.cell;
        Self {
            sample: (cell.number, measurement.repeat),
            shape: (cell.operation, cell.volume, cell.clients),
            operations: measurement.records.iter().filter_map(intervals).collect(),
        }
    }
}

fn intervals(record: &Record) -> Option<Intervals> {
    let (connected, first_byte) = (record.connected_ns?, record.first_byte_ns?);
    Some([
        connected.checked_sub(record.released_ns)?,
        first_byte.checked_sub(connected)?,
        record.ended_ns?.checked_sub(first_byte)?,
    ])
}

/// Two runs, or one and the same, and how their samples are alike.
#[derive(Debug, PartialEq)]
pub struct Copies {
    /// The runs, by their place among those that were given.
    runs: (usize, usize),
    /// How many samples the two have, each.
    lens: (usize, usize),
    pairs: Vec<Pair>,
}

/// Two samples that are copies.
#[derive(Debug, PartialEq)]
struct Pair {
    /// Number and repeat of each.
    samples: [(u32, u32); 2],
    /// How many operations are the same, of how many.
    same: (usize, usize),
    /// By how much all times of the second are longer; none for an exact copy.
    factor: Option<f64>,
}

/// All samples of all runs that are copies of one another, by pairs of runs.
pub(super) fn find(runs: &[&Prints]) -> Vec<Copies> {
    let all: Vec<(usize, &Print)> = (0..)
        .zip(runs)
        .flat_map(|(run, prints)| prints.samples.iter().map(move |print| (run, print)))
        .collect();
    let mut pairs = exact(&all);
    for (places, pair) in scaled(&all) {
        pairs.entry(places).or_insert(pair);
    }
    let mut by_runs: BTreeMap<(usize, usize), Vec<Pair>> = BTreeMap::new();
    for ((first, second), pair) in pairs {
        let runs = (all[first].0, all[second].0);
        by_runs.entry(runs).or_default().push(pair);
    }
    let len = |run: usize| runs[run].samples.len();
    let copies = |(runs, pairs): ((usize, usize), Vec<Pair>)| Copies {
        runs,
        lens: (len(runs.0), len(runs.1)),
        pairs,
    };
    by_runs.into_iter().map(copies).collect()
}

/// Pairs of places in the list of all samples.
type Pairs = BTreeMap<(usize, usize), Pair>;

/// Intervals by which an operation may be recognised: which they are, and how long.
type Key = (usize, [u64; 3]);

/// The keys of one operation of a sample with `len` of them.
fn keys(intervals: &Intervals, len: usize) -> Vec<Key> {
    let is_telling = |index: &&usize| intervals[**index] >= INTERVAL_MIN_NS;
    let choices: &[&[usize]] = match len {
        ..SEVERAL_LEN => &[&[0, 1, 2]],
        _ => &[&[0, 1], &[0, 2], &[1, 2]],
    };
    let choices = choices.iter().enumerate();
    let telling = choices.filter(|(_, chosen)| chosen.iter().filter(is_telling).count() >= 2);
    telling
        .map(|(which, chosen)| {
            let mut key = [0; 3];
            for index in *chosen {
                key[*index] = intervals[*index];
            }
            (which, key)
        })
        .collect()
}

/// Samples that share operations.
fn exact(all: &[(usize, &Print)]) -> Pairs {
    // Where a key occurs: sample and operation.
    let mut places: HashMap<Key, Vec<(usize, usize)>> = HashMap::new();
    for (sample, (_, print)) in all.iter().enumerate() {
        for (operation, intervals) in print.operations.iter().enumerate() {
            for key in keys(intervals, print.operations.len()) {
                places.entry(key).or_default().push((sample, operation));
            }
        }
    }
    // By pair of samples, the operations of the second one that are in the first.
    let mut shared: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for found in places.values().filter(|found| found.len() > 1) {
        for (index, (first, _)) in found.iter().enumerate() {
            for (second, operation) in &found[index + 1..] {
                if first != second {
                    let operations = shared.entry((*first, *second)).or_default();
                    operations.push(*operation);
                }
            }
        }
    }
    let mut pairs = Pairs::new();
    for ((first, second), mut operations) in shared {
        operations.sort_unstable();
        operations.dedup();
        let (one, other) = (all[first].1, all[second].1);
        let len = one.operations.len().max(other.operations.len());
        if operations.len() * 2 >= len {
            let pair = Pair {
                samples: [one.sample, other.sample],
                same: (operations.len(), len),
                factor: None,
            };
            pairs.insert((first, second), pair);
        }
    }
    pairs
}

/// Samples of one shape whose times have one ratio.
fn scaled(all: &[(usize, &Print)]) -> Vec<((usize, usize), Pair)> {
    let mut by_shape: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, (_, print)) in all.iter().enumerate() {
        if print.operations.len() >= SCALED_LEN_MIN {
            let shape = (print.shape, print.operations.len());
            by_shape.entry(shape).or_default().push(place);
        }
    }
    let mut pairs = Vec::new();
    for places in by_shape.values() {
        for (index, first) in places.iter().enumerate() {
            for second in &places[index + 1..] {
                let (one, other) = (all[*first].1, all[*second].1);
                if let Some((factor, same_len)) = common_ratio(one, other) {
                    let pair = Pair {
                        samples: [one.sample, other.sample],
                        same: (same_len, one.operations.len()),
                        factor: Some(factor),
                    };
                    pairs.push(((*first, *second), pair));
                }
            }
        }
    }
    pairs
}

/// The ratio that half of the operations or more have in common, and how many have it.
fn common_ratio(one: &Print, other: &Print) -> Option<(f64, usize)> {
    let total = |intervals: &Intervals| intervals.iter().sum::<u64>() as f64;
    let operations = one.operations.iter().zip(&other.operations);
    let mut ratios: Vec<f64> = operations
        .map(|(one, other)| total(other) / total(one))
        .filter(|ratio| ratio.is_finite() && *ratio > 0.0)
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    // If half of them have one ratio, they stand together in their order.
    let half_len = one.operations.len().div_ceil(2);
    let window = ratios
        .windows(half_len)
        .find(|window| window[half_len - 1] / window[0] - 1.0 <= SCALED_TOLERANCE)?;
    let ratio = window[half_len / 2];
    let is_common = |other: &&f64| (*other / ratio - 1.0).abs() <= SCALED_TOLERANCE;
    Some((ratio, ratios.iter().filter(is_common).count()))
}

impl Copies {
    /// The run that the one at `place` has samples in common with, if it is one of the two.
    pub(super) fn other(&self, place: usize) -> Option<usize> {
        let (first, second) = self.runs;
        match place {
            _ if place == first => Some(second),
            _ if place == second => Some(first),
            _ => None,
        }
    }

    /// In words, with the names of all runs.
    #[must_use]
    pub fn text(&self, names: &[String]) -> String {
        let (first, second) = self.runs;
        let who = match first == second {
            true => format!("within {}", names[first]),
            false => format!("{} and {}", names[first], names[second]),
        };
        let (first_len, second_len) = self.lens;
        let named: Vec<String> = self.pairs.iter().take(NAMED_MAX).map(Pair::text).collect();
        let more = match self.pairs.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let named = named.join("; ");
        let copies = match self.pairs.len() {
            1 => "1 sample is a copy".to_owned(),
            len => format!("{len} samples are copies"),
        };
        format!("{who}: {copies} (of {first_len} and {second_len}): {named}{more}")
    }

    /// As JSON, with the names of all runs.
    pub(super) fn json<'a>(&self, names: &'a [String]) -> CopiesJson<'a> {
        CopiesJson {
            runs: [&names[self.runs.0], &names[self.runs.1]],
            samples: [self.lens.0, self.lens.1],
            pairs: self.pairs.iter().map(PairJson::of).collect(),
        }
    }
}

/// Two runs, or one and the same, and how their samples are alike.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct CopiesJson<'a> {
    /// Their folders.
    runs: [&'a str; 2],
    /// How many samples each has.
    samples: [usize; 2],
    /// The samples that are copies.
    pairs: Vec<PairJson>,
}

/// Two samples that are copies.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct PairJson {
    /// The number of each one's row.
    no: [u32; 2],
    /// Which sample of its row each is, from 0.
    repeat: [u32; 2],
    /// So many operations are the same.
    operations_same: usize,
    /// Of so many.
    operations: usize,
    /// By how much all times of the second are longer; null of an exact copy.
    factor: Option<f64>,
}

impl PairJson {
    fn of(pair: &Pair) -> Self {
        let [first, second] = pair.samples;
        Self {
            no: [first.0, second.0],
            repeat: [first.1, second.1],
            operations_same: pair.same.0,
            operations: pair.same.1,
            factor: pair.factor,
        }
    }
}

impl Pair {
    fn text(&self) -> String {
        let [first, second] = self.samples;
        let sample = |(number, repeat): (u32, u32)| format!("row {number} repeat {repeat}");
        let who = match first == second {
            true => sample(first),
            false => format!("{} and {}", sample(first), sample(second)),
        };
        let (same, len) = self.same;
        match self.factor {
            None => format!("{who}, {same} of {len} operations to the nanosecond"),
            Some(factor) => format!("{who}, {same} of {len} operations times {factor:.6}"),
        }
    }
}

#[cfg(test)]
mod tests;
