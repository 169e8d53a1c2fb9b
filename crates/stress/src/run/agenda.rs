//! What is still to be measured, and what of it comes next.

use std::collections::VecDeque;
use std::time::Duration;

use stress_data::journal::Contents;
use stress_data::matrix::Cell;
use stress_data::measurement::{BUDGET_NOTE, Settings};
use stress_data::schedule::Turn;

use super::budget::{self, Candidate, Cost, Costs, Kind};
use super::progress::whole_seconds;

/// What ending takes (stopping a sample, the tables, their verification) out of a budget: a second, and a fiftieth
/// of it, as a budget of hours has large tables.
const RESERVE_MIN: Duration = Duration::from_secs(1);
const RESERVE_SHARE: u32 = 50;

/// The samples to take.
pub(super) enum Agenda<'a> {
    /// All of them, in their order.
    Listed(VecDeque<Turn>),
    /// As many as a budget allows, the cheap ones first.
    Budgeted(Budgeted<'a>),
}

/// See [`crate::run::budget`].
pub(super) struct Budgeted<'a> {
    /// When the last sample has to be over, from the start of the session.
    end: Duration,
    left: Vec<Candidate>,
    /// Samples that do not count, taken just before the first of their row that does.
    warmups: Vec<Turn>,
    costs: Costs,
    cells: &'a [Cell],
    settings: &'a Settings,
    /// The sample before: those of the other subjects follow it.
    last: Option<Turn>,
}

impl<'a> Agenda<'a> {
    /// Everything in `turns`.
    pub(super) fn listed(turns: &[Turn]) -> Self {
        Self::Listed(turns.iter().copied().collect())
    }

    /// What of `turns` fits into `budget`, given what earlier samples in `contents` took.
    pub(super) fn budgeted(
        turns: &[Turn],
        budget: Duration,
        contents: &Contents,
        cells: &'a [Cell],
        settings: &'a Settings,
    ) -> Self {
        let mut costs = Costs::default();
        for sample in contents.all_samples().filter(|sample| sample.is_taken()) {
            if let Some(ns) = sample.wall_ns {
                let measurement = &sample.measurement;
                let cost = Cost::new(Duration::from_nanos(ns), measurement.window());
                costs.learn(Kind::of(&measurement.cell, settings), cost);
            }
        }
        let (warmups, counted): (Vec<Turn>, Vec<Turn>) =
            turns.iter().partition(|turn| turn.is_warmup);
        let candidate = |turn: &Turn| Candidate::new(*turn, &cells[turn.index], settings);
        Self::Budgeted(Budgeted {
            end: sampling_end(budget),
            left: counted.iter().map(candidate).collect(),
            warmups,
            costs,
            cells,
            settings,
            last: None,
        })
    }

    /// The sample to take now, `elapsed` after the start of the session.
    pub(super) fn next(&mut self, elapsed: Duration) -> Option<Turn> {
        match self {
            Self::Listed(turns) => turns.pop_front(),
            Self::Budgeted(budgeted) => {
                let left = budgeted.end.saturating_sub(elapsed);
                let index = budgeted.next(left)?;
                let cell = budgeted.left[index].turn.index;
                let mut warmups = budgeted.warmups.iter();
                if let Some(place) = warmups.position(|warmup| warmup.index == cell) {
                    return Some(budgeted.warmups.remove(place));
                }
                budgeted.last = Some(budgeted.left[index].turn);
                Some(budgeted.left.remove(index).turn)
            }
        }
    }

    /// A sample of `cell` took that long.
    pub(super) fn learn(&mut self, cell: &Cell, cost: Cost) {
        if let Self::Budgeted(budgeted) = self {
            let kind = Kind::of(cell, budgeted.settings);
            budgeted.costs.learn(kind, cost);
        }
    }

    /// The sample in hand was ended with the budget: it could not be afforded either.
    pub(super) fn put_back(&mut self, turn: Turn, cell: &Cell) {
        if let Self::Budgeted(budgeted) = self
            && !turn.is_warmup
        {
            let candidate = Candidate::new(turn, cell, budgeted.settings);
            budgeted.left.push(candidate);
        }
    }

    /// What is left over when nothing fits any more, in the table's order: of each row the first sample, and why it is not
    /// taken.
    pub(super) fn left_over(self, elapsed: Duration) -> Vec<(Turn, String)> {
        let Self::Budgeted(Budgeted {
            end,
            mut left,
            costs,
            ..
        }) = self
        else {
            return Vec::new();
        };
        left.sort_by_key(|candidate| (candidate.turn.index, candidate.turn.repeat));
        left.dedup_by_key(|candidate| candidate.turn.index);
        let rest = end.saturating_sub(elapsed);
        let why_not = |it: Candidate| (it.turn, why(costs.predict(it.kind), rest));
        left.into_iter().map(why_not).collect()
    }
}

impl Budgeted<'_> {
    /// The place of the sample to take next: what stands beside the one before, if it fits, else the cheapest, or what
    /// comes before it of those beside it, so that subjects take turns to begin.
    fn next(&self, left: Duration) -> Option<usize> {
        let beside = |last: Turn| {
            let cell = &self.cells[last.index];
            let mut all = self.left.iter();
            all.position(|it| {
                it.turn.repeat == last.repeat
                    && self.cells[it.turn.index].is_beside(cell)
                    && self.costs.predict(it.kind).unwrap_or_default() <= left
            })
        };
        let following = || self.last.filter(|_| !left.is_zero()).and_then(beside);
        let cheapest = || {
            let index = budget::next(&self.left, &self.costs, left)?;
            beside(self.left[index].turn)
        };
        following().or_else(cheapest)
    }
}

/// When sampling has to be over for a run to end within `budget`.
pub(super) fn sampling_end(budget: Duration) -> Duration {
    budget.saturating_sub(RESERVE_MIN.max(budget / RESERVE_SHARE))
}

fn why(predicted: Option<Duration>, rest: Duration) -> String {
    match predicted {
        Some(predicted) if predicted > rest => format!(
            "{BUDGET_NOTE} it would take about {}, and {} were left",
            in_words(predicted),
            in_words(rest)
        ),
        _ => format!("{BUDGET_NOTE} no time was left"),
    }
}

/// Short times with a decimal: what is left and what is needed are often near each other at the end.
fn in_words(time: Duration) -> String {
    match time {
        time if time < Duration::from_mins(1) => format!("{:.1} s", time.as_secs_f64()),
        time => whole_seconds(time),
    }
}
