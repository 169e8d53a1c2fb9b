use proto::announce::WorkerLedger;

use super::*;
use crate::matrix::{ClientPool, ServerPool};

const CELL: Cell = Cell {
    number: 1,
    operation: Operation::Upload,
    volume: 100,
    clients: 3,
    servers: 2,
    client_pool: ClientPool::Thread,
    server_pool: ServerPool::Process,
};

fn record(client: u32, outcome: Outcome) -> Record {
    Record {
        client,
        request: 0,
        released_ns: 1,
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

fn verdict(records: &[Record], done: Option<&Done>, is_lost: bool) -> Verdict {
    reconcile(&Facts {
        cell: &CELL,
        requests: 1,
        records,
        ready: None,
        done,
        is_lost,
    })
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
        let verdict = reconcile(&Facts {
            cell: &cell,
            requests: 1,
            records: &records([Outcome::Ok; 3]),
            ready: Some(&ready),
            done: None,
            is_lost: false,
        });
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
