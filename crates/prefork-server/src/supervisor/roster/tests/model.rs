//! Whatever the kernel and the world do, in whatever order: what must never happen does not.

use proto::status::ProcessState;

use proptest::prelude::*;

use super::world::{Alive, World};
use super::*;

fn fail(why: String) -> TestCaseError {
    TestCaseError::fail(why)
}

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
    prop_oneof![
        Just(End::Cleanly),
        Just(End::Starved),
        Just(End::OutOfMemory),
        Just(End::Crashed)
    ]
}

fn nth(world: &World, nth: usize) -> Option<ProcessId> {
    world.alive.keys().nth(nth).copied()
}

/// What the step comes to, if there is somebody whom it can happen to.
fn event(world: &mut World, step: Step, now: &mut Duration) -> Option<Event> {
    Some(match step {
        Step::Wait(millis) => {
            *now += Duration::from_millis(u64::from(millis));
            Event::Tick
        }
        Step::Ready(which) => {
            let id = nth(world, which)?;
            world.ready(id)
        }
        Step::Hung(which) => Event::Hung(nth(world, which)?),
        Step::WornOut(which) => Event::WornOut(nth(world, which)?),
        Step::Exit {
            nth: which,
            end,
            was_useful,
        } => {
            let process = nth(world, which)?;
            world.alive.remove(&process);
            Event::Exited {
                process,
                end,
                was_useful,
            }
        }
        Step::SpawnFails(fails) => {
            world.spawn_fails = fails;
            return None;
        }
        Step::Roll(size) => world.roll(size),
        Step::Resize(size) => world.resize(size),
        Step::HandOver => world.stop(Event::HandOver),
        Step::Drain => world.stop(Event::Drain),
        Step::Stop => world.stop(Event::Stop),
    })
}

proptest! {
    #[test]
    fn whatever_happens_the_pool_keeps_its_size_and_its_end(
        size in 1u32..6,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut roster = roster(size);
        let mut world = World::of_size(size);
        let mut now = Duration::ZERO;
        world.happen(&mut roster, now, Event::Tick).map_err(fail)?;
        for step in steps {
            if let Some(event) = event(&mut world, step, &mut now) {
                world.happen(&mut roster, now, event).map_err(fail)?;
            }
        }
    }

    #[test]
    fn left_alone_a_pool_becomes_full_and_a_stop_comes_to_its_end(
        size in 1u32..6,
        steps in prop::collection::vec(step(), 0..100),
        is_graceful in any::<bool>(),
    ) {
        let mut roster = roster(size);
        let mut world = World::of_size(size);
        let mut now = Duration::ZERO;
        let end = if is_graceful { Event::Drain } else { Event::Stop };
        for step in steps.into_iter().chain([Step::SpawnFails(false)]) {
            if let Some(event) = event(&mut world, step, &mut now) {
                world.happen(&mut roster, now, event).map_err(fail)?;
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
                        let serving = roster.processes().filter(|(_, state)| *state == ProcessState::Serving).count();
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
                    let Some(process) = nth(&world, 0) else { break };
                    world.alive.remove(&process);
                    events.push(Event::Exited { process, end: End::Cleanly, was_useful: true });
                }
                continue;
            };
            let was_stopping = roster.is_stopping();
            for action in roster.handle(now, event) {
                events.extend(world.obey(action, was_stopping, &roster).map_err(fail)?);
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
