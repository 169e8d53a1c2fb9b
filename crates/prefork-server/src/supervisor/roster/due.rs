//! What is due while the pool runs: seats to fill, processes to replace, a roll that is over, a pool that is given up.

use std::time::Duration;

use super::policy::PROCESSES_PER_SEAT;
use super::seat::Seat;
use super::{Action, Reason, Roster};

impl Roster {
    /// When something of it is due.
    pub(super) fn running_deadline(&self) -> Option<Duration> {
        let forks_from = self.forks.not_before;
        let may_fill = self.leaving.len() <= self.leaving_max();
        let vacant = self.wanted_seats().filter_map(|seat| seat.spawn_at);
        let vacant = vacant.filter(|_| may_fill).map(|at| at.max(forks_from));
        let may_replace = self.leaving.len() < self.leaving_max() && !self.is_successor_starting();
        let replaced = self
            .wanted_seats()
            .filter(|seat| may_replace && seat.wants_successor(self.epoch))
            .map(|seat| seat.retry_at.max(forks_from));
        let outage_max = self.policy.outage_max;
        let unserved = self.unserved_since.map(|since| since + outage_max);
        let starved = self.roll_starves_since();
        vacant
            .chain(replaced)
            .chain(unserved)
            .chain(starved.map(|since| since + outage_max))
            .min()
    }

    pub(super) fn tick_running(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let is_out = |since: Duration| now >= since + self.policy.outage_max;
        let is_out_of_patience = self.early_deaths_in_a_row >= self.patience();
        if self.is_rolling()
            && (is_out_of_patience || self.roll_starves_since().is_some_and(is_out))
        {
            self.take_back(now, actions);
        }
        if self.is_given_up(now, actions) {
            return;
        }
        self.retire_the_unwanted(now, actions);
        self.hurry_the_oldest(now, actions);
        if now >= self.forks.not_before {
            self.fill_vacant_seats(now, actions);
            self.start_a_successor(now, actions);
        }
        if self.is_rolling() && self.is_rolled() {
            self.base = None;
            actions.push(Action::Rolled);
        }
        if !self.announced && self.wanted_seats().all(|seat| seat.server.is_some()) {
            self.announced = true;
            actions.push(Action::Announce);
        }
    }

    /// Since when a roll waits for what ran out: processes, or what one needs to become ready.
    fn roll_starves_since(&self) -> Option<Duration> {
        let since = [self.forks.fail_since, self.starves_since];
        let since = since.into_iter().flatten().min();
        since.filter(|_| self.is_rolling())
    }

    /// Whether it is, and stops then. A pool that has been full goes on for as long as anybody in it serves.
    fn is_given_up(&mut self, now: Duration, actions: &mut Vec<Action>) -> bool {
        let is_served = self.seats.iter().any(|seat| seat.server.is_some());
        self.unserved_since = if is_served || !self.announced {
            None
        } else {
            self.unserved_since.or(Some(now))
        };
        let is_out = |since: Duration| now >= since + self.policy.outage_max;
        let died_too_often = self.early_deaths_in_a_row >= self.patience();
        let reason = if died_too_often && !(self.announced && is_served) {
            Reason::EarlyDeaths
        } else if self.unserved_since.is_some_and(is_out) {
            Reason::Outage
        } else {
            return false;
        };
        self.gave_up = Some(reason);
        self.stop(now, actions);
        true
    }

    pub(super) fn patience(&self) -> u32 {
        self.wanted.saturating_mul(2).max(self.policy.patience_min)
    }

    fn retire_the_unwanted(&mut self, now: Duration, actions: &mut Vec<Action>) {
        for index in self.wanted as usize..self.seats.len() {
            if let Some(server) = self.seats[index].server.take() {
                self.retire(server, now, actions);
            }
        }
    }

    fn fill_vacant_seats(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.leaving.len() > self.leaving_max() {
            return;
        }
        let wanted = self.wanted as usize;
        for (index, seat) in (0u32..).zip(&mut self.seats).take(wanted) {
            if seat.spawn_at.is_some_and(|at| now >= at) {
                actions.push(seat.ask(index, self.epoch));
            }
        }
    }

    /// One at a time: a pool must not double while it is replaced.
    fn start_a_successor(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.leaving.len() >= self.leaving_max() || self.is_successor_starting() {
            return;
        }
        let (epoch, wanted) = (self.epoch, self.wanted as usize);
        let mut seats = (0u32..).zip(&mut self.seats).take(wanted);
        if let Some((index, seat)) =
            seats.find(|(_, seat)| seat.wants_successor(epoch) && now >= seat.retry_at)
        {
            actions.push(seat.ask(index, epoch));
        }
    }

    /// Makes room for those that are to come, if there is none.
    fn hurry_the_oldest(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let room = self.leaving_max();
        let successors = self
            .wanted_seats()
            .filter(|seat| seat.wants_successor(self.epoch));
        let needed = match (successors.count(), self.wanted_seats().any(Seat::is_vacant)) {
            (0, false) => return,
            (successors, _) => self.leaving.len() + successors,
        };
        for process in self.leaving.iter_mut().take(needed.saturating_sub(room)) {
            actions.extend(process.hurry(now, &self.policy));
        }
    }

    /// How many may retire: the pool has been no larger than it has seats now.
    pub(super) fn leaving_max(&self) -> usize {
        self.seats.len() * (PROCESSES_PER_SEAT as usize - 1)
    }

    fn is_successor_starting(&self) -> bool {
        self.seats.iter().any(Seat::has_successor)
    }

    /// Whether every process that serves has the settings in force. A seat that cannot be filled for want of processes gets them
    /// when it can.
    fn is_rolled(&self) -> bool {
        let is_starved = self.forks.fail_since.is_some();
        let is_done = |seat: &Seat| seat.is_up_to_date(self.epoch);
        self.wanted_seats().any(is_done)
            && self
                .wanted_seats()
                .all(|seat| is_done(seat) || (is_starved && seat.is_vacant()))
    }

    fn wanted_seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().take(self.wanted as usize)
    }
}
