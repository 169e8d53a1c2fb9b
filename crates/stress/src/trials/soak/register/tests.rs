//! Histories that are a register's, and such that are none; and small ones against every order there is.

use proptest::prelude::*;

use super::What::{Delete, Exists, Read, Write};
use super::*;
use crate::corpus::split_mix;

fn at(begin: u64, end: u64, what: What<u32>) -> Operation<u32> {
    Operation {
        what,
        begin: Duration::from_millis(begin),
        end: Some(Duration::from_millis(end)),
    }
}

fn unanswered(begin: u64, what: What<u32>) -> Operation<u32> {
    Operation {
        what,
        begin: Duration::from_millis(begin),
        end: None,
    }
}

type Row<'a> = (&'a str, &'a [Operation<u32>], Result<(), Fault>);

const IS_THERE: What<u32> = Delete { was_there: true };
const IS_NOT: What<u32> = Delete { was_there: false };

#[test]
fn answers_fit_an_order_or_none() {
    #[rustfmt::skip]
    let table: &[Row<'_>] = &[
        ("nothing", &[], Ok(())),
        ("nothing is there at first", &[at(0, 1, Read(None)), at(2, 3, IS_NOT), at(4, 5, Exists(false))], Ok(())),
        ("read what was never written", &[at(0, 1, Read(Some(1)))], Err(Fault::NoOrder(0))),
        ("read what was written", &[at(0, 1, Write(1)), at(2, 3, Read(Some(1)))], Ok(())),
        ("an acknowledged upload is lost", &[at(0, 1, Write(1)), at(2, 3, Read(None))], Err(Fault::NoOrder(1))),
        ("lost from the list", &[at(0, 1, Write(1)), at(2, 3, Exists(false))], Err(Fault::NoOrder(1))),
        ("an old content comes back", &[at(0, 1, Write(1)), at(2, 3, Write(2)), at(4, 5, Read(Some(1)))],
            Err(Fault::NoOrder(2))),
        ("while it is written, old or new", &[at(0, 1, Write(1)), at(2, 9, Write(2)), at(3, 4, Read(Some(1))),
            at(5, 6, Read(Some(2)))], Ok(())),
        ("but not new, then old", &[at(0, 1, Write(1)), at(2, 9, Write(2)), at(3, 4, Read(Some(2))),
            at(5, 6, Read(Some(1)))], Err(Fault::NoOrder(3))),
        ("two at once, in either order", &[at(0, 9, Write(1)), at(0, 9, Write(2)), at(10, 11, Read(Some(1)))], Ok(())),
        ("but in one", &[at(0, 9, Write(1)), at(0, 9, Write(2)), at(10, 11, Read(Some(1))), at(12, 13, Read(Some(2)))],
            Err(Fault::NoOrder(3))),
        ("deleted once", &[at(0, 1, Write(1)), at(2, 9, IS_THERE), at(2, 9, IS_NOT)], Ok(())),
        ("deleted twice", &[at(0, 1, Write(1)), at(2, 9, IS_THERE), at(2, 9, IS_THERE)], Err(Fault::NoOrder(2))),
        ("a deleted file comes back", &[at(0, 1, Write(1)), at(2, 3, IS_THERE), at(4, 5, Read(Some(1)))],
            Err(Fault::NoOrder(2))),
        ("no answer, no effect", &[unanswered(0, Write(1)), at(2, 3, Read(None))], Ok(())),
        ("no answer, a late effect", &[unanswered(0, Write(1)), at(2, 3, Read(None)), at(4, 5, Read(Some(1)))], Ok(())),
        ("no answer, one effect", &[unanswered(0, Write(1)), at(2, 3, Read(Some(1))), at(4, 5, IS_THERE),
            at(6, 7, Read(Some(1)))], Err(Fault::NoOrder(3))),
        ("no answer to a delete", &[at(0, 1, Write(1)), unanswered(2, IS_THERE), at(3, 4, Read(Some(1))),
            at(5, 6, Read(None)), at(7, 8, Exists(false))], Ok(())),
        ("an effect before its request", &[at(0, 1, Read(Some(1))), unanswered(2, Write(1))], Err(Fault::NoOrder(0))),
    ];
    for (what, history, expected) in table {
        assert_eq!(check(history), *expected, "{what}");
    }
}

fn what() -> impl Strategy<Value = What<u32>> {
    prop_oneof![
        3 => Just(Write(0)),
        1 => any::<bool>().prop_map(|was_there| Delete { was_there }),
        3 => prop::option::of(0u32..6).prop_map(Read),
        1 => any::<bool>().prop_map(Exists),
    ]
}

/// Up to seven operations; no two write the same.
fn history() -> impl Strategy<Value = Vec<Operation<u32>>> {
    let operation = (what(), 0u64..12, 1u64..8, prop::bool::weighted(0.8));
    prop::collection::vec(operation, 0..8).prop_map(|operations| {
        let with_index = operations.into_iter().zip(0u32..);
        with_index
            .map(|((what, begin, length, is_answered), index)| {
                let what = if what == Write(0) { Write(index) } else { what };
                match is_answered {
                    true => at(begin, begin + length, what),
                    false => unanswered(begin, what),
                }
            })
            .collect()
    })
}

/// Every order that the times allow, each operation without an answer in it or not.
fn fits_some_order(operations: &[Operation<u32>], done: u32, value: Option<u32>) -> bool {
    let left = |it: &usize| done & (1 << it) == 0;
    let indices = || (0..operations.len()).filter(left);
    if indices().all(|it| operations[it].end.is_none()) {
        return true;
    }
    indices().any(|it| {
        let Operation { what, begin, end } = operations[it];
        let is_next = indices().all(|other| operations[other].end.is_none_or(|end| end >= begin));
        let after = match (end, what) {
            (Some(_), _) => what.on(value),
            (None, Write(written)) => Some(Some(written)),
            (None, Delete { .. }) => Some(None),
            (None, Read(_) | Exists(_)) => None,
        };
        is_next && after.is_some_and(|after| fits_some_order(operations, done | (1 << it), after))
    })
}

/// The first answer with which what was done until then fits no order.
fn first_that_fits_none(operations: &[Operation<u32>]) -> Option<usize> {
    let end = |it: usize| operations[it].end.map(|end| (end, it));
    let mut answers: Vec<_> = (0..operations.len()).filter_map(end).collect();
    answers.sort_unstable();
    let fits_none = |last: &(Duration, usize)| {
        let mut until_then = operations.to_vec();
        for (index, operation) in until_then.iter_mut().enumerate() {
            operation.end = operation.end.filter(|&end| (end, index) <= *last);
        }
        !fits_some_order(&until_then, 0, None)
    };
    answers.into_iter().find(fits_none).map(|(_, index)| index)
}

impl What<u32> {
    /// What the register holds after it, if it can take effect on what it holds.
    fn on(self, value: Option<u32>) -> Option<Option<u32>> {
        let (is_possible, after) = match self {
            Write(written) => (true, Some(written)),
            Delete { was_there } => (value.is_some() == was_there, None),
            Read(read) => (value == read, value),
            Exists(exists) => (value.is_some() == exists, value),
        };
        is_possible.then_some(after)
    }
}

/// What clients did with one register without a pause: one of `1 / unanswered` has no answer, and half of those no effect.
fn lived(seed: u64, count: u32, clients: u32, unanswered: u64) -> Vec<Operation<u32>> {
    let mut state = seed;
    let mut random = move |bound: u64| split_mix(&mut state) % bound;
    let mut free_from = vec![0; clients as usize];
    let mut effects = Vec::new();
    for index in 0..count {
        let free_from = &mut free_from[(index % clients) as usize];
        let begin = *free_from + random(3);
        let end = begin + 1 + random(20);
        *free_from = end + 1;
        let answered = (random(unanswered) > 0).then_some(end);
        effects.push((begin + random(end - begin), index, begin, answered));
    }
    effects.sort_unstable();
    let mut value = None;
    let operation = |(_, index, begin, end): (u64, u32, u64, Option<u64>)| {
        let was_there = value.is_some();
        let (what, after) = match random(16) {
            0..7 => (Write(index), Some(index)),
            7..12 => (Read(value), value),
            12..14 => (Exists(was_there), value),
            _ => (Delete { was_there }, None),
        };
        if end.is_some() || random(2) == 0 {
            value = after;
        }
        Operation {
            what,
            begin: Duration::from_millis(begin),
            end: end.map(Duration::from_millis),
        }
    };
    effects.into_iter().map(operation).collect()
}

/// One that was lived, but for one answer.
fn almost_lived() -> impl Strategy<Value = Vec<Operation<u32>>> {
    let history = (any::<u64>(), 0..8u32, 1..5u32)
        .prop_map(|(seed, count, clients)| lived(seed, count, clients, 4));
    (history, any::<prop::sample::Index>(), what()).prop_map(|(mut history, index, what)| {
        if let (false, Read(_) | Delete { .. } | Exists(_)) = (history.is_empty(), what) {
            let index = index.index(history.len());
            history[index].what = what;
        }
        history
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_first_answer_that_fits_no_order_is_found_exactly_if_there_is_one(
        history in prop_oneof![history(), almost_lived()]
    ) {
        let expected = first_that_fits_none(&history).map_or(Ok(()), |it| Err(Fault::NoOrder(it)));
        prop_assert_eq!(check(&history), expected);
    }
}

#[test]
fn what_six_clients_did_all_the_time_is_decided() {
    let mut history = lived(1, 3_000, 6, 50);
    assert_eq!(check(&history), Ok(()));
    let is_read = |it: &Operation<u32>| matches!(it.what, Read(Some(_))) && it.end.is_some();
    let first = history.iter().position(is_read).unwrap();
    let last = history.iter().rposition(is_read).unwrap();
    history[last].what = history[first].what;
    let replaced = Err(Fault::NoOrder(last));
    assert_eq!(check(&history), replaced, "a content of long ago");
}
