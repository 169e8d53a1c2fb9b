//! The rules of the roster, with made-up time.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn roster(size: u32) -> Roster {
    Roster::new(size, Policy::default())
}

/// Obeys every spawn at once, each process becoming ready at once.
fn fill(roster: &mut Roster, now: Duration) -> Vec<Action> {
    let mut others = Vec::new();
    let mut actions = roster.handle(now, Event::Tick);
    while let Some(action) = actions.pop() {
        match action {
            Action::Spawn(index) => {
                others.extend(roster.handle(now, Event::Spawned(index)));
                actions.extend(roster.handle(now, Event::Ready(index)));
            }
            other => others.push(other),
        }
    }
    others
}

fn crash(roster: &mut Roster, now: Duration, index: u32, was_useful: bool) -> Vec<Action> {
    roster.handle(
        now,
        Event::Exited {
            index,
            cleanly: false,
            was_useful,
        },
    )
}

fn leave(roster: &mut Roster, now: Duration, index: u32) -> Vec<Action> {
    roster.handle(
        now,
        Event::Exited {
            index,
            cleanly: true,
            was_useful: false,
        },
    )
}

#[test]
fn a_full_pool_is_announced_once() {
    let mut roster = roster(3);
    assert_eq!(fill(&mut roster, Duration::ZERO), [Action::Announce]);
    assert_eq!(roster.living(), 3);
    crash(&mut roster, SECOND, 1, true);
    assert_eq!(fill(&mut roster, SECOND), []);
}

#[test]
fn a_worker_that_was_useful_is_replaced_at_once() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    assert_eq!(crash(&mut roster, SECOND / 10, 1, true), [Action::Spawn(1)]);
}

#[test]
fn early_deaths_are_followed_by_longer_and_longer_pauses() {
    let mut roster = Roster::new(
        8,
        Policy {
            patience: 16,
            ..Policy::default()
        },
    );
    fill(&mut roster, Duration::ZERO);
    let mut now = Duration::ZERO;
    for deaths in 0..8 {
        assert_eq!(crash(&mut roster, now, 0, false), []);
        let pause = roster.next_deadline().unwrap() - now;
        let nominal = (Duration::from_millis(100) * (1 << deaths)).min(Duration::from_secs(10));
        assert!(
            pause >= nominal * 4 / 5 && pause <= nominal * 6 / 5,
            "{deaths}: {pause:?}"
        );
        now += pause;
        assert_eq!(fill(&mut roster, now), []);
    }
}

#[test]
fn an_answered_request_resets_the_pauses() {
    let mut roster = roster(1);
    let mut now = Duration::ZERO;
    fill(&mut roster, now);
    for _ in 0..3 {
        crash(&mut roster, now, 0, false);
        now = roster.next_deadline().unwrap();
        fill(&mut roster, now);
    }
    assert_eq!(crash(&mut roster, now, 0, true), [Action::Spawn(0)]);
}

#[test]
fn a_pool_that_never_serves_is_given_up() {
    let mut roster = roster(1);
    let mut now = Duration::ZERO;
    for _ in 0..4 {
        fill(&mut roster, now);
        crash(&mut roster, now, 0, false);
        now = roster.next_deadline().unwrap();
    }
    fill(&mut roster, now);
    let actions = crash(&mut roster, now, 0, false);
    assert_eq!(actions, [Action::TellStop, Action::GiveUp]);
}

#[test]
fn a_storm_of_kills_under_load_is_survived() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    for kill in 0..1000u32 {
        let now = Duration::from_millis(u64::from(kill));
        assert_eq!(
            crash(&mut roster, now, kill % 2, true),
            [Action::Spawn(kill % 2)]
        );
        fill(&mut roster, now);
        roster.handle(now, Event::Spawned(kill % 2));
        roster.handle(now, Event::Ready(kill % 2));
    }
}

#[test]
fn a_worker_that_does_not_become_ready_is_killed() {
    let mut roster = roster(1);
    assert_eq!(
        roster.handle(Duration::ZERO, Event::Tick),
        [Action::Spawn(0)]
    );
    roster.handle(Duration::ZERO, Event::Spawned(0));
    assert_eq!(roster.next_deadline(), Some(SECOND * 10));
    assert_eq!(roster.handle(SECOND * 10, Event::Tick), [Action::Kill(0)]);
    assert_eq!(roster.handle(SECOND * 11, Event::Tick), []);
}

#[test]
fn a_graceful_stop_ends_when_the_last_worker_has_left() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    assert_eq!(roster.handle(SECOND, Event::Drain), [Action::TellDrain]);
    assert_eq!(leave(&mut roster, SECOND, 0), []);
    assert_eq!(leave(&mut roster, SECOND, 1), [Action::Finish]);
}

#[test]
fn a_graceful_stop_that_takes_too_long_is_cut_and_then_killed() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    roster.handle(SECOND, Event::Drain);
    assert_eq!(roster.next_deadline(), Some(SECOND * 31));
    assert_eq!(roster.handle(SECOND * 31, Event::Tick), [Action::TellStop]);
    assert_eq!(roster.next_deadline(), Some(SECOND * 33));
    assert_eq!(roster.handle(SECOND * 33, Event::Tick), [Action::Kill(0)]);
    assert_eq!(crash(&mut roster, SECOND * 34, 0, false), [Action::Finish]);
}

#[test]
fn a_second_signal_cuts_at_once() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    roster.handle(SECOND, Event::Drain);
    assert_eq!(roster.handle(SECOND, Event::Stop), [Action::TellStop]);
    assert_eq!(roster.handle(SECOND, Event::Stop), []);
}

/// What the kernel and the world may do next to a model of the pool.
#[derive(Debug, Clone)]
enum Step {
    Wait(u16),
    Ready(u32),
    Exit {
        index: u32,
        cleanly: bool,
        was_useful: bool,
    },
    SpawnFails(bool),
    Drain,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u16..5000).prop_map(Step::Wait),
        4 => (0u32..6).prop_map(Step::Ready),
        4 => (0u32..6, any::<bool>(), any::<bool>())
            .prop_map(|(index, cleanly, was_useful)| Step::Exit { index, cleanly, was_useful }),
        1 => any::<bool>().prop_map(Step::SpawnFails),
        1 => Just(Step::Drain),
        1 => Just(Step::Stop),
    ]
}

proptest! {
    #[test]
    fn no_more_than_the_pool_lives_and_a_stopping_roster_never_spawns(
        size in 1u32..6,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut roster = roster(size);
        let mut now = Duration::ZERO;
        let mut alive = vec![false; size as usize];
        let mut spawn_fails = false;
        let mut over = false;
        let mut steps = steps.into_iter();
        let mut events = vec![Event::Tick];
        loop {
            while let Some(event) = events.pop() {
                let was_stopping = roster.is_stopping();
                for action in roster.handle(now, event) {
                    prop_assert!(!over, "{action:?} after the end");
                    match action {
                        Action::Spawn(index) => {
                            prop_assert!(!was_stopping, "a stopping roster spawned");
                            prop_assert!(!alive[index as usize], "a seat was filled twice");
                            alive[index as usize] = !spawn_fails;
                            let event = if spawn_fails { Event::SpawnFailed(index) } else { Event::Spawned(index) };
                            events.push(event);
                        }
                        Action::Kill(index) => prop_assert!(alive[index as usize], "killed nobody"),
                        Action::Finish | Action::GiveUp => {
                            prop_assert!(alive.iter().all(|alive| !alive), "ended before its workers");
                            over = true;
                        }
                        Action::Announce => prop_assert_eq!(roster.living(), size as usize),
                        Action::TellDrain | Action::TellStop => {}
                    }
                }
            }
            prop_assert_eq!(roster.living(), alive.iter().filter(|alive| **alive).count());
            let Some(step) = steps.next() else { break };
            let there = |index: u32| alive.get(index as usize) == Some(&true);
            match step {
                Step::Wait(millis) => {
                    now += Duration::from_millis(u64::from(millis));
                    events.push(Event::Tick);
                }
                Step::Ready(index) if there(index) => events.push(Event::Ready(index)),
                Step::Exit { index, cleanly, was_useful } if there(index) => {
                    alive[index as usize] = false;
                    events.push(Event::Exited { index, cleanly, was_useful });
                }
                Step::Ready(_) | Step::Exit { .. } => {}
                Step::SpawnFails(fails) => spawn_fails = fails,
                Step::Drain => events.push(Event::Drain),
                Step::Stop => events.push(Event::Stop),
            }
        }
    }
}
