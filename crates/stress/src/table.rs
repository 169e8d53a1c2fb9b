//! The table on the terminal at the end of a run: rows grouped by what was moved, failures in plain sight.

mod foot;

use std::fmt::Write;
use std::time::Duration;

use crate::journal::Contents;
use crate::matrix::{Cell, LIST_FILE_BYTES, Operation};
use crate::measurement::Status;
use crate::size::{self, counted, with_commas};
use crate::summary::Row;
use crate::summary::csv::format_seconds;

/// The table with what belongs under it; `run` is the folder's name. With `is_colourful`, ANSI colours.
#[must_use]
pub fn render(contents: &Contents, rows: &[Row], run: &str, is_colourful: bool) -> String {
    let paint = Paint { is_colourful };
    let has_spread = contents.header.fingerprint.repeats > 1;
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_head(&mut out, has_spread, paint);
    let mut group = None;
    for row in rows {
        let heading = heading(row);
        if group.as_ref() != Some(&heading) {
            let _ = writeln!(out, "{}", paint.bold(&heading));
            group = Some(heading);
        }
        let line = line(row, has_spread);
        let _ = writeln!(
            out,
            "{}",
            if row.status == Status::Ok {
                line
            } else {
                paint.red(&line)
            }
        );
    }
    let _ = foot::write(&mut out, contents, rows, run, paint);
    out
}

fn write_head(out: &mut String, has_spread: bool, paint: Paint) -> std::fmt::Result {
    let (above, below) = if has_spread {
        ("          ", "    spread")
    } else {
        ("", "")
    };
    let first = format!(
        "{:>4}{:>9}{:>9}{:>11}{above}{:>10}{:>10}{:>14}{:>19}",
        "", "client", "server", "time per", "MB/s per", "MB/s", "clients", "server workers"
    );
    let second = format!(
        "{:>4}{:>9}{:>9}{:>11}{below}{:>10}{:>10}{:>6}{:>8}{:>6}{:>7}{:>6}  {}",
        "no",
        "workers",
        "workers",
        "client, s",
        "client",
        "together",
        "ok",
        "failed",
        "ok",
        "failed",
        "idle",
        "status"
    );
    writeln!(out, "{}", paint.bold(&first))?;
    writeln!(out, "{}", paint.bold(&second))
}

/// What the rows of a group share.
pub(crate) fn heading(row: &Row) -> String {
    let Cell {
        operation,
        volume,
        client_pool,
        client_buffer,
        server_buffer,
        fault,
        ..
    } = row.cell;
    let volume_text = size::format(volume);
    let bytes = with_commas(volume);
    let moved = match operation {
        Operation::Download | Operation::Upload => {
            format!("{} {volume_text} ({bytes} bytes)", operation.as_str())
        }
        Operation::List => {
            let files = counted(volume.div_ceil(LIST_FILE_BYTES), "file");
            format!("list {volume_text} ({files}, {bytes} bytes)")
        }
    };
    let server = if row.is_own_server {
        row.cell.server_pool.as_str()
    } else {
        "foreign"
    };
    let mut heading = format!("{moved}, {} clients, {server} server", client_pool.as_str());
    for (whose, buffer) in [("client", client_buffer), ("server", server_buffer)] {
        if let Some(bytes) = buffer {
            heading += &format!(", {whose} buffer {}", size::format(bytes));
        }
    }
    if !fault.is_none() {
        heading += &format!(", fault {fault}");
    }
    heading
}

fn line(row: &Row, has_spread: bool) -> String {
    let time = row
        .time_ns
        .map(|time| format_seconds(Duration::from_nanos(time.median), 4));
    let rate = |rate: Option<u64>| or_dash(rate.map(rate_text));
    let spread = if has_spread {
        format!("{:>10}", or_dash(spread_text(row)))
    } else {
        String::new()
    };
    let workers = |pick: fn(&crate::summary::ServerWorkers) -> u32| {
        or_dash(row.server_workers.as_ref().map(pick))
    };
    format!(
        "{:>4}{:>9}{:>9}{:>11}{spread}{:>10}{:>10}{:>6}{:>8}{:>6}{:>7}{:>6}  {}",
        row.cell.number,
        row.cell.clients,
        row.cell.servers,
        or_dash(time),
        rate(row.throughput_bytes_per_s),
        rate(row.aggregate_bytes_per_s),
        or_dash(row.clients.map(|clients| clients.ok)),
        or_dash(row.clients.map(|clients| clients.failed)),
        workers(|workers| workers.ok),
        workers(|workers| workers.failed),
        workers(|workers| workers.idle),
        row.status.as_str(),
    )
}

/// The median absolute deviation as a share of the median.
fn spread_text(row: &Row) -> Option<String> {
    let time = row.time_ns?;
    let permille = (u128::from(time.mad?) * 1_000 + u128::from(time.median / 2))
        .checked_div(time.median.into())?;
    Some(format!("±{}.{} %", permille / 10, permille % 10))
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// A rate in MB/s (millions of bytes): whole from 100 on, with two decimals below.
#[must_use]
pub fn rate_text(bytes_per_s: u64) -> String {
    if bytes_per_s >= 99_995_000 {
        return with_commas((bytes_per_s + 500_000) / 1_000_000);
    }
    let hundredths = (bytes_per_s + 5_000) / 10_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// ANSI colours, or none.
#[derive(Clone, Copy)]
struct Paint {
    is_colourful: bool,
}

impl Paint {
    fn bold(self, text: &str) -> String {
        self.wrap("\x1b[1m", text)
    }

    fn red(self, text: &str) -> String {
        self.wrap("\x1b[31m", text)
    }

    fn wrap(self, start: &str, text: &str) -> String {
        if self.is_colourful {
            format!("{start}{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
