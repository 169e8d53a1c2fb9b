//! Processes that are dead or never came to be: when the next one is tried, and what that says about the pool.

use std::time::Duration;

use super::seat::{Process, State};
use super::{Action, End, Phase, ProcessId, Roster};

impl Roster {
    /// Before the pool was full once, what keeps it from that ends the start, and is said. From then on it is
    /// waited for.
    pub(super) fn spawn_failed(&mut self, now: Duration, id: ProcessId, actions: &mut Vec<Action>) {
        if !self.announced {
            self.exited(now, id, End::Crashed, false, actions);
            return;
        }
        let Some(seat) = self.seats.get_mut(id.seat as usize) else {
            return;
        };
        seat.remove(id);
        self.leaving.retain(|process| process.id != id);
        if seat.is_vacant() && id.seat < self.wanted && self.phase == Phase::Running {
            seat.spawn_at = Some(now);
        }
        // Those that were asked for together fail together, and count once.
        if now >= self.forks.not_before {
            let pause = self.pause(self.forks.failures);
            self.forks.not_before = now + pause.min(self.policy.fork_pause_max);
            self.forks.failures = self.forks.failures.saturating_add(1);
        }
        self.forks.fail_since.get_or_insert(now);
    }

    pub(super) fn exited(
        &mut self,
        now: Duration,
        id: ProcessId,
        end: End,
        was_useful: bool,
        actions: &mut Vec<Action>,
    ) {
        let Some(seat) = self.seats.get_mut(id.seat as usize) else {
            return;
        };
        if was_useful {
            seat.early_deaths = 0;
            self.early_deaths_in_a_row = 0;
        }
        // It leaves as it was told to, and another serves in its place.
        self.leaving.retain(|process| process.id != id);
        let Some(dead) = seat.remove(id) else {
            return;
        };
        if id.seat >= self.wanted || self.phase != Phase::Running {
            return;
        }
        let useful_life = self.policy.useful_life;
        match dead.state {
            State::Live { since } => {
                let is_established = now.saturating_sub(since) >= useful_life;
                if is_established && self.announced {
                    self.early_deaths_in_a_row = 0;
                }
                if seat.starting.is_some() {
                    return;
                }
                if was_useful || is_established || end == End::Cleanly {
                    seat.spawn_at = Some(now);
                } else {
                    self.died_early(now, id.seat, end);
                }
            }
            _ => self.boot_failed(now, &dead, end, actions),
        }
    }

    /// It never served. If another serves in its seat, that one goes on.
    pub(super) fn boot_failed(
        &mut self,
        now: Duration,
        dead: &Process,
        end: End,
        actions: &mut Vec<Action>,
    ) {
        let index = dead.id.seat;
        let is_starved = self.announced && end == End::OutOfMemory;
        if is_starved && self.is_rolling() {
            self.starves_since.get_or_insert(now);
        }
        let seat = &mut self.seats[index as usize];
        let before = seat.failures;
        // One that had other settings says nothing about these, nor does one that was killed for want of memory.
        if dead.epoch == self.epoch && !is_starved {
            seat.failures = before.saturating_add(1);
        }
        let is_hopeless = seat.failures >= self.policy.successor_tries;
        if seat.server.is_some() {
            let pause = match is_starved {
                true => self.policy.fork_pause_max,
                false => self.pause(before),
            };
            self.seats[index as usize].retry_at = now + pause;
        } else {
            self.died_early(now, index, end);
        }
        if self.is_rolling() && is_hopeless {
            self.take_back(now, actions);
        }
    }

    pub(super) fn died_early(&mut self, now: Duration, index: u32, end: End) {
        let useful_life = self.policy.useful_life;
        let is_established = |process: &Process| matches!(process.state, State::Live { since } if now.saturating_sub(since) >= useful_life);
        let servers = || self.seats.iter().filter_map(|seat| seat.server.as_ref());
        // What ran out comes again, and a pool of which one has served for a while can serve.
        if self.announced && servers().any(is_established) {
            self.early_deaths_in_a_row = 0;
        } else if !(self.announced && matches!(end, End::Starved | End::OutOfMemory)) {
            self.early_deaths_in_a_row = self.early_deaths_in_a_row.saturating_add(1);
        }
        let seat = &mut self.seats[index as usize];
        let deaths = seat.early_deaths;
        seat.early_deaths = deaths.saturating_add(1);
        let pause = self.pause(deaths);
        self.seats[index as usize].spawn_at = Some(now + pause);
    }
}
