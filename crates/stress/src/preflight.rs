//! What a cell needs of the machine, and whether that is there: asked before anything of the cell starts.

use std::path::Path;

use prefork_server::listener;

use crate::environment;
use crate::matrix::{Cell, LIST_FILE_BYTES, Operation};
use crate::measure;
use crate::measurement::Settings;

/// What our server keeps free on its file system (`--min-free`): an upload into less is refused.
const DISK_KEPT_FREE: u64 = 64 << 20;
/// Memory of one worker or client: the limit both are held to.
const WORKER_MEMORY: u64 = 4 << 20;
/// What starting and stopping a server and its clients takes, as the bytes that move in the same time: about a
/// tenth of a second.
const CELL_OVERHEAD_BYTES: u64 = 200 << 20;
/// A listing's JSON for one file of the corpus, about.
const LISTED_NAME_BYTES: u64 = 24;

/// Why `cell` cannot be measured in `work` now; none if it can.
#[must_use]
pub fn shortage(cell: &Cell, settings: &Settings, work: &Path) -> Option<String> {
    let disk_needed = measure::disk_needed(cell, settings).saturating_add(DISK_KEPT_FREE);
    // What cannot be asked is no reason against trying.
    let disk_free = environment::disk_free(work).unwrap_or(u64::MAX);
    let is_in_memory =
        environment::file_system(work).is_ok_and(|name| name == "tmpfs" || name == "ramfs");
    let memory_needed = memory_needed(cell) + if is_in_memory { disk_needed } else { 0 };
    let memory_free = environment::memory_available().unwrap_or(u64::MAX);
    lack("disk space in the work directory", disk_needed, disk_free)
        .or_else(|| lack("memory", memory_needed, memory_free))
}

/// Whether the kernel grants the congestion control `name` to this process, as both the server and the clients will
/// ask for it.
///
/// # Errors
/// What to write instead.
pub fn check_congestion(name: &str) -> Result<(), String> {
    match name {
        "auto" | "system" => Ok(()),
        name => listener::check_congestion(name),
    }
}

/// Bytes of content that `cell` moves in one sample.
#[must_use]
pub fn content_bytes(cell: &Cell, settings: &Settings) -> u64 {
    let each = match cell.operation {
        Operation::Download | Operation::Upload => cell.volume,
        Operation::List => cell.volume.div_ceil(LIST_FILE_BYTES) * LISTED_NAME_BYTES,
    };
    let operations = u64::from(cell.clients) * u64::from(settings.requests(cell));
    each.saturating_mul(operations)
}

/// How much work a sample of `cell` is, for guessing what remains: bytes, with those of making its files and of
/// starting and stopping.
#[must_use]
pub fn work_units(cell: &Cell, settings: &Settings) -> u64 {
    content_bytes(cell, settings)
        .saturating_add(cell.volume)
        .saturating_add(CELL_OVERHEAD_BYTES)
}

fn memory_needed(cell: &Cell) -> u64 {
    (u64::from(cell.clients) + u64::from(cell.servers)) * WORKER_MEMORY
}

fn lack(what: &str, needed: u64, free: u64) -> Option<String> {
    use crate::size::approximate;
    (needed > free).then(|| {
        format!(
            "not enough {what}: {} needed, {} free",
            approximate(needed),
            approximate(free)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_both_amounts() {
        assert_eq!(lack("memory", 10, 10), None);
        let text = "not enough memory: 5.2 GB needed, 1.0 GB free";
        assert_eq!(
            lack("memory", 5_200_000_000, 1_000_000_000).as_deref(),
            Some(text)
        );
    }
}
