//! Histories that are a register's, and such that are none; and small ones against every order there is.

use proptest::prelude::*;

use super::What::{Delete, Exists, Read, Write};
use super::*;

fn at(begin: u64, end: u64, what: What<u8>) -> Operation<u8> {
    Operation {
        what,
        begin: Duration::from_millis(begin),
        end: Some(Duration::from_millis(end)),
    }
}

fn unanswered(begin: u64, what: What<u8>) -> Operation<u8> {
    Operation {
        what,
        begin: Duration::from_millis(begin),
        end: None,
    }
}

type Row<'a> = (&'a str, &'a [Operation<u8>], Result<(), Fault>);

const IS_THERE: What<u8> = Delete { was_there: true };
const IS_NOT: What<u8> = Delete { was_there: false };

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

fn what() -> impl Strategy<Value = What<u8>> {
    prop_oneof![
        3 => Just(Write(0)),
        1 => any::<bool>().prop_map(|was_there| Delete { was_there }),
        3 => prop::option::of(0u8..6).prop_map(Read),
        1 => any::<bool>().prop_map(Exists),
    ]
}

/// Up to six operations; no two write the same.
fn history() -> impl Strategy<Value = Vec<Operation<u8>>> {
    let operation = (what(), 0u64..12, 1u64..8, prop::bool::weighted(0.8));
    prop::collection::vec(operation, 0..7).prop_map(|operations| {
        let with_index = operations.into_iter().zip(0u8..);
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
fn fits_some_order(operations: &[Operation<u8>], done: u32, value: Option<u8>) -> bool {
    let left = |it: &usize| done & (1 << it) == 0;
    let indices = || (0..operations.len()).filter(left);
    if indices().all(|it| operations[it].end.is_none()) {
        return true;
    }
    indices().any(|it| {
        let begin = operations[it].begin;
        let is_next = indices().all(|other| operations[other].end.is_none_or(|end| end >= begin));
        let what = operations[it].what;
        let after = match operations[it].end {
            Some(_) => what.on(value),
            None if matches!(what, Write(_) | Delete { .. }) => Some(effect(what)),
            None => None,
        };
        is_next && after.is_some_and(|after| fits_some_order(operations, done | (1 << it), after))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_history_is_a_registers_exactly_if_some_order_fits(history in history()) {
        prop_assert_eq!(check(&history).is_ok(), fits_some_order(&history, 0, None));
    }
}
