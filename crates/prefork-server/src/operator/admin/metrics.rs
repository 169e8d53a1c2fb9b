//! A status as Prometheus metrics, in the text format 0.0.4. Everything is a sum over the workers: a pool of 4,096
//! must not make 4,096 time series of each.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use proto::announce::{Connections, Requests};
use proto::status::{ProcessState, ServerState, Status};

use super::http::{self, Answer};

/// Every name starts with this.
const PREFIX: &str = "prefork";

/// The verb of requests of which only the outcome is counted.
const ANY_VERB: &str = "any";

/// The labels of one sample.
type Labels = Vec<(&'static str, String)>;

pub(super) fn answer(status: &Status) -> Answer {
    http::text(prometheus_text::CONTENT_TYPE, encode(status))
}

fn encode(status: &Status) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Snapshot(status.clone())));
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Snapshot(Status);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Out(&mut encoder);
        server(&mut out, &self.0)?;
        workers(&mut out, &self.0)?;
        connections(&mut out, &self.0.sum.counts.connections)?;
        requests(&mut out, &self.0.sum.counts.requests)?;
        ledger(&mut out, &self.0)?;
        listener(&mut out, &self.0)
    }
}

fn server(out: &mut Out<'_, '_>, status: &Status) -> Result<(), Error> {
    let server = &status.server;
    let info = vec![
        ("version", server.version.clone()),
        ("pool", server.pool.clone()),
        ("address", server.address.clone()),
    ];
    out.gauges("server_info", "What this server is; always 1.", [(info, 1)])?;
    out.gauge(
        "server_uptime_seconds",
        "How long the parent process has been running.",
        seconds(server.uptime_ms.saturating_mul(1000)),
    )?;
    out.counter(
        "log_lines_lost",
        "Log lines that there was no room for.",
        server.log_lines_lost,
    )?;
    let states = ServerState::ALL.map(|state| {
        let is_so = u64::from(state == server.state);
        (label("state", state.as_str()), is_so)
    });
    if let Some(files) = server.files_unlisted {
        out.gauge(
            "root_files_unlisted",
            "Files of the root that the last listing left out, because no client can name them.",
            files,
        )?;
    }
    if let Some(bytes) = server.cached_bytes {
        out.gauge(
            "encoded_cache_bytes",
            "What the encoded cache holds, or has room for while it is being filled.",
            bytes,
        )?;
        out.counter(
            "encoded_cache_sent_bytes",
            "Encoded content that was sent from the encoded cache.",
            status.sum.counts.requests.sent_from_cache_bytes,
        )?;
    }
    out.gauges(
        "server_state",
        "What the server is doing: 1 for what it is, 0 for all else.",
        states,
    )
}

fn workers(out: &mut Out<'_, '_>, status: &Status) -> Result<(), Error> {
    out.gauge(
        "workers_wanted",
        "The size that the pool is to have.",
        u64::from(status.server.workers_wanted),
    )?;
    let present = || status.workers.iter().filter(|it| it.state.is_some());
    let count = |is_busy| present().filter(|it| it.is_busy == is_busy).count() as u64;
    out.gauges(
        "workers",
        "Workers that exist: busy ones have a connection in hand that is not set aside.",
        [
            (label("state", "busy"), count(true)),
            (label("state", "idle"), count(false)),
        ],
    )?;
    let set_aside = status.workers.iter().map(|it| it.connections_set_aside);
    out.gauge(
        "connections_set_aside",
        "Connections that blocking workers have set aside, of those in flight: they have no transfer in hand.",
        set_aside.fold(0, u64::wrapping_add),
    )?;
    let processes = ProcessState::ALL.map(|state| {
        let are_so = status.processes.iter().filter(|it| it.state == state);
        (label("state", state.as_str()), are_so.count() as u64)
    });
    out.gauges(
        "worker_processes",
        "Worker processes that exist, by what they are doing.",
        processes,
    )?;
    let sum = &status.sum;
    out.counter(
        "worker_crashes",
        "Worker processes that ended without being asked to.",
        u64::from(sum.crashes),
    )?;
    out.counter(
        "worker_restarts",
        "Worker processes that were started in the place of an earlier one.",
        u64::from(sum.restarts),
    )?;
    // A metric has samples or is not there.
    if !sum.limits_hit.is_empty() {
        let hits = sum.limits_hit.iter();
        out.counters(
            "limit_hits",
            "Workers that could not be started, or were killed, because a limit of the system was reached, by the limit.",
            hits.map(|it| (label("limit", &it.limit), it.hits)),
        )?;
    }
    out.counters(
        "worker_cpu_seconds",
        "CPU time of all worker processes that ever lived.",
        [
            (label("mode", "user"), seconds(sum.cpu_user_us)),
            (label("mode", "system"), seconds(sum.cpu_system_us)),
        ],
    )?;
    out.gauge(
        "worker_resident_memory_bytes",
        "Resident memory of the worker processes, added up; they share pages.",
        sum.rss_bytes,
    )?;
    out.gauge(
        "worker_resident_memory_peak_bytes",
        "The largest resident size that any worker process has had.",
        sum.peak_rss_bytes.unwrap_or(0),
    )
}

fn connections(out: &mut Out<'_, '_>, connections: &Connections) -> Result<(), Error> {
    out.counter(
        "connections_accepted",
        "Connections taken from the listener.",
        connections.accepted,
    )?;
    out.counters(
        "connections",
        "Connections that have ended, by how; with those in flight they are those accepted.",
        connections
            .ends()
            .map(|(outcome, count)| (label("outcome", outcome), count)),
    )?;
    out.gauge(
        "connections_in_flight",
        "Connections still open.",
        connections.in_flight,
    )?;
    out.counter(
        "connections_refused_over_address_cap",
        "Those of the refused whose address had as many connections as it may have.",
        connections.refused_over_address_cap,
    )?;
    out.counters(
        "accept_errors",
        "Accepts that failed, by the limit that was met; the clients waited.",
        connections
            .accept_errors_by_limit
            .all()
            .map(|(limit, count)| (label("limit", limit.as_str()), count)),
    )
}

fn requests(out: &mut Out<'_, '_>, requests: &Requests) -> Result<(), Error> {
    out.counter(
        "requests_started",
        "Requests whose head was complete, or refused.",
        requests.started,
    )?;
    let sample = |verb: &str, outcome: &str| {
        vec![("verb", verb.to_owned()), ("outcome", outcome.to_owned())]
    };
    let mut ends = Vec::new();
    for (verb, count) in requests.ok.all() {
        ends.push((sample(verb.as_str(), "ok"), count));
    }
    for (code, count) in requests.errors.all() {
        ends.push((sample(ANY_VERB, code.as_str()), count));
    }
    // A request that timed out was not answered; the code `timeout` is for those that were told.
    for (outcome, count) in requests.unanswered() {
        ends.push((sample(ANY_VERB, outcome), count));
    }
    out.counters(
        "requests",
        "Requests that have ended, by verb and outcome (the verb of those that failed is not counted apart); with those in flight they are those started.",
        ends,
    )?;
    out.gauge(
        "requests_in_flight",
        "Requests not answered yet.",
        requests.in_flight,
    )?;
    out.counter(
        "requests_unlogged",
        "Requests whose line in the access log could not be written.",
        requests.unlogged,
    )?;
    let bytes = requests.ok_bytes.all();
    let bytes = bytes.map(|(verb, bytes)| (label("verb", verb.as_str()), bytes));
    out.counters(
        "content_bytes",
        "Decoded content bytes of the requests carried out (of a list, its JSON).",
        bytes,
    )
}

fn ledger(out: &mut Out<'_, '_>, status: &Status) -> Result<(), Error> {
    let sum = &status.sum;
    out.gauges(
        "ledger_balanced",
        "Whether everything that began is accounted for: 1 if so.",
        [
            (
                label("of", "connections"),
                u64::from(sum.connections_balanced),
            ),
            (label("of", "requests"), u64::from(sum.requests_balanced)),
        ],
    )
}

/// What the kernel does not tell is left out.
fn listener(out: &mut Out<'_, '_>, status: &Status) -> Result<(), Error> {
    let listener = &status.listener;
    if let Some(backlog) = listener.backlog {
        out.gauge(
            "listener_backlog",
            "Connections that wait to be accepted.",
            u64::from(backlog),
        )?;
    }
    if let Some(backlog_max) = listener.backlog_max {
        out.gauge(
            "listener_backlog_max",
            "How many connections may wait to be accepted.",
            u64::from(backlog_max),
        )?;
    }
    if let Some(overflows) = listener.listen_overflows {
        out.counter(
            "netns_listen_overflows",
            "How often a listening queue was full, all sockets of this network namespace together.",
            overflows,
        )?;
    }
    if let Some(drops) = listener.listen_drops {
        out.counter(
            "netns_listen_drops",
            "Connections dropped before a listening queue, all sockets of this network namespace together.",
            drops,
        )?;
    }
    Ok(())
}

fn label(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a time series of CPU time needs no microseconds after 285 years"
)]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Families of samples, one after the other.
struct Out<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Out<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> Result<(), Error> {
        self.gauges(name, help, [(Labels::new(), value)])
    }

    fn gauges<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) -> Result<(), Error> {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue,
    ) -> Result<(), Error> {
        self.counters(name, help, [(Labels::new(), value)])
    }

    /// `name` goes without the `_total` that every counter has.
    fn counters<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) -> Result<(), Error> {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }
}
