//! A status in a few sentences: the server, its workers together, its queue, what came of it all.

use std::fmt::Write;
use std::time::Duration;

use proto::announce::Counts;
use proto::status::{ProcessState, Status};
use screen::{counted, counted_as};

use super::units::{bytes, seconds};

pub(super) fn head(out: &mut String, status: &Status) -> std::fmt::Result {
    let server = &status.server;
    let uptime = Duration::from_secs(server.uptime_ms / 1000);
    writeln!(
        out,
        "prefork-server {}, pid {}, {} for {}: {} on {}",
        server.version,
        server.pid,
        server.state.as_str().replace('_', " "),
        humantime::format_duration(uptime),
        status.settings.root,
        server.address,
    )?;
    if let Some(pid) = server.predecessor_pid {
        writeln!(
            out,
            "the server before it, pid {pid}, still finishes what it has in hand"
        )?;
    }
    if let Some(pid) = server.successor_pid {
        writeln!(out, "a new server, pid {pid}, is to take over")?;
    }
    if server.log_lines_lost > 0 {
        let lines = server.log_lines_lost;
        writeln!(out, "log lines lost, there was no room for them: {lines}")?;
    }
    let busy = status.workers.iter().filter(|it| it.is_busy).count();
    let of = |state| {
        status
            .processes
            .iter()
            .filter(|it| it.state == state)
            .count()
    };
    writeln!(
        out,
        "{} wanted, {busy} busy; processes: {} serving, {} starting, {} retiring; {}, {}",
        counted(
            server.workers_wanted.into(),
            &format!("{} worker", server.pool)
        ),
        of(ProcessState::Serving),
        of(ProcessState::Starting),
        of(ProcessState::Retiring),
        counted_as(status.sum.crashes.into(), "crash", "crashes"),
        counted(status.sum.restarts.into(), "restart"),
    )?;
    let listener = &status.listener;
    writeln!(
        out,
        "queue: {} of {}; overflows {}, drops {} (of all sockets of this machine or container)",
        or_unknown(listener.backlog),
        or_unknown(listener.backlog_max),
        or_unknown(listener.listen_overflows),
        or_unknown(listener.listen_drops),
    )?;
    counts(out, status)?;
    writeln!(
        out,
        "cpu: {} user, {} system; memory: {} in all, at most {} in one process",
        seconds(status.sum.cpu_user_us),
        seconds(status.sum.cpu_system_us),
        bytes(status.sum.rss_bytes),
        status
            .sum
            .peak_rss_bytes
            .map_or_else(|| "?".to_owned(), bytes),
    )
}

fn counts(out: &mut String, status: &Status) -> std::fmt::Result {
    let Counts {
        connections: c,
        requests: r,
    } = &status.sum.counts;
    let ends = [
        ("closed", c.closed),
        ("client gone", c.client_gone),
        ("timed out", c.timed_out),
        ("refused", c.refused),
        ("cut by a stop", c.aborted_by_stop),
        ("cut by a crash", c.aborted_by_crash),
        ("open", c.in_flight),
    ];
    let balanced = status.sum.connections_balanced;
    writeln!(
        out,
        "connections: {} = {}",
        c.accepted,
        terms(&ends, balanced)
    )?;
    let ok = r.ok.all().map(|(verb, count)| (verb.as_str(), count));
    let errors = r.errors.all().map(|(code, count)| (code.as_str(), count));
    let mut ends = [&ok[..], &errors].concat();
    ends.extend([
        ("client gone", r.client_gone),
        ("timed out", r.timed_out),
        ("cut by a stop", r.aborted_by_stop),
        ("cut by a crash", r.aborted_by_crash),
        ("in hand", r.in_flight),
    ]);
    let balanced = status.sum.requests_balanced;
    writeln!(out, "requests: {} = {}", r.started, terms(&ends, balanced))?;
    if let Some(held) = status.server.cached_bytes {
        let sent = r.sent_from_cache_bytes;
        writeln!(
            out,
            "encoded cache: holds {}, has sent {}",
            bytes(held),
            bytes(sent)
        )?;
    }
    let trouble = trouble(status);
    if !trouble.is_empty() {
        writeln!(out, "trouble: {}", trouble.join(", "))?;
    }
    for hit in &status.sum.limits_hit {
        writeln!(
            out,
            "limit reached: {}, {} a worker could not be started or was killed",
            hit.limit,
            counted(hit.hits, "time")
        )?;
    }
    Ok(())
}

/// What should not be, as far as there is any of it.
fn trouble(status: &Status) -> Vec<String> {
    let Counts {
        connections,
        requests,
    } = &status.sum.counts;
    let over_cap = connections.refused_over_address_cap;
    let unlisted = status.server.files_unlisted.unwrap_or(0);
    let mut trouble = vec![
        (over_cap, format!("{over_cap} over their address's cap")),
        (
            requests.unlogged,
            counted_as(requests.unlogged, "line not logged", "lines not logged"),
        ),
        (
            unlisted,
            format!("{} that no client can name", counted(unlisted, "file")),
        ),
    ];
    for (limit, failed) in connections.accept_errors_by_limit.all() {
        let text = format!("{} failed ({})", counted(failed, "accept"), limit.as_str());
        trouble.push((failed, text));
    }
    trouble.retain(|(count, _)| *count > 0);
    trouble.into_iter().map(|(_, text)| text).collect()
}

/// The terms that are not zero, and a word if they do not add up.
fn terms(terms: &[(&str, u64)], balanced: bool) -> String {
    let mut shown: Vec<String> = terms
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if shown.is_empty() {
        shown.push("0".to_owned());
    }
    let warning = if balanced { "" } else { "  DOES NOT ADD UP" };
    format!("{}{warning}", shown.join(" + "))
}

fn or_unknown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_is_is_shown_and_what_does_not_add_up_is_said() {
        let all = [("closed", 2), ("refused", 0), ("open", 1)];
        assert_eq!(terms(&all, true), "2 closed + 1 open");
        assert!(terms(&all, false).ends_with("DOES NOT ADD UP"));
        assert_eq!(terms(&[("closed", 0)], true), "0");
    }
}
