//! `clients.csv`: one row an operation, as recorded. Times count from the release of the barrier and are exact.

use std::io::Write;
use std::time::Duration;

use super::csv::{format_seconds, outcome_word};
use crate::journal::{Contents, SCHEMA, Sample};
use crate::measurement::ServerChoice;
use crate::record::Record;
use crate::size;

/// The columns, in order. Repeats, clients and requests count from 0, as in the journal.
const COLUMNS: [&str; 19] = [
    "no",
    "operation",
    "volume",
    "volume_bytes",
    "client_workers",
    "server_workers",
    "client_pool",
    "server_pool",
    "repeat",
    "client",
    "request",
    "connected_s",
    "first_byte_s",
    "ended_s",
    "bytes",
    "verified_bytes",
    "outcome",
    "detail",
    "schema",
];

/// Writes the operations of all samples, by cell and repeat.
///
/// # Errors
/// What writing said.
pub fn write(contents: &Contents, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    let is_own_server = contents.header.fingerprint.settings.server == ServerChoice::Own;
    for sample in contents.samples.values() {
        for record in &sample.measurement.records {
            writer.write_record(fields(sample, record, is_own_server))?;
        }
    }
    writer.flush()?;
    Ok(())
}

fn fields(sample: &Sample, record: &Record, is_own_server: bool) -> [String; COLUMNS.len()] {
    let cell = &sample.measurement.cell;
    let server_pool = if is_own_server {
        cell.server_pool.as_str()
    } else {
        ""
    };
    let since_release = |at: Option<u64>| {
        let elapsed = at.and_then(|at| at.checked_sub(record.released_ns));
        elapsed.map_or_else(String::new, |ns| {
            format_seconds(Duration::from_nanos(ns), 9)
        })
    };
    [
        cell.number.to_string(),
        cell.operation.as_str().into(),
        size::format(cell.volume),
        cell.volume.to_string(),
        cell.clients.to_string(),
        cell.servers.to_string(),
        cell.client_pool.as_str().into(),
        server_pool.into(),
        sample.measurement.repeat.to_string(),
        record.client.to_string(),
        record.request.to_string(),
        since_release(record.connected_ns),
        since_release(record.first_byte_ns),
        since_release(record.ended_ns),
        record.bytes.to_string(),
        record.verified_bytes.to_string(),
        outcome_word(record.outcome).into(),
        record.detail.clone().unwrap_or_default(),
        SCHEMA.to_string(),
    ]
}
