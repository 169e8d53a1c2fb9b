//! Rows with known times, explained to the word.

use proto::announce::{Counts, Done, WorkerLedger};
use stress_data::edges::{Edge, Edges, ServerUse};
use stress_data::journal::Line;
use stress_data::matrix::{Operation, Selection};
use stress_data::{summary, testing};

use super::*;

const MS: u64 = 1_000_000;

/// A download by two clients from one worker; these are its samples.
fn contents(samples: &[(Status, Vec<Record>)]) -> Contents {
    let selection = Selection {
        operations: vec![Operation::Download],
        volumes: vec![10 << 20],
        clients: vec![2],
        servers: vec![1],
        ..Selection::default()
    };
    let mut contents = testing::contents(&selection, u32::try_from(samples.len()).unwrap());
    for (repeat, (status, records)) in (0..).zip(samples) {
        let mut measurement = testing::measurement(&contents, 0, repeat, *status);
        measurement.records.clone_from(records);
        measurement.client_cpu_us = Some(30_000);
        measurement.done = Some(done());
        contents.add(Line::Sample(Box::new(Sample {
            session: 0,
            is_warmup: false,
            cpu: None,
            wall_ns: Some(250 * MS),
            measurement,
        })));
    }
    contents
}

fn done() -> Done {
    let mut counts = Counts::default();
    counts.connections.accepted = 2;
    let worker = WorkerLedger {
        slot: 0,
        pid: 2,
        generations: 1,
        crashes: 0,
        counts: counts.clone(),
        cpu_user_us: None,
        cpu_system_us: None,
        peak_rss_bytes: None,
    };
    Done {
        reason: "drained".into(),
        stop_ms: 1,
        workers: vec![worker],
        sum: counts,
        cpu_user_us: 40_000,
        cpu_system_us: 120_000,
        peak_rss_bytes: None,
        crashes: 0,
        balanced: true,
    }
}

fn record(client: u32, times_ms: [u64; 3], outcome: Outcome) -> Record {
    let bytes = if outcome == Outcome::Ok { 10 << 20 } else { 0 };
    let at = |ms: u64| Some((1_000 + ms) * MS);
    Record {
        released_ns: 1_000 * MS,
        connected_ns: at(times_ms[0]),
        first_byte_ns: at(times_ms[1]),
        ended_ns: at(times_ms[2]),
        bytes,
        verified_bytes: bytes,
        outcome,
        detail: (outcome != Outcome::Ok).then(|| "connection reset by peer".into()),
        ..Record::not_sent(client, 0)
    }
}

fn explained(contents: &Contents, repeat: Option<u32>) -> Vec<String> {
    let rows = summary::rows(contents);
    let sample = sample(contents, &rows[0], repeat).unwrap();
    sentences::of(contents, &rows[0], sample)
}

#[test]
fn where_the_time_of_a_row_went_is_said_in_sentences() {
    let records = vec![
        record(0, [1, 2, 50], Outcome::Ok),
        record(1, [1, 51, 100], Outcome::Ok),
    ];
    let contents = contents(&[(Status::Ok, records)]);
    let want = [
        "Each of 2 client threads downloads 10M (10,485,760 bytes) from our server with 1 process worker.",
        "1 sample of 1; status ok; time per client in each: 75.0 ms.",
        "The first client was done 50.0 ms after the release, the last after 100.0 ms: 20,971,520 verified bytes in that time, 210 MB/s.",
        "Of the time of 2 verified operations, 1.3 % (median 1.0 ms, 1.0 ms to 1.0 ms) went in connecting, 34.0 % (median 25.5 ms, 1.0 ms to 50.0 ms) in waiting for the first byte, 64.7 % (median 48.5 ms, 48.0 ms to 49.0 ms) in the transfer.",
        "2 clients share 1 worker: unless a worker serves several at a time, a client waits for up to 1 other before it. The first byte of the luckiest operation came 1.0 ms after its connection, that of the unluckiest after 50.0 ms.",
        "Over these 100.0 ms the 2 processors could give 200.0 ms of CPU time: the clients used 30.0 ms (15 %), the server's workers, over their lives, used 160.0 ms (80 %).",
        "Together they used the processors up (95 %): what held this up is CPU time, first of all that of the server, who needs more of it than the clients.",
        "Of the server's, 75 % were the kernel's: sockets and files.",
        "Of 1 server worker one served all 2 connections.",
        "With files, start and stop of the server and verification the sample took 250.0 ms.",
    ];
    assert_eq!(explained(&contents, None), want);
}

#[test]
fn what_a_server_used_is_what_it_used_between_the_edges() {
    let records = vec![
        record(0, [1, 2, 50], Outcome::Ok),
        record(1, [1, 51, 100], Outcome::Ok),
    ];
    let mut contents = contents(&[(Status::Ok, records)]);
    let measurement = &mut contents.samples.get_mut(&(1, 0)).unwrap().measurement;
    let edge = |at_ms: u64, server: [u64; 5]| Edge {
        at_ns: at_ms * MS,
        server: Some(ServerUse {
            processes: 2,
            cpu_us: server[0],
            voluntary_switches: server[1],
            involuntary_switches: server[2],
            minor_faults: server[3],
            major_faults: server[4],
        }),
        ..Edge::default()
    };
    // By its ledger it used 160 ms, and in a shorter window of 102 ms all that was left.
    let (before, after) = (
        edge(999, [5_000, 1, 1, 1, 1]),
        edge(1_101, [179_000, 11, 3, 31, 1]),
    );
    measurement.edges = Some(Edges { before, after });
    let said = explained(&contents, None).join("\n");
    let want = "Over these 102.0 ms the 2 processors could give 204.0 ms of CPU time: the clients used 30.0 ms (15 %), the server used 174.0 ms (85 %).\nTogether they used the processors up (100 %)";
    assert!(said.contains(want), "{said}");
    let want = "The server's 2 processes gave a processor away 12 times, 2 of them because others were to have it; they had 30 page faults, 0 of them from a disk.";
    assert!(said.contains(want), "{said}");
}

#[test]
fn a_machine_that_others_kept_busy_is_not_called_idle() {
    let records = vec![record(0, [1, 2, 500], Outcome::Ok)];
    // The clients and the server used 19 % of it.
    let said = |idle: u64, total: u64| {
        let mut contents = contents(&[(Status::Ok, records.clone())]);
        let sample = contents.samples.get_mut(&(1, 0)).unwrap();
        sample.cpu = Some(stress_data::machine::CpuTicks {
            total,
            idle,
            steal: 0,
        });
        explained(&contents, None).join("\n")
    };
    let waited = "most of the time everybody waited";
    let busy = "over the whole sample these were busy for 90 % of the time: other programs";
    assert!(said(80, 100).contains(waited));
    let text = said(10, 100);
    assert!(text.contains(busy) && !text.contains(waited), "{text}");
    // A few ticks say nothing.
    assert!(said(1, 10).contains(waited));
}

#[test]
fn what_failed_is_said_with_its_reason_and_the_worst_sample_is_looked_into() {
    let fine = vec![
        record(0, [1, 2, 50], Outcome::Ok),
        record(1, [1, 51, 100], Outcome::Ok),
    ];
    let broken = vec![
        record(0, [1, 2, 50], Outcome::Ok),
        record(1, [1, 51, 60], Outcome::Reset),
    ];
    let contents = contents(&[(Status::Ok, fine), (Status::Failed, broken)]);
    let said = explained(&contents, None);
    assert_eq!(
        said[1],
        "2 samples of 2; status failed; time per client in each: 75.0 ms, failed (50.0 ms)."
    );
    assert_eq!(said[2], "From here on about sample 1.");
    let failure =
        "Of 2 operations planned, these did not succeed: 1 reset (connection reset by peer).";
    assert!(said.iter().any(|said| said == failure), "{said:?}");
    assert_eq!(
        explained(&contents, Some(0))[2],
        "From here on about sample 0."
    );

    let rows = summary::rows(&contents);
    let error = sample(&contents, &rows[0], Some(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--repeat: row 1 has no sample 2; they count from 0, and 2 are planned"
    );
    assert_eq!(
        no_row(&rows, 7).to_string(),
        "there is no row 7 in the run; its rows are 1"
    );
}

#[test]
fn a_row_that_was_not_run_says_so_and_why() {
    let mut contents = contents(&[(Status::Ok, Vec::new())]);
    let sample = contents.samples.get_mut(&(1, 0)).unwrap();
    sample.measurement = testing::measurement(
        &testing::contents(&Selection::default(), 1),
        0,
        0,
        Status::NotRun,
    );
    sample.measurement.notes = vec!["not enough memory".into()];
    let said = explained(&contents, None);
    assert_eq!(said[1], "It was not measured: its status is not_run.");
    assert_eq!(said.last().unwrap(), "Noted: not enough memory");
}

#[test]
fn many_records_are_cut_to_the_telling_ones() {
    let mut records: Vec<Record> = (0..40)
        .map(|client| record(client, [1, 2, 10 + u64::from(client)], Outcome::Ok))
        .collect();
    records[3].outcome = Outcome::Reset;
    let contents = contents(&[(Status::Failed, records)]);
    let sample = contents.samples.values().next().unwrap();
    let lines = |is_all| {
        let text = records_text(sample, is_all, Screen::FILE);
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let cut = lines(false);
    assert_eq!(cut.len(), 22, "{cut:?}");
    assert!(cut[0].starts_with("20 of 40 records"), "{cut:?}");
    assert!(cut[2].contains("reset"), "{cut:?}");
    assert!(cut[3].trim_start().starts_with("39 "), "{cut:?}");
    assert_eq!(lines(true).len(), 41);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut records: Vec<Record> = (0..3)
        .map(|client| record(client, [1, 2, 1 << 40], Outcome::Reset))
        .collect();
    records[0].client = u32::MAX;
    records[0].request = u32::MAX;
    records[0].bytes = u64::MAX;
    records[1].detail = Some("got \x1b[1m… instead of ".to_owned() + &"/long".repeat(100));
    let contents = contents(&[(Status::Failed, records)]);
    let rows = summary::rows(&contents);
    let sample = sample(&contents, &rows[0], None).unwrap();
    let explanation = Explanation {
        sentences: sentences::of(&contents, &rows[0], sample),
        row: &rows[0],
        sample,
    };
    let name = "a-run".repeat(60);
    testing::check_fits(|screen| explanation.text(&name, true, screen));
    let file = explanation.text("run", true, Screen::FILE);
    // What three records say, the first and the last the same.
    assert_eq!(
        file.matches("\n    connection reset by peer\n").count(),
        2,
        "{file}"
    );
}

#[test]
fn the_schemas_are_what_the_types_say() {
    crate::schemas::keep::<ExplanationJson<'_>>("explain", "stress explain --json");
}
