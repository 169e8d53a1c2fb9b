//! What a worker works with, and what each does alike: taking a connection off the queue and giving it a turn.
//!
//! They differ in how they wait. A [`blocking`] worker serves one transfer to its end before the next; an [`event`]
//! worker serves many at once.

pub(crate) mod blocking;
pub(crate) mod event;

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use proto::Code;
use proto::announce::Limit;

use crate::config::Clocks;
use crate::connection::access_log::AccessLogger;
use crate::connection::drive::{Connection, Interest, Pause};
use crate::connection::failures;
use crate::connection::session::{BufferPool, Service, Session};
use crate::operator::logs::Logs;
use crate::shared::address_cap::{AddressCap, Admission};
use crate::shared::encoded_cache::CacheReader;
use crate::shared::gate::Gate;
use crate::shared::listener::{Congestion, Listener, Share};
use crate::shared::report::{LOOK_MAX, Reporter};
use crate::shared::scoreboard::{Command, Field, Slot};
use crate::sys;

/// A draining worker that finds the queue empty looks once more after this: a handshake may just be ending.
const DRAIN_GRACE: Duration = Duration::from_millis(5);

/// How long to wait when the process or the machine is out of something.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Of so many accepts that failed in a row one is mentioned in the log: one in ten seconds.
const EXHAUSTED_MENTION: u64 = 100;

/// How often a worker that may not accept yet looks whether it may: the signal that tells it may fall between a look
/// and the wait after it, and reaches one thread only.
const GATE_LOOK: Duration = Duration::from_millis(20);

/// Everything a worker works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Worker<'a> {
    /// Which worker, from 0.
    pub index: u32,
    /// Its counters and the parent's word to it.
    pub slot: Slot,
    /// Where connections come from.
    pub listener: &'a Listener,
    /// Whether it may accept.
    pub gate: Gate,
    /// What sessions need.
    pub service: &'a Service,
    pub clocks: Clocks,
    /// How replies are sent.
    pub congestion: &'a Congestion,
    /// Its process's line to the parent.
    pub reporter: &'a Reporter<'a>,
    /// How many connections an address may have, if there is a limit.
    pub address_cap: Option<AddressCap>,
    /// Where requests are written down.
    pub logs: &'a Logs,
    /// Where files are encoded already, if anywhere.
    pub cache: Option<CacheReader<'a>>,
}

/// Why a worker left its accept loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The parent asked, or is gone.
    Asked,
    /// The listener failed.
    Failed(Errno),
}

/// What came of trying to accept.
#[derive(Debug)]
enum Accepted<'a> {
    /// A connection, which is booked as accepted.
    Connection(Box<Connection<'a>>),
    /// Nobody: the listener's tick, or an empty queue.
    Nobody,
    /// Nobody, but there is no reason to wait: a signal came, or a client was gone before it was accepted.
    Again,
    /// Nobody, for want of something that may be there later; wait [`EXHAUSTED_PAUSE`].
    Exhausted,
    /// The listener cannot be used.
    Failed(Errno),
}

impl<'a> Worker<'a> {
    /// Its share in the listener, to be dropped once it is to accept nobody any more.
    fn share(&self) -> Share<'a> {
        self.listener.share()
    }

    /// Writes to the files that the parent has opened anew, and says what is still to be said of failed requests.
    fn see_to_logs(&self) {
        self.logs.refresh();
        failures::tell_of_unmentioned();
    }

    /// Waits until it may accept, or has to leave.
    fn wait_at_the_gate(&self) {
        while !self.gate.is_open() && self.slot.command() == Command::Run {
            self.reporter.count_round(self.slot);
            self.see_to_logs();
            pause(GATE_LOOK);
        }
    }

    /// Takes a connection off the queue. Waits for one if the listener is a blocking one.
    fn accept(&self) -> Accepted<'a> {
        match sys::accept(self.listener.socket()) {
            Ok((socket, peer)) => Accepted::Connection(self.open(socket.into(), peer)),
            Err(Errno::EAGAIN) => Accepted::Nobody,
            // A signal; or a client that is gone, which the next accept does not meet again.
            Err(Errno::EINTR | Errno::ECONNABORTED | Errno::EPROTO) => Accepted::Again,
            // It is no socket that listens: no accept will ever succeed.
            Err(error @ (Errno::EBADF | Errno::EINVAL | Errno::ENOTSOCK)) => {
                Accepted::Failed(error)
            }
            Err(error) => {
                self.book_exhaustion(error, "accept");
                Accepted::Exhausted
            }
        }
    }

    /// Whatever the worker cannot do now is tried again, and nobody is lost: who is not accepted waits in the queue.
    fn book_exhaustion(&self, error: Errno, what: &str) {
        let limit = limit_met(error);
        self.slot.add(Field::AcceptErrors(limit), 1);
        if self.slot.accept_errors().total() % EXHAUSTED_MENTION == 1 {
            tracing::warn!(
                worker = self.index,
                error = error.desc(),
                limit = limit.remedy(),
                "cannot {what}; trying again every 100 ms, and mentioning it every 10 s"
            );
        }
    }

    /// Makes a connection of an accepted socket: prepared for serving, or for being told that it is one too many.
    fn open(&self, socket: TcpStream, peer: Option<SocketAddr>) -> Box<Connection<'a>> {
        if let Some(peer) = peer {
            self.listener.prepare(&socket, peer, self.congestion);
        }
        let session = Session::new(self.service, self.slot).with_cache(self.cache);
        let mut connection = Box::new(Connection::new(socket, session, self.clocks));
        if let Some(log) = &self.logs.access {
            connection.write_down_by(AccessLogger::new(log, self.slot, self.index, peer));
        }
        let admission = match (self.address_cap, peer) {
            (Some(cap), Some(peer)) => cap.admit(peer),
            _ => Admission::Admitted(None),
        };
        match admission {
            Admission::Admitted(place) => connection.hold(place),
            Admission::OverCap => {
                tracing::debug!(?peer, "refused: its address has too many connections");
                self.slot.add(Field::OverAddressCap, 1);
                connection.turn_away(Code::Busy, "too many connections from your address");
            }
        }
        connection
    }

    /// Gives a connection a turn; a panic costs this connection and no other.
    fn drive(&self, connection: &mut Connection<'a>, buffer_pool: &mut BufferPool) -> Pause {
        // What a panic leaves half done is this connection's own: it is not driven again, and what it took from
        // the buffer_pool is not put back.
        let turn = catch_unwind(AssertUnwindSafe(|| connection.drive(buffer_pool)));
        turn.unwrap_or_else(|_| {
            let peer = connection.peer_addr();
            tracing::error!(worker = self.index, ?peer, "a panic cost this connection");
            connection.crashed();
            Pause::Over
        })
    }

    /// Waits until one connection can go on, its time has come, or something else matters more.
    fn wait(&self, connection: &Connection<'_>, interest: Interest, until: Instant) {
        let (flags, watched) = match interest {
            Interest::Readable => (PollFlags::POLLIN, 1),
            Interest::Writable => (PollFlags::POLLOUT, 1),
            // An end that the peer has made would be told at once, and again and again.
            Interest::Nothing => (PollFlags::empty(), 0),
        };
        let now = Instant::now();
        let mut fds = [PollFd::new(connection.as_fd(), flags)];
        // However long the peer may take, the parent wants a sign of life. Interrupted or not, the caller looks at
        // the parent's word.
        let _ = poll(&mut fds[..watched], timeout(until.min(now + LOOK_MAX), now));
    }

    /// Whether a connection waits in the backlog, now or within so long.
    fn is_queued(&self, within: Duration) -> bool {
        let mut fds = [PollFd::new(
            self.listener.socket().as_fd(),
            PollFlags::POLLIN,
        )];
        let now = Instant::now();
        matches!(poll(&mut fds, timeout(now + within, now)), Ok(n) if n > 0)
    }
}

/// Which limit an accept or an epoll_ctl(2) has met. Whatever is not one of the system's is the network's: Linux
/// hands on what waits for a new connection (EHOSTUNREACH, for instance), and a firewall's EPERM (accept(2)).
fn limit_met(error: Errno) -> Limit {
    match error {
        Errno::EMFILE => Limit::RlimitNofile,
        Errno::ENFILE => Limit::FileMax,
        Errno::ENOSPC => Limit::MaxUserWatches,
        Errno::ENOMEM | Errno::ENOBUFS => Limit::Memory,
        _ => Limit::Network,
    }
}

/// Does nothing for a while, or until the parent's signal comes.
fn pause(pause: Duration) {
    let _ = poll(&mut [], sys::poll_timeout(pause));
}

fn timeout(until: Instant, now: Instant) -> PollTimeout {
    sys::poll_timeout(until.saturating_duration_since(now))
}

#[cfg(test)]
mod tests;
