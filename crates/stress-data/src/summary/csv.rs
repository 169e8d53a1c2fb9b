//! `summary.csv`: one row a combination, the assignment's columns first. The same fields as JSON.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use super::Row;
use crate::journal::SCHEMA;
use crate::record::Outcome;
use crate::size;

/// A column: its name, and its field in a row.
type Column = (&'static str, fn(&Row) -> Field);

/// All columns, in order; the first eleven are the assignment's.
const COLUMNS: [Column; 47] = [
    ("no", |row| number(row.cell.number)),
    ("operation", |row| text(row.cell.operation.as_str())),
    ("volume", |row| text(size::format(row.cell.volume))),
    ("client_workers", |row| number(row.cell.clients)),
    ("server_workers", |row| number(row.cell.servers)),
    ("time_per_client_s", |row| {
        seconds(row.time_ns.map(|time| ns(time.median)))
    }),
    ("throughput_per_client_bytes_per_s", |row| {
        maybe(row.throughput_bytes_per_s)
    }),
    ("clients_ok", |row| {
        maybe(row.clients.map(|clients| clients.ok))
    }),
    ("clients_failed", |row| {
        maybe(row.clients.map(|clients| clients.failed))
    }),
    ("server_workers_ok", |row| {
        maybe(row.server_workers.map(|workers| workers.ok))
    }),
    ("server_workers_failed", |row| {
        maybe(row.server_workers.map(|workers| workers.failed))
    }),
    ("server_workers_idle", |row| {
        maybe(row.server_workers.map(|workers| workers.idle))
    }),
    ("client_pool", |row| text(row.cell.client_pool.as_str())),
    ("server_pool", |row| {
        text(if row.is_own_server {
            row.cell.server_pool.as_str()
        } else {
            ""
        })
    }),
    ("client_buffer_bytes", |row| maybe(row.client_buffer_bytes)),
    ("server_buffer_bytes", |row| maybe(row.server_buffer_bytes)),
    ("volume_bytes", |row| number(row.cell.volume)),
    ("repeats", |row| number(row.repeats)),
    ("samples", |row| number(row.samples)),
    ("status", |row| text(row.status.as_str())),
    ("time_min_s", |row| {
        seconds(row.time_ns.map(|time| ns(time.min)))
    }),
    ("time_max_s", |row| {
        seconds(row.time_ns.map(|time| ns(time.max)))
    }),
    ("time_mad_s", |row| {
        seconds(row.time_ns.and_then(|time| time.mad).map(ns))
    }),
    ("connect_median_s", |row| seconds(row.connect)),
    ("first_byte_median_s", |row| seconds(row.first_byte)),
    ("first_done_s", |row| seconds(row.first_done)),
    ("makespan_s", |row| seconds(row.makespan)),
    ("aggregate_bytes_per_s", |row| {
        maybe(row.aggregate_bytes_per_s)
    }),
    ("server_cpu_s", |row| seconds(row.server_cpu)),
    ("server_peak_rss_bytes", |row| {
        maybe(row.server_peak_rss_bytes)
    }),
    ("client_cpu_s", |row| seconds(row.client_cpu)),
    ("durability", |row| {
        text(row.durability.clone().unwrap_or_default())
    }),
    ("fault", |row| text(row.cell.fault.to_string())),
    ("top_outcome", |row| {
        text(row.top_outcome.map_or("", outcome_word))
    }),
    ("flags", |row| {
        text(
            row.flags
                .iter()
                .map(|flag| flag.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        )
    }),
    ("schema", |_| number(SCHEMA)),
    ("wait_median_s", |row| seconds(row.wait)),
    ("transfer_median_s", |row| seconds(row.transfer)),
    ("latency_p50_s", |row| seconds(row.latency_p50)),
    ("latency_p99_s", |row| seconds(row.latency_p99)),
    ("client_peak_rss_bytes", |row| {
        maybe(row.client_peak_rss_bytes)
    }),
    ("server_memory_bytes", |row| maybe(row.server_memory_bytes)),
    ("memory_per_connection_bytes", |row| {
        maybe(row.memory_per_connection_bytes)
    }),
    ("connections_cut", |row| maybe(row.connections_cut)),
    ("warmup_samples", |row| number(row.warmup_samples)),
    ("ceiling_bytes_per_s", |row| maybe(row.ceiling_bytes_per_s)),
    ("ceiling_fraction", |row| {
        let share = row.ceiling_permille();
        share.map_or(Field::Missing, Field::Permille)
    }),
];

/// Writes the table.
///
/// # Errors
/// What writing said.
pub fn write(rows: &[Row], out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS.map(|(name, _)| name))?;
    for row in rows {
        writer.write_record(COLUMNS.map(|(_, field)| field(row).to_string()))?;
    }
    writer.flush()?;
    Ok(())
}

/// The row as a JSON object with the table's columns in their order; a missing value is null. Numbers are
/// written as in the table, which no general writer of floating point numbers would do.
#[must_use]
pub fn to_json(row: &Row) -> String {
    let fields = COLUMNS.map(|(name, field)| format!("\"{name}\":{}", field(row).into_json()));
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

/// What stands in `column` of the row; empty if there is no value, none if there is no such column.
#[must_use]
pub fn value(row: &Row, column: &str) -> Option<String> {
    Some(field(row, column)?.to_string())
}

/// The same as a value.
pub(crate) fn field(row: &Row, column: &str) -> Option<Field> {
    let (_, field) = COLUMNS.iter().find(|(name, _)| *name == column)?;
    Some(field(row))
}

/// Whether `column` holds words rather than numbers.
#[must_use]
pub fn is_text(column: &str) -> bool {
    TEXT_COLUMNS.contains(&column)
}

/// The columns that hold words; a test holds them to what rows have.
const TEXT_COLUMNS: [&str; 9] = [
    "operation",
    "volume",
    "client_pool",
    "server_pool",
    "status",
    "durability",
    "fault",
    "top_outcome",
    "flags",
];

/// What stands in a field; displayed as in the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Missing,
    /// A word, or several with a space between; empty if there is none.
    Text(String),
    Count(u64),
    /// Shown in seconds. A microsecond is less than a loopback round trip.
    Micros(u64),
    /// Shown as a share of 1.
    Permille(u64),
}

impl Field {
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Text(text) => text.is_empty(),
            Self::Count(_) | Self::Micros(_) | Self::Permille(_) => false,
        }
    }

    /// The number, as the table shows it.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Missing | Self::Text(_) => None,
            Self::Count(count) => Some(*count as f64),
            Self::Micros(micros) => Some(*micros as f64 / 1e6),
            Self::Permille(permille) => Some(*permille as f64 / 1e3),
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
            Self::Count(count) => write!(f, "{count}"),
            Self::Micros(micros) => f.write_str(&format_seconds(Duration::from_micros(*micros), 6)),
            Self::Permille(share) => write!(f, "{}.{:03}", share / 1_000, share % 1_000),
        }
    }
}

fn text(value: impl Into<String>) -> Field {
    Field::Text(value.into())
}

fn number(value: impl Into<u64>) -> Field {
    Field::Count(value.into())
}

fn maybe(value: Option<impl Into<u64>>) -> Field {
    value.map_or(Field::Missing, number)
}

/// Rounded to the nearest microsecond.
fn seconds(value: Option<Duration>) -> Field {
    let micros = |time: Duration| u64::try_from((time.as_nanos() + 500) / 1_000);
    value.map_or(Field::Missing, |time| {
        Field::Micros(micros(time).unwrap_or(u64::MAX))
    })
}

const fn ns(ns: u64) -> Duration {
    Duration::from_nanos(ns)
}

/// `time` in seconds with `decimals` (at most 9) decimals and a point, rounded to the nearest.
#[must_use]
pub fn format_seconds(time: Duration, decimals: u32) -> String {
    let unit = 10_u128.pow(9 - decimals.min(9));
    let rounded = (time.as_nanos() + unit / 2) / unit;
    let per_second = 10_u128.pow(decimals.min(9));
    let (whole, fraction) = (rounded / per_second, rounded % per_second);
    match decimals {
        0 => whole.to_string(),
        _ => format!(
            "{whole}.{fraction:0width$}",
            width = decimals.min(9) as usize
        ),
    }
}

/// The outcome's word in tables, the journal's.
#[must_use]
pub const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::ServerError => "server_error",
        Outcome::Busy => "busy",
        Outcome::ConnectRefused => "connect_refused",
        Outcome::ConnectTimeout => "connect_timeout",
        Outcome::Timeout => "timeout",
        Outcome::Reset => "reset",
        Outcome::Eof => "eof",
        Outcome::BadReply => "bad_reply",
        Outcome::Mismatch => "mismatch",
        Outcome::ClientCrashed => "client_crashed",
        Outcome::NotSent => "not_sent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Selection;
    use crate::{summary, testing};

    #[test]
    fn every_column_is_known_to_hold_words_or_numbers() {
        let contents = testing::contents(&Selection::default(), 1);
        let row = &summary::rows(&contents)[0];
        for (name, field) in COLUMNS {
            assert_eq!(
                is_text(name),
                matches!(field(row), Field::Text(_)),
                "{name}"
            );
        }
        assert_eq!(value(row, "volume").as_deref(), Some("10M"));
        assert_eq!(value(row, "makespan_s").as_deref(), Some(""));
        assert_eq!(value(row, "nonsense"), None);
    }
}
