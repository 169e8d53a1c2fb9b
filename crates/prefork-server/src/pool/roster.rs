//! The supervisor with the kernel taken out: which worker processes there should be, and what to do about it.
//!
//! Events go in, actions come out, and the time is an argument (since the server's start), so that crashes,
//! storms of crashes, backoff and giving up are tested without forking.

use std::time::Duration;

/// The rules.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// From fork to READY.
    pub boot_timeout: Duration,
    /// After so many early deaths in a row, in the whole pool, it is given up.
    pub patience: u32,
    /// A process that dies younger than this without having answered a request died early.
    pub useful_life: Duration,
    /// The first pause after an early death; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How long a graceful stop may take before connections are cut.
    pub drain_timeout: Duration,
    /// How long a process that was told to leave at once may take before it is killed.
    pub stop_timeout: Duration,
    /// Seeds the jitter of the pauses.
    pub seed: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            boot_timeout: Duration::from_secs(10),
            patience: 5,
            useful_life: Duration::from_secs(1),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(2),
            seed: 0,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A process that was asked for exists.
    Spawned(u32),
    /// It could not be forked.
    SpawnFailed(u32),
    /// It is ready to serve.
    Ready(u32),
    /// It is dead.
    Exited {
        /// Which.
        index: u32,
        /// It left in good order, with exit code 0.
        cleanly: bool,
        /// It had answered a request.
        was_useful: bool,
    },
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
    Spawn(u32),
    /// Kill this process.
    Kill(u32),
    /// Tell everyone to drain.
    TellDrain,
    /// Tell everyone to leave at once.
    TellStop,
    /// The pool is full for the first time.
    Announce,
    /// Nobody is left, as was wanted.
    Finish,
    /// Nobody is left: the workers kept dying before they could serve.
    GiveUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// To be filled at this time.
    Empty {
        spawn_at: Duration,
    },
    /// Asked for, not forked yet.
    Asked,
    Booting {
        since: Duration,
        killed: bool,
    },
    Live {
        since: Duration,
    },
    /// Never to be filled again.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Draining { cut_at: Duration },
    Stopping { kill_at: Duration, killed: bool },
    Over,
}

/// The pool's processes, by index.
#[derive(Debug)]
pub struct Roster {
    policy: Policy,
    seats: Vec<Seat>,
    /// Early deaths in a row, for each seat: what its backoff counts.
    early_deaths: Vec<u32>,
    /// Early deaths in a row in the whole pool: what giving up counts.
    early_deaths_in_a_row: u32,
    phase: Phase,
    announced: bool,
    gave_up: bool,
    jitter: u64,
}

impl Roster {
    /// A pool of `size` processes, none of which exists.
    #[must_use]
    pub fn new(size: u32, policy: Policy) -> Self {
        Self {
            policy,
            seats: vec![
                Seat::Empty {
                    spawn_at: Duration::ZERO
                };
                size as usize
            ],
            early_deaths: vec![0; size as usize],
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
            Event::Spawned(index) => self.set(
                index,
                Seat::Booting {
                    since: now,
                    killed: false,
                },
            ),
            Event::SpawnFailed(index) => self.died_early(now, index),
            Event::Ready(index) => {
                if let Seat::Booting { since, .. } = self.seat(index) {
                    self.set(index, Seat::Live { since });
                }
            }
            Event::Exited {
                index,
                cleanly,
                was_useful,
            } => self.exited(now, index, cleanly, was_useful),
            Event::Drain => self.drain(now, &mut actions),
            Event::Stop => self.stop(now, &mut actions),
            Event::Tick => {}
        }
        self.tick(now, &mut actions);
        actions
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let seats = self.seats.iter().filter_map(|seat| match *seat {
            Seat::Empty { spawn_at } if self.phase == Phase::Running => Some(spawn_at),
            Seat::Booting {
                since,
                killed: false,
            } => Some(since + self.policy.boot_timeout),
            _ => None,
        });
        let phase = match self.phase {
            Phase::Draining { cut_at } => Some(cut_at),
            Phase::Stopping {
                kill_at,
                killed: false,
            } => Some(kill_at),
            _ => None,
        };
        seats.chain(phase).min()
    }

    /// Whether a stop, graceful or not, is under way.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.phase != Phase::Running
    }

    /// Whether connections are being cut.
    #[must_use]
    pub fn is_cutting(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    /// How many processes exist.
    #[must_use]
    pub fn living(&self) -> usize {
        self.seats
            .iter()
            .filter(|seat| matches!(seat, Seat::Booting { .. } | Seat::Live { .. }))
            .count()
    }

    fn exited(&mut self, now: Duration, index: u32, cleanly: bool, was_useful: bool) {
        let lived = match self.seat(index) {
            Seat::Live { since } => Some(now.saturating_sub(since)),
            _ => None,
        };
        if was_useful {
            self.early_deaths[index as usize] = 0;
            self.early_deaths_in_a_row = 0;
        }
        if self.is_stopping() {
            self.set(index, Seat::Closed);
        } else if was_useful
            || cleanly
            || lived.is_some_and(|lived| lived >= self.policy.useful_life)
        {
            self.set(index, Seat::Empty { spawn_at: now });
        } else {
            self.died_early(now, index);
        }
    }

    fn died_early(&mut self, now: Duration, index: u32) {
        if self.is_stopping() {
            self.set(index, Seat::Closed);
            return;
        }
        let deaths = self.early_deaths[index as usize];
        self.early_deaths[index as usize] = deaths.saturating_add(1);
        self.early_deaths_in_a_row = self.early_deaths_in_a_row.saturating_add(1);
        let pause = self
            .policy
            .backoff_min
            .saturating_mul(1 << deaths.min(16))
            .min(self.policy.backoff_max);
        let spawn_at = now + self.jittered(pause);
        self.set(index, Seat::Empty { spawn_at });
    }

    fn drain(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.phase == Phase::Running {
            self.phase = Phase::Draining {
                cut_at: now + self.policy.drain_timeout,
            };
            self.close_empty_seats();
            actions.push(Action::TellDrain);
        }
    }

    fn stop(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Running | Phase::Draining { .. }) {
            self.phase = Phase::Stopping {
                kill_at: now + self.policy.stop_timeout,
                killed: false,
            };
            self.close_empty_seats();
            actions.push(Action::TellStop);
        }
    }

    fn close_empty_seats(&mut self) {
        for seat in &mut self.seats {
            if matches!(seat, Seat::Empty { .. }) {
                *seat = Seat::Closed;
            }
        }
    }

    /// Does what is due at `now`.
    fn tick(&mut self, now: Duration, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Running => self.tick_running(now, actions),
            Phase::Draining { cut_at } if now >= cut_at => self.stop(now, actions),
            Phase::Stopping {
                kill_at,
                killed: false,
            } if now >= kill_at => {
                self.phase = Phase::Stopping {
                    kill_at,
                    killed: true,
                };
                actions.extend(self.indices_of_living().map(Action::Kill));
            }
            _ => {}
        }
        if self.is_stopping()
            && self.phase != Phase::Over
            && self.seats.iter().all(|seat| *seat == Seat::Closed)
        {
            self.phase = Phase::Over;
            actions.push(if self.gave_up {
                Action::GiveUp
            } else {
                Action::Finish
            });
        }
    }

    fn tick_running(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.early_deaths_in_a_row >= self.policy.patience {
            self.gave_up = true;
            self.stop(now, actions);
            return;
        }
        for index in 0..self.seats.len() {
            match self.seats[index] {
                Seat::Empty { spawn_at } if now >= spawn_at => {
                    self.seats[index] = Seat::Asked;
                    actions.push(Action::Spawn(index as u32));
                }
                Seat::Booting {
                    since,
                    killed: false,
                } if now >= since + self.policy.boot_timeout => {
                    self.seats[index] = Seat::Booting {
                        since,
                        killed: true,
                    };
                    actions.push(Action::Kill(index as u32));
                }
                _ => {}
            }
        }
        if !self.announced
            && self
                .seats
                .iter()
                .all(|seat| matches!(seat, Seat::Live { .. }))
        {
            self.announced = true;
            actions.push(Action::Announce);
        }
    }

    fn indices_of_living(&self) -> impl Iterator<Item = u32> {
        let living = |seat: &Seat| matches!(seat, Seat::Booting { .. } | Seat::Live { .. });
        (0u32..)
            .zip(&self.seats)
            .filter(move |(_, seat)| living(seat))
            .map(|(index, _)| index)
    }

    fn seat(&self, index: u32) -> Seat {
        self.seats[index as usize]
    }

    fn set(&mut self, index: u32, seat: Seat) {
        self.seats[index as usize] = seat;
    }

    /// Plus or minus a fifth, so that seats emptied together are not filled together.
    fn jittered(&mut self, pause: Duration) -> Duration {
        // One step of splitmix64: any sequence that differs between calls will do.
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.jitter ^ (self.jitter >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let permille = u32::try_from((mixed >> 32) % 401).unwrap_or(200);
        pause * (800 + permille) / 1000
    }
}

#[cfg(test)]
mod tests;
