//! Measures one cell once: files, server, clients, verification, reconciliation, cleaning up.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use cli_kit::output;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use stress_data::matrix::Cell;
use stress_data::measurement::{Measurement, ServerChoice, Settings, Status};
use stress_data::reconcile::{Facts, reconcile};
use stress_data::record::{Outcome, Record};

use super::{preflight, work};
use crate::clients::operation::{Attempt, Job};
use crate::clients::pool::{self, Context, Reports};
use crate::clients::readback::{self, ReadBack};
use crate::clients::remote::{self, NotPlaced};
use crate::corpus::files;
use crate::corpus::served::ServedFolder;
use crate::faults;
use crate::host::environment;
use crate::host::memory::{self, HostMemory};
use crate::rig::{self, Moment, Rig};

use crate::corpus::workdir::WorkDir;

/// Why there is no measurement. Anything that goes wrong *inside* a cell is a row, not one of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The user asked to stop; what the cell had done so far is thrown away.
    #[error("interrupted")]
    Interrupted,
    /// The harness itself cannot go on: the work directory cannot be used.
    #[error("{0}")]
    Harness(String),
}

/// Measures `cell` once. Must be called on the main thread: children ask the kernel to be killed with the
/// thread that spawned them. `interrupt` becomes true when the user asks to stop.
///
/// Servers and client processes are the running executable again, so this works in the `stress` program only.
///
/// # Errors
/// See [`Error`].
pub(crate) fn measure(
    cell: &Cell,
    repeat: u32,
    settings: &Settings,
    work: &WorkDir,
    interrupt: &AtomicBool,
) -> Result<Measurement, Error> {
    let unusable = |error: io::Error| {
        Error::Harness(format!(
            "the work directory {} cannot be used: {error}",
            work.path().display()
        ))
    };
    let mut measurement = untouched(cell, repeat, settings);
    // Declared before the rig: dropped after it, when nobody uses it any more.
    let directory = work.cell().map_err(unusable)?;
    let served = match settings.server.root().map(ServedFolder::take).transpose() {
        Ok(served) => served,
        Err(error) => {
            measurement.notes.push(error.to_string());
            judge(&mut measurement, settings, true);
            return Ok(measurement);
        }
    };
    let root = match &served {
        Some(served) => served.path().to_owned(),
        None => directory.root(),
    };
    let download_crc32 = match is_target(settings) {
        true => None,
        false => files::lay_out(cell, settings.seed, work.sources(), &root).map_err(unusable)?,
    };
    raise_descriptor_limit(cell);
    check(interrupt)?;

    let mut rig = match rig::start(cell, settings, &root, &directory.server_log(), interrupt) {
        Ok(rig) => rig,
        Err(rig::Error::Interrupted) => return Err(Error::Interrupted),
        Err(rig::Error::NotReady(why)) => {
            measurement.notes.push(why);
            judge(&mut measurement, settings, true);
            return Ok(measurement);
        }
    };
    measurement.ready = rig.ready().cloned();
    let mut job = job(cell, settings, rig.as_ref(), download_crc32);
    let mut context = Context {
        rig: rig.as_mut(),
        interrupt,
        log: &directory.client_log(),
    };
    if is_target(settings) {
        measure_target(&mut measurement, settings, &mut job, &mut context, &root)?;
    } else {
        measure_running(&mut measurement, settings, &job, &mut context, &root)?;
    }
    Ok(measurement)
}

const fn is_target(settings: &Settings) -> bool {
    matches!(settings.server, ServerChoice::Target { .. })
}

/// A cell of a server that runs for itself: its files come and go through it.
fn measure_target(
    measurement: &mut Measurement,
    settings: &Settings,
    job: &mut Job,
    context: &mut Context<'_>,
    root: &Path,
) -> Result<(), Error> {
    job.is_shared = true;
    let interrupt = context.interrupt;
    let (result, laid) = match remote::lay_out(job, &measurement.cell, interrupt) {
        Ok(laid) => {
            job.download_crc32 = laid.crc32;
            let result = measure_running(measurement, settings, job, context, root);
            (result, Some(laid))
        }
        Err(NotPlaced { why, laid }) => {
            measurement.notes.push(why);
            judge(measurement, settings, false);
            (check(interrupt), laid)
        }
    };
    let left = laid.and_then(|laid| remote::clear_away(job, &laid, interrupt));
    match (&result, left) {
        // Of a sample that is thrown away nobody reads the notes.
        (Err(_), Some(left)) => output::say(format_args!("warning: {left}")),
        (_, left) => measurement.notes.extend(left),
    }
    result
}

/// A cell whose server runs.
fn measure_running(
    measurement: &mut Measurement,
    settings: &Settings,
    job: &Job,
    context: &mut Context<'_>,
    root: &Path,
) -> Result<(), Error> {
    match run(measurement, settings, job, context) {
        Ok(reports) => {
            let interrupt = context.interrupt;
            let violations = finish(measurement, reports, job, context.rig, root, interrupt)?;
            measurement.notes.extend(violations.notes);
            judge(measurement, settings, violations.is_lost);
            if violations.is_partial {
                measurement.status = Status::Inconsistent;
            }
            Ok(())
        }
        Err(pool::Error::Interrupted) => Err(Error::Interrupted),
        Err(pool::Error::CannotStart(why)) => {
            measurement.notes.push(why);
            let ending = context.rig.stop(context.interrupt);
            measurement.done = ending.done;
            judge(measurement, settings, ending.lost.is_some());
            Ok(())
        }
    }
}

/// The window, with what is done to the server meanwhile.
fn run(
    measurement: &mut Measurement,
    settings: &Settings,
    job: &Job,
    context: &mut Context<'_>,
) -> Result<Reports, pool::Error> {
    let cell = measurement.cell.clone();
    let ready = measurement.ready.as_ref();
    let is_warmed = settings.warm_memory && !is_target(settings);
    let needed = if is_warmed {
        work::written_bytes(&cell, settings)
    } else {
        0
    };
    let taken = HostMemory::take(needed);
    context.rig.mark(Moment::Before);
    let overflows_before = environment::listen_overflows();
    let warmed = taken.as_ref().map(HostMemory::warmed);
    let watched = ready.filter(|_| settings.watch_memory);
    let work = || {
        faults::carry_out(cell.fault, job, ready, || {
            pool::run(cell.client_pool, job, cell.clients, &mut *context)
        })
    };
    let (result, server_memory) = memory::feed(taken, || {
        memory::watch(watched.map(|ready| ready.pid), work)
    });
    let overflows = environment::listen_overflows().zip(overflows_before);
    measurement.listen_overflows = overflows.map(|(after, before)| after.saturating_sub(before));
    context.rig.mark(Moment::After);
    measurement.warmed = warmed;
    measurement.server_memory = server_memory;
    let (reports, report) = result.map_err(pool::Error::CannotStart)?;
    measurement.fault = report;
    reports
}

/// What came out of a cell besides its records.
struct Findings {
    notes: Vec<String>,
    is_lost: bool,
    is_partial: bool,
}

/// After the window: reads uploads back, stops the server, and takes down what both sides say.
fn finish(
    measurement: &mut Measurement,
    reports: Reports,
    job: &Job,
    rig: &mut dyn Rig,
    root: &Path,
    interrupt: &AtomicBool,
) -> Result<Findings, Error> {
    let mut attempts = reports.attempts;
    let mut reader = ReadBack::new(job, root, interrupt);
    let is_own = rig.ready().is_some();
    // Our server's ledger stays that of the clients alone, and what it was still storing when a client left is
    // settled once it has stopped. A foreign server may have to be asked.
    if !is_own {
        reader.check(&mut attempts, readback::Source::FolderOrServer);
    }
    let ending = rig.stop(interrupt);
    if is_own {
        reader.check(&mut attempts, readback::Source::Folder);
    }
    check(interrupt)?;
    let partial = if is_own { reader.partial() } else { &[] };
    let findings = Findings {
        notes: ending.lost.iter().chain(partial).cloned().collect(),
        is_lost: ending.lost.is_some(),
        is_partial: !partial.is_empty(),
    };
    measurement.done = ending.done;
    measurement.client_cpu_us = reports.cpu_us;
    measurement.client_peak_rss_bytes = reports.peak_rss_bytes;
    let is_unverified =
        |attempt: &&Attempt| attempt.is_unconfirmed && attempt.record.outcome == Outcome::Ok;
    measurement.unverified = attempts.iter().filter(is_unverified).count() as u64;
    measurement.records = attempts
        .into_iter()
        .map(|attempt: Attempt| attempt.record)
        .collect();
    Ok(findings)
}

fn judge(measurement: &mut Measurement, settings: &Settings, is_lost: bool) {
    let verdict = reconcile(&Facts {
        cell: &measurement.cell,
        requests: settings.requests(&measurement.cell),
        records: &measurement.records,
        ready: measurement.ready.as_ref(),
        done: measurement.done.as_ref(),
        fault: measurement.fault.as_ref(),
        is_lost,
    });
    measurement.status = verdict.status;
    measurement.notes.extend(verdict.violations);
}

/// A measurement of which nothing has happened yet.
fn untouched(cell: &Cell, repeat: u32, settings: &Settings) -> Measurement {
    let requests = settings.requests(cell);
    let operations =
        (0..cell.clients).flat_map(|client| (0..requests).map(move |request| (client, request)));
    let started_utc = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    Measurement {
        records: operations
            .map(|(client, request)| Record::not_sent(client, request))
            .collect(),
        ..Measurement::empty(cell, repeat, started_utc, Status::Cut)
    }
}

fn job(cell: &Cell, settings: &Settings, rig: &dyn Rig, download_crc32: Option<u32>) -> Job {
    Job {
        address: rig.address(),
        operation: cell.operation,
        volume: cell.volume,
        requests: settings.requests(cell),
        seed: settings.seed,
        download_crc32,
        verify: settings.verify,
        timeout: settings.timeout,
        terminator: settings.terminator.clone(),
        congestion: settings.congestion.clone(),
        receive_buffer: cell.client_buffer,
        is_shared: false,
    }
}

fn check(interrupt: &AtomicBool) -> Result<(), Error> {
    match interrupt.load(Ordering::Relaxed) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}

/// Lets the soft limit on descriptors rise to what the cell's clients need: that the hard one allows it was asked
/// before.
fn raise_descriptor_limit(cell: &Cell) {
    let needed = preflight::descriptors_needed(cell);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < needed
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard);
    }
}
