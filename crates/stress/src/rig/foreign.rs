//! A server of the user's choice: a command, run under a guard, ready when it accepts a connection.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proto::announce::Ready;

use super::{Ending, Error, READY_LIMIT, Rig};
use crate::child::NoLine;
use crate::clock::{Exhausted, Patience};
use crate::guard::{Guarded, Report};

/// Between two attempts to connect.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);
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
    guarded: Guarded,
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
        let words = words.map_err(Error::NotReady)?;
        let mut foreign = Self {
            guarded: Guarded::start(words, orders.cwd, log).map_err(not_ready)?,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        };
        foreign.wait_until_ready(&Patience::of(READY_LIMIT).or_until(interrupt))?;
        Ok(foreign)
    }

    fn wait_until_ready(&mut self, patience: &Patience<'_>) -> Result<(), Error> {
        match self.guarded.report(patience) {
            Ok(Report::Started { .. }) => {}
            Ok(other) => return Err(Error::NotReady(other.to_string())),
            Err(NoLine::Exhausted(exhausted)) => return Err(exhausted.into()),
            Err(NoLine::Ended) => {
                let message = format!("the guard ended: {}", self.guarded.last_words());
                return Err(Error::NotReady(message));
            }
        }
        loop {
            patience.check()?;
            if accepts(self.address) {
                return Ok(());
            }
            // Waiting for the server's early end is the pause until the next attempt.
            match self.guarded.report(&Patience::of(ATTEMPT_PAUSE)) {
                Err(NoLine::Exhausted(_)) => {}
                Err(NoLine::Ended) => return Err(Error::NotReady("the guard ended".into())),
                Ok(report) => return Err(Error::NotReady(report.to_string())),
            }
        }
    }

    /// Whether the server has ended although nobody asked it to.
    fn early_end(&mut self) -> Option<String> {
        if self.guarded.ended().is_none() {
            let _ = self.guarded.report(&Patience::of(Duration::ZERO));
        }
        self.guarded.ended().map(ToString::to_string)
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
        self.guarded.end();
    }

    fn stop(&mut self, _interrupt: &AtomicBool) -> Ending {
        let lost = self.early_end();
        self.guarded.end();
        Ending { done: None, lost }
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
