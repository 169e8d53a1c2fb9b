//! One place of the pool, and the processes that have it.

use std::time::Duration;

use super::{Action, Policy, ProcessId};

/// The most processes of one seat: one that serves, and one that comes or goes.
const PROCESSES_MAX: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) generation: u32,
    pub(super) state: State,
    /// It was asked to end; it is killed if it has not by then.
    pub(super) kill_at: Option<Duration>,
    pub(super) killed: bool,
    /// It was retiring for too long, and was told to leave at once.
    is_cut: bool,
}

impl Process {
    pub(super) const fn id(&self, seat: u32) -> ProcessId {
        ProcessId {
            seat,
            generation: self.generation,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self, policy: &Policy) -> Option<Duration> {
        if self.killed {
            return None;
        }
        self.kill_at.or(match self.state {
            State::Booting { since } => Some(since + policy.boot_timeout),
            State::Retiring { since } => Some(since + policy.retire_timeout),
            State::Asked | State::Live { .. } => None,
        })
    }

    /// What has to be done about a process that takes too long.
    pub(super) fn overdue(&mut self, seat: u32, now: Duration, policy: &Policy) -> Option<Action> {
        self.deadline(policy).filter(|at| now >= *at)?;
        let id = self.id(seat);
        match self.state {
            State::Retiring { .. } if self.kill_at.is_none() && !self.is_cut => {
                self.is_cut = true;
                self.kill_at = Some(now + policy.stop_timeout);
                Some(Action::Cut(id))
            }
            _ => {
                self.killed = true;
                Some(Action::Kill(id))
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Seat {
    /// Of the youngest process that was asked for.
    generation: u32,
    pub(super) processes: Vec<Process>,
    /// When the seat is to be filled, if nobody has it.
    pub(super) spawn_at: Option<Duration>,
    /// Early deaths in a row: what the backoff counts.
    pub(super) early_deaths: u32,
}

impl Seat {
    pub(super) const fn empty(spawn_at: Duration) -> Self {
        Self {
            generation: 0,
            processes: Vec::new(),
            spawn_at: Some(spawn_at),
            early_deaths: 0,
        }
    }

    /// Asks for a further process.
    pub(super) fn ask(&mut self, seat: u32) -> ProcessId {
        self.generation += 1;
        self.processes.push(Process {
            generation: self.generation,
            state: State::Asked,
            kill_at: None,
            killed: false,
            is_cut: false,
        });
        ProcessId {
            seat,
            generation: self.generation,
        }
    }

    pub(super) fn find(&self, generation: u32) -> Option<&Process> {
        self.processes.iter().find(|it| it.generation == generation)
    }

    pub(super) fn remove(&mut self, generation: u32) -> Option<Process> {
        let at = self
            .processes
            .iter()
            .position(|it| it.generation == generation)?;
        Some(self.processes.remove(at))
    }

    /// The process that serves.
    pub(super) fn server(&self) -> Option<&Process> {
        self.processes
            .iter()
            .find(|it| matches!(it.state, State::Live { .. }))
    }

    pub(super) fn is_starting(&self) -> bool {
        self.processes
            .iter()
            .any(|it| matches!(it.state, State::Asked | State::Booting { .. }))
    }

    pub(super) fn has_room(&self) -> bool {
        self.processes.len() < PROCESSES_MAX
    }

    /// Has the process that serves leave, if there is one.
    pub(super) fn retire_live(&mut self, seat: u32, now: Duration) -> Option<Action> {
        let server = self
            .processes
            .iter_mut()
            .find(|it| matches!(it.state, State::Live { .. }))?;
        server.state = State::Retiring { since: now };
        Some(Action::Retire(server.id(seat)))
    }

    /// Has everyone leave, those included that are only starting.
    pub(super) fn retire_all(&mut self, seat: u32, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        for process in &mut self.processes {
            if !matches!(process.state, State::Retiring { .. }) {
                process.state = State::Retiring { since: now };
                actions.push(Action::Retire(process.id(seat)));
            }
        }
        actions
    }
}
