//! What runs out for a while: it is waited for, as long as somebody serves.

use super::*;

/// A full pool, whose fork fails from now on.
fn starve(roster: &mut Roster, now: Duration, process: ProcessId) {
    fill(roster, Duration::ZERO);
    let next = id(process.seat, process.generation + 1);
    assert_eq!(crash(roster, now, process, true), [Action::Spawn(next)]);
    assert_eq!(roster.handle(now, Event::SpawnFailed(next)), []);
}

#[test]
fn a_fork_that_fails_is_tried_again_for_as_long_as_somebody_serves() {
    let mut roster = roster(2);
    starve(&mut roster, SECOND, id(1, 1));
    for generation in 3..200 {
        let now = roster.next_deadline().unwrap();
        let next = id(1, generation);
        assert_eq!(roster.handle(now, Event::Tick), [Action::Spawn(next)]);
        assert_eq!(roster.handle(now, Event::SpawnFailed(next)), []);
        let pause = roster.next_deadline().unwrap() - now;
        assert!(pause >= SECOND / 20 && pause <= SECOND, "{pause:?}");
    }
    let now = roster.next_deadline().unwrap();
    assert_eq!(fill(&mut roster, now), []);
    assert_eq!(roster.living(), 2);
}

#[test]
fn a_pool_that_nobody_can_be_forked_for_is_given_up_after_a_minute() {
    for comes_back in [false, true] {
        let mut roster = roster(1);
        starve(&mut roster, SECOND, id(0, 1));
        let mut generation = 3;
        let given_up = loop {
            let now = roster.next_deadline().unwrap();
            assert!(now <= SECOND * 61);
            match roster.handle(now, Event::Tick)[..] {
                [Action::Spawn(next)] if comes_back && now > SECOND * 50 => {
                    roster.handle(now, Event::Spawned(next));
                    roster.handle(now, Event::Ready(next));
                    assert_eq!(roster.next_deadline(), None);
                    break None;
                }
                [Action::Spawn(next)] => {
                    assert_eq!(next, id(0, generation));
                    generation += 1;
                    roster.handle(now, Event::SpawnFailed(next));
                }
                [Action::TellStop, Action::GiveUp(reason)] => break Some((now, reason)),
                ref other => panic!("{other:?}"),
            }
        };
        let want = (SECOND * 61, Reason::Outage);
        assert_eq!(given_up, (!comes_back).then_some(want));
    }
}

#[test]
fn before_a_pool_is_full_a_fork_that_fails_counts_as_an_early_death() {
    let mut roster = roster(1);
    let mut now = Duration::ZERO;
    for generation in 1..=5 {
        let spawn = Action::Spawn(id(0, generation));
        assert_eq!(roster.handle(now, Event::Tick), [spawn]);
        let actions = roster.handle(now, Event::SpawnFailed(id(0, generation)));
        match generation {
            5 => assert_eq!(
                actions,
                [Action::TellStop, Action::GiveUp(Reason::EarlyDeaths)]
            ),
            _ => now = roster.next_deadline().unwrap(),
        }
    }
}

#[test]
fn whoever_ran_out_of_something_is_followed_after_a_pause_and_ends_no_pool() {
    let mut roster = roster(1);
    let mut now = Duration::ZERO;
    for generation in 1..=8 {
        fill(&mut roster, now);
        let end = Event::Exited {
            process: id(0, generation),
            end: End::Starved,
            was_useful: false,
        };
        assert_eq!(roster.handle(now, end), []);
        let again = roster.next_deadline().unwrap();
        assert!(again >= now + Duration::from_millis(80), "{generation}");
        now = again;
    }
}

#[test]
fn early_deaths_end_no_pool_in_which_somebody_serves() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    let mut now = Duration::ZERO;
    for generation in 1..=50 {
        assert_eq!(crash(&mut roster, now, id(1, generation), false), []);
        now = roster.next_deadline().unwrap();
        fill(&mut roster, now);
    }
    // And the first that had served for long does not, either, when it dies.
    assert_eq!(
        crash(&mut roster, now, id(0, 1), false),
        [Action::Spawn(id(0, 2))]
    );
}

#[test]
fn a_roll_that_nobody_can_be_forked_for_waits_a_minute_and_is_taken_back() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    let mut now = SECOND;
    let mut actions = roster.handle(now, Event::Roll { size: 1 });
    while let [Action::Spawn(next)] = actions[..] {
        roster.handle(now, Event::SpawnFailed(next));
        now = roster.next_deadline().unwrap();
        actions = roster.handle(now, Event::Tick);
    }
    assert_eq!((now, actions), (SECOND * 61, vec![Action::RollFailed]));
    assert_eq!(roster.handle(now * 2, Event::Tick), []);
    assert_eq!(roster.next_deadline(), None);
}

#[test]
fn a_roll_whose_successors_the_kernel_kills_for_want_of_memory_waits_a_minute_and_is_taken_back() {
    for comes_back in [false, true] {
        let mut roster = roster(1);
        fill(&mut roster, Duration::ZERO);
        let mut now = SECOND;
        let mut actions = roster.handle(now, Event::Roll { size: 1 });
        let mut tries = 0;
        while let [Action::Spawn(process)] = actions[..] {
            roster.handle(now, Event::Spawned(process));
            if comes_back && tries == 10 {
                actions = roster.handle(now, Event::Ready(process));
                break;
            }
            let end = Event::Exited {
                process,
                end: End::OutOfMemory,
                was_useful: false,
            };
            assert_eq!(roster.handle(now, end), []);
            tries += 1;
            now = roster.next_deadline().unwrap();
            actions = roster.handle(now, Event::Tick);
        }
        let want = match comes_back {
            true => (SECOND * 11, vec![Action::Retire(id(0, 1)), Action::Rolled]),
            false => (SECOND * 61, vec![Action::RollFailed]),
        };
        assert_eq!((now, actions), want);
        assert_eq!(roster.handle(now * 2, Event::Tick), []);
    }
}
