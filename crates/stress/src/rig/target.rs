//! A server that runs already, here or on another machine: nobody starts or stops it, and its folder is reached
//! only through it. Where it is ours and its admin socket can be asked, its ledger is what it grew by meanwhile.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use prefork_server::status;
use proto::Terminator;
use proto::announce::{Counts, Done, Ready, WorkerLedger};
use proto::status::Status;
use serde_json::Value;

use super::{Ending, Error, READY_LIMIT, Rig, probe};
use crate::host::clock::{Deadline, WaitEnded};

/// How long the server may take to notice that the last client has gone.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// A running server.
#[derive(Debug)]
pub(crate) struct Target {
    address: SocketAddr,
    admin: Option<PathBuf>,
    before: Option<Status>,
    /// What it did during the window.
    done: Option<Done>,
    /// Why its ledger is not known although it should be.
    trouble: Option<String>,
}

impl Target {
    /// The server at `address`, `HOST:PORT`, if it accepts connections, and its admin socket.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn find(address: &str, admin: Option<&Path>) -> Result<Self, Error> {
        let not_ready = |why: String| Error::NotReady(format!("--target {address}: {why}"));
        if let Some(admin) = admin {
            status::fetch(admin)
                .map_err(|error| Error::NotReady(format!("--target-admin: {error:#}")))?;
        }
        let found = address
            .to_socket_addrs()
            .map_err(|error| not_ready(error.to_string()))?;
        let mut why = "the name has no address".to_owned();
        for address in found {
            match TcpStream::connect_timeout(&address, READY_LIMIT) {
                Ok(_) => {
                    return Ok(Self {
                        address,
                        admin: admin.map(Path::to_owned),
                        before: None,
                        done: None,
                        trouble: None,
                    });
                }
                Err(error) => why = error.to_string(),
            }
        }
        Err(not_ready(why))
    }

    /// Waits until as many LISTs as it has workers are answered at once, and then for `settle`.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn settle(
        &self,
        terminator: Terminator,
        workers: u32,
        settle: Duration,
        interrupt: &AtomicBool,
    ) -> Result<(), Error> {
        let ready = Deadline::after(READY_LIMIT).or_once(interrupt);
        probe::wait_until_all_answer(self.address, terminator, workers, &ready)?;
        let rest = Deadline::after(settle).or_once(interrupt);
        loop {
            match rest.check() {
                Ok(()) => thread::sleep(rest.slice()),
                Err(WaitEnded::Late) => return Ok(()),
                Err(WaitEnded::Interrupted) => return Err(Error::Interrupted),
            }
        }
    }
}

impl Target {
    /// What [`settled`] says, if it can be asked.
    fn settled(&mut self) -> Option<Status> {
        let asked = settled(self.admin.as_deref()?);
        asked.map_err(|why| self.trouble = Some(why)).ok()
    }
}

impl Rig for Target {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn ready(&self) -> Option<&Ready> {
        None
    }

    fn before_window(&mut self) {
        self.before = self.settled();
    }

    fn after_window(&mut self) {
        let status = self.settled();
        let both = self.before.as_ref().zip(status.as_ref());
        self.done = both.map(|(before, status)| since(before, status));
    }

    fn stop(&mut self, _interrupt: &AtomicBool) -> Ending {
        let gone = TcpStream::connect_timeout(&self.address, READY_LIMIT)
            .err()
            .map(|error| format!("the target is gone: {error}"));
        Ending {
            done: self.done.take(),
            lost: gone.or_else(|| self.trouble.take()),
        }
    }
}

/// The status once nothing is in hand or in the queue, and twice the same: whoever has just been accepted may not be
/// counted yet. After the limit as it is.
fn settled(admin: &Path) -> Result<Status, String> {
    let deadline = Deadline::after(SETTLE_LIMIT);
    let mut accepted_before = None;
    loop {
        let status = status::fetch(admin).map_err(|error| format!("--target-admin: {error:#}"))?;
        let connections = &status.sum.counts.connections;
        let is_quiet = connections.in_flight == 0 && status.listener.backlog.unwrap_or(0) == 0;
        let accepted = is_quiet.then_some(connections.accepted);
        if (is_quiet && accepted == accepted_before) || deadline.check().is_err() {
            return Ok(status);
        }
        accepted_before = accepted;
        thread::sleep(PAUSE);
    }
}

/// What the ledger grew by, as a ledger.
fn since(before: &Status, after: &Status) -> Done {
    let of_slot = |slot: u32| {
        let mut workers = before.workers.iter();
        workers.find(|worker| worker.ledger.slot == slot)
    };
    let workers = after.workers.iter().map(|worker| {
        let now = &worker.ledger;
        let Some(then) = of_slot(now.slot).map(|worker| &worker.ledger) else {
            return now.clone();
        };
        WorkerLedger {
            crashes: now.crashes.saturating_sub(then.crashes),
            counts: difference(&then.counts, &now.counts),
            cpu_user_us: less(now.cpu_user_us, then.cpu_user_us),
            cpu_system_us: less(now.cpu_system_us, then.cpu_system_us),
            ..now.clone()
        }
    });
    let (then, now) = (&before.sum, &after.sum);
    Done {
        reason: "running".into(),
        stop_ms: 0,
        workers: workers.collect(),
        sum: difference(&then.counts, &now.counts),
        cpu_user_us: now.cpu_user_us.saturating_sub(then.cpu_user_us),
        cpu_system_us: now.cpu_system_us.saturating_sub(then.cpu_system_us),
        peak_rss_bytes: now.peak_rss_bytes,
        crashes: now.crashes.saturating_sub(then.crashes),
        balanced: now.connections_balanced && now.requests_balanced,
    }
}

fn less(now: Option<u64>, then: Option<u64>) -> Option<u64> {
    Some(now?.saturating_sub(then?))
}

/// Number by number, whatever numbers there are.
fn difference(then: &Counts, now: &Counts) -> Counts {
    fn subtract(now: &mut Value, then: &Value) {
        match now {
            Value::Object(fields) => {
                for (name, field) in fields {
                    subtract(field, &then[name]);
                }
            }
            Value::Number(_) => {
                let number = |value: &Value| value.as_u64().unwrap_or(0);
                *now = number(now).saturating_sub(number(then)).into();
            }
            _ => {}
        }
    }
    let value = |counts| serde_json::to_value(counts).unwrap_or_default();
    let mut grown = value(now);
    subtract(&mut grown, &value(then));
    serde_json::from_value(grown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_taken_of_every_number() {
        let mut then = Counts::default();
        then.connections.accepted = 5;
        then.requests.ok.get = 3;
        then.requests.errors.busy = 1;
        let mut now = then.clone();
        now.connections.accepted = 9;
        now.requests.ok_bytes.get = 100;
        now.requests.errors.busy = 3;
        let mut want = Counts::default();
        want.connections.accepted = 4;
        want.requests.ok_bytes.get = 100;
        want.requests.errors.busy = 2;
        assert_eq!(difference(&then, &now), want);
    }
}
