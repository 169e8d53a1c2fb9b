//! The supervisor's decisions in small worlds: whatever happens in whatever order, what must never be does not come of
//! it. A state that several sequences lead to, with as many events to go, is gone on from once.

#[path = "../../prefork-server/src/supervisor/roster/tests/world.rs"]
mod world;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use anyhow::Result;
use prefork_server::ProcessId;
use prefork_server::roster::{Action, End, Event, Policy, Roster, processes_max};

use crate::keep::{Keeper, Tally};
use world::World;

pub(crate) fn run(mut keeper: Keeper, smoke: bool) -> Result<u64> {
    let events_max = if smoke { 4 } else { 7 };
    for size in [1, 2] {
        for is_full in [false, true] {
            let from = if is_full { "full" } else { "empty" };
            let name = format!("a pool of {size}, {from} at first, up to {events_max} events");
            keeper.part(&name, |tally| explore(size, is_full, events_max, tally))?;
        }
    }
    Ok(keeper.finish())
}

#[derive(Debug, Clone, Hash)]
struct State {
    roster: Roster,
    world: World,
    now: Duration,
}

/// What may happen next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// What is due comes due.
    Due,
    /// So long that a process's life was a useful one.
    Second,
    Ready(ProcessId),
    Hung(ProcessId),
    WornOut(ProcessId),
    Exit(ProcessId, End, bool),
    SpawnsFail(bool),
    Roll(u32),
    Resize(u32),
    HandOver,
    Drain,
    Stop,
}

fn explore(size: u32, is_full: bool, events_max: usize, tally: &mut Tally) {
    let mut first = State {
        roster: Roster::new(size, Policy::default()),
        world: World::of_size(size),
        now: Duration::ZERO,
    };
    let mut begin = first.happen(Event::Tick);
    let processes: Vec<_> = first.world.alive.keys().copied().collect();
    for process in processes.into_iter().filter(|_| is_full) {
        let event = first.world.ready(process);
        begin = begin.and_then(|()| first.happen(event));
    }
    if let Err(why) = begin {
        tally.violation(|| why);
    }
    let mut known = HashMap::new();
    let sequences = descend(&first, events_max, &mut known, tally);
    tally.count("sequences", sequences);
    tally.count("states", known.len() as u64);
}

/// Tries everything that may happen next, and after that, and says how many sequences that is.
fn descend(
    state: &State,
    left: usize,
    known: &mut HashMap<(u128, usize), u64>,
    tally: &mut Tally,
) -> u64 {
    if left == 0 {
        return 0;
    }
    let key = (state.key(), left);
    if let Some(&sequences) = known.get(&key) {
        return sequences;
    }
    let mut sequences = 0;
    for step in state.steps() {
        let mut next = state.clone();
        sequences += 1;
        match next.take(step) {
            Ok(()) => sequences += descend(&next, left - 1, known, tally),
            Err(why) => tally.violation(|| format!("{step:?} with {left} to go: {why}: {next:?}")),
        }
    }
    known.insert(key, sequences);
    sequences
}

impl State {
    /// Two hashes, so that practically no two states have the same.
    fn key(&self) -> u128 {
        let hash = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            self.hash(&mut hasher);
            hasher.finish()
        };
        u128::from(hash(0)) << 64 | u128::from(hash(1))
    }

    fn steps(&self) -> Vec<Step> {
        if self.world.over {
            return Vec::new();
        }
        let mut steps = vec![Step::Second, Step::SpawnsFail(!self.world.spawn_fails)];
        if self.roster.next_deadline().is_some() {
            steps.push(Step::Due);
        }
        for &process in self.world.alive.keys() {
            steps.extend([
                Step::Ready(process),
                Step::Hung(process),
                Step::WornOut(process),
                Step::Exit(process, End::Cleanly, false),
                Step::Exit(process, End::Crashed, false),
                Step::Exit(process, End::Crashed, true),
                Step::Exit(process, End::Starved, false),
                Step::Exit(process, End::OutOfMemory, false),
            ]);
        }
        steps.extend([1, 2].map(Step::Roll));
        steps.extend([1, 2].map(Step::Resize));
        steps.extend([Step::HandOver, Step::Drain, Step::Stop]);
        steps
    }

    fn take(&mut self, step: Step) -> Result<(), String> {
        let world = &mut self.world;
        let event = match step {
            Step::Due => {
                self.now = self
                    .roster
                    .next_deadline()
                    .unwrap_or(self.now)
                    .max(self.now);
                Event::Tick
            }
            Step::Second => {
                self.now += Duration::from_secs(1);
                Event::Tick
            }
            Step::Ready(process) => world.ready(process),
            Step::Hung(process) => Event::Hung(process),
            Step::WornOut(process) => Event::WornOut(process),
            Step::Exit(process, end, was_useful) => {
                world.alive.remove(&process);
                Event::Exited {
                    process,
                    end,
                    was_useful,
                }
            }
            Step::SpawnsFail(fails) => {
                world.spawn_fails = fails;
                return Ok(());
            }
            Step::Roll(size) => world.roll(size),
            Step::Resize(size) => world.resize(size),
            Step::HandOver => world.stop(Event::HandOver),
            Step::Drain => world.stop(Event::Drain),
            Step::Stop => world.stop(Event::Stop),
        };
        self.happen(event)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        self.world.happen(&mut self.roster, self.now, event)
    }
}
