//! Client pools: workers that stand at a barrier, are released together, and report what they did.

pub(crate) mod process;
mod thread;

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use stress_data::matrix::ClientPool;
use stress_data::record::Outcome;

use super::operation::{Attempt, Job};
use crate::host::clock::now_ns;
use crate::rig::Rig;

/// How long the workers may take to come to the barrier.
const ASSEMBLE_LIMIT: Duration = Duration::from_secs(60);
/// How much longer than the sum of its operations a client may take.
const MARGIN: Duration = Duration::from_secs(30);

/// What a pool of clients did.
#[derive(Debug)]
pub(crate) struct Reports {
    /// One for each planned operation, by client and request.
    pub(crate) attempts: Vec<Attempt>,
    /// CPU time over the window, microseconds; none if a client did not report its own.
    pub(crate) cpu_us: Option<u64>,
    /// VmHWM of the largest process that holds clients: for threads the harness itself, over this sample alone.
    /// None if the kernel does not say.
    pub(crate) peak_rss_bytes: Option<u64>,
}

/// Why a pool did nothing.
#[derive(Debug)]
pub(crate) enum Error {
    /// The user asked to stop.
    Interrupted,
    /// The workers could not be started, and why.
    CannotStart(String),
}

/// Who is to be told, and asked, while clients are at work.
pub(crate) struct Context<'a> {
    /// The server they talk to: cut when the user asks to stop, so that they end at once.
    pub(crate) rig: &'a mut dyn Rig,
    /// True when the user asks to stop.
    pub(crate) interrupt: &'a AtomicBool,
    /// Where client processes write their errors.
    pub(crate) log: &'a Path,
}

/// Lets `clients` clients of the given kind do `job`. Must be called on the main thread.
///
/// # Errors
/// See [`Error`]. What goes wrong with single clients is in the reports.
pub(crate) fn run(
    kind: ClientPool,
    job: &Job,
    clients: u32,
    context: &mut Context<'_>,
) -> Result<Reports, Error> {
    let mut reports = match kind {
        ClientPool::Thread => thread::run(job, clients, context),
        ClientPool::Process => process::run(job, clients, context),
    }?;
    let attempts = &mut reports.attempts;
    attempts.sort_by_key(|attempt| (attempt.record.client, attempt.record.request));
    Ok(reports)
}

/// Holds clients back until all are there: each reads one byte of a shared pipe, and one write lets all of them
/// go. The same for threads and processes, so that the two start alike; its end of file means exit.
#[derive(Debug)]
struct Barrier {
    writer: PipeWriter,
    reader: PipeReader,
}

impl Barrier {
    fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { writer, reader })
    }

    /// Lets `clients` go, and says when that was.
    fn release(mut self, clients: u32) -> io::Result<u64> {
        let bytes = vec![b'g'; clients as usize];
        let released_ns = now_ns();
        // 1,000 clients at most: fewer bytes than PIPE_BUF (4,096), so that the write is one, and never waits.
        self.writer.write_all(&bytes)?;
        Ok(released_ns)
    }
}

/// Waits at a barrier; false if there is nothing to do after all.
fn is_released(barrier: &mut impl Read) -> bool {
    barrier.read_exact(&mut [0]).is_ok()
}

/// The longest that a client's operations can take, and some.
fn limit(job: &Job) -> Duration {
    // Connecting and the exchange have a deadline each.
    let operations = job.timeout.saturating_mul(2).saturating_mul(job.requests);
    operations.saturating_add(MARGIN)
}

/// Attempts for what `client` did not report.
fn missing(client: u32, reported: &[Attempt], job: &Job, detail: &str) -> Vec<Attempt> {
    let is_reported = |request: &u32| {
        reported
            .iter()
            .any(|attempt| attempt.record.request == *request)
    };
    (0..job.requests)
        .filter(|request| !is_reported(request))
        .map(|request| Attempt::without_times(client, request, Outcome::ClientCrashed, detail))
        .collect()
}

/// Makes the kernel forget how large this process has been, so that its peak is of what comes; false if it does not.
fn forget_peak_rss() -> bool {
    // proc_pid_clear_refs(5): "5" resets the high water mark, and walks no page.
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// CPU time of this process so far, user and system, microseconds.
fn cpu_us() -> Option<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    u64::try_from(us).ok()
}
