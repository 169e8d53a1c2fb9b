//! Client pools: workers that stand at a barrier, are released together, and report what they did.

pub(crate) mod process;
mod thread;

use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use stress_data::matrix::ClientPool;
use stress_data::record::Outcome;

use super::operation::{Attempt, Job};
use crate::corpus::workdir::Quiet;
use crate::host::clock::now_ns;
use crate::rig::{Error, Rig};

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

/// Who is to be told, and asked, while clients are at work.
pub(crate) struct Context<'a> {
    /// The server they talk to: cut when the user asks to stop, so that they end at once.
    pub(crate) rig: &'a mut dyn Rig,
    /// True when the user asks to stop.
    pub(crate) interrupt: &'a AtomicBool,
    /// Where client processes write their errors.
    pub(crate) log: &'a Path,
    /// Nobody else is at work in the work directory.
    pub(crate) _quiet: Quiet<'a>,
}

/// Lets the clients of `job` do it. Must be called on the main thread.
///
/// # Errors
/// See [`Error`]. What goes wrong with single clients is in the reports.
pub(crate) fn run(job: &Job, context: &mut Context<'_>) -> Result<Reports, Error> {
    match job.cell.client_pool {
        ClientPool::Thread => thread::run(job, context),
        ClientPool::Process => process::run(job, context),
    }
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
    let operation = job.settings.timeout.saturating_mul(2);
    operation
        .saturating_mul(job.requests())
        .saturating_add(MARGIN)
}

/// What each client reported, and for what it did not report, why not; by client and request.
fn complete(
    by_client: impl IntoIterator<Item = (Vec<Attempt>, String)>,
    job: &Job,
    released_ns: u64,
) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for (client, (reported, why_not)) in (0..).zip(by_client) {
        let mut reported: HashMap<u32, Attempt> = reported
            .into_iter()
            .map(|attempt| (attempt.record.request, attempt))
            .collect();
        for request in 0..job.requests() {
            let mut attempt = reported.remove(&request).unwrap_or_else(|| {
                Attempt::without_times(client, request, Outcome::ClientCrashed, &why_not)
            });
            attempt.record.released_ns = released_ns;
            attempts.push(attempt);
        }
    }
    attempts
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
