//! `summary.csv`: one row a combination, the assignment's columns first. The same fields as JSON.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use super::Row;
use crate::journal::SCHEMA;
use crate::record::Outcome;
use crate::size;

/// What a column holds, and how it is read from a row; a number that nobody measured is none, a word that is not there
/// is empty.
#[derive(Clone, Copy)]
pub(crate) enum Column {
    Words(fn(&Row) -> String),
    Count(fn(&Row) -> Option<u64>),
    Bytes(fn(&Row) -> Option<u64>),
    Seconds(fn(&Row) -> Option<Duration>),
    /// Thousandths.
    Share(fn(&Row) -> Option<u64>),
}

use Column::{Bytes, Count, Seconds, Share, Words};

/// All columns, in order; the first eleven are the assignment's. What each means is in the report's texts.
const COLUMNS: [(&str, Column); 55] = [
    ("no", Count(|r| Some(r.cell.number.into()))),
    ("operation", Words(|r| r.cell.operation.as_str().into())),
    ("volume", Words(|r| size::format(r.cell.volume))),
    ("client_workers", Count(|r| Some(r.cell.clients.into()))),
    ("server_workers", Count(|r| Some(r.cell.servers.into()))),
    ("time_per_client_s", Seconds(Row::time)),
    (
        "throughput_per_client_bytes_per_s",
        Bytes(|r| r.throughput_bytes_per_s),
    ),
    ("clients_ok", Count(|r| Some(r.clients?.ok.into()))),
    ("clients_failed", Count(|r| Some(r.clients?.failed.into()))),
    (
        "server_workers_ok",
        Count(|r| Some(r.server_workers?.ok.into())),
    ),
    (
        "server_workers_failed",
        Count(|r| Some(r.server_workers?.failed.into())),
    ),
    (
        "server_workers_idle",
        Count(|r| Some(r.server_workers?.idle.into())),
    ),
    ("client_pool", Words(|r| r.cell.client_pool.as_str().into())),
    ("server_pool", Words(|r| r.server_pool().into())),
    ("client_buffer_bytes", Bytes(|r| r.cell.client_buffer)),
    ("server_buffer_bytes", Bytes(|r| r.server_buffer_bytes)),
    ("volume_bytes", Bytes(|r| Some(r.cell.volume))),
    ("repeats", Count(|r| Some(r.repeats.into()))),
    ("samples", Count(|r| Some(r.samples.into()))),
    ("status", Words(|r| r.status.as_str().into())),
    ("time_min_s", Seconds(|r| ns(r.time_ns?.min))),
    ("time_max_s", Seconds(|r| ns(r.time_ns?.max))),
    ("time_mad_s", Seconds(|r| ns(r.time_ns?.mad?))),
    ("connect_median_s", Seconds(|r| r.connect)),
    ("first_byte_median_s", Seconds(|r| r.first_byte)),
    ("first_done_s", Seconds(|r| r.first_done)),
    ("makespan_s", Seconds(|r| r.makespan)),
    ("aggregate_bytes_per_s", Bytes(|r| r.aggregate_bytes_per_s)),
    ("server_cpu_s", Seconds(|r| r.server_cpu)),
    ("server_peak_rss_bytes", Bytes(|r| r.server_peak_rss_bytes)),
    ("client_cpu_s", Seconds(|r| r.client_cpu)),
    (
        "durability",
        Words(|r| r.durability.clone().unwrap_or_default()),
    ),
    ("fault", Words(|r| r.cell.fault.to_string())),
    (
        "top_outcome",
        Words(|r| r.top_outcome.map_or("", Outcome::as_str).into()),
    ),
    (
        "flags",
        Words(|r| {
            r.flags
                .iter()
                .map(|flag| flag.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        }),
    ),
    ("schema", Count(|_| Some(SCHEMA.into()))),
    ("wait_median_s", Seconds(|r| r.wait)),
    ("transfer_median_s", Seconds(|r| r.transfer)),
    ("latency_p50_s", Seconds(|r| r.latency_p50)),
    ("latency_p99_s", Seconds(|r| r.latency_p99)),
    ("client_peak_rss_bytes", Bytes(|r| r.client_peak_rss_bytes)),
    ("server_memory_bytes", Bytes(|r| r.server_memory_bytes)),
    (
        "memory_per_connection_bytes",
        Bytes(Row::memory_per_connection_bytes),
    ),
    ("connections_cut", Count(|r| r.connections_cut)),
    ("warmup_samples", Count(|r| Some(r.warmup_samples.into()))),
    ("ceiling_bytes_per_s", Bytes(|r| r.ceiling_bytes_per_s)),
    ("ceiling_fraction", Share(Row::ceiling_permille)),
    ("latency_p90_s", Seconds(|r| r.latency_p90)),
    ("longest_pause_s", Seconds(|r| r.pause)),
    ("start_spread_s", Seconds(|r| r.start_spread)),
    ("encoded_cache_bytes", Bytes(|r| r.encoded_cache_bytes)),
    (
        "subject",
        Words(|r| r.cell.subject.clone().unwrap_or_default()),
    ),
    ("ratio", Share(|r| Some(permille(r.ratio?.ratio)))),
    (
        "ratio_low",
        Share(|r| Some(permille(r.ratio?.interval?.low))),
    ),
    (
        "ratio_high",
        Share(|r| Some(permille(r.ratio?.interval?.high))),
    ),
];

fn permille(ratio: f64) -> u64 {
    (ratio * 1_000.0).round() as u64
}

const fn ns(ns: u64) -> Option<Duration> {
    Some(Duration::from_nanos(ns))
}

impl Column {
    fn of(self, row: &Row) -> Field {
        // A microsecond is less than a loopback round trip.
        let micros = |time: Duration| u64::try_from((time.as_nanos() + 500) / 1_000);
        let (units, decimals) = match self {
            Words(word) => return Field::Text(word(row)),
            Count(number) | Bytes(number) => (number(row), 0),
            Seconds(time) => (time(row).map(|it| micros(it).unwrap_or(u64::MAX)), 6),
            Share(permille) => (permille(row), 3),
        };
        units.map_or(Field::Missing, |units| Field::Number(units, decimals))
    }
}

/// Writes the table.
///
/// # Errors
/// What writing said.
pub fn write(rows: &[Row], out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(columns())?;
    for row in rows {
        writer.write_record(COLUMNS.map(|(_, column)| column.of(row).to_string()))?;
    }
    writer.flush()?;
    Ok(())
}

/// The row as a JSON object with the table's columns in their order; a missing value is null. Numbers are
/// written as in the table, which no general writer of floating point numbers would do.
#[must_use]
pub fn to_json(row: &Row) -> String {
    let fields = COLUMNS.map(|(name, column)| format!("\"{name}\":{}", column.of(row).into_json()));
    format!("{{{}}}", fields.join(","))
}

/// The rows as JSON, one a line.
#[must_use]
pub fn to_json_lines(rows: &[Row]) -> String {
    rows.iter().map(|row| to_json(row) + "\n").collect()
}

/// The names of all columns, in order.
pub fn columns() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|(name, _)| *name)
}

/// The column `name`; none if there is none.
pub(crate) fn column(name: &str) -> Option<(&'static str, Column)> {
    COLUMNS.into_iter().find(|(known, _)| *known == name)
}

/// What stands in the column `name` of the row; missing if there is no such column.
pub(crate) fn field(row: &Row, name: &str) -> Field {
    column(name).map_or(Field::Missing, |(_, column)| column.of(row))
}

/// Whether the column `name` holds words rather than numbers.
#[must_use]
pub fn is_text(name: &str) -> bool {
    matches!(column(name), Some((_, Words(_))))
}

/// What stands in a field; displayed as in the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Missing,
    /// A word, or several with a space between; empty if there is none.
    Text(String),
    /// So many units, and how many decimals a whole one has: microseconds are shown as seconds with six.
    Number(u64, u32),
}

impl Field {
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Text(text) => text.is_empty(),
            Self::Number(..) => false,
        }
    }

    /// The number, as the table shows it.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Missing | Self::Text(_) => None,
            Self::Number(units, decimals) => Some(*units as f64 / 10_f64.powi(*decimals as i32)),
        }
    }

    fn into_json(self) -> String {
        match self {
            field if field.is_missing() => "null".into(),
            Self::Text(text) => serde_json::Value::String(text).to_string(),
            number => number.to_string(),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Number(units, decimals) => f.write_str(&decimal((*units).into(), *decimals)),
        }
    }
}

/// `time` in seconds with `decimals` (at most 9) decimals and a point, rounded to the nearest.
#[must_use]
pub fn format_seconds(time: Duration, decimals: u32) -> String {
    let decimals = decimals.min(9);
    let unit = 10_u128.pow(9 - decimals);
    decimal((time.as_nanos() + unit / 2) / unit, decimals)
}

/// So many units, of which ten to the power of `decimals` are one.
fn decimal(units: u128, decimals: u32) -> String {
    let (one, width) = (10_u128.pow(decimals), decimals as usize);
    match decimals {
        0 => units.to_string(),
        _ => format!("{}.{:0width$}", units / one, units % one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_known_by_its_name() {
        let is_text = ["volume", "makespan_s", "nonsense"].map(is_text);
        assert_eq!(is_text, [true, false, false]);
    }
}
