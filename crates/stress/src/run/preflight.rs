//! What a row needs of the machine, and whether that is there: asked before anything of the row starts.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use prefork_server::listener;
use stress_data::matrix::{Cell, ClientPool, LIST_FILE_BYTES, Operation, ServerPool};
use stress_data::measurement::{ServerChoice, Settings};
use stress_data::size::approximate;

use super::work::written_bytes;
use crate::corpus::files::list_len;
use crate::host::environment;

/// What our server keeps free on its file system (`--min-free`): an upload into less is refused.
const DISK_KEPT_FREE: u64 = 64 << 20;
/// Disk for logs and directories, or for the tables of a run.
const ROW_BYTES: u64 = 1 << 20;
/// An operation in the journal and in clients.csv, generously.
const RECORD_BYTES: u64 = 512;
/// Descriptors that a process has open besides those of its connections.
const DESCRIPTORS_OF_OURS: u64 = 64;
/// What a thread of our server has at most while it serves: connections set aside, one in hand, a file, and epoll.
const DESCRIPTORS_OF_A_THREAD: u64 = 19;
/// Memory of one worker or client: the limit both are held to.
const WORKER_MEMORY: u64 = 4 << 20;

/// Disk for a directory entry and an inode, generously.
const NAME_BYTES: u64 = 4 << 10;

/// Why `cell` cannot be measured now, with its work in the folder `work` and its journal and tables in `run`; none if it can.
pub(crate) fn shortage(
    cell: &Cell,
    settings: &Settings,
    work: &Path,
    run: &Path,
) -> Option<String> {
    let disks = disks(&disk_needs(cell, settings, work, run));
    let workers = u64::from(cell.clients) + u64::from(cell.servers);
    let in_memory = disks.iter().filter(|disk| disk.is_in_memory);
    let memory_needed = workers * WORKER_MEMORY + in_memory.map(|disk| disk.needed).sum::<u64>();
    let memory_free = environment::memory_available().unwrap_or(u64::MAX);
    let space = |disk: &Disk| format!("disk space in {}", disk.what);
    let mut lacks = disks.iter();
    let lacks = lacks.find_map(|disk| lack(&space(disk), disk.needed, disk.free));
    lacks
        .or_else(|| lack("memory", memory_needed, memory_free))
        .or_else(|| descriptor_shortage(cell, settings))
}

/// Bytes that `cell` writes, and where, the most important first.
fn disk_needs<'a>(
    cell: &Cell,
    settings: &'a Settings,
    work: &'a Path,
    run: &'a Path,
) -> Vec<(&'static str, &'a Path, u64)> {
    let (source, served) = bytes_needed(cell, settings);
    let work = |needed| ("the work directory", work, needed);
    let records = u64::from(cell.clients) * u64::from(settings.requests(cell));
    let run = (
        "the folder of the run",
        run,
        ROW_BYTES + records * RECORD_BYTES,
    );
    match (&settings.server, settings.server.root()) {
        // Nobody here can ask for its disk.
        (ServerChoice::Target { .. }, _) => vec![work(ROW_BYTES), run],
        (_, Some(root)) => vec![
            ("the folder of --server-root", root, served),
            work(source.saturating_add(ROW_BYTES)),
            run,
        ],
        (_, None) => {
            let all = source.saturating_add(served);
            let all = all.saturating_add(ROW_BYTES + DISK_KEPT_FREE);
            vec![work(all), run]
        }
    }
}

/// Bytes of disk that a row needs at its worst: in the work directory, for the file that is downloaded under many names, and
/// in the folder that is served.
fn bytes_needed(cell: &Cell, settings: &Settings) -> (u64, u64) {
    let clients = u64::from(cell.clients);
    let requests = clients * u64::from(settings.requests(cell));
    let (source, content, names) = match cell.operation {
        Operation::Download => (cell.volume, 0, clients),
        Operation::Upload => (0, written_bytes(cell, settings), requests),
        // Two files, under many names.
        Operation::List => (0, 2 * LIST_FILE_BYTES, list_len(cell.volume)),
    };
    (
        source,
        names.saturating_mul(NAME_BYTES).saturating_add(content),
    )
}

/// A file system, and what is to be written to it.
struct Disk {
    /// The first place that is on it.
    what: &'static str,
    device: u64,
    needed: u64,
    free: u64,
    is_in_memory: bool,
}

/// Places on one file system share its space. What cannot be asked is no reason against trying.
fn disks(needs: &[(&'static str, &Path, u64)]) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for (what, path, needed) in needs {
        let Ok(found) = std::fs::metadata(path) else {
            continue;
        };
        match disks.iter_mut().find(|disk| disk.device == found.dev()) {
            Some(disk) => disk.needed = disk.needed.saturating_add(*needed),
            None => disks.push(Disk {
                what,
                device: found.dev(),
                needed: *needed,
                free: environment::disk_free(path).unwrap_or(u64::MAX),
                is_in_memory: environment::file_system(path)
                    .is_ok_and(|name| name == "tmpfs" || name == "ramfs"),
            }),
        }
    }
    disks
}

/// Descriptors that one process needs for `cell`: that of all clients as threads, or the harness for faulty ones.
pub(crate) fn descriptors_needed(cell: &Cell) -> u64 {
    let threads = match cell.client_pool {
        ClientPool::Thread => cell.clients,
        ClientPool::Process => 0,
    };
    DESCRIPTORS_OF_OURS + 2 * (u64::from(threads) + u64::from(cell.fault.clients()))
}

fn descriptor_shortage(cell: &Cell, settings: &Settings) -> Option<String> {
    let server = match (&settings.server, cell.server_pool) {
        // Its threads share a process, and each takes one just by waiting for a client.
        (ServerChoice::Own, ServerPool::Thread) => {
            DESCRIPTORS_OF_OURS + DESCRIPTORS_OF_A_THREAD * u64::from(cell.servers)
        }
        _ => 0,
    };
    let needed = descriptors_needed(cell).max(server);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    (needed > hard).then(|| {
        format!(
            "not enough descriptors: {needed} needed, and the hard limit is {hard}: raise it (ulimit -Hn {needed}), or have fewer workers"
        )
    })
}

/// Whether the kernel grants the congestion control `name` to this process, as both the server and the clients will
/// ask for it.
///
/// # Errors
/// What to write instead.
pub(crate) fn check_congestion(name: &str) -> Result<(), String> {
    match name {
        "auto" | "system" => Ok(()),
        name => listener::check_congestion(name),
    }
}

fn lack(what: &str, needed: u64, free: u64) -> Option<String> {
    (needed > free).then(|| {
        format!(
            "not enough {what}: {} needed, {} free",
            approximate(needed),
            approximate(free)
        )
    })
}

#[cfg(test)]
mod tests;
