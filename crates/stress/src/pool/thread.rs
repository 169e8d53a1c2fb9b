//! Clients that are threads of this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::{Run, complete};
use crate::clock::monotonic_ns;
use crate::operation::{Job, perform};
use crate::record::Outcome;

/// How often the main thread looks whether the user asked to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Clients keep their buffers on the heap; fifty stacks of the usual 2 MiB would only be address space, but a
/// small one is all they need.
const STACK_LEN: usize = 512 << 10;

/// Runs the clients to their end. `abort` ends the server when the user asks to stop, so that they end soon.
pub(crate) fn run(job: &Job, interrupt: &AtomicBool, abort: &mut dyn FnMut()) -> Run {
    let at_the_line = Barrier::new(job.clients as usize + 1);
    let go = Barrier::new(job.clients as usize + 1);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for client in 0..job.clients {
            let (sender, at_the_line, go) = (sender.clone(), &at_the_line, &go);
            let body = move || {
                at_the_line.wait();
                go.wait();
                for request in 0..job.requests {
                    let _ = sender.send(perform(job, client, request));
                }
            };
            let thread = thread::Builder::new().stack_size(STACK_LEN);
            // Without this thread the barriers would hold the others for ever: no harness without threads.
            thread.spawn_scoped(scope, body).expect("the machine can start a client thread");
        }
        drop(sender);
        at_the_line.wait();
        let cpu_before_us = cpu_us();
        let released_ns = monotonic_ns();
        go.wait();

        let mut records = Vec::new();
        let mut interrupted = false;
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(record) => records.push(record),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if !interrupted && interrupt.load(Ordering::Relaxed) {
                interrupted = true;
                abort();
            }
        }
        let cpu_us = cpu_us().zip(cpu_before_us).map(|(after, before)| after.saturating_sub(before));
        let records = complete(job, records, released_ns, Outcome::ClientCrashed);
        Run { records, cpu_us, peak_rss_bytes: None, interrupted, notes: Vec::new() }
    })
}

/// CPU time of this process, user and system.
pub(super) fn cpu_us() -> Option<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    u64::try_from(micros).ok()
}
