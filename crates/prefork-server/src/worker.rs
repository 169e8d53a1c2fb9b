//! A blocking worker: accepts a connection, serves it to its end, accepts the next.
//!
//! It runs the same in a process of its own and in a thread. While it waits it watches three things at once:
//! the socket, the lifeline (the parent is gone) and, interrupted by a signal, the parent's word.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::config::{Clocks, Congestion};
use crate::drive::{Connection, Interest, Pause};
use crate::lifeline::Watch;
use crate::pool::report::Reporter;
use crate::pool::watchdog::LOOK_MAX;
use crate::scoreboard::{Command, ConnectionEnd, Field, RequestEnd, Slot};
use crate::session::{Buffers, Service, Session};
use crate::{listener, sys};

/// How long a connection may idle between requests while somebody waits in the backlog.
const IDLE_WHILE_OTHERS_WAIT: Duration = Duration::from_millis(200);

/// A waiting connection is somebody left standing only if no free worker took it for so long.
const LEFT_STANDING: Duration = Duration::from_millis(5);

/// A draining worker that finds the queue empty looks once more after this: a handshake may just be ending.
const DRAIN_GRACE: Duration = Duration::from_millis(5);

/// How long to wait when the process or the machine is out of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Everything a worker works with.
#[derive(Debug, Clone, Copy)]
pub struct Worker<'a> {
    /// Which worker, from 0.
    pub index: u32,
    /// Its counters and the parent's word to it.
    pub slot: Slot,
    /// Where connections come from.
    pub listener: &'a TcpListener,
    /// Whether the parent lives.
    pub watch: &'a Watch,
    /// What sessions need.
    pub service: &'a Service,
    /// The clocks of a connection.
    pub clocks: Clocks,
    /// How replies are sent.
    pub congestion: &'a Congestion,
    /// Its process's line to the parent.
    pub reporter: &'a Reporter<'a>,
}

/// Why a worker left its accept loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The parent asked, or is gone.
    Asked,
    /// The listener failed.
    Failed(Errno),
}

impl Worker<'_> {
    /// Accepts and serves until told to leave.
    #[must_use]
    pub fn run(&self) -> Left {
        let mut buffers = Buffers::default();
        loop {
            self.reporter.count_round(self.slot);
            let command = self.slot.command();
            if matches!(command, Command::Retire | Command::Stop) {
                return Left::Asked;
            }
            match sys::accept(self.listener) {
                Ok(socket) => {
                    let peer = socket.peer_addr();
                    if let Ok(peer) = peer {
                        listener::prepare(&socket, peer, self.congestion);
                    }
                    buffers = self.serve_guarded(socket, peer.ok(), buffers);
                }
                // The tick, or a queue that is empty for good.
                Err(Errno::EAGAIN) => {
                    if self.watch.has_ended()
                        || (command == Command::Drain && !self.is_queued(DRAIN_GRACE))
                    {
                        return Left::Asked;
                    }
                }
                Err(
                    Errno::EINTR
                    | Errno::ECONNABORTED
                    | Errno::EPROTO
                    | Errno::ENETDOWN
                    | Errno::EHOSTUNREACH,
                ) => {}
                Err(error @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => {
                    tracing::warn!(
                        worker = self.index,
                        error = error.desc(),
                        "cannot accept; waiting"
                    );
                    self.pause(EXHAUSTED_PAUSE);
                }
                Err(error) => return Left::Failed(error),
            }
        }
    }

    /// Serves one connection; a panic costs this connection only.
    fn serve_guarded(
        &self,
        socket: std::net::TcpStream,
        peer: Option<SocketAddr>,
        buffers: Buffers,
    ) -> Buffers {
        let serve = AssertUnwindSafe(|| self.serve(socket, buffers));
        catch_unwind(serve).unwrap_or_else(|_| {
            tracing::error!(worker = self.index, ?peer, "a panic cost this connection");
            let counts = self.slot.counts();
            self.slot.add(
                Field::Ended(ConnectionEnd::AbortedByCrash),
                counts.connections.in_flight.min(1),
            );
            self.slot.add(
                Field::Unanswered(RequestEnd::AbortedByCrash),
                counts.requests.in_flight.min(1),
            );
            Buffers::default()
        })
    }

    fn serve(&self, socket: std::net::TcpStream, buffers: Buffers) -> Buffers {
        let session = Session::new(self.service, self.slot, buffers);
        let mut connection = Connection::new(socket, session, self.clocks);
        loop {
            self.reporter.count_round(self.slot);
            match self.slot.command() {
                Command::Run => {}
                Command::Drain | Command::Retire => connection.drain(),
                Command::Stop => {
                    connection.abort();
                    return connection.close();
                }
            }
            match connection.drive() {
                Pause::Turn => {}
                Pause::Over => return connection.close(),
                Pause::NotNow {
                    interest,
                    until,
                    idle,
                } => match self.wait(&connection, interest, until, idle) {
                    Waited::DriveAgain => {}
                    Waited::OthersWait => connection.close_idle(),
                    Waited::Orphaned => {
                        connection.abort();
                        return connection.close();
                    }
                },
            }
        }
    }

    /// Waits until the connection can go on, or something else matters more.
    fn wait(
        &self,
        connection: &Connection<'_>,
        interest: Interest,
        until: Instant,
        idle: bool,
    ) -> Waited {
        let flags = match interest {
            Interest::Readable => PollFlags::POLLIN,
            Interest::Writable => PollFlags::POLLOUT,
        };
        let now = Instant::now();
        let yield_at = now + IDLE_WHILE_OTHERS_WAIT;
        let mut fds = [
            PollFd::new(connection.as_fd(), flags),
            PollFd::new(self.watch.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        // However long the peer may take, the parent wants a sign of life.
        let until = until.min(now + LOOK_MAX);
        let until = if idle { until.min(yield_at) } else { until };
        if !matches!(poll(&mut fds[..2], timeout(until, now)), Ok(0)) {
            // Ready, or interrupted: the caller looks at the parent's word.
            return if is_ready(&fds[1]) {
                Waited::Orphaned
            } else {
                Waited::DriveAgain
            };
        }
        if !idle || until < yield_at {
            return Waited::DriveAgain;
        }
        // Idle long enough: from here on whoever waits in the backlog comes first.
        let until = until.max(yield_at + Duration::from_millis(250));
        if !matches!(poll(&mut fds, timeout(until, yield_at)), Ok(n) if n > 0) {
            return Waited::DriveAgain;
        }
        match (is_ready(&fds[0]), is_ready(&fds[1])) {
            (_, true) => Waited::Orphaned,
            (true, _) => Waited::DriveAgain,
            // Workers with idle connections look at slightly different times, so that one place made is enough.
            _ if self.is_left_standing() => Waited::OthersWait,
            _ => Waited::DriveAgain,
        }
    }

    fn is_left_standing(&self) -> bool {
        self.pause(LEFT_STANDING + Duration::from_millis(u64::from(self.index % 16)));
        self.is_queued(Duration::ZERO)
    }

    fn is_queued(&self, within: Duration) -> bool {
        let mut fds = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        let now = Instant::now();
        matches!(poll(&mut fds, timeout(now + within, now)), Ok(n) if n > 0)
    }

    /// Does nothing for a while, unless the parent goes.
    fn pause(&self, pause: Duration) {
        let mut fds = [PollFd::new(self.watch.as_fd(), PollFlags::POLLIN)];
        let now = Instant::now();
        // Interrupted or not: the caller goes round its loop.
        let _ = poll(&mut fds, timeout(now + pause, now));
    }
}

/// What a wait came to.
enum Waited {
    DriveAgain,
    OthersWait,
    Orphaned,
}

fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.any().unwrap_or(true)
}

/// In whole milliseconds, rounded up so that a deadline has passed when the wait ends.
fn timeout(until: Instant, now: Instant) -> PollTimeout {
    let millis = until
        .saturating_duration_since(now)
        .as_nanos()
        .div_ceil(1_000_000);
    PollTimeout::try_from(u64::try_from(millis).unwrap_or(u64::MAX)).unwrap_or(PollTimeout::MAX)
}
