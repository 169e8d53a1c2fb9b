//! The supervisor with the kernel taken out: which worker processes there should be, and what to do about it.
//!
//! Events go in, actions come out, and the time is an argument (since the server's start), so that crashes,
//! storms of crashes, backoff, giving up, rolling replacement and hung workers are tested without forking.
//!
//! A seat is one place of the pool. It has at most two processes: the one that serves, and a successor that is
//! starting. A process that was replaced has no seat any more: it retires, which may take an hour, and nobody waits
//! for it. There may be three of these for each seat; then the oldest are hurried.
//!
//! Settings have an epoch. A process that serves with settings of another epoch than the one in force is replaced,
//! whenever and however it came to be.

mod deaths;
mod due;
mod policy;
mod seat;
mod settings;

use std::time::Duration;

use proto::status::ProcessState;

use crate::shared::report::ProcessId;
pub use policy::{Policy, processes_max};
use seat::{Process, Seat, State};

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
        /// How it ended.
        end: End,
        /// It had answered a request.
        was_useful: bool,
    },
    /// There are other settings: replace every process, one after the other, in a pool of so many seats.
    Roll {
        /// At least one.
        size: u32,
    },
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

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In good order, with exit code 0.
    Cleanly,
    /// It ran out of something that may be there again later (descriptors, for instance), and said so.
    Starved,
    /// The kernel killed it for want of memory, whatever it did.
    OutOfMemory,
    /// In any other way.
    Crashed,
}

/// Why a pool is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The workers kept dying before they could serve.
    EarlyDeaths,
    /// For [`Policy::outage_max`] nobody has served.
    Outage,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Fork this process.
    Spawn(ProcessId),
    /// Tell this process to accept nothing more, finish what it has in hand, and leave.
    Retire(ProcessId),
    /// This process has retired for the longest, and its room is needed: it has [`Policy::drain_timeout`] from now.
    Hurry(ProcessId),
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
    /// Every process that serves has the settings in force.
    Rolled,
    /// The new settings make no worker that serves: those before the roll are in force again, and what has been
    /// replaced is being replaced back.
    RollFailed,
    /// Nobody is left, as was wanted.
    Finish,
    /// Nobody is left: the pool was given up.
    GiveUp(Reason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Running,
    HandingOver { cut_at: Duration },
    Draining { cut_at: Duration },
    Stopping { kill_at: Duration, killed: bool },
    Over,
}

/// What a roll that fails goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Base {
    epoch: u32,
    wanted: u32,
}

/// Forks that fail: what they want may be there again at any moment, so each is tried again, after a pause of the
/// whole pool.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
struct Forks {
    not_before: Duration,
    failures: u32,
    fail_since: Option<Duration>,
}

/// The pool's processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Roster {
    policy: Policy,
    seats: Vec<Seat>,
    /// Processes that retire, those first that have for the longest.
    leaving: Vec<Process>,
    /// How many of the seats, from the first on, are to be filled.
    wanted: u32,
    /// Of the settings in force.
    epoch: u32,
    /// How many epochs there have been.
    epochs: u32,
    /// Set during a roll.
    base: Option<Base>,
    forks: Forks,
    /// Since when, in a roll, no process becomes ready and at least one was killed for want of memory before it was.
    starves_since: Option<Duration>,
    /// Early deaths in a row in the whole pool: what giving up counts.
    early_deaths_in_a_row: u32,
    /// Since when nobody serves, in a pool that was full once.
    unserved_since: Option<Duration>,
    phase: Phase,
    announced: bool,
    gave_up: Option<Reason>,
    jitter: u64,
}

impl Roster {
    /// A pool of `size` seats, all empty.
    #[must_use]
    pub fn new(size: u32, policy: Policy) -> Self {
        Self {
            policy,
            seats: vec![Seat::empty(Duration::ZERO); size as usize],
            leaving: Vec::new(),
            wanted: size,
            epoch: 0,
            epochs: 0,
            base: None,
            forks: Forks::default(),
            starves_since: None,
            early_deaths_in_a_row: 0,
            unserved_since: None,
            phase: Phase::Running,
            announced: false,
            gave_up: None,
            jitter: policy.seed,
        }
    }

    /// Takes in what happened at `now` and says what is to be done.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Spawned(id) => self.spawned(now, id),
            Event::SpawnFailed(id) => self.spawn_failed(now, id, &mut actions),
            Event::Ready(id) => self.ready(now, id, &mut actions),
            Event::WornOut(id) => self.worn_out(id),
            Event::Hung(id) => {
                let policy = self.policy;
                let hung = self.process_mut(id);
                actions.extend(hung.and_then(|it| it.abort(now, &policy)));
            }
            Event::Exited {
                process,
                end,
                was_useful,
            } => self.exited(now, process, end, was_useful, &mut actions),
            Event::Roll { size } => self.roll(now, size),
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
            Phase::Running => self.running_deadline(),
            Phase::HandingOver { cut_at } | Phase::Draining { cut_at } => Some(cut_at),
            Phase::Stopping { kill_at, killed } => (!killed).then_some(kill_at),
            Phase::Over => None,
        };
        let processes = self
            .all()
            .filter(|_| !self.is_cutting())
            .filter_map(|process| process.deadline(&self.policy));
        phase.into_iter().chain(processes).min()
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
        self.base.is_some()
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

    /// Every process that exists, and what it is doing.
    pub fn processes(&self) -> impl Iterator<Item = (ProcessId, ProcessState)> {
        self.all().filter_map(|process| {
            let state = match process.state {
                State::Asked => return None,
                State::Booting { .. } => ProcessState::Starting,
                State::Live { .. } => ProcessState::Serving,
                State::Retiring { .. } => ProcessState::Retiring,
            };
            Some((process.id, state))
        })
    }

    fn spawned(&mut self, now: Duration, id: ProcessId) {
        self.forks = Forks::default();
        if let Some(process) = self.process_mut(id)
            && process.state == State::Asked
        {
            process.state = State::Booting { since: now };
        }
    }

    fn ready(&mut self, now: Duration, id: ProcessId, actions: &mut Vec<Action>) {
        let Some(seat) = self.seats.get_mut(id.seat as usize) else {
            return;
        };
        let Some(mut process) = seat.take_booted(id) else {
            return;
        };
        process.state = State::Live { since: now };
        seat.failures = 0;
        self.starves_since = None;
        if let Some(predecessor) = seat.server.replace(process) {
            self.retire(predecessor, now, actions);
        }
    }

    /// From here on it has no seat.
    fn retire(&mut self, mut process: Process, now: Duration, actions: &mut Vec<Action>) {
        process.state = State::Retiring { since: now };
        actions.push(Action::Retire(process.id));
        self.leaving.push(process);
    }

    fn worn_out(&mut self, id: ProcessId) {
        if let Some(process) = self.process_mut(id) {
            process.is_worn_out = true;
        }
    }

    fn hand_over(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.phase == Phase::Running {
            self.phase = Phase::HandingOver {
                cut_at: now + self.policy.retire_timeout,
            };
            self.fill_no_more();
            // Those too that are only starting.
            for index in 0..self.seats.len() {
                let seat = &mut self.seats[index];
                let processes = [seat.server.take(), seat.starting.take()];
                for process in processes.into_iter().flatten() {
                    self.retire(process, now, actions);
                }
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
        self.base = None;
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
            let policy = self.policy;
            for process in self.all_mut() {
                actions.extend(process.overdue(now, &policy));
            }
        }
        let nobody = self.all().next().is_none();
        if nobody && !matches!(self.phase, Phase::Running | Phase::Over) {
            self.phase = Phase::Over;
            actions.push(self.gave_up.map_or(Action::Finish, Action::GiveUp));
        }
    }

    fn all(&self) -> impl Iterator<Item = &Process> {
        let seated = self.seats.iter().flat_map(Seat::processes);
        seated.chain(&self.leaving)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        let seated = self.seats.iter_mut().flat_map(Seat::processes_mut);
        seated.chain(&mut self.leaving)
    }

    fn process_mut(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.all_mut().find(|process| process.id == id)
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

#[cfg(test)]
mod tests;
