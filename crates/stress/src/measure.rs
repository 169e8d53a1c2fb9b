//! Measures one cell once: root, server, clients, verification, reconciliation, cleaning up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use proto::announce::Done;

use crate::corpus;
use crate::matrix::{Cell, ClientPool, Operation};
use crate::measurement::{Measurement, ServerChoice, Settings, Verify};
use crate::operation::{Job, UNCONFIRMED};
use crate::pool::{self, Run};
use crate::readback;
use crate::reconcile::reconcile;
use crate::record::{Outcome, Record};
use crate::rig::{self, Place, Rig};

pub use crate::workdir::WorkDir;

/// Why there is no measurement. Anything that goes wrong *inside* a cell is a row, not one of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user asked to stop; what the cell had done so far is thrown away.
    #[error("interrupted")]
    Interrupted,
    /// The harness itself cannot go on (the work directory is gone, no process can be started).
    #[error("{0}")]
    Harness(String),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Harness(format!("the work directory cannot be used: {error}"))
    }
}

/// Measures `cell` once. Must be called on the main thread: children ask the kernel to be killed with the
/// thread that spawned them. `interrupt` becomes true when the user asks to stop.
///
/// # Errors
/// See [`Error`].
pub fn measure(
    cell: &Cell,
    repeat: u32,
    settings: &Settings,
    work: &WorkDir,
    interrupt: &AtomicBool,
) -> Result<Measurement, Error> {
    let folder = Folder::create(work.path().join(format!("cell-{}-{repeat}", cell.number)))?;
    let place = Place::new(&folder.path)?;
    let download_crc32 = furnish(cell, settings, work, &place.root)?;
    let requests = requests(cell, settings);
    let mut measurement = Measurement {
        cell: cell.clone(),
        repeat,
        started_utc: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        status: crate::measurement::Status::ServerLost,
        records: not_sent(cell, requests),
        ready: None,
        done: None,
        client_cpu_us: None,
        client_peak_rss_bytes: None,
        notes: Vec::new(),
    };
    if interrupt.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    let mut rig = match rig::start(cell, settings, &place) {
        Ok(rig) => rig,
        Err(what) => {
            measurement.notes.push(what);
            return Ok(measurement);
        }
    };
    let job = job(cell, settings, requests, rig.as_ref(), download_crc32);
    let run = drive(cell, &job, interrupt, rig.as_mut())?;
    if run.interrupted || interrupt.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    measurement.records = run.records;
    measurement.client_cpu_us = run.cpu_us;
    measurement.client_peak_rss_bytes = run.peak_rss_bytes;
    measurement.notes.extend(run.notes);
    measurement.ready = rig.ready().cloned();
    let done = rig.stop().unwrap_or_else(|what| {
        measurement.notes.push(what);
        None
    });
    read_back(&job, &place.root, &mut measurement.records);
    judge(&mut measurement, requests, done, settings);
    Ok(measurement)
}

/// Bytes of disk that `cell` needs in the work directory at its worst.
#[must_use]
pub fn disk_needed(cell: &Cell, settings: &Settings) -> u64 {
    // The source of its volume, for downloads and lists, is made once and stays for the run.
    let source = if cell.operation == Operation::Upload { 0 } else { cell.volume };
    source.saturating_add(corpus::root_len(cell, requests(cell, settings)))
}

/// How many operations each client of this cell carries out.
#[must_use]
pub fn requests(cell: &Cell, settings: &Settings) -> u32 {
    match cell.operation {
        Operation::List => settings.list_requests,
        Operation::Download | Operation::Upload => settings.transfer_requests,
    }
}

/// A directory that is gone when this is dropped, however the cell ends.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn create(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Puts into the root what the cell's clients expect there; the CRC-32 of what they download.
fn furnish(cell: &Cell, settings: &Settings, work: &WorkDir, root: &Path) -> io::Result<u32> {
    match cell.operation {
        Operation::Download => {
            let (source, crc32) = work.source(settings.seed, cell.volume)?;
            for client in 0..cell.clients {
                fs::hard_link(&source, root.join(corpus::download_name(client)))?;
            }
            Ok(crc32)
        }
        Operation::List => {
            let files = work.list_files(settings.seed, cell.volume)?;
            for name in corpus::list_names(cell.volume) {
                fs::hard_link(files.join(&name), root.join(&name))?;
            }
            Ok(0)
        }
        Operation::Upload => Ok(0),
    }
}

fn job(cell: &Cell, settings: &Settings, requests: u32, rig: &dyn Rig, download_crc32: u32) -> Job {
    Job {
        operation: cell.operation,
        volume: cell.volume,
        seed: settings.seed,
        requests,
        clients: cell.clients,
        timeout: settings.timeout,
        verify: settings.verify,
        terminator: settings.terminator.clone(),
        congestion: settings.congestion.clone(),
        receive_buffer: settings.client_buffer,
        server: rig.address(),
        download_crc32,
    }
}

fn drive(cell: &Cell, job: &Job, interrupt: &AtomicBool, rig: &mut dyn Rig) -> Result<Run, Error> {
    let mut abort = || rig.abort();
    match cell.client_pool {
        ClientPool::Thread => Ok(pool::thread::run(job, interrupt, &mut abort)),
        ClientPool::Process => pool::process::run(job, interrupt, &mut abort)
            .map_err(|error| Error::Harness(format!("cannot start the client processes: {error}"))),
    }
}

/// Outside the measured window: every upload with `--verify full`, else those that no answer vouches for.
fn read_back(job: &Job, root: &Path, records: &mut [Record]) {
    if job.operation != Operation::Upload || matches!(job.verify, Verify::Size | Verify::Off) {
        return;
    }
    for record in records.iter_mut().filter(|record| record.outcome == Outcome::Ok) {
        let unconfirmed = record.detail.as_deref() == Some(UNCONFIRMED);
        if unconfirmed || job.verify == Verify::Full {
            readback::check(job, root, record);
        }
    }
}

fn judge(measurement: &mut Measurement, requests: u32, done: Option<Done>, settings: &Settings) {
    let has_ledger = settings.server == ServerChoice::Own;
    let verdict = reconcile(&measurement.cell, requests, &measurement.records, done.as_ref(), has_ledger);
    measurement.status = verdict.status;
    measurement.notes.extend(verdict.violations);
    measurement.done = done;
}

fn not_sent(cell: &Cell, requests: u32) -> Vec<Record> {
    let planned = (0..cell.clients).flat_map(|client| (0..requests).map(move |request| (client, request)));
    planned.map(|(client, request)| Record::not_sent(client, request)).collect()
}
