//! Our own server: our executable again, with its READY and DONE lines.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::sys::signal::Signal;
use proto::announce::{Announcement, Done, Ready};
use stress_data::matrix::Cell;
use stress_data::measurement::Settings;

use super::{Ending, Error, READY_LIMIT, Rig};
use crate::host::child::{self, Lines, NoLine};
use crate::host::clock::{Deadline, WaitEnded};
use crate::host::environment;

/// How much longer than its own deadline for draining a stop may take.
const DRAIN_MARGIN: Duration = Duration::from_secs(10);
/// How long a server that was told to stop at once may take, and one that has said its last.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// Our server, running.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) child: Child,
    /// Its end tells the server that the harness is gone, or wants it to be.
    stdin: Option<ChildStdin>,
    pub(crate) lines: Lines,
    pub(crate) log: PathBuf,
    pub(crate) ready: Ready,
    address: SocketAddr,
}

impl Own {
    /// Starts our server with these arguments on `root`, to end with its standard input, and waits until it is ready. It
    /// must be told to take port 0. Root may run the harness, also where nothing confines the server: it serves this
    /// machine's own clients, from a folder made for them.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn launch(
        arguments: &[impl AsRef<OsStr>],
        root: &Path,
        log: &Path,
        interrupt: &AtomicBool,
    ) -> Result<Self, Error> {
        let not_ready = |error: io::Error| Error::NotReady(format!("cannot start: {error}"));
        let mut child = child::ourselves(child::SERVER)
            .args(["--allow-root", "--exit-with-stdin"])
            .args(arguments)
            .arg("--root")
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log).map_err(not_ready)?)
            .spawn()
            .map_err(not_ready)?;
        let stdin = child.stdin.take();
        let mut lines = Lines::new(child.stdout.take().expect("it was asked for"));
        let deadline = Deadline::after(READY_LIMIT).or_once(interrupt);
        match ready(&mut lines, &deadline) {
            Ok((ready, address)) => Ok(Self {
                child,
                stdin,
                lines,
                log: log.to_owned(),
                ready,
                address,
            }),
            Err(error) => {
                let _ = child::end(&mut child);
                Err(match error {
                    Error::NotReady(why) => {
                        Error::NotReady(format!("{why} {}", child::tail(log)).trim().to_owned())
                    }
                    Error::Interrupted => Error::Interrupted,
                })
            }
        }
    }

    fn done(&mut self, deadline: &Deadline<'_>) -> Result<Done, NoLine> {
        loop {
            // Anything else it might say is not for us.
            let line = self.lines.next(deadline)?;
            if let Ok(Announcement::Done(done)) = Announcement::from_line(&line) {
                return Ok(done);
            }
        }
    }

    fn lost(&self, why: &str) -> Ending {
        let log = child::tail(&self.log);
        Ending {
            done: None,
            lost: Some(format!("the server is lost: {why} {log}").trim().to_owned()),
        }
    }
}

impl Rig for Own {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn ready(&self) -> Option<&Ready> {
        Some(&self.ready)
    }

    fn processes(&self) -> Vec<u32> {
        let parent = self.child.id();
        [vec![parent], environment::children(parent)].concat()
    }

    fn stop(&mut self, interrupt: &AtomicBool) -> Ending {
        child::tell(&self.child, Signal::SIGTERM);
        let drain = Duration::from_millis(self.ready.settings.drain_timeout_ms);
        let deadline = Deadline::after(drain + DRAIN_MARGIN).or_once(interrupt);
        let done = self.done(&deadline);
        // Only now: before, it would have cut the drain short.
        self.stdin = None;
        let status = match &done {
            Ok(_) | Err(NoLine::Ended) => child::reap(&mut self.child, LEAVE_LIMIT),
            Err(NoLine::WaitEnded(_)) => child::end(&mut self.child),
        };
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        match done {
            Ok(done) => Ending {
                done: Some(done),
                lost: None,
            },
            Err(NoLine::Ended) => self.lost(&format!("it left no ledger ({how}).")),
            Err(NoLine::WaitEnded(WaitEnded::Late)) => {
                self.lost("it did not stop in time, and was killed.")
            }
            Err(NoLine::WaitEnded(WaitEnded::Interrupted)) => self.lost("interrupted."),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = child::end(&mut self.child);
    }
}

fn ready(lines: &mut Lines, deadline: &Deadline<'_>) -> Result<(Ready, SocketAddr), Error> {
    let strange = |line: &str| Error::NotReady(format!("it said '{line}' instead of READY"));
    let line = lines.next(deadline).map_err(|reason| match reason {
        NoLine::Ended => Error::NotReady("it ended before it was ready:".into()),
        NoLine::WaitEnded(wait_ended) => wait_ended.into(),
    })?;
    match Announcement::from_line(&line) {
        Ok(Announcement::Ready(ready)) => {
            let address = ready.address.parse().map_err(|_| strange(&line))?;
            Ok((ready, address))
        }
        _ => Err(strange(&line)),
    }
}

/// What our server is started with for `cell`, but its folder.
pub(crate) fn arguments(cell: &Cell, settings: &Settings) -> Vec<String> {
    let workers = cell.servers.to_string();
    let fixed = [
        ["--bind", "127.0.0.1:0"],
        ["--workers", &workers],
        ["--pool", cell.server_pool.as_str()],
        ["--durability", &settings.durability],
        ["--congestion", &settings.congestion],
        ["--log-level", "warn"],
        // Whatever a --config of --server-args says.
        ["--ready", "json"],
    ];
    let mut arguments = fixed
        .as_flattened()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    if let Some(bytes) = cell.server_buffer {
        arguments.extend(["--receive-buffer".into(), bytes.to_string()]);
    }
    if let Some(bytes) = cell.encoded_cache {
        arguments.extend(["--encoded-cache".into(), bytes.to_string()]);
    }
    if cell.volume > proto::limits::UPLOAD_LEN_MAX {
        arguments.extend(["--upload-max".into(), cell.volume.to_string()]);
    }
    arguments.extend(settings.server_args.iter().cloned());
    arguments
}
