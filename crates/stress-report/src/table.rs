//! The table on the terminal at the end of a run: rows grouped by what was moved, failures in plain sight.

mod foot;

use screen::{Column, Screen, Table, counted};
use stress_data::journal::Contents;
use stress_data::matrix::{Cell, LIST_FILE_BYTES, Operation};
use stress_data::measurement::Status;
use stress_data::size::{self, rate_text};
use stress_data::summary::csv::format_seconds;
use stress_data::summary::{Row, ServerWorkers};

/// The table with what belongs under it.
#[must_use]
pub fn render(contents: &Contents, rows: &[Row], screen: Screen) -> String {
    let fingerprint = &contents.header.fingerprint;
    let shown = Shown {
        spread: fingerprint.repeats > 1,
        reference: fingerprint
            .settings
            .subjects
            .first()
            .map(|it| it.name.as_str()),
    };
    let mut table = Table::new(columns(shown));
    let mut group = None;
    for row in rows {
        let heading = heading(row, rows);
        if group.as_ref() != Some(&heading) {
            table.heading(&heading);
            group = Some(heading);
        }
        match row.status {
            Status::Ok => table.row(cells(row, shown)),
            _ => table.bad_row(cells(row, shown)),
        }
    }
    let mut out = table.render(screen);
    // Writing to a string cannot fail.
    let _ = foot::write(&mut out, contents, rows, screen);
    out
}

/// What a table has only where there is something of it.
#[derive(Clone, Copy)]
struct Shown<'a> {
    spread: bool,
    /// The subject that the others' times are related to.
    reference: Option<&'a str>,
}

/// The assignment's columns stay; the others go in the order of what they add.
fn columns(shown: Shown<'_>) -> Vec<Column> {
    let number = Column::number;
    let mut columns = vec![
        number("no"),
        number("workers").under("client"),
        number("workers").under("server"),
        number("client, s")
            .under("time per")
            .short("s per", "client"),
        number("client").under("MB/s per").short("MB/s", "each"),
        number("together")
            .under("MB/s")
            .short("MB/s", "all")
            .spare(1),
        number("ok").under("clients"),
        number("failed").under("clients"),
        number("ok").under("server workers").short("servers", "ok"),
        number("failed")
            .under("server workers")
            .short("servers", "failed"),
        number("idle")
            .under("server workers")
            .short("servers", "idle")
            .spare(3),
        Column::text("status"),
    ];
    if let Some(reference) = shown.reference {
        let head = number(reference).under("time over");
        columns.insert(SPREAD, head.short("time", "ratio").spare(1));
    }
    if shown.spread {
        columns.insert(SPREAD, number("spread").spare(2));
    }
    columns
}

/// Where the spread stands: behind the time that it is of.
const SPREAD: usize = 4;

/// What the rows of a group share. `rows` are those of the table.
pub(crate) fn heading<'a>(row: &Row, rows: impl IntoIterator<Item = &'a Row>) -> String {
    let cell = &row.cell;
    let (operation, volume) = (cell.operation.as_str(), size::format(cell.volume));
    let bytes = counted(cell.volume, "byte");
    let files = match cell.operation {
        Operation::Download | Operation::Upload => String::new(),
        Operation::List => counted(cell.volume.div_ceil(LIST_FILE_BYTES), "file") + ", ",
    };
    let server = match row.server_pool() {
        "" => "foreign",
        pool => pool,
    };
    let mut cell = cell.clone();
    // What the server has says more than what it was asked for; one that was lost has told nothing, and others the same.
    let asked = cell.encoded_cache;
    let is_alike =
        |it: &&Row| (it.cell.encoded_cache, &it.cell.subject) == (asked, &row.cell.subject);
    let mut alike = rows.into_iter().filter(is_alike);
    let told = row.encoded_cache_bytes;
    let told = told.or_else(|| alike.find_map(|it| it.encoded_cache_bytes));
    cell.encoded_cache = told.or(asked);
    let (pool, conditions) = (cell.client_pool.as_str(), conditions(&cell));
    let durability = row.upload_durability();
    let durability = durability.map_or_else(String::new, |it| format!(", durability {it}"));
    format!(
        "{operation} {volume} ({files}{bytes}), {pool} clients, {server} server{durability}{conditions}"
    )
}

/// What is different from the usual in a cell, from a comma on: whose it is of several subjects, buffers and a cache that
/// were set, and a fault.
#[must_use]
pub fn conditions(cell: &Cell) -> String {
    let mut conditions = String::new();
    if let Some(name) = &cell.subject {
        conditions += &format!(", subject {name}");
    }
    let buffers = [
        ("client", cell.client_buffer),
        ("server", cell.server_buffer),
    ];
    for (whose, buffer) in buffers {
        if let Some(bytes) = buffer {
            conditions += &format!(", {whose} buffer {}", size::format(bytes));
        }
    }
    match cell.encoded_cache {
        None => {}
        Some(0) => conditions += ", no encoded cache",
        Some(bytes) => conditions += &format!(", encoded cache {}", cache_text(bytes)),
    }
    if !cell.fault.is_none() {
        conditions += &format!(", fault {}", cell.fault);
    }
    conditions
}

/// A part of the machine's memory is seldom a round number.
pub(crate) fn cache_text(bytes: u64) -> String {
    let exact = size::format(bytes);
    match exact.ends_with(|last: char| last.is_ascii_digit()) {
        true => size::approximate(bytes),
        false => exact,
    }
}

fn cells(row: &Row, shown: Shown<'_>) -> Vec<String> {
    let time = row.time().map(|time| format_seconds(time, 4));
    let rate = |rate: Option<u64>| or_dash(rate.map(rate_text));
    let workers = |pick: fn(ServerWorkers) -> u32| or_dash(row.server_workers.map(pick));
    let mut cells = vec![
        row.cell.number.to_string(),
        row.cell.clients.to_string(),
        row.cell.servers.to_string(),
        or_dash(time),
        rate(row.throughput_bytes_per_s),
        rate(row.aggregate_bytes_per_s),
        or_dash(row.clients.map(|clients| clients.ok)),
        or_dash(row.clients.map(|clients| clients.failed)),
        workers(|workers| workers.ok),
        workers(|workers| workers.failed),
        workers(|workers| workers.idle),
        row.status.as_str().to_owned(),
    ];
    if shown.reference.is_some() {
        let ratio = row.ratio.map(|ratio| format!("{:.2}", ratio.ratio));
        cells.insert(SPREAD, or_dash(ratio));
    }
    if shown.spread {
        cells.insert(SPREAD, or_dash(spread_text(row)));
    }
    cells
}

/// The median absolute deviation as a share of the median.
fn spread_text(row: &Row) -> Option<String> {
    let time = row.time_ns?;
    let (mad, median) = (u128::from(time.mad?), u128::from(time.median));
    let permille = (mad * 1_000 + median / 2).checked_div(median)?;
    Some(format!("±{}.{} %", permille / 10, permille % 10))
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

#[cfg(test)]
mod tests;
