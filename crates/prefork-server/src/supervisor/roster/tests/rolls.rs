//! Other settings: whoever has others than those in force is replaced.

use super::*;

#[test]
fn a_roll_replaces_one_seat_after_the_other_each_when_its_successor_is_ready() {
    let mut roster = roster(3);
    fill(&mut roster, Duration::ZERO);
    let mut actions = roster.handle(SECOND, Event::Roll { size: 3 });
    for seat in 0..3 {
        assert_eq!(actions, [Action::Spawn(id(seat, 2))], "one at a time");
        assert_eq!(roster.handle(SECOND, Event::Spawned(id(seat, 2))), []);
        actions = roster.handle(SECOND, Event::Ready(id(seat, 2)));
        assert_eq!(actions.remove(0), Action::Retire(id(seat, 1)));
    }
    assert_eq!(actions, [Action::Rolled]);
    for seat in 0..3 {
        assert_eq!(leave(&mut roster, SECOND, id(seat, 1)), []);
    }
    assert_eq!(roster.living(), 3);
}

#[test]
fn a_second_roll_waits_for_nobody_who_still_finishes_what_it_has_in_hand() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    for generation in 1..=3 {
        assert_eq!(
            settle(&mut roster, SECOND, Event::Roll { size: 1 }),
            [Action::Retire(id(0, generation)), Action::Rolled]
        );
    }
    assert_eq!(roster.living(), 4);
}

#[test]
fn at_four_times_the_workers_a_roll_hurries_those_who_have_retired_for_the_longest() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    for _ in 0..3 {
        settle(&mut roster, SECOND, Event::Roll { size: 2 });
    }
    assert_eq!(roster.living(), 8);
    let at = SECOND * 100;
    // Two are to come, so two are hurried: once.
    assert_eq!(
        roster.handle(at, Event::Roll { size: 2 }),
        [Action::Hurry(id(0, 1)), Action::Hurry(id(1, 1))]
    );
    assert_eq!(roster.handle(at, Event::Roll { size: 2 }), []);
    let cut_at = at + Policy::default().drain_timeout;
    assert_eq!(roster.next_deadline(), Some(cut_at));
    assert_eq!(
        leave(&mut roster, at, id(1, 1)),
        [Action::Spawn(id(0, 5))],
        "whoever leaves first makes room"
    );
    assert_eq!(roster.handle(cut_at, Event::Tick), [Action::Cut(id(0, 1))]);
    let dead = cut_at + SECOND * 2;
    assert_eq!(roster.handle(dead, Event::Tick)[0], Action::Kill(id(0, 1)));
    assert_eq!(crash(&mut roster, dead, id(0, 1), true), []);
    assert_eq!(roster.living(), 8 - 2);
}

#[test]
fn two_rolls_in_a_row_leave_nobody_with_the_settings_of_the_first() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    assert_eq!(
        roster.handle(SECOND, Event::Roll { size: 2 }),
        [Action::Spawn(id(0, 2))]
    );
    roster.handle(SECOND, Event::Spawned(id(0, 2)));
    // The second comes while the first successor boots.
    assert_eq!(roster.handle(SECOND, Event::Roll { size: 2 }), []);
    assert_eq!(
        settle(&mut roster, SECOND, Event::Ready(id(0, 2))),
        [
            Action::Retire(id(0, 1)),
            Action::Retire(id(0, 2)),
            Action::Retire(id(1, 1)),
            Action::Rolled
        ]
    );
}

#[test]
fn a_roll_replaces_a_worker_that_was_booting_when_it_began() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    crash(&mut roster, SECOND, id(1, 1), true);
    roster.handle(SECOND, Event::Spawned(id(1, 2)));
    let others = settle(&mut roster, SECOND, Event::Roll { size: 2 });
    assert_eq!(others, [Action::Retire(id(0, 1))]);
    assert!(roster.is_rolling());
    assert_eq!(
        settle(&mut roster, SECOND, Event::Ready(id(1, 2))),
        [Action::Retire(id(1, 2)), Action::Rolled]
    );
}

#[test]
fn a_roll_is_taken_back_also_where_the_worker_before_it_died_meanwhile() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    roster.handle(SECOND, Event::Roll { size: 3 });
    roster.handle(SECOND, Event::Spawned(id(0, 2)));
    assert_eq!(crash(&mut roster, SECOND, id(0, 1), true), []);
    let mut now = SECOND;
    for generation in 2..=3 {
        crash(&mut roster, now, id(0, generation), false);
        now = roster.next_deadline().unwrap();
        roster.handle(now, Event::Tick);
        roster.handle(now, Event::Spawned(id(0, generation + 1)));
    }
    assert_eq!(
        crash(&mut roster, now, id(0, 4), false),
        [Action::RollFailed, Action::Spawn(id(0, 5))],
        "with the settings before, in a pool of its size before"
    );
    assert_eq!(roster.wanted(), 1);
}

#[test]
fn a_size_that_was_asked_for_during_a_roll_outlives_its_failure() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    roster.handle(SECOND, Event::Roll { size: 1 });
    settle(&mut roster, SECOND, Event::Resize(2));
    roster.handle(SECOND, Event::Spawned(id(0, 2)));
    let mut now = SECOND;
    for generation in 2..=4 {
        crash(&mut roster, now, id(0, generation), false);
        now = roster.next_deadline().unwrap_or(now);
        roster.handle(now, Event::Tick);
        roster.handle(now, Event::Spawned(id(0, generation + 1)));
    }
    assert!(!roster.is_rolling());
    assert_eq!(roster.wanted(), 2);
}

#[test]
fn a_roll_whose_successor_dies_again_and_again_is_taken_back() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    roster.handle(SECOND, Event::Roll { size: 2 });
    roster.handle(SECOND, Event::Spawned(id(0, 2)));
    roster.handle(SECOND, Event::Ready(id(0, 2)));
    let mut now = SECOND;
    for generation in 2..=4 {
        roster.handle(now, Event::Spawned(id(1, generation)));
        let actions = crash(&mut roster, now, id(1, generation), false);
        if generation == 4 {
            // The first seat had been replaced: it goes back.
            assert_eq!(actions, [Action::RollFailed, Action::Spawn(id(0, 3))]);
        } else {
            assert_eq!(actions, []);
            now = roster.next_deadline().unwrap();
            let again = Action::Spawn(id(1, generation + 1));
            assert_eq!(roster.handle(now, Event::Tick), [again]);
        }
    }
    assert!(!roster.is_rolling());
    roster.handle(now, Event::Spawned(id(0, 3)));
    assert_eq!(
        roster.handle(now, Event::Ready(id(0, 3))),
        [Action::Retire(id(0, 2))]
    );
    leave(&mut roster, now, id(0, 1));
    leave(&mut roster, now, id(0, 2));
    assert_eq!(roster.handle(now * 100, Event::Tick), []);
    assert_eq!(roster.next_deadline(), None);
}
