//! The scoreboard: one slot of shared counters per worker, and the parent's word to each.
//!
//! An anonymous shared mapping, made before the first fork. Every counter has one writer, its worker; the
//! parent only reads them, and trusts none: a number that makes no sense can only make a sum wrong. The one
//! word that goes the other way, the [`Command`], has a cache line of its own and one writer, the parent.
//!
//! Every process has slots of its own, one for each of its workers: while predecessors finish what they have in hand,
//! a successor already counts in its own. What a slot counted survives its process's death; the parent books it in
//! [`crate::supervisor::ledger`] and clears the slot for the next.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proto::announce::{ByLimit, Connections, Counts, Limit, Requests};
use proto::{Code, Verb};

use crate::sys;

/// Words in one slot: 1 KiB, so that slots never share a cache line.
const SLOT_WORDS: usize = 128;

/// Where the parent's word to the worker is: at the start of the slot's last 128 bytes.
const COMMAND_WORD: usize = SLOT_WORDS - 16;

/// How often a slot is read again whose worker was in the middle of booking something.
const READS_MAX: u32 = 4;

/// What the parent tells a worker. What comes later in this list overrides what comes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// Serve.
    Run,
    /// Finish what is in hand and what is queued, then leave.
    Drain,
    /// Accept nothing more, finish what is in hand, then leave: others serve the queue.
    Retire,
    /// Leave now.
    Stop,
}

/// Each field with its words of a slot, one after the other: one, or one for each value of an enum.
macro_rules! fields {
    ($($(#[$meta:meta])* $name:ident $(($arg:ident: $key:ident, $count:expr))?,)*) => {
        /// A counter of one slot.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field {
            $($(#[$meta])* $name $(($key))?,)*
        }

        impl Field {
            const fn word(self) -> usize {
                enum At {
                    $($name,)*
                }
                const LENS: &[usize] = &[$(1 $(+ $count - 1)?,)*];
                const STARTS: [usize; LENS.len()] = starts(LENS);
                const { assert!(STARTS[LENS.len() - 1] + LENS[LENS.len() - 1] <= COMMAND_WORD) };
                match self {
                    $(Self::$name $(($arg))? => STARTS[At::$name as usize] $(+ $arg as usize)?,)*
                }
            }
        }
    };
}

const fn starts<const N: usize>(lens: &[usize]) -> [usize; N] {
    let (mut starts, mut at) = ([0; N], 1);
    while at < N {
        starts[at] = starts[at - 1] + lens[at - 1];
        at += 1;
    }
    starts
}

fields! {
    /// Connections taken from the listener.
    Accepted,
    /// Connections that ended in some way.
    Ended(end: ConnectionEnd, 6),
    /// Requests whose head was complete or refused.
    Started,
    /// Requests carried out, booked before the end of the answer is sent, and taken back if it cannot be.
    Ok(verb: Verb, Verb::ALL.len()),
    /// Content bytes of the requests carried out, booked like [`Field::Ok`].
    OkBytes(verb: Verb, Verb::ALL.len()),
    /// Requests answered with an error, booked like [`Field::Ok`].
    Error(code: Code, Code::ALL.len()),
    /// Those of [`Field::Ok`] whose answer is sent: this one never goes down.
    Sent(verb: Verb, Verb::ALL.len()),
    /// Those of [`Field::OkBytes`] whose answer is sent.
    SentBytes(verb: Verb, Verb::ALL.len()),
    /// Those of [`Field::Error`] whose answer is sent.
    SentError(code: Code, Code::ALL.len()),
    /// Requests that ended without an answer.
    Unanswered(end: RequestEnd, 4),
    /// Connections refused because their address had too many.
    OverAddressCap,
    /// Accepts that failed for something that is short for a while.
    AcceptErrors(limit: Limit, Limit::ALL.len()),
    /// Requests whose line in the access log could not be written.
    Unlogged,
    /// Encoded content sent from the encoded cache.
    SentFromCacheBytes,
    /// The worker's VmHWM in bytes; set rather than added to.
    PeakRss,
    /// Connections that a blocking worker has set aside; set rather than added to.
    SetAside,
    /// Goes up whenever the worker comes round its loop: one that stands still for long is hung.
    SignsOfLife,
    /// 1 while the worker is in a call of the store that may wait for the disk, as fsync may.
    InStore,
}

/// How a connection ended, as its worker saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// In good order, by either side.
    Closed,
    /// The peer vanished in the middle of a request or reply.
    ClientGone,
    /// A deadline or the least rate.
    TimedOut,
    /// Broken framing, or over a limit.
    Refused,
    /// A stop.
    AbortedByStop,
    /// A panic that the worker itself survived, as a thread does. Deaths are booked by the parent.
    AbortedByCrash,
}

proto::worded! {
    /// How a request ended that got no answer.
    pub enum RequestEnd {
        /// The peer vanished.
        ClientGone = "client_gone",
        /// The peer was too slow.
        TimedOut = "timed_out",
        /// A stop.
        AbortedByStop = "aborted_by_stop",
        /// A panic that the worker itself survived.
        AbortedByCrash = "aborted_by_crash",
    }
}

/// All slots.
#[derive(Debug, Clone, Copy)]
pub struct Scoreboard {
    words: &'static [AtomicU64],
}

/// One worker's slot.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    words: &'static [AtomicU64],
}

impl Scoreboard {
    /// A zeroed scoreboard of so many slots, shared with every process forked from now on. Only the pages of slots
    /// that are used cost memory.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn new(slots: u32) -> nix::Result<Self> {
        Ok(Self {
            words: sys::shared_words(slots as usize * SLOT_WORDS)?,
        })
    }

    /// One slot.
    ///
    /// # Panics
    /// If there is no such slot: they are given out by the parent, never by a worker.
    #[must_use]
    pub fn slot(&self, index: u32) -> Slot {
        let start = index as usize * SLOT_WORDS;
        Slot {
            words: &self.words[start..start + SLOT_WORDS],
        }
    }
}

/// Which workers a process is, and where they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// One, or for the thread pool all.
    pub workers: std::ops::Range<u32>,
    /// The slot of the first of them; the others' follow.
    pub first_slot: u32,
}

impl Assignment {
    /// The workers with their slots.
    pub(crate) fn slots(&self, scoreboard: &Scoreboard) -> impl Iterator<Item = (u32, Slot)> {
        self.workers
            .clone()
            .zip(self.first_slot..)
            .map(|(worker, index)| (worker, scoreboard.slot(index)))
    }

    /// The numbers of its workers among all that use the cache: those of their slots.
    pub(crate) fn readers(&self) -> std::ops::Range<u32> {
        self.first_slot..self.first_slot + (self.workers.end - self.workers.start)
    }

    /// The first worker's slot: the parent tells all workers of a process the same.
    #[must_use]
    pub(crate) fn slot(&self, scoreboard: &Scoreboard) -> Slot {
        scoreboard.slot(self.first_slot)
    }
}

impl Slot {
    /// Adds to a counter. Only the slot's worker calls this, so load and store need not be one step.
    pub fn add(&self, field: Field, amount: u64) {
        let word = &self.words[field.word()];
        word.store(word.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Takes back what was added too early. Only the slot's worker calls this.
    pub fn take_back(&self, field: Field, amount: u64) {
        let word = &self.words[field.word()];
        word.store(word.load(Relaxed).wrapping_sub(amount), Relaxed);
    }

    /// Sets a gauge. Only the slot's worker calls this.
    pub fn set(&self, field: Field, value: u64) {
        self.words[field.word()].store(value, Relaxed);
    }

    /// Does what may wait for the disk, and lets the parent know meanwhile.
    pub fn in_store<T>(&self, work: impl FnOnce() -> T) -> T {
        self.set(Field::InStore, 1);
        let result = work();
        self.set(Field::InStore, 0);
        result
    }

    /// Makes the slot ready for a new process. Only the parent calls this, when no process has it.
    pub fn clear(&self) {
        for word in self.words {
            word.store(0, Relaxed);
        }
    }

    /// Reads a counter.
    #[must_use]
    pub fn get(&self, field: Field) -> u64 {
        self.words[field.word()].load(Relaxed)
    }

    /// What the parent wants of this worker.
    #[must_use]
    pub fn command(&self) -> Command {
        let known = [Command::Run, Command::Drain, Command::Retire];
        let word = self.words[COMMAND_WORD].load(Relaxed);
        let known = known.into_iter().find(|it| *it as u64 == word);
        known.unwrap_or(Command::Stop)
    }

    /// Tells the worker. Only the parent calls this, and then signals, so that a waiting worker looks.
    pub fn tell(&self, command: Command) {
        self.words[COMMAND_WORD].store(command as u64, Relaxed);
    }

    /// What a worker that goes on counting has counted: no number that is shown now is smaller later, so an answer
    /// counts when it is sent, and is in flight until then. Read again, a few times at the most, when the numbers do
    /// not fit together.
    #[must_use]
    pub fn counts_while_running(&self) -> Counts {
        let read = || self.read(Field::Sent, Field::SentBytes, Field::SentError);
        let mut counts = read();
        for _ in 0..READS_MAX {
            if counts.connections.is_balanced() && counts.requests.is_balanced() {
                break;
            }
            counts = read();
        }
        counts
    }

    /// Everything the slot has counted, with what is not yet ended as `in_flight`, deaths included: those
    /// are booked in [`crate::supervisor::ledger`]. An answer counts from when it was about to be sent: were the worker killed
    /// now, its client might have it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.read(Field::Ok, Field::OkBytes, Field::Error)
    }

    /// How many accepts failed, by what was short.
    #[must_use]
    pub fn accept_errors(&self) -> ByLimit {
        let mut by_limit = ByLimit::default();
        for limit in Limit::ALL {
            *by_limit.get_mut(limit) = self.get(Field::AcceptErrors(limit));
        }
        by_limit
    }

    fn read(
        &self,
        ok: fn(Verb) -> Field,
        ok_bytes: fn(Verb) -> Field,
        error: fn(Code) -> Field,
    ) -> Counts {
        // Ends first: what begins and ends in between then shows as in flight, and not as an end without a beginning.
        let ended = |end| self.get(Field::Ended(end));
        let accept_errors = self.accept_errors();
        let mut connections = Connections {
            closed: ended(ConnectionEnd::Closed),
            client_gone: ended(ConnectionEnd::ClientGone),
            timed_out: ended(ConnectionEnd::TimedOut),
            refused: ended(ConnectionEnd::Refused),
            refused_over_address_cap: self.get(Field::OverAddressCap),
            accept_errors: accept_errors.total(),
            accept_errors_by_limit: accept_errors,
            aborted_by_stop: ended(ConnectionEnd::AbortedByStop),
            aborted_by_crash: ended(ConnectionEnd::AbortedByCrash),
            ..Connections::default()
        };
        let unanswered = |end| self.get(Field::Unanswered(end));
        let mut requests = Requests {
            client_gone: unanswered(RequestEnd::ClientGone),
            timed_out: unanswered(RequestEnd::TimedOut),
            aborted_by_stop: unanswered(RequestEnd::AbortedByStop),
            aborted_by_crash: unanswered(RequestEnd::AbortedByCrash),
            unlogged: self.get(Field::Unlogged),
            sent_from_cache_bytes: self.get(Field::SentFromCacheBytes),
            ..Requests::default()
        };
        for verb in Verb::ALL {
            *requests.ok.get_mut(verb) = self.get(ok(verb));
            *requests.ok_bytes.get_mut(verb) = self.get(ok_bytes(verb));
        }
        for code in Code::ALL {
            *requests.errors.get_mut(code) = self.get(error(code));
        }
        requests.started = self.get(Field::Started);
        connections.accepted = self.get(Field::Accepted);
        connections.settle();
        requests.settle();
        Counts {
            connections,
            requests,
        }
    }
}
