//! Clients as threads of the harness.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;

use prefork_server::memory;

use super::{
    ASSEMBLE_LIMIT, Barrier, Context, Reports, complete, cpu_us, forget_peak_rss, is_released,
    limit,
};
use crate::clients::operation::{Attempt, Job, Worker};
use crate::corpus::Corpus;
use crate::host::clock::{Deadline, WaitEnded};
use crate::rig::Error;

/// A client's buffers are on the heap; this is several times what it needs in a debug build.
const STACK_LEN: usize = 512 << 10;

/// What a thread says: that it stands at the barrier, then what it did.
enum Message {
    Ready,
    Done(u32, Vec<Attempt>),
}

pub(super) fn run(job: &Job, context: &mut Context<'_>) -> Result<Reports, Error> {
    let clients = job.cell.clients;
    let cannot_start = |error: std::io::Error| Error::NotReady(format!("client threads: {error}"));
    let barrier = Barrier::new().map_err(cannot_start)?;
    let is_peak_ours = forget_peak_rss();
    let corpus = Corpus::new(job.settings.seed);
    let mut workers: Vec<Worker<'_>> = (0..clients)
        .map(|client| Worker::new(job, corpus.clone(), client))
        .collect::<Result<_, _>>()
        .map_err(Error::NotReady)?;
    let (sender, messages) = mpsc::channel();
    thread::scope(|scope| {
        for (client, worker) in (0..).zip(&mut workers) {
            let mut gate = barrier.reader.try_clone().map_err(cannot_start)?;
            let sender = sender.clone();
            // On an error the barrier is dropped, and those that wait at it leave.
            thread::Builder::new()
                .stack_size(STACK_LEN)
                .spawn_scoped(scope, move || {
                    // Only a lost receiver can fail: then nobody wants to know.
                    let _ = sender.send(Message::Ready);
                    if is_released(&mut gate) {
                        work(worker, client, &sender);
                    }
                })
                .map_err(cannot_start)?;
        }
        drop(sender);
        assemble(&messages, clients, context)?;
        let cpu_before = cpu_us();
        let released_ns = barrier.release(clients).map_err(cannot_start)?;
        let by_client = collect(&messages, job, context);
        let cpu_us = cpu_us()
            .zip(cpu_before)
            .map(|(after, before)| after - before);
        let with_why_not = |reported| (reported, "the client thread panicked".to_owned());
        Ok(Reports {
            attempts: complete(by_client?.into_iter().map(with_why_not), job, released_ns),
            cpu_us,
            peak_rss_bytes: is_peak_ours
                .then(|| memory::peak_rss_bytes(std::process::id()))
                .flatten(),
        })
    })
}

/// A panic is one client's failure, not the harness's.
fn work(worker: &mut Worker<'_>, client: u32, sender: &Sender<Message>) {
    let attempts = catch_unwind(AssertUnwindSafe(|| worker.run())).unwrap_or_default();
    let _ = sender.send(Message::Done(client, attempts));
}

fn assemble(
    messages: &Receiver<Message>,
    clients: u32,
    context: &Context<'_>,
) -> Result<(), Error> {
    let deadline = Deadline::after(ASSEMBLE_LIMIT).or_once(context.interrupt);
    let mut ready_len = 0;
    while ready_len < clients {
        match messages.recv_timeout(deadline.slice()) {
            Ok(_) => ready_len += 1,
            Err(_) => deadline.check().map_err(|wait_ended| match wait_ended {
                WaitEnded::Interrupted => Error::Interrupted,
                WaitEnded::Late => Error::NotReady("client threads do not come up".into()),
            })?,
        }
    }
    Ok(())
}

/// Waits for every client. None of them can be killed, but each has its deadlines; and a server that is gone
/// ends them all.
fn collect(
    messages: &Receiver<Message>,
    job: &Job,
    context: &mut Context<'_>,
) -> Result<Vec<Vec<Attempt>>, Error> {
    let mut by_client = vec![Vec::new(); job.cell.clients as usize];
    let mut deadline = Deadline::after(limit(job)).or_once(context.interrupt);
    let mut wait_ended = None;
    loop {
        match messages.recv_timeout(deadline.slice()) {
            Ok(Message::Done(client, attempts)) => by_client[client as usize] = attempts,
            Ok(Message::Ready) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => match deadline.check() {
                Err(reason) if wait_ended.is_none() => {
                    wait_ended = Some(reason);
                    context.rig.cut();
                    deadline = Deadline::after(limit(job));
                }
                _ => {}
            },
        }
    }
    match wait_ended {
        Some(WaitEnded::Interrupted) => Err(Error::Interrupted),
        _ => Ok(by_client),
    }
}
