//! A status for people: a few sentences, then a row for each worker.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use proto::announce::{ByCode, Counts, Limit};
use proto::status::{Process, ProcessState, Status, Worker};
use proto::{Code, Verb};

/// The head of each column, and whether it holds numbers.
const COLUMNS: [(&str, bool); 13] = [
    ("slot", true),
    ("pid", true),
    ("gen", true),
    ("state", false),
    ("conns", true),
    ("open", true),
    ("ok", true),
    ("errors", true),
    ("cut", true),
    ("bytes", true),
    ("crashes", true),
    ("cpu", true),
    ("rss / peak", true),
];

/// The text for a terminal of so many columns; none leaves every line as long as it is.
pub(super) fn render(status: &Status, width: Option<u16>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut out, status);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width);
    }
    table.set_header(COLUMNS.map(|(name, _)| name));
    for worker in &status.workers {
        table.add_row(row(worker));
    }
    for (column, (_, is_number)) in table.column_iter_mut().zip(COLUMNS) {
        if is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let _ = writeln!(out, "\n{}", table.trim_fmt());
    for process in leaving_or_coming(status) {
        let _ = writeln!(out, "{process}");
    }
    out
}

fn head(out: &mut String, status: &Status) -> std::fmt::Result {
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
        "{} {} workers wanted, {busy} busy; processes: {} serving, {} starting, {} retiring; {} crashes, {} restarts",
        server.workers_wanted,
        server.pool,
        of(ProcessState::Serving),
        of(ProcessState::Starting),
        of(ProcessState::Retiring),
        status.sum.crashes,
        status.sum.restarts,
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
    let mut requests = r.clone();
    let mut ends: Vec<(&str, u64)> = Verb::ALL
        .into_iter()
        .map(|verb| (verb.as_str(), *requests.ok.get_mut(verb)))
        .collect();
    let errors: &mut ByCode = &mut requests.errors;
    ends.extend(
        Code::ALL
            .into_iter()
            .map(|code| (code.as_str(), *errors.get_mut(code))),
    );
    ends.extend([
        ("client gone", r.client_gone),
        ("timed out", r.timed_out),
        ("cut by a stop", r.aborted_by_stop),
        ("cut by a crash", r.aborted_by_crash),
        ("in hand", r.in_flight),
    ]);
    let balanced = status.sum.requests_balanced;
    writeln!(out, "requests: {} = {}", r.started, terms(&ends, balanced))?;
    let mut trouble = vec![
        ("over their address's cap", c.refused_over_address_cap),
        ("lines not logged", r.unlogged),
        (
            "files that no client can name",
            status.server.files_unlisted.unwrap_or(0),
        ),
    ];
    let mut by_limit = c.accept_errors_by_limit;
    let failed = Limit::ALL.map(|limit| {
        let name = format!("accepts failed ({})", limit.as_str());
        (name, *by_limit.get_mut(limit))
    });
    trouble.extend(failed.iter().map(|(name, count)| (name.as_str(), *count)));
    if trouble.iter().any(|(_, count)| *count > 0) {
        writeln!(out, "trouble: {}", terms(&trouble, true))?;
    }
    for hit in &status.sum.limits_hit {
        writeln!(
            out,
            "limit reached: {}, {} times a worker could not be started or was killed",
            hit.limit, hit.hits
        )?;
    }
    Ok(())
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

fn row(worker: &Worker) -> [String; 13] {
    let ledger = &worker.ledger;
    let Counts {
        connections,
        requests,
    } = &ledger.counts;
    let state = match worker.state {
        None => "gone",
        Some(ProcessState::Serving) if worker.is_busy => "busy",
        Some(ProcessState::Serving) => "idle",
        Some(other) => other.as_str(),
    };
    // A request that was cut went with one of them.
    let cut = connections
        .aborted_by_stop
        .wrapping_add(connections.aborted_by_crash);
    let cpu = ledger
        .cpu_user_us
        .zip(ledger.cpu_system_us)
        .map(|(user, system)| seconds(user.wrapping_add(system)));
    let memory = worker.rss_bytes.map(|rss| {
        let peak = ledger.peak_rss_bytes.map_or_else(String::new, bytes);
        format!("{} / {peak}", bytes(rss))
    });
    [
        ledger.slot.to_string(),
        ledger.pid.to_string(),
        ledger.generations.to_string(),
        state.to_owned(),
        connections.accepted.to_string(),
        connections.in_flight.to_string(),
        requests.ok.total().to_string(),
        requests.errors.total().to_string(),
        cut.to_string(),
        bytes(requests.ok_bytes.total()),
        ledger.crashes.to_string(),
        cpu.unwrap_or_default(),
        memory.unwrap_or_default(),
    ]
}

/// Processes of which the rows do not tell, or not all.
fn leaving_or_coming(status: &Status) -> impl Iterator<Item = String> {
    let is_apart = |it: &&Process| it.state != ProcessState::Serving;
    status.processes.iter().filter(is_apart).map(|process| {
        format!(
            "{}: pid {}, seat {}, generation {}, {} connections in hand",
            process.state.as_str(),
            process.pid,
            process.seat,
            process.generation,
            process.connections_in_flight,
        )
    })
}

fn or_unknown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

fn seconds(micros: u64) -> String {
    format!(
        "{}.{:02} s",
        micros / 1_000_000,
        micros % 1_000_000 / 10_000
    )
}

/// With a unit that keeps it short.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stay_short() {
        let check = |size: u64, want: &str| assert_eq!(bytes(size), want);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(1_572_864, "1.5 MiB");
        check(u64::MAX, "16383.9 PiB");
    }

    #[test]
    fn only_what_there_is_is_shown_and_what_does_not_add_up_is_said() {
        let all = [("closed", 2), ("refused", 0), ("open", 1)];
        assert_eq!(terms(&all, true), "2 closed + 1 open");
        assert!(terms(&all, false).ends_with("DOES NOT ADD UP"));
        assert_eq!(terms(&[("closed", 0)], true), "0");
    }
}
