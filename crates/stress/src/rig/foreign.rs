//! A server of the user's choice: a command, run under a guard, ready when it answers.

mod trouble;

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proto::Terminator;
use proto::announce::Ready;
use stress_data::measurement::ServerCommand;

use super::{Ending, Error, READY_LIMIT, Rig, probe, processes};
use crate::host::child::NoLine;
use crate::host::clock::{Deadline, WaitEnded};
use crate::host::guard::{GuardedProgram, Report};

pub(crate) use trouble::Trouble;

/// Between two attempts to connect.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);
/// How long a port of its own may be taken after a server's end: TIME-WAIT is 60 s on Linux.
const PORT_LIMIT: Duration = Duration::from_secs(75);
/// Between two looks at where it listens: who listens, and found three times on other ports only, is not waited for.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
const LOOKS_MAX: u32 = 3;
/// What every language's message for EADDRINUSE has in it.
const PORT_IN_USE: &str = "ddress already in use";
/// Where a server listens that nobody says otherwise of.
const HOST: &str = "127.0.0.1";
/// How long a server may work on after it is ready. One that never rests is measured as it is.
const QUIET_LIMIT: Duration = Duration::from_secs(5);

/// A foreign server, running.
#[derive(Debug)]
pub(crate) struct Foreign {
    guarded: GuardedProgram,
    address: SocketAddr,
}

impl Foreign {
    /// Starts the server and waits until it accepts a connection. A server with a port of its own may find it taken
    /// by the closed connections of the one before it, for a minute: then it is started again until it can have it.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn start(
        command: &ServerCommand,
        workers: u32,
        root: &Path,
        log: &Path,
        interrupt: &AtomicBool,
    ) -> Result<Self, Trouble> {
        let host = command.host.as_deref().unwrap_or(HOST);
        let attempt = |address: SocketAddr| {
            let words = fill_in(&command.command, address.port(), workers, root);
            let started = GuardedProgram::start(words?, command.cwd.as_deref(), log);
            let guarded = started.map_err(|error| Trouble::of(format!("cannot start: {error}")))?;
            let mut foreign = Self { guarded, address };
            match foreign.wait_until_accepting(&Deadline::after(READY_LIMIT).or_once(interrupt)) {
                Ok(()) => Ok(foreign),
                Err(error) => Err(foreign.trouble(error)),
            }
        };
        let Some(port) = command.port else {
            return attempt(free_address(host)?);
        };
        let address = resolve(host, port)?;
        if probe::connect(address, READY_LIMIT).is_ok() {
            let why = format!("--server-port {port}: another program is listening there");
            return Err(Trouble::of(why));
        }
        let deadline = Deadline::after(PORT_LIMIT).or_once(interrupt);
        loop {
            match attempt(address) {
                Err(trouble)
                    if trouble.output.contains(PORT_IN_USE) && deadline.check().is_ok() =>
                {
                    std::thread::sleep(deadline.slice());
                }
                result => return result,
            }
        }
    }

    fn wait_until_accepting(&mut self, deadline: &Deadline<'_>) -> Result<(), Error> {
        match self.guarded.report(deadline) {
            Ok(Report::Started { .. }) => {}
            Ok(other) => return Err(Error::NotReady(other.to_string())),
            Err(NoLine::WaitEnded(wait_ended)) => return Err(wait_ended.into()),
            Err(NoLine::Ended) => {
                let message = format!("the guard ended: {}", self.guarded.last_words());
                return Err(Error::NotReady(message));
            }
        }
        let until = |limit| deadline.at_most(limit);
        let (mut next_look, mut looks) = (until(LOOK_PAUSE), 0);
        loop {
            let is_late = deadline.check() == Err(WaitEnded::Late);
            if is_late || looks == LOOKS_MAX {
                let why = "it accepts no connections where it should";
                return Err(Error::NotReady(why.into()));
            }
            if probe::connect(self.address, READY_LIMIT).is_ok() {
                return Ok(());
            }
            if next_look.check().is_err() {
                next_look = until(LOOK_PAUSE);
                looks = if self.is_elsewhere() { looks + 1 } else { 0 };
            }
            self.watch(&deadline.at_most(ATTEMPT_PAUSE))?;
        }
    }

    /// Whether its processes listen, and none of them on its port.
    fn is_elsewhere(&self) -> bool {
        let found = processes::listening(self.guarded.pid());
        let port = self.address.port();
        !found.is_empty() && found.iter().all(|address| address.port() != port)
    }

    /// Waits until as many LISTs as it has workers are answered at once, and then until it has nothing more to do:
    /// a pool whose workers are still being started would be measured with the rest of its start.
    ///
    /// # Errors
    /// Why it is not ready.
    pub(crate) fn settle(
        &mut self,
        terminator: Terminator,
        workers: u32,
        settle: Duration,
        interrupt: &AtomicBool,
    ) -> Result<(), Trouble> {
        let ready = Deadline::after(READY_LIMIT).or_once(interrupt);
        probe::wait_until_all_answer(self.address, terminator, workers, &ready)
            .and_then(|()| self.wait_until_quiet(settle, interrupt))
            .map_err(|error| self.trouble(error))
    }

    /// Waits until it has used no more than a tenth of a processor for as long as `settle`.
    fn wait_until_quiet(&mut self, settle: Duration, interrupt: &AtomicBool) -> Result<(), Error> {
        let deadline = Deadline::after(QUIET_LIMIT.max(settle * 2)).or_once(interrupt);
        let guard = self.guarded.pid();
        // 100 ticks a second, on every Linux: a tenth of a processor is one tick in 100 ms.
        let ticks_max = u64::try_from(settle.as_millis() / 100).unwrap_or(u64::MAX);
        let mut before = processes::cpu_ticks(guard);
        loop {
            self.watch(&Deadline::after(settle).or_once(interrupt))?;
            let now = processes::cpu_ticks(guard);
            if now.saturating_sub(before) <= ticks_max.max(1) {
                return Ok(());
            }
            before = now;
            if deadline.check() == Err(WaitEnded::Late) {
                return Ok(());
            }
        }
    }

    /// Pauses; the server's early end ends the pause.
    fn watch(&mut self, pause: &Deadline<'_>) -> Result<(), Error> {
        match self.guarded.report(pause) {
            Err(NoLine::WaitEnded(WaitEnded::Late)) => Ok(()),
            Err(NoLine::WaitEnded(WaitEnded::Interrupted)) => Err(Error::Interrupted),
            Err(NoLine::Ended) => Err(Error::NotReady("the guard ended".into())),
            Ok(report) => Err(Error::NotReady(report.to_string())),
        }
    }

    /// All there is to say about `error`: where it listens, and what it wrote. Ends the server.
    pub(crate) fn trouble(&mut self, error: Error) -> Trouble {
        let what = match error {
            Error::NotReady(what) => what,
            Error::Interrupted => return Trouble::default(),
        };
        // It may have ended while it was asked, which says more than what the requester saw.
        let end = self.early_end();
        let listening = match end {
            Some(_) => None,
            None => Some(processes::listening(self.guarded.pid())),
        };
        let what = end.unwrap_or(what);
        self.guarded.end();
        Trouble {
            what: Some(what),
            sought: Some((self.address, listening)),
            output: self.guarded.output(),
        }
    }

    /// How the server has ended, if it has although nobody asked it to.
    fn early_end(&mut self) -> Option<String> {
        if self.guarded.ended().is_none() {
            let _ = self.guarded.report(&Deadline::after(Duration::ZERO));
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

    fn processes(&self) -> Vec<u32> {
        processes::pids(self.guarded.pid())
    }

    fn stop(&mut self, _interrupt: &AtomicBool) -> Ending {
        let lost = self.early_end();
        let lost = lost.map(|how| how + &trouble::wrote(&self.guarded.output()));
        self.guarded.end();
        Ending { done: None, lost }
    }
}

/// Where it is to listen.
fn resolve(host: &str, port: u16) -> Result<SocketAddr, Trouble> {
    let first = (host, port).to_socket_addrs().and_then(|mut addresses| {
        let none = || io::Error::other("the name has no address");
        addresses.next().ok_or_else(none)
    });
    first.map_err(|error| Trouble::of(format!("--server-host {host}: {error}")))
}

/// A port that nobody has just now. Somebody may take it before the server does; the server then ends, and the
/// row says so.
fn free_address(host: &str) -> Result<SocketAddr, Trouble> {
    let any = resolve(host, 0)?;
    let bound = TcpListener::bind(any).and_then(|listener| listener.local_addr());
    let why = |error| format!("--server-host {host}: there is no free port: {error}");
    bound.map_err(|error| Trouble::of(why(error)))
}

fn fill_in(command: &str, port: u16, workers: u32, root: &Path) -> Result<Vec<OsString>, Trouble> {
    let trouble = |why: &str| Trouble::of(why.to_owned());
    let root = root
        .to_str()
        .ok_or_else(|| trouble("the root's path is not UTF-8"))?;
    // Split first: what is filled in stays one word.
    let words = shlex::split(command);
    let words = words.ok_or_else(|| trouble("a quote in its command is left open"))?;
    let words = words.into_iter().map(|word| {
        word.replace("{port}", &port.to_string())
            .replace("{workers}", &workers.to_string())
            .replace("{root}", root)
            .into()
    });
    Ok(words.collect())
}

impl From<WaitEnded> for NoLine {
    fn from(wait_ended: WaitEnded) -> Self {
        Self::WaitEnded(wait_ended)
    }
}
