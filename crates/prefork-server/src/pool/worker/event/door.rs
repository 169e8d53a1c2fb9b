//! The door of a worker with many connections: whether the listener is in its epoll set, and if not, until when.
//!
//! All workers of the pool have the same listener in their sets. `EPOLLEXCLUSIVE` has the kernel wake one of
//! those that wait, the first in its list, and not all. That alone would always be the same one, so a worker that
//! has let a newcomer in steps back to the list's end.
//!
//! A worker that serves one transfer at a time stands in that line only while it has nobody. While it has set
//! connections aside it takes only those whom no free worker takes: the door is ajar.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::super::{DRAIN_GRACE, EXHAUSTED_PAUSE, Worker};
use super::{LISTENER, Manner};
use crate::shared::listener::Share;

/// How often a full worker looks whether a newcomer waits whom no other worker takes. Twice in a row, and an idle
/// connection yields.
const LOOK_WHEN_FULL: Duration = Duration::from_millis(25);

/// How long one that was asked to yield has for it before another is asked: most are gone after 20 ms, but one
/// whose peer is dead lingers for seconds.
const YIELD_TIME: Duration = Duration::from_millis(100);

/// A newcomer whom no free worker has taken for so long is left standing. Each worker waits a little longer than the
/// one before, so that not all of them reach for the same one.
const LEFT_STANDING: Duration = Duration::from_millis(5);

/// Who has taken one that was left standing takes the next ones at once, for so long: there is no free worker. Without
/// it each newcomer would wait for [`LEFT_STANDING`] while every worker has an idle connection.
const EAGER: Duration = Duration::from_secs(1);

/// How long a newcomer has to begin to speak before the next one is let in. A burst of connections whose requests
/// are a moment behind is spread over the workers by that, instead of being hoarded by the first.
const MOMENT: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Door<'w> {
    worker: &'w Worker<'w>,
    manner: Manner,
    /// None once it is shut.
    share: Option<Share<'w>>,
    state: State,
    eager_until: Option<Instant>,
    /// The listener says that a newcomer waits.
    is_knocked: bool,
    is_draining: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the epoll set, in the line of those that wait for newcomers.
    Open,
    /// In the epoll set, but not in the line: the worker has set connections aside.
    Ajar,
    /// Out of the set: a newcomer waits, whom a free worker may take until then.
    Knocked { look_at: Instant },
    /// Out of the set: who has come last has not spoken.
    Moment { until: Instant },
    /// In the set: the server drains and the queue was empty. Once more then, and it is shut.
    Emptied { look_at: Instant },
    /// Out of the set: the worker holds as many connections as it may.
    Full { look_at: Instant, was_queued: bool },
    /// Out of the set: no descriptors.
    Exhausted { until: Instant },
    /// Out of the set for good.
    Shut,
}

/// How many connections the worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    None,
    Some,
    /// As many as it may have.
    Full,
}

/// What a look at the door came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Well,
    /// The worker is full, and a newcomer waits.
    NewcomerIsLeftStanding,
}

impl<'w> Door<'w> {
    /// An open door.
    pub(super) fn open(worker: &'w Worker<'w>, epoll: &Epoll, manner: Manner) -> nix::Result<Self> {
        let door = Self {
            worker,
            manner,
            share: Some(worker.share()),
            state: State::Open,
            eager_until: None,
            is_knocked: false,
            is_draining: false,
        };
        door.put_into(epoll, State::Open)?;
        Ok(door)
    }

    /// What the listener said before the last wait; if it is still so, it says so again.
    pub(super) fn forget_knock(&mut self) {
        self.is_knocked = false;
    }

    /// The listener has said that a newcomer waits.
    pub(super) fn knocked(&mut self) {
        self.is_knocked = true;
    }

    /// Whether it is worth trying to accept.
    pub(super) fn is_to_be_tried(&self, now: Instant) -> bool {
        match self.state {
            State::Open => self.is_knocked || self.is_draining,
            State::Ajar => self.is_knocked && self.is_eager(now),
            State::Knocked { look_at } => look_at <= now,
            State::Emptied { look_at } => self.is_knocked || look_at <= now,
            State::Moment { .. } | State::Full { .. } | State::Exhausted { .. } | State::Shut => {
                false
            }
        }
    }

    /// A newcomer was let in: the next one is another worker's, if one waits.
    pub(super) fn let_in(&mut self, epoll: &Epoll, now: Instant) {
        // While draining all workers are awake anyway.
        if self.is_draining {
            self.state = State::Open;
            return;
        }
        self.take_out_of(epoll);
        match self.manner {
            Manner::Interleaved => self.reopen(epoll, now, State::Open),
            Manner::OneAtATime => {
                if matches!(self.state, State::Knocked { .. }) {
                    self.eager_until = Some(now + EAGER);
                }
                // Another knock is waited for.
                self.is_knocked = false;
                let until = now + MOMENT;
                self.state = State::Moment { until };
            }
        }
    }

    /// Who came last has spoken, or is gone. Who is not in a hurry waits the rest of the moment: most clients have left
    /// by then.
    pub(super) fn newcomer_spoke(&mut self, epoll: &Epoll, now: Instant) {
        if matches!(self.state, State::Moment { .. }) && self.is_eager(now) {
            self.reopen(epoll, now, State::Ajar);
        }
    }

    /// A newcomer was let in, and no more can be.
    pub(super) fn full(&mut self, epoll: &Epoll, now: Instant) {
        self.take_out_of(epoll);
        self.state = State::Full {
            look_at: now + LOOK_WHEN_FULL,
            was_queued: false,
        };
    }

    /// Nobody was there.
    pub(super) fn nobody(&mut self, epoll: &Epoll, now: Instant) {
        self.is_knocked = false;
        match self.state {
            State::Open if self.is_draining => {
                let look_at = now + DRAIN_GRACE;
                self.state = State::Emptied { look_at };
            }
            State::Emptied { look_at } if look_at <= now => self.shut(epoll),
            // Another worker was faster, so there is another worker.
            State::Ajar => self.eager_until = None,
            State::Knocked { .. } => self.reopen(epoll, now, State::Ajar),
            _ => {}
        }
    }

    /// For want of descriptors or memory nobody could be let in. The listener would go on saying that a newcomer
    /// waits, so it is not listened to for a while.
    pub(super) fn exhausted(&mut self, epoll: &Epoll, now: Instant) {
        self.take_out_of(epoll);
        self.wait_for_resources(now);
    }

    /// The queue is still let in, by whichever worker can; then the door is shut.
    pub(super) fn drain(&mut self, epoll: &Epoll, now: Instant) {
        self.is_draining = true;
        if let State::Ajar | State::Knocked { .. } | State::Moment { .. } = self.state {
            self.take_out_of(epoll);
            self.reopen(epoll, now, State::Open);
        }
    }

    /// Nobody is let in any more.
    pub(super) fn shut(&mut self, epoll: &Epoll) {
        self.take_out_of(epoll);
        self.share = None;
        self.state = State::Shut;
    }

    /// Whether it is shut for good.
    pub(super) fn is_shut(&self) -> bool {
        matches!(self.state, State::Shut)
    }

    /// When there is something to do: to try once more, or to [`Door::look`].
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        match self.state {
            // Nobody may be queued: no knock would come, and the worker would stay until it is nudged again.
            State::Open if self.is_draining => Some(now),
            State::Open | State::Ajar | State::Shut => None,
            State::Knocked { look_at } | State::Emptied { look_at } => Some(look_at),
            // Who serves one at a time sends nobody away for others.
            State::Full { look_at, .. } => (self.manner == Manner::Interleaved).then_some(look_at),
            State::Moment { until } | State::Exhausted { until } => Some(until),
        }
    }

    /// Opens the door as far as it can be; finds out whether a newcomer waits in vain if it cannot.
    pub(super) fn look(&mut self, epoll: &Epoll, now: Instant, company: Company) -> Look {
        let is_in_line = self.manner == Manner::Interleaved || self.is_draining;
        let wanted = match company {
            Company::Some if !is_in_line => State::Ajar,
            _ => State::Open,
        };
        match (self.state, company) {
            (State::Exhausted { until }, _) if until <= now => self.reopen(epoll, now, wanted),
            (State::Full { .. }, Company::None | Company::Some) => {
                self.reopen(epoll, now, wanted);
            }
            (State::Full { look_at, .. }, Company::Full)
                if look_at <= now && self.manner == Manner::Interleaved =>
            {
                return self.look_when_full(now);
            }
            (State::Open, Company::Some) if !is_in_line => {
                self.take_out_of(epoll);
                self.reopen(epoll, now, wanted);
            }
            (State::Ajar | State::Knocked { .. } | State::Moment { .. }, Company::None) => {
                self.take_out_of(epoll);
                self.reopen(epoll, now, wanted);
            }
            (State::Ajar | State::Knocked { .. } | State::Moment { .. }, Company::Full) => {
                self.full(epoll, now);
            }
            (State::Moment { until }, Company::Some) if until <= now => {
                self.reopen(epoll, now, wanted);
            }
            (State::Ajar, Company::Some) if self.is_knocked && !self.is_eager(now) => {
                self.take_out_of(epoll);
                let longer = Duration::from_millis(u64::from(self.worker.index % 16));
                let look_at = now + LEFT_STANDING + longer;
                self.state = State::Knocked { look_at };
            }
            _ => {}
        }
        Look::Well
    }

    fn look_when_full(&mut self, now: Instant) -> Look {
        let is_queued = self.worker.is_queued(Duration::ZERO);
        let was_queued = matches!(
            self.state,
            State::Full {
                was_queued: true,
                ..
            }
        );
        let is_left_standing = is_queued && was_queued;
        let pause = match is_left_standing {
            true => YIELD_TIME,
            false => LOOK_WHEN_FULL,
        };
        self.state = State::Full {
            look_at: now + pause,
            was_queued: is_queued,
        };
        match is_left_standing {
            true => Look::NewcomerIsLeftStanding,
            false => Look::Well,
        }
    }

    fn is_eager(&self, now: Instant) -> bool {
        self.eager_until.is_some_and(|until| now < until)
    }

    fn reopen(&mut self, epoll: &Epoll, now: Instant, wanted: State) {
        match self.put_into(epoll, wanted) {
            Ok(()) => self.state = wanted,
            Err(error) => {
                self.worker.book_exhaustion(error, "listen");
                self.wait_for_resources(now);
            }
        }
    }

    fn wait_for_resources(&mut self, now: Instant) {
        self.state = State::Exhausted {
            until: now + EXHAUSTED_PAUSE,
        };
    }

    /// In line: at the end of the list of those whom the kernel wakes. Ajar: woken beside the worker in line.
    fn put_into(&self, epoll: &Epoll, wanted: State) -> nix::Result<()> {
        let flags = match wanted {
            State::Ajar => EpollFlags::EPOLLIN,
            _ => EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE,
        };
        match epoll.add(
            self.worker.listener.socket(),
            EpollEvent::new(flags, LISTENER),
        ) {
            // It could not be taken out: it is where it is to be, if not at the list's end.
            Err(Errno::EEXIST) => Ok(()),
            result => result,
        }
    }

    fn take_out_of(&self, epoll: &Epoll) {
        if let State::Open | State::Ajar | State::Emptied { .. } = self.state {
            // That it is not there any more is what is wanted.
            let _ = epoll.delete(self.worker.listener.socket());
        }
    }
}
