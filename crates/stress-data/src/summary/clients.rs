//! `clients.csv`: one row an operation, as recorded. Times count from the release of the barrier and are exact.

use std::io::Write;
use std::time::Duration;

use super::Row;
use super::csv::{field, format_seconds};
use crate::journal::{Contents, SCHEMA};
use crate::matrix::Operation;
use crate::record::Record;

/// The columns that an operation has from its row.
const SHARED: [&str; 8] = [
    "no",
    "operation",
    "volume",
    "volume_bytes",
    "client_workers",
    "server_workers",
    "client_pool",
    "server_pool",
];

/// A column of an operation's own, read from its sample's repeat and its record.
type Own = (&'static str, fn(u32, &Record) -> String);

/// Those, behind the others. Repeats, clients and requests count from 0, as in the journal.
const OWN: [Own; 11] = [
    ("repeat", |repeat, _| repeat.to_string()),
    ("client", |_, it| it.client.to_string()),
    ("request", |_, it| it.request.to_string()),
    ("connected_s", |_, it| since_release(it, it.connected_ns)),
    (FIRST_BYTE, |_, it| since_release(it, it.first_byte_ns)),
    ("ended_s", |_, it| since_release(it, it.ended_ns)),
    ("bytes", |_, it| it.bytes.to_string()),
    ("verified_bytes", |_, it| it.verified_bytes.to_string()),
    ("outcome", |_, it| it.outcome.as_str().into()),
    ("detail", |_, it| it.detail.clone().unwrap_or_default()),
    ("schema", |_, _| SCHEMA.to_string()),
];

/// Empty of an upload: the first byte of its answer comes when it is over, as `ended_s` says.
const FIRST_BYTE: &str = "first_byte_s";

fn since_release(record: &Record, at: Option<u64>) -> String {
    let elapsed = record.since_release(at);
    elapsed.map_or_else(String::new, |ns| {
        format_seconds(Duration::from_nanos(ns), 9)
    })
}

/// The names of all columns, in order.
pub fn columns() -> impl Iterator<Item = &'static str> {
    SHARED.into_iter().chain(OWN.map(|(name, _)| name))
}

/// Writes the operations of all samples, by row and repeat.
///
/// # Errors
/// What writing said.
pub fn write(contents: &Contents, rows: &[Row], out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(columns())?;
    for row in rows {
        let shared = SHARED.map(|name| field(row, name).to_string());
        for sample in contents.samples_of(row.cell.number) {
            let measurement = &sample.measurement;
            for record in &measurement.records {
                let own = OWN.map(|(name, read)| match (name, row.cell.operation) {
                    (FIRST_BYTE, Operation::Upload) => String::new(),
                    _ => read(measurement.repeat, record),
                });
                writer.write_record(shared.iter().chain(&own))?;
            }
        }
    }
    writer.flush()?;
    Ok(())
}
