//! Settings and sizes, and going back to those before.

use std::time::Duration;

use super::seat::Seat;
use super::{Action, Base, Phase, Roster};

impl Roster {
    pub(super) fn roll(&mut self, now: Duration, size: u32) {
        if self.phase != Phase::Running {
            return;
        }
        self.base.get_or_insert(Base {
            epoch: self.epoch,
            wanted: self.wanted,
        });
        self.epochs += 1;
        self.put_in_force(now, self.epochs, size);
    }

    /// The settings in force make no worker: those before the roll are put in force again.
    pub(super) fn take_back(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if let Some(base) = self.base.take() {
            self.early_deaths_in_a_row = 0;
            self.put_in_force(now, base.epoch, base.wanted);
            actions.push(Action::RollFailed);
        }
    }

    /// Whatever others failed at with other settings, these are to be tried at once.
    pub(super) fn put_in_force(&mut self, now: Duration, epoch: u32, size: u32) {
        self.epoch = epoch;
        self.starves_since = None;
        for seat in &mut self.seats {
            seat.failures = 0;
            seat.retry_at = now;
            seat.spawn_at = seat.spawn_at.map(|at| at.min(now));
        }
        self.set_size(now, size);
    }

    pub(super) fn resize(&mut self, now: Duration, size: u32) {
        if self.phase != Phase::Running {
            return;
        }
        self.set_size(now, size);
        // It is none of the settings that a roll takes back.
        if let Some(base) = &mut self.base {
            base.wanted = self.wanted;
        }
    }

    pub(super) fn set_size(&mut self, now: Duration, size: u32) {
        self.wanted = size.max(1);
        let wanted = self.wanted as usize;
        if self.seats.len() < wanted {
            self.seats.resize(wanted, Seat::empty(now));
        }
        let (filled, others) = self.seats.split_at_mut(wanted);
        for seat in filled.iter_mut().filter(|seat| seat.is_vacant()) {
            seat.spawn_at.get_or_insert(now);
        }
        for seat in others {
            seat.spawn_at = None;
        }
    }
}
