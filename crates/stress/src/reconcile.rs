//! Reconciling: what the clients recorded against what the server's ledger says. Pure.
//!
//! Without faults both must agree to the byte. With faults the server may have carried out what a client never
//! heard of: requests ok at the clients ≤ ok at the server ≤ ok + undecided.

use proto::announce::Done;

use crate::matrix::{Cell, Operation};
use crate::measurement::Status;
use crate::record::{Outcome, Record};

/// What a cell comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How the sample ended.
    pub status: Status,
    /// The identities that do not hold.
    pub violations: Vec<String>,
}

/// Judges one sample. `has_ledger` is true for a server that should have left one.
#[must_use]
pub fn reconcile(
    cell: &Cell,
    requests: u32,
    records: &[Record],
    done: Option<&Done>,
    has_ledger: bool,
) -> Verdict {
    let mut violations = Vec::new();
    let planned = cell.clients as usize * requests as usize;
    if records.len() != planned {
        violations.push(format!("{planned} operations were planned, {} have a record", records.len()));
    }
    for record in records {
        let want = if record.outcome == Outcome::Ok { record.bytes } else { 0 };
        if record.verified_bytes != want {
            violations.push(format!(
                "client {} request {}: {} of {} bytes count as verified with outcome {:?}",
                record.client, record.request, record.verified_bytes, record.bytes, record.outcome
            ));
        }
    }
    if let Some(done) = done {
        check_ledger(cell, records, done, &mut violations);
    }
    Verdict { status: status(records, done, has_ledger, &violations), violations }
}

fn check_ledger(cell: &Cell, records: &[Record], done: &Done, violations: &mut Vec<String>) {
    if !done.balanced {
        violations.push("the server's ledger does not balance".to_owned());
    }
    if done.workers.len() != cell.servers as usize {
        violations.push(format!("{} server workers were asked for, {} have a ledger", cell.servers, done.workers.len()));
    }
    let (ok, ok_bytes) = match cell.operation {
        Operation::Download => (done.sum.requests.ok.get, done.sum.requests.ok_bytes.get),
        Operation::Upload => (done.sum.requests.ok.upload, done.sum.requests.ok_bytes.upload),
        Operation::List => (done.sum.requests.ok.list, done.sum.requests.ok_bytes.list),
    };
    let count = |is: fn(Outcome) -> bool| records.iter().filter(|record| is(record.outcome)).count() as u64;
    let client_ok = count(|outcome| outcome == Outcome::Ok);
    let undecided = count(is_undecided);
    if ok < client_ok || ok > client_ok + undecided {
        violations.push(format!(
            "{client_ok} operations are ok and {undecided} undecided at the clients, {ok} ok at the server"
        ));
    }
    let client_bytes: u64 =
        records.iter().filter(|record| record.outcome == Outcome::Ok).map(|record| record.bytes).sum();
    let agree = if undecided == 0 { ok_bytes == client_bytes } else { ok_bytes >= client_bytes };
    if !agree {
        violations.push(format!("{client_bytes} bytes are ok at the clients, {ok_bytes} at the server"));
    }
}

/// Whether the server may have carried the operation out although the client has no valid answer.
const fn is_undecided(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Timeout
            | Outcome::Reset
            | Outcome::Eof
            | Outcome::BadReply
            | Outcome::Mismatch
            | Outcome::ClientCrashed
    )
}

fn status(records: &[Record], done: Option<&Done>, has_ledger: bool, violations: &[String]) -> Status {
    let failed = |record: &&Record| record.outcome != Outcome::Ok;
    if !violations.is_empty() {
        Status::Inconsistent
    } else if has_ledger && done.is_none() {
        Status::ServerLost
    } else if !records.iter().any(|record| failed(&record)) {
        Status::Ok
    } else if records.iter().filter(failed).all(|record| record.outcome == Outcome::Timeout) {
        Status::Timeout
    } else {
        Status::Failed
    }
}

#[cfg(test)]
mod tests {
    use proto::announce::{Counts, WorkerLedger};

    use super::*;
    use crate::matrix::{ClientPool, ServerPool};

    const CELL: Cell = Cell {
        number: 1,
        operation: Operation::Upload,
        volume: 100,
        clients: 3,
        servers: 1,
        client_pool: ClientPool::Thread,
        server_pool: ServerPool::Process,
    };

    fn record(client: u32, outcome: Outcome) -> Record {
        let verified_bytes = if outcome == Outcome::Ok { 100 } else { 0 };
        Record {
            client,
            request: 0,
            released_ns: 1,
            connected_ns: Some(2),
            first_byte_ns: Some(3),
            ended_ns: Some(4),
            bytes: 100,
            verified_bytes,
            outcome,
            detail: None,
        }
    }

    fn done(ok: u64, ok_bytes: u64) -> Done {
        let mut sum = Counts::default();
        sum.requests.started = ok;
        sum.requests.ok.upload = ok;
        sum.requests.ok_bytes.upload = ok_bytes;
        let worker = WorkerLedger {
            slot: 0,
            pid: 1,
            generations: 1,
            crashes: 0,
            counts: sum.clone(),
            cpu_user_us: None,
            cpu_system_us: None,
            peak_rss_bytes: None,
        };
        Done {
            reason: "drained".into(),
            stop_ms: 1,
            workers: vec![worker],
            sum,
            cpu_user_us: 0,
            cpu_system_us: 0,
            peak_rss_bytes: None,
            crashes: 0,
            balanced: true,
        }
    }

    #[test]
    fn each_sample_has_the_status_its_facts_give_it() {
        use Outcome::{Mismatch, Ok, Reset, ServerError, Timeout};
        let check = |outcomes: [Outcome; 3], done: Option<Done>, want: Status| {
            let records: Vec<_> = (0..).zip(outcomes).map(|(client, outcome)| record(client, outcome)).collect();
            let verdict = reconcile(&CELL, 1, &records, done.as_ref(), true);
            assert_eq!(verdict.status, want, "{outcomes:?}: {:?}", verdict.violations);
            assert_eq!(verdict.violations.is_empty(), want != Status::Inconsistent);
        };
        check([Ok, Ok, Ok], Some(done(3, 300)), Status::Ok);
        check([Ok, Ok, Ok], Some(done(2, 200)), Status::Inconsistent);
        check([Ok, Ok, Ok], Some(done(4, 400)), Status::Inconsistent);
        check([Ok, Ok, Ok], Some(done(3, 299)), Status::Inconsistent);
        check([Ok, Ok, Ok], None, Status::ServerLost);
        // The server may have stored what a reset kept the client from hearing.
        check([Ok, Ok, Reset], Some(done(2, 200)), Status::Failed);
        check([Ok, Ok, Reset], Some(done(3, 300)), Status::Failed);
        check([Ok, Ok, Reset], Some(done(4, 400)), Status::Inconsistent);
        // A refused upload is decided: the server has not stored it.
        check([Ok, Ok, ServerError], Some(done(2, 200)), Status::Failed);
        check([Ok, Ok, ServerError], Some(done(3, 300)), Status::Inconsistent);
        check([Ok, Timeout, Timeout], Some(done(1, 100)), Status::Timeout);
        check([Ok, Timeout, Mismatch], Some(done(1, 100)), Status::Failed);
    }

    #[test]
    fn a_foreign_server_needs_no_ledger() {
        let records: Vec<_> = (0..3).map(|client| record(client, Outcome::Ok)).collect();
        assert_eq!(reconcile(&CELL, 1, &records, None, false).status, Status::Ok);
    }

    #[test]
    fn a_missing_record_and_an_unverified_success_are_seen() {
        let records: Vec<_> = (0..2).map(|client| record(client, Outcome::Ok)).collect();
        assert_eq!(reconcile(&CELL, 1, &records, None, false).status, Status::Inconsistent);
        let mut records: Vec<_> = (0..3).map(|client| record(client, Outcome::Ok)).collect();
        records[1].verified_bytes = 0;
        assert_eq!(reconcile(&CELL, 1, &records, None, false).status, Status::Inconsistent);
    }
}
