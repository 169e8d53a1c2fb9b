//! What changed between two runs, combination by combination, and whether it means anything.

pub mod evidence;
pub mod matching;
pub mod verdict;

use crate::fingerprint::Fingerprint;
use crate::journal::Contents;
use crate::run::Run;
use crate::shift::Interval;
use crate::summary::Row;
use crate::summary::metric::Metric;
use crate::{Unusable, size};

use evidence::{Mean, Sampled};
use matching::Matching;
use verdict::{Change, Verdict};

/// Two runs beside each other, or two subjects of one run.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// What they are called.
    pub names: (String, String),
    /// Both are of one run, and were measured in turns: what differs is not the machine.
    pub is_one_run: bool,
    /// The figure that is compared.
    pub metric: Metric,
    /// What differs in how and on what the runs were made: name, old, new.
    pub conditions: Vec<(String, String, String)>,
    /// Which rows belong together.
    pub matching: Matching<'a>,
    /// What became of each.
    pub changes: Vec<Change<'a>>,
    /// Of all rows, and of each operation.
    pub means: Vec<Mean>,
}

impl<'a> Comparison<'a> {
    /// How `metric` changed from `old` to `new`.
    ///
    /// # Errors
    /// The two have nothing in common.
    pub fn new(old: &'a Run, new: &'a Run, metric: Metric) -> Result<Self, Unusable> {
        let conditions = conditions(
            &old.contents.header.fingerprint,
            &new.contents.header.fingerprint,
        );
        let [old, new] = [old, new].map(|run| Side {
            name: &run.name,
            contents: &run.contents,
            rows: &run.rows,
        });
        Self::of(old, new, metric, conditions)
    }

    /// How `metric` of the subject `name` of `run` is to that of its subject `reference`.
    ///
    /// # Errors
    /// The run has no such subject.
    pub fn of_subjects(
        run: &'a Run,
        [reference, name]: [&'a str; 2],
        metric: Metric,
    ) -> Result<Self, Unusable> {
        let [old, new] = [reference, name].map(|name| {
            let rows = run.rows_of(name).ok_or_else(|| no_subject(run, name))?;
            Ok(Side {
                name,
                contents: &run.contents,
                rows,
            })
        });
        let (old, new) = (old?, new?);
        let first = |side: &Side<'a>| &side.rows[0].cell;
        let fingerprint = &run.contents.header.fingerprint;
        let conditions = fingerprint.conditions_of(first(&old), first(&new));
        Self::of(old, new, metric, conditions)
    }

    fn of(
        old: Side<'a>,
        new: Side<'a>,
        metric: Metric,
        conditions: Vec<(String, String, String)>,
    ) -> Result<Self, Unusable> {
        let matching = Matching::new(old.rows, new.rows);
        if matching.pairs.is_empty() {
            return Err(nothing_in_common(&old, &new));
        }
        let is_subject = |side: &Side<'_>| side.rows[0].cell.subject.as_deref() == Some(side.name);
        let is_one_run = is_subject(&old) && is_subject(&new);
        let pairs = matching.pairs.iter();
        let mut changes: Vec<Change<'a>> = pairs
            .map(|pair| {
                let rows = [(pair.0, old.contents), (pair.1, new.contents)];
                Change::new(rows, metric, is_one_run)
            })
            .collect();
        let sampled: Vec<Sampled> = changes.iter().map(|it| it.sampled.clone()).collect();
        for (change, chance) in changes.iter_mut().zip(evidence::row_chances(&sampled)) {
            change.judge(chance, is_one_run.then_some(metric));
        }
        Ok(Self {
            names: (old.name.to_owned(), new.name.to_owned()),
            is_one_run,
            metric,
            conditions,
            matching,
            changes,
            means: evidence::means(&sampled),
        })
    }

    /// How many rows got worse.
    #[must_use]
    pub fn regressions(&self) -> usize {
        let changes = self.changes.iter();
        changes.filter(|change| self.is_regression(change)).count()
    }

    /// Whether a program that watches over regressions should stop here: a mean or a row is worse by more than chance.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        let mut means = self.means.iter();
        means.any(|mean| mean.is_sure() && self.is_to_the_bad(mean.ratio)) || self.regressions() > 0
    }

    /// Whether the row was ok and is not any more, or differs to the bad.
    #[must_use]
    pub fn is_regression(&self, change: &Change<'_>) -> bool {
        match (change.verdict, change.shift) {
            (Verdict::Broken | Verdict::Worse, _) => true,
            (Verdict::Differs, Some(shift)) => self.is_to_the_bad(shift.ratio),
            _ => false,
        }
    }

    /// Whether a ratio is one for the worse.
    #[must_use]
    pub fn is_to_the_bad(&self, ratio: f64) -> bool {
        self.metric.is_worse(ratio)
    }

    /// How many rows cannot be compared: something is not as it should be, on either side.
    #[must_use]
    pub fn left_out(&self) -> usize {
        let changes = self.changes.iter();
        changes
            .filter(|change| change.sampled.pairs.is_empty())
            .count()
    }

    /// How many intervals do not hold "no change", how many would not by chance alone, and how many intervals there are.
    #[must_use]
    pub fn beside_none(&self) -> (usize, f64, usize) {
        let shifts = self.changes.iter().filter_map(|change| change.shift);
        let intervals: Vec<Interval> = shifts.filter_map(|shift| shift.interval).collect();
        let beside = intervals.iter().filter(|it| !it.holds_one()).count();
        let by_chance = intervals.iter().map(|it| 1.0 - it.confidence).sum();
        (beside, by_chance, intervals.len())
    }
}

/// One of two that are compared.
struct Side<'a> {
    name: &'a str,
    contents: &'a Contents,
    rows: &'a [Row],
}

fn no_subject(run: &Run, name: &str) -> Unusable {
    let subjects = run.subjects();
    let known: Vec<&str> = subjects.iter().map(|it| it.name.as_str()).collect();
    Unusable(match known[..] {
        [] => format!(
            "{} has no subjects, of which one could be compared with another: name two runs, or measure it with --subject (stress --help)",
            run.name
        ),
        _ => format!(
            "{} has no subject {name}: it has {}",
            run.name,
            known.join(", ")
        ),
    })
}

fn nothing_in_common(old: &Side<'_>, new: &Side<'_>) -> Unusable {
    let subjects = |side: &Side<'_>| {
        let subjects = side.contents.header.fingerprint.settings.subjects.iter();
        let names: Vec<&str> = subjects.map(|it| it.name.as_str()).collect();
        names.join(", ")
    };
    let (then, now) = (subjects(old), subjects(new));
    let why = match then.is_empty() || now.is_empty() {
        true => String::new(),
        false => format!(
            ": subjects are matched by their names, which are {then} in the one and {now} in the other"
        ),
    };
    Unusable(format!(
        "{} and {} have no combination of operation, volume and workers in common{why}",
        old.name, new.name
    ))
}

/// What besides the cells and their number is not the same.
fn conditions(old: &Fingerprint, new: &Fingerprint) -> Vec<(String, String, String)> {
    let mut found = old.conditions(new);
    let bytes = |text: &mut String| {
        if let Ok(bytes) = text.parse() {
            *text = size::approximate(bytes);
        }
    };
    for (name, old, new) in &mut found {
        if name == "memory_bytes" {
            bytes(old);
            bytes(new);
        }
    }
    // A few pages that another kernel keeps for itself are no difference to a reader.
    found.retain(|(_, old, new)| old != new);
    found
}
