//! Rows of made-up samples with known times.

mod flags;
mod tables;

use proto::announce::{Connections, Counts, Done, Requests, WorkerLedger};

use super::*;
use crate::matrix::{Plan, Selection};
use crate::measurement::Measurement;
use crate::record::Record;
use crate::testing;

const MS: u64 = 1_000_000;

/// An operation that ended `ended_ms` after the release.
fn record(client: u32, ended_ms: u64, outcome: Outcome) -> Record {
    let bytes = if outcome == Outcome::Ok { 10 << 20 } else { 0 };
    Record {
        client,
        request: 0,
        released_ns: 1_000 * MS,
        started_ns: None,
        connected_ns: Some(1_001 * MS),
        first_byte_ns: Some(1_002 * MS),
        ended_ns: Some((1_000 + ended_ms) * MS),
        bytes: 10 << 20,
        verified_bytes: bytes,
        outcome,
        detail: (outcome != Outcome::Ok).then(|| "it broke".into()),
    }
}

fn worker(slot: u32, accepted: u64) -> WorkerLedger {
    let connections = Connections {
        accepted,
        closed: accepted,
        ..Connections::default()
    };
    WorkerLedger {
        slot,
        pid: 1,
        generations: 1,
        crashes: 0,
        counts: Counts {
            connections,
            requests: Requests::default(),
        },
        cpu_user_us: None,
        cpu_system_us: None,
        peak_rss_bytes: None,
    }
}

fn done(workers: Vec<WorkerLedger>) -> Done {
    Done {
        reason: "drained".into(),
        stop_ms: 1,
        workers,
        sum: Counts::default(),
        cpu_user_us: 2_000,
        cpu_system_us: 1_500,
        peak_rss_bytes: Some(3 << 20),
        crashes: 0,
        balanced: true,
    }
}

/// A sample of cell 5: download of 10M with 5 clients and 5 server workers.
fn sample(repeat: u32, status: Status, records: Vec<Record>) -> Sample {
    let workers = (0..5)
        .map(|slot| worker(slot, u64::from(slot < 3)))
        .collect();
    let cell = &Plan::new(&Selection::default()).cells[4];
    let measurement = Measurement {
        records,
        done: Some(done(workers)),
        client_cpu_us: Some(4_000),
        ..Measurement::empty(cell, repeat, "2026-11-24T04:00:00Z".into(), status)
    };
    testing::sample(measurement)
}

fn all_ok(repeat: u32, first_ms: u64) -> Sample {
    let records =
        (0..5).map(|client| record(client, first_ms + 10 * u64::from(client), Outcome::Ok));
    sample(repeat, Status::Ok, records.collect())
}

fn row_of(repeats: u32, samples: Vec<Sample>) -> Row {
    let mut contents = testing::contents(&Selection::default(), repeats);
    for sample in samples {
        contents.add(crate::journal::Line::Sample(Box::new(sample)));
    }
    rows(&contents).swap_remove(4)
}

fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

#[test]
fn the_figures_of_one_sample_follow_from_its_records() {
    let row = row_of(1, vec![all_ok(0, 100)]);
    assert_eq!(row.status, Status::Ok);
    assert_eq!((row.repeats, row.samples), (1, 1));
    // Clients end after 100, 110, 120, 130 and 140 ms.
    let time = Spread {
        median: 120 * MS,
        min: 120 * MS,
        max: 120 * MS,
        mad: None,
    };
    assert_eq!(row.time_ns, Some(time));
    assert_eq!(row.first_done, ms(100));
    assert_eq!(row.makespan, ms(140));
    assert_eq!(row.aggregate_bytes_per_s, Some(374_491_429));
    // 50 MiB in 600 ms of all clients together.
    assert_eq!(row.throughput_bytes_per_s, Some(87_381_333));
    assert_eq!(row.connect, ms(1));
    assert_eq!(row.first_byte, ms(2));
    assert_eq!(row.clients, Some(ClientCounts { ok: 5, failed: 0 }));
    assert_eq!(
        row.server_workers,
        Some(ServerWorkers {
            ok: 3,
            failed: 0,
            idle: 2
        })
    );
    assert_eq!(row.server_cpu, Some(Duration::from_micros(3_500)));
    assert_eq!(row.client_cpu, Some(Duration::from_micros(4_000)));
    assert_eq!(row.server_peak_rss_bytes, Some(3 << 20));
    assert_eq!(row.top_outcome, Some(Outcome::Ok));
    assert_eq!(row.durability, None);
}

#[test]
fn repeats_give_the_median_and_the_spread_of_their_means() {
    let row = row_of(3, vec![all_ok(0, 100), all_ok(1, 180), all_ok(2, 110)]);
    // Means of 120, 200 and 130 ms.
    let time = Spread {
        median: 130 * MS,
        min: 120 * MS,
        max: 200 * MS,
        mad: Some(10 * MS),
    };
    assert_eq!(row.time_ns, Some(time));
    assert_eq!(row.makespan, ms(150));
    assert_eq!(row.samples, 3);
    assert_eq!(row.status, Status::Ok);
}

#[test]
fn throughput_times_time_is_the_volume_however_unequally_clients_are_served() {
    let check = |samples: &[[u64; 5]], want: u64| {
        let sample = |(repeat, ends): (u32, &[u64; 5])| {
            let records = (0..).zip(ends);
            let records = records.map(|(client, ms)| record(client, *ms, Outcome::Ok));
            sample(repeat, Status::Ok, records.collect())
        };
        let row = row_of(
            samples.len() as u32,
            (0..).zip(samples).map(sample).collect(),
        );
        let (rate, time) = (row.throughput_bytes_per_s.unwrap(), row.time().unwrap());
        assert_eq!(rate, want, "{samples:?}");
        let volume = rate as f64 * time.as_secs_f64();
        assert!(
            (volume / f64::from(10 << 20) - 1.0).abs() < 1e-6,
            "{volume}"
        );
    };
    // A queue: the mean of the clients' own rates would be 37,482,431, which is 1.8 times as much.
    check(&[[100, 300, 500, 700, 900]], 20_971_520);
    // The samples' medians lie between the two middle ones: 0.5 and 1 s.
    check(&[[500; 5], [1_000; 5]], 13_981_013);
    // One that is served at once beside four that wait is not the rule.
    check(&[[1, 1_000, 1_000, 1_000, 1_000]; 3], 13_103_924);
}

#[test]
fn an_upload_has_no_first_byte_for_its_reply_begins_when_it_is_over() {
    let mut sample = all_ok(0, 100);
    sample.measurement.cell.operation = Operation::Upload;
    let mut contents = testing::contents(&Selection::default(), 1);
    contents.header.fingerprint.cells[4].operation = Operation::Upload;
    contents.add(crate::journal::Line::Sample(Box::new(sample)));
    let rows = rows(&contents);
    let row = &rows[4];
    assert_eq!((row.first_byte, row.wait, row.transfer), (None, None, None));
    assert_eq!((row.connect, row.latency_p50), (ms(1), ms(120)));
    let mut written = Vec::new();
    clients::write(&contents, &rows, &mut written).unwrap();
    let written = String::from_utf8(written).unwrap();
    let first = written.lines().nth(1).unwrap();
    assert!(first.contains(",0.001000000,,0.100000000,"), "{first}");
}

#[test]
fn a_server_that_stands_still_shows_in_its_pause_and_not_in_the_typical_latency() {
    // Ten operations of 100 ms, and one that a frozen server leaves without its answer for ten seconds.
    let records = (1..=10).map(|client| record(client, 100 * u64::from(client), Outcome::Ok));
    let last = record(11, 11_000, Outcome::Ok);
    let all: Vec<Record> = records.chain([last]).collect();
    let row = row_of(1, vec![sample(0, Status::Ok, all.clone())]);
    assert_eq!(row.pause, ms(10_000));
    assert_eq!((row.latency_p50, row.latency_p90), (ms(600), ms(1_000)));
    // It never came back: what was tried ends the window.
    let mut lost = all;
    lost[10].outcome = Outcome::Timeout;
    assert_eq!(
        row_of(1, vec![sample(0, Status::Timeout, lost)]).pause,
        ms(10_000)
    );
    assert_eq!(row_of(1, Vec::new()).pause, None);
}

#[test]
fn clients_start_as_far_apart_as_they_say() {
    let mut sample = all_ok(0, 100);
    assert_eq!(row_of(1, vec![sample.clone()]).start_spread, None);
    for record in &mut sample.measurement.records {
        let started_ns = (1_000 + u64::from(record.client) / 2) * MS;
        record.started_ns = Some(started_ns);
        record.connected_ns = Some(started_ns + MS / 4);
    }
    let row = row_of(1, vec![sample]);
    assert_eq!(row.start_spread, ms(2));
    // From the client's own start, which is no server's doing; the time is from the release.
    assert_eq!(row.connect, Some(Duration::from_micros(250)));
    assert_eq!(row.time(), ms(120));
}

#[test]
fn a_client_counts_only_if_all_its_operations_did() {
    let mut sample = all_ok(0, 100);
    sample.measurement.status = Status::Failed;
    sample.measurement.records[4] = record(4, 5_000, Outcome::Reset);
    let row = row_of(1, vec![sample]);
    assert_eq!(row.status, Status::Failed);
    assert_eq!(row.clients, Some(ClientCounts { ok: 4, failed: 1 }));
    // The mean is over those that succeeded; what a person waits for is not.
    assert_eq!(row.time_ns.unwrap().median, 115 * MS);
    assert_eq!(row.makespan, ms(5_000));
    assert_eq!(row.aggregate_bytes_per_s, Some(4 * (10 << 20) / 5));
    assert_eq!(row.top_outcome, Some(Outcome::Reset));
    assert_eq!(row.notes, ["it broke"]);
}

#[test]
fn a_killed_worker_excuses_what_it_cut_and_nothing_else() {
    use Outcome::{
        BadReply, Busy, ClientCrashed, ConnectRefused, Eof, Mismatch, NotSent, Ok, Reset,
        ServerError, Timeout,
    };
    let check = |fault: Fault, samples: &[[Outcome; 5]], is_expected: bool| {
        let mut contents = testing::contents(&Selection::default(), samples.len() as u32);
        contents.header.fingerprint.cells[4].fault = fault;
        for (repeat, outcomes) in (0..).zip(samples) {
            let records = (0..).zip(outcomes);
            let records = records.map(|(client, outcome)| record(client, 100, *outcome));
            let mut sample = sample(repeat, Status::Failed, records.collect());
            sample.measurement.cell.fault = fault;
            contents.add(crate::journal::Line::Sample(Box::new(sample)));
        }
        let row = rows(&contents).swap_remove(4);
        assert_eq!(row.is_as_expected(), is_expected, "{fault} {samples:?}");
        let compared = metric::Metric::TimePerClientS.values(&contents, row.cell.number);
        assert_eq!(
            compared.len() == samples.len(),
            is_expected,
            "{fault} {samples:?}"
        );
    };
    let cut = [Ok, Reset, Reset, Eof, Reset];
    check(Fault::KillWorker, &[cut], true);
    check(Fault::None, &[cut], false);
    // However much more often something was cut, and in whichever sample.
    for other in [
        Mismatch,
        BadReply,
        ServerError,
        Busy,
        Timeout,
        ConnectRefused,
        ClientCrashed,
        NotSent,
    ] {
        check(
            Fault::KillWorker,
            &[[Ok, Reset, Reset, Reset, other]],
            false,
        );
        check(
            Fault::KillWorker,
            &[cut, cut, [Ok, Ok, Ok, Ok, other]],
            false,
        );
    }
}

#[test]
fn counts_are_those_of_the_worst_sample_and_add_up_to_the_pools() {
    let mut lost = all_ok(1, 100);
    lost.measurement.status = Status::ServerLost;
    lost.measurement.done = None;
    lost.measurement.records = vec![record(0, 100, Outcome::Ok), record(1, 50, Outcome::Eof)];
    let row = row_of(3, vec![all_ok(0, 100), lost, all_ok(2, 100)]);
    assert_eq!(row.status, Status::ServerLost);
    assert_eq!(row.clients, Some(ClientCounts { ok: 1, failed: 4 }));
    assert_eq!(row.server_workers, None);
}

#[test]
fn workers_that_crashed_or_answered_internal_have_failed() {
    let mut crashed = worker(0, 4);
    crashed.crashes = 1;
    let mut internal = worker(1, 4);
    internal.counts.requests.errors.internal = 1;
    let mut refused = worker(2, 4);
    refused.counts.requests.errors.not_found = 1;
    let mut sample = all_ok(0, 100);
    sample.measurement.done = Some(done(vec![
        crashed,
        internal,
        refused,
        worker(3, 0),
        worker(4, 1),
    ]));
    let row = row_of(1, vec![sample]);
    assert_eq!(
        row.server_workers,
        Some(ServerWorkers {
            ok: 2,
            failed: 2,
            idle: 1
        })
    );
}

#[test]
fn a_ledger_of_another_pool_gives_no_counts() {
    let mut sample = all_ok(0, 100);
    sample.measurement.done = Some(done(vec![worker(0, 1)]));
    assert_eq!(row_of(1, vec![sample]).server_workers, None);
}

#[test]
fn a_cell_without_a_sample_is_a_row_without_values() {
    let row = row_of(2, Vec::new());
    assert_eq!(row.status, Status::NotRun);
    assert_eq!(
        (row.samples, row.time_ns, row.clients, row.top_outcome),
        (0, None, None, None)
    );
    let mut not_run = sample(0, Status::NotRun, Vec::new());
    not_run.measurement.notes = vec!["not enough memory".into()];
    let row = row_of(1, vec![not_run]);
    assert_eq!(
        (row.status, row.samples, row.clients),
        (Status::NotRun, 0, None)
    );
    assert_eq!(row.notes, ["not enough memory"]);
}

#[test]
fn a_row_with_fewer_samples_than_planned_is_cut() {
    assert_eq!(row_of(2, vec![all_ok(0, 100)]).status, Status::Cut);
    let mut failed = all_ok(0, 100);
    failed.measurement.status = Status::Failed;
    assert_eq!(row_of(2, vec![failed]).status, Status::Failed);
}

#[test]
fn a_sample_that_calls_itself_ok_with_a_failed_client_is_inconsistent() {
    let mut sample = all_ok(0, 100);
    sample.measurement.records.pop();
    let row = row_of(1, vec![sample]);
    assert_eq!(row.status, Status::Inconsistent);
    assert_eq!(row.clients, Some(ClientCounts { ok: 4, failed: 1 }));
}

#[test]
fn later_requests_start_where_the_ones_before_them_ended() {
    let mut contents = testing::contents(&Selection::default(), 1);
    contents.header.fingerprint.settings.transfer_requests = 2;
    let mut records = Vec::new();
    for client in 0..5 {
        let first = record(client, 100, Outcome::Ok);
        let second = Record {
            request: 1,
            connected_ns: Some(1_103 * MS),
            first_byte_ns: Some(1_106 * MS),
            ended_ns: Some(1_200 * MS),
            ..first.clone()
        };
        records.extend([second, first]);
    }
    contents.add(crate::journal::Line::Sample(Box::new(sample(
        0,
        Status::Ok,
        records,
    ))));
    let row = rows(&contents).swap_remove(4);
    // Connecting took 1 ms and 3 ms, the first byte 2 ms and 6 ms.
    assert_eq!((row.connect, row.first_byte), (ms(2), ms(4)));
    assert_eq!(row.time_ns.unwrap().median, 200 * MS);
    assert_eq!(row.throughput_bytes_per_s, Some(2 * (10 << 20) * 5));
    assert_eq!(row.clients, Some(ClientCounts { ok: 5, failed: 0 }));
}
