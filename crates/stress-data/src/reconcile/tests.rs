use proto::announce::WorkerLedger;

use super::*;
use crate::fault::{Fault, FaultReport, FaultyClient, FaultyEnd, Killed};
use crate::matrix::{ClientPool, ServerPool};

const CELL: Cell = Cell {
    number: 1,
    operation: Operation::Upload,
    volume: 100,
    clients: 3,
    servers: 2,
    client_pool: ClientPool::Thread,
    server_pool: ServerPool::Process,
    client_buffer: None,
    server_buffer: None,
    encoded_cache: None,
    fault: Fault::None,
    subject: None,
};

fn record(client: u32, outcome: Outcome) -> Record {
    Record {
        client,
        request: 0,
        released_ns: 1,
        started_ns: None,
        connected_ns: Some(2),
        first_byte_ns: Some(3),
        ended_ns: Some(4),
        bytes: 100,
        verified_bytes: if outcome == Outcome::Ok { 100 } else { 0 },
        outcome,
        detail: None,
    }
}

fn records(outcomes: [Outcome; 3]) -> Vec<Record> {
    (0..)
        .zip(outcomes)
        .map(|(client, outcome)| record(client, outcome))
        .collect()
}

/// The ledger of a server that did everything with its first worker: `ok` uploads of 100 bytes, `errors` refused.
fn done(ok: u64, errors: u64) -> Done {
    let mut counts = Counts::default();
    counts.connections.accepted = ok + errors;
    counts.connections.closed = ok + errors;
    counts.requests.started = ok + errors;
    counts.requests.ok.upload = ok;
    counts.requests.ok_bytes.upload = ok * 100;
    counts.requests.errors.no_space = errors;
    let worker = |slot, counts| WorkerLedger {
        slot,
        pid: slot + 100,
        generations: 1,
        crashes: 0,
        counts,
        cpu_user_us: None,
        cpu_system_us: None,
        peak_rss_bytes: None,
    };
    Done {
        reason: "drained".into(),
        stop_ms: 1,
        workers: vec![worker(0, counts.clone()), worker(1, Counts::default())],
        sum: counts,
        cpu_user_us: 0,
        cpu_system_us: 0,
        peak_rss_bytes: None,
        crashes: 0,
        balanced: true,
    }
}

fn sample_of(cell: &Cell) -> Measurement {
    Measurement::empty(cell, 0, String::new(), Status::NotRun)
}

fn verdict(records: &[Record], done: Option<&Done>, is_lost: bool) -> Verdict {
    let sample = Measurement {
        records: records.into(),
        done: done.cloned(),
        ..sample_of(&CELL)
    };
    reconcile(&sample, 1, is_lost)
}

#[test]
fn each_sample_has_the_status_its_facts_give_it() {
    use Outcome::{
        ClientCrashed, ConnectRefused, Mismatch, NotSent, Ok, Reset, ServerError, Timeout,
    };
    let check = |outcomes: [Outcome; 3], (ok, errors), status| {
        let verdict = verdict(&records(outcomes), Some(&done(ok, errors)), false);
        assert_eq!(verdict.status, status, "{outcomes:?} {verdict:?}");
        assert_eq!(
            verdict.violations.is_empty(),
            status != Status::Inconsistent
        );
    };
    check([Ok, Ok, Ok], (3, 0), Status::Ok);
    check([Ok, Ok, Ok], (2, 0), Status::Inconsistent);
    check([Ok, Ok, Ok], (4, 0), Status::Inconsistent);
    check([Ok, Ok, Ok], (3, 1), Status::Inconsistent);
    // The server may or may not have stored what a reset kept the client from hearing of.
    for undecided in [Reset, Mismatch, ClientCrashed] {
        check([Ok, Ok, undecided], (2, 0), Status::Failed);
        check([Ok, Ok, undecided], (3, 0), Status::Failed);
        check([Ok, Ok, undecided], (4, 0), Status::Inconsistent);
        check([Ok, Ok, undecided], (1, 0), Status::Inconsistent);
    }
    // What was refused, or never reached the server, is decided.
    check([Ok, Ok, ServerError], (2, 1), Status::Failed);
    check([Ok, Ok, ServerError], (2, 0), Status::Inconsistent);
    check([Ok, Ok, ServerError], (3, 1), Status::Inconsistent);
    check([Ok, Ok, ConnectRefused], (2, 0), Status::Failed);
    check([Ok, Ok, ConnectRefused], (3, 0), Status::Inconsistent);
    check([Ok, Timeout, Timeout], (1, 0), Status::Timeout);
    check([Ok, Timeout, NotSent], (1, 0), Status::Timeout);
    check([Ok, Timeout, Mismatch], (1, 0), Status::Failed);
    check([Ok, Ok, NotSent], (2, 0), Status::Failed);
}

#[test]
fn without_a_ledger_only_a_server_that_should_have_one_is_lost() {
    let fine = records([Outcome::Ok; 3]);
    assert_eq!(verdict(&fine, None, false).status, Status::Ok);
    assert_eq!(verdict(&fine, None, true).status, Status::ServerLost);
    let failed = records([Outcome::Reset; 3]);
    assert_eq!(verdict(&failed, None, false).status, Status::Failed);
    assert_eq!(verdict(&failed, None, true).status, Status::ServerLost);
    let none_sent = records([Outcome::NotSent; 3]);
    assert_eq!(verdict(&none_sent, None, true).status, Status::ServerLost);
}

/// Breaks one thing in a sample in which everything agrees.
fn check_broken(break_it: impl FnOnce(&mut Vec<Record>, &mut Done), words: &str) {
    let mut records = records([Outcome::Ok; 3]);
    let mut done = done(3, 0);
    assert_eq!(
        verdict(&records, Some(&done), false).violations,
        Vec::<String>::new()
    );
    break_it(&mut records, &mut done);
    let verdict = verdict(&records, Some(&done), false);
    assert_eq!(verdict.status, Status::Inconsistent, "{words}");
    let is_said = verdict
        .violations
        .iter()
        .any(|violation| violation.contains(words));
    assert!(is_said, "no '{words}' in {:?}", verdict.violations);
}

#[test]
fn records_that_contradict_the_plan_or_themselves_are_found() {
    check_broken(
        |records, _| records.truncate(2),
        "3 operations were planned",
    );
    check_broken(|records, _| records[2].client = 1, "records speak of 2");
    check_broken(|records, _| records[2].client = 9, "records speak of 2");
    check_broken(
        |records, _| records[0].verified_bytes = 99,
        "99 bytes verified",
    );
    check_broken(
        |records, _| records[0].outcome = Outcome::Eof,
        "outcome Eof",
    );
    check_broken(
        |records, _| records[1].first_byte_ns = Some(5),
        "not in order",
    );
    check_broken(|records, _| records[1].ended_ns = None, "not in order");
}

#[test]
fn a_ledger_that_contradicts_itself_is_found() {
    check_broken(|_, done| done.workers.truncate(1), "1 in the ledger");
    check_broken(|_, done| done.balanced = false, "does not balance");
    check_broken(
        |_, done| done.workers[1].counts.connections.accepted = 1,
        "does not balance",
    );
    check_broken(
        |_, done| done.sum.requests.ok.upload = 4,
        "the workers' 3 are 4",
    );
    check_broken(
        |_, done| {
            done.sum.connections.in_flight = 1;
            done.sum.connections.closed -= 1;
        },
        "in flight",
    );
}

#[test]
fn a_server_pool_of_another_kind_or_size_is_found() {
    let check = |asked: (u32, ServerPool), had: (u32, &str), is_found: bool| {
        let cell = Cell {
            servers: asked.0,
            server_pool: asked.1,
            ..CELL
        };
        let mut ready = crate::testing::ready();
        (ready.workers, ready.pool) = (had.0, had.1.into());
        let sample = Measurement {
            records: records([Outcome::Ok; 3]),
            ready: Some(ready),
            ..sample_of(&cell)
        };
        let verdict = reconcile(&sample, 1, false);
        assert_eq!(
            !verdict.violations.is_empty(),
            is_found,
            "{asked:?} {had:?}"
        );
    };
    check((2, ServerPool::Event), (2, "event"), false);
    check((2, ServerPool::Event), (2, "process"), true);
    check((2, ServerPool::Process), (2, "event"), true);
    check((2, ServerPool::Event), (3, "event"), true);

    let mut ready = crate::testing::ready();
    (ready.workers, ready.pool) = (3, "event".into());
    let mut violations = Violations::default();
    violations.check_pool(&Cell { servers: 1, ..CELL }, &ready);
    let words = "the server had 3 event workers instead of 1 process worker";
    assert_eq!(violations.0, [words]);
}

#[test]
fn a_ledger_that_contradicts_the_clients_is_found() {
    let change = |done: &mut Done, change: fn(&mut Counts)| {
        change(&mut done.sum);
        change(&mut done.workers[0].counts);
    };
    check_broken(
        |_, done| change(done, |counts| counts.requests.ok_bytes.upload = 299),
        "300 bytes ok at the clients, 299",
    );
    check_broken(
        |_, done| change(done, |counts| counts.requests.ok_bytes.upload = 301),
        "300 bytes ok at the clients, 301",
    );
    check_broken(
        |_, done| {
            change(done, |counts| {
                counts.requests.ok.list = 1;
                counts.requests.started += 1;
            });
        },
        "1 requests that nobody sent",
    );
    check_broken(
        |_, done| {
            change(done, |counts| {
                counts.connections.accepted += 1;
                counts.connections.closed += 1;
            });
        },
        "4 accepted",
    );
}

/// One client was cut off by a worker that was killed with two connections in hand.
fn killed() -> (Cell, FaultReport, Vec<Record>, Done) {
    let cell = Cell {
        fault: Fault::KillWorker,
        ..CELL
    };
    let report = FaultReport {
        clients: Vec::new(),
        killed: Some(Killed {
            pid: 100,
            in_hand: 2,
            at_ns: 3,
        }),
    };
    let mut done = done(2, 0);
    for counts in [&mut done.workers[0].counts, &mut done.sum] {
        counts.connections.accepted += 1;
        counts.connections.aborted_by_crash += 1;
        counts.requests.started += 1;
        counts.requests.aborted_by_crash += 1;
    }
    done.crashes = 1;
    let records = records([Outcome::Ok, Outcome::Ok, Outcome::Reset]);
    (cell, report, records, done)
}

fn disturbed(
    cell: &Cell,
    report: Option<&FaultReport>,
    records: &[Record],
    done: &Done,
) -> Verdict {
    let sample = Measurement {
        records: records.into(),
        done: Some(done.clone()),
        fault: report.cloned(),
        ..sample_of(cell)
    };
    reconcile(&sample, 1, false)
}

#[test]
fn a_killed_workers_connections_are_what_it_had_in_hand() {
    let (cell, report, records, done) = killed();
    let verdict = disturbed(&cell, Some(&report), &records, &done);
    assert_eq!(verdict.violations, Vec::<String>::new());
    assert_eq!(verdict.status, Status::Failed);

    let check = |report: Option<&FaultReport>, records: &[Record], done: &Done, words: &str| {
        let violations = disturbed(&cell, report, records, done).violations;
        assert!(violations[0].contains(words), "{violations:?}");
    };
    check(None, &records, &done, "was not carried out: kill-worker");
    let spared = FaultReport::default();
    let advice = "no worker was busy for long enough; choose a larger --size or more --requests";
    check(Some(&spared), &records, &done, advice);
    let mut fewer = report.clone();
    fewer.killed.as_mut().unwrap().in_hand = 0;
    check(Some(&fewer), &records, &done, "1 client was cut off");
    let mut unknown = done.clone();
    unknown.crashes = 0;
    check(Some(&report), &records, &unknown, "knows of no crash");
    let (_, _, _, mut more) = killed();
    for counts in [&mut more.workers[0].counts, &mut more.sum] {
        counts.connections.accepted += 2;
        counts.connections.aborted_by_crash += 2;
    }
    check(Some(&report), &records, &more, "booked 3 connections");
}

#[test]
fn faulty_clients_count_beside_those_of_the_pool() {
    let faulty = |end, has_asked| FaultyClient {
        held_ns: 1,
        bytes: 1,
        has_asked,
        end,
        detail: None,
    };
    let cell = Cell {
        fault: Fault::SlowClient {
            bytes_per_s: 10,
            clients: 2,
        },
        ..CELL
    };
    let report = FaultReport {
        clients: vec![faulty(FaultyEnd::Done, true), faulty(FaultyEnd::Held, true)],
        killed: None,
    };
    let records = records([Outcome::Ok; 3]);
    let check = |ok: u64, holds: bool| {
        let verdict = disturbed(&cell, Some(&report), &records, &done(ok, 0));
        assert_eq!(verdict.violations.is_empty(), holds, "{ok}: {verdict:?}");
    };
    // Three good ones and the slow one that was served; the other may have been, unheard.
    check(3, false);
    check(4, true);
    check(5, true);
    check(6, false);
    let wrong = FaultReport {
        clients: vec![
            faulty(FaultyEnd::Done, true),
            faulty(FaultyEnd::Mismatch, true),
        ],
        killed: None,
    };
    let verdict = disturbed(&cell, Some(&wrong), &records, &done(5, 0));
    assert_eq!(verdict.status, Status::Inconsistent);
    assert_eq!(
        verdict.violations,
        ["1 faulty client got other bytes than were put there, or sent others than were stored"]
    );

    let silent = Cell {
        fault: Fault::SilentClient { clients: 2 },
        ..CELL
    };
    let report = FaultReport {
        clients: vec![
            faulty(FaultyEnd::Closed, false),
            faulty(FaultyEnd::NotConnected, false),
        ],
        killed: None,
    };
    let verdict = disturbed(&silent, Some(&report), &records, &done(3, 1));
    assert_eq!(
        verdict.violations,
        ["1 faulty client had no connection"],
        "an error told to a silent client is no error of the others"
    );
    let fewer = FaultReport {
        clients: vec![faulty(FaultyEnd::Closed, false)],
        killed: None,
    };
    let verdict = disturbed(&silent, Some(&fewer), &records, &done(3, 0));
    assert_eq!(
        verdict.violations,
        ["2 faulty clients were planned, 1 is reported"]
    );
}
