//! The ledger: what all workers did, dead ones included, added up so that every connection is accounted for.
//!
//! The workers count in the [`crate::scoreboard`]. What a worker had in hand when it died it can no longer
//! count; the parent books that here when it reaps.

use std::time::Duration;

use proto::announce::{Connections, Counts, Requests, WorkerLedger};

use crate::scoreboard::{Field, Scoreboard, Slot};

/// Why a worker is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It left because it had been asked to.
    Asked,
    /// The parent killed it because it did not leave in time.
    Overdue,
    /// Nobody had asked it to.
    Crash,
}

/// The accounts of all slots.
#[derive(Debug)]
pub struct Ledger {
    scoreboard: Scoreboard,
    accounts: Vec<Account>,
    /// A thread's CPU time and memory are its process's: known in sum only.
    per_worker_usage: bool,
    cpu_user: Duration,
    cpu_system: Duration,
    peak_rss_bytes: Option<u64>,
    crashes: u32,
}

#[derive(Debug, Clone, Default)]
struct Account {
    pid: u32,
    generations: u32,
    crashes: u32,
    by_crash: Booked,
    by_stop: Booked,
    cpu_user: Duration,
    cpu_system: Duration,
    peak_rss_bytes: Option<u64>,
}

/// What a dead worker had in hand.
#[derive(Debug, Clone, Copy, Default)]
struct Booked {
    connections: u64,
    requests: u64,
}

impl Ledger {
    /// A ledger over all slots. `per_worker_usage` is false when the workers share one process.
    #[must_use]
    pub fn new(scoreboard: Scoreboard, per_worker_usage: bool) -> Self {
        let accounts = scoreboard.slots().map(|_| Account::default()).collect();
        Self {
            scoreboard,
            accounts,
            per_worker_usage,
            cpu_user: Duration::ZERO,
            cpu_system: Duration::ZERO,
            peak_rss_bytes: None,
            crashes: 0,
        }
    }

    /// A new process has taken over `slots`.
    pub fn spawned(&mut self, slots: std::ops::Range<u32>, pid: u32) {
        for account in self.accounts_of(slots) {
            account.pid = pid;
            account.generations += 1;
        }
    }

    /// The process that had `slots` is dead; books what it had in hand.
    pub fn reaped(
        &mut self,
        slots: std::ops::Range<u32>,
        departure: Departure,
        cpu_user: Duration,
        cpu_system: Duration,
    ) {
        self.cpu_user += cpu_user;
        self.cpu_system += cpu_system;
        self.crashes += u32::from(departure == Departure::Crash);
        for index in slots.clone() {
            let left = self.in_flight(index);
            let peak = published_peak(self.scoreboard.slot(index));
            let account = &mut self.accounts[index as usize];
            account.crashes += u32::from(departure == Departure::Crash);
            let booked = match departure {
                Departure::Crash => &mut account.by_crash,
                Departure::Asked | Departure::Overdue => &mut account.by_stop,
            };
            booked.connections += left.connections;
            booked.requests += left.requests;
            account.cpu_user += cpu_user;
            account.cpu_system += cpu_system;
            if peak.is_some() {
                self.observe_peak(index..index + 1, peak);
            }
        }
    }

    /// The process that has `slots` was seen with this VmHWM.
    pub fn observe_peak(&mut self, slots: std::ops::Range<u32>, peak_rss_bytes: Option<u64>) {
        self.peak_rss_bytes = self.peak_rss_bytes.max(peak_rss_bytes);
        for account in self.accounts_of(slots) {
            account.peak_rss_bytes = account.peak_rss_bytes.max(peak_rss_bytes);
        }
    }

    /// How many requests the slots have answered, over all their generations: a process that adds to it was
    /// of use.
    #[must_use]
    pub fn answered(&self, slots: std::ops::Range<u32>) -> u64 {
        slots
            .map(|index| self.scoreboard.slot(index).counts().requests)
            .map(|requests| requests.ok.total().wrapping_add(requests.errors.total()))
            .fold(0, u64::wrapping_add)
    }

    /// One entry per slot.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerLedger> {
        let own = self.per_worker_usage;
        (0u32..)
            .zip(&self.accounts)
            .map(|(slot, account)| WorkerLedger {
                slot,
                pid: account.pid,
                generations: account.generations,
                crashes: account.crashes,
                counts: self.counts(slot),
                cpu_user_us: own.then(|| micros(account.cpu_user)),
                cpu_system_us: own.then(|| micros(account.cpu_system)),
                peak_rss_bytes: account.peak_rss_bytes.filter(|_| own),
            })
            .collect()
    }

    /// CPU time of every worker process that has been reaped, microseconds: user and system.
    #[must_use]
    pub fn cpu_us(&self) -> (u64, u64) {
        (micros(self.cpu_user), micros(self.cpu_system))
    }

    /// The largest VmHWM of any worker process.
    #[must_use]
    pub const fn peak_rss_bytes(&self) -> Option<u64> {
        self.peak_rss_bytes
    }

    /// How many worker processes ended without being asked to.
    #[must_use]
    pub const fn crashes(&self) -> u32 {
        self.crashes
    }

    fn counts(&self, slot: u32) -> Counts {
        let account = &self.accounts[slot as usize];
        let mut counts = self.scoreboard.slot(slot).counts();
        let c = &mut counts.connections;
        c.aborted_by_crash = c
            .aborted_by_crash
            .saturating_add(account.by_crash.connections);
        c.aborted_by_stop = c
            .aborted_by_stop
            .saturating_add(account.by_stop.connections);
        c.in_flight = self.in_flight(slot).connections;
        let r = &mut counts.requests;
        r.aborted_by_crash = r.aborted_by_crash.saturating_add(account.by_crash.requests);
        r.aborted_by_stop = r.aborted_by_stop.saturating_add(account.by_stop.requests);
        r.in_flight = self.in_flight(slot).requests;
        counts
    }

    /// What a slot has begun, not ended, and what was not booked for an earlier worker of the slot.
    fn in_flight(&self, slot: u32) -> Booked {
        let counts = self.scoreboard.slot(slot).counts();
        let account = &self.accounts[slot as usize];
        let without =
            |left: u64, crash: u64, stop: u64| left.saturating_sub(crash).saturating_sub(stop);
        Booked {
            connections: without(
                counts.connections.in_flight,
                account.by_crash.connections,
                account.by_stop.connections,
            ),
            requests: without(
                counts.requests.in_flight,
                account.by_crash.requests,
                account.by_stop.requests,
            ),
        }
    }

    fn accounts_of(&mut self, slots: std::ops::Range<u32>) -> &mut [Account] {
        &mut self.accounts[slots.start as usize..slots.end as usize]
    }
}

/// The sum over all slots.
#[must_use]
pub fn sum(workers: &[WorkerLedger]) -> Counts {
    workers
        .iter()
        .fold(Counts::default(), |sum, worker| add(sum, &worker.counts))
}

fn add(mut sum: Counts, one: &Counts) -> Counts {
    let Connections {
        accepted,
        closed,
        client_gone,
        timed_out,
        refused,
        aborted_by_stop,
        aborted_by_crash,
        in_flight,
    } = &mut sum.connections;
    let c = &one.connections;
    *accepted += c.accepted;
    *closed += c.closed;
    *client_gone += c.client_gone;
    *timed_out += c.timed_out;
    *refused += c.refused;
    *aborted_by_stop += c.aborted_by_stop;
    *aborted_by_crash += c.aborted_by_crash;
    *in_flight += c.in_flight;

    let mut other = one.requests.clone();
    let Requests {
        started,
        ok,
        ok_bytes,
        errors,
        client_gone,
        timed_out,
        aborted_by_stop,
        aborted_by_crash,
        in_flight,
    } = &mut sum.requests;
    *started += other.started;
    for verb in proto::Verb::ALL {
        *ok.get_mut(verb) += *other.ok.get_mut(verb);
        *ok_bytes.get_mut(verb) += *other.ok_bytes.get_mut(verb);
    }
    for code in proto::Code::ALL {
        *errors.get_mut(code) += *other.errors.get_mut(code);
    }
    *client_gone += other.client_gone;
    *timed_out += other.timed_out;
    *aborted_by_stop += other.aborted_by_stop;
    *aborted_by_crash += other.aborted_by_crash;
    *in_flight += other.in_flight;
    sum
}

fn published_peak(slot: Slot) -> Option<u64> {
    Some(slot.get(Field::PeakRss)).filter(|bytes| *bytes > 0)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::ConnectionEnd;
    use proto::Verb;

    fn worker(scoreboard: &Scoreboard, accepted: u64, closed: u64) {
        let slot = scoreboard.slot(0);
        slot.add(Field::Accepted, accepted);
        slot.add(Field::Started, accepted);
        slot.add(Field::Ended(ConnectionEnd::Closed), closed);
        slot.add(Field::Ok(Verb::Get), closed);
    }

    #[test]
    fn what_a_crashed_worker_had_in_hand_is_booked_once() {
        let scoreboard = Scoreboard::new(1).unwrap();
        let mut ledger = Ledger::new(scoreboard, true);
        let second = Duration::from_secs(1);
        for generation in 1..=3 {
            ledger.spawned(0..1, 100 + generation);
            worker(&scoreboard, 5, 4);
            ledger.reaped(0..1, Departure::Crash, second, second);
        }
        ledger.spawned(0..1, 200);
        worker(&scoreboard, 2, 1);

        let one = &ledger.workers()[0];
        let c = &one.counts.connections;
        assert_eq!(
            (c.accepted, c.closed, c.aborted_by_crash, c.in_flight),
            (17, 13, 3, 1)
        );
        assert!(c.is_balanced());
        let r = &one.counts.requests;
        assert_eq!((r.started, r.aborted_by_crash, r.in_flight), (17, 3, 1));
        assert!(r.is_balanced());
        assert_eq!((one.generations, one.crashes), (4, 3));
        assert_eq!(one.cpu_user_us, Some(3_000_000));
    }

    #[test]
    fn what_an_overdue_worker_had_in_hand_counts_as_cut_by_the_stop() {
        let scoreboard = Scoreboard::new(1).unwrap();
        let mut ledger = Ledger::new(scoreboard, true);
        ledger.spawned(0..1, 7);
        worker(&scoreboard, 1, 0);
        ledger.reaped(0..1, Departure::Overdue, Duration::ZERO, Duration::ZERO);
        let sum = sum(&ledger.workers());
        assert_eq!(sum.connections.aborted_by_stop, 1);
        assert_eq!(sum.connections.in_flight, 0);
        assert_eq!(ledger.crashes(), 0);
    }
}
