//! Clients that are processes: this executable, run again.
//!
//! Each gets its job as an argument and says on its standard output when it is ready and what it has done, one
//! JSON line a message. The barrier is one pipe that is standard input to all: a byte for each releases them
//! together, and its end, should the harness die, ends them.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{Run, complete, thread};
use crate::clock::monotonic_ns;
use crate::operation::{Job, perform};
use crate::record::{Outcome, Record};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__client";

/// From the start of the processes to the last one's being ready.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// What a client may take beyond the timeouts of its operations.
const MARGIN: Duration = Duration::from_secs(10);

/// How often the harness looks whether the user asked to stop.
const LOOK: Duration = Duration::from_millis(50);

/// What a client process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    /// It waits at the barrier.
    Ready,
    /// One operation.
    Record(Record),
    /// It is done; the last message.
    Done { cpu_us: Option<u64>, peak_rss_bytes: Option<u64> },
}

/// What a client process is told.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    job: Job,
    client: u32,
    /// Whose child it is: if that is not so, the harness has died already.
    harness: i32,
}

/// Runs the clients to their end. Must be called on the main thread: they ask the kernel to be killed with the
/// thread that started them. `abort` ends the server when the user asks to stop, so that they end soon.
///
/// # Errors
/// If the processes cannot be started.
pub(crate) fn run(job: &Job, interrupt: &AtomicBool, abort: &mut dyn FnMut()) -> io::Result<Run> {
    let (barrier_reader, barrier) = io::pipe()?;
    let (sender, messages) = mpsc::channel();
    let mut children = Children(Vec::new());
    for client in 0..job.clients {
        let mut child = start(job, client, &barrier_reader)?;
        let output = child.stdout.take();
        children.0.push(child);
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines().map_while(Result::ok)) {
                if let Ok(message) = serde_json::from_str(&line) {
                    let _ = sender.send(message);
                }
            }
        });
    }
    drop((sender, barrier_reader));
    let mut pool = Pool { job, messages, interrupt, abort, interrupted: false };
    let ready = pool.wait_until_ready();
    let run = pool.release_and_collect(barrier, ready);
    // Whoever has not ended by now is late; killing the others does nothing.
    drop(children);
    Ok(run)
}

fn start(job: &Job, client: u32, barrier: &PipeReader) -> io::Result<Child> {
    let order = Order { job: job.clone(), client, harness: Pid::this().as_raw() };
    Command::new(std::env::current_exe()?)
        .arg(SUBCOMMAND)
        .arg(serde_json::to_string(&order)?)
        .stdin(Stdio::from(barrier.try_clone()?))
        .stdout(Stdio::piped())
        // A terminal's Ctrl-C is for the harness, which ends its clients in order.
        .process_group(0)
        .spawn()
}

/// Killed and reaped when dropped.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Pool<'a> {
    job: &'a Job,
    messages: Receiver<Message>,
    interrupt: &'a AtomicBool,
    abort: &'a mut dyn FnMut(),
    interrupted: bool,
}

impl Pool<'_> {
    /// How many clients wait at the barrier, at the latest when the time is up.
    fn wait_until_ready(&mut self) -> u32 {
        let deadline = Instant::now() + READY_TIMEOUT;
        let mut ready = 0;
        while ready < self.job.clients && !self.interrupted {
            match self.next(deadline) {
                Some(Message::Ready) => ready += 1,
                Some(_) => {}
                None => break,
            }
        }
        ready
    }

    fn release_and_collect(mut self, mut barrier: PipeWriter, ready: u32) -> Run {
        let mut notes = Vec::new();
        if ready < self.job.clients {
            notes.push(format!("{ready} of {} client processes became ready", self.job.clients));
        }
        let released_ns = monotonic_ns();
        if !self.interrupted {
            let release = vec![0; self.job.clients as usize];
            if let Err(error) = barrier.write_all(&release) {
                notes.push(format!("the clients could not be released: {error}"));
            }
        }
        let patience = self.job.timeout.saturating_mul(2 * self.job.requests) + MARGIN;
        let deadline = Instant::now() + patience;
        let (mut records, mut cpu, mut peak, mut done) = (Vec::new(), Some(0), None, 0);
        while done < self.job.clients {
            match self.next(deadline) {
                Some(Message::Record(record)) => records.push(record),
                Some(Message::Done { cpu_us, peak_rss_bytes }) => {
                    done += 1;
                    cpu = cpu.zip(cpu_us).map(|(sum, one)| sum + one);
                    peak = peak.max(peak_rss_bytes);
                }
                Some(Message::Ready) => {}
                None => break,
            }
        }
        if done < self.job.clients {
            notes.push(format!("{} client processes ended early", self.job.clients - done));
            cpu = None;
        }
        let records = complete(self.job, records, released_ns, Outcome::ClientCrashed);
        Run { records, cpu_us: cpu, peak_rss_bytes: peak, interrupted: self.interrupted, notes }
    }

    /// The next message; none when all clients have ended or the time is up.
    fn next(&mut self, deadline: Instant) -> Option<Message> {
        loop {
            match self.messages.recv_timeout(LOOK) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !self.interrupted && self.interrupt.load(Ordering::Relaxed) {
                self.interrupted = true;
                (self.abort)();
                return None;
            }
        }
    }
}

/// The client process: `stress __client ORDER`.
#[must_use]
pub fn client_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // The harness may be killed at any moment, and nothing of it may stay behind.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    let order = args.into_iter().nth(1).and_then(|text| serde_json::from_str::<Order>(text.to_str()?).ok());
    let Some(Order { job, client, harness }) = order else {
        eprintln!("{SUBCOMMAND} is what stress calls its own client processes; it is not for people");
        return ExitCode::from(2);
    };
    if Pid::parent().as_raw() != harness {
        return ExitCode::FAILURE;
    }
    match serve_order(&job, client) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve_order(job: &Job, client: u32) -> io::Result<()> {
    say(&Message::Ready)?;
    if io::stdin().read(&mut [0])? == 0 {
        // The harness has gone without releasing anybody.
        return Ok(());
    }
    let cpu_before_us = thread::cpu_us();
    for request in 0..job.requests {
        say(&Message::Record(perform(job, client, request)))?;
    }
    let cpu_us = thread::cpu_us().zip(cpu_before_us).map(|(after, before)| after.saturating_sub(before));
    say(&Message::Done { cpu_us, peak_rss_bytes: peak_rss_bytes() })
}

fn say(message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    io::stdout().lock().write_all(&line)
}

/// VmHWM of this process.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
