//! The choice and the judgement, with known times.

use super::choice::choose;
use super::ratios::{Pair, Ratios, Verdict};
use crate::matrix::{Cell, Operation, Plan, Selection};

fn cells() -> Vec<Cell> {
    Plan::new(&Selection::default()).cells
}

fn numbers(cells: &[Cell]) -> Vec<u32> {
    cells.iter().map(|cell| cell.number).collect()
}

#[test]
fn the_choice_is_by_seed_and_from_every_operation() {
    let cells = cells();
    let all: Vec<&Cell> = cells.iter().collect();
    let six = choose(&all, 6, 1);
    assert_eq!(six.len(), 6);
    for operation in [Operation::Download, Operation::Upload, Operation::List] {
        let of_it = six.iter().filter(|cell| cell.operation == operation);
        assert_eq!(of_it.count(), 2, "{operation:?}");
    }
    assert!(numbers(&six).is_sorted());
    assert_eq!(numbers(&six), numbers(&choose(&all, 6, 1)));
    assert_ne!(numbers(&six), numbers(&choose(&all, 6, 2)));
    // An operation with fewer cells leaves its places to the others.
    let few: Vec<&Cell> = all.iter().copied().skip(26).take(4).collect();
    assert_eq!(numbers(&choose(&few, 6, 1)), [27, 28, 29, 30]);
}

/// Cells that took these milliseconds then and now.
fn judged(times_ms: &[(&[u64], &[u64])], within: f64) -> Ratios {
    let ns = |times: &[u64]| times.iter().map(|ms| ms * 1_000_000).collect();
    let cells = cells().into_iter();
    let pairs = cells.zip(times_ms).map(|(cell, (then, now))| Pair {
        cell,
        then_ns: ns(then),
        now_ns: ns(now),
    });
    Ratios::of(pairs.collect(), within)
}

fn verdicts(ratios: &Ratios) -> Vec<Verdict> {
    ratios.rows.iter().map(|row| row.verdict).collect()
}

#[test]
fn a_machine_of_another_speed_changes_no_ratio() {
    let ratios = judged(
        &[(&[10], &[31, 30, 29]), (&[200], &[600]), (&[50], &[150])],
        1.2,
    );
    assert!(ratios.holds());
    assert!((ratios.common.unwrap() - 3.0).abs() < 1e-9);
    assert_eq!(ratios.pair_counts(), (3, 3));
}

#[test]
fn a_cell_that_was_never_measured_like_that_is_named() {
    use Verdict::{DoesNotHold, Holds};
    // All cells are said to have taken the same time.
    let ratios = judged(
        &[
            (&[100], &[10, 11, 12]),
            (&[100], &[100, 101, 102]),
            (&[100], &[1_000, 1_001, 1_002]),
        ],
        2.0,
    );
    assert_eq!(verdicts(&ratios), [DoesNotHold, Holds, DoesNotHold]);
    assert_eq!(ratios.pair_counts(), (0, 3));
    assert!((ratios.rows[0].relative.unwrap() - 11.0 / 101.0).abs() < 1e-9);
}

#[test]
fn one_disturbed_sample_proves_nothing() {
    // Three times as long in the middle, but once as expected.
    let ratios = judged(
        &[(&[10], &[10, 30, 31]), (&[20], &[20]), (&[30], &[30])],
        2.0,
    );
    assert!(ratios.holds(), "{ratios:?}");
}

#[test]
fn a_cell_that_fails_here_holds_nothing() {
    let ratios = judged(&[(&[10], &[]), (&[20], &[20]), (&[30], &[30])], 2.0);
    assert_eq!(verdicts(&ratios)[0], Verdict::Failed);
    assert_eq!((ratios.failed_len(), ratios.holds()), (1, false));
    assert_eq!(ratios.common, Some(1.0));
    let none = judged(&[(&[10], &[]), (&[20], &[])], 2.0);
    assert_eq!((none.common, none.pair_counts()), (None, (0, 0)));
}
