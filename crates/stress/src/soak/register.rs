//! Whether the answers about one file fit one order of the operations: a file is a register that is written as a whole,
//! removed as a whole and read as a whole, and each operation takes effect at one moment between its request and its
//! answer.
//!
//! Requests and answers are gone through in the order of their times. Beside them goes every state that the register
//! may be in: what it holds, and which of the operations under way have taken effect. At an answer, those states remain
//! in which that operation has; if there are none, no order fits. An operation is let take effect only when an answer
//! wants it, so there are few states.
//!
//! An operation without an answer may take effect at any later moment, or never. It does where, and only where, an
//! answer can be explained by it: until then nobody can tell whether it has.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::time::Duration;

/// More states than that are not gone through: the history is not decided.
const STATES_MAX: usize = 100_000;

/// What was done with a file, and what the answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What<V> {
    /// It was uploaded.
    Write(V),
    /// It was deleted, and was there or not.
    Delete { was_there: bool },
    /// It was downloaded, or was not there.
    Read(Option<V>),
    /// It was listed, or not.
    Exists(bool),
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<V> {
    pub(super) what: What<V>,
    /// When the request began to be sent.
    pub(super) begin: Duration,
    /// When all of the answer was there; none if it never was.
    pub(super) end: Option<Duration>,
}

impl<V> Operation<V> {
    /// One that was asked and answered at the same moment.
    pub(super) const fn at(moment: Duration, what: What<V>) -> Self
    where
        V: Copy,
    {
        Self {
            what,
            begin: moment,
            end: Some(moment),
        }
    }
}

/// Why a history is no register's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// No order gives the answer of the operation with this index.
    NoOrder(usize),
    /// Too many operations at once.
    Undecided(usize),
}

/// What the register holds, and which operations under way have taken effect; those without an answer stay in
/// `effective` for good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State<V> {
    value: Option<V>,
    effective: BTreeSet<usize>,
}

/// Looks for an order. Nothing is stored at first.
///
/// # Errors
/// The first answer that fits none.
pub(super) fn check<V>(operations: &[Operation<V>]) -> Result<(), Fault>
where
    V: Copy + Eq + std::hash::Hash + fmt::Debug,
{
    let mut moments: Vec<(Duration, bool, usize)> = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        moments.push((operation.begin, false, index));
        moments.extend(operation.end.map(|end| (end, true, index)));
    }
    // At the same time a request is before an answer: they may have overlapped.
    moments.sort_unstable();
    let mut under_way: Vec<usize> = Vec::new();
    let mut unanswered: Vec<usize> = Vec::new();
    let first = State {
        value: None,
        effective: BTreeSet::new(),
    };
    let mut states = HashSet::from([first]);
    for (_, is_answer, index) in moments {
        if !is_answer {
            match operations[index] {
                Operation { end: Some(_), .. } => under_way.push(index),
                Operation {
                    what: What::Write(_) | What::Delete { .. },
                    ..
                } => unanswered.push(index),
                _ => {}
            }
            continue;
        }
        states = with_effect(operations, &under_way, &unanswered, states, index)
            .ok_or(Fault::Undecided(index))?;
        if states.is_empty() {
            return Err(Fault::NoOrder(index));
        }
        under_way.retain(|it| *it != index);
    }
    Ok(())
}

/// The states in which `wanted` has taken effect, that these states may become; none if they are too many.
fn with_effect<V: Copy + Eq + std::hash::Hash>(
    operations: &[Operation<V>],
    under_way: &[usize],
    unanswered: &[usize],
    states: HashSet<State<V>>,
    wanted: usize,
) -> Option<HashSet<State<V>>> {
    let mut seen = states.clone();
    let mut rest: Vec<State<V>> = states.into_iter().collect();
    let mut found = HashSet::new();
    while let Some(mut state) = rest.pop() {
        if state.effective.remove(&wanted) {
            found.insert(state);
            continue;
        }
        for &index in under_way {
            if state.effective.contains(&index) {
                continue;
            }
            let what = operations[index].what;
            let explanations = unanswered
                .iter()
                .filter(|it| !state.effective.contains(it))
                .filter_map(|&it| Some((what.on(effect(operations[it].what))?, Some(it))));
            let by_itself = what.on(state.value).map(|value| (value, None));
            let ways: Vec<_> = match by_itself {
                Some(way) => vec![way],
                None => explanations.collect(),
            };
            for (value, explained_by) in ways {
                let mut next = State {
                    value,
                    effective: state.effective.clone(),
                };
                next.effective.insert(index);
                next.effective.extend(explained_by);
                if seen.insert(next.clone()) {
                    rest.push(next);
                }
            }
        }
        if seen.len() > STATES_MAX {
            return None;
        }
    }
    Some(found)
}

impl<V: Copy + Eq> What<V> {
    /// What the register holds after it, if it can take effect on what it holds.
    fn on(self, value: Option<V>) -> Option<Option<V>> {
        let (is_possible, after) = match self {
            Self::Write(written) => (true, Some(written)),
            Self::Delete { was_there } => (value.is_some() == was_there, None),
            Self::Read(read) => (value == read, value),
            Self::Exists(exists) => (value.is_some() == exists, value),
        };
        is_possible.then_some(after)
    }
}

/// What the register holds after an operation without an answer.
const fn effect<V: Copy>(what: What<V>) -> Option<V> {
    match what {
        What::Write(written) => Some(written),
        What::Delete { .. } | What::Read(_) | What::Exists(_) => None,
    }
}

#[cfg(test)]
mod tests;
