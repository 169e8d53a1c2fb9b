//! Reconciling: what the clients recorded against what the server's ledger says. Pure.
//!
//! Without faults both must agree to the byte. With faults the server may have carried out what a client never
//! heard of: ok at the clients ≤ ok at the server ≤ ok at the clients + undecided.

use std::collections::HashSet;

use proto::announce::{Counts, Done, Ready};

use crate::fault::{Fault, FaultReport, FaultyClient, FaultyEnd, Killed};
use crate::matrix::{Cell, Operation};
use crate::measurement::{Measurement, Status};
use crate::record::{Outcome, Record};
use crate::size::{counted, counted_as};

/// What a sample comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended.
    pub status: Status,
    /// The identities that do not hold.
    pub violations: Vec<String>,
}

/// Checks every identity of a sample whose clients each had so many `requests`, and says how it ended; the status that it
/// has is not looked at. It `is_lost` if its server was gone before it was stopped, or left no ledger where it should have.
#[must_use]
pub fn reconcile(sample: &Measurement, requests: u32, is_lost: bool) -> Verdict {
    let mut violations = Violations::default();
    violations.check_records(sample, requests);
    violations.check_fault(sample, is_lost);
    if let Some(ready) = &sample.ready {
        violations.check_pool(&sample.cell, ready);
    }
    if let Some(done) = &sample.done {
        violations.check_ledger(&sample.cell, done);
        violations.check_both(sample, done);
    }
    let Violations(violations) = violations;
    let status = match violations.is_empty() {
        true => status(&sample.records, is_lost),
        false => Status::Inconsistent,
    };
    Verdict { status, violations }
}

/// Whether the server may have carried an operation out although its client has no valid answer.
#[must_use]
pub const fn is_undecided(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Timeout
        | Outcome::Reset
        | Outcome::Eof
        | Outcome::BadReply
        | Outcome::Mismatch
        | Outcome::ClientCrashed => true,
        Outcome::Ok
        | Outcome::ServerError
        | Outcome::Busy
        | Outcome::ConnectRefused
        | Outcome::ConnectTimeout
        | Outcome::NotSent => false,
    }
}

fn status(records: &[Record], is_lost: bool) -> Status {
    use Outcome::{ConnectTimeout, NotSent, Ok, Timeout};
    let is_all = |wanted: &[Outcome]| {
        let mut outcomes = records.iter().map(|record| record.outcome);
        outcomes.all(|outcome| wanted.contains(&outcome))
    };
    let has_timeout = !is_all(&[Ok, NotSent]);
    match () {
        () if is_lost => Status::ServerLost,
        () if is_all(&[Ok]) => Status::Ok,
        // What is not sent is not, because an operation before it took too long.
        () if has_timeout && is_all(&[Ok, Timeout, ConnectTimeout, NotSent]) => Status::Timeout,
        () => Status::Failed,
    }
}

/// One number of a ledger.
type Entry = (&'static str, fn(&Counts) -> u64);

/// Those that must be the sum of the workers' own.
const ADDITIVE: [Entry; 14] = [
    ("connections accepted", |c| c.connections.accepted),
    ("connections closed", |c| c.connections.closed),
    ("connections left by clients", |c| c.connections.client_gone),
    ("requests started", |c| c.requests.started),
    ("requests left by clients", |c| c.requests.client_gone),
    ("lists", |c| c.requests.ok.list),
    ("downloads", |c| c.requests.ok.get),
    ("uploads", |c| c.requests.ok.upload),
    ("deletions", |c| c.requests.ok.delete),
    ("bytes listed", |c| c.requests.ok_bytes.list),
    ("bytes downloaded", |c| c.requests.ok_bytes.get),
    ("bytes uploaded", |c| c.requests.ok_bytes.upload),
    ("requests in flight", |c| c.requests.in_flight),
    ("errors", |c| c.requests.errors.total()),
];

#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn expect(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds {
            self.0.push(violation());
        }
    }

    /// One record for each planned operation, none that says more than it can.
    fn check_records(&mut self, sample: &Measurement, requests: u32) {
        let planned = sample.cell.clients as usize * requests as usize;
        let keys = sample.records.iter().map(|it| (it.client, it.request));
        let is_planned =
            |(client, request): &(u32, u32)| *client < sample.cell.clients && *request < requests;
        let different = keys.filter(is_planned).collect::<HashSet<_>>().len();
        let len = sample.records.len();
        self.expect(len == planned && different == planned, || {
            let planned = counted_as(planned as u64, "operation was", "operations were");
            let records = counted_as(len as u64, "record speaks", "records speak");
            format!("{planned} planned, but {records} of {different}")
        });
        for record in &sample.records {
            let is_ok = record.outcome == Outcome::Ok;
            let verified_bytes = if is_ok { record.bytes } else { 0 };
            let who = || format!("client {}, request {}:", record.client, record.request);
            self.expect(record.verified_bytes == verified_bytes, || {
                let (verified, outcome) = (record.verified_bytes, record.outcome);
                format!("{} {verified} bytes verified, outcome {outcome:?}", who())
            });
            self.expect(!is_ok || has_order(record), || {
                format!("{} its times are not in order", who())
            });
        }
    }

    /// The fault that was asked for was carried out, and no more was lost than what a killed worker had in hand.
    fn check_fault(&mut self, sample: &Measurement, is_lost: bool) {
        let fault = sample.cell.fault;
        let Some(report) = &sample.fault else {
            // A server that never served cannot be disturbed.
            return self.expect(fault.is_none() || is_lost, || undone(fault));
        };
        let clients = report.clients.len();
        self.expect(clients == fault.clients() as usize, || {
            let (one, many) = ("faulty client was", "faulty clients were");
            let planned = counted_as(fault.clients().into(), one, many);
            let reported = counted_as(clients as u64, "is", "are");
            format!("{planned} planned, {reported} reported")
        });
        let mut none_with = |end: fn(&FaultyClient) -> bool, what: &str| {
            let clients = report.count(end);
            self.expect(clients == 0, || {
                format!("{} {what}", counted(clients, "faulty client"))
            });
        };
        none_with(|it| it.end == FaultyEnd::NotConnected, "had no connection");
        none_with(
            |it| it.end == FaultyEnd::Mismatch,
            "got other bytes than were put there, or sent others than were stored",
        );
        match (fault, report.killed) {
            (Fault::KillWorker, None) => self.expect(false, || undone(fault)),
            (Fault::KillWorker, Some(killed)) => self.check_killed(sample, killed),
            (_, killed) => self.expect(killed.is_none(), || {
                format!("a worker was killed, but the fault is {fault}")
            }),
        }
    }

    fn check_killed(&mut self, sample: &Measurement, killed: Killed) {
        let in_hand = u64::from(killed.in_hand);
        let is_cut = |record: &&Record| matches!(record.outcome, Outcome::Reset | Outcome::Eof);
        let cut = sample.records.iter().filter(is_cut).count() as u64;
        self.expect(cut <= in_hand, || {
            let clients = counted_as(cut, "client was", "clients were");
            let connections = counted(in_hand, "connection");
            format!("{clients} cut off, but the killed worker had {connections} in hand")
        });
        let Some(done) = &sample.done else { return };
        let booked = done.sum.connections.aborted_by_crash;
        self.expect(booked <= in_hand, || {
            let connections = counted(booked, "connection");
            format!("the server booked {connections} on a worker that had {in_hand} in hand")
        });
        self.expect(done.crashes >= 1, || {
            "a worker was killed, but the server's ledger knows of no crash".to_owned()
        });
    }

    fn check_pool(&mut self, cell: &Cell, ready: &Ready) {
        let asked = (cell.servers, cell.server_pool.as_str());
        let found = (ready.workers, ready.pool.as_str());
        let pool =
            |(workers, pool): (u32, &str)| counted(workers.into(), &format!("{pool} worker"));
        self.expect(asked == found, || {
            format!("the server had {} instead of {}", pool(found), pool(asked))
        });
    }

    /// What must hold for any ledger by itself.
    fn check_ledger(&mut self, cell: &Cell, done: &Done) {
        let workers_len = done.workers.len();
        self.expect(workers_len == cell.servers as usize, || {
            let workers = counted(cell.servers.into(), "server worker");
            format!("{workers}, but {workers_len} in the ledger")
        });
        let workers = || done.workers.iter().map(|worker| &worker.counts);
        let mut all = workers().chain([&done.sum]);
        let balances = all.all(|it| it.connections.is_balanced() && it.requests.is_balanced());
        self.expect(done.balanced && balances, || {
            "the server's ledger does not balance".into()
        });
        let left = done.sum.connections.in_flight + done.sum.requests.in_flight;
        self.expect(left == 0, || {
            "the server's ledger has something in flight after its end".into()
        });
        for (what, entry) in ADDITIVE {
            let sum: u64 = workers().map(entry).sum();
            let said = entry(&done.sum);
            self.expect(sum == said, || {
                format!("{what}: the workers' {sum} are {said} in the server's sum")
            });
        }
    }

    /// What must hold between the clients' records and the ledger.
    fn check_both(&mut self, sample: &Measurement, done: &Done) {
        let requests = &done.sum.requests;
        let (ok, ok_bytes) = match sample.cell.operation {
            Operation::Download => (requests.ok.get, requests.ok_bytes.get),
            Operation::Upload => (requests.ok.upload, requests.ok_bytes.upload),
            Operation::List => (requests.ok.list, requests.ok_bytes.list),
        };
        let tally = Tally::of(sample);
        self.expect((tally.ok..=tally.ok + tally.undecided).contains(&ok), || {
            let Tally { ok: clients, undecided, .. } = tally;
            format!("{clients} operations ok and {undecided} undecided at the clients, {ok} ok at the server")
        });
        // How long a listing would have been that nobody got is not known.
        let more_bytes = match sample.cell.operation {
            Operation::List if tally.undecided > 0 => u64::MAX,
            _ => tally.undecided.saturating_mul(sample.cell.volume),
        };
        let most = tally.ok_bytes.saturating_add(more_bytes);
        self.expect((tally.ok_bytes..=most).contains(&ok_bytes), || {
            let bytes = tally.ok_bytes;
            format!("{bytes} bytes ok at the clients, {ok_bytes} at the server")
        });
        let others = requests.ok.total() - ok;
        self.expect(others == 0, || {
            format!("the server carried out {others} requests that nobody sent")
        });
        let planned = sample.records.len() as u64 + tally.faulty;
        let accepted = done.sum.connections.accepted;
        self.expect((tally.ok..=planned).contains(&accepted), || {
            format!("{planned} connections planned, {accepted} accepted by the server")
        });
        let errors = requests.errors.total();
        // A worker that dies between answering and booking takes the booking with it.
        let is_booked = done.crashes > 0 || tally.refused <= errors;
        self.expect(is_booked && errors <= planned - tally.ok, || {
            let refused = tally.refused;
            format!("{refused} error replies at the clients, {errors} at the server")
        });
    }
}

/// What the clients say, faulty ones included, added up.
struct Tally {
    ok: u64,
    ok_bytes: u64,
    undecided: u64,
    refused: u64,
    /// Faulty clients that had a connection.
    faulty: u64,
}

impl Tally {
    fn of(sample: &Measurement) -> Self {
        let count = |is_counted: fn(Outcome) -> bool| {
            let outcomes = sample.records.iter().map(|record| record.outcome);
            outcomes.filter(|outcome| is_counted(*outcome)).count() as u64
        };
        let fault = sample.fault.as_ref();
        let faulty = |is_counted| fault.map_or(0, |fault| fault.count(is_counted));
        let faulty_ok = faulty(|client| client.end == FaultyEnd::Done);
        let verified_bytes = sample.records.iter().map(|record| record.verified_bytes);
        Self {
            ok: count(|outcome| outcome == Outcome::Ok) + faulty_ok,
            ok_bytes: verified_bytes.sum::<u64>() + faulty_ok * sample.cell.volume,
            undecided: count(is_undecided)
                + faulty(|client| client.has_asked && client.end != FaultyEnd::Done),
            refused: count(|outcome| outcome == Outcome::ServerError),
            faulty: fault.map_or(0, FaultReport::connected),
        }
    }
}

fn undone(fault: Fault) -> String {
    let advice = match fault {
        Fault::KillWorker => {
            ": no worker was busy for long enough; choose a larger --size or more --requests"
        }
        _ => "",
    };
    format!("the fault was not carried out: {fault}{advice}")
}

fn has_order(record: &Record) -> bool {
    let times = [
        Some(record.released_ns),
        record.connected_ns,
        record.first_byte_ns,
        record.ended_ns,
    ];
    times.iter().all(Option::is_some) && times.is_sorted()
}

#[cfg(test)]
mod tests;
