//! Made-up samples, copied and changed as somebody might who wants to hide it.

use crate::matrix::Selection;
use crate::measurement::Status;
use crate::record::Outcome;

use super::*;
use crate::schedule::split_mix;
use crate::testing;

/// A run of all 81 cells with times from `seed`: microseconds to milliseconds, as real ones are.
fn run(seed: u64) -> Contents {
    let mut contents = testing::contents(&Selection::default(), 1);
    let mut state = seed;
    for index in 0..81 {
        let mut measurement = testing::measurement(&contents, index, 0, Status::Ok);
        let released_ns = 1_000_000_000_000 + split_mix(&mut state) % 1_000_000_000;
        let clients = measurement.cell.clients;
        measurement.records = (0..clients)
            .map(|client| record(client, released_ns, &mut state))
            .collect();
        contents
            .samples
            .insert((measurement.cell.number, 0), testing::sample(measurement));
    }
    contents
}

fn record(client: u32, released_ns: u64, state: &mut u64) -> Record {
    let mut interval = |from: u64, spread: u64| from + split_mix(state) % spread;
    let connected_ns = released_ns + interval(40_000, 60_000);
    let first_byte_ns = connected_ns + interval(60_000, 400_000);
    let ended_ns = first_byte_ns + interval(1_000, 8_000_000);
    Record {
        released_ns,
        connected_ns: Some(connected_ns),
        first_byte_ns: Some(first_byte_ns),
        ended_ns: Some(ended_ns),
        bytes: 1,
        verified_bytes: 1,
        outcome: Outcome::Ok,
        ..Record::not_sent(client, 0)
    }
}

/// How many pairs of samples are found between two runs, after `change` of a copy of the first.
fn found(change: impl Fn(&mut Contents)) -> usize {
    let original = run(1);
    let mut copy = original.clone();
    change(&mut copy);
    let prints = [Prints::of(&original), Prints::of(&copy)];
    let copies = find(&[&prints[0], &prints[1]]);
    copies
        .iter()
        .filter(|copies| copies.runs == (0, 1))
        .map(|copies| copies.pairs.len())
        .sum()
}

fn each_record(contents: &mut Contents, mut change: impl FnMut(&mut Record)) {
    for sample in contents.samples.values_mut() {
        sample.measurement.records.iter_mut().for_each(&mut change);
    }
}

fn times(record: &mut Record) -> [&mut u64; 4] {
    [
        &mut record.released_ns,
        record.connected_ns.as_mut().unwrap(),
        record.first_byte_ns.as_mut().unwrap(),
        record.ended_ns.as_mut().unwrap(),
    ]
}

#[test]
fn runs_of_their_own_are_never_copies() {
    let runs: Vec<Prints> = (1..=10)
        .map(|seed| Prints::of(&run(seed * 1_000)))
        .collect();
    let prints: Vec<&Prints> = runs.iter().collect();
    assert_eq!(find(&prints), []);
}

#[test]
fn a_copy_is_found_whatever_its_clock_says() {
    assert_eq!(found(|_| {}), 81);
    let shift = |contents: &mut Contents| {
        each_record(contents, |record| {
            times(record)
                .into_iter()
                .for_each(|time| *time += 987_654_321);
        });
    };
    assert_eq!(found(shift), 81);
}

#[test]
fn a_copy_is_found_with_some_of_its_records_changed() {
    // One time of every operation, by a little: those with one client, 27 of 81, cannot be told then.
    let nudge = |contents: &mut Contents| {
        each_record(contents, |record| *record.ended_ns.as_mut().unwrap() += 1);
    };
    assert_eq!(found(nudge), 54);
    // Every third operation altogether.
    let replace = |contents: &mut Contents| {
        let mut state = 5;
        each_record(contents, |old| {
            if old.client % 3 == 1 {
                *old = record(old.client, old.released_ns, &mut state);
            }
        });
    };
    assert_eq!(found(replace), 81);
}

#[test]
fn a_copy_is_found_in_another_order_and_under_another_number() {
    let shuffle = |contents: &mut Contents| {
        for sample in contents.samples.values_mut() {
            let clients = sample.measurement.cell.clients;
            sample.measurement.records.reverse();
            for record in &mut sample.measurement.records {
                record.client = clients - 1 - record.client;
            }
            sample.measurement.cell.number += 1_000;
        }
    };
    assert_eq!(found(shuffle), 81);
}

#[test]
fn a_copy_with_all_times_multiplied_is_found_where_there_are_many_operations() {
    let stretch = |contents: &mut Contents| {
        each_record(contents, |record| {
            let released = record.released_ns;
            for time in times(record) {
                *time = released + (*time - released) * 107 / 100;
            }
        });
    };
    // Those with fifty clients.
    assert_eq!(found(stretch), 27);
}

#[test]
fn a_sample_copied_within_its_run_is_found_and_named() {
    let mut contents = run(1);
    let records = contents.samples[&(5, 0)].measurement.records.clone();
    let target = contents.samples.get_mut(&(8, 0)).unwrap();
    target.measurement.records = records;
    let prints = Prints::of(&contents);
    let copies = find(&[&prints]);
    let names = ["results/x".to_owned()];
    let texts: Vec<String> = copies.iter().map(|copies| copies.text(&names)).collect();
    assert_eq!(
        texts,
        [
            "within results/x: 1 sample is a copy (of 81 and 81): row 5 repeat 0 and row 8 repeat 0, 5 of 5 operations to the nanosecond"
        ]
    );
    let json = serde_json::to_value(copies[0].json(&names)).unwrap();
    assert_eq!(json["pairs"][0]["no"], serde_json::json!([5, 8]));
}
