//! The door of an event worker: whether the listener is in its epoll set, and if not, until when.
//!
//! All workers of the pool have the same listener in their sets. `EPOLLEXCLUSIVE` has the kernel wake one of
//! those that wait, the first in its list, and not all. That alone would always be the same one, so whoever has
//! let somebody in steps back to the list's end.

use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::super::{DRAIN_GRACE, EXHAUSTED_PAUSE, Worker};
use super::LISTENER;

/// How often a full worker looks whether somebody waits whom no other worker takes. Twice in a row, and an idle
/// connection yields.
const LOOK_WHEN_FULL: Duration = Duration::from_millis(25);

/// How long one that was asked to yield has for it before another is asked: most are gone after 20 ms, but one
/// whose peer is dead lingers for seconds.
const YIELD_TIME: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Door<'w> {
    worker: &'w Worker<'w>,
    state: State,
    /// The listener says that somebody waits.
    is_knocked: bool,
    is_draining: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the epoll set.
    Open,
    /// The same, but the server drains and the queue was empty: once more then, and it is shut.
    Emptied { look_at: Instant },
    /// Out of the set: the worker holds as many connections as it may.
    Full { look_at: Instant, was_queued: bool },
    /// Out of the set: no descriptors.
    Exhausted { until: Instant },
    /// Out of the set for good.
    Shut,
}

/// What a look at the door came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Well,
    /// The worker is full, and somebody waits.
    SomebodyIsLeftStanding,
}

impl<'w> Door<'w> {
    /// An open door.
    pub(super) fn open(worker: &'w Worker<'w>, epoll: &Epoll) -> nix::Result<Self> {
        let door = Self {
            worker,
            state: State::Open,
            is_knocked: false,
            is_draining: false,
        };
        door.put_into(epoll)?;
        Ok(door)
    }

    /// What the listener said before the last wait; if it is still so, it says so again.
    pub(super) fn forget_knock(&mut self) {
        self.is_knocked = false;
    }

    /// The listener has said that somebody waits.
    pub(super) fn knocked(&mut self) {
        self.is_knocked = true;
    }

    /// Whether it is worth trying to accept.
    pub(super) fn is_to_be_tried(&self, now: Instant) -> bool {
        match self.state {
            State::Open => self.is_knocked || self.is_draining,
            State::Emptied { look_at } => self.is_knocked || look_at <= now,
            State::Full { .. } | State::Exhausted { .. } | State::Shut => false,
        }
    }

    /// Somebody was let in: the next one is another worker's, if one waits.
    pub(super) fn let_in(&mut self, epoll: &Epoll, now: Instant) {
        self.state = State::Open;
        // While draining all workers are awake anyway.
        if !self.is_draining {
            self.take_out_of(epoll);
            self.reopen(epoll, now);
        }
    }

    /// Somebody was let in, and no more can be.
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
        self.state = match self.state {
            State::Open if self.is_draining => State::Emptied {
                look_at: now + DRAIN_GRACE,
            },
            State::Emptied { look_at } if look_at <= now => return self.shut(epoll),
            other => other,
        };
    }

    /// For want of descriptors or memory nobody could be let in. The listener would go on saying that somebody
    /// waits, so it is not listened to for a while.
    pub(super) fn exhausted(&mut self, epoll: &Epoll, now: Instant) {
        self.take_out_of(epoll);
        self.wait_for_resources(now);
    }

    /// Whoever is queued is still let in; then the door is shut.
    pub(super) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Nobody is let in any more.
    pub(super) fn shut(&mut self, epoll: &Epoll) {
        self.take_out_of(epoll);
        self.state = State::Shut;
    }

    /// Whether it is shut for good.
    pub(super) fn is_shut(&self) -> bool {
        matches!(self.state, State::Shut)
    }

    /// When there is something to do: to try once more, or to [`Door::look`].
    pub(super) fn next_look(&self) -> Option<Instant> {
        match self.state {
            State::Open | State::Shut => None,
            State::Emptied { look_at } | State::Full { look_at, .. } => Some(look_at),
            State::Exhausted { until } => Some(until),
        }
    }

    /// Opens the door if it can be; finds out whether somebody waits in vain if it cannot.
    pub(super) fn look(&mut self, epoll: &Epoll, now: Instant, has_room: bool) -> Look {
        match self.state {
            State::Exhausted { until } if until <= now => self.reopen(epoll, now),
            State::Full { .. } if has_room => self.reopen(epoll, now),
            State::Full {
                look_at,
                was_queued,
            } if look_at <= now => {
                let is_queued = self.worker.is_queued(Duration::ZERO);
                let is_left_standing = is_queued && was_queued;
                self.state = State::Full {
                    look_at: now
                        + if is_left_standing {
                            YIELD_TIME
                        } else {
                            LOOK_WHEN_FULL
                        },
                    was_queued: is_queued,
                };
                if is_left_standing {
                    return Look::SomebodyIsLeftStanding;
                }
            }
            _ => {}
        }
        Look::Well
    }

    fn reopen(&mut self, epoll: &Epoll, now: Instant) {
        match self.put_into(epoll) {
            Ok(()) => self.state = State::Open,
            Err(error) => {
                let worker = self.worker.index;
                tracing::warn!(worker, error = error.desc(), "cannot listen; waiting");
                self.wait_for_resources(now);
            }
        }
    }

    fn wait_for_resources(&mut self, now: Instant) {
        self.state = State::Exhausted {
            until: now + EXHAUSTED_PAUSE,
        };
    }

    /// At the end of the list of those whom the kernel wakes.
    fn put_into(&self, epoll: &Epoll) -> nix::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        epoll.add(self.worker.listener, EpollEvent::new(flags, LISTENER))
    }

    fn take_out_of(&self, epoll: &Epoll) {
        // It is in, or the state says otherwise; that it is not there any more is what is wanted.
        let _ = epoll.delete(self.worker.listener);
    }
}
