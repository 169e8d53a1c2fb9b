//! The process that the harness starts for the clients of a row: it forks those that have them, one with a thread for each
//! client or one for each client, before it has done anything else, and keeps how each has ended.
//!
//! They are forked rather than started one by one because a process counts every page of a file that it maps,
//! and the kernel maps sixteen at each touch: dynamic linking, the start of the runtime and the reading of the
//! orders touch megabytes of the executable and of libc that a client at work does not. VmHWM of the largest
//! client in the rows 100 MB × 50 × 50 on one machine: started one by one (four samples), 4.9 to 5.3 MiB in
//! download and 4.5 to 4.8 in upload; forked (six samples), 2.4 to 2.9 and 2.4 to 2.6. Of an uploading one's, 0.5
//! are its own, the rest is file pages.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::thread;

use anyhow::{Context, Error, Result, bail};
use cli_kit::output;
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;
use prefork_server::{memory, sys};
use serde::{Deserialize, Serialize};

use super::memory::{Layout, Memory};
use crate::clients::operation::{Job, Worker};
use crate::corpus::Corpus;
use crate::host::child::{self, end_with};
use crate::host::clock::thread_cpu_ns;

/// A process that could not do its work.
const FAILED: i32 = 1;
/// A client's buffers are on the heap; this is several times what it needs in a debug build.
const STACK_LEN: usize = 512 << 10;

/// What the clients of a row are to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// The harness. Who has another parent is too late: the harness is gone.
    parent: i32,
    job: Job,
}

impl Orders {
    /// What has `job` done.
    pub(super) fn command(job: &Job) -> io::Result<Command> {
        let parent = std::process::id().cast_signed();
        let job = job.clone();
        let mut command = child::ourselves(child::CLIENTS);
        command.arg(serde_json::to_string(&Self { parent, job })?);
        Ok(command)
    }
}

/// Runs the clients of a row, as the orders in `args` say. Must be called before any thread starts: it forks.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    let orders = args.first().cloned().unwrap_or_default();
    let Orders { parent, job } = serde_json::from_str(&orders.to_string_lossy())
        .context("this is for the harness itself")?;
    end_with(parent)?;
    let layout = Layout::of(&job);
    let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let member = Member {
        memory: Memory::map(&file, layout)?,
        corpus: Corpus::new(job.settings.seed),
        gate: io::stdin().as_fd().try_clone_to_owned()?.into(),
        job,
    };
    let mut running = HashMap::new();
    for number in 0..layout.members() {
        running.insert(member.fork(number).context("fork")?, number);
    }
    // Each client has its deadlines; and the harness kills all of them, and this process, when it has had enough.
    while !running.is_empty() {
        let (pid, status) = match wait() {
            Ok(WaitStatus::Exited(pid, code)) => (pid, code << 8),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, signal as i32),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno).context("wait"),
        };
        if let Some(number) = running.remove(&pid) {
            member.memory.set_end(number, status);
            if !member.memory.all_are_there() {
                // The others end with this process.
                bail!(
                    "number {number} ended before all were there ({})",
                    ExitStatus::from_raw(status)
                );
            }
        }
    }
    Ok(())
}

/// A process with clients, and what its parent has for all of them.
struct Member {
    job: Job,
    memory: Memory,
    corpus: Corpus,
    gate: UnixStream,
}

impl Member {
    /// Forks number `number`. Returns in the parent only.
    fn fork(&self, number: usize) -> nix::Result<Pid> {
        let parent = Pid::this().as_raw();
        sys::fork(|| match self.work(number, parent) {
            Ok(()) => 0,
            Err(error) => {
                output::say(format_args!("error: clients, number {number}: {error:#}"));
                FAILED
            }
        })
    }

    /// All that such a process does.
    fn work(&self, number: usize, parent: i32) -> Result<()> {
        end_with(parent)?;
        let clients: Range<u32> = match Layout::of(&self.job).members() {
            1 => 0..self.job.cell.clients,
            _ => number as u32..number as u32 + 1,
        };
        let worker = |client| Worker::new(&self.job, self.corpus.clone(), client);
        let workers: Result<Vec<Worker<'_>>, _> = clients.map(worker).collect();
        let mut workers = workers.map_err(Error::msg)?;
        let last = workers.pop();
        thread::scope(|scope| {
            for worker in workers {
                let thread = thread::Builder::new().stack_size(STACK_LEN);
                let spawned = thread.spawn_scoped(scope, move || self.perform(worker));
                if let Err(error) = spawned {
                    output::say(format_args!("error: no thread for a client: {error}"));
                    // The scope would wait for those that wait for the release.
                    sys::exit_now(FAILED);
                }
            }
            // Here, so that a process with one client needs no second thread.
            if let Some(worker) = last {
                self.perform(worker);
            }
        });
        if let Some(bytes) = memory::peak_rss_bytes(std::process::id()) {
            self.memory.set_peak_rss(number, bytes);
        }
        Ok(())
    }

    /// All that a client does.
    fn perform(&self, mut worker: Worker<'_>) {
        let (mut gate, client) = (&self.gate, worker.client());
        if self.memory.arrive(client) {
            let _ = gate.write_all(b"a");
        }
        // Its end is the release.
        let _ = gate.read_exact(&mut [0]);
        let cpu_before_ns = thread_cpu_ns();
        worker.run(|attempt| self.memory.keep(attempt));
        if self.memory.leave(client, thread_cpu_ns() - cpu_before_ns) {
            let _ = gate.write_all(b"d");
        }
    }
}
