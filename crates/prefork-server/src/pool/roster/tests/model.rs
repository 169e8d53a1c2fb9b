//! Whatever the kernel and the world do, in whatever order: what must never happen does not.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What may happen next.
#[derive(Debug, Clone)]
enum Step {
    Wait(u16),
    Ready(usize),
    Hung(usize),
    WornOut(usize),
    Exit {
        nth: usize,
        end: End,
        was_useful: bool,
    },
    SpawnFails(bool),
    Roll(u32),
    Resize(u32),
    HandOver,
    Drain,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u16..5000).prop_map(Step::Wait),
        8 => (0usize..8).prop_map(Step::Ready),
        2 => (0usize..8).prop_map(Step::Hung),
        2 => (0usize..8).prop_map(Step::WornOut),
        8 => (0usize..8, end(), any::<bool>())
            .prop_map(|(nth, end, was_useful)| Step::Exit { nth, end, was_useful }),
        2 => any::<bool>().prop_map(Step::SpawnFails),
        3 => (1u32..7).prop_map(Step::Roll),
        2 => (0u32..7).prop_map(Step::Resize),
        1 => Just(Step::HandOver),
        1 => Just(Step::Drain),
        1 => Just(Step::Stop),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Cleanly), Just(End::Starved), Just(End::Crashed)]
}

/// A process as the kernel would have it.
#[derive(Debug)]
struct Alive {
    /// It is ready, and has not been told to leave.
    serves: bool,
    was_told: bool,
    /// What it was forked with.
    settings: u32,
}

/// The processes as the kernel would have them, and the settings as the supervisor has them.
#[derive(Debug, Default)]
struct World {
    alive: BTreeMap<ProcessId, Alive>,
    /// The youngest of each seat.
    youngest: BTreeMap<u32, u32>,
    /// The largest size that was asked for.
    size_max: u32,
    /// In force, before the roll that is under way, and how many there have been.
    settings: u32,
    settings_before: Option<u32>,
    settings_count: u32,
    is_announced: bool,
    is_told_to_stop: bool,
    /// Those that were killed, and are not dead yet.
    dying: Vec<ProcessId>,
    spawn_fails: bool,
    over: bool,
}

impl World {
    fn nth(&self, nth: usize) -> Option<ProcessId> {
        self.alive.keys().nth(nth).copied()
    }

    /// Does what the roster says, and says what comes of it.
    fn obey(
        &mut self,
        action: Action,
        was_stopping: bool,
        roster: &Roster,
    ) -> Result<Option<Event>, TestCaseError> {
        prop_assert!(!self.over, "{action:?} after the end");
        match action {
            Action::Spawn(id) => {
                prop_assert!(!was_stopping, "a stopping roster spawned");
                prop_assert!(id.seat < roster.wanted(), "a seat too many");
                let youngest = self.youngest.insert(id.seat, id.generation).unwrap_or(0);
                prop_assert_eq!(id.generation, youngest + 1, "a generation is used once");
                if self.spawn_fails {
                    return Ok(Some(Event::SpawnFailed(id)));
                }
                let born = Alive {
                    serves: false,
                    was_told: false,
                    settings: self.settings,
                };
                self.alive.insert(id, born);
                let in_seat = self.alive.iter().filter(|(it, _)| it.seat == id.seat);
                let untold = in_seat.filter(|(_, it)| !it.was_told).count();
                prop_assert!(untold <= 2, "three processes in one seat");
                let total = self.alive.len();
                prop_assert!(
                    total <= processes_max(self.size_max) as usize,
                    "{total} processes"
                );
                return Ok(Some(Event::Spawned(id)));
            }
            Action::Retire(id) | Action::Cut(id) | Action::Hurry(id) => {
                let told = self.alive.get_mut(&id);
                prop_assert!(told.is_some(), "told nobody");
                if let Some(told) = told {
                    (told.serves, told.was_told) = (false, true);
                }
            }
            Action::Kill(id) => {
                prop_assert!(self.alive.contains_key(&id), "killed nobody");
                self.dying.push(id);
            }
            Action::Abort(id) => prop_assert!(self.alive.contains_key(&id), "aborted nobody"),
            Action::Finish | Action::GiveUp(_) => {
                prop_assert!(self.alive.is_empty(), "ended before its workers");
                self.over = true;
            }
            Action::Rolled => {
                self.settings_before = None;
                for (id, it) in self
                    .alive
                    .iter()
                    .filter(|(id, _)| id.seat < roster.wanted())
                {
                    let is_new = it.was_told || it.settings == self.settings;
                    prop_assert!(is_new, "{id:?} has settings {} after the roll", it.settings);
                }
            }
            Action::RollFailed => {
                let before = self.settings_before.take();
                prop_assert!(before.is_some(), "no roll failed");
                self.settings = before.unwrap_or_default();
            }
            Action::TellStop if !was_stopping && !self.is_told_to_stop => {
                let serve = self.alive.values().any(|it| it.serves);
                prop_assert!(!(self.is_announced && serve), "gave up a pool that serves");
            }
            Action::Announce => self.is_announced = true,
            Action::TellDrain | Action::TellStop => {}
        }
        Ok(None)
    }

    /// What the step comes to, if there is somebody whom it can happen to.
    fn event(&mut self, step: Step, now: &mut Duration) -> Option<Event> {
        Some(match step {
            Step::Wait(millis) => {
                *now += Duration::from_millis(u64::from(millis));
                Event::Tick
            }
            Step::Ready(nth) => {
                let id = self.nth(nth)?;
                let process = self.alive.get_mut(&id)?;
                // A report may be repeated, or come from one that has been told to leave, or is being killed.
                process.serves = !process.was_told && !self.dying.contains(&id);
                Event::Ready(id)
            }
            Step::Hung(nth) => Event::Hung(self.nth(nth)?),
            Step::WornOut(nth) => Event::WornOut(self.nth(nth)?),
            Step::Exit {
                nth,
                end,
                was_useful,
            } => {
                let process = self.nth(nth)?;
                self.alive.remove(&process);
                Event::Exited {
                    process,
                    end,
                    was_useful,
                }
            }
            Step::SpawnFails(fails) => {
                self.spawn_fails = fails;
                return None;
            }
            Step::Roll(size) if self.is_told_to_stop => Event::Roll { size },
            Step::Roll(size) => {
                self.settings_before.get_or_insert(self.settings);
                self.settings_count += 1;
                self.settings = self.settings_count;
                self.size_max = self.size_max.max(size);
                Event::Roll { size }
            }
            Step::Resize(size) => {
                self.size_max = self.size_max.max(size);
                Event::Resize(size)
            }
            Step::HandOver | Step::Drain | Step::Stop => {
                self.is_told_to_stop = true;
                match step {
                    Step::HandOver => Event::HandOver,
                    Step::Drain => Event::Drain,
                    _ => Event::Stop,
                }
            }
        })
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_pool_keeps_its_size_and_its_end(
        size in 1u32..6,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut roster = roster(size);
        let mut world = World { size_max: size, ..World::default() };
        let mut now = Duration::ZERO;
        let mut steps = steps.into_iter();
        let mut events = vec![Event::Tick];
        loop {
            while let Some(event) = events.pop() {
                let was_stopping = roster.is_stopping();
                for action in roster.handle(now, event) {
                    events.extend(world.obey(action, was_stopping, &roster)?);
                }
            }
            prop_assert_eq!(roster.living(), world.alive.len());
            let serving = roster.processes().filter(|(_, word)| *word == "serving").count();
            if !roster.is_stopping() {
                prop_assert!(serving <= roster.wanted() as usize, "{serving} serve");
            }
            // What is due has been done: nothing makes the supervisor's loop spin.
            prop_assert!(roster.next_deadline().is_none_or(|at| at > now), "due, and not done");
            let Some(step) = steps.next() else { break };
            events.extend(world.event(step, &mut now));
        }
    }

    #[test]
    fn left_alone_a_pool_becomes_full_and_a_stop_comes_to_its_end(
        size in 1u32..6,
        steps in prop::collection::vec(step(), 0..100),
        is_graceful in any::<bool>(),
    ) {
        let mut roster = roster(size);
        let mut world = World { size_max: size, ..World::default() };
        let mut now = Duration::ZERO;
        let end = if is_graceful { Event::Drain } else { Event::Stop };
        for step in steps.into_iter().chain([Step::SpawnFails(false)]) {
            let mut events: Vec<_> = world.event(step, &mut now).into_iter().collect();
            while let Some(event) = events.pop() {
                let was_stopping = roster.is_stopping();
                for action in roster.handle(now, event) {
                    events.extend(world.obey(action, was_stopping, &roster)?);
                }
            }
        }
        // From here on the world is kind: who starts is ready, who is told to leave or is killed is gone.
        let mut events: Vec<_> = world.alive.keys().map(|id| Event::Ready(*id)).collect();
        for process in std::mem::take(&mut world.dying) {
            if world.alive.remove(&process).is_some() {
                events.push(Event::Exited { process, end: End::Crashed, was_useful: false });
            }
        }
        let mut has_ended = false;
        for _ in 0..2000 {
            let Some(event) = events.pop() else {
                if let Some(at) = roster.next_deadline() {
                    now = at;
                    events.push(Event::Tick);
                } else if world.over {
                    break;
                } else if !has_ended {
                    if !roster.is_stopping() {
                        let serving = roster.processes().filter(|(_, word)| *word == "serving").count();
                        prop_assert_eq!(serving, roster.wanted() as usize, "{:?}", roster);
                        prop_assert!(!roster.is_rolling(), "{:?}", roster);
                        let mut untold = world.alive.values().filter(|it| !it.was_told);
                        let is_new = |it: &Alive| it.settings == world.settings;
                        prop_assert!(untold.all(is_new), "other settings: {:?} {:?}", world, roster);
                    }
                    has_ended = true;
                    world.is_told_to_stop = true;
                    events.push(end);
                } else {
                    let Some(process) = world.nth(0) else { break };
                    world.alive.remove(&process);
                    events.push(Event::Exited { process, end: End::Cleanly, was_useful: true });
                }
                continue;
            };
            let was_stopping = roster.is_stopping();
            for action in roster.handle(now, event) {
                events.extend(world.obey(action, was_stopping, &roster)?);
                match action {
                    Action::Spawn(id) if world.alive.contains_key(&id) => {
                        events.insert(0, Event::Ready(id));
                    }
                    Action::Kill(process) | Action::Retire(process)
                        if world.alive.remove(&process).is_some() =>
                    {
                        events.insert(0, Event::Exited { process, end: End::Cleanly, was_useful: true });
                    }
                    _ => {}
                }
            }
        }
        prop_assert!(world.over, "it came to no end: {:?}", roster);
    }
}
