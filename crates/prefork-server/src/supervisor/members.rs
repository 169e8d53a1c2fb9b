//! The processes that exist, with what the parent knows of each. The roster decides, this remembers.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::pool::NUDGE;
use crate::shared::report::ProcessId;
use crate::shared::scoreboard::{Assignment, Command, Scoreboard};

/// A worker process.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: ProcessId,
    pub(super) pid: Pid,
    /// Its row of the holdings.
    pub(super) row: u32,
    pub(super) assignment: Assignment,
    /// What it was told last.
    told: Command,
    /// It was killed by the parent because it did not leave in time.
    pub(super) is_overdue: bool,
}

/// All worker processes.
#[derive(Debug, Default)]
pub(super) struct Members {
    all: Vec<Member>,
}

impl Members {
    pub(super) fn add(&mut self, id: ProcessId, pid: Pid, row: u32, assignment: Assignment) {
        self.all.push(Member {
            id,
            pid,
            row,
            assignment,
            told: Command::Run,
            is_overdue: false,
        });
    }

    pub(super) fn remove(&mut self, pid: Pid) -> Option<Member> {
        let at = self.all.iter().position(|member| member.pid == pid)?;
        Some(self.all.swap_remove(at))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.all.iter()
    }

    pub(super) fn get(&self, id: ProcessId) -> Option<&Member> {
        self.all.iter().find(|member| member.id == id)
    }

    /// Which of them is process `pid`.
    pub(super) fn id_of(&self, pid: Pid) -> Option<ProcessId> {
        let member = self.all.iter().find(|member| member.pid == pid)?;
        Some(member.id)
    }

    /// Process ids in the order of the seats, of those that were not told to leave.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut serving: Vec<_> = self
            .all
            .iter()
            .filter(|member| member.told == Command::Run)
            .map(|member| (member.id, member.pid.as_raw().unsigned_abs()))
            .collect();
        serving.sort_unstable();
        serving.into_iter().map(|(_, pid)| pid).collect()
    }

    /// Tells one process, unless it was told something stronger before.
    pub(super) fn tell(&mut self, scoreboard: &Scoreboard, id: ProcessId, command: Command) {
        for member in self.all.iter_mut().filter(|member| member.id == id) {
            member.tell(scoreboard, command);
        }
    }

    /// Tells every process, unless it was told something stronger before.
    pub(super) fn tell_all(&mut self, scoreboard: &Scoreboard, command: Command) {
        for member in &mut self.all {
            member.tell(scoreboard, command);
        }
    }

    /// Makes those look that `are_meant`.
    pub(super) fn nudge(&self, are_meant: impl Fn(&Member) -> bool) {
        for member in self.all.iter().filter(|it| are_meant(it)) {
            let _ = kill(member.pid, NUDGE);
        }
    }

    pub(super) fn signal(&self, id: ProcessId, signal: Signal) {
        if let Some(member) = self.get(id) {
            let _ = kill(member.pid, signal);
        }
    }

    pub(super) fn mark_overdue(&mut self, id: ProcessId) {
        for member in self.all.iter_mut().filter(|member| member.id == id) {
            member.is_overdue = true;
        }
    }
}

impl Member {
    fn tell(&mut self, scoreboard: &Scoreboard, command: Command) {
        if command <= self.told {
            return;
        }
        self.told = command;
        for (_, slot) in self.assignment.slots(scoreboard) {
            slot.tell(command);
        }
        let _ = kill(self.pid, NUDGE);
    }

    /// Whether it was asked to leave.
    pub(super) fn was_told_to_leave(&self) -> bool {
        self.told != Command::Run
    }
}
