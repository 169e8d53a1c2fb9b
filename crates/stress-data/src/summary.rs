//! Rows from the journal alone: one a cell, the medians of its samples.
//!
//! Figures are medians over the samples that have them. Counts (clients, server workers) are not averaged: they
//! are those of one sample, the worst, so that within a row they add up to the pools. A figure that nobody
//! measured is absent, never zero.

pub mod clients;
pub mod csv;
mod figures;
mod flags;
pub mod metric;
pub mod statistics;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::fault::Fault;
use crate::journal::{Contents, Sample};
use crate::matrix::{Cell, Operation};
use crate::measurement::{ServerChoice, Settings, Status};
use crate::record::Outcome;
use crate::shift::Shift;

use figures::Figures;
pub use figures::{ClientCounts, ServerWorkers};
pub use flags::Flag;
use metric::Metric;
use statistics::{Spread, median, percentile, rate};

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which combination.
    pub cell: Cell,
    /// Whether the server was ours: of a foreign one the kind of pool is not known.
    pub is_own_server: bool,
    /// How it ended: the worst of its samples.
    pub status: Status,
    /// Samples planned.
    pub repeats: u32,
    /// Samples taken.
    pub samples: u32,
    /// From the barrier's release to the last byte of a client's last operation; mean over the clients that
    /// succeeded. In nanoseconds, over the samples.
    pub time_ns: Option<Spread>,
    /// Verified content bytes of a client over its time above, so that the two multiplied are the volume. A mean of the
    /// clients' own rates is more than that, and the more so the more unequally they are served.
    pub throughput_bytes_per_s: Option<u64>,
    /// The clients of the worst sample.
    pub clients: Option<ClientCounts>,
    /// The server's workers in the worst sample; none without a ledger.
    pub server_workers: Option<ServerWorkers>,
    /// Median over verified operations, from the start of the operation to the established connection.
    pub connect: Option<Duration>,
    /// Median over verified operations, from the start of the operation to the first byte of the reply; none of uploads,
    /// whose reply begins when they are over.
    pub first_byte: Option<Duration>,
    /// When the first client finished.
    pub first_done: Option<Duration>,
    /// When the last client finished, or failed.
    pub makespan: Option<Duration>,
    /// All verified bytes of the cell over its makespan.
    pub aggregate_bytes_per_s: Option<u64>,
    /// CPU time of the server's processes in the window: see [`crate::measurement::Measurement::server_cpu`].
    pub server_cpu: Option<Duration>,
    /// The largest VmHWM of a server process in any sample.
    pub server_peak_rss_bytes: Option<u64>,
    /// CPU time of the clients over the measured window.
    pub client_cpu: Option<Duration>,
    /// Median over verified operations, from the established connection to the first byte of the reply; none of uploads.
    pub wait: Option<Duration>,
    /// Median over verified operations, from the first byte of the reply to the last; none of uploads.
    pub transfer: Option<Duration>,
    /// Median over the verified operations of all samples, from their start to their end.
    pub latency_p50: Option<Duration>,
    /// What 99 of 100 of them do not exceed; none of fewer than 100.
    pub latency_p99: Option<Duration>,
    /// What 90 of 100 of them do not exceed; none of fewer than 10.
    pub latency_p90: Option<Duration>,
    /// The longest of them.
    pub latency_max: Option<Duration>,
    /// The longest time without a completed operation in any sample, from the release on. A client asks again only when it
    /// has its answer, so that a server that stands still shows in few latencies, and here.
    pub pause: Option<Duration>,
    /// How far apart the clients started, median over the samples; none where nobody wrote it down.
    pub start_spread: Option<Duration>,
    /// The largest VmHWM of a process with clients in any sample: one client, or all of them as threads.
    pub client_peak_rss_bytes: Option<u64>,
    /// The most memory that all processes of the server had together in any sample; none if nobody watched.
    pub server_memory_bytes: Option<u64>,
    /// Connections that a dying worker had in hand, by the server's ledger: the most of any sample.
    pub connections_cut: Option<u64>,
    /// Content bytes per second that the machine cannot exceed in this cell; none if nobody measured it.
    pub ceiling_bytes_per_s: Option<u64>,
    /// Samples that were taken first and not counted.
    pub warmup_samples: u32,
    /// The server's receive buffer, if one was set; as the server reports it.
    pub server_buffer_bytes: Option<u64>,
    /// The server's encoded cache, as it reports it; of one that was asked for one and has none, 0. None if nothing is known.
    pub encoded_cache_bytes: Option<u64>,
    /// Times per client over those of the reference, round by round; none of the reference, and without one.
    pub ratio: Option<Shift>,
    /// Connections that a blocking worker of the server sets aside, as it reports it.
    pub set_aside: Option<u32>,
    /// What the server promises about uploads, as it reports it.
    pub durability: Option<String>,
    /// What it was asked to promise; none of a foreign server, which is asked nothing.
    pub durability_asked: Option<String>,
    /// The most frequent outcome besides `ok`, or `ok` if there is no other.
    pub top_outcome: Option<Outcome>,
    /// Every operation that did not succeed was cut off, as a killed worker cuts those that it has in hand.
    pub is_only_cut: bool,
    /// What a reader should know before believing the row.
    pub flags: Vec<Flag>,
    /// What went wrong, in the samples' own words.
    pub notes: Vec<String>,
}

impl Row {
    /// The median of the samples' times.
    #[must_use]
    pub fn time(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.time_ns?.median))
    }

    /// What the server promises about uploads, or was asked to where it was lost before it said so; none of a row without
    /// uploads, and of a foreign server, of which that is not known. Uploads of one durability do not compare with another's.
    #[must_use]
    pub fn upload_durability(&self) -> Option<&str> {
        let durability = self
            .durability
            .as_deref()
            .or(self.durability_asked.as_deref());
        durability.filter(|_| self.cell.operation == Operation::Upload)
    }

    /// What the server's workers are; empty for a foreign server, of which that is not known.
    #[must_use]
    pub const fn server_pool(&self) -> &'static str {
        match self.is_own_server {
            true => self.cell.server_pool.as_str(),
            false => "",
        }
    }

    /// The most memory of the server, over the connections that it can have in hand at once.
    #[must_use]
    pub fn memory_per_connection_bytes(&self) -> Option<u64> {
        self.server_memory_bytes?
            .checked_div(self.cell.at_once().into())
    }

    /// The share of the ceiling that all clients together reached, in thousandths.
    #[must_use]
    pub fn ceiling_permille(&self) -> Option<u64> {
        let reached = self.aggregate_bytes_per_s?.checked_mul(1_000)?;
        let ceiling = self.ceiling_bytes_per_s?;
        (reached + ceiling / 2).checked_div(ceiling)
    }

    /// The same as a share: 1 is the ceiling.
    #[must_use]
    pub fn ceiling_share(&self) -> Option<f64> {
        Some(self.ceiling_permille()? as f64 / 1_000.0)
    }

    /// Connections that the server can have at once, those included that its workers set aside: what a crash may cost.
    fn held_at_once(&self) -> u32 {
        let each = self.set_aside.unwrap_or(0).saturating_add(1);
        let held = self.cell.at_once().saturating_mul(each);
        held.min(self.cell.clients.saturating_add(self.cell.fault.clients()))
    }

    /// Of a row whose worker was killed, how many connections that one had in hand, and how many a worker can have.
    #[must_use]
    pub fn lost_in_crash(&self) -> Option<(u64, u32)> {
        let cut = self.connections_cut?;
        (self.cell.fault == Fault::KillWorker).then(|| (cut, self.held_at_once()))
    }

    /// Whether it is as it should be: verified, or disturbed on purpose and nothing lost but what the killed
    /// worker had in hand (which [`crate::reconcile`] has checked). One operation that failed in another way, such as
    /// by wrong bytes, is one too many.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        match self.status {
            Status::Ok => true,
            Status::Failed => self.cell.fault == Fault::KillWorker && self.is_only_cut,
            _ => false,
        }
    }
}

/// All rows of a run, in the order of their numbers; cells without a sample are rows too.
#[must_use]
pub fn rows(contents: &Contents) -> Vec<Row> {
    let cells = &contents.header.fingerprint.cells;
    cells.iter().map(|cell| row(contents, cell)).collect()
}

/// One sample in a few figures, for showing it as soon as it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// How it ended.
    pub status: Status,
    /// Mean over the clients that succeeded.
    pub time: Option<Duration>,
    /// All verified bytes over the makespan.
    pub aggregate_bytes_per_s: Option<u64>,
    /// What went wrong first.
    pub note: Option<String>,
}

impl Brief {
    /// The figures of `sample`.
    #[must_use]
    pub fn new(sample: &Sample, settings: &Settings) -> Self {
        let figures = Figures::new(sample, settings);
        Self {
            status: figures.status,
            time: figures.time_ns.map(Duration::from_nanos),
            aggregate_bytes_per_s: figures.aggregate_bytes_per_s,
            note: notes(&[sample]).into_iter().next(),
        }
    }
}

fn row(contents: &Contents, cell: &Cell) -> Row {
    let fingerprint = &contents.header.fingerprint;
    let settings = &*fingerprint.settings.of(cell);
    let known: Vec<&Sample> = contents.samples_of(cell.number).collect();
    let taken: Vec<Figures<'_>> = known
        .iter()
        .filter(|sample| sample.measurement.status != Status::NotRun)
        .map(|sample| Figures::new(sample, settings))
        .collect();

    let values = |pick: fn(&Figures<'_>) -> Option<u64>| taken.iter().filter_map(pick);
    let typical = |pick| median(values(pick));
    let typical_time = |pick| typical(pick).map(Duration::from_nanos);
    let worst = taken.iter().max_by_key(|figures| figures.badness());
    let mut readies = taken.iter();
    let ready = readies.find_map(|figures| figures.sample.measurement.ready.as_ref());
    let latencies = || taken.iter().flat_map(|it| it.latencies_ns.iter().copied());
    let mut sessions = contents.sessions.iter();
    let ceilings = sessions.find_map(|session| session.ceilings.as_ref());
    let is_warmup = |sample: &&Sample| sample.measurement.cell.number == cell.number;

    let is_own_server = settings.server == ServerChoice::Own;
    let time_ns = Spread::of(values(|figures| figures.time_ns));
    let client_bytes = typical(|figures| figures.client_bytes);

    Row {
        cell: cell.clone(),
        is_own_server,
        status: status(worst, taken.len(), fingerprint.repeats),
        repeats: fingerprint.repeats,
        samples: u32::try_from(taken.len()).unwrap_or(u32::MAX),
        time_ns,
        throughput_bytes_per_s: client_bytes.and_then(|bytes| rate(bytes, time_ns?.median)),
        clients: worst.map(|figures| figures.clients),
        server_workers: worst.and_then(|figures| figures.server_workers),
        connect: typical_time(|figures| figures.connect_ns),
        first_byte: typical_time(|figures| figures.first_byte_ns),
        first_done: typical_time(|figures| figures.first_done_ns),
        makespan: typical_time(|figures| figures.makespan_ns),
        aggregate_bytes_per_s: typical(|figures| figures.aggregate_bytes_per_s),
        server_cpu: typical_time(|figures| figures.server_cpu_ns),
        server_peak_rss_bytes: values(|figures| figures.server_peak_rss_bytes).max(),
        client_cpu: typical_time(|figures| figures.client_cpu_ns),
        wait: typical_time(|figures| figures.wait_ns),
        transfer: typical_time(|figures| figures.transfer_ns),
        latency_p50: median(latencies()).map(Duration::from_nanos),
        latency_p99: percentile(99, latencies()).map(Duration::from_nanos),
        latency_p90: percentile(90, latencies()).map(Duration::from_nanos),
        latency_max: latencies().max().map(Duration::from_nanos),
        pause: values(|it| it.pause_ns).max().map(Duration::from_nanos),
        start_spread: typical_time(|it| it.start_spread_ns),
        client_peak_rss_bytes: values(|it| it.sample.measurement.client_peak_rss_bytes).max(),
        server_memory_bytes: values(|it| Some(it.sample.measurement.server_memory?.peak_bytes))
            .max(),
        connections_cut: values(|it| Some(it.done?.sum.connections.aborted_by_crash)).max(),
        ceiling_bytes_per_s: ceilings.and_then(|ceilings| ceilings.of(cell)),
        warmup_samples: u32::try_from(contents.warmups.iter().filter(is_warmup).count())
            .unwrap_or(u32::MAX),
        server_buffer_bytes: ready.and_then(|ready| ready.settings.receive_buffer_bytes),
        encoded_cache_bytes: ready.and_then(|ready| {
            let asked = cell.encoded_cache.map(|_| 0);
            ready.settings.encoded_cache_bytes.or(asked)
        }),
        ratio: ratio(contents, cell),
        set_aside: ready.and_then(|ready| ready.settings.set_aside),
        durability: ready.map(|ready| ready.settings.durability.clone()),
        durability_asked: is_own_server.then(|| settings.durability.clone()),
        top_outcome: top_outcome(&taken),
        is_only_cut: taken.iter().all(Figures::is_only_cut),
        flags: flags::of(contents, &taken),
        notes: notes(&known),
    }
}

fn ratio(contents: &Contents, cell: &Cell) -> Option<Shift> {
    let reference = contents.header.fingerprint.reference(cell)?;
    let times = Metric::TimePerClientS;
    Shift::paired(&times.pairs(contents, reference.number, cell.number))
}

/// The worst sample's, except that a cell with fewer samples than planned is cut at best.
fn status(worst: Option<&Figures<'_>>, samples: usize, repeats: u32) -> Status {
    match worst.map(|figures| figures.status) {
        None => Status::NotRun,
        Some(Status::Ok) if samples < repeats as usize => Status::Cut,
        Some(status) => status,
    }
}

fn top_outcome(taken: &[Figures<'_>]) -> Option<Outcome> {
    let mut counts = BTreeMap::new();
    for record in taken.iter().flat_map(|it| &it.sample.measurement.records) {
        *counts.entry(record.outcome).or_insert(0_u64) += 1;
    }
    // Of equally frequent ones the first in the order of the enum.
    let trouble = counts.iter().filter(|(it, _)| **it != Outcome::Ok);
    let top = trouble.max_by_key(|(outcome, count)| (**count, Reverse(**outcome)));
    match top {
        Some((outcome, _)) => Some(*outcome),
        None => counts.contains_key(&Outcome::Ok).then_some(Outcome::Ok),
    }
}

/// The samples' notes, and what the first operation that failed had to say.
fn notes(known: &[&Sample]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for measurement in known.iter().map(|sample| &sample.measurement) {
        let records = measurement.records.iter();
        let mut failed = records.filter(|it| it.outcome != Outcome::Ok);
        let detail = failed.find_map(|it| it.detail.clone());
        for note in measurement.notes.iter().cloned().chain(detail) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests;
