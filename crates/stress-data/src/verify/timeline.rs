//! What the workers of a timeline's server did, against what its clients did and against the server's ledger. Pure.

use std::collections::BTreeMap;

use proto::announce::Done;

use crate::journal::{Served, Timeline};
use crate::matrix::ServerPool;
use crate::measurement::{Measurement, Status};
use crate::record::Record;
use crate::size::counted;

/// An access log has its times in whole microseconds, two of them to each request.
const ROUNDED_NS: u64 = 2_000;

/// Everything about `timeline` that cannot be. One without requests is of a server without an access log.
pub(super) fn problems(timeline: &Timeline) -> Vec<String> {
    let (measurement, served) = (&timeline.sample.measurement, &timeline.served);
    let Some(done) = measurement.done.as_ref().filter(|_| !served.is_empty()) else {
        let is_strange = !served.is_empty() && measurement.status != Status::ServerLost;
        let what = "there are requests of a server that left no ledger";
        return is_strange.then(|| what.into()).into_iter().collect();
    };
    let records = &measurement.records;
    let strange = served.iter().filter(|served| !is_asked(served, records));
    let mut problems: Vec<String> = strange
        .map(|it| {
            let (worker, began) = (it.worker, it.began_ns);
            format!("worker {worker} served a request at {began} ns that no client made then")
        })
        .collect();
    problems.extend(count_problems(served, done));
    problems.extend(bytes_problem(served, measurement));
    if measurement.cell.server_pool != ServerPool::Event {
        problems.extend(overlaps(served));
    }
    problems
}

/// Whether a client was at work when the request's head was complete.
fn is_asked(served: &Served, records: &[Record]) -> bool {
    served.began_ns <= served.ended_ns
        && records.iter().any(|record| {
            let began = record.started_ns.unwrap_or(record.released_ns);
            served.client.is_none_or(|client| client == record.client)
                && began <= served.began_ns + ROUNDED_NS
                && record
                    .ended_ns
                    .is_some_and(|end| served.began_ns <= end + ROUNDED_NS)
        })
}

/// Each worker has a line for each request of its ledger that was logged.
fn count_problems(served: &[Served], done: &Done) -> Vec<String> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for one in served {
        *counts.entry(one.worker).or_default() += 1;
    }
    let mut problems = Vec::new();
    for worker in &done.workers {
        let requests = &worker.counts.requests;
        let unlogged = requests.unlogged.wrapping_add(requests.aborted_by_crash);
        let logged = requests.started.wrapping_sub(unlogged);
        let found = counts.remove(&worker.slot).unwrap_or(0);
        if found != logged {
            let slot = worker.slot;
            let found = counted(found, "request");
            problems.push(format!(
                "worker {slot} served {found}, and its ledger says {logged}"
            ));
        }
    }
    let nobody = counts.keys();
    problems.extend(nobody.map(|worker| format!("there is no worker {worker}")));
    problems
}

/// What the workers moved is what the clients verified, where all of it was.
fn bytes_problem(served: &[Served], measurement: &Measurement) -> Option<String> {
    let sent: u64 = served.iter().map(|it| it.bytes).sum();
    let records = measurement.records.iter();
    let verified: u64 = records.map(|record| record.verified_bytes).sum();
    (measurement.status == Status::Ok && sent != verified)
        .then(|| format!("its workers moved {sent} bytes, and its clients verified {verified}"))
}

/// A worker that blocks serves one request at a time.
fn overlaps(served: &[Served]) -> Vec<String> {
    let mut sorted: Vec<&Served> = served.iter().collect();
    sorted.sort_unstable_by_key(|it| (it.worker, it.began_ns));
    let pairs = sorted.windows(2);
    let both = pairs.filter(|pair| {
        pair[0].worker == pair[1].worker && pair[1].began_ns + ROUNDED_NS < pair[0].ended_ns
    });
    both.map(|pair| {
        let (worker, at) = (pair[0].worker, pair[1].began_ns);
        format!("worker {worker} served two requests at once, at {at} ns")
    })
    .collect()
}
