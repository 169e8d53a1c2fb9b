//! A blocking worker: accepts a connection, serves it to its end, accepts the next.
//!
//! It runs the same in a process of its own and in a thread. While it waits it watches three things at once:
//! the socket, the lifeline (the parent is gone) and, interrupted by a signal, the parent's word.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};

use super::{
    Accepted, DRAIN_GRACE, EXHAUSTED_PAUSE, IDLE_WHILE_OTHERS_WAIT, Left, Worker, timeout,
};
use crate::drive::{Connection, Interest, Pause};
use crate::pool::watchdog::LOOK_MAX;
use crate::scoreboard::Command;
use crate::session::Shelf;
use crate::title;

/// A waiting connection is somebody left standing only if no free worker took it for so long.
const LEFT_STANDING: Duration = Duration::from_millis(5);

/// Accepts and serves, one connection after the other, until told to leave.
#[must_use]
pub fn run(worker: &Worker<'_>) -> Left {
    let mut shelf = Shelf::default();
    loop {
        worker.reporter.count_round(worker.slot);
        worker.logs.refresh();
        let command = worker.slot.command();
        if matches!(command, Command::Retire | Command::Stop) {
            return Left::Asked;
        }
        match worker.accept() {
            Accepted::Connection(connection) => worker.serve(*connection, &mut shelf),
            Accepted::Nobody => {
                if worker.watch.has_ended()
                    || (command == Command::Drain && !worker.is_queued(DRAIN_GRACE))
                {
                    return Left::Asked;
                }
            }
            Accepted::Again => {}
            Accepted::Exhausted => worker.pause(EXHAUSTED_PAUSE),
            Accepted::Failed(error) => return Left::Failed(error),
        }
    }
}

impl<'a> Worker<'a> {
    /// Serves a connection to its end.
    fn serve(&self, mut connection: Connection<'a>, shelf: &mut Shelf) {
        loop {
            self.reporter.count_round(self.slot);
            self.logs.refresh();
            match self.slot.command() {
                Command::Run => {}
                Command::Drain => connection.drain(),
                Command::Retire => {
                    title::retiring_worker(self.index);
                    connection.drain();
                }
                Command::Stop => {
                    connection.abort();
                    return connection.close();
                }
            }
            match self.drive(&mut connection, shelf) {
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
        let now = Instant::now();
        let flags = match interest {
            Interest::Readable => PollFlags::POLLIN,
            Interest::Writable => PollFlags::POLLOUT,
            // An end that the peer has made would be told at once, and again and again.
            Interest::Nothing => {
                self.pause(until.saturating_duration_since(now));
                return Waited::DriveAgain;
            }
        };
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
