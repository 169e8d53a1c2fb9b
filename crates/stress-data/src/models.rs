//! The page an engineer decides from: what each server pool does for good clients when all are fast, when some are
//! slow or silent, and when a worker dies. Computed from the rows alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::fault::Fault;
use crate::journal::Contents;
use crate::matrix::Cell;
use crate::measurement::Status;
use crate::size::{approximate, counted, format, rate_text};
use crate::summary::Row;
use screen::{Column, Screen, Table};

/// So many times the latency without a fault is said in words.
const NOTABLE_FACTOR: u128 = 3;

/// A row whose good clients a fault makes wait notably longer.
#[derive(Debug)]
pub struct Slowed<'a> {
    /// The row with the fault.
    pub row: &'a Row,
    /// Which share of its operations, of 100, takes no longer than that: 99, or 90 or half of what has fewer.
    pub percentile: u8,
    /// How long without the fault.
    pub before: Duration,
    /// How long with it.
    pub after: Duration,
}

/// Those among `rows`, each beside the row without a fault that has all else. By the rarest latency that both know: what a
/// fault does to one client in a hundred is what it does.
#[must_use]
pub fn slowed<'a>(rows: &'a [Row]) -> Vec<Slowed<'a>> {
    let key = |row: &Row| Cell {
        number: 0,
        fault: Fault::None,
        ..row.cell.clone()
    };
    let fast = |row: &Row| {
        rows.iter()
            .find(|it| it.cell.fault.is_none() && key(it) == key(row))
    };
    let of = |row: &'a Row| {
        let twin = fast(row)?;
        let known = |percentile: u8, of: fn(&Row) -> Option<Duration>| {
            Some((percentile, of(twin)?, of(row)?))
        };
        let (percentile, before, after) = known(99, |row| row.latency_p99)
            .or_else(|| known(90, |row| row.latency_p90))
            .or_else(|| known(50, |row| row.latency_p50))?;
        let is_notable = after.as_nanos() >= before.as_nanos() * NOTABLE_FACTOR;
        is_notable.then_some(Slowed {
            row,
            percentile,
            before,
            after,
        })
    };
    let faulty = rows.iter().filter(|row| row.cell.fault.clients() > 0);
    faulty.filter_map(of).collect()
}

/// A shorter pause is what a scheduler makes, too.
const PAUSE_NOTABLE: Duration = Duration::from_secs(1);

/// The rows of which much of a window passed without a completed operation, though operations take no time like that: with
/// that time, and the whole window. Latencies do not show it, because a client that waits asks nothing more.
#[must_use]
pub fn stalled<'a>(rows: &'a [Row]) -> Vec<(&'a Row, Duration, Duration)> {
    let of = |row: &'a Row| {
        let (pause, window) = (row.pause?, row.makespan?);
        let typical = row.latency_p50?.as_nanos();
        let is_notable = pause >= PAUSE_NOTABLE
            && pause * 2 >= window
            && pause.as_nanos() >= typical * NOTABLE_FACTOR;
        is_notable.then_some((row, pause, window))
    };
    rows.iter().filter_map(of).collect()
}

/// The page, for a terminal.
#[must_use]
pub fn render(contents: &Contents, rows: &[Row], screen: Screen) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    for block in blocks(rows) {
        let title = screen.strong(&screen.wrapped(&block_title(contents, block[0])));
        let _ = writeln!(out, "{title}\n{}", table(&block).render(screen));
    }
    for sentence in sentences(rows) {
        let _ = writeln!(out, "{}", screen.wrapped(&format!("  {sentence}")));
    }
    let legend = LEGEND.replace('\n', " ");
    let _ = writeln!(out, "\n{}", screen.prose(&legend));
    for sentence in set_aside(rows) {
        let _ = writeln!(out, "{}", screen.prose(&sentence));
    }
    out
}

/// The page, as Markdown for a file.
#[must_use]
pub fn markdown(contents: &Contents, rows: &[Row]) -> String {
    let mut out = String::new();
    for block in blocks(rows) {
        let title = block_title(contents, block[0]);
        let _ = writeln!(out, "**{title}**\n\n{}", table(&block).markdown());
    }
    for sentence in sentences(rows) {
        let _ = writeln!(out, "- {sentence}");
    }
    let _ = writeln!(out, "\n{LEGEND}");
    for sentence in set_aside(rows) {
        let _ = writeln!(out, "{sentence}");
    }
    out
}

/// What the rows of a block, of which `row` is one, have to do.
fn block_title(contents: &Contents, row: &Row) -> String {
    let cell = &row.cell;
    let requests = contents.header.fingerprint.settings.transfer_requests;
    let (title, volume) = (title(cell.fault), format(cell.volume));
    let operations = counted(requests.into(), cell.operation.as_str());
    let clients = counted(cell.clients.into(), "good client");
    format!("{title}: {operations} of {volume} by each of {clients}")
}

fn set_aside(rows: &[Row]) -> Vec<String> {
    let set_aside: BTreeSet<u32> = rows.iter().filter_map(|row| row.set_aside).collect();
    let sentence = |connections| {
        let what = match connections {
            0 => "a worker has one connection, from accept to its end",
            _ => "a worker sets aside connections without a transfer in hand",
        };
        format!("Blocking workers ran with --set-aside {connections}: {what}.")
    };
    set_aside.into_iter().map(sentence).collect()
}

const LEGEND: &str = "\
p50, p99, slowest: of the good clients' verified operations, connecting and waiting included; p99 needs 100 of them.\n\
failed: good clients with an operation that failed. memory: the most of all server processes together (PSS), per\n\
connection: divided by the connections that the pool can have in hand at once (a blocking worker has one).\n\
lost in crash: connections that the killed worker process had in hand.";

/// The rows of each fault, in the plan's order.
fn blocks(rows: &[Row]) -> Vec<Vec<&Row>> {
    let mut blocks: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let key = |row: &Row| {
            let cell = &row.cell;
            (cell.fault, cell.operation, cell.volume, cell.clients)
        };
        match blocks.iter_mut().find(|block| key(block[0]) == key(row)) {
            Some(block) => block.push(row),
            None => blocks.push(vec![row]),
        }
    }
    blocks
}

fn title(fault: Fault) -> String {
    let clients = |kind: &str| counted(fault.clients().into(), &format!("{kind} client"));
    match fault {
        Fault::None => "All clients fast".into(),
        Fault::KillWorker => "One worker process killed".into(),
        Fault::SilentClient { .. } => format!("{} come first", clients("silent")),
        Fault::StallClient { .. } => format!("{} come first", clients("stalled")),
        Fault::SlowClient { bytes_per_s, .. } => {
            let (clients, rate) = (clients("slow"), format(bytes_per_s));
            format!("{clients}, {rate}/s each, come first")
        }
    }
}

/// Which pool, then its figures.
fn table(block: &[&Row]) -> Table {
    let number = Column::number;
    let mut table = Table::new([
        Column::text("pool").under("server"),
        number("workers"),
        number("MB/s"),
        number("p50").spare(1),
        number("p99"),
        number("slowest").spare(2),
        number("failed"),
        number("memory"),
        number("connection").under("per"),
        number("crash").under("lost in"),
    ]);
    for row in block {
        table.row(fields(row));
    }
    table
}

fn fields(row: &Row) -> [String; 10] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    [
        row.cell.server_pool.as_str().into(),
        row.cell.servers.to_string(),
        or_dash(row.aggregate_bytes_per_s.map(rate_text)),
        or_dash(row.latency_p50.map(milliseconds)),
        or_dash(row.latency_p99.map(milliseconds)),
        or_dash(row.latency_max.map(milliseconds)),
        match (row.status, row.clients) {
            (Status::Ok | Status::Failed | Status::Timeout, Some(it)) => it.failed.to_string(),
            (status, _) => status.as_str().into(),
        },
        or_dash(row.server_memory_bytes.map(approximate)),
        or_dash(row.memory_per_connection_bytes().map(approximate)),
        row.lost_in_crash()
            .map_or_else(String::new, |(cut, held)| format!("{cut} of {held}")),
    ]
}

/// What the figures say, in words.
fn sentences(rows: &[Row]) -> Vec<String> {
    let mut sentences = Vec::new();
    let fast: Vec<&Row> = rows.iter().filter(|row| row.cell.fault.is_none()).collect();
    let rates = fast.iter().filter_map(|row| row.aggregate_bytes_per_s);
    if let (Some(least), Some(most)) = (rates.clone().min(), rates.max())
        && fast.len() > 1
    {
        let (least, most) = (rate_text(least), rate_text(most));
        sentences.push(format!(
            "With fast clients alone the pools move {least} to {most} MB/s."
        ));
    }
    for slowed in slowed(rows) {
        let (title, pool) = (title(slowed.row.cell.fault), pool(slowed.row));
        let [before, after] = [slowed.before, slowed.after].map(milliseconds);
        let percentile = slowed.percentile;
        sentences.push(format!(
            "{title}: p{percentile} {after} instead of {before} in {pool}."
        ));
    }
    for (row, pause, window) in stalled(rows) {
        let (title, pool) = (title(row.cell.fault), pool(row));
        let [pause, window] = [pause, window].map(milliseconds);
        sentences.push(format!(
            "{title}: for {pause} of {window} no operation was completed in {pool}, which few latencies show."
        ));
    }
    let memory = |row: &&Row| Some((row.memory_per_connection_bytes()?, pool(row)));
    let mut memory: Vec<_> = fast.iter().filter_map(memory).collect();
    memory.sort_unstable();
    if let [(least, one), .., (most, other)] = &memory[..] {
        let [least, most] = [*least, *most].map(approximate);
        sentences.push(format!(
            "A connection costs {least} in {one}, {most} in {other}."
        ));
    }
    for row in rows {
        if let Some((cut, held)) = row.lost_in_crash() {
            let (connections, pool) = (counted(held.into(), "connection"), pool(row));
            sentences.push(format!("One crash costs {cut} of {connections} in {pool}."));
        }
    }
    sentences
}

fn pool(row: &Row) -> String {
    let (pool, servers) = (row.cell.server_pool.as_str(), row.cell.servers);
    let workers = counted(servers.into(), &format!("{pool} worker"));
    format!("a pool of {workers}")
}

/// Milliseconds, with a decimal below ten.
fn milliseconds(time: Duration) -> String {
    let tenths = (time.as_micros() + 50) / 100;
    match tenths {
        0..100 => format!("{}.{} ms", tenths / 10, tenths % 10),
        _ => {
            let whole = u64::try_from((tenths + 5) / 10).unwrap_or(u64::MAX);
            format!("{} ms", crate::size::with_commas(whole))
        }
    }
}

#[cfg(test)]
mod tests;
