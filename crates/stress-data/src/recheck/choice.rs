//! Which cells are measured again: by a seed, in turn from every operation. Pure.

use std::collections::BTreeMap;

use crate::matrix::Cell;
use crate::schedule::shuffle;

/// Up to `len` of `cells`, in the order of their numbers.
#[must_use]
pub fn choose(cells: &[&Cell], len: usize, seed: u64) -> Vec<Cell> {
    let mut order: Vec<usize> = (0..cells.len()).collect();
    shuffle(&mut order, seed);
    let mut by_operation: BTreeMap<_, Vec<&Cell>> = BTreeMap::new();
    for index in order {
        let cell = cells[index];
        by_operation.entry(cell.operation).or_default().push(cell);
    }
    let mut chosen: Vec<Cell> = Vec::new();
    // One of each operation in turn, as long as there are any.
    let rounds = by_operation.values().map(Vec::len).max().unwrap_or(0);
    for round in 0..rounds {
        let of_round = by_operation.values().filter_map(|cells| cells.get(round));
        chosen.extend(of_round.map(|cell| (*cell).clone()));
    }
    chosen.truncate(len);
    chosen.sort_by_key(|cell| cell.number);
    chosen
}
