//! The order in which samples are taken.

use crate::matrix::Cell;

words! {
    /// How the samples of a run follow each other.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum Order {
        /// One sample of every cell, then the next of every cell, each round in an order of its own that comes
        /// from the seed: what drifts on the machine then spreads over all cells. A single round is in the order of
        /// the table.
        Interleaved = "interleaved",
        /// All samples of the first cell, then all of the second.
        Listed = "listed",
    }
}

/// One sample to take: the cell by its place in the plan, and the repeat or the round of warming up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Index into the plan's cells.
    pub index: usize,
    /// From 0.
    pub repeat: u32,
    /// It does not count.
    pub is_warmup: bool,
}

/// What `turns` are preceded by: so many samples of each of their cells that do not count, in the order of the
/// plan. One round after the other, or with [`Order::Listed`] all of a cell just before its first that counts.
#[must_use]
pub fn with_warmup(turns: Vec<Turn>, warmup: u32, order: Order) -> Vec<Turn> {
    let mut indices: Vec<usize> = turns.iter().map(|turn| turn.index).collect();
    indices.sort_unstable();
    indices.dedup();
    let warm = |index, repeat| Turn {
        index,
        repeat,
        is_warmup: true,
    };
    match order {
        Order::Interleaved => (0..warmup)
            .flat_map(|round| indices.iter().map(move |index| warm(*index, round)))
            .chain(turns.iter().copied())
            .collect(),
        Order::Listed => turns
            .into_iter()
            .flat_map(|turn| {
                let is_first = indices.iter().position(|index| *index == turn.index);
                let rounds = is_first.map_or(0, |place| {
                    indices.swap_remove(place);
                    warmup
                });
                let warmups = (0..rounds).map(move |round| warm(turn.index, round));
                warmups.chain([turn])
            })
            .collect(),
    }
}

/// All samples of `cells`, in order. Those of cells that differ in the subject alone follow each other, and another one
/// begins in each round, and in every other place of a round: no subject always comes first, or after the same one.
#[must_use]
pub fn turns(cells: &[Cell], repeats: u32, order: Order, seed: u64) -> Vec<Turn> {
    let groups = beside(cells);
    let of_group = |place: usize, repeat: u32| {
        let mut group = groups[place].clone();
        let first = (place + repeat as usize) % group.len();
        group.rotate_left(first);
        group.into_iter().map(move |index| counted(index, repeat))
    };
    let places = 0..groups.len();
    match order {
        Order::Listed => places
            .flat_map(|place| (0..repeats).map(move |repeat| (place, repeat)))
            .flat_map(|(place, repeat)| of_group(place, repeat))
            .collect(),
        Order::Interleaved => (0..repeats)
            .flat_map(|repeat| {
                let mut round: Vec<usize> = places.clone().collect();
                if repeats > 1 {
                    shuffle(&mut round, seed ^ u64::from(repeat) << 32);
                }
                round.into_iter().map(move |place| (place, repeat))
            })
            .flat_map(|(place, repeat)| of_group(place, repeat))
            .collect(),
    }
}

/// The places of the cells, those together that differ in the subject alone.
fn beside(cells: &[Cell]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        let known = cell.subject.as_ref().and_then(|_| {
            let mut groups = groups.iter_mut();
            groups.find(|group| cells[group[0]].is_beside(cell))
        });
        match known {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

const fn counted(index: usize, repeat: u32) -> Turn {
    Turn {
        index,
        repeat,
        is_warmup: false,
    }
}

/// Fisher and Yates's shuffle. The remainder's bias is below cells ÷ 2^64.
pub(crate) fn shuffle(values: &mut [usize], seed: u64) {
    let mut state = seed;
    for last in (1..values.len()).rev() {
        let chosen = split_mix(&mut state) % (last as u64 + 1);
        values.swap(last, usize::try_from(chosen).unwrap_or(last));
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine.
pub const fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Plan, Selection};

    fn order_of(repeats: u32, order: Order, seed: u64) -> Vec<(usize, u32)> {
        let cells = Plan::new(&Selection::default()).cells;
        turns(&cells, repeats, order, seed)
            .iter()
            .map(|turn| (turn.index, turn.repeat))
            .collect()
    }

    #[test]
    fn a_single_round_is_in_the_order_of_the_table() {
        let listed: Vec<_> = (0..81).map(|index| (index, 0)).collect();
        assert_eq!(order_of(1, Order::Interleaved, 1), listed);
        assert_eq!(order_of(1, Order::Listed, 1), listed);
    }

    #[test]
    fn listed_takes_all_samples_of_a_cell_together() {
        assert_eq!(
            order_of(2, Order::Listed, 1)[..4],
            [(0, 0), (0, 1), (1, 0), (1, 1)]
        );
    }

    #[test]
    fn interleaved_rounds_hold_every_cell_once_and_differ_from_each_other() {
        let turns = order_of(3, Order::Interleaved, 1);
        let rounds: Vec<Vec<usize>> = turns
            .chunks(81)
            .map(|round| round.iter().map(|turn| turn.0).collect())
            .collect();
        for (repeat, round) in rounds.iter().enumerate() {
            assert!(
                turns[repeat * 81..][..81]
                    .iter()
                    .all(|turn| turn.1 as usize == repeat)
            );
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..81).collect::<Vec<_>>());
        }
        assert_ne!(rounds[0], rounds[1]);
        assert_ne!(rounds[1], rounds[2]);
    }

    #[test]
    fn warming_up_comes_first_and_is_for_the_cells_that_are_left() {
        let cells = Plan::new(&Selection::default()).cells;
        let words = |order| -> Vec<String> {
            let mut left = turns(&cells, 2, order, 1);
            left.retain(|turn| turn.index < 2);
            let all = with_warmup(left, 2, order);
            let word = |turn: &Turn| {
                let mark = if turn.is_warmup { "w" } else { "" };
                format!("{mark}{}.{}", turn.index, turn.repeat)
            };
            all.iter().map(word).collect()
        };
        assert_eq!(
            words(Order::Listed),
            ["w0.0", "w0.1", "0.0", "0.1", "w1.0", "w1.1", "1.0", "1.1"]
        );
        assert_eq!(
            words(Order::Interleaved)[..4],
            ["w0.0", "w1.0", "w0.1", "w1.1"]
        );
        assert_eq!(words(Order::Interleaved).len(), 8);
        let none = turns(&cells, 2, Order::Listed, 1);
        assert_eq!(with_warmup(none.clone(), 0, Order::Listed), none);
    }

    #[test]
    fn subjects_of_one_cell_follow_each_other_and_take_turns_to_begin() {
        let selection = Selection {
            subjects: vec!["one".into(), "two".into()],
            ..Selection::default()
        };
        let cells = Plan::new(&selection).cells;
        assert_eq!(cells.len(), 162);
        for (repeats, order) in [
            (1, Order::Interleaved),
            (4, Order::Interleaved),
            (4, Order::Listed),
        ] {
            let all = turns(&cells, repeats, order, 7);
            assert_eq!(all.len(), 162 * repeats as usize);
            let mut begins = 0;
            for pair in all.chunks(2) {
                let [one, two] = [pair[0], pair[1]].map(|turn| &cells[turn.index]);
                assert!(one.is_beside(two) && one.subject != two.subject);
                assert_eq!(pair[0].repeat, pair[1].repeat);
                begins += usize::from(one.subject.as_deref() == Some("one"));
            }
            // 81 places are odd: one of a round begins once more.
            assert!(
                begins.abs_diff(81 * repeats as usize / 2) <= 1,
                "{begins} of {repeats}"
            );
            let warm = with_warmup(all.clone(), 1, order);
            let counted = warm.iter().filter(|turn| !turn.is_warmup).copied();
            assert_eq!(counted.collect::<Vec<_>>(), all);
            assert_eq!(warm.len(), all.len() + cells.len());
        }
    }

    #[test]
    fn the_seed_alone_decides_the_order() {
        assert_eq!(
            order_of(5, Order::Interleaved, 7),
            order_of(5, Order::Interleaved, 7)
        );
        assert_ne!(
            order_of(5, Order::Interleaved, 7),
            order_of(5, Order::Interleaved, 8)
        );
    }
}
