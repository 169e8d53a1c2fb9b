//! A status as Prometheus metrics, in the text format 0.0.4. Everything is a sum over the workers: a pool of 4,096
//! must not make 4,096 time series of each.

use std::fmt::Display;

use proto::announce::{Connections, Requests};
use proto::status::{ProcessState, ServerState, Status};

use super::http::{self, Answer};

/// The verb of requests of which only the outcome is counted.
const ANY_VERB: &str = "any";

pub(super) fn answer(status: &Status) -> Answer {
    let mut out = Out::default();
    server(&mut out, status);
    workers(&mut out, status);
    connections(&mut out, &status.sum.counts.connections);
    requests(&mut out, &status.sum.counts.requests);
    ledger(&mut out, status);
    listener(&mut out, status);
    http::text("text/plain; version=0.0.4; charset=utf-8", out.0)
}

fn server(out: &mut Out, status: &Status) {
    let server = &status.server;
    let info = labels(&[
        ("version", &server.version),
        ("pool", &server.pool),
        ("address", &server.address),
    ]);
    out.many(
        "prefork_server_info",
        "What this server is; always 1.",
        [(info, 1)],
    );
    out.many(
        "prefork_server_uptime_seconds",
        "How long the parent process has been running.",
        [(
            String::new(),
            seconds(server.uptime_ms.saturating_mul(1000)),
        )],
    );
    out.one(
        "prefork_log_lines_lost_total",
        "Log lines that there was no room for.",
        server.log_lines_lost,
    );
    let states = ServerState::ALL.map(|state| {
        let is_so = u64::from(state == server.state);
        (label("state", state.as_str()), is_so)
    });
    out.one(
        "prefork_root_files_unlisted",
        "Files of the root that the last listing left out, because no client can name them.",
        server.files_unlisted,
    );
    out.one(
        "prefork_encoded_cache_bytes",
        "What the encoded cache holds, or has room for while it is being filled.",
        server.cached_bytes,
    );
    let sent = status.sum.counts.requests.sent_from_cache_bytes;
    out.one(
        "prefork_encoded_cache_sent_bytes_total",
        "Encoded content that was sent from the encoded cache.",
        server.cached_bytes.map(|_| sent),
    );
    out.many(
        "prefork_server_state",
        "What the server is doing: 1 for what it is, 0 for all else.",
        states,
    );
}

fn workers(out: &mut Out, status: &Status) {
    out.one(
        "prefork_workers_wanted",
        "The size that the pool is to have.",
        u64::from(status.server.workers_wanted),
    );
    let present = || status.workers.iter().filter(|it| it.state.is_some());
    let count = |is_busy| present().filter(|it| it.is_busy == is_busy).count() as u64;
    out.many(
        "prefork_workers",
        "Workers that exist: busy ones have a connection in hand that is not set aside.",
        [
            (label("state", "busy"), count(true)),
            (label("state", "idle"), count(false)),
        ],
    );
    let set_aside = status.workers.iter().map(|it| it.connections_set_aside);
    out.one(
        "prefork_connections_set_aside",
        "Connections that blocking workers have set aside, of those in flight: they have no transfer in hand.",
        set_aside.fold(0, u64::wrapping_add),
    );
    let processes = ProcessState::ALL.map(|state| {
        let are_so = status.processes.iter().filter(|it| it.state == state);
        (label("state", state.as_str()), are_so.count() as u64)
    });
    out.many(
        "prefork_worker_processes",
        "Worker processes that exist, by what they are doing.",
        processes,
    );
    let sum = &status.sum;
    out.one(
        "prefork_worker_crashes_total",
        "Worker processes that ended without being asked to.",
        u64::from(sum.crashes),
    );
    out.one(
        "prefork_worker_restarts_total",
        "Worker processes that were started in the place of an earlier one.",
        u64::from(sum.restarts),
    );
    let hits = sum.limits_hit.iter();
    out.many(
        "prefork_limit_hits_total",
        "Workers that could not be started, or were killed, because a limit of the system was reached, by the limit.",
        hits.map(|it| (label("limit", &it.limit), it.hits)),
    );
    out.many(
        "prefork_worker_cpu_seconds_total",
        "CPU time of all worker processes that ever lived.",
        [
            (label("mode", "user"), seconds(sum.cpu_user_us)),
            (label("mode", "system"), seconds(sum.cpu_system_us)),
        ],
    );
    out.one(
        "prefork_worker_resident_memory_bytes",
        "Resident memory of the worker processes, added up; they share pages.",
        sum.rss_bytes,
    );
    out.one(
        "prefork_worker_resident_memory_peak_bytes",
        "The largest resident size that any worker process has had.",
        sum.peak_rss_bytes.unwrap_or(0),
    );
}

fn connections(out: &mut Out, connections: &Connections) {
    out.one(
        "prefork_connections_accepted_total",
        "Connections taken from the listener.",
        connections.accepted,
    );
    out.many(
        "prefork_connections_total",
        "Connections that have ended, by how; with those in flight they are those accepted.",
        connections
            .ends()
            .map(|(outcome, count)| (label("outcome", outcome), count)),
    );
    out.one(
        "prefork_connections_in_flight",
        "Connections still open.",
        connections.in_flight,
    );
    out.one(
        "prefork_connections_refused_over_address_cap_total",
        "Those of the refused whose address had as many connections as it may have.",
        connections.refused_over_address_cap,
    );
    out.many(
        "prefork_accept_errors_total",
        "Accepts that failed, by the limit that was met; the clients waited.",
        connections
            .accept_errors_by_limit
            .all()
            .map(|(limit, count)| (label("limit", limit.as_str()), count)),
    );
}

fn requests(out: &mut Out, requests: &Requests) {
    out.one(
        "prefork_requests_started_total",
        "Requests whose head was complete, or refused.",
        requests.started,
    );
    let sample = |verb, outcome| labels(&[("verb", verb), ("outcome", outcome)]);
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
    out.many(
        "prefork_requests_total",
        "Requests that have ended, by verb and outcome (the verb of those that failed is not counted apart); with those in flight they are those started.",
        ends,
    );
    out.one(
        "prefork_requests_in_flight",
        "Requests not answered yet.",
        requests.in_flight,
    );
    out.one(
        "prefork_requests_unlogged_total",
        "Requests whose line in the access log could not be written.",
        requests.unlogged,
    );
    let bytes = requests.ok_bytes.all();
    let bytes = bytes.map(|(verb, bytes)| (label("verb", verb.as_str()), bytes));
    out.many(
        "prefork_content_bytes_total",
        "Decoded content bytes of the requests carried out (of a list, its JSON).",
        bytes,
    );
}

fn ledger(out: &mut Out, status: &Status) {
    let sum = &status.sum;
    out.many(
        "prefork_ledger_balanced",
        "Whether everything that began is accounted for: 1 if so.",
        [
            (
                label("of", "connections"),
                u64::from(sum.connections_balanced),
            ),
            (label("of", "requests"), u64::from(sum.requests_balanced)),
        ],
    );
}

/// What the kernel does not tell is left out.
fn listener(out: &mut Out, status: &Status) {
    let listener = &status.listener;
    out.one(
        "prefork_listener_backlog",
        "Connections that wait to be accepted.",
        listener.backlog.map(u64::from),
    );
    out.one(
        "prefork_listener_backlog_max",
        "How many connections may wait to be accepted.",
        listener.backlog_max.map(u64::from),
    );
    out.one(
        "prefork_netns_listen_overflows_total",
        "How often a listening queue was full, all sockets of this network namespace together.",
        listener.listen_overflows,
    );
    out.one(
        "prefork_netns_listen_drops_total",
        "Connections dropped before a listening queue, all sockets of this network namespace together.",
        listener.listen_drops,
    );
}

fn label(name: &str, value: &str) -> String {
    labels(&[(name, value)])
}

fn labels(labels: &[(&str, &str)]) -> String {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    format!("{{{}}}", labels.join(","))
}

/// In as few digits as it takes.
fn seconds(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, format!("{:06}", micros % 1_000_000));
    let rest = rest.trim_end_matches('0');
    format!("{whole}.{}", if rest.is_empty() { "0" } else { rest })
}

/// Metrics, one after the other. Nothing in them needs to be escaped.
#[derive(Default)]
struct Out(String);

impl Out {
    /// A metric that is one number, if it is known.
    fn one(&mut self, name: &str, help: &str, value: impl Into<Option<u64>>) {
        let value = value.into();
        self.many(name, help, value.map(|value| (String::new(), value)));
    }

    /// A metric with these samples, each with its labels; it has some or is not there.
    fn many<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        let mut head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            self.0.push_str(&std::mem::take(&mut head));
            self.0.push_str(&format!("{name}{labels} {value}\n"));
        }
    }
}
