//! One epoll loop that serves many connections: an event worker's, and that of a blocking worker which sets
//! connections aside.
//!
//! A round: wait until a connection can go on; queue those that can and those whose time has come; let a newcomer in;
//! give those in the queue their turns, in the order in which they came to be able. After a few milliseconds look at
//! the parent's word and at who can go on now. No part of a round takes longer for the connections that only wait.
//!
//! An event worker's turn is a bounded piece of work, whatever the connection is in the middle of. A blocking worker
//! stays with a connection to the end of its transfer; one that is between two requests, or has not ended a head, is
//! set aside. File work happens inside a turn: while one connection waits for the disk, all of this worker's do.

mod connection_set;
mod door;

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::{Accepted, EXHAUSTED_PAUSE, Left, Worker, timeout};
use crate::connection::drive::{Connection, Interest, Pause, Stage};
use crate::connection::session::BufferPool;
use crate::shared::report::LOOK;
use crate::shared::scoreboard::{Command, Field};
use crate::shared::title;

use connection_set::{ConnectionSet, Id};
use door::{Company, Door, Look};

/// How many events one wait takes. Those beyond come with the next.
const EVENTS_LEN: usize = 256;

/// For how long a round gives turns before the parent's word is looked at and new events are taken. A turn that is
/// longer, because of the disk, ends its round.
const ROUND_TIME: Duration = Duration::from_millis(5);

/// How long a connection of a full event worker may idle between requests while a newcomer waits in the backlog.
const IDLE_WHILE_OTHERS_WAIT: Duration = Duration::from_millis(200);

/// For how long it is good that a peer had not sent its end when a wait ended. A worker that many connections keep from
/// a turn for longer looks again: among them are those who ask and go.
const PEER_KNOWN: Duration = Duration::from_millis(1);

/// What the listener is called in the epoll set. A connection's name is its [`Id`], from 0.
const LISTENER: u64 = u64::MAX;

/// How those that can go on are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// A turn each.
    Interleaved,
    /// A transfer to its end before anybody else's turn; while the worker drains a turn each, so that a slow transfer
    /// keeps nobody from being answered before the end.
    OneAtATime,
}

/// Reports that it is ready, once it has all that it needs for that; then accepts and serves, up to
/// `connections_max` connections at once, until told to leave.
#[must_use]
pub(crate) fn run(worker: &Worker<'_>, connections_max: usize) -> Left {
    Loop::new(worker, connections_max, Manner::Interleaved)
        .and_then(|ready| {
            worker.reporter.ready()?;
            ready.serve()
        })
        .unwrap_or_else(Left::Failed)
}

pub(super) struct Loop<'w> {
    worker: &'w Worker<'w>,
    connections_max: usize,
    manner: Manner,
    epoll: Epoll,
    /// What the last wait took.
    events: Box<[EpollEvent]>,
    door: Door<'w>,
    connections: ConnectionSet<Member<'w>>,
    /// Who has had its turn and has more to do. It queues behind those who came to be able during its turn.
    turned: Option<Id>,
    /// Who was let in last, until it has spoken.
    newcomer: Option<Id>,
    buffer_pool: BufferPool,
    is_draining: bool,
}

struct Member<'w> {
    connection: Box<Connection<'w>>,
    /// What the epoll set has it for; none before its first wait.
    armed: Option<Interest>,
    /// What the last wait said of it, if it has had no turn since.
    flags: EpollFlags,
}

impl<'w> Loop<'w> {
    pub(super) fn new(
        worker: &'w Worker<'w>,
        connections_max: usize,
        manner: Manner,
    ) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            worker,
            connections_max,
            manner,
            door: Door::open(worker, &epoll, manner)?,
            epoll,
            events: vec![EpollEvent::empty(); EVENTS_LEN].into(),
            connections: ConnectionSet::default(),
            turned: None,
            newcomer: None,
            buffer_pool: BufferPool::default(),
            is_draining: false,
        })
    }

    pub(super) fn serve(mut self) -> nix::Result<Left> {
        self.worker.wait_at_the_gate();
        loop {
            self.worker.reporter.count_round(self.worker.slot);
            self.worker.see_to_logs();
            match self.worker.slot.command() {
                Command::Run => {}
                Command::Drain => self.drain(),
                Command::Retire => self.retire(),
                Command::Stop => return Ok(self.abort_all()),
            }
            if self.door.is_shut() && self.connections.is_empty() {
                return Ok(Left::Asked);
            }
            self.wait()?;
            self.give_turns()?;
            self.mind_the_door(Instant::now());
        }
    }

    /// Waits until something happens or is due, and wakes whom it concerns.
    fn wait(&mut self) -> nix::Result<()> {
        self.count_set_aside(self.connections.len());
        let timeout = if self.has_runnable() {
            PollTimeout::ZERO
        } else {
            let now = Instant::now();
            let due = [self.connections.next_due(), self.door.next_look(now)];
            let until = due.into_iter().flatten().fold(now + LOOK, Instant::min);
            timeout(until, now)
        };
        let len = match self.epoll.wait(&mut self.events, timeout) {
            Ok(len) => len,
            // The parent's signal.
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error),
        };
        self.door.forget_knock();
        for event in &self.events[..len] {
            match event.data() {
                LISTENER => self.door.knocked(),
                id => {
                    self.connections.wake(Id(id));
                    if let Some(member) = self.connections.get_mut(Id(id)) {
                        member.flags = event.events();
                    }
                }
            }
        }
        Ok(())
    }

    fn give_turns(&mut self) -> nix::Result<()> {
        let began = Instant::now();
        let mut now = began;
        self.connections.wake_due(now);
        self.let_one_in(now)?;
        while now < began + ROUND_TIME {
            if let Some(id) = self.turned.take() {
                self.connections.again(id);
            }
            let Some(id) = self.connections.next() else {
                break;
            };
            self.tell_of_peer(id, now - began);
            self.give_turn(id, now);
            if !self.has_runnable() {
                // The next newcomer is as well served by a worker that sleeps, and the pool more evenly.
                break;
            }
            now = Instant::now();
            self.let_one_in(now)?;
        }
        Ok(())
    }

    fn has_runnable(&self) -> bool {
        self.turned.is_some() || self.connections.has_runnable()
    }

    /// Passes on to a connection what the last wait, which ended so long ago, has shown of its peer.
    fn tell_of_peer(&mut self, id: Id, age: Duration) {
        let Some(member) = self.connections.get_mut(id) else {
            return;
        };
        let flags = std::mem::replace(&mut member.flags, EpollFlags::empty());
        if flags == EpollFlags::EPOLLIN && age < PEER_KNOWN {
            member.connection.peer_goes_on();
        }
    }

    fn give_turn(&mut self, id: Id, now: Instant) {
        loop {
            // However long the others' turns take, the parent wants a sign of life.
            self.worker.reporter.count_round(self.worker.slot);
            let Some(member) = self.connections.get_mut(id) else {
                return;
            };
            let pause = self
                .worker
                .drive(&mut member.connection, &mut self.buffer_pool);
            let stage = member.connection.stage();
            if self.newcomer == Some(id) && (stage != Stage::Head || pause == Pause::Over) {
                self.newcomer = None;
                self.door.newcomer_spoke(&self.epoll, now);
            }
            if pause == Pause::Over {
                return self.close(id);
            }
            let stays = self.manner == Manner::OneAtATime && !self.is_draining;
            if !stays || stage != Stage::Transfer {
                return self.put_back(id, pause, stage, now);
            }
            self.count_set_aside(self.connections.len() - 1);
            self.worker.see_to_logs();
            self.wait_for(id, pause);
            if self.worker.slot.command() != Command::Run {
                // Seen to by the loop.
                self.turned = Some(id);
                return;
            }
        }
    }

    /// Waits for the one connection that the worker stays with.
    fn wait_for(&mut self, id: Id, pause: Pause) {
        if let Pause::NotNow { interest, until } = pause
            && let Some(member) = self.connections.get_mut(id)
        {
            self.worker.wait(&member.connection, interest, until);
        }
    }

    /// Its turn is over, and it is not.
    fn put_back(&mut self, id: Id, pause: Pause, stage: Stage, now: Instant) {
        let Pause::NotNow { interest, until } = pause else {
            self.turned = Some(id);
            return;
        };
        let is_spare = match self.manner {
            Manner::Interleaved => stage == Stage::Idle,
            Manner::OneAtATime => stage == Stage::Lingering,
        };
        let Some(member) = self.connections.get_mut(id) else {
            return;
        };
        match arm(&self.epoll, id, member, interest) {
            Ok(()) => self.connections.wait(id, until, is_spare.then_some(now)),
            Err(error) => {
                // It is driven again after a pause, and asks again for what it waits for.
                self.worker.book_exhaustion(error, "wait for a connection");
                let until = until.min(now + EXHAUSTED_PAUSE);
                self.connections.wait(id, until, is_spare.then_some(now));
            }
        }
    }

    /// How many connections the worker has set aside, for the status.
    fn count_set_aside(&self, connections: usize) {
        let is_set_aside = self.manner == Manner::OneAtATime && !self.is_draining;
        let connections = if is_set_aside { connections } else { 0 };
        let slot = self.worker.slot;
        slot.set(Field::SetAside, connections as u64);
    }

    fn close(&mut self, id: Id) {
        if let Some(member) = self.connections.remove(id) {
            // The kernel takes a closed socket out of the epoll set.
            member.connection.close();
        }
    }

    /// Accepts one connection if one waits.
    fn let_one_in(&mut self, now: Instant) -> nix::Result<()> {
        if !self.door.is_to_be_tried(now) {
            return Ok(());
        }
        match self.worker.accept() {
            Accepted::Connection(mut connection) => {
                if self.is_draining {
                    connection.drain();
                }
                if self.connections.len() >= self.connections_max
                    && let Some((_, id)) = self.connections.longest_spare()
                {
                    // It has had its answer.
                    self.close(id);
                }
                let member = Member {
                    connection,
                    armed: None,
                    flags: EpollFlags::empty(),
                };
                self.newcomer = Some(self.connections.admit(member));
                match self.company() {
                    Company::Full => self.door.full(&self.epoll, now),
                    Company::None | Company::Some => self.door.let_in(&self.epoll, now),
                }
            }
            Accepted::Nobody => self.door.nobody(&self.epoll, now),
            Accepted::Again => {}
            Accepted::Exhausted => self.door.exhausted(&self.epoll, now),
            Accepted::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn company(&self) -> Company {
        // One that lingers has had its answer, and makes place for a newcomer.
        let has_spare =
            self.manner == Manner::OneAtATime && self.connections.longest_spare().is_some();
        match self.connections.len() {
            0 => Company::None,
            len if len < self.connections_max || has_spare => Company::Some,
            _ => Company::Full,
        }
    }

    /// Opens the door again if it may be, and makes room if it must be.
    fn mind_the_door(&mut self, now: Instant) {
        match self.door.look(&self.epoll, now, self.company()) {
            Look::Well => {}
            Look::NewcomerIsLeftStanding => {
                if let Some((since, id)) = self.connections.longest_spare()
                    && since + IDLE_WHILE_OTHERS_WAIT <= now
                    && let Some(member) = self.connections.get_mut(id)
                {
                    // What has arrived by now is still answered.
                    member.connection.drain();
                    self.connections.wake(id);
                }
            }
        }
    }

    /// What is queued is served, what is in hand finished, what is idle closed.
    fn drain(&mut self) {
        if !self.is_draining {
            self.door.drain(&self.epoll, Instant::now());
            self.drain_connections();
        }
    }

    /// The same, but the queue is another server's.
    fn retire(&mut self) {
        if !self.door.is_shut() {
            title::retiring_worker(self.worker.index);
            self.door.shut(&self.epoll);
            self.drain_connections();
        }
    }

    fn drain_connections(&mut self) {
        self.is_draining = true;
        for member in self.connections.iter_mut() {
            member.connection.drain();
        }
        self.connections.wake_all();
    }

    fn abort_all(&mut self) -> Left {
        while let Some(mut member) = self.connections.remove_any() {
            member.connection.abort();
            member.connection.close();
        }
        Left::Asked
    }
}

/// Has the epoll set tell when the connection can go on. It is level-triggered: what the set knows is what the
/// connection last said, and no event can be missed. A change of mind costs a system call, but a connection
/// changes its mind twice a request.
fn arm(epoll: &Epoll, id: Id, member: &mut Member<'_>, interest: Interest) -> nix::Result<()> {
    let flags = match interest {
        Interest::Readable => EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP,
        Interest::Writable => EpollFlags::EPOLLOUT,
        // An end that the peer has made is told whether one asks for it or not, but then once.
        Interest::Nothing => EpollFlags::EPOLLONESHOT,
    };
    let mut event = EpollEvent::new(flags, id.0);
    match member.armed {
        Some(before) if before == interest => return Ok(()),
        Some(_) => epoll.modify(&member.connection, &mut event)?,
        None => epoll.add(&member.connection, event)?,
    }
    member.armed = Some(interest);
    Ok(())
}
