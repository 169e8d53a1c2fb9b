//! Whether the answers about one file fit one order of the operations: a file is a register that is written as a whole,
//! removed as a whole and read as a whole, and each operation takes effect at one moment between its request and its
//! answer.
//!
//! Requests and answers are gone through in the order of their times. Beside them goes every state that the register
//! may be in: what it holds, and which of the operations under way have taken effect. At an answer, those states remain
//! in which that operation has; if there are none, no order fits. An operation that changes the register is let take
//! effect only when an answer wants it. One without an answer may take effect at any later moment, or never.
//!
//! There are many orders, and few that need to be tried:
//! - An operation that fits what the register holds, and does not change it, takes effect at once: later it might not
//!   fit.
//! - A content stays until every download that finds it has taken effect: no two uploads have the same.
//! - A content that no download is still to find is like any other such: the file is there. So uploads of such contents
//!   are alike, and deletes that found the file are. Of those under way the first to be answered takes effect first,
//!   and one without an answer last.
//! - Of two states that differ only in how many operations without an answer they needed, the one that needed fewer can
//!   become whatever the other can.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
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

/// What the register holds, as far as an answer can still tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Held<V> {
    Nothing,
    /// A content that no download is still to find.
    Something,
    This(V),
}

/// What the register may hold, and how it came to.
#[derive(Debug, Clone)]
struct State<V> {
    held: Held<V>,
    /// Which of the operations under way have taken effect, by index.
    effective: Vec<usize>,
    needed: Unanswered,
}

/// How many uploads that nobody has seen, and how many deletes, have no answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Unanswered {
    writes: usize,
    deletes: usize,
}

/// The states that were found, and what each has needed at least.
type States<V> = HashMap<(Held<V>, Vec<usize>), Vec<Unanswered>>;

/// Looks for an order. Nothing is stored at first, and no two uploads have the same content.
///
/// # Errors
/// The first answer that fits no order of what was done until then.
pub(super) fn check<V>(operations: &[Operation<V>]) -> Result<(), Fault>
where
    V: Copy + Eq + Hash + fmt::Debug,
{
    let found = look_for_order(operations);
    let Err(Fault::NoOrder(_)) = found else {
        return found;
    };
    // It was stopped by what comes later, perhaps.
    let mut answers: Vec<_> = (0..operations.len())
        .filter_map(|index| Some((operations[index].end?, index)))
        .collect();
    answers.sort_unstable();
    let fits = |last: &(Duration, usize)| {
        let mut until_then = operations.to_vec();
        for (index, operation) in until_then.iter_mut().enumerate() {
            operation.end = operation.end.filter(|&end| (end, index) <= *last);
        }
        look_for_order(&until_then).is_ok()
    };
    let (_, first) = answers[answers.partition_point(fits)];
    Err(Fault::NoOrder(first))
}

/// Stops where it is certain that there is none.
fn look_for_order<V>(operations: &[Operation<V>]) -> Result<(), Fault>
where
    V: Copy + Eq + Hash + fmt::Debug,
{
    let mut search = Search::new(operations);
    let mut states = States::new();
    states.insert((Held::Nothing, Vec::new()), vec![Unanswered::default()]);
    for (_, moment, index) in moments(operations) {
        if moment == Moment::Request {
            search.begin(index);
            continue;
        }
        states = search
            .with_effect(states, index)
            .ok_or(Fault::Undecided(index))?;
        if states.is_empty() {
            return Err(Fault::NoOrder(index));
        }
        search.end(index);
    }
    Ok(())
}

/// What may happen at one time, in this order: a request and an answer at the same time may have overlapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Request,
    Answer,
    /// An upload without an answer has been downloaded: it has taken effect.
    Seen,
}

fn moments<V: Copy + Eq + Hash>(operations: &[Operation<V>]) -> Vec<(Duration, Moment, usize)> {
    let mut moments = Vec::new();
    let mut seen = HashMap::new();
    for (index, operation) in operations.iter().enumerate() {
        moments.push((operation.begin, Moment::Request, index));
        moments.extend(operation.end.map(|end| (end, Moment::Answer, index)));
        if let (What::Read(Some(version)), Some(end)) = (operation.what, operation.end) {
            let first = seen.entry(version).or_insert(end);
            *first = end.min(*first);
        }
    }
    let mut written = HashSet::new();
    for (index, operation) in operations.iter().enumerate() {
        let What::Write(version) = operation.what else {
            continue;
        };
        assert!(written.insert(version), "two uploads have the same content");
        if let (None, Some(&at)) = (operation.end, seen.get(&version)) {
            moments.push((at, Moment::Seen, index));
        }
    }
    moments.sort_unstable();
    moments
}

/// What is known of all states alike.
#[derive(Debug)]
struct Search<'a, V> {
    operations: &'a [Operation<V>],
    /// In the order of their answers; none of those that may never take effect.
    under_way: Vec<usize>,
    unanswered: Unanswered,
    /// Downloads of each content that are still to be answered.
    reads_left: HashMap<V, usize>,
}

impl<'a, V: Copy + Eq + Hash> Search<'a, V> {
    fn new(operations: &'a [Operation<V>]) -> Self {
        let mut reads_left = HashMap::new();
        for operation in operations.iter().filter(|it| it.end.is_some()) {
            if let What::Read(Some(version)) = operation.what {
                *reads_left.entry(version).or_default() += 1;
            }
        }
        Self {
            operations,
            under_way: Vec::new(),
            unanswered: Unanswered::default(),
            reads_left,
        }
    }

    fn begin(&mut self, index: usize) {
        let Operation { what, end, .. } = self.operations[index];
        match (what, end) {
            (What::Write(version), None) if self.reads_left(version) == 0 => {
                self.unanswered.writes += 1;
            }
            (What::Delete { .. }, None) => self.unanswered.deletes += 1,
            (What::Read(_) | What::Exists(_), None) => {}
            _ => {
                let key = |it: usize| (self.operations[it].end, it);
                let at = self.under_way.partition_point(|&it| key(it) < key(index));
                self.under_way.insert(at, index);
            }
        }
    }

    /// It has taken effect in all states.
    fn end(&mut self, index: usize) {
        self.under_way.retain(|it| *it != index);
        if let What::Read(Some(version)) = self.operations[index].what {
            *self.reads_left.entry(version).or_default() -= 1;
        }
    }

    fn reads_left(&self, version: V) -> usize {
        self.reads_left.get(&version).copied().unwrap_or(0)
    }

    /// The states in which `wanted` has taken effect, that these states may become; none if they are too many.
    fn with_effect(&self, states: States<V>, wanted: usize) -> Option<States<V>> {
        let (mut seen, mut found) = (States::new(), States::new());
        let mut rest = Vec::new();
        let mut add = |rest: &mut Vec<_>, state: State<V>| {
            if insert(&mut seen, &state) {
                rest.push(state);
            }
            seen.len() <= STATES_MAX
        };
        for ((held, effective), all) in states {
            for needed in all {
                let effective = effective.clone();
                let state = State {
                    held,
                    effective,
                    needed,
                };
                add(&mut rest, self.settle(state));
            }
        }
        while let Some(mut state) = rest.pop() {
            if let Ok(at) = state.effective.binary_search(&wanted) {
                state.effective.remove(at);
                insert(&mut found, &state);
                continue;
            }
            for next in self.changes(&state) {
                if !add(&mut rest, next) {
                    return None;
                }
            }
        }
        Some(found)
    }

    /// Lets take effect what fits and changes nothing.
    fn settle(&self, mut state: State<V>) -> State<V> {
        let held = state.held;
        let is_there = held != Held::Nothing;
        let fits = |what| match what {
            What::Exists(exists) => exists == is_there,
            What::Read(None) | What::Delete { was_there: false } => !is_there,
            What::Read(Some(version)) => held == Held::This(version),
            What::Write(_) | What::Delete { was_there: true } => false,
        };
        for &index in &self.under_way {
            if fits(self.operations[index].what) {
                state.take_effect(index);
            }
        }
        if let Held::This(version) = held {
            let read = What::Read(Some(version));
            let effective = state.effective.iter();
            let reads = effective.filter(|&&it| self.operations[it].what == read);
            if reads.count() == self.reads_left(version) {
                state.held = Held::Something;
            }
        }
        state
    }

    /// What may come of one change.
    fn changes(&self, state: &State<V>) -> Vec<State<V>> {
        if matches!(state.held, Held::This(_)) {
            return Vec::new();
        }
        let mut all = Vec::new();
        let mut change = |held, by: Option<usize>| {
            let mut next = State {
                held,
                ..state.clone()
            };
            match (by, held) {
                (Some(index), _) => next.take_effect(index),
                (None, Held::Nothing) => next.needed.deletes += 1,
                (None, _) => next.needed.writes += 1,
            }
            all.push(self.settle(next));
        };
        let is_there = state.held != Held::Nothing;
        let (mut unseen, mut delete) = (None, None);
        let is_left = |it: &&usize| state.effective.binary_search(it).is_err();
        for &index in self.under_way.iter().filter(is_left) {
            match self.operations[index].what {
                What::Write(version) if self.reads_left(version) > 0 => {
                    change(Held::This(version), Some(index));
                }
                What::Write(_) => unseen = unseen.or(Some(index)),
                What::Delete { was_there: true } => delete = delete.or(Some(index)),
                _ => {}
            }
        }
        if unseen.is_some() || !is_there && state.needed.writes < self.unanswered.writes {
            change(Held::Something, unseen);
        }
        if is_there && (delete.is_some() || state.needed.deletes < self.unanswered.deletes) {
            change(Held::Nothing, delete);
        }
        all
    }
}

impl<V> State<V> {
    fn take_effect(&mut self, index: usize) {
        if let Err(at) = self.effective.binary_search(&index) {
            self.effective.insert(at, index);
        }
    }
}

/// Whether it is new: none that has needed as little is the same otherwise.
fn insert<V: Copy + Eq + Hash>(states: &mut States<V>, state: &State<V>) -> bool {
    let is_no_more =
        |a: &Unanswered, b: &Unanswered| a.writes <= b.writes && a.deletes <= b.deletes;
    let known = states
        .entry((state.held, state.effective.clone()))
        .or_default();
    if known.iter().any(|it| is_no_more(it, &state.needed)) {
        return false;
    }
    known.retain(|it| !is_no_more(&state.needed, it));
    known.push(state.needed);
    true
}

#[cfg(test)]
mod tests;
