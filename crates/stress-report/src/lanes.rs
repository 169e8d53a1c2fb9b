//! A row's window as lanes: what each client did when, what each server worker had in hand, and how much was moved. Pure.

use std::collections::BTreeMap;

use stress_data::journal::{Served, Timeline};
use stress_data::matrix::Operation;
use stress_data::record::{Outcome, Record, by_client};

/// So many equal parts of the window have a rate of their own.
pub(crate) const BINS: usize = 200;

/// The window; all times are nanoseconds from the release.
#[derive(Debug, PartialEq)]
pub(crate) struct Lanes {
    pub(crate) window_ns: u64,
    pub(crate) clients: Vec<Lane>,
    /// Of a server whose access log is known.
    pub(crate) workers: Vec<Lane>,
    /// Bytes moved in each of [`BINS`] parts of the window.
    pub(crate) bytes: Vec<f64>,
}

/// One client, or one worker.
#[derive(Debug, PartialEq)]
pub(crate) struct Lane {
    /// From 0.
    pub(crate) number: u32,
    pub(crate) spans: Vec<Span>,
    /// How many of them there are at once, at most: an event worker has several requests in hand.
    pub(crate) tracks: usize,
}

/// What it did from when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) kind: Kind,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    /// Beside which others at the same time, from 0.
    pub(crate) track: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A client, from its start to the connection.
    Connecting,
    /// From there to the first byte; of an upload, until a worker has the request.
    Waiting,
    /// From there to the end.
    Moving,
    /// It did not succeed.
    Failed,
    /// A worker, from the complete head of a request to the end of the answer.
    Serving,
}

impl Lane {
    /// How long it did things of one kind.
    pub(crate) fn total_ns(&self, kind: Kind) -> u64 {
        let spans = self.spans.iter().filter(|span| span.kind == kind);
        spans.map(|span| span.to_ns - span.from_ns).sum()
    }
}

impl Lanes {
    /// None if nothing was measured.
    pub(crate) fn of(timeline: &Timeline) -> Option<Self> {
        let measurement = &timeline.sample.measurement;
        let released_ns = measurement.records.first()?.released_ns;
        let mut lanes = Self {
            window_ns: u64::try_from(measurement.window()?.as_nanos()).ok()?.max(1),
            clients: Vec::new(),
            workers: workers(timeline, released_ns),
            bytes: vec![0.0; BINS],
        };
        for records in by_client(&measurement.records) {
            let number = records.first()?.client;
            let heads = match measurement.cell.operation {
                Operation::Upload => heads(&timeline.served, number),
                Operation::Download | Operation::List => Vec::new(),
            };
            lanes.add_client(number, &records, &heads, measurement.cell.operation);
        }
        Some(lanes)
    }

    /// How many requests are in hand at once, at most: of the workers, or else of clients that move bytes.
    pub(crate) fn most_at_once(&self) -> u64 {
        let (lanes, kind) = match self.workers.is_empty() {
            true => (&self.clients, Kind::Moving),
            false => (&self.workers, Kind::Serving),
        };
        let spans = lanes.iter().flat_map(|lane| &lane.spans);
        let spans = spans.filter(|span| span.kind == kind);
        let mut edges: Vec<(u64, i64)> = spans
            .flat_map(|span| [(span.from_ns, 1), (span.to_ns, -1)])
            .collect();
        edges.sort_unstable();
        let open = edges.iter().scan(0, |open, (_, by)| {
            *open += by;
            Some(*open)
        });
        open.max().unwrap_or(0).unsigned_abs()
    }

    fn add_client(
        &mut self,
        number: u32,
        records: &[&Record],
        heads: &[u64],
        operation: Operation,
    ) {
        let mut lane = Lane {
            number,
            spans: Vec::new(),
            tracks: 1,
        };
        let mut before_ns = 0;
        for (index, record) in records.iter().enumerate() {
            let at = |ns: Option<u64>| record.since_release(ns);
            let Some(end) = at(record.ended_ns) else {
                continue;
            };
            let start = at(record.started_ns).unwrap_or(before_ns).min(end);
            let connected = at(record.connected_ns).unwrap_or(end).clamp(start, end);
            let turn = match operation {
                Operation::Upload => heads.get(index).map_or(Some(connected), |ns| at(Some(*ns))),
                Operation::Download | Operation::List => at(record.first_byte_ns),
            };
            let turn = turn.unwrap_or(end).clamp(connected, end);
            let last = match record.outcome {
                Outcome::Ok => Kind::Moving,
                _ => Kind::Failed,
            };
            let is_lost = turn == end && last == Kind::Failed;
            let waiting = if is_lost { last } else { Kind::Waiting };
            let parts = [
                (Kind::Connecting, start, connected),
                (waiting, connected, turn),
                (last, turn, end),
            ];
            let parts = parts.into_iter().filter(|(_, from, to)| from < to);
            lane.spans.extend(parts.map(|(kind, from_ns, to_ns)| Span {
                kind,
                from_ns,
                to_ns,
                track: 0,
            }));
            self.spread(record.bytes, turn, end);
            before_ns = end;
        }
        self.clients.push(lane);
    }

    /// Nobody wrote down when which byte came: they are spread evenly over the time in which all of them did.
    fn spread(&mut self, bytes: u64, from_ns: u64, to_ns: u64) {
        let bin_ns = self.window_ns as f64 / BINS as f64;
        let (from, to) = (from_ns as f64 / bin_ns, to_ns as f64 / bin_ns);
        let length = to - from;
        if length < 1e-6 {
            self.bytes[(from as usize).min(BINS - 1)] += bytes as f64;
            return;
        }
        for (bin, sum) in self.bytes.iter_mut().enumerate() {
            let (left, right) = (from.max(bin as f64), to.min(bin as f64 + 1.0));
            *sum += (right - left).max(0.0) / length * bytes as f64;
        }
    }
}

/// When a worker had each upload of the client, in order.
fn heads(served: &[Served], client: u32) -> Vec<u64> {
    let own = served.iter().filter(|it| it.client == Some(client));
    let mut heads: Vec<u64> = own.map(|it| it.began_ns).collect();
    heads.sort_unstable();
    heads
}

fn workers(timeline: &Timeline, released_ns: u64) -> Vec<Lane> {
    let mut by_worker: BTreeMap<u32, Vec<Span>> = BTreeMap::new();
    if !timeline.served.is_empty() {
        // One that served nobody has a lane too.
        for number in 0..timeline.sample.measurement.cell.servers {
            by_worker.entry(number).or_default();
        }
    }
    for it in &timeline.served {
        let span = Span {
            kind: Kind::Serving,
            from_ns: it.began_ns.saturating_sub(released_ns),
            to_ns: it.ended_ns.saturating_sub(released_ns),
            track: 0,
        };
        by_worker.entry(it.worker).or_default().push(span);
    }
    let lane = |(number, mut spans): (u32, Vec<Span>)| {
        spans.sort_unstable_by_key(|span| span.from_ns);
        let mut ends: Vec<u64> = Vec::new();
        for span in &mut spans {
            let free = ends.iter().position(|end| *end <= span.from_ns);
            span.track = free.unwrap_or(ends.len());
            ends.resize(ends.len().max(span.track + 1), 0);
            ends[span.track] = span.to_ns;
        }
        let tracks = ends.len().max(1);
        Lane {
            number,
            spans,
            tracks,
        }
    };
    by_worker.into_iter().map(lane).collect()
}

#[cfg(test)]
mod tests;
