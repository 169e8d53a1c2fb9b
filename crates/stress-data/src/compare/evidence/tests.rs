//! Made-up comparisons, with the spread that the kept runs have.

use super::*;

/// Standard deviations of the logarithms of a row's times, by the class of its window: as in three samples of each of 486
/// rows on two cores.
const SPREADS: [f64; 4] = [0.27, 0.20, 0.15, 0.17];
const WINDOWS_NS: [u64; 4] = [3_000_000, 40_000_000, 400_000_000, 3_000_000_000];

/// A normal value, by Box and Muller.
fn normal(state: &mut u64) -> f64 {
    let unit = |state: &mut u64| ((split_mix(state) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let (radius, angle) = (unit(state), unit(state));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// 81 rows, `rounds` samples of each side, where the new side takes `factor` of the row's number times as long.
fn rows(seed: u64, rounds: usize, factor: impl Fn(usize) -> f64) -> Vec<Sampled> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) + 1;
    let row = |number: usize| {
        let class = number % 9 / 3 + usize::from(number % 9 == 8);
        let sample = |factor: f64, state: &mut u64| {
            let log = SPREADS[class] * normal(state);
            (WINDOWS_NS[class] as f64 * factor * log.exp()) as u64
        };
        let pairs =
            (0..rounds).map(|_| (sample(1.0, &mut state), sample(factor(number), &mut state)));
        Sampled {
            operation: Operation::ALL[number / 27],
            window_ns: WINDOWS_NS[class],
            pairs: pairs.collect(),
        }
    };
    (0..81).map(row).collect()
}

fn is_alarm(rows: &[Sampled]) -> bool {
    means(rows).iter().any(Mean::is_sure)
}

#[test]
fn equal_sides_are_taken_for_different_in_one_of_twenty_comparisons() {
    for rounds in [1, 3] {
        let alarms = (0..40).filter(|seed| is_alarm(&rows(*seed, rounds, |_| 1.0)));
        // 2 are expected; 7 or more come in 3 of 1,000 such counts.
        let alarms = alarms.count();
        assert!(alarms < 7, "{rounds} rounds: {alarms} of 40");
    }
}

#[test]
fn a_third_more_in_one_operation_is_found_with_three_rounds() {
    for operation in 0..3 {
        let slow = |number: usize| if number / 27 == operation { 1.3 } else { 1.0 };
        let found = (0..20).filter(|seed| {
            let means = means(&rows(*seed, 3, slow));
            let of = means
                .iter()
                .find(|mean| mean.operation == Some(Operation::ALL[operation]));
            of.is_some_and(|mean| mean.is_sure() && mean.ratio > 1.0)
        });
        let found = found.count();
        assert!(found >= 18, "{found} of 20");
    }
}

#[test]
fn single_rows_are_told_from_chance_together() {
    let is_any = |rows: &[Sampled]| row_chances(rows).iter().any(|chance| *chance <= ALPHA);
    let alarms = (0..20).filter(|seed| is_any(&rows(*seed, 3, |_| 1.0)));
    // 1 is expected; 5 or more come in 3 of 1,000 such counts.
    let alarms = alarms.count();
    assert!(alarms < 5, "{alarms} of 20");
    // One row that takes three times as long: three samples cannot tell it, for in a tenth of all orders they are the
    // largest. Seven can, and name no other.
    let slow = |number: usize| if number == 13 { 3.0 } else { 1.0 };
    assert!(!is_any(&rows(1, 3, slow)));
    for seed in 0..3 {
        let chances = row_chances(&rows(seed, ROW_SAMPLES, slow));
        let found: Vec<usize> = (0..81).filter(|row| chances[*row] <= ALPHA).collect();
        assert_eq!(found, [13]);
    }
}

#[test]
fn a_mean_is_that_of_the_ratios_with_an_interval_around_it() {
    let row = |operation, pairs: &[(u64, u64)]| Sampled {
        operation,
        window_ns: 1,
        pairs: pairs.into(),
    };
    let double = row(Operation::Download, &[(10, 20), (10, 20)]);
    let half = row(Operation::Download, &[(20, 10)]);
    let mean = Mean::of([&double, &half]).unwrap();
    // Each row counts alike, however many samples it has.
    assert!((mean.ratio - 1.0).abs() < 1e-9, "{mean:?}");
    let interval = mean.interval.unwrap();
    assert!(interval.low < 1.0 && 1.0 < interval.high);
    assert_eq!(mean.rows, 2);
    assert!(!mean.is_sure());
    // One pair says nothing of chance, and no pair nothing at all.
    let one = Mean::of([&half]).unwrap();
    assert_eq!((one.interval, one.p), (None, 1.0));
    assert_eq!(Mean::of([&row(Operation::List, &[])]), None);
    // Of one operation alone the mean of all is the same, and not said twice.
    assert_eq!(means(&[double.clone(), half.clone()]).len(), 1);
    let list = row(Operation::List, &[(1, 1)]);
    let operations: Vec<_> = means(&[double, list])
        .iter()
        .map(|mean| mean.operation)
        .collect();
    assert_eq!(
        operations,
        [None, Some(Operation::Download), Some(Operation::List)]
    );
    assert_eq!(means(&[]), []);
    assert_eq!(row_chances(&[half]), [1.0]);
}

#[test]
fn holm_counts_the_least_as_often_as_there_are_means() {
    let mean = |p| Mean {
        operation: None,
        ratio: 1.0,
        interval: None,
        rows: 1,
        p,
    };
    let mut means = [0.02, 0.01, 0.9, 0.022].map(mean);
    hold_together(&mut means);
    // 4 × 0.01, 3 × 0.02, not less than that for 2 × 0.022, 1 × 0.9.
    assert_eq!(
        means.map(|mean| (mean.p * 1_000.0).round()),
        [60.0, 40.0, 900.0, 60.0]
    );
}
