//! The supervisor with the kernel taken out: which worker processes there should be, and what to do about it.
//!
//! Events go in, actions come out, and the time is an argument (since the server's start), so that crashes,
//! storms of crashes, backoff, giving up, rolling replacement and hung workers are tested without forking.
//!
//! A seat is one place of the pool. It has at most two processes at a time: the one that serves, and beside it
//! either a successor that is starting or a predecessor that finishes what it has in hand.

mod policy;
mod seat;

use std::collections::BTreeMap;
use std::time::Duration;

pub use policy::Policy;
use seat::{Process, Seat, State};

/// One process of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// Its seat, from 0.
    pub seat: u32,
    /// Which of the seat's processes, from 1.
    pub generation: u32,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A process that was asked for exists.
    Spawned(ProcessId),
    /// It could not be forked.
    SpawnFailed(ProcessId),
    /// It is ready to serve.
    Ready(ProcessId),
    /// It asks to be replaced: it has served for long enough.
    WornOut(ProcessId),
    /// It has given no sign of life for too long.
    Hung(ProcessId),
    /// It is dead.
    Exited {
        /// Which.
        process: ProcessId,
        /// It left in good order, with exit code 0.
        cleanly: bool,
        /// It had answered a request.
        was_useful: bool,
    },
    /// Replace every process, one after the other.
    Roll,
    /// From now on the pool has so many seats, at least one.
    Resize(u32),
    /// Another server has taken over the listener: finish what is in hand, accept nothing more, leave.
    HandOver,
    /// Stop gracefully.
    Drain,
    /// Stop at once.
    Stop,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Fork this process.
    Spawn(ProcessId),
    /// Tell this process to accept nothing more, finish what it has in hand, and leave.
    Retire(ProcessId),
    /// Tell this process to leave at once.
    Cut(ProcessId),
    /// Have this process end itself in a way that can be looked at later.
    Abort(ProcessId),
    /// Kill this process.
    Kill(ProcessId),
    /// Tell everyone to drain.
    TellDrain,
    /// Tell everyone to leave at once.
    TellStop,
    /// The pool is full for the first time.
    Announce,
    /// Every process that there was at the roll's start has been replaced.
    Rolled,
    /// A successor never became ready: what has been replaced is being replaced back.
    RollFailed,
    /// Nobody is left, as was wanted.
    Finish,
    /// Nobody is left: the workers kept dying before they could serve.
    GiveUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    HandingOver { cut_at: Duration },
    Draining { cut_at: Duration },
    Stopping { kill_at: Duration, killed: bool },
    Over,
}

/// Why a seat's process is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The whole pool is.
    Roll,
    /// A roll failed, and this seat had been replaced by it.
    RollBack,
    /// It has served for long enough.
    WornOut,
}

/// A process that is to be replaced.
#[derive(Debug, Clone, Copy)]
struct Replacement {
    reason: Reason,
    not_before: Duration,
    failures: u32,
}

/// The pool's processes.
#[derive(Debug)]
pub struct Roster {
    policy: Policy,
    seats: Vec<Seat>,
    /// How many of the seats, from the first on, are to be filled.
    wanted: u32,
    /// Seats whose process is to be replaced. One successor starts at a time.
    replacements: BTreeMap<u32, Replacement>,
    /// Seats that the roll under way has replaced.
    rolled: Vec<u32>,
    is_rolling: bool,
    /// Early deaths in a row in the whole pool: what giving up counts.
    early_deaths_in_a_row: u32,
    phase: Phase,
    announced: bool,
    gave_up: bool,
    jitter: u64,
}

impl Roster {
    /// A pool of `size` seats, all empty.
    #[must_use]
    pub fn new(size: u32, policy: Policy) -> Self {
        Self {
            policy,
            seats: vec![Seat::empty(Duration::ZERO); size as usize],
            wanted: size,
            replacements: BTreeMap::new(),
            rolled: Vec::new(),
            is_rolling: false,
            early_deaths_in_a_row: 0,
            phase: Phase::Running,
            announced: false,
            gave_up: false,
            jitter: policy.seed,
        }
    }

    /// Takes in what happened at `now` and says what is to be done.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Spawned(id) => self.set(id, State::Booting { since: now }),
            Event::SpawnFailed(id) => self.exited(now, id, false, false, &mut actions),
            Event::Ready(id) => self.ready(now, id, &mut actions),
            Event::WornOut(id) => self.worn_out(now, id),
            Event::Hung(id) => self.hung(now, id, &mut actions),
            Event::Exited {
                process,
                cleanly,
                was_useful,
            } => self.exited(now, process, cleanly, was_useful, &mut actions),
            Event::Roll => self.roll(now),
            Event::Resize(size) => self.resize(now, size),
            Event::HandOver => self.hand_over(now, &mut actions),
            Event::Drain => self.drain(now, &mut actions),
            Event::Stop => self.stop(now, &mut actions),
            Event::Tick => {}
        }
        self.tick(now, &mut actions);
        actions
    }

    /// New rules, from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Running => None,
            Phase::HandingOver { cut_at } | Phase::Draining { cut_at } => Some(cut_at),
            Phase::Stopping { kill_at, killed } => (!killed).then_some(kill_at),
            Phase::Over => None,
        };
        let processes = self
            .seats
            .iter()
            .filter(|_| !self.is_cutting())
            .flat_map(|seat| &seat.processes)
            .filter_map(|process| process.deadline(&self.policy));
        let spawns = self
            .seats
            .iter()
            .filter(|seat| seat.has_room())
            .filter_map(|seat| seat.spawn_at);
        let replacements = self
            .replacements
            .iter()
            .filter(|(seat, _)| !self.is_a_successor_starting() && self.is_replaceable(**seat))
            .map(|(_, replacement)| replacement.not_before);
        phase
            .into_iter()
            .chain(processes)
            .chain(spawns)
            .chain(replacements)
            .min()
    }

    /// Whether the pool is on its way to its end: a stop, graceful or not, or a hand-over.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.phase != Phase::Running
    }

    /// Whether connections are being cut.
    #[must_use]
    pub fn is_cutting(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    /// Whether processes are being replaced because of an [`Event::Roll`].
    #[must_use]
    pub const fn is_rolling(&self) -> bool {
        self.is_rolling
    }

    /// How many seats are to be filled.
    #[must_use]
    pub const fn wanted(&self) -> u32 {
        self.wanted
    }

    /// How many processes exist.
    #[must_use]
    pub fn living(&self) -> usize {
        self.processes().count()
    }

    /// Every process that exists, and a word for what it is doing: `starting`, `serving` or `retiring`.
    pub fn processes(&self) -> impl Iterator<Item = (ProcessId, &'static str)> {
        (0u32..).zip(&self.seats).flat_map(|(index, seat)| {
            seat.processes.iter().filter_map(move |process| {
                let word = match process.state {
                    State::Asked => return None,
                    State::Booting { .. } => "starting",
                    State::Live { .. } => "serving",
                    State::Retiring { .. } => "retiring",
                };
                Some((process.id(index), word))
            })
        })
    }

    fn ready(&mut self, now: Duration, id: ProcessId, actions: &mut Vec<Action>) {
        let Some(seat) = self.seats.get_mut(id.seat as usize) else {
            return;
        };
        // One that is being killed may have said so just before.
        let is_booting =
            |process: &Process| matches!(process.state, State::Booting { .. }) && !process.killed;
        if !seat.find(id.generation).is_some_and(is_booting) {
            return;
        }
        for process in &mut seat.processes {
            if process.generation == id.generation {
                process.state = State::Live { since: now };
            } else if matches!(process.state, State::Live { .. }) {
                process.state = State::Retiring { since: now };
                actions.push(Action::Retire(process.id(id.seat)));
            }
        }
        if let Some(done) = self.replacements.remove(&id.seat)
            && done.reason == Reason::Roll
        {
            self.rolled.push(id.seat);
        }
    }

    fn worn_out(&mut self, now: Duration, id: ProcessId) {
        let is_live = self
            .process(id)
            .is_some_and(|process| matches!(process.state, State::Live { .. }));
        if self.phase == Phase::Running && is_live {
            self.replacements.entry(id.seat).or_insert(Replacement {
                reason: Reason::WornOut,
                not_before: now,
                failures: 0,
            });
        }
    }

    fn hung(&mut self, now: Duration, id: ProcessId, actions: &mut Vec<Action>) {
        let kill_at = now + self.policy.stop_timeout;
        let Some(process) = self.process_mut(id) else {
            return;
        };
        if process.kill_at.is_none() && !process.killed {
            process.kill_at = Some(kill_at);
            actions.push(Action::Abort(id));
        }
    }

    fn roll(&mut self, now: Duration) {
        if self.phase != Phase::Running {
            return;
        }
        self.is_rolling = true;
        for (index, seat) in (0u32..).zip(&self.seats) {
            if seat.server().is_some() {
                self.replacements
                    .insert(index, Replacement::now(Reason::Roll, now));
            }
        }
    }

    fn resize(&mut self, now: Duration, size: u32) {
        if self.phase != Phase::Running {
            return;
        }
        self.wanted = size.max(1);
        while self.seats.len() < self.wanted as usize {
            self.seats.push(Seat::empty(now));
        }
        let wanted = self.wanted as usize;
        for seat in &mut self.seats[..wanted] {
            if seat.server().is_none() && seat.spawn_at.is_none() && !seat.is_starting() {
                seat.spawn_at = Some(now);
            }
        }
        for seat in &mut self.seats[wanted..] {
            seat.spawn_at = None;
        }
        self.replacements
            .retain(|seat, _| (*seat as usize) < wanted);
    }

    fn exited(
        &mut self,
        now: Duration,
        id: ProcessId,
        cleanly: bool,
        was_useful: bool,
        actions: &mut Vec<Action>,
    ) {
        let Some(seat) = self.seats.get_mut(id.seat as usize) else {
            return;
        };
        let Some(dead) = seat.remove(id.generation) else {
            return;
        };
        if was_useful {
            seat.early_deaths = 0;
            self.early_deaths_in_a_row = 0;
        }
        let has_server = seat.server().is_some();
        let is_wanted = id.seat < self.wanted && self.phase == Phase::Running;
        match dead.state {
            State::Asked | State::Booting { .. } if has_server => {
                self.successor_failed(now, id.seat, actions);
            }
            // It leaves as it was told to, and somebody else serves in its place.
            State::Retiring { .. } => {}
            _ if !is_wanted || seat.is_starting() => {}
            State::Live { since }
                if was_useful
                    || cleanly
                    || now.saturating_sub(since) >= self.policy.useful_life =>
            {
                seat.spawn_at = Some(now);
            }
            _ => self.died_early(now, id.seat),
        }
    }

    /// The process that was to take over never served. The one that serves goes on.
    fn successor_failed(&mut self, now: Duration, seat: u32, actions: &mut Vec<Action>) {
        let Some(Replacement {
            reason, failures, ..
        }) = self.replacements.get(&seat).copied()
        else {
            return;
        };
        let failures = failures.saturating_add(1);
        let is_hopeless = failures >= self.policy.successor_tries;
        match reason {
            Reason::Roll if is_hopeless => {
                self.replacements
                    .retain(|_, it| it.reason == Reason::WornOut);
                for seat in std::mem::take(&mut self.rolled) {
                    self.replacements
                        .insert(seat, Replacement::now(Reason::RollBack, now));
                }
                self.is_rolling = false;
                actions.push(Action::RollFailed);
            }
            // What serves goes on.
            Reason::RollBack if is_hopeless => self
                .replacements
                .retain(|_, it| it.reason != Reason::RollBack),
            // It may have been killed by whatever kills the others.
            _ => {
                let not_before = now + self.pause(failures - 1);
                self.replacements.insert(
                    seat,
                    Replacement {
                        reason,
                        not_before,
                        failures,
                    },
                );
            }
        }
    }

    fn died_early(&mut self, now: Duration, index: u32) {
        let seat = &mut self.seats[index as usize];
        let deaths = seat.early_deaths;
        seat.early_deaths = deaths.saturating_add(1);
        self.early_deaths_in_a_row = self.early_deaths_in_a_row.saturating_add(1);
        let pause = self.pause(deaths);
        self.seats[index as usize].spawn_at = Some(now + pause);
    }

    fn hand_over(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.phase == Phase::Running {
            self.phase = Phase::HandingOver {
                cut_at: now + self.policy.retire_timeout,
            };
            self.fill_no_more();
            for (index, seat) in (0u32..).zip(&mut self.seats) {
                actions.extend(seat.retire_all(index, now));
            }
        }
    }

    fn drain(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let cut_at = now + self.policy.drain_timeout;
        match &mut self.phase {
            Phase::Running => {
                self.phase = Phase::Draining { cut_at };
                self.fill_no_more();
                actions.push(Action::TellDrain);
            }
            // They are leaving already; it is only to be over sooner.
            Phase::HandingOver { cut_at: later } => *later = (*later).min(cut_at),
            _ => {}
        }
    }

    fn stop(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Stopping { .. } | Phase::Over) {
            self.phase = Phase::Stopping {
                kill_at: now + self.policy.stop_timeout,
                killed: false,
            };
            self.fill_no_more();
            actions.push(Action::TellStop);
        }
    }

    fn fill_no_more(&mut self) {
        self.replacements.clear();
        self.is_rolling = false;
        for seat in &mut self.seats {
            seat.spawn_at = None;
        }
    }

    /// Does what is due at `now`.
    fn tick(&mut self, now: Duration, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Running => self.tick_running(now, actions),
            Phase::HandingOver { cut_at } | Phase::Draining { cut_at } if now >= cut_at => {
                self.stop(now, actions);
            }
            Phase::Stopping {
                kill_at,
                killed: false,
            } if now >= kill_at => {
                self.phase = Phase::Stopping {
                    kill_at,
                    killed: true,
                };
                actions.extend(self.processes().map(|(id, _)| Action::Kill(id)));
            }
            _ => {}
        }
        if !self.is_cutting() {
            for (index, seat) in (0u32..).zip(&mut self.seats) {
                for process in &mut seat.processes {
                    actions.extend(process.overdue(index, now, &self.policy));
                }
            }
        }
        let nobody = self.seats.iter().all(|seat| seat.processes.is_empty());
        if nobody && !matches!(self.phase, Phase::Running | Phase::Over) {
            self.phase = Phase::Over;
            actions.push(if self.gave_up {
                Action::GiveUp
            } else {
                Action::Finish
            });
        }
    }

    fn tick_running(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let patience = self.wanted.saturating_mul(2).max(self.policy.patience_min);
        if self.early_deaths_in_a_row >= patience {
            self.gave_up = true;
            self.stop(now, actions);
            return;
        }
        let wanted = self.wanted as usize;
        for (index, seat) in (0u32..).zip(&mut self.seats).skip(wanted) {
            actions.extend(seat.retire_live(index, now));
        }
        for (index, seat) in (0u32..).zip(&mut self.seats).take(wanted) {
            // A predecessor may still be finishing; two at a time is the most.
            if seat.spawn_at.is_some_and(|at| now >= at) && seat.has_room() {
                seat.spawn_at = None;
                actions.push(Action::Spawn(seat.ask(index)));
                // It starts as a successor would: with what is in force now.
                self.replacements.remove(&index);
            }
        }
        self.start_a_successor(now, actions);
        if self.is_rolling
            && !self
                .replacements
                .values()
                .any(|it| it.reason == Reason::Roll)
        {
            self.is_rolling = false;
            self.rolled.clear();
            actions.push(Action::Rolled);
        }
        let is_served = |seat: &Seat| seat.server().is_some();
        if !self.announced && self.seats[..wanted].iter().all(is_served) {
            self.announced = true;
            actions.push(Action::Announce);
        }
    }

    fn start_a_successor(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.is_a_successor_starting() {
            return;
        }
        let next = self
            .replacements
            .iter()
            .find(|(seat, it)| now >= it.not_before && self.is_replaceable(**seat))
            .map(|(seat, _)| *seat);
        if let Some(index) = next {
            actions.push(Action::Spawn(self.seats[index as usize].ask(index)));
        }
    }

    fn is_a_successor_starting(&self) -> bool {
        self.seats
            .iter()
            .any(|seat| seat.server().is_some() && seat.is_starting())
    }

    /// It serves, and nobody is beside it.
    fn is_replaceable(&self, index: u32) -> bool {
        let seat = &self.seats[index as usize];
        seat.server().is_some() && seat.has_room()
    }

    fn process(&self, id: ProcessId) -> Option<&Process> {
        self.seats.get(id.seat as usize)?.find(id.generation)
    }

    fn process_mut(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.seats
            .get_mut(id.seat as usize)?
            .processes
            .iter_mut()
            .find(|process| process.generation == id.generation)
    }

    fn set(&mut self, id: ProcessId, state: State) {
        if let Some(process) = self.process_mut(id) {
            process.state = state;
        }
    }

    /// The pause before the next try after so many failures: doubling, within bounds, give or take a fifth, so
    /// that seats emptied together are not filled together.
    fn pause(&mut self, failures: u32) -> Duration {
        let pause = self
            .policy
            .backoff_min
            .saturating_mul(1 << failures.min(16))
            .min(self.policy.backoff_max);
        // One step of splitmix64: any sequence that differs between calls will do.
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.jitter ^ (self.jitter >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let permille = u32::try_from((mixed >> 32) % 401).unwrap_or(200);
        pause * (800 + permille) / 1000
    }
}

impl Replacement {
    const fn now(reason: Reason, now: Duration) -> Self {
        Self {
            reason,
            not_before: now,
            failures: 0,
        }
    }
}

#[cfg(test)]
mod tests;
