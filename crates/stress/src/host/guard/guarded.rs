//! The harness's side of a guard: a program that somebody else wrote, which ends when this value is dropped and when
//! the harness is gone.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Report, STOP_LIMIT};
use crate::host::child::{self, Lines, NoLine};
use crate::host::clock::Deadline;

/// How much longer than its own deadline the guard may take.
const GUARD_MARGIN: Duration = Duration::from_secs(5);

/// A program under a guard.
#[derive(Debug)]
pub(crate) struct GuardedProgram {
    guard: Child,
    /// Its end tells the guard to end the program.
    stdin: Option<ChildStdin>,
    lines: Lines,
    /// The guard's own errors.
    log: PathBuf,
    /// The program's process group.
    group: Option<Pid>,
    /// How the program ended, once it has.
    ended: Option<Report>,
}

impl GuardedProgram {
    /// Starts a guard that starts the command `words`, in the folder `cwd` if not in ours.
    pub(crate) fn start(
        words: impl IntoIterator<Item = OsString>,
        cwd: Option<&Path>,
        log: &Path,
    ) -> io::Result<Self> {
        let mut command = child::ourselves(child::GUARD);
        if let Some(cwd) = cwd {
            command.current_dir(cwd);
        }
        let mut guard = command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()?;
        Ok(Self {
            stdin: guard.stdin.take(),
            lines: Lines::new(guard.stdout.take().expect("it was asked for")),
            guard,
            log: log.to_owned(),
            group: None,
            ended: None,
        })
    }

    /// The guard's process, which all of the program's are below.
    pub(crate) fn pid(&self) -> u32 {
        self.guard.id()
    }

    /// What the guard says next.
    pub(crate) fn report(&mut self, deadline: &Deadline<'_>) -> Result<Report, NoLine> {
        let line = self.lines.next(deadline)?;
        let report = serde_json::from_str(&line).unwrap_or(Report::Failed { why: line });
        match report {
            Report::Started { group } => self.group = Some(Pid::from_raw(group)),
            _ => self.ended = Some(report.clone()),
        }
        Ok(report)
    }

    /// How the program ended, if it was seen to.
    pub(crate) const fn ended(&self) -> Option<&Report> {
        self.ended.as_ref()
    }

    /// The end of what the program wrote, once it has ended.
    pub(crate) fn output(&self) -> String {
        match &self.ended {
            Some(Report::Ended { output, .. }) => output.clone(),
            _ => String::new(),
        }
    }

    /// The guard's own last words: why it says nothing more.
    pub(crate) fn last_words(&self) -> String {
        child::tail(&self.log)
    }

    /// Lets the guard end the program, which is what it is for.
    pub(crate) fn end(&mut self) {
        self.stdin = None;
        let _ = child::reap(&mut self.guard, STOP_LIMIT + GUARD_MARGIN);
        let was_seen_to_end =
            self.ended.is_some() || self.report(&Deadline::after(GUARD_MARGIN)).is_ok();
        if let (Some(group), false) = (self.group, was_seen_to_end) {
            // The guard itself was killed: nobody else ends its charge now.
            let _ = killpg(group, Signal::SIGKILL);
        }
        self.group = None;
    }
}

impl Drop for GuardedProgram {
    fn drop(&mut self) {
        self.end();
    }
}
