//! A server of the user's choice: a command, run under a guard, ready when it accepts a connection.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use proto::announce::Ready;

use super::{Ending, Error, READY_LIMIT, Rig};
use crate::child::{self, Lines, NoLine};
use crate::clock::{Exhausted, Patience};
use crate::guard::{self, Report};

/// Between two attempts to connect.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);
/// How much longer than its own deadline the guard may take.
const GUARD_MARGIN: Duration = Duration::from_secs(5);

/// How long a port of its own may be taken after a server's end: TIME-WAIT is 60 s on Linux.
const PORT_LIMIT: Duration = Duration::from_secs(75);
/// What every language's message for EADDRINUSE has in it.
const PORT_IN_USE: &str = "ddress already in use";

/// What to start.
#[derive(Debug, Clone, Copy)]
pub struct Orders<'a> {
    /// The command line, with `{port}`, `{workers}` and `{root}` where it wants them.
    pub command: &'a str,
    /// For so many workers.
    pub workers: u32,
    /// The folder to serve.
    pub root: &'a Path,
    /// The folder to start it in, if not ours.
    pub cwd: Option<&'a Path>,
    /// The port that it always listens on.
    pub port: Option<u16>,
}

/// A foreign server, running.
#[derive(Debug)]
pub struct Foreign {
    guard: Child,
    /// Its end tells the guard to end the server.
    stdin: Option<ChildStdin>,
    lines: Lines,
    /// The guard's own errors.
    log: PathBuf,
    /// The server's process group.
    group: Option<Pid>,
    /// How the server ended, once it has.
    ended: Option<Report>,
    address: SocketAddr,
}

impl Foreign {
    /// Starts the server and waits until it accepts a connection. A server with a port of its own may find it taken
    /// by the closed connections of the one before it, for a minute: then it is started again until it can have it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn start(orders: &Orders<'_>, log: &Path, interrupt: &AtomicBool) -> Result<Self, Error> {
        let Some(port) = orders.port else {
            let port = free_port().map_err(not_ready)?;
            return Self::attempt(orders, port, log, interrupt);
        };
        if accepts(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            let why = format!("--server-port {port}: somebody else is listening there");
            return Err(Error::NotReady(why));
        }
        let patience = Patience::of(PORT_LIMIT).or_until(interrupt);
        loop {
            match Self::attempt(orders, port, log, interrupt) {
                Err(Error::NotReady(why))
                    if why.contains(PORT_IN_USE) && patience.check().is_ok() =>
                {
                    std::thread::sleep(patience.slice());
                }
                result => return result,
            }
        }
    }

    fn attempt(
        orders: &Orders<'_>,
        port: u16,
        log: &Path,
        interrupt: &AtomicBool,
    ) -> Result<Self, Error> {
        let words = fill_in(orders.command, port, orders.workers, orders.root);
        let mut command = child::ourselves(child::GUARD);
        if let Some(cwd) = orders.cwd {
            command.current_dir(cwd);
        }
        let mut guard = command
            .args(words.map_err(Error::NotReady)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log).map_err(not_ready)?)
            .spawn()
            .map_err(not_ready)?;
        let stdin = guard.stdin.take();
        let lines = Lines::new(guard.stdout.take().expect("it was asked for"));
        // From here on dropping it ends the server.
        let mut foreign = Self {
            guard,
            stdin,
            lines,
            log: log.to_owned(),
            group: None,
            ended: None,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        };
        foreign.wait_until_ready(&Patience::of(READY_LIMIT).or_until(interrupt))?;
        Ok(foreign)
    }

    fn wait_until_ready(&mut self, patience: &Patience<'_>) -> Result<(), Error> {
        match self.report(patience) {
            Ok(Report::Started { group }) => self.group = Some(Pid::from_raw(group)),
            Ok(other) => return Err(Error::NotReady(other.to_string())),
            Err(NoLine::Exhausted(exhausted)) => return Err(exhausted.into()),
            Err(NoLine::Ended) => {
                let message = format!("the guard ended: {}", child::tail(&self.log));
                return Err(Error::NotReady(message));
            }
        }
        loop {
            patience.check()?;
            if accepts(self.address) {
                return Ok(());
            }
            // Waiting for the server's early end is the pause until the next attempt.
            match self.report(&Patience::of(ATTEMPT_PAUSE)) {
                Err(NoLine::Exhausted(_)) => {}
                Err(NoLine::Ended) => return Err(Error::NotReady("the guard ended".into())),
                Ok(report) => return Err(Error::NotReady(report.to_string())),
            }
        }
    }

    fn report(&mut self, patience: &Patience<'_>) -> Result<Report, NoLine> {
        let line = self.lines.next(patience)?;
        let report = serde_json::from_str(&line).unwrap_or(Report::Failed { why: line });
        if !matches!(report, Report::Started { .. }) {
            self.ended = Some(report.clone());
        }
        Ok(report)
    }

    /// Whether the server has ended although nobody asked it to.
    fn early_end(&mut self) -> Option<String> {
        if self.ended.is_none() {
            let _ = self.report(&Patience::of(Duration::ZERO));
        }
        self.ended.as_ref().map(ToString::to_string)
    }

    /// Lets the guard end the server, which is what it is for.
    fn end(&mut self) {
        self.stdin = None;
        let limit = guard::STOP_LIMIT + GUARD_MARGIN;
        let _ = child::reap(&mut self.guard, limit);
        let was_seen_to_end =
            self.ended.is_some() || self.report(&Patience::of(GUARD_MARGIN)).is_ok();
        if let (Some(group), false) = (self.group, was_seen_to_end) {
            // The guard itself was killed: nobody else ends its charge now.
            let _ = killpg(group, Signal::SIGKILL);
        }
        self.group = None;
    }
}

impl Rig for Foreign {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn ready(&self) -> Option<&Ready> {
        None
    }

    fn cut(&mut self) {
        self.end();
    }

    fn stop(&mut self, _interrupt: &AtomicBool) -> Ending {
        let lost = self.early_end();
        self.end();
        Ending { done: None, lost }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.end();
    }
}

fn not_ready(error: io::Error) -> Error {
    Error::NotReady(format!("cannot start: {error}"))
}

/// A port that nobody has just now. Somebody may take it before the server does; the server then ends, and the
/// row says so.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn fill_in(command: &str, port: u16, workers: u32, root: &Path) -> Result<Vec<OsString>, String> {
    let root = root.to_str().ok_or("the root's path is not UTF-8")?;
    // Split first: what is filled in stays one word.
    let words = shlex::split(command).ok_or("--server-cmd: a quote is left open")?;
    let words = words.into_iter().map(|word| {
        word.replace("{port}", &port.to_string())
            .replace("{workers}", &workers.to_string())
            .replace("{root}", root)
            .into()
    });
    Ok(words.collect())
}

/// Whether somebody accepts connections there. While nobody listens, a connection to a port that the kernel
/// also gives to connecting sockets can by chance meet itself.
fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, READY_LIMIT)
        .is_ok_and(|stream| stream.local_addr().is_ok_and(|own| own != address))
}

impl From<Exhausted> for NoLine {
    fn from(exhausted: Exhausted) -> Self {
        Self::Exhausted(exhausted)
    }
}
