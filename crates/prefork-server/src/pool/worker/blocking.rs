//! A blocking worker: serves one transfer to its end, then the next.
//!
//! It runs the same in a process of its own and in a thread. Connections that have no transfer in hand are set aside:
//! they wait in the worker's epoll set ([`super::event`]), and it accepts the next. With none to be set aside it is the
//! textbook's prefork worker, here: it accepts a connection, serves it to its end, and accepts the next.

use super::event::{Loop, Manner};
use super::{Accepted, DRAIN_GRACE, EXHAUSTED_PAUSE, Left, Worker, pause};
use crate::connection::drive::{Connection, Pause, Stage};
use crate::connection::session::BufferPool;
use crate::shared::listener::Share;
use crate::shared::scoreboard::Command;
use crate::shared::title;

/// Calls `ready` once it has all that it needs; then accepts and serves until told to leave, with up to `set_aside`
/// connections beside the one that it serves.
#[must_use]
pub(crate) fn run(
    worker: &Worker<'_>,
    set_aside: u32,
    ready: impl FnOnce() -> nix::Result<()>,
) -> Left {
    let left = match set_aside {
        0 => ready().map(|()| accept_and_serve(worker)),
        some => Loop::new(worker, some as usize + 1, Manner::OneAtATime).and_then(|rounds| {
            ready()?;
            rounds.serve()
        }),
    };
    left.unwrap_or_else(Left::Failed)
}

/// One connection after the other.
fn accept_and_serve(worker: &Worker<'_>) -> Left {
    let mut buffer_pool = BufferPool::default();
    let mut share = Some(worker.share());
    worker.wait_at_the_gate();
    loop {
        worker.reporter.count_round(worker.slot);
        worker.see_to_logs();
        let command = worker.slot.command();
        if matches!(command, Command::Retire | Command::Stop) {
            return Left::Asked;
        }
        match worker.accept() {
            Accepted::Connection(connection) => {
                worker.serve(*connection, &mut buffer_pool, &mut share);
            }
            Accepted::Nobody => {
                if command == Command::Drain && !worker.is_queued(DRAIN_GRACE) {
                    return Left::Asked;
                }
            }
            Accepted::Again => {}
            Accepted::Exhausted => pause(EXHAUSTED_PAUSE),
            Accepted::Failed(error) => return Left::Failed(error),
        }
    }
}

impl<'a> Worker<'a> {
    /// Serves a connection to its end. If the worker is told to retire meanwhile, it lets go of its share in the listener.
    fn serve(
        &self,
        mut connection: Connection<'a>,
        buffer_pool: &mut BufferPool,
        share: &mut Option<Share<'a>>,
    ) {
        loop {
            self.reporter.count_round(self.slot);
            self.see_to_logs();
            match self.slot.command() {
                Command::Run => {}
                Command::Drain => connection.drain(),
                Command::Retire => {
                    if share.take().is_some() {
                        title::retiring_worker(self.index);
                    }
                    connection.drain();
                }
                Command::Stop => {
                    connection.abort();
                    return connection.close();
                }
            }
            match self.drive(&mut connection, buffer_pool) {
                Pause::Turn => {}
                Pause::Over => return connection.close(),
                // One that is too many is told so; others wait for the worker, and it does not wait for this one.
                Pause::NotNow { .. }
                    if connection.is_turned_away() && connection.stage() == Stage::Lingering =>
                {
                    return connection.close();
                }
                Pause::NotNow { interest, until } => self.wait(&connection, interest, until),
            }
        }
    }
}
