//! Asking a server something outside the measured window: one connection a question, an interrupt is heard, and a
//! server that left one question without an answer is not waited for again.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use client::{Connection, Error as Failure, Interrupt, Options};

use super::operation::{self, Job};
use crate::host::clock::SLICE;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// To this question.
    #[error("{0}")]
    Failed(#[from] Failure),
    /// It was not asked, because of an earlier one.
    #[error("not asked, because the server did not answer before: {0}")]
    Silent(String),
}

/// Somebody with questions to the server of a job.
pub(crate) struct Requester<'a> {
    job: &'a Job,
    options: Options,
    /// How the server did not answer.
    silence: Option<String>,
}

/// Does `work` with somebody who asks until `interrupt` becomes true.
pub(crate) fn with_requester<T>(
    job: &Job,
    interrupt: &AtomicBool,
    work: impl FnOnce(&mut Requester<'_>) -> T,
) -> T {
    let is_over = &AtomicBool::new(false);
    let (ear, mouth) = io::pipe().ok().unzip();
    thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            while !is_over.load(Ordering::SeqCst) && !interrupt.load(Ordering::SeqCst) {
                thread::park_timeout(SLICE);
            }
            // Whoever waits for a socket waits for the end of this pipe, too.
            drop(mouth);
        });
        let _end = End(is_over, watcher.thread());
        work(&mut Requester {
            job,
            options: Options {
                // None where no descriptors are left for one: then it is the deadlines that end a question.
                interrupt: ear.map(|ear| Interrupt::from(OwnedFd::from(ear))),
                // Options that could not be made would have kept the clients from starting.
                ..operation::options(job).unwrap_or_default()
            },
            silence: None,
        })
    })
}

/// Sends the watcher home, also from a panic.
struct End<'a>(&'a AtomicBool, &'a Thread);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        self.1.unpark();
    }
}

impl Requester<'_> {
    pub(crate) const fn job(&self) -> &Job {
        self.job
    }

    /// Asks one thing, which may take no longer than `limit`, nor than an operation of the job.
    pub(crate) fn ask<T>(
        &mut self,
        limit: Duration,
        question: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        if let Some(silence) = &self.silence {
            return Err(Error::Silent(silence.clone()));
        }
        let limit = limit.min(self.job.settings.timeout);
        self.options.connect_timeout = limit;
        self.options.operation_timeout = Some(limit);
        self.options.idle_timeout = limit;
        let connected = Connection::connect(self.job.address, &self.options);
        let answer = connected.and_then(|mut stream| question(&mut stream));
        answer.map_err(|failure| {
            if is_silence(&failure) {
                self.silence = Some(failure.to_string());
            }
            failure.into()
        })
    }
}

/// Whether the next question would be waited for in vain, too.
const fn is_silence(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Timeout(_)
            | Failure::ConnectTimeout(_)
            | Failure::Connect(_)
            | Failure::Interrupted
    )
}
