//! The journal against itself: what its lines say must be possible, and must add up. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{Beginning, Contents, Sample};
use crate::matrix::Operation;
use crate::measurement::{Measurement, ServerChoice, Settings, Status, Verify};
use crate::reconcile::reconcile;
use crate::record::{Outcome, Record};
use crate::size::counted_as;

use super::{Finding, edges, server, timeline};

const JOURNAL: &str = "journal.ndjson";

/// Everything about `contents` that cannot be.
pub(super) fn check(contents: &Contents) -> Vec<Finding> {
    let mut findings = sessions(contents);
    findings.extend(overlaps(contents));
    findings.extend(order(contents));
    findings.extend(session_lengths(contents));
    findings.extend(retaken(contents));
    findings.extend(unplanned(contents));
    findings.extend(timelines(contents));
    for sample in contents.all_samples() {
        let place = place(&sample.measurement);
        let problems = sample_problems(contents, sample).into_iter();
        findings.extend(problems.map(|what| Finding::new(JOURNAL, &place, what)));
    }
    findings
}

fn place(measurement: &Measurement) -> String {
    named((measurement.cell.number, measurement.repeat))
}

fn named((number, repeat): (u32, u32)) -> String {
    format!("row {number}, repeat {repeat}")
}

fn sessions(contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut expect = |holds: bool, place: String, what: &str| {
        if !holds {
            findings.push(Finding::new(JOURNAL, place, what));
        }
    };
    let mut known = BTreeSet::new();
    for (number, session) in (0..).zip(&contents.sessions) {
        known.insert(session.number);
        let place = format!("session {}", session.number);
        expect(session.number == number, place, "it is not in its place");
    }
    let mut ended = BTreeSet::new();
    for end in &contents.ends {
        let place = format!("session {}", end.session);
        let is_known = known.contains(&end.session);
        expect(is_known, place.clone(), "it ended and never began");
        expect(ended.insert(end.session), place, "it ended twice");
    }
    for sample in contents.all_samples() {
        let is_known = known.contains(&sample.session);
        let place = place(&sample.measurement);
        expect(is_known, place, "it belongs to no session");
    }
    findings
}

/// One sample is measured at a time: the windows of a session's samples cannot overlap. Across sessions the clock
/// may have begun anew.
fn overlaps(contents: &Contents) -> Vec<Finding> {
    let mut windows: BTreeMap<u32, Vec<(u64, u64, String)>> = BTreeMap::new();
    for sample in contents.all_samples() {
        let records = &sample.measurement.records;
        let released = records.iter().map(|record| record.released_ns);
        let ended = records.iter().filter_map(|record| record.ended_ns).max();
        if let (Some(from @ 1..), Some(to)) = (released.min(), ended) {
            let of_session = windows.entry(sample.session).or_default();
            of_session.push((from, to, place(&sample.measurement)));
        }
    }
    let mut findings = Vec::new();
    for of_session in windows.values_mut() {
        of_session.sort_unstable();
        for pair in of_session.windows(2) {
            if pair[1].0 < pair[0].1 {
                let what = format!("it was measured at the same time as {}", pair[0].2);
                findings.push(Finding::new(JOURNAL, &pair[1].2, what));
            }
        }
    }
    findings
}

/// A sample is in the journal before the next one begins. The clock of the records never steps back, so that samples in
/// another order have one another's records.
fn order(contents: &Contents) -> Vec<Finding> {
    let is_swapped = |before: &Beginning, after: &Beginning| after.released_ns < before.released_ns;
    swapped(contents, is_swapped, |before| {
        format!(
            "its clients were released before those of {before}, whose line stands before it: records were exchanged, or lines"
        )
    })
}

/// What is strange, and can be: the clock of the calendar is set back now and then.
pub(super) fn warnings(contents: &Contents) -> Vec<Finding> {
    let is_swapped = |before: &Beginning, after: &Beginning| after.started_utc < before.started_utc;
    swapped(contents, is_swapped, |before| {
        format!(
            "by the calendar it began before {before}, whose line stands before it: a clock that was set back, or an edited time"
        )
    })
}

/// What there is to say, by the name of the one before, of each sample that is swapped with the one before it in its
/// session.
fn swapped(
    contents: &Contents,
    is_swapped: impl Fn(&Beginning, &Beginning) -> bool,
    say: impl Fn(String) -> String,
) -> Vec<Finding> {
    let pairs = contents.beginnings.windows(2).map(|it| (&it[0], &it[1]));
    let found = pairs.filter(|(one, next)| one.session == next.session && is_swapped(one, next));
    let finding = |(one, next): (&Beginning, &Beginning)| {
        Finding::new(JOURNAL, named(next.sample), say(named(one.sample)))
    };
    found.map(finding).collect()
}

/// The samples of a session took no longer than the session.
fn session_lengths(contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    for end in &contents.ends {
        let samples = contents.all_samples();
        let of_session = samples.filter(|sample| sample.session == end.session);
        let sum: u64 = of_session.filter_map(|sample| sample.wall_ns).sum();
        if sum > end.wall_ns {
            let what = format!("its samples took {sum} ns, and all of it {}", end.wall_ns);
            let place = format!("session {}", end.session);
            findings.push(Finding::new(JOURNAL, place, what));
        }
    }
    findings
}

/// Only what was not ok may have been taken again, and in a later session.
fn retaken(contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    for earlier in &contents.retaken {
        let measurement = &earlier.measurement;
        let key = (measurement.cell.number, measurement.repeat);
        let later = contents.samples.get(&key);
        let is_later = later.is_some_and(|later| later.session > earlier.session);
        if measurement.status == Status::Ok || !is_later {
            let what =
                "it was taken twice, though only what is not ok is taken again, by a later start";
            findings.push(Finding::new(JOURNAL, place(measurement), what));
        }
    }
    findings
}

/// Samples beyond those that are planned.
fn unplanned(contents: &Contents) -> Vec<Finding> {
    let fingerprint = &contents.header.fingerprint;
    let (repeats, warmups) = (fingerprint.repeats, fingerprint.settings.warmup);
    let counted = contents.samples.values().chain(&contents.retaken);
    let counted = counted.map(|sample| (sample, "samples", repeats));
    let warming = contents.warmups.iter();
    let all = counted.chain(warming.map(|sample| (sample, "warm-ups", warmups)));
    let beyond = all.filter(|(sample, _, planned)| sample.measurement.repeat >= *planned);
    let finding = |(sample, kind, planned): (&Sample, &str, u32)| {
        let what = format!("only {planned} {kind} are planned");
        Finding::new(JOURNAL, place(&sample.measurement), what)
    };
    beyond.map(finding).collect()
}

/// Each row has one timeline at most, and what its server served fits what its clients did.
fn timelines(contents: &Contents) -> Vec<Finding> {
    let repeats = contents.header.fingerprint.repeats;
    let mut drawn = BTreeSet::new();
    let mut findings = Vec::new();
    for timeline in &contents.timelines {
        let measurement = &timeline.sample.measurement;
        let mut problems = timeline::problems(timeline);
        if measurement.repeat != repeats || !drawn.insert(measurement.cell.number) {
            problems.push("a row has one timeline, taken after its samples".into());
        }
        let place = place(measurement);
        let problems = problems.into_iter();
        findings.extend(problems.map(|what| Finding::new(JOURNAL, &place, what)));
    }
    findings
}

fn sample_problems(contents: &Contents, sample: &Sample) -> Vec<String> {
    let fingerprint = &contents.header.fingerprint;
    let measurement = &sample.measurement;
    let mut problems = Vec::new();
    let mut expect = |holds: bool, what: &dyn Fn() -> String| {
        if !holds {
            problems.push(what());
        }
    };
    let number = measurement.cell.number;
    let mut planned = fingerprint.cells.iter();
    let planned = planned.find(|cell| cell.number == number);
    expect(planned == Some(&measurement.cell), &|| {
        "no such row is in the plan".into()
    });
    if !sample.is_taken() {
        let is_empty = measurement.records.is_empty()
            && measurement.ready.is_none()
            && measurement.done.is_none();
        expect(is_empty, &|| {
            let status = measurement.status.as_str();
            format!("its status is {status}, but something was measured")
        });
        return problems;
    }
    let settings = &*fingerprint.settings.of(&measurement.cell);
    problems.extend(status_problem(measurement, settings));
    problems.extend(record_problems(measurement, settings));
    problems.extend(server::problems(measurement, settings));
    problems.extend(edges::problems(sample, settings, &fingerprint.machine));
    problems.extend(length_problem(sample));
    problems
}

/// A sample has its window in it.
fn length_problem(sample: &Sample) -> Option<String> {
    let (wall, window) = (sample.wall_ns?, sample.measurement.window()?.as_nanos());
    (u128::from(wall) < window)
        .then(|| format!("the whole sample took {wall} ns, and its window alone {window}"))
}

/// The status that was written must be the one that the facts give.
fn status_problem(measurement: &Measurement, settings: &Settings) -> Vec<String> {
    let requests = settings.requests(&measurement.cell);
    let has_no_ledger = measurement.done.is_none();
    // Our server leaves a ledger or is lost; of a foreign one only the notes know whether it was.
    let possible: &[bool] = match (&settings.server, has_no_ledger) {
        (_, false) => &[false],
        (ServerChoice::Own, true) => &[true],
        (ServerChoice::Command(_) | ServerChoice::Target { .. }, true) => &[false, true],
    };
    let possible = possible.iter();
    let verdicts: Vec<_> = possible
        .map(|is_lost| reconcile(measurement, requests, *is_lost))
        .collect();
    let said = measurement.status;
    let is_inconsistent = said == Status::Inconsistent;
    // A part of an upload that nobody vouched for was found on the disk: only its note is left of that.
    let has_note_of_it = is_inconsistent && !measurement.notes.is_empty();
    if has_note_of_it || verdicts.iter().any(|verdict| verdict.status == said) {
        return Vec::new();
    }
    let follows = verdicts[0].status.as_str();
    let why = match verdicts[0].violations.join("; ") {
        why if why.is_empty() => why,
        why => format!(" ({why})"),
    };
    vec![format!(
        "its status is {}, but {follows} follows from its records and the server's ledger{why}",
        said.as_str()
    )]
}

fn record_problems(measurement: &Measurement, settings: &Settings) -> Vec<String> {
    let records = &measurement.records;
    let mut problems = Vec::new();
    let released = records.first().map(|record| record.released_ns);
    let mut all = records.iter();
    if !all.all(|record| Some(record.released_ns) == released) {
        problems.push("its clients were not released at one time".to_owned());
    }
    let volume = match (measurement.cell.operation, settings.verify) {
        (Operation::List, _) | (_, Verify::Off) => None,
        _ => Some(measurement.cell.volume),
    };
    // By client and request, as they are written.
    let mut before: Option<&Record> = None;
    for record in records {
        let who = format!("client {}, request {}", record.client, record.request);
        let bytes = record.verified_bytes;
        if record.outcome == Outcome::Ok && volume.is_some_and(|volume| volume != bytes) {
            let bytes = counted_as(bytes, "byte is", "bytes are");
            problems.push(format!("{who}: {bytes} verified, not the volume"));
        }
        let is_early = |at: Option<u64>| {
            let started = record.started_ns;
            started.is_some() && at.is_some() && at < started
        };
        if record.started_ns.is_some_and(|at| at < record.released_ns)
            || is_early(record.connected_ns)
        {
            let what = "it started before the release, or was connected before it started";
            problems.push(format!("{who}: {what}"));
        }
        let same_client = before.filter(|before| before.client == record.client);
        let ended = same_client.and_then(|before| before.ended_ns);
        let began = record.started_ns.or(record.connected_ns);
        if ended > began && began.is_some() {
            let what = "it began before the one before it had ended";
            problems.push(format!("{who}: {what}"));
        }
        before = Some(record);
    }
    problems
}
