//! Several runs ranked by how long their subjects take beside a reference that each of them measured too. Machines differ
//! by a factor, often of two, and that factor is in both sides of a ratio. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::compare::Comparison;
use crate::compare::evidence::Mean;
use crate::matrix::{Cell, Operation};
use crate::measurement::{ServerChoice, Subject};
use crate::run::Run;
use crate::summary::metric::Metric;
use crate::verify::Checked;
use crate::verify::class::Member;

/// A run that was handed in.
#[derive(Debug)]
pub struct HandIn {
    /// What verifying it found.
    pub checked: Checked,
    /// What it is among all; its copies.
    pub member: Member,
    /// All of it; none if it cannot be read.
    pub run: Option<Run>,
}

/// A subject that is ranked, or a run in which there is none.
#[derive(Debug)]
pub struct Entry {
    /// The place of its run among those that were given.
    pub hand_in: usize,
    /// Its name in its run; empty if there is none.
    pub subject: String,
    /// What became of it.
    pub standing: Standing,
}

/// What became of a subject.
#[derive(Debug)]
pub enum Standing {
    /// It is ranked.
    Ranked {
        /// From 1.
        place: usize,
        /// Its time over the reference's: of all rows, if there are several operations, and of each operation.
        means: Vec<Mean>,
        /// Rows of the plan.
        rows: usize,
        /// Those of them that are not ok on either side, and in no mean.
        left_out: usize,
    },
    /// Nothing says how it is to the others; why.
    NotComparable(String),
    /// What it says is not what was measured; why.
    Unverified(String),
}

/// What two runs must have in common to be ranked together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Ruler {
    rows: BTreeSet<(Operation, u64, u32, u32)>,
    reference: String,
}

/// All runs: ranked ones by their ratio, the least first, then the others as they were given. The reference is the subject
/// of that name; without a name the subject that is our server, or else the first.
#[must_use]
pub fn rank(hand_ins: &[HandIn], reference: Option<&str>) -> Vec<Entry> {
    let mut ranked: Vec<(Ruler, Entry)> = Vec::new();
    let mut others = Vec::new();
    for (place, one) in hand_ins.iter().enumerate() {
        let entry = |subject: &str, standing| Entry {
            hand_in: place,
            subject: subject.to_owned(),
            standing,
        };
        match measured(one, reference) {
            Ok(found) => ranked.extend(
                found
                    .into_iter()
                    .map(|(ruler, subject, standing)| (ruler, entry(&subject, standing))),
            ),
            Err(standing) => others.push(entry("", standing)),
        }
    }
    let common = most_frequent(ranked.iter().map(|(ruler, _)| ruler));
    let (mut alike, mut unlike) = (Vec::new(), Vec::new());
    for (ruler, mut entry) in ranked {
        let why = common
            .as_ref()
            .and_then(|common| difference(&ruler, common));
        match (why, ratio(&entry)) {
            (None, Some(_)) => alike.push(entry),
            (why, _) => {
                let none = || "no row of it and of the reference is ok".to_owned();
                entry.standing = Standing::NotComparable(why.unwrap_or_else(none));
                unlike.push(entry);
            }
        }
    }
    alike.sort_by(|one, other| {
        let ratio = |entry| ratio(entry).unwrap_or(f64::INFINITY);
        ratio(one).total_cmp(&ratio(other))
    });
    for (index, entry) in alike.iter_mut().enumerate() {
        if let Standing::Ranked { place, .. } = &mut entry.standing {
            *place = index + 1;
        }
    }
    unlike.extend(others);
    unlike.sort_by_key(|entry| entry.hand_in);
    alike.extend(unlike);
    alike
}

/// The ratio that a subject is ranked by: of all rows, or of the only operation.
fn ratio(entry: &Entry) -> Option<f64> {
    match &entry.standing {
        Standing::Ranked { means, .. } => means.first().map(|mean| mean.ratio),
        Standing::NotComparable(_) | Standing::Unverified(_) => None,
    }
}

/// Each subject of a run but the reference, with what it was measured by.
fn measured(
    one: &HandIn,
    reference: Option<&str>,
) -> Result<Vec<(Ruler, String, Standing)>, Standing> {
    if let Some(finding) = one.checked.findings.first() {
        let more = match one.checked.findings.len() {
            1 => String::new(),
            len => format!(" (and {} more)", len - 1),
        };
        return Err(Standing::Unverified(format!("{finding}{more}")));
    }
    if !one.member.copies_of.is_empty() {
        let what = "it has samples in common with another run, or twice: stress verify names them";
        return Err(Standing::Unverified(what.into()));
    }
    let not_comparable = |why: String| Err(Standing::NotComparable(why));
    let Some(run) = &one.run else {
        return not_comparable("it cannot be read".into());
    };
    let subjects = run.subjects();
    let Some(reference) = chosen(subjects, reference) else {
        return not_comparable(match (subjects, reference) {
            ([], _) => {
                "nothing stands beside it in its run, and machines differ by two: stress --subject"
                    .into()
            }
            (_, name) => format!("it has no subject {}", name.unwrap_or_default()),
        });
    };
    let others = subjects.iter().filter(|it| it.name != reference.name);
    let entry = |subject: &Subject| {
        let names = [reference, subject].map(|it| it.name.as_str());
        let comparison = Comparison::of_subjects(run, names, Metric::TimePerClientS);
        let comparison = comparison.map_err(|why| Standing::NotComparable(why.to_string()))?;
        let standing = Standing::Ranked {
            place: 0,
            rows: comparison.changes.len(),
            left_out: comparison.left_out(),
            means: comparison.means,
        };
        Ok((Ruler::of(run, reference), subject.name.clone(), standing))
    };
    others.map(entry).collect()
}

fn chosen<'a>(subjects: &'a [Subject], name: Option<&str>) -> Option<&'a Subject> {
    let mut all = subjects.iter();
    match name {
        Some(name) => all.find(|it| it.name == name),
        None => all
            .find(|it| it.server == ServerChoice::Own)
            .or(subjects.first()),
    }
}

impl Ruler {
    fn of(run: &Run, reference: &Subject) -> Self {
        let settings = &run.contents.header.fingerprint.settings;
        let rows = run.rows_of(&reference.name).unwrap_or_default();
        let of = |cell: &Cell| (cell.operation, cell.volume, cell.clients, cell.servers);
        let (lists, transfers) = (settings.list_requests, settings.transfer_requests);
        let args = [&settings.server_args[..], &reference.server_args].concat();
        Self {
            rows: rows.iter().map(|row| of(&row.cell)).collect(),
            reference: format!(
                "{:?} {args:?}, durability {}, {transfers} and {lists} operations",
                reference.server, settings.durability
            ),
        }
    }
}

/// The first of those that come most often.
fn most_frequent<'a>(all: impl Iterator<Item = &'a Ruler>) -> Option<Ruler> {
    let mut counts: BTreeMap<&Ruler, usize> = BTreeMap::new();
    for ruler in all {
        *counts.entry(ruler).or_default() += 1;
    }
    let most = counts
        .into_iter()
        .reduce(|most, next| match next.1 > most.1 {
            true => next,
            false => most,
        });
    most.map(|(ruler, _)| ruler.clone())
}

/// Why a run cannot be ranked with those that are measured as most are.
fn difference(ruler: &Ruler, common: &Ruler) -> Option<String> {
    let missing = common.rows.difference(&ruler.rows).count();
    let added = ruler.rows.difference(&common.rows).count();
    match (missing, added) {
        (0, 0) if ruler.reference == common.reference => None,
        (0, 0) => Some(
            "its reference is another one, or was measured with other settings, than in most runs"
                .into(),
        ),
        _ => Some(format!(
            "it has other rows than most runs: {missing} are not planned, and {added} are besides"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Line;
    use crate::matrix::Selection;
    use crate::measurement::Status;
    use crate::record::{Outcome, Record};
    use crate::testing;
    use crate::verify::Finding;

    /// A run of two subjects, of which the second takes so many times as long, on a machine that is so many times slower.
    fn hand_in(factor: u64, machine: u64, change: impl Fn(&mut Selection)) -> HandIn {
        let mut selection = Selection {
            operations: vec![Operation::List],
            volumes: vec![1 << 20],
            clients: vec![1],
            servers: vec![1, 5],
            subjects: vec!["theirs".into(), "ours".into()],
            ..Selection::default()
        };
        change(&mut selection);
        let mut contents = testing::contents(&selection, 2);
        let subject = |name: &String| Subject {
            name: name.clone(),
            server: match name.as_str() {
                "ours" => ServerChoice::Own,
                _ => testing::foreign("s {port} {root}"),
            },
            server_args: Vec::new(),
            terminator: None,
        };
        let subjects = selection.subjects.iter().map(subject);
        contents.header.fingerprint.settings.subjects = subjects.collect();
        for index in 0..contents.header.fingerprint.cells.len() {
            for repeat in 0..2 {
                let mut measurement = testing::measurement(&contents, index, repeat, Status::Ok);
                let is_ours = measurement.cell.subject.as_deref() == Some("ours");
                let ms = if is_ours { 10 } else { 10 * factor };
                measurement.records = (0..20)
                    .map(|request| Record {
                        ended_ns: Some(u64::from(request + 1) * ms * machine * 1_000_000),
                        verified_bytes: 1,
                        outcome: Outcome::Ok,
                        ..Record::not_sent(0, request)
                    })
                    .collect();
                contents.add(Line::Sample(Box::new(testing::sample(measurement))));
            }
        }
        HandIn {
            checked: Checked::default(),
            member: Member {
                missing: Vec::new(),
                copies_of: BTreeSet::new(),
            },
            run: Some(Run::new("run".into(), contents)),
        }
    }

    fn words(entries: &[Entry]) -> Vec<String> {
        let word = |entry: &Entry| {
            let what = match &entry.standing {
                Standing::Ranked { place, means, .. } => format!("{place}: {:.1}", means[0].ratio),
                Standing::NotComparable(why) => format!("not comparable: {why}"),
                Standing::Unverified(why) => format!("unverified: {why}"),
            };
            format!("{} {what}", entry.hand_in)
        };
        entries.iter().map(word).collect()
    }

    #[test]
    fn a_slow_machine_changes_no_place_and_what_has_no_ratio_has_none() {
        let mut edited = hand_in(1, 1, |_| {});
        edited.checked.findings = vec![Finding::new("summary.csv", "row 1", "it was edited")];
        let mut copied = hand_in(1, 1, |_| {});
        copied.member.copies_of = BTreeSet::from([0]);
        let alone = hand_in(1, 1, |it| it.subjects.clear());
        let hand_ins = [
            hand_in(3, 1, |_| {}),
            hand_in(2, 9, |_| {}),
            edited,
            copied,
            alone,
            hand_in(1, 1, |it| it.servers.truncate(1)),
        ];
        let found = words(&rank(&hand_ins, None));
        assert_eq!(found[..2], ["1 1: 2.0", "0 2: 3.0"]);
        let starts = [
            "2 unverified: summary.csv, row 1: it was edited",
            "3 unverified: it has samples in common",
            "4 not comparable: nothing stands beside it",
            "5 not comparable: it has other rows than most runs: 1 are not planned",
        ];
        for (found, start) in found[2..].iter().zip(starts) {
            assert!(found.starts_with(start), "{found}");
        }
        // The other way round, and one that no run has.
        let found = words(&rank(&hand_ins[..2], Some("theirs")));
        assert_eq!(found, ["0 1: 0.3", "1 2: 0.5"]);
        let found = words(&rank(&hand_ins[..1], Some("nginx")));
        assert_eq!(found, ["0 not comparable: it has no subject nginx"]);
    }
}
