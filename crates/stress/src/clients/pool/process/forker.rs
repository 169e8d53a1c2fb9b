//! The process that the harness starts for the client processes of a row: it forks them before it has done
//! anything else, and tells how each has ended.
//!
//! They are forked rather than started one by one because a process counts every page of a file that it maps,
//! and the kernel maps sixteen at each touch: dynamic linking, the start of the runtime and the reading of the
//! orders touch megabytes of the executable and of libc that a client at work does not. VmHWM of the largest
//! client in the rows 100 MB × 50 × 50 on one machine: started one by one (four samples), 4.9 to 5.3 MiB in
//! download and 4.5 to 4.8 in upload; forked (six samples), 2.4 to 2.9 and 2.4 to 2.6. Of an uploading one's, 0.5
//! are its own, the rest is file pages.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use anyhow::{Context, Error, Result};
use cli_kit::output;
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;
use prefork_server::{memory, sys};

use super::super::{cpu_us, is_released};
use super::report::{Orders, Report, say};
use crate::clients::operation::{Job, Worker};
use crate::corpus::Corpus;
use crate::host::child::end_with;

/// A client process that could not do its work.
const FAILED: i32 = 1;

/// Runs the client processes of a row, as the orders in `args` say. Must be called before any thread starts: it forks.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    let orders = args.first().cloned().unwrap_or_default();
    let orders: Orders = serde_json::from_str(&orders.to_string_lossy())
        .context("this is for the harness itself")?;
    end_with(orders.parent)?;
    let corpus = Corpus::new(orders.job.settings.seed);
    let mut out = standard_output()?;
    let mut clients = HashMap::new();
    for client in 0..orders.job.cell.clients {
        let pid = spawn(&orders.job, &corpus, client).context("fork")?;
        clients.insert(pid, client);
    }
    // Each client has its deadlines; and the harness kills all of them, and this process, when it has had enough.
    while !clients.is_empty() {
        let (pid, status) = match wait() {
            Ok(WaitStatus::Exited(pid, code)) => (pid, ExitStatus::from_raw(code << 8)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, ExitStatus::from_raw(signal as i32)),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno).context("wait"),
        };
        if let Some(client) = clients.remove(&pid) {
            let how = status.to_string();
            say(&mut out, &[Report::Gone { client, how }])?;
        }
    }
    Ok(())
}

/// Forks a client. Returns in the parent only.
fn spawn(job: &Job, corpus: &Corpus, client: u32) -> nix::Result<Pid> {
    let parent = Pid::this().as_raw();
    sys::fork(|| match work(job, corpus, client, parent) {
        Ok(()) => 0,
        Err(error) => {
            output::say(format_args!("error: client {client}: {error:#}"));
            FAILED
        }
    })
}

/// All that a client process does.
fn work(job: &Job, corpus: &Corpus, client: u32, parent: i32) -> Result<()> {
    end_with(parent)?;
    let mut worker = Worker::new(job, corpus.clone(), client).map_err(Error::msg)?;
    let mut barrier = standard_input()?;
    let mut out = standard_output()?;
    say(&mut out, &[Report::Ready { client }])?;
    if !is_released(&mut barrier) {
        return Ok(());
    }
    let cpu_before = cpu_us();
    let attempts = worker.run();
    let cpu_us = cpu_us()
        .zip(cpu_before)
        .map(|(after, before)| after - before);
    let mut reports: Vec<Report> = attempts.into_iter().map(Report::Attempt).collect();
    reports.push(Report::End {
        client,
        cpu_us,
        peak_rss_bytes: memory::peak_rss_bytes(std::process::id()),
    });
    say(&mut out, &reports)?;
    Ok(())
}

/// The barrier. Not io::stdin() itself: its buffer would take the bytes that are for the others.
fn standard_input() -> io::Result<PipeReader> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// Not io::stdout() itself: its buffer would decide what is one write.
fn standard_output() -> io::Result<PipeWriter> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}
