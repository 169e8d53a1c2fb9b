//! The rules of the roster, with made-up time.

mod model;
mod rolls;
mod scarcity;
mod world;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn roster(size: u32) -> Roster {
    Roster::new(size, Policy::default())
}

fn id(seat: u32, generation: u32) -> ProcessId {
    ProcessId { seat, generation }
}

/// Obeys every spawn at once, each process becoming ready at once; says what else was to be done.
fn settle(roster: &mut Roster, now: Duration, event: Event) -> Vec<Action> {
    let mut others = Vec::new();
    let mut actions = roster.handle(now, event);
    while !actions.is_empty() {
        let action = actions.remove(0);
        match action {
            Action::Spawn(process) => {
                actions.extend(roster.handle(now, Event::Spawned(process)));
                actions.extend(roster.handle(now, Event::Ready(process)));
            }
            other => others.push(other),
        }
    }
    others
}

fn fill(roster: &mut Roster, now: Duration) -> Vec<Action> {
    settle(roster, now, Event::Tick)
}

fn crash(roster: &mut Roster, now: Duration, process: ProcessId, was_useful: bool) -> Vec<Action> {
    roster.handle(
        now,
        Event::Exited {
            process,
            end: End::Crashed,
            was_useful,
        },
    )
}

fn leave(roster: &mut Roster, now: Duration, process: ProcessId) -> Vec<Action> {
    roster.handle(
        now,
        Event::Exited {
            process,
            end: End::Cleanly,
            was_useful: false,
        },
    )
}

#[test]
fn a_full_pool_is_announced_once() {
    let mut roster = roster(3);
    assert_eq!(fill(&mut roster, Duration::ZERO), [Action::Announce]);
    assert_eq!(roster.living(), 3);
    crash(&mut roster, SECOND, id(1, 1), true);
    assert_eq!(fill(&mut roster, SECOND), []);
}

#[test]
fn a_worker_that_was_useful_is_replaced_at_once() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    assert_eq!(
        crash(&mut roster, SECOND / 10, id(1, 1), true),
        [Action::Spawn(id(1, 2))]
    );
}

#[test]
fn early_deaths_are_followed_by_longer_and_longer_pauses() {
    let mut roster = Roster::new(
        8,
        Policy {
            patience_min: 16,
            ..Policy::default()
        },
    );
    fill(&mut roster, Duration::ZERO);
    let mut now = Duration::ZERO;
    for deaths in 0..8 {
        assert_eq!(crash(&mut roster, now, id(0, deaths + 1), false), []);
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
    for generation in 1..=3 {
        crash(&mut roster, now, id(0, generation), false);
        now = roster.next_deadline().unwrap();
        fill(&mut roster, now);
    }
    assert_eq!(
        crash(&mut roster, now, id(0, 4), true),
        [Action::Spawn(id(0, 5))]
    );
}

#[test]
fn a_pool_that_never_serves_is_given_up() {
    let mut roster = roster(1);
    let mut now = Duration::ZERO;
    for generation in 1..=4 {
        fill(&mut roster, now);
        crash(&mut roster, now, id(0, generation), false);
        now = roster.next_deadline().unwrap();
    }
    fill(&mut roster, now);
    let actions = crash(&mut roster, now, id(0, 5), false);
    assert_eq!(
        actions,
        [Action::TellStop, Action::GiveUp(Reason::EarlyDeaths)]
    );
}

#[test]
fn a_storm_of_kills_under_load_is_survived() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    for kill in 0..1000u32 {
        let now = Duration::from_millis(u64::from(kill));
        let (seat, generation) = (kill % 2, kill / 2 + 1);
        let spawn = Action::Spawn(id(seat, generation + 1));
        assert_eq!(crash(&mut roster, now, id(seat, generation), true), [spawn]);
        roster.handle(now, Event::Spawned(id(seat, generation + 1)));
        roster.handle(now, Event::Ready(id(seat, generation + 1)));
    }
}

#[test]
fn a_worker_that_does_not_become_ready_is_killed() {
    let mut roster = roster(1);
    let first = id(0, 1);
    assert_eq!(
        roster.handle(Duration::ZERO, Event::Tick),
        [Action::Spawn(first)]
    );
    roster.handle(Duration::ZERO, Event::Spawned(first));
    assert_eq!(roster.next_deadline(), Some(SECOND * 10));
    assert_eq!(
        roster.handle(SECOND * 10, Event::Tick),
        [Action::Kill(first)]
    );
    assert_eq!(roster.handle(SECOND * 11, Event::Tick), []);
}

#[test]
fn a_worker_that_says_it_is_ready_while_it_is_being_killed_is_not_believed() {
    let mut roster = roster(1);
    roster.handle(Duration::ZERO, Event::Tick);
    roster.handle(Duration::ZERO, Event::Spawned(id(0, 1)));
    let late = Policy::default().boot_timeout;
    assert_eq!(roster.handle(late, Event::Tick), [Action::Kill(id(0, 1))]);
    assert_eq!(roster.handle(late, Event::Ready(id(0, 1))), []);
}

#[test]
fn a_hung_worker_is_aborted_once_and_killed_if_that_is_not_enough() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    let hung = id(1, 1);
    assert_eq!(
        roster.handle(SECOND, Event::Hung(hung)),
        [Action::Abort(hung)]
    );
    assert_eq!(roster.handle(SECOND, Event::Hung(hung)), []);
    assert_eq!(roster.next_deadline(), Some(SECOND * 3));
    assert_eq!(roster.handle(SECOND * 3, Event::Tick), [Action::Kill(hung)]);
    assert_eq!(roster.next_deadline(), None);
    assert_eq!(
        crash(&mut roster, SECOND * 4, hung, false),
        [Action::Spawn(id(1, 2))]
    );
}

#[test]
fn a_worn_out_worker_serves_until_its_successor_is_ready() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    let worn_out = Event::WornOut(id(1, 1));
    assert_eq!(roster.handle(SECOND, worn_out), [Action::Spawn(id(1, 2))]);
    assert_eq!(roster.handle(SECOND, worn_out), []);
    roster.handle(SECOND, Event::Spawned(id(1, 2)));
    // The first successor dies: the next comes after a pause, and nobody is given up for it.
    assert_eq!(crash(&mut roster, SECOND, id(1, 2), false), []);
    let again = roster.next_deadline().unwrap();
    assert!(again > SECOND && again < SECOND * 2);
    assert_eq!(
        settle(&mut roster, again, Event::Tick),
        [Action::Retire(id(1, 1))]
    );
}

#[test]
fn a_worker_that_retires_for_too_long_is_cut_and_then_killed() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    settle(&mut roster, Duration::ZERO, Event::Roll { size: 1 });
    let retiring = id(0, 1);
    assert_eq!(roster.next_deadline(), Some(SECOND * 3600));
    assert_eq!(
        roster.handle(SECOND * 3600, Event::Tick),
        [Action::Cut(retiring)]
    );
    assert_eq!(
        roster.handle(SECOND * 3602, Event::Tick),
        [Action::Kill(retiring)]
    );
    assert_eq!(crash(&mut roster, SECOND * 3603, retiring, true), []);
    assert_eq!(roster.living(), 1);
}

#[test]
fn a_pool_grows_and_shrinks() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    assert_eq!(settle(&mut roster, SECOND, Event::Resize(3)), []);
    assert_eq!(roster.living(), 3);
    assert_eq!(
        settle(&mut roster, SECOND, Event::Resize(1)),
        [Action::Retire(id(1, 1)), Action::Retire(id(2, 1))]
    );
    assert_eq!(leave(&mut roster, SECOND, id(2, 1)), []);
    // Grown again while one is still finishing: it is not needed back, a new one comes beside it.
    assert_eq!(settle(&mut roster, SECOND, Event::Resize(3)), []);
    assert_eq!(leave(&mut roster, SECOND, id(1, 1)), []);
    assert_eq!(roster.living(), 3);
    assert_eq!(settle(&mut roster, SECOND, Event::Resize(0)).len(), 2);
    assert_eq!(roster.wanted(), 1);
}

#[test]
fn a_hand_over_lets_everyone_finish_and_fills_no_seat_again() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    assert_eq!(
        roster.handle(SECOND, Event::HandOver),
        [Action::Retire(id(0, 1)), Action::Retire(id(1, 1))]
    );
    assert_eq!(crash(&mut roster, SECOND, id(0, 1), true), []);
    assert_eq!(leave(&mut roster, SECOND, id(1, 1)), [Action::Finish]);
}

#[test]
fn a_graceful_stop_ends_when_the_last_worker_has_left() {
    let mut roster = roster(2);
    fill(&mut roster, Duration::ZERO);
    assert_eq!(roster.handle(SECOND, Event::Drain), [Action::TellDrain]);
    assert_eq!(leave(&mut roster, SECOND, id(0, 1)), []);
    assert_eq!(leave(&mut roster, SECOND, id(1, 1)), [Action::Finish]);
}

#[test]
fn a_graceful_stop_that_takes_too_long_is_cut_and_then_killed() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    roster.handle(SECOND, Event::Drain);
    assert_eq!(roster.next_deadline(), Some(SECOND * 31));
    assert_eq!(roster.handle(SECOND * 31, Event::Tick), [Action::TellStop]);
    assert_eq!(roster.next_deadline(), Some(SECOND * 33));
    let first = id(0, 1);
    assert_eq!(
        roster.handle(SECOND * 33, Event::Tick),
        [Action::Kill(first)]
    );
    assert_eq!(
        crash(&mut roster, SECOND * 34, first, false),
        [Action::Finish]
    );
}

#[test]
fn a_second_signal_cuts_at_once() {
    let mut roster = roster(1);
    fill(&mut roster, Duration::ZERO);
    roster.handle(SECOND, Event::Drain);
    assert_eq!(roster.handle(SECOND, Event::Stop), [Action::TellStop]);
    assert_eq!(roster.handle(SECOND, Event::Stop), []);
}
