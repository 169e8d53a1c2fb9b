//! The ledger: what all workers did, dead ones included, added up so that every connection is accounted for.
//!
//! The workers count in the [`crate::shared::scoreboard`]. When the parent reaps, it books what the dead process had
//! counted, and what it had in hand and could no longer count, in its worker's account.

use std::time::Duration;

use proto::announce::{AddUp, Counts, WorkerLedger};

use crate::shared::scoreboard::{Assignment, Field, Scoreboard, Slot};

/// Why a worker is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    /// It left because it had been asked to.
    Asked,
    /// The parent killed it because it did not leave in time.
    Overdue,
    /// Nobody had asked it to.
    Crash,
}

/// The accounts of all workers.
#[derive(Debug)]
pub(crate) struct Ledger {
    scoreboard: Scoreboard,
    accounts: Vec<Account>,
    /// A thread's CPU time and memory are its process's: known in sum only.
    per_worker_usage: bool,
    cpu_user: Duration,
    cpu_system: Duration,
    peak_rss_bytes: Option<u64>,
    crashes: u32,
    restarts: u32,
}

#[derive(Debug, Clone, Default)]
struct Account {
    pid: u32,
    generations: u32,
    crashes: u32,
    /// What the worker's dead processes did.
    booked: Counts,
    cpu_user: Duration,
    cpu_system: Duration,
    peak_rss_bytes: Option<u64>,
}

impl Ledger {
    /// A ledger without accounts. `per_worker_usage` is false when the workers share one process.
    #[must_use]
    pub(crate) const fn new(scoreboard: Scoreboard, per_worker_usage: bool) -> Self {
        Self {
            scoreboard,
            accounts: Vec::new(),
            per_worker_usage,
            cpu_user: Duration::ZERO,
            cpu_system: Duration::ZERO,
            peak_rss_bytes: None,
            crashes: 0,
            restarts: 0,
        }
    }

    /// A process is about to take over: clears its slots, and opens accounts for workers that are new.
    pub(crate) fn open(&mut self, assignment: &Assignment) {
        let accounts = self.accounts.len().max(assignment.workers.end as usize);
        self.accounts.resize_with(accounts, Account::default);
        for (_, slot) in assignment.slots(&self.scoreboard) {
            slot.clear();
        }
    }

    /// A new process has taken over.
    pub(crate) fn spawned(&mut self, assignment: &Assignment, pid: u32) {
        let mut is_restart = false;
        for account in self.accounts_of(assignment) {
            is_restart |= account.generations > 0;
            account.pid = pid;
            account.generations += 1;
        }
        self.restarts += u32::from(is_restart);
    }

    /// A process is dead: books what it did, and as cut what it had in hand.
    pub(crate) fn reaped(
        &mut self,
        assignment: &Assignment,
        departure: Departure,
        cpu_user: Duration,
        cpu_system: Duration,
    ) {
        self.cpu_user += cpu_user;
        self.cpu_system += cpu_system;
        self.crashes += u32::from(departure == Departure::Crash);
        for (worker, slot) in assignment.slots(&self.scoreboard) {
            let account = &mut self.accounts[worker as usize];
            account.crashes += u32::from(departure == Departure::Crash);
            account.cpu_user += cpu_user;
            account.cpu_system += cpu_system;
            account.booked.add_up(&settled(slot.counts(), departure));
            let peak = published_peak(slot);
            account.peak_rss_bytes = account.peak_rss_bytes.max(peak);
            self.peak_rss_bytes = self.peak_rss_bytes.max(peak);
            // It must not be counted again with the living.
            slot.clear();
        }
    }

    /// A process was seen with this VmHWM.
    pub(crate) fn observe_peak(&mut self, assignment: &Assignment, peak_rss_bytes: Option<u64>) {
        self.peak_rss_bytes = self.peak_rss_bytes.max(peak_rss_bytes);
        for account in self.accounts_of(assignment) {
            account.peak_rss_bytes = account.peak_rss_bytes.max(peak_rss_bytes);
        }
    }

    /// How many requests a process has answered: one that has answered any was of use.
    #[must_use]
    pub(crate) fn answered(&self, assignment: &Assignment) -> u64 {
        assignment
            .slots(&self.scoreboard)
            .map(|(_, slot)| slot.counts().requests)
            .map(|requests| requests.ok.total().wrapping_add(requests.errors.total()))
            .fold(0, u64::wrapping_add)
    }

    /// One entry per worker: what its dead processes did, and what those in `living` have done so far.
    #[must_use]
    pub(crate) fn workers<'a>(
        &self,
        living: impl IntoIterator<Item = &'a Assignment>,
    ) -> Vec<WorkerLedger> {
        let own = self.per_worker_usage;
        let mut workers: Vec<_> = (0u32..)
            .zip(&self.accounts)
            .map(|(slot, account)| WorkerLedger {
                slot,
                pid: account.pid,
                generations: account.generations,
                crashes: account.crashes,
                counts: account.booked.clone(),
                cpu_user_us: own.then(|| micros(account.cpu_user)),
                cpu_system_us: own.then(|| micros(account.cpu_system)),
                peak_rss_bytes: account.peak_rss_bytes.filter(|_| own),
            })
            .collect();
        for assignment in living {
            for (worker, slot) in assignment.slots(&self.scoreboard) {
                let counts = slot.counts_while_running();
                workers[worker as usize].counts.add_up(&counts);
            }
        }
        workers
    }

    /// CPU time of every worker process that has been reaped, microseconds: user and system.
    #[must_use]
    pub(crate) fn cpu_us(&self) -> (u64, u64) {
        (micros(self.cpu_user), micros(self.cpu_system))
    }

    /// The largest VmHWM of any worker process.
    #[must_use]
    pub(crate) const fn peak_rss_bytes(&self) -> Option<u64> {
        self.peak_rss_bytes
    }

    /// How many worker processes ended without being asked to.
    #[must_use]
    pub(crate) const fn crashes(&self) -> u32 {
        self.crashes
    }

    /// How many worker processes were started in the place of an earlier one.
    #[must_use]
    pub(crate) const fn restarts(&self) -> u32 {
        self.restarts
    }

    fn accounts_of(&mut self, assignment: &Assignment) -> &mut [Account] {
        let std::ops::Range { start, end } = assignment.workers;
        &mut self.accounts[start as usize..end as usize]
    }
}

/// The counts of a dead process: nothing is in flight any more.
fn settled(mut counts: Counts, departure: Departure) -> Counts {
    let (c, r) = (&mut counts.connections, &mut counts.requests);
    let (connections, requests) = match departure {
        Departure::Crash => (&mut c.aborted_by_crash, &mut r.aborted_by_crash),
        Departure::Asked | Departure::Overdue => (&mut c.aborted_by_stop, &mut r.aborted_by_stop),
    };
    *connections = connections.saturating_add(std::mem::take(&mut c.in_flight));
    *requests = requests.saturating_add(std::mem::take(&mut r.in_flight));
    counts
}

/// The sum over all slots.
#[must_use]
pub(crate) fn sum(workers: &[WorkerLedger]) -> Counts {
    let mut sum = Counts::default();
    for worker in workers {
        sum.add_up(&worker.counts);
    }
    sum
}

fn published_peak(slot: Slot) -> Option<u64> {
    Some(slot.get(Field::PeakRss)).filter(|bytes| *bytes > 0)
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::scoreboard::ConnectionEnd;
    use proto::Verb;

    fn assignment(slot: u32) -> Assignment {
        Assignment {
            workers: 0..1,
            first_slot: slot,
        }
    }

    fn work(scoreboard: &Scoreboard, slot: u32, accepted: u64, closed: u64) {
        let slot = scoreboard.slot(slot);
        slot.add(Field::Accepted, accepted);
        slot.add(Field::Started, accepted);
        slot.add(Field::Ended(ConnectionEnd::Closed), closed);
        slot.add(Field::Ok(Verb::Get), closed);
        slot.add(Field::Sent(Verb::Get), closed);
    }

    #[test]
    fn what_a_crashed_worker_had_in_hand_is_booked_once() {
        let scoreboard = Scoreboard::new(2).unwrap();
        let mut ledger = Ledger::new(scoreboard, true);
        let second = Duration::from_secs(1);
        for generation in 1..=3 {
            let assignment = assignment(generation % 2);
            ledger.open(&assignment);
            ledger.spawned(&assignment, 100 + generation);
            work(&scoreboard, assignment.first_slot, 5, 4);
            ledger.reaped(&assignment, Departure::Crash, second, second);
        }
        let living = assignment(0);
        ledger.open(&living);
        ledger.spawned(&living, 200);
        work(&scoreboard, 0, 2, 1);

        let one = &ledger.workers([&living])[0];
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
    fn a_predecessor_and_its_successor_count_apart_and_are_added_up() {
        let scoreboard = Scoreboard::new(2).unwrap();
        let mut ledger = Ledger::new(scoreboard, true);
        let (old, new) = (assignment(0), assignment(1));
        for (pid, assignment) in [(1, &old), (2, &new)] {
            ledger.open(assignment);
            ledger.spawned(assignment, pid);
        }
        work(&scoreboard, 0, 3, 2);
        work(&scoreboard, 1, 5, 5);
        let both = sum(&ledger.workers([&old, &new])).connections;
        assert_eq!((both.accepted, both.in_flight), (8, 1));
        scoreboard
            .slot(0)
            .add(Field::Ended(ConnectionEnd::Closed), 1);
        ledger.reaped(&old, Departure::Asked, Duration::ZERO, Duration::ZERO);
        let one = &ledger.workers([&new])[0];
        let c = &one.counts.connections;
        assert_eq!((c.accepted, c.closed, c.in_flight), (8, 8, 0));
        assert_eq!((one.pid, one.generations, one.crashes), (2, 2, 0));
    }

    #[test]
    fn what_an_overdue_worker_had_in_hand_counts_as_cut_by_the_stop() {
        let scoreboard = Scoreboard::new(2).unwrap();
        let mut ledger = Ledger::new(scoreboard, true);
        let assignment = assignment(0);
        ledger.open(&assignment);
        ledger.spawned(&assignment, 7);
        work(&scoreboard, 0, 1, 0);
        ledger.reaped(
            &assignment,
            Departure::Overdue,
            Duration::ZERO,
            Duration::ZERO,
        );
        let sum = sum(&ledger.workers([]));
        assert_eq!(sum.connections.aborted_by_stop, 1);
        assert_eq!(sum.connections.in_flight, 0);
        assert_eq!(ledger.crashes(), 0);
    }
}
