//! One place of the pool, and the processes of it: one that serves, and beside it one that starts. A process that
//! retires has no seat any more.

use std::time::Duration;

use super::{Action, Policy, ProcessId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// Asked for, not forked yet.
    Asked,
    Booting {
        since: Duration,
    },
    Live {
        since: Duration,
    },
    /// Accepts nothing more; leaves when what it has in hand is finished.
    Retiring {
        since: Duration,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) state: State,
    /// Which settings it was started with.
    pub(super) epoch: u32,
    /// It asked to be replaced.
    pub(super) is_worn_out: bool,
    /// It was asked to end; it is killed if it has not by then.
    kill_at: Option<Duration>,
    pub(super) killed: bool,
    /// When it is told to leave at once, if that is before the end of the time that retiring may take.
    cut_at: Option<Duration>,
    is_cut: bool,
}

impl Process {
    /// When something is due.
    pub(super) fn deadline(&self, policy: &Policy) -> Option<Duration> {
        if self.killed {
            return None;
        }
        self.kill_at.or(match self.state {
            State::Booting { since } => Some(since + policy.boot_timeout),
            State::Retiring { since } => {
                let at = since + policy.retire_timeout;
                Some(self.cut_at.map_or(at, |cut_at| at.min(cut_at)))
            }
            State::Asked | State::Live { .. } => None,
        })
    }

    /// What has to be done about a process that takes too long.
    pub(super) fn overdue(&mut self, now: Duration, policy: &Policy) -> Option<Action> {
        self.deadline(policy).filter(|at| now >= *at)?;
        match self.state {
            State::Retiring { .. } if self.kill_at.is_none() && !self.is_cut => {
                self.is_cut = true;
                self.kill_at = Some(now + policy.stop_timeout);
                Some(Action::Cut(self.id))
            }
            _ => {
                self.killed = true;
                Some(Action::Kill(self.id))
            }
        }
    }

    /// It hangs: it is to end by itself, and is killed if it does not.
    pub(super) fn abort(&mut self, now: Duration, policy: &Policy) -> Option<Action> {
        if self.kill_at.is_some() || self.killed {
            return None;
        }
        self.kill_at = Some(now + policy.stop_timeout);
        Some(Action::Abort(self.id))
    }

    /// Its room is needed: it has only as long as a graceful stop would give it.
    pub(super) fn hurry(&mut self, now: Duration, policy: &Policy) -> Option<Action> {
        if self.cut_at.is_some() {
            return None;
        }
        self.cut_at = Some(now + policy.drain_timeout);
        Some(Action::Hurry(self.id))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Seat {
    /// Of the youngest process that was asked for.
    generation: u32,
    pub(super) server: Option<Process>,
    pub(super) starting: Option<Process>,
    /// When the seat is to be filled, if nobody has it.
    pub(super) spawn_at: Option<Duration>,
    /// Early deaths in a row: what the backoff counts.
    pub(super) early_deaths: u32,
    /// Processes in a row, with the settings in force, that did not become ready.
    pub(super) failures: u32,
    /// When a successor may be tried again.
    pub(super) retry_at: Duration,
}

impl Seat {
    pub(super) const fn empty(spawn_at: Duration) -> Self {
        Self {
            generation: 0,
            server: None,
            starting: None,
            spawn_at: Some(spawn_at),
            early_deaths: 0,
            failures: 0,
            retry_at: spawn_at,
        }
    }

    /// Asks for a further process, which nobody is starting beside.
    pub(super) fn ask(&mut self, seat: u32, epoch: u32) -> Action {
        self.spawn_at = None;
        self.generation += 1;
        let id = ProcessId {
            seat,
            generation: self.generation,
        };
        self.starting = Some(Process {
            id,
            state: State::Asked,
            epoch,
            is_worn_out: false,
            kill_at: None,
            killed: false,
            cut_at: None,
            is_cut: false,
        });
        Action::Spawn(id)
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = &Process> {
        self.server.iter().chain(&self.starting)
    }

    pub(super) fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.server.iter_mut().chain(&mut self.starting)
    }

    /// Takes out the process that is dead.
    pub(super) fn remove(&mut self, id: ProcessId) -> Option<Process> {
        let is_it = |process: &mut Process| process.id == id;
        let server = self.server.take_if(is_it);
        server.or_else(|| self.starting.take_if(is_it))
    }

    /// Takes out the process that has just become ready.
    pub(super) fn take_booted(&mut self, id: ProcessId) -> Option<Process> {
        // One that is being killed may have said so just before.
        self.starting
            .take_if(|it| it.id == id && !it.killed && matches!(it.state, State::Booting { .. }))
    }

    pub(super) const fn is_vacant(&self) -> bool {
        self.server.is_none() && self.starting.is_none()
    }

    /// Whether a successor starts beside the process that serves.
    pub(super) const fn has_successor(&self) -> bool {
        self.server.is_some() && self.starting.is_some()
    }

    /// Whether the process that serves is to have a successor, and has none.
    pub(super) fn wants_successor(&self, epoch: u32) -> bool {
        let is_old = |server: &Process| server.epoch != epoch || server.is_worn_out;
        self.starting.is_none() && self.server.as_ref().is_some_and(is_old)
    }

    /// Whether the process that serves has these settings, and none with others is about to.
    pub(super) fn is_up_to_date(&self, epoch: u32) -> bool {
        self.server.as_ref().is_some_and(|it| it.epoch == epoch)
            && self.starting.as_ref().is_none_or(|it| it.epoch == epoch)
    }
}
