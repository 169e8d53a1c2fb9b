//! The guard of a program that somebody else wrote, a foreign server or a browser: a small process that starts it and
//! ends it when the harness wants that, or is gone. Such a program knows nothing of the harness; a killed harness could
//! not end it.

mod guarded;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::child;
use super::clock::Deadline;

pub(crate) use guarded::GuardedProgram;

/// How long the program may take from TERM until it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// How much of the end of a program's output is kept.
const OUTPUT_LEN: usize = 8 << 10;

/// What the guard tells the harness: [`Report::Started`] or [`Report::Failed`], then [`Report::Ended`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The program runs, in this process group.
    Started { group: i32 },
    /// The command cannot be run.
    Failed { why: String },
    /// The program and all of its process group are gone.
    Ended {
        /// Its exit code or signal.
        how: String,
        /// The end of what it wrote on standard output and standard error.
        output: String,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { group } => write!(f, "the server was started as process {group}"),
            Self::Failed { why } => write!(f, "the server cannot be started: {why}"),
            Self::Ended { how, .. } => write!(f, "the server ended by itself ({how})"),
        }
    }
}

/// Runs a guard of the program that is started by `command`.
pub(crate) fn run(command: &[OsString]) -> io::Result<()> {
    // What the program leaves behind becomes ours to wait for: only then is its group known to be gone.
    prctl::set_child_subreaper(true)?;
    let (mut child, output) = match start(command) {
        Ok(started) => started,
        Err(error) => {
            return say(&Report::Failed {
                why: error.to_string(),
            });
        }
    };
    let group = Pid::from_raw(child.id().cast_signed());
    say(&Report::Started {
        group: group.as_raw(),
    })?;
    let mut output = Output::new(output);
    let status = watch(&mut child, &mut output)?;
    let status = end(group, status, &mut child, &mut output)?;
    say(&Report::Ended {
        how: status.to_string(),
        output: output.text(),
    })
}

fn start(command: &[OsString]) -> io::Result<(Child, PipeReader)> {
    let Some((program, args)) = command.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command"));
    };
    let (reader, writer) = io::pipe()?;
    let child = Command::new(program)
        .args(args)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    Ok((child, reader))
}

/// Waits for the end of standard input, or of the program: then its exit status.
fn watch(child: &mut Child, output: &mut Output) -> io::Result<Option<ExitStatus>> {
    // The harness may live on for hours.
    let deadline = Deadline::after(Duration::MAX);
    let stdin = io::stdin();
    loop {
        let harness = PollFd::new(stdin.as_fd(), PollFlags::POLLIN);
        let [is_told, has_output] = child::wait_readable([Some(harness), output.pipe()], &deadline);
        if has_output {
            output.receive();
        }
        if is_told && stdin.lock().read(&mut [0; 64])? == 0 {
            return Ok(None);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
    }
}

/// Ends all that is left of the program's process group.
fn end(
    group: Pid,
    mut status: Option<ExitStatus>,
    child: &mut Child,
    output: &mut Output,
) -> io::Result<ExitStatus> {
    let deadline = Deadline::after(STOP_LIMIT);
    let _ = killpg(group, Signal::SIGTERM);
    while deadline.check().is_ok() {
        if status.is_none() {
            status = child.try_wait()?;
        }
        if let Some(status) = status
            && is_gone(group)
        {
            return Ok(status);
        }
        let brief = Deadline::after(Duration::from_millis(5));
        let [has_words] = child::wait_readable([output.pipe()], &brief);
        if has_words {
            output.receive();
        }
    }
    let _ = killpg(group, Signal::SIGKILL);
    match status {
        Some(status) => Ok(status),
        None => child.wait(),
    }
}

/// Whether no process of the group is left. Waits for those that have ended; the program itself has been waited
/// for before.
fn is_gone(group: Pid) -> bool {
    loop {
        match waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return false,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

/// The program's output, which nobody may want, but which must be taken or the program would wait.
struct Output {
    pipe: Option<PipeReader>,
    tail: Vec<u8>,
}

impl Output {
    const fn new(pipe: PipeReader) -> Self {
        Self {
            pipe: Some(pipe),
            tail: Vec::new(),
        }
    }

    fn pipe(&self) -> Option<PollFd<'_>> {
        let pipe = self.pipe.as_ref()?;
        Some(PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
    }

    /// Takes what is there and forgets all but its end.
    fn receive(&mut self) {
        let mut piece = [0; 64 << 10];
        let len = self
            .pipe
            .as_mut()
            .map_or(0, |pipe| pipe.read(&mut piece).unwrap_or(0));
        if len == 0 {
            self.pipe = None;
        }
        self.tail.extend_from_slice(&piece[..len]);
        let excess_len = self.tail.len().saturating_sub(OUTPUT_LEN);
        self.tail.drain(..excess_len);
    }

    fn text(&mut self) -> String {
        // What it wrote last of all may still be in the pipe.
        while child::wait_readable([self.pipe()], &Deadline::after(Duration::ZERO)) == [true] {
            self.receive();
        }
        String::from_utf8_lossy(&self.tail).trim().to_owned()
    }
}

fn say(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let line = serde_json::to_string(report)?;
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        // The harness is gone, which is what the guard is for.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
