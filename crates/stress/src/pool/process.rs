//! Clients as processes: our own executable again, its orders in an argument, its records out through a pipe.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use nix::poll::PollFd;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use serde::{Deserialize, Serialize};

use super::{ASSEMBLE_LIMIT, Barrier, Error, Reports, Scene, cpu_us, is_released, limit, missing};
use crate::child::{self, Lines, NoLine};
use crate::clock::{Exhausted, Patience};
use crate::corpus::Corpus;
use crate::operation::{Attempt, Job, Worker};

/// How long a client that has said all may take to end.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// A client process's orders.
#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    client: u32,
    /// The harness. A client that has another parent is too late: the harness is gone.
    parent: i32,
    job: Job,
}

/// One line of what a client process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    /// It stands at the barrier.
    Ready,
    /// One operation. All of them come at the end: the window is for the operations alone.
    Attempt(Attempt),
    /// The last line.
    End {
        /// CPU time from the barrier on.
        cpu_us: Option<u64>,
        peak_rss_bytes: Option<u64>,
    },
}

pub(super) fn run(job: &Job, clients: u32, scene: &mut Scene<'_>) -> Result<Reports, Error> {
    let barrier = Barrier::new().map_err(cannot_start)?;
    let mut crew = Crew::start(job, clients, &barrier, scene)?;
    crew.assemble(scene)?;
    let released_ns = barrier.release(clients).map_err(cannot_start)?;
    crew.listen(job, scene)?;
    Ok(crew.reports(job, released_ns))
}

/// The processes; killed if dropped before they have ended.
struct Crew(Vec<Member>);

struct Member {
    client: u32,
    child: Child,
    lines: Lines,
    attempts: Vec<Attempt>,
    /// Its last line, if that has come.
    end: Option<(Option<u64>, Option<u64>)>,
    /// Killed because it took longer than its operations can.
    is_overdue: bool,
}

impl Crew {
    fn start(job: &Job, clients: u32, barrier: &Barrier, scene: &Scene<'_>) -> Result<Self, Error> {
        let log = File::create(scene.log).map_err(cannot_start)?;
        // Dropped with those already started if one cannot be.
        let mut crew = Self(Vec::with_capacity(clients as usize));
        for client in 0..clients {
            let orders = Orders {
                client,
                parent: std::process::id().cast_signed(),
                job: job.clone(),
            };
            let orders = serde_json::to_string(&orders).map_err(io::Error::from);
            let mut child = child::ourselves(child::CLIENT)
                .arg(orders.map_err(cannot_start)?)
                .stdin(barrier.reader.try_clone().map_err(cannot_start)?)
                .stdout(Stdio::piped())
                .stderr(log.try_clone().map_err(cannot_start)?)
                .spawn()
                .map_err(cannot_start)?;
            let stdout = child.stdout.take().expect("it was asked for");
            crew.0.push(Member {
                client,
                child,
                lines: Lines::new(stdout),
                attempts: Vec::new(),
                end: None,
                is_overdue: false,
            });
        }
        Ok(crew)
    }

    /// Waits until all stand at the barrier.
    fn assemble(&mut self, scene: &Scene<'_>) -> Result<(), Error> {
        let patience = Patience::of(ASSEMBLE_LIMIT).or_until(scene.interrupt);
        for member in &mut self.0 {
            let why = match member.lines.next(&patience) {
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(Report::Ready) => continue,
                    _ => format!("it said '{line}'"),
                },
                Err(NoLine::Exhausted(Exhausted::Interrupted)) => return Err(Error::Interrupted),
                Err(NoLine::Exhausted(Exhausted::Late)) => "it does not come up".into(),
                Err(NoLine::Ended) => format!("it ended: {}", child::tail(scene.log)),
            };
            let message = format!("client process {}: {why}", member.client);
            return Err(Error::CannotStart(message));
        }
        Ok(())
    }

    /// Takes in what all say until the last has ended. Those that take too long are killed.
    fn listen(&mut self, job: &Job, scene: &Scene<'_>) -> Result<(), Error> {
        let patience = Patience::of(limit(job)).or_until(scene.interrupt);
        loop {
            let talking = self.0.iter().filter_map(|member| member.lines.pipe());
            let mut pipes: Vec<PollFd<'_>> = talking.collect();
            if pipes.is_empty() {
                return Ok(());
            }
            match patience.check() {
                Ok(()) => {}
                // Dropping the crew kills it.
                Err(Exhausted::Interrupted) => return Err(Error::Interrupted),
                Err(Exhausted::Late) => {
                    self.kill_the_overdue();
                    return Ok(());
                }
            }
            child::poll_readable(&mut pipes, &patience);
            let mut readable = pipes
                .iter()
                .map(child::is_readable)
                .collect::<Vec<_>>()
                .into_iter();
            for member in &mut self.0 {
                if member.lines.pipe().is_some() && readable.next() == Some(true) {
                    member.hear();
                }
            }
        }
    }

    fn kill_the_overdue(&mut self) {
        for member in &mut self.0 {
            if member.lines.pipe().is_some() {
                member.is_overdue = true;
                let _ = child::end(&mut member.child);
            }
        }
    }

    fn reports(mut self, job: &Job, released_ns: u64) -> Reports {
        let mut attempts = Vec::new();
        let mut cpu_us = Some(0);
        let mut peak_rss_bytes = None;
        for member in &mut self.0 {
            let (cpu, peak) = member.end.unwrap_or_default();
            cpu_us = cpu_us.zip(cpu).map(|(sum, cpu)| sum + cpu);
            peak_rss_bytes = peak_rss_bytes.max(peak);
            let detail = member.obituary();
            let missing = missing(member.client, &member.attempts, job, &detail);
            attempts.append(&mut member.attempts);
            attempts.extend(missing);
        }
        for attempt in &mut attempts {
            attempt.record.released_ns = released_ns;
        }
        Reports {
            attempts,
            cpu_us,
            peak_rss_bytes,
        }
    }
}

impl Member {
    /// Takes in what is there.
    fn hear(&mut self) {
        self.lines.receive();
        while let Some(line) = self.lines.take_line() {
            match serde_json::from_str(&line) {
                Ok(Report::Attempt(attempt)) => self.attempts.push(attempt),
                Ok(Report::End {
                    cpu_us,
                    peak_rss_bytes,
                }) => self.end = Some((cpu_us, peak_rss_bytes)),
                // A line that is none of ours reports nothing; what is missing then shows as such.
                Ok(Report::Ready) | Err(_) => {}
            }
        }
    }

    /// Waits for the end, and says what it was.
    fn obituary(&mut self) -> String {
        let how = match child::reap(&mut self.child, LEAVE_LIMIT) {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        match self.is_overdue {
            true => format!("the client process was killed: it took too long ({how})"),
            false => format!("the client process ended without a report ({how})"),
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // First all of them, then wait: each wait would else be as long as a death takes.
        for member in &self.0 {
            if member.lines.pipe().is_some() {
                child::tell(&member.child, Signal::SIGKILL);
            }
        }
        for member in &mut self.0 {
            let _ = child::end(&mut member.child);
        }
    }
}

fn cannot_start(error: io::Error) -> Error {
    Error::CannotStart(format!("client processes: {error}"))
}

/// A client process, from its orders to its last line. `args` are the role's name and the orders.
#[must_use]
pub fn client_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match obey(args.into_iter().nth(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn obey(orders: Option<OsString>) -> Result<(), String> {
    // The kernel ends this process with the thread that started it. Only from now on: hence the look at who
    // the parent is.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|errno| errno.to_string())?;
    let orders = orders.unwrap_or_default();
    let orders: Orders = serde_json::from_str(&orders.to_string_lossy())
        .map_err(|error| format!("this is for the harness itself: {error}"))?;
    if getppid().as_raw() != orders.parent {
        return Err("the harness is gone".into());
    }
    let worker = Worker::new(&orders.job, Corpus::new(orders.job.seed), orders.client)?;
    // Not io::stdin() itself: its buffer would take the bytes that are for the others.
    let barrier = io::stdin().as_fd().try_clone_to_owned();
    let mut barrier = PipeReader::from(barrier.map_err(|error| error.to_string())?);
    let mut out = io::stdout().lock();
    say(&mut out, &[Report::Ready])?;
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
        cpu_us,
        peak_rss_bytes: peak_rss_bytes(),
    });
    say(&mut out, &reports)
}

fn say(out: &mut impl Write, reports: &[Report]) -> Result<(), String> {
    let mut text = String::new();
    for report in reports {
        text += &serde_json::to_string(report).map_err(|error| error.to_string())?;
        text.push('\n');
    }
    // One write: the harness wakes up once.
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| error.to_string())
}

/// VmHWM. Not getrusage's maxrss: that one counts from before the exec, and is the harness's.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}
