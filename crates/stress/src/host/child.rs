//! A process of ours: how it is started, what it says, and that it ends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::clock::{Deadline, WaitEnded};

/// The first argument of our executable as the server.
pub(crate) const SERVER: &str = "__server";
/// The first argument of our executable as the clients of a row, and as their parent.
pub(crate) const CLIENTS: &str = "__clients";
/// The first argument of our executable as the guard of a foreign server.
pub(crate) const GUARD: &str = "__guard";
/// The first argument of our executable as the reading side of a ceiling's loopback.
pub(crate) const SINK: &str = "__sink";

/// How much of a file of log lines is shown to a person.
const TAIL_LEN: u64 = 2048;
/// The most that a child may say in one line: the ledger of 1,000 workers is about a megabyte.
const LINE_LEN_MAX: usize = 64 << 20;

/// Our own executable again, as `role`, in a process group of its own: a terminal's Ctrl-C reaches only the
/// harness, which then ends what it started in good order.
pub(crate) fn ourselves(role: &str) -> Command {
    // The kernel's name for the running file: right even when the file was replaced meanwhile, as a build does.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("stress").arg(role).process_group(0);
    command
}

/// Lets the kernel end this process with `parent`. Only from now on: hence the look at who the parent is.
pub(crate) fn end_with(parent: i32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    match Pid::parent().as_raw() == parent {
        true => Ok(()),
        false => Err(io::Error::other("the harness is gone")),
    }
}

/// Why there is no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoLine {
    /// The child has closed its end, which it does by ending.
    Ended,
    /// It did not come in time, or the user asked to stop.
    WaitEnded(WaitEnded),
}

/// What a child says, line by line.
#[derive(Debug)]
pub(crate) struct Lines {
    pipe: ChildStdout,
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no line end.
    searched_len: usize,
    is_ended: bool,
}

impl Lines {
    pub(crate) const fn new(pipe: ChildStdout) -> Self {
        Self {
            pipe,
            buffer: Vec::new(),
            searched_len: 0,
            is_ended: false,
        }
    }

    /// The next line, without its end.
    pub(crate) fn next(&mut self, deadline: &Deadline<'_>) -> Result<String, NoLine> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(line);
            }
            if self.is_ended {
                return Err(NoLine::Ended);
            }
            deadline.check().map_err(NoLine::WaitEnded)?;
            if wait_readable([self.pipe()], deadline)[0] {
                self.receive();
            }
        }
    }

    /// The descriptor to wait for; none once the child has closed its end.
    pub(crate) fn pipe(&self) -> Option<PollFd<'_>> {
        (!self.is_ended).then(|| PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN))
    }

    /// Takes in what is there. Only after the descriptor was seen to be readable: it may block otherwise.
    pub(crate) fn receive(&mut self) {
        let mut piece = [0; 16 << 10];
        match self.pipe.read(&mut piece) {
            Ok(0) => self.is_ended = true,
            Ok(len) if self.buffer.len() + len > LINE_LEN_MAX => self.is_ended = true,
            Ok(len) => self.buffer.extend_from_slice(&piece[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.is_ended = true,
        }
    }

    /// A line that has arrived whole.
    pub(crate) fn take_line(&mut self) -> Option<String> {
        let unsearched = &self.buffer[self.searched_len..];
        match unsearched.iter().position(|byte| *byte == b'\n') {
            Some(offset) => {
                let len = self.searched_len + offset;
                let line = String::from_utf8_lossy(&self.buffer[..len]).into_owned();
                self.buffer.drain(..=len);
                self.searched_len = 0;
                Some(line)
            }
            None => {
                self.searched_len = self.buffer.len();
                None
            }
        }
    }
}

/// Waits, for one slice of `deadline` at most, and says which of `pipes` can be read.
pub(crate) fn wait_readable<'fd, const N: usize>(
    pipes: [Option<PollFd<'fd>>; N],
    deadline: &Deadline<'_>,
) -> [bool; N] {
    let mut open: Vec<PollFd<'fd>> = pipes.iter().flatten().cloned().collect();
    poll_readable(&mut open, deadline);
    let mut answers = open.iter().map(is_readable);
    pipes.map(|pipe| pipe.is_some() && answers.next().unwrap_or(false))
}

/// Waits for any of `fds`, for one slice of `deadline` at most.
pub(crate) fn poll_readable(fds: &mut [PollFd<'_>], deadline: &Deadline<'_>) {
    match poll(fds, deadline.poll_timeout()) {
        Ok(_) | Err(Errno::EINTR) => {}
        // Nothing can be waited for (no memory): going on at once would spin.
        Err(_) => thread::sleep(deadline.slice()),
    }
}

/// Whether a wait found something to read, an end included.
pub(crate) fn is_readable(fd: &PollFd<'_>) -> bool {
    fd.any().unwrap_or(true)
}

/// Sends `signal` to a child that has not been waited for: its process id cannot belong to another.
pub(crate) fn tell(child: &Child, signal: Signal) {
    let _ = kill(pid(child), signal);
}

/// Waits for the child's end, and kills it and its process group if that does not come in time.
pub(crate) fn reap(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let deadline = Deadline::after(limit);
    let mut pause = Duration::from_micros(100);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if deadline.check().is_err() {
            return end(child);
        }
        // A process that has closed its output is all but gone; there is nothing to wait on but this.
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Kills the child and its process group, and waits for it.
pub(crate) fn end(child: &mut Child) -> io::Result<ExitStatus> {
    if child.try_wait()?.is_none() {
        let _ = killpg(pid(child), Signal::SIGKILL);
        child.kill()?;
    }
    child.wait()
}

/// The end of a file of log lines, for a person; empty if there is nothing.
pub(crate) fn tail(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(TAIL_LEN);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(TAIL_LEN).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}
