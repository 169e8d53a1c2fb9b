//! The figures of one sample, from its records and its server's ledger.

use std::cmp::Reverse;

use proto::announce::{Done, WorkerLedger};

use super::statistics::{mean, median, rate};
use crate::journal::Sample;
use crate::matrix::Operation;
use crate::measurement::{Settings, Status};
use crate::record::{Outcome, Record, by_client, longest_pause, steps};

/// How many of a cell's clients did all they had to do. The two add up to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientCounts {
    /// Clients all of whose operations were verified.
    pub ok: u32,
    /// The rest.
    pub failed: u32,
}

/// What a server's workers did, by its own ledger. The three add up to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerWorkers {
    /// Served at least one connection, and neither crashed nor answered `internal`.
    pub ok: u32,
    /// Crashed, was killed, or failed a request.
    pub failed: u32,
    /// Served nothing.
    pub idle: u32,
}

/// What is computed from one sample.
#[derive(Debug)]
pub(super) struct Figures<'a> {
    pub(super) sample: &'a Sample,
    /// Its server's ledger.
    pub(super) done: Option<&'a Done>,
    pub(super) status: Status,
    pub(super) clients: ClientCounts,
    pub(super) server_workers: Option<ServerWorkers>,
    pub(super) time_ns: Option<u64>,
    /// Verified content bytes of a client that succeeded, mean.
    pub(super) client_bytes: Option<u64>,
    pub(super) connect_ns: Option<u64>,
    pub(super) first_byte_ns: Option<u64>,
    pub(super) first_done_ns: Option<u64>,
    pub(super) makespan_ns: Option<u64>,
    pub(super) aggregate_bytes_per_s: Option<u64>,
    pub(super) server_cpu_ns: Option<u64>,
    pub(super) server_peak_rss_bytes: Option<u64>,
    pub(super) client_cpu_ns: Option<u64>,
    pub(super) wait_ns: Option<u64>,
    pub(super) transfer_ns: Option<u64>,
    /// From the first client's start to the last one's.
    pub(super) start_spread_ns: Option<u64>,
    /// The longest time of the window in which no operation was completed.
    pub(super) pause_ns: Option<u64>,
    /// Of each verified operation, from its start to its end.
    pub(super) latencies_ns: Vec<u64>,
}

impl<'a> Figures<'a> {
    pub(super) fn new(sample: &'a Sample, settings: &Settings) -> Self {
        let measurement = &sample.measurement;
        let cell = &measurement.cell;
        let requests = settings.requests(cell);
        let clients: Vec<Client<'_>> = by_client(&measurement.records)
            .map(|records| Client::new(records, requests))
            .collect();
        let succeeded: Vec<&Client<'_>> = clients.iter().filter(|client| client.is_ok).collect();
        let ok_len = u32::try_from(succeeded.len()).map_or(cell.clients, |it| it.min(cell.clients));
        let counts = ClientCounts {
            ok: ok_len,
            failed: cell.clients - ok_len,
        };

        let times = || succeeded.iter().filter_map(|client| client.time_ns());
        let records = measurement.records.iter();
        let verified_bytes: u64 = records.map(|record| record.verified_bytes).sum();
        let makespan_ns = clients.iter().filter_map(Client::time_ns).max();
        let steps = || clients.iter().flat_map(|client| steps(&client.records));
        // Content comes with the first byte of a reply, but for an upload: there it went before, and the time to the answer
        // is all of the operation.
        let has_content = cell.operation != Operation::Upload;
        let replies = || steps().filter(|_| has_content);
        let done = measurement.done.as_ref();
        Self {
            sample,
            done,
            status: status(measurement.status, counts),
            clients: counts,
            server_workers: done.and_then(|done| server_workers(done, cell.servers)),
            time_ns: mean(times()),
            client_bytes: mean(succeeded.iter().map(|client| client.verified_bytes())),
            connect_ns: median(steps().filter_map(|step| step.connect_ns)),
            first_byte_ns: median(replies().filter_map(|step| step.first_byte_ns)),
            first_done_ns: times().min(),
            makespan_ns,
            aggregate_bytes_per_s: match verified_bytes {
                0 => None,
                bytes => makespan_ns.and_then(|ns| rate(bytes, ns)),
            },
            server_cpu_ns: measurement.server_cpu().map(|cpu| cpu.as_nanos() as u64),
            server_peak_rss_bytes: done.and_then(|done| done.peak_rss_bytes),
            client_cpu_ns: measurement.client_cpu_us.map(|us| us * 1_000),
            wait_ns: median(replies().filter_map(|step| step.wait_ns)),
            transfer_ns: median(replies().filter_map(|step| step.transfer_ns)),
            start_spread_ns: start_spread(&clients),
            pause_ns: longest_pause(&measurement.records),
            latencies_ns: steps().filter_map(|step| step.latency_ns).collect(),
        }
    }

    /// Verified bytes over the summed time of the clients that succeeded, which is what a client moves in its mean time.
    pub(super) fn throughput_bytes_per_s(&self) -> Option<u64> {
        rate(self.client_bytes?, self.time_ns?)
    }

    /// See [`Measurement::is_only_cut`].
    pub(super) fn is_only_cut(&self) -> bool {
        self.sample.measurement.is_only_cut()
    }

    /// For finding the worst sample; of equally bad ones the earliest repeat.
    pub(super) fn badness(&self) -> impl Ord + use<> {
        let severity = match self.status {
            Status::Ok => 0,
            Status::NotRun => 1,
            Status::Cut => 2,
            Status::Timeout => 3,
            Status::Failed => 4,
            Status::ServerLost => 5,
            Status::Inconsistent => 6,
        };
        (
            severity,
            self.clients.failed,
            Reverse(self.sample.measurement.repeat),
        )
    }
}

/// Of the clients whose start was written down.
fn start_spread(clients: &[Client<'_>]) -> Option<u64> {
    let starts = clients
        .iter()
        .filter_map(|client| client.records.first()?.started_ns);
    Some(starts.clone().max()? - starts.min()?)
}

/// A sample that says `ok` although a client failed contradicts itself.
fn status(said: Status, clients: ClientCounts) -> Status {
    match said {
        Status::Ok if clients.failed != 0 => Status::Inconsistent,
        said => said,
    }
}

/// The records of one client, in order.
struct Client<'a> {
    records: Vec<&'a Record>,
    is_ok: bool,
}

impl<'a> Client<'a> {
    fn new(records: Vec<&'a Record>, requests: u32) -> Self {
        let is_complete = records.len() == requests as usize;
        let is_ok = is_complete && records.iter().all(|record| record.outcome == Outcome::Ok);
        Self { records, is_ok }
    }

    /// From the barrier's release to the end of the last operation that ended at all.
    fn time_ns(&self) -> Option<u64> {
        let ended = self.records.iter().filter_map(|record| record.ended_ns);
        self.records.first()?.since_release(ended.max())
    }

    fn verified_bytes(&self) -> u64 {
        let records = self.records.iter();
        records.map(|record| record.verified_bytes).sum()
    }
}

/// None if the ledger is not one of a pool of `servers`: then the counts could not add up to it.
fn server_workers(done: &Done, servers: u32) -> Option<ServerWorkers> {
    let mut counts = ServerWorkers {
        ok: 0,
        failed: 0,
        idle: 0,
    };
    for worker in &done.workers {
        *match worker {
            worker if has_failed(worker) => &mut counts.failed,
            worker if worker.counts.connections.accepted > 0 => &mut counts.ok,
            _ => &mut counts.idle,
        } += 1;
    }
    (counts.ok + counts.failed + counts.idle == servers).then_some(counts)
}

const fn has_failed(worker: &WorkerLedger) -> bool {
    worker.crashes > 0
        || worker.counts.connections.aborted_by_crash > 0
        || worker.counts.requests.aborted_by_crash > 0
        || worker.counts.requests.errors.internal > 0
}
