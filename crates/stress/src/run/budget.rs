//! `--budget`: which sample comes next when time is short, and what is not even begun. Pure: time is an argument.
//!
//! Cheap samples come first, so that a slow server still fills as much of the table as it can. What a sample will
//! take is predicted from those already taken of the same operation: one of the same row takes as long again; one
//! that moves no more bytes than another takes no longer; one that moves more has a window that is longer in
//! proportion to its bytes at least, and if the two largest volumes so far show a steeper growth (servers that
//! append to a string grow with the square), then with that growth, up to the square. What a sample takes besides
//! its window, such as starting the server, stays as it is. An operation that nothing was measured of yet is
//! tried. A sample that is predicted not to fit is not begun; one that is wrongly begun is ended with the budget.

use std::time::Duration;

use stress_data::matrix::{Cell, Operation};
use stress_data::measurement::Settings;
use stress_data::schedule::Turn;

use super::work::{content_bytes, work_units};

/// The growth of time with bytes that is believed: from in proportion to the square.
const EXPONENT_MIN: f64 = 1.0;
const EXPONENT_MAX: f64 = 2.0;

/// What makes samples alike, for guessing the time of one from that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The row's number.
    pub(crate) number: u32,
    /// Its operation.
    pub(crate) operation: Operation,
    /// The place of its subject: one says nothing of another.
    pub(crate) subject: Option<usize>,
    /// The bytes it moves.
    pub(crate) bytes: u64,
}

impl Kind {
    /// Of the samples of `cell`.
    pub(crate) fn of(cell: &Cell, settings: &Settings) -> Self {
        Self {
            number: cell.number,
            operation: cell.operation,
            subject: settings
                .subject(cell)
                .and_then(|subject| settings.subjects.iter().position(|it| it == subject)),
            bytes: content_bytes(cell, settings),
        }
    }
}

impl Kind {
    /// Whether the time of one grows with its bytes as that of the other.
    fn is_like(self, other: Self) -> bool {
        (self.operation, self.subject) == (other.operation, other.subject)
    }
}

/// What one sample took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// From the release of its clients to the end of the last of them.
    pub(crate) window: Duration,
    /// Everything before and after.
    pub(crate) rest: Duration,
}

impl Cost {
    /// Of a sample that took `wall` in all; one that never came to a window has nothing else.
    pub(crate) fn new(wall: Duration, window: Option<Duration>) -> Self {
        let window = window.map_or(wall, |window| window.min(wall));
        Self {
            window,
            rest: wall - window,
        }
    }

    fn whole(self) -> Duration {
        self.window.saturating_add(self.rest)
    }
}

/// What samples took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Costs {
    known: Vec<(Kind, Cost)>,
}

impl Costs {
    /// A sample of this kind took that long.
    pub(crate) fn learn(&mut self, kind: Kind, cost: Cost) {
        self.known.push((kind, cost));
    }

    /// What a sample of this kind will probably take; none if there is nothing to go by.
    pub(crate) fn predict(&self, kind: Kind) -> Option<Duration> {
        let own = self.longest(|known| known.number == kind.number);
        own.or_else(|| self.bounded_by_larger(kind))
            .map(Cost::whole)
            .or_else(|| self.grown_from_smaller(kind))
    }

    fn longest(&self, is_meant: impl Fn(&Kind) -> bool) -> Option<Cost> {
        let meant = self.known.iter().filter(|(kind, _)| is_meant(kind));
        meant.map(|(_, cost)| *cost).max_by_key(|cost| cost.whole())
    }

    fn longest_of(&self, kind: Kind, bytes: u64) -> Option<Cost> {
        self.longest(|known| known.is_like(kind) && known.bytes == bytes)
    }

    /// The longest of those that move the same number of bytes: the nearest number that is not less.
    fn bounded_by_larger(&self, kind: Kind) -> Option<Cost> {
        let bytes = self.volumes(kind).find(|bytes| *bytes >= kind.bytes)?;
        self.longest_of(kind, bytes)
    }

    fn grown_from_smaller(&self, kind: Kind) -> Option<Duration> {
        let volumes: Vec<u64> = self.volumes(kind).collect();
        let largest = *volumes.last()?;
        let longest = self.longest_of(kind, largest)?;
        let window = longest.window.as_secs_f64();
        let below = volumes.len().checked_sub(2).map(|index| volumes[index]);
        let exponent = below
            .and_then(|below| Some((below, self.longest_of(kind, below)?)))
            .map_or(EXPONENT_MIN, |(below, shorter)| {
                let growth = window / shorter.window.as_secs_f64();
                growth.ln() / (largest as f64 / below as f64).ln()
            });
        // A time of zero has no growth to speak of.
        let exponent = match exponent.is_finite() {
            true => exponent.clamp(EXPONENT_MIN, EXPONENT_MAX),
            false => EXPONENT_MIN,
        };
        let growth = (kind.bytes as f64 / largest.max(1) as f64).powf(exponent);
        let grown = Duration::try_from_secs_f64(window * growth).unwrap_or(Duration::MAX);
        Some(grown.saturating_add(longest.rest))
    }

    /// All numbers of bytes that something is known of, ascending.
    fn volumes(&self, kind: Kind) -> impl Iterator<Item = u64> + use<> {
        let known = self.known.iter();
        let mut volumes: Vec<u64> = known
            .filter(|(known, _)| known.is_like(kind))
            .map(|(known, _)| known.bytes)
            .collect();
        volumes.sort_unstable();
        volumes.dedup();
        volumes.into_iter()
    }
}

/// A sample that may be taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// Which.
    pub(crate) turn: Turn,
    /// What it is like.
    pub(crate) kind: Kind,
    /// How much work it is, before anything is known.
    pub(crate) units: u64,
}

impl Candidate {
    /// The sample `turn` of `cell`.
    pub(crate) fn new(turn: Turn, cell: &Cell, settings: &Settings) -> Self {
        Self {
            turn,
            kind: Kind::of(cell, settings),
            units: work_units(cell, settings),
        }
    }
}

/// The place of the sample to take next, with `left` of the budget; none if nothing fits any more. The first samples of
/// all rows come before any second one, and of them first what nothing is known of, then the cheapest.
pub(crate) fn next(candidates: &[Candidate], costs: &Costs, left: Duration) -> Option<usize> {
    let predicted = candidates
        .iter()
        .map(|candidate| costs.predict(candidate.kind).unwrap_or(Duration::ZERO));
    let fitting = candidates
        .iter()
        .zip(predicted)
        .enumerate()
        .filter(|(_, (_, predicted))| !left.is_zero() && *predicted <= left);
    let cheapest = fitting.min_by_key(|(index, (candidate, predicted))| {
        (candidate.turn.repeat, *predicted, candidate.units, *index)
    });
    cheapest.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use stress_data::matrix::Operation::{Download, Upload};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const M: u64 = 1 << 20;

    fn kind(number: u32, operation: Operation, bytes: u64) -> Kind {
        Kind {
            number,
            operation,
            subject: None,
            bytes,
        }
    }

    fn costs(known: &[(u32, Operation, u64, u32)]) -> Costs {
        let mut costs = Costs::default();
        for (number, operation, bytes, seconds) in known {
            let cost = Cost::new(SECOND * *seconds, None);
            costs.learn(kind(*number, *operation, *bytes), cost);
        }
        costs
    }

    #[test]
    fn a_prediction_comes_from_the_nearest_that_is_known() {
        let check = |known: &[(u32, Operation, u64, u32)], asked, seconds: Option<u32>| {
            let want = seconds.map(|seconds| SECOND * seconds);
            assert_eq!(costs(known).predict(asked), want, "{known:?} {asked:?}");
        };
        check(&[], kind(1, Download, M), None);
        // Nothing is known of uploads from downloads.
        check(&[(1, Download, M, 1)], kind(2, Upload, M), None);
        // Its own earlier samples, the longest.
        check(
            &[(1, Download, M, 3), (1, Download, M, 2)],
            kind(1, Download, M),
            Some(3),
        );
        // One point: in proportion.
        check(&[(1, Download, M, 2)], kind(2, Download, 5 * M), Some(10));
        // As many bytes with other workers: no longer than the longest.
        check(
            &[(1, Download, M, 2), (2, Download, M, 4)],
            kind(3, Download, M),
            Some(4),
        );
        // Fewer bytes than something known: no longer than that.
        check(
            &[(1, Download, 8 * M, 6), (2, Download, 9 * M, 7)],
            kind(3, Download, M),
            Some(6),
        );
        // Two points that grow slower than their bytes: still in proportion.
        check(
            &[(1, Download, M, 4), (2, Download, 4 * M, 5)],
            kind(3, Download, 8 * M),
            Some(10),
        );
        // With the square: twice the bytes, four times the time.
        check(
            &[(1, Upload, M, 1), (2, Upload, 2 * M, 4)],
            kind(3, Upload, 4 * M),
            Some(16),
        );
        // And no steeper than that.
        check(
            &[(1, Upload, M, 1), (2, Upload, 2 * M, 9)],
            kind(3, Upload, 4 * M),
            Some(36),
        );
    }

    #[test]
    fn only_the_window_of_a_sample_grows_with_its_bytes() {
        let mut costs = Costs::default();
        // A second for starting and stopping, a tenth for a megabyte.
        let cost = Cost::new(SECOND * 11 / 10, Some(SECOND / 10));
        costs.learn(kind(1, Download, M), cost);
        assert_eq!(costs.predict(kind(2, Download, 50 * M)), Some(SECOND * 6));
        assert_eq!(costs.predict(kind(1, Download, M)), Some(SECOND * 11 / 10));
    }

    #[test]
    fn strange_times_predict_no_nonsense() {
        let zero = costs(&[(1, Download, M, 0), (2, Download, 2 * M, 0)]);
        assert_eq!(zero.predict(kind(3, Download, 4 * M)), Some(Duration::ZERO));
        let mut long = Costs::default();
        long.learn(kind(1, Download, 1), Cost::new(Duration::MAX, None));
        assert_eq!(
            long.predict(kind(2, Download, u64::MAX)),
            Some(Duration::MAX)
        );
    }

    /// Candidates of these bytes, all of one operation and not known yet.
    fn candidates(cells: &[(u32, Operation, u64, u32)]) -> Vec<Candidate> {
        let cells = cells.iter().enumerate();
        cells
            .map(|(index, (number, operation, bytes, repeat))| Candidate {
                turn: Turn {
                    index,
                    repeat: *repeat,
                    is_warmup: false,
                },
                kind: kind(*number, *operation, *bytes),
                units: *bytes,
            })
            .collect()
    }

    #[test]
    fn the_unknown_is_tried_first_then_the_cheapest_that_fits() {
        let list = candidates(&[
            (1, Download, 9 * M, 0),
            (2, Download, M, 0),
            (3, Upload, 2 * M, 0),
        ]);
        let check = |known: &[(u32, Operation, u64, u32)], left: u32, want: Option<usize>| {
            let found = next(&list, &costs(known), SECOND * left);
            assert_eq!(found, want, "{known:?} {left}");
        };
        check(&[], 1, Some(1));
        check(&[], 0, None);
        // Uploads are unknown still.
        check(&[(9, Download, M, 1)], 100, Some(2));
        let known = [(9, Download, M, 1), (8, Upload, M, 3)];
        check(&known, 100, Some(1));
        check(&known, 1, Some(1));
        let known = [(9, Download, M, 2), (8, Upload, M, 3)];
        check(&known, 1, None);
    }

    #[test]
    fn a_second_round_waits_for_the_first_unless_only_it_fits() {
        let list = candidates(&[(1, Download, 9 * M, 0), (2, Download, M, 1)]);
        let known = costs(&[(2, Download, M, 1)]);
        assert_eq!(next(&list, &known, SECOND * 9), Some(0));
        assert_eq!(next(&list, &known, SECOND * 8), Some(1));
    }
}
