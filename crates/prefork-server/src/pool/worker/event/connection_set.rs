//! The connections of a worker that has many: whose turn it is, and when those that wait have to be looked at.
//!
//! It knows no socket and no clock. Each connection is in exactly one place: in the queue, in hand, or waiting
//! with a deadline. No operation but those on all of them takes longer than the logarithm of their number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

/// One connection's name, never used again, so that what is said of one that is gone concerns nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub(super) u64);

/// All connections of a worker.
#[derive(Debug)]
pub(super) struct ConnectionSet<C> {
    members: BTreeMap<Id, (C, Place)>,
    next: u64,
    /// Those that can go on, in the order in which they came to be able.
    queue: VecDeque<Id>,
    /// Those that wait, by the time until which they may.
    due: BTreeSet<(Instant, Id)>,
    /// Those of them that can be done without, by the time since which they can.
    spare: BTreeSet<(Instant, Id)>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Queue,
    /// It has been taken from the queue: its turn is not over.
    Hand,
    Waiting {
        until: Instant,
        spare_since: Option<Instant>,
    },
}

impl<C> Default for ConnectionSet<C> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            next: 0,
            queue: VecDeque::new(),
            due: BTreeSet::new(),
            spare: BTreeSet::new(),
        }
    }
}

impl<C> ConnectionSet<C> {
    /// A new connection goes to the end of the queue.
    pub(super) fn admit(&mut self, connection: C) -> Id {
        let id = Id(self.next);
        self.next += 1;
        self.members.insert(id, (connection, Place::Queue));
        self.queue.push_back(id);
        id
    }

    /// Takes the connection in front from the queue. After its turn, [`ConnectionSet::again`], [`ConnectionSet::wait`] or
    /// [`ConnectionSet::remove`] says what becomes of it.
    pub(super) fn next(&mut self) -> Option<Id> {
        loop {
            // Of those that were removed the names are still there.
            let id = self.queue.pop_front()?;
            if let Some((_, place)) = self.members.get_mut(&id) {
                *place = Place::Hand;
                return Some(id);
            }
        }
    }

    /// It has more to do at once: it goes to the end of the queue.
    pub(super) fn again(&mut self, id: Id) {
        if let Some((_, place @ Place::Hand)) = self.members.get_mut(&id) {
            *place = Place::Queue;
            self.queue.push_back(id);
        }
    }

    /// It cannot go on until it is woken, or until its time has come.
    pub(super) fn wait(&mut self, id: Id, until: Instant, spare_since: Option<Instant>) {
        if let Some((_, place @ Place::Hand)) = self.members.get_mut(&id) {
            *place = Place::Waiting { until, spare_since };
            self.due.insert((until, id));
            self.spare.extend(spare_since.map(|since| (since, id)));
        }
    }

    /// One that waits goes to the end of the queue; it means nothing to any other.
    pub(super) fn wake(&mut self, id: Id) {
        let Some((_, place)) = self.members.get_mut(&id) else {
            return;
        };
        if let Place::Waiting { until, spare_since } = *place {
            *place = Place::Queue;
            self.queue.push_back(id);
            self.due.remove(&(until, id));
            if let Some(since) = spare_since {
                self.spare.remove(&(since, id));
            }
        }
    }

    /// Wakes those whose time has come.
    pub(super) fn wake_due(&mut self, now: Instant) {
        while let Some((until, id)) = self.due.first().copied()
            && until <= now
        {
            self.wake(id);
        }
    }

    /// Wakes all that wait.
    pub(super) fn wake_all(&mut self) {
        while let Some((_, id)) = self.due.first().copied() {
            self.wake(id);
        }
    }

    /// Takes a connection out, wherever it is.
    pub(super) fn remove(&mut self, id: Id) -> Option<C> {
        self.wake(id);
        self.members.remove(&id).map(|(connection, _)| connection)
    }

    /// Takes any connection out.
    pub(super) fn remove_any(&mut self) -> Option<C> {
        let (id, _) = self.members.first_key_value()?;
        self.remove(*id)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut C> {
        self.members.get_mut(&id).map(|(connection, _)| connection)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut C> {
        self.members.values_mut().map(|(connection, _)| connection)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether any connection is in the queue.
    pub(super) fn has_runnable(&self) -> bool {
        !self.queue.is_empty()
    }

    /// When the next one has to be woken.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(until, _)| *until)
    }

    /// The connection that can be done without longest, and since when.
    pub(super) fn longest_spare(&self) -> Option<(Instant, Id)> {
        self.spare.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// What a plain list of connections would know, looked through at every question.
    #[derive(Debug, Default)]
    struct Model {
        queue: Vec<Id>,
        hand: Vec<Id>,
        waiting: Vec<(Instant, Id, Option<Instant>)>,
    }

    impl Model {
        fn wake(&mut self, is_meant: impl Fn(&(Instant, Id, Option<Instant>)) -> bool) {
            let mut woken: Vec<_> = self.waiting.iter().copied().filter(&is_meant).collect();
            woken.sort_unstable();
            self.waiting.retain(|waiting| !is_meant(waiting));
            self.queue.extend(woken.iter().map(|(_, id, _)| *id));
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Admit,
        Next,
        Again(usize),
        Wait(usize, u64, Option<u64>),
        Wake(u64),
        WakeDue(u64),
        WakeAll,
        Remove(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Admit),
            5 => Just(Step::Next),
            2 => any::<usize>().prop_map(Step::Again),
            4 => (any::<usize>(), 0..50u64, prop::option::of(0..50u64))
                .prop_map(|(which, until, idle)| Step::Wait(which, until, idle)),
            3 => (0..40u64).prop_map(Step::Wake),
            1 => (0..50u64).prop_map(Step::WakeDue),
            1 => Just(Step::WakeAll),
            1 => (0..40u64).prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn every_connection_is_where_a_plain_list_would_have_it(steps in prop::collection::vec(step(), 1..200)) {
            let start = Instant::now();
            let at = |second: u64| start + Duration::from_secs(second);
            let mut connections = ConnectionSet::default();
            let mut model = Model::default();
            for step in steps {
                match step {
                    Step::Admit => model.queue.push(connections.admit(())),
                    Step::Next => {
                        let next = (!model.queue.is_empty()).then(|| model.queue.remove(0));
                        prop_assert_eq!(connections.next(), next);
                        model.hand.extend(next);
                    }
                    Step::Again(which) if !model.hand.is_empty() => {
                        let id = model.hand.remove(which % model.hand.len());
                        connections.again(id);
                        model.queue.push(id);
                    }
                    Step::Wait(which, until, idle) if !model.hand.is_empty() => {
                        let id = model.hand.remove(which % model.hand.len());
                        connections.wait(id, at(until), idle.map(at));
                        model.waiting.push((at(until), id, idle.map(at)));
                    }
                    Step::Again(_) | Step::Wait(..) => {}
                    Step::Wake(id) => {
                        connections.wake(Id(id));
                        model.wake(|(_, waiting, _)| *waiting == Id(id));
                    }
                    Step::WakeDue(now) => {
                        connections.wake_due(at(now));
                        model.wake(|(until, _, _)| *until <= at(now));
                    }
                    Step::WakeAll => {
                        connections.wake_all();
                        model.wake(|_| true);
                    }
                    Step::Remove(id) => {
                        let id = Id(id);
                        let was = connections.remove(id).is_some();
                        let len = model.queue.len() + model.hand.len() + model.waiting.len();
                        model.queue.retain(|other| *other != id);
                        model.hand.retain(|other| *other != id);
                        model.waiting.retain(|(_, other, _)| *other != id);
                        let left = model.queue.len() + model.hand.len() + model.waiting.len();
                        prop_assert_eq!(was, left < len);
                    }
                }
                let len = model.queue.len() + model.hand.len() + model.waiting.len();
                prop_assert_eq!((connections.len(), connections.is_empty()), (len, len == 0));
                prop_assert_eq!(connections.next_due(), model.waiting.iter().map(|(until, ..)| *until).min());
                let idle = model.waiting.iter().filter_map(|(_, id, idle)| Some(((*idle)?, *id)));
                prop_assert_eq!(connections.longest_spare(), idle.min());
                prop_assert!(connections.has_runnable() || model.queue.is_empty());
            }
        }
    }

    #[test]
    fn turns_go_round_and_nobody_is_queued_twice() {
        let mut connections = ConnectionSet::default();
        let [a, b] = [connections.admit("a"), connections.admit("b")];
        // Readiness of one that is queued, or in hand, or gone adds nothing.
        connections.wake(a);
        assert_eq!(connections.next(), Some(a));
        connections.wake(a);
        connections.again(a);
        assert_eq!(connections.next(), Some(b));
        assert_eq!(connections.remove(b), Some("b"));
        connections.wake(b);
        assert_eq!(connections.next(), Some(a));
        assert_eq!(connections.next(), None);
    }
}
