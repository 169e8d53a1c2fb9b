//! How far the samples of one group lie from those of another, as a ratio, and how sure that is. Pure.
//!
//! Samples of a cell are few, and skewed: a background job makes one of them slow, nothing makes one fast. So no
//! normal distribution is supposed. The estimate is Hodges and Lehmann's (1963): the median of the ratios of
//! every new sample to every old one. The interval is the one that belongs to it, from the exact distribution of
//! Mann and Whitney's U (1947): between two of those ratios in their order. It supposes that both groups are
//! distributed alike but for the ratio.
//!
//! Samples that were taken in pairs, one of each side right after the other, are compared within their pairs: what the
//! machine did to both is in neither. The estimate is then the median of the geometric means of every two ratios, and the
//! interval that of Wilcoxon's signed ranks (1945), between two of those means in their order.

/// How surely an interval should hold the true ratio.
pub const CONFIDENCE: f64 = 0.95;
/// Up to this many samples in a group the distribution of U is computed exactly; beyond, its normal approximation
/// is closer than any count of samples can tell.
const EXACT_LEN_MAX: usize = 30;

/// How one group of samples lies to another, or one side of pairs to the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// New over old: 1.1 is 10 % more.
    pub ratio: f64,
    /// None if a group has one sample only: then nothing is known of the spread.
    pub interval: Option<Interval>,
}

/// Where the true ratio lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How surely: [`CONFIDENCE`] or a little more, or less if the samples are too few for that.
    pub confidence: f64,
}

impl Interval {
    /// Whether a ratio of 1 (no change) lies in it.
    pub(crate) fn holds_one(&self) -> bool {
        self.low <= 1.0 && 1.0 <= self.high
    }
}

impl Shift {
    /// The shift from `old` to `new`; none if a group is empty or holds a zero.
    pub(crate) fn of(old: &[u64], new: &[u64]) -> Option<Self> {
        if old.is_empty() || new.is_empty() || old.iter().chain(new).any(|value| *value == 0) {
            return None;
        }
        let pairs = new
            .iter()
            .flat_map(|new| old.iter().map(move |old| *new as f64 / *old as f64));
        let mut ratios: Vec<f64> = pairs.collect();
        ratios.sort_unstable_by(f64::total_cmp);
        Some(Self {
            ratio: middle(&ratios)?,
            interval: (old.len() > 1 && new.len() > 1)
                .then(|| interval(&ratios, &tails(old.len(), new.len()))),
        })
    }

    /// The shift from the first of each pair to the second; none if there is no pair, or one holds a zero.
    pub(crate) fn paired(pairs: &[(u64, u64)]) -> Option<Self> {
        if pairs.iter().any(|(old, new)| *old == 0 || *new == 0) {
            return None;
        }
        let ratio = |(old, new): &(u64, u64)| *new as f64 / *old as f64;
        let ratios: Vec<f64> = pairs.iter().map(ratio).collect();
        let means = ratios.iter().enumerate().flat_map(|(index, one)| {
            let others = ratios[index..].iter();
            others.map(move |other| (one * other).sqrt())
        });
        let mut means: Vec<f64> = means.collect();
        means.sort_unstable_by(f64::total_cmp);
        Some(Self {
            ratio: middle(&means)?,
            interval: (pairs.len() > 1).then(|| interval(&means, &rank_tails(pairs.len()))),
        })
    }
}

/// The median of sorted ratios; of two middle ones their geometric mean: the same from new to old as from old to new.
pub(crate) fn middle(ratios: &[f64]) -> Option<f64> {
    let above = ratios.get(ratios.len() / 2)?;
    Some((ratios[(ratios.len() - 1) / 2] * above).sqrt())
}

fn interval(ratios: &[f64], tails: &[f64]) -> Interval {
    let (cut, confidence) = cut(tails);
    Interval {
        low: ratios[cut],
        high: ratios[ratios.len() - 1 - cut],
        confidence,
    }
}

/// How many of the ordered ratios are left out at each end, and how surely the rest holds the true one.
fn cut(tails: &[f64]) -> (usize, f64) {
    let outside = (1.0 - CONFIDENCE) / 2.0;
    // P(U < 1) outside each end of the outermost ratios is the least there is.
    let cut = tails.iter().take_while(|tail| **tail <= outside).count();
    let cut = cut.saturating_sub(1);
    (cut, 1.0 - 2.0 * tails[cut])
}

/// P(U ≤ u) for u from 0 to the middle, for groups of these sizes of one distribution.
fn tails(old_len: usize, new_len: usize) -> Vec<f64> {
    let middle = old_len * new_len / 2;
    if old_len.max(new_len) <= EXACT_LEN_MAX {
        return summed(probabilities(old_len, new_len), middle);
    }
    let (m, n) = (old_len as f64, new_len as f64);
    normal_tails(m * n / 2.0, m * n * (m + n + 1.0) / 12.0, middle)
}

/// The same of the sum of the ranks of those of so many ratios that are above the true one.
fn rank_tails(len: usize) -> Vec<f64> {
    let middle = len * (len + 1) / 4;
    if len <= EXACT_LEN_MAX {
        return summed(rank_probabilities(len), middle);
    }
    let n = len as f64;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0;
    normal_tails(n * (n + 1.0) / 4.0, variance, middle)
}

fn summed(probabilities: Vec<f64>, middle: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let probabilities = probabilities.into_iter().take(middle + 1);
    probabilities
        .map(|probability| {
            sum += probability;
            sum
        })
        .collect()
}

/// Each rank is in the sum or not, one as likely as the other.
fn rank_probabilities(len: usize) -> Vec<f64> {
    let mut sums = vec![1.0];
    for rank in 1..=len {
        let mut with = vec![0.0; sums.len() + rank];
        for (sum, probability) in sums.iter().enumerate() {
            with[sum] += probability / 2.0;
            with[sum + rank] += probability / 2.0;
        }
        sums = with;
    }
    sums
}

/// P(U = u) for all u, by Mann and Whitney's own recurrence: the largest of all samples is a new one, and then
/// lies above every old one, or it is an old one, and then adds nothing.
fn probabilities(old_len: usize, new_len: usize) -> Vec<f64> {
    // table[n] holds the distribution for the old samples so far and n new ones.
    let mut table: Vec<Vec<f64>> = vec![vec![1.0]; new_len + 1];
    for m in 1..=old_len {
        // No new ones: U is 0.
        let mut row: Vec<Vec<f64>> = vec![vec![1.0]];
        for n in 1..=new_len {
            let (new_share, old_share) = (n as f64 / (m + n) as f64, m as f64 / (m + n) as f64);
            let mut distribution = vec![0.0; m * n + 1];
            for (u, probability) in row[n - 1].iter().enumerate() {
                distribution[u + m] += new_share * probability;
            }
            for (u, probability) in table[n].iter().enumerate() {
                distribution[u] += old_share * probability;
            }
            row.push(distribution);
        }
        table = row;
    }
    table.swap_remove(new_len)
}

/// The normal approximation, corrected for what is counted being whole.
fn normal_tails(mean: f64, variance: f64, middle: usize) -> Vec<f64> {
    let tail = |count: usize| {
        let z = (count as f64 + 0.5 - mean) / variance.sqrt();
        0.5 * erfc(-z / std::f64::consts::SQRT_2)
    };
    (0..=middle).map(tail).collect()
}

/// The complementary error function by Abramowitz and Stegun, 7.1.26: off by 1.5e-7 at most.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = 0.254_829_592
        + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429)));
    polynomial * t * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The largest U that is significant at 5 % on two sides, as the tables of textbooks have it (Siegel 1956,
    /// table K): as many of the ordered ratios, and one more, lie outside the interval's end.
    #[test]
    fn cuts_are_those_of_the_published_tables() {
        let check = |old_len, new_len, critical: usize| {
            assert_eq!(
                cut(&tails(old_len, new_len)).0,
                critical,
                "{old_len} {new_len}"
            );
        };
        check(4, 4, 0);
        check(5, 4, 1);
        check(5, 5, 2);
        check(6, 5, 3);
        check(6, 6, 5);
        check(7, 7, 8);
        check(8, 8, 13);
        check(10, 5, 8);
        check(10, 10, 23);
        check(20, 20, 127);
    }

    #[test]
    fn the_distribution_is_that_of_all_orders_counted() {
        for (old_len, new_len) in [(1, 1), (2, 2), (3, 2), (2, 3), (4, 3), (4, 4), (1, 5)] {
            let mut counts = vec![0_u32; old_len * new_len + 1];
            // Every choice of places for the new samples among all of them.
            let all_len = old_len + new_len;
            for places in 0_u32..1 << all_len {
                if places.count_ones() as usize != new_len {
                    continue;
                }
                let is_new = |place: &usize| places >> place & 1 == 1;
                let below = |place: usize| (0..place).filter(|place| !is_new(place)).count();
                let u: usize = (0..all_len).filter(is_new).map(below).sum();
                counts[u] += 1;
            }
            let total = f64::from(counts.iter().sum::<u32>());
            for (u, probability) in probabilities(old_len, new_len).into_iter().enumerate() {
                let counted = f64::from(counts[u]) / total;
                assert!(
                    (probability - counted).abs() < 1e-12,
                    "{old_len} {new_len} {u}"
                );
            }
        }
    }

    #[test]
    fn few_samples_give_a_wide_interval_and_say_how_sure_it_is() {
        let close = |value: f64, want: f64| (value - want).abs() < 1e-9;
        // Of 20 orders of three and three, two are the most extreme ones: 90 %.
        let shift = Shift::of(&[100, 110, 120], &[200, 210, 240]).unwrap();
        let interval = shift.interval.unwrap();
        assert!(close(interval.confidence, 0.9), "{interval:?}");
        assert!(close(interval.low, 200.0 / 120.0) && close(interval.high, 240.0 / 100.0));
        // In order: 1.67, 1.75, 1.82, 1.91, 2, 2, 2.1, 2.18, 2.4.
        assert!(close(shift.ratio, 2.0), "{shift:?}");
        // Two and two: 1 - 2 ÷ 6.
        let shift = Shift::of(&[1, 2], &[1, 2]).unwrap();
        assert!(close(shift.interval.unwrap().confidence, 2.0 / 3.0));
        // Five and five leave out two at each end: 1 - 2 × 4 ÷ 252.
        let shift = Shift::of(&[1, 2, 3, 4, 5], &[10, 20, 30, 40, 50]).unwrap();
        assert!(close(shift.interval.unwrap().confidence, 1.0 - 8.0 / 252.0));
    }

    #[test]
    fn one_sample_has_a_ratio_and_no_interval() {
        let shift = Shift::of(&[100], &[150, 160, 170]).unwrap();
        assert_eq!(shift.interval, None);
        assert!((shift.ratio - 1.6).abs() < 1e-9);
        assert_eq!(Shift::of(&[], &[1]), None);
        assert_eq!(Shift::of(&[1, 2], &[0, 1]), None);
    }

    #[test]
    fn the_approximation_joins_the_exact_distribution() {
        let check = |exact: &[f64], mean: f64, variance: f64| {
            let approximate = normal_tails(mean, variance, exact.len() - 1);
            for (tail, approximate) in exact.iter().zip(approximate) {
                assert!((tail - approximate).abs() < 0.003, "{tail} {approximate}");
            }
        };
        let n = EXACT_LEN_MAX as f64;
        check(
            &tails(EXACT_LEN_MAX, EXACT_LEN_MAX),
            n * n / 2.0,
            n * n * (2.0 * n + 1.0) / 12.0,
        );
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0;
        check(&rank_tails(EXACT_LEN_MAX), n * (n + 1.0) / 4.0, variance);
        // A thousand samples each are no burden.
        assert!(cut(&tails(1_000, 1_000)).0 > 0);
        assert!(cut(&rank_tails(1_000)).0 > 0);
    }

    /// The largest sum that is significant at 5 % on two sides (McCornack 1965).
    #[test]
    fn cuts_of_pairs_are_those_of_the_published_table() {
        for (len, critical) in [
            (6, 0),
            (7, 2),
            (8, 3),
            (9, 5),
            (10, 8),
            (15, 25),
            (20, 52),
            (25, 89),
        ] {
            assert_eq!(cut(&rank_tails(len)).0, critical, "{len}");
        }
        // Of three pairs all are on one side by chance once in four.
        let close = |value: f64, want: f64| (value - want).abs() < 1e-9;
        assert!(close(cut(&rank_tails(3)).1, 0.75));
        // What slows both samples of a pair changes nothing.
        let shift = Shift::paired(&[(100, 130), (1_000, 1_300), (50, 65)]).unwrap();
        let interval = shift.interval.unwrap();
        assert!(close(shift.ratio, 1.3) && close(interval.low, 1.3) && close(interval.high, 1.3));
        assert_eq!(Shift::paired(&[(100, 130)]).unwrap().interval, None);
        assert_eq!((Shift::paired(&[]), Shift::paired(&[(1, 0)])), (None, None));
    }

    proptest! {
        #[test]
        fn a_common_factor_is_found_and_lies_inside(
            values in proptest::collection::vec(1_000_u64..2_000, 2..12),
            factor in 1_u64..5,
        ) {
            let scaled: Vec<u64> = values.iter().map(|value| value * factor).collect();
            let shift = Shift::of(&values, &scaled).unwrap();
            let interval = shift.interval.unwrap();
            prop_assert!(interval.low <= factor as f64 && factor as f64 <= interval.high);
            prop_assert!(interval.low <= shift.ratio && shift.ratio <= interval.high);
            // The other way round it is the inverse.
            let back = Shift::of(&scaled, &values).unwrap();
            prop_assert!((back.ratio * shift.ratio - 1.0).abs() < 1e-9);
        }
    }
}
