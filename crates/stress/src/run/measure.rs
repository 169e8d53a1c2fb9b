//! Measures one row once: files, server, clients, verification, reconciliation, cleaning up.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use cli_kit::output;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use stress_data::matrix::{Cell, Operation};
use stress_data::measurement::{Measurement, ServerChoice, Settings, Status};
use stress_data::reconcile::reconcile;
use stress_data::record::{Outcome, Record};

use super::{preflight, work};
use crate::clients::operation::{Attempt, Job};
use crate::clients::pool::{self, Context, Reports};
use crate::clients::readback::{self, ReadBack};
use crate::clients::remote::{self, NotPlaced};
use crate::corpus::files;
use crate::corpus::served::ServedFolder;
use crate::corpus::workdir::WorkDir;
use crate::faults;
use crate::host::clock::Deadline;
use crate::host::environment;
use crate::host::memory::{self, HostMemory};
use crate::rig;

/// Why there is no measurement. Anything that goes wrong *inside* a row is its status, not one of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The user asked to stop; what the row had done so far is thrown away.
    #[error("interrupted")]
    Interrupted,
    /// The harness itself cannot go on: the work directory cannot be used.
    #[error("{0}")]
    Harness(String),
}

/// Measures `cell` once. Must be called on the main thread: children ask the kernel to be killed with the
/// thread that spawned them. `interrupt` becomes true when the user asks to stop.
///
/// Servers and clients are the running executable again, so this works in the `stress` program only.
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
    let directory = work.row().map_err(unusable)?;
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
    let sources = work.sources();
    let laid = match (&settings.server, cell.operation) {
        (ServerChoice::Target { .. }, _) => Ok((root, None)),
        // Our server changes nothing where nothing is uploaded.
        (ServerChoice::Own, Operation::Download | Operation::List) => {
            files::kept(cell, settings.seed, sources)
        }
        _ => files::lay_out(cell, settings.seed, sources, &root).map(|crc32| (root, crc32)),
    };
    let (root, download_crc32) = laid.map_err(unusable)?;
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
    let quiet = work.quiet();
    let told = measurement.ready.as_ref();
    // What is asked for once is not kept.
    let is_shared = u64::from(cell.clients) * u64::from(settings.requests(cell)) > 1;
    let told = told.filter(|_| is_shared);
    if let Some(cache_bytes) = told.and_then(|ready| ready.settings.encoded_cache_bytes) {
        let left = sources.unsettled(cell, settings.seed, cache_bytes);
        Deadline::after(left).or_once(interrupt).sleep();
    }
    check(interrupt)?;
    let mut job = Job {
        address: rig.address(),
        cell: cell.clone(),
        settings: settings.clone(),
        download_crc32,
        is_shared: is_target(settings),
    };
    let mut context = Context {
        rig: rig.as_mut(),
        interrupt,
        log: &directory.client_log(),
        _quiet: quiet,
    };
    if is_target(settings) {
        measure_target(&mut measurement, &mut job, &mut context, &root)?;
    } else {
        measure_running(&mut measurement, &job, &mut context, &root)?;
    }
    Ok(measurement)
}

const fn is_target(settings: &Settings) -> bool {
    matches!(settings.server, ServerChoice::Target { .. })
}

/// A row of a server that runs for itself: its files come and go through it.
fn measure_target(
    measurement: &mut Measurement,
    job: &mut Job,
    context: &mut Context<'_>,
    root: &Path,
) -> Result<(), Error> {
    let interrupt = context.interrupt;
    let (result, laid) = match remote::lay_out(job, interrupt) {
        Ok(laid) => {
            job.download_crc32 = laid.crc32;
            let result = measure_running(measurement, job, context, root);
            (result, Some(laid))
        }
        Err(NotPlaced { why, laid }) => {
            measurement.notes.push(why);
            judge(measurement, &job.settings, false);
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

/// A row whose server runs.
fn measure_running(
    measurement: &mut Measurement,
    job: &Job,
    context: &mut Context<'_>,
    root: &Path,
) -> Result<(), Error> {
    match run(measurement, job, context) {
        Ok(reports) => finish(measurement, reports, job, context, root),
        Err(rig::Error::Interrupted) => Err(Error::Interrupted),
        Err(rig::Error::NotReady(why)) => {
            measurement.notes.push(why);
            let ending = context.rig.stop(context.interrupt);
            measurement.done = ending.done;
            judge(measurement, &job.settings, ending.lost.is_some());
            Ok(())
        }
    }
}

/// The window, with what is done to the server meanwhile.
fn run(
    measurement: &mut Measurement,
    job: &Job,
    context: &mut Context<'_>,
) -> Result<Reports, rig::Error> {
    let pool = pool::assemble(job, context)?;
    let settings = &job.settings;
    let ready = measurement.ready.as_ref();
    let needed = match settings.warm_memory && !is_target(settings) {
        true => work::written_bytes(&job.cell, settings),
        false => 0,
    };
    let taken = HostMemory::take(needed);
    context.rig.before_window();
    let overflows_before = environment::listen_overflows();
    measurement.warmed = taken.as_ref().map(HostMemory::warmed);
    let watched = ready.filter(|_| settings.watch_memory);
    let work = || faults::carry_out(job, ready, || pool.run(context));
    let (result, server_memory) = memory::feed(taken, || {
        memory::watch(watched.map(|ready| ready.pid), work)
    });
    let overflows = environment::listen_overflows().zip(overflows_before);
    measurement.listen_overflows = overflows.map(|(after, before)| after.saturating_sub(before));
    context.rig.after_window();
    measurement.server_memory = server_memory;
    let (reports, report) = result.map_err(rig::Error::NotReady)?;
    measurement.fault = report;
    let (reports, edges) = reports?;
    measurement.edges = Some(edges);
    Ok(reports)
}

/// After the window: reads uploads back, stops the server, and takes down what both sides say.
fn finish(
    measurement: &mut Measurement,
    reports: Reports,
    job: &Job,
    context: &mut Context<'_>,
    root: &Path,
) -> Result<(), Error> {
    let mut attempts = reports.attempts;
    let interrupt = context.interrupt;
    let mut reader = ReadBack::new(job, root, interrupt);
    let is_own = context.rig.ready().is_some();
    // Our server's ledger stays that of the clients alone, and what it was still storing when a client left is
    // settled once it has stopped. A foreign server may have to be asked.
    if !is_own {
        reader.check(&mut attempts, readback::Source::FolderOrServer);
    }
    let ending = context.rig.stop(interrupt);
    if is_own {
        reader.check(&mut attempts, readback::Source::Folder);
    }
    check(interrupt)?;
    let partial = if is_own { reader.partial() } else { &[] };
    measurement.done = ending.done;
    measurement.client_cpu_us = reports.cpu_us;
    measurement.client_peak_rss_bytes = reports.peak_rss_bytes;
    let is_unverified =
        |attempt: &&Attempt| attempt.is_unconfirmed && attempt.record.outcome == Outcome::Ok;
    measurement.unverified = attempts.iter().filter(is_unverified).count() as u64;
    measurement.records = attempts.into_iter().map(|attempt| attempt.record).collect();
    let notes = ending.lost.iter().chain(partial).cloned();
    measurement.notes.extend(notes);
    judge(measurement, &job.settings, ending.lost.is_some());
    if !partial.is_empty() {
        measurement.status = Status::Inconsistent;
    }
    Ok(())
}

fn judge(measurement: &mut Measurement, settings: &Settings, is_lost: bool) {
    let requests = settings.requests(&measurement.cell);
    let verdict = reconcile(measurement, requests, is_lost);
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

fn check(interrupt: &AtomicBool) -> Result<(), Error> {
    match interrupt.load(Ordering::Relaxed) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}

/// Lets the soft limit on descriptors rise to what the row's clients need: that the hard one allows it was asked
/// before.
fn raise_descriptor_limit(cell: &Cell) {
    let needed = preflight::descriptors_needed(cell);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < needed
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard);
    }
}
