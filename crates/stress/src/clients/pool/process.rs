//! Clients as processes: our own executable again, which forks them; their orders in an argument, their records
//! out through one pipe.

pub(crate) mod forker;
mod report;

use std::fs::File;
use std::io;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::{ASSEMBLE_LIMIT, Barrier, Context, Reports, complete, limit};
use crate::clients::operation::{Attempt, Job};
use crate::host::child::{self, Lines, NoLine};
use crate::host::clock::{Deadline, WaitEnded};
use crate::rig::Error;
use report::{Orders, Report};

/// How long the process that has seen all clients end may take to end itself.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

pub(super) fn run(job: &Job, context: &mut Context<'_>) -> Result<Reports, Error> {
    let barrier = Barrier::new().map_err(cannot_start)?;
    let mut processes = ClientProcesses::start(job, &barrier, context)?;
    processes.assemble(context)?;
    let released_ns = barrier.release(job.cell.clients).map_err(cannot_start)?;
    processes.listen(job, context)?;
    Ok(processes.reports(job, released_ns))
}

/// The client processes and their parent; killed if dropped before they have ended.
struct ClientProcesses {
    /// Their parent. They are in its process group.
    child: Child,
    lines: Lines,
    /// By the client's number.
    members: Vec<Member>,
    /// Killed because it took longer than its operations can.
    is_overdue: bool,
}

/// What is known of one client process.
#[derive(Default)]
struct Member {
    attempts: Vec<Attempt>,
    cpu_us: Option<u64>,
    peak_rss_bytes: Option<u64>,
    /// How it ended, if it has.
    end: Option<String>,
}

impl ClientProcesses {
    fn start(job: &Job, barrier: &Barrier, context: &Context<'_>) -> Result<Self, Error> {
        let log = File::create(context.log).map_err(cannot_start)?;
        let orders = Orders {
            parent: std::process::id().cast_signed(),
            job: job.clone(),
        };
        let orders = serde_json::to_string(&orders).map_err(io::Error::from);
        let mut child = child::ourselves(child::CLIENTS)
            .arg(orders.map_err(cannot_start)?)
            .stdin(barrier.reader.try_clone().map_err(cannot_start)?)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(cannot_start)?;
        let lines = Lines::new(child.stdout.take().expect("it was asked for"));
        Ok(Self {
            child,
            lines,
            members: (0..job.cell.clients).map(|_| Member::default()).collect(),
            is_overdue: false,
        })
    }

    /// Waits until all stand at the barrier.
    fn assemble(&mut self, context: &Context<'_>) -> Result<(), Error> {
        let deadline = Deadline::after(ASSEMBLE_LIMIT).or_once(context.interrupt);
        let mut ready_len = 0;
        while ready_len < self.members.len() {
            let why = match self.lines.next(&deadline) {
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(Report::Ready { .. }) => {
                        ready_len += 1;
                        continue;
                    }
                    Ok(Report::Gone { client, how }) => {
                        format!(
                            "number {client} ended ({how}): {}",
                            child::tail(context.log)
                        )
                    }
                    _ => format!("one said '{line}'"),
                },
                Err(NoLine::WaitEnded(WaitEnded::Interrupted)) => return Err(Error::Interrupted),
                Err(NoLine::WaitEnded(WaitEnded::Late)) => "they do not come up".into(),
                Err(NoLine::Ended) => format!("they ended: {}", child::tail(context.log)),
            };
            return Err(Error::NotReady(format!("client processes: {why}")));
        }
        Ok(())
    }

    /// Takes in what all say until the last has ended. If that takes too long, they are killed.
    fn listen(&mut self, job: &Job, context: &Context<'_>) -> Result<(), Error> {
        let deadline = Deadline::after(limit(job)).or_once(context.interrupt);
        loop {
            match self.lines.next(&deadline) {
                Ok(line) => self.hear(&line),
                Err(NoLine::Ended) => return Ok(()),
                // Dropping them kills them.
                Err(NoLine::WaitEnded(WaitEnded::Interrupted)) => return Err(Error::Interrupted),
                Err(NoLine::WaitEnded(WaitEnded::Late)) => {
                    self.is_overdue = true;
                    let _ = child::end(&mut self.child);
                    return Ok(());
                }
            }
        }
    }

    /// Takes down what one line says. A line that is none of ours reports nothing; what is missing then shows
    /// as such.
    fn hear(&mut self, line: &str) {
        let Ok(report) = serde_json::from_str(line) else {
            return;
        };
        let client = match &report {
            Report::Attempt(attempt) => attempt.record.client,
            Report::Ready { client } | Report::End { client, .. } | Report::Gone { client, .. } => {
                *client
            }
        };
        let Some(member) = self.members.get_mut(client as usize) else {
            return;
        };
        match report {
            Report::Ready { .. } => {}
            Report::Attempt(attempt) => member.attempts.push(attempt),
            Report::End {
                cpu_us,
                peak_rss_bytes,
                ..
            } => (member.cpu_us, member.peak_rss_bytes) = (cpu_us, peak_rss_bytes),
            Report::Gone { how, .. } => member.end = Some(how),
        }
    }

    fn reports(mut self, job: &Job, released_ns: u64) -> Reports {
        let parent_end = match child::reap(&mut self.child, LEAVE_LIMIT) {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let (mut cpu_us, mut peak_rss_bytes) = (Some(0), None);
        let mut by_client = Vec::new();
        for member in std::mem::take(&mut self.members) {
            cpu_us = cpu_us.zip(member.cpu_us).map(|(sum, cpu)| sum + cpu);
            peak_rss_bytes = peak_rss_bytes.max(member.peak_rss_bytes);
            let why_not = match (&member.end, self.is_overdue) {
                (Some(how), _) => format!("the client process ended without a report ({how})"),
                (None, true) => {
                    format!("the client process was killed: it took too long ({parent_end})")
                }
                (None, false) => format!("the client process went with its parent ({parent_end})"),
            };
            by_client.push((member.attempts, why_not));
        }
        Reports {
            attempts: complete(by_client, job, released_ns),
            cpu_us,
            peak_rss_bytes,
        }
    }
}

impl Drop for ClientProcesses {
    fn drop(&mut self) {
        let _ = child::end(&mut self.child);
    }
}

fn cannot_start(error: io::Error) -> Error {
    Error::NotReady(format!("client processes: {error}"))
}
