//! How much a sample moves and writes, known before it is taken.

use stress_data::fault::Fault;
use stress_data::matrix::{Cell, LIST_FILE_BYTES, Operation};
use stress_data::measurement::Settings;

/// What starting and stopping a server and its clients takes, as the bytes that move in the same time: about a
/// tenth of a second.
const ROW_OVERHEAD_BYTES: u64 = 200 << 20;
/// A listing's JSON for one file of the corpus, about.
const LISTED_NAME_BYTES: u64 = 24;

/// Bytes of content that `cell` moves in one sample.
pub(crate) fn content_bytes(cell: &Cell, settings: &Settings) -> u64 {
    let each = match cell.operation {
        Operation::Download | Operation::Upload => cell.volume,
        Operation::List => cell.volume.div_ceil(LIST_FILE_BYTES) * LISTED_NAME_BYTES,
    };
    let operations = u64::from(cell.clients) * u64::from(settings.requests(cell));
    each.saturating_mul(operations)
}

/// Bytes of files that `cell` writes.
pub(crate) fn written_bytes(cell: &Cell, settings: &Settings) -> u64 {
    match cell.operation {
        Operation::Upload => {
            let slow = match cell.fault {
                Fault::SlowClient { clients, .. } => u64::from(clients),
                _ => 0,
            };
            let uploads = u64::from(cell.clients) * u64::from(settings.requests(cell)) + slow;
            cell.volume.saturating_mul(uploads)
        }
        Operation::Download | Operation::List => 0,
    }
}

/// How much work a sample of `cell` is, for guessing what remains: bytes, with those of making its files and of
/// starting and stopping.
pub(crate) fn work_units(cell: &Cell, settings: &Settings) -> u64 {
    content_bytes(cell, settings)
        .saturating_add(cell.volume)
        .saturating_add(ROW_OVERHEAD_BYTES)
}
