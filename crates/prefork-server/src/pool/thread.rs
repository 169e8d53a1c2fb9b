//! The thread pool: all workers are threads of one worker process. A panic costs one connection, a crash all.

use std::sync::mpsc;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::poll;
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};

use super::{Inheritance, NUDGE};
use crate::exit::WORKER_FAILED;
use crate::pool::worker::{Left, Worker, blocking};
use crate::shared::report::{LOOK, Reporter};
use crate::shared::scoreboard::{Assignment, Command, Slot};
use crate::shared::title;
use crate::{sys, words};

/// A worker thread needs little more than the decoder's and the store's frames; 50 of them must stay small.
const STACK_LEN: usize = 256 << 10;

/// How often threads that have been told to leave are nudged again: a nudge between a thread's look at its
/// word and its next wait is lost.
const NUDGE_AGAIN: Duration = Duration::from_millis(10);

/// A running worker thread.
struct Thread<'scope> {
    handle: ScopedJoinHandle<'scope, Left>,
    id: Pthread,
}

/// Starts the threads and waits until all have left.
#[must_use]
pub(crate) fn run(
    inheritance: &Inheritance,
    assignment: &Assignment,
    reporter: &Reporter<'_>,
) -> Left {
    thread::scope(|scope| {
        let threads: Vec<Thread<'_>> = assignment
            .slots(&inheritance.scoreboard)
            .map(|(index, slot)| {
                let set_aside = inheritance.config.set_aside.unwrap_or(0);
                start(scope, inheritance.worker(slot, index, reporter), set_aside)
            })
            .collect();
        if let Err(error) = reporter.ready() {
            tracing::error!(
                error = error.desc(),
                "cannot report that the threads are ready"
            );
            sys::exit_now(WORKER_FAILED);
        }
        pass_on_the_stop(assignment.slot(&inheritance.scoreboard), &threads);
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .handle
                    .join()
                    .unwrap_or(Left::Failed(Errno::UnknownErrno))
            })
            .find(|left| *left != Left::Asked)
            .unwrap_or(Left::Asked)
    })
}

fn start<'scope, 'env>(
    scope: &'scope thread::Scope<'scope, 'env>,
    worker: Worker<'env>,
    set_aside: u32,
) -> Thread<'scope> {
    let index = worker.index;
    let (id_sender, id_receiver) = mpsc::sync_channel(1);
    let builder = thread::Builder::new().stack_size(STACK_LEN);
    let handle = builder.spawn_scoped(scope, move || {
        title::worker(index);
        blocking::run(&worker, set_aside, || {
            let _ = id_sender.send(pthread_self());
            Ok(())
        })
    });
    match (handle, id_receiver.recv()) {
        (Ok(handle), Ok(id)) => Thread { handle, id },
        (handle, _) => {
            let errno = match handle.map(thread::ScopedJoinHandle::join) {
                // It has left before it could be told anything.
                Ok(Ok(Left::Failed(errno))) => Some(errno),
                Ok(_) => None,
                Err(error) => error.raw_os_error().map(Errno::from_raw),
            };
            let errno = errno.unwrap_or(Errno::UnknownErrno);
            tracing::error!(worker = index, "{}", words::cannot_start("a thread", errno));
            // The scope would wait for the other threads for ever, and a pool that is not full is no pool.
            sys::exit_now(super::failure(Some(errno)))
        }
    }
}

/// Waits until all threads have left. The kernel delivers the parent's signal to any one thread, and all must
/// look at their word, so it is passed on to each.
fn pass_on_the_stop(slot: Slot, threads: &[Thread<'_>]) {
    while slot.command() == Command::Run {
        if threads.iter().any(|thread| thread.handle.is_finished()) {
            // It failed, and the pool is short of it; the parent starts a full one.
            sys::exit_now(WORKER_FAILED);
        }
        // Interrupted by the parent's signal.
        let _ = poll(&mut [], sys::poll_timeout(LOOK));
    }
    if slot.command() == Command::Retire {
        title::retiring_threads();
    }
    while !threads.iter().all(|thread| thread.handle.is_finished()) {
        for thread in threads.iter().filter(|it| !it.handle.is_finished()) {
            // It has not been joined, so its id is valid even if it ends just now.
            let _ = pthread_kill(thread.id, NUDGE);
        }
        thread::sleep(NUDGE_AGAIN);
    }
}
