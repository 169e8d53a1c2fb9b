//! Carries out what a row does to its server while the clients are at work.

mod client;
mod killer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proto::announce::Ready;
use stress_data::fault::{Fault, FaultReport};

use crate::clients::operation::Job;

use client::Faulty;

/// Lets the clients do their `work`, which is `job`, while its fault is carried out on the server that said `ready`. All
/// faulty clients stand before `work` begins, and are gone when this returns.
///
/// # Errors
/// Why the fault cannot be carried out; `work` has not begun.
pub(crate) fn carry_out<T>(
    job: &Job,
    ready: Option<&Ready>,
    work: impl FnOnce() -> T,
) -> Result<(T, Option<FaultReport>), String> {
    let fault = job.cell.fault;
    let targets = match (fault, ready) {
        (Fault::None, _) => return Ok((work(), None)),
        (Fault::KillWorker, Some(ready)) => killer::targets(&ready.worker_pids)?,
        (Fault::KillWorker, None) => return Err("whose workers to kill is not known".into()),
        _ => Vec::new(),
    };
    let is_over = &AtomicBool::new(false);
    let targets = &targets;
    thread::scope(|scope| {
        let crowd: Vec<Faulty> = (0..fault.clients()).map(|_| Faulty::connect(job)).collect();
        let threads: Vec<_> = (0..)
            .zip(crowd)
            .map(|(number, client)| scope.spawn(move || client.go_on(number, job, is_over)))
            .collect();
        let killer = (fault == Fault::KillWorker)
            .then(|| scope.spawn(move || killer::kill_one(targets, is_over)));
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        let report = FaultReport {
            clients: threads
                .into_iter()
                .map(|thread| thread.join().expect("a faulty client does not panic"))
                .collect(),
            killed: killer.and_then(|thread| thread.join().expect("the killer does not panic")),
        };
        Ok((done, Some(report)))
    })
}
