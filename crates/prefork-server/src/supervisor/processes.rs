//! The worker processes: made, told, ended and booked as the roster says.

use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::ledger::Departure;
use super::roster::{End, Event};
use super::scarcity::Limit;
use super::{Flow, Supervisor, announce};
use crate::shared::report::ProcessId;
use crate::shared::scoreboard::Command;
use crate::shared::{listener, memory};
use crate::{pool, sys};

/// For how long workers that have been told to leave are nudged again. After that a worker looks when it comes round its loop, once a second.
const NUDGE_FOR: Duration = Duration::from_secs(5);

impl Supervisor {
    pub(super) fn spawn(&mut self, id: ProcessId) -> Event {
        let taken = self.members.iter().map(|member| member.row);
        let Some(row) = self.inheritance.holdings.free_row(taken) else {
            tracing::error!(
                worker = id.seat,
                "cannot fork: no row of the holdings is free"
            );
            return Event::SpawnFailed(id);
        };
        let assignment = self.inheritance.assignment(id.seat, row);
        self.inheritance.take_row(row);
        self.ledger.open(&assignment);
        match pool::spawn(&self.inheritance, id, &assignment) {
            Ok(pid) => {
                self.ledger
                    .spawned(&assignment, pid.as_raw().unsigned_abs());
                self.members.add(id, pid, row, assignment);
                Event::Spawned(id)
            }
            Err(error) => {
                self.ran_out("a worker cannot be forked", || Limit::behind(error));
                Event::SpawnFailed(id)
            }
        }
    }

    /// Ends a process that hangs, in a way that can be looked at later.
    pub(super) fn abort(&mut self, id: ProcessId) {
        if let Some(member) = self.members.get(id) {
            tracing::error!(
                worker = id.seat,
                pid = %member.pid,
                "aborting a worker that has given no sign of life for --worker-timeout"
            );
            self.members.signal(id, Signal::SIGABRT);
        }
    }

    /// Kills a process that did not become ready, or did not leave, in time.
    pub(super) fn kill(&mut self, id: ProcessId) {
        if let Some(member) = self.members.get(id) {
            tracing::warn!(
                worker = id.seat,
                pid = %member.pid,
                "killing a worker that did not answer in time"
            );
            if member.was_told_to_leave() {
                self.members.mark_overdue(id);
            }
            self.members.signal(id, Signal::SIGKILL);
        }
    }

    pub(super) fn drain_all(&mut self) {
        if let Err(error) = listener::close_the_door(self.inheritance.listener.socket()) {
            tracing::warn!(
                error = error.desc(),
                "cannot refuse new connections while draining"
            );
        }
        self.observe_memory();
        self.tell_all(Command::Drain);
    }

    pub(super) fn tell_all(&mut self, command: Command) {
        self.members.tell_all(&self.inheritance.scoreboard, command);
        self.nudge_until = Instant::now() + NUDGE_FOR;
    }

    pub(super) fn tell(&mut self, id: ProcessId, command: Command) {
        self.members.tell(&self.inheritance.scoreboard, id, command);
        self.nudge_until = Instant::now() + NUDGE_FOR;
    }

    /// A worker publishes its own peak as it leaves; this is for those that will not come to that.
    fn observe_memory(&mut self) {
        for member in self.members.iter() {
            let peak = memory::peak_rss_bytes(member.pid.as_raw().unsigned_abs());
            self.ledger.observe_peak(&member.assignment, peak);
        }
    }

    pub(super) fn reap(&mut self) -> Flow {
        loop {
            let dead = match sys::reap() {
                Ok(Some(dead)) => dead,
                Ok(None) | Err(Errno::ECHILD) => {
                    self.sweeper.start(&self.inheritance);
                    return Ok(());
                }
                Err(Errno::EINTR) => continue,
                Err(error) => Err(error).context("cannot reap")?,
            };
            if self.is_successor(dead.pid) {
                self.successor_died()?;
            } else if self.has_looked_ahead(&dead) {
                self.go_ahead(dead.status)?;
            } else if !self.sweeper.is_over(dead.pid, dead.status) {
                self.book(&dead)?;
            }
        }
    }

    /// Books a dead worker process, and has the roster fill its place.
    fn book(&mut self, dead: &sys::Reaped) -> Flow {
        let Some(member) = self.members.remove(dead.pid) else {
            return Ok(());
        };
        let end = self.end_of(dead, &member);
        let is_clean = end == End::Cleanly;
        let departure = match (member.was_told_to_leave() && is_clean, member.is_overdue) {
            (true, _) => Departure::Asked,
            (false, true) => Departure::Overdue,
            (false, false) => Departure::Crash,
        };
        if departure == Departure::Crash {
            tracing::warn!(
                worker = member.id.seat,
                pid = %dead.pid,
                how = %announce::describe(dead.status),
                "worker died"
            );
        }
        let was_useful = self.ledger.answered(&member.assignment) > 0;
        self.ledger.reaped(
            &member.assignment,
            departure,
            dead.cpu_user,
            dead.cpu_system,
        );
        if !is_clean {
            self.sweeper.add(dead.pid);
        }
        self.inheritance.holdings.release(member.row);
        if let Some(cache) = &self.inheritance.cache {
            cache.clear_dead(member.assignment.readers());
        }
        if end == End::OutOfMemory {
            self.empty_cache("a worker was killed for want of memory");
        }
        self.tell_roster(Event::Exited {
            process: member.id,
            end,
            was_useful,
        })
    }
}
