//! An event worker: one epoll loop that serves many connections at once.
//!
//! A round: wait until somebody can go on; queue those that can and those whose time has come; let a newcomer in;
//! give those in the queue a turn of a megabyte each, in the order in which they came to be able. Then look at
//! the parent's word and wait again. No part of a round takes longer for the connections that only wait.
//!
//! File work happens inside a turn: while one connection waits for the disk, all of this worker's do.

mod crowd;
mod door;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::{Accepted, IDLE_WHILE_OTHERS_WAIT, Left, Worker, timeout};
use crate::drive::{Connection, Interest, Pause};
use crate::scoreboard::Command;
use crate::session::Shelf;
use crate::title;

use crowd::{Crowd, Id};
use door::{Door, Look};

/// The loop looks at the parent's word at least so often; a signal makes it look at once, unless it comes between
/// the look and the wait.
const LOOK: Duration = Duration::from_millis(250);

/// How many events one wait takes. Those beyond come with the next.
const EVENTS_LEN: usize = 256;

/// How many turns a round has before the parent's word is looked at and new events are taken: 16 MiB at most,
/// which is 5 ms where nothing waits for a disk.
const TURNS_MAX: usize = 16;

/// What the lifeline and the listener are called in the epoll set. A connection's name is its [`Id`], from 0.
const LIFELINE: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

/// Reports that it is ready, once it has all that it needs for that; then accepts and serves, up to
/// `connections_max` connections at once, until told to leave.
#[must_use]
pub fn run(worker: &Worker<'_>, connections_max: usize) -> Left {
    Loop::new(worker, connections_max)
        .and_then(|ready| {
            worker.reporter.ready()?;
            ready.serve()
        })
        .unwrap_or_else(Left::Failed)
}

struct Loop<'w> {
    worker: &'w Worker<'w>,
    connections_max: usize,
    epoll: Epoll,
    door: Door<'w>,
    crowd: Crowd<Member<'w>>,
    shelf: Shelf,
    is_draining: bool,
}

struct Member<'w> {
    connection: Box<Connection<'w>>,
    /// What the epoll set has it for; none before its first wait.
    armed: Option<Interest>,
}

/// What a wait came to.
#[derive(PartialEq, Eq)]
enum Waited {
    GoOn,
    Orphaned,
}

impl<'w> Loop<'w> {
    fn new(worker: &'w Worker<'w>, connections_max: usize) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(
            worker.watch.as_fd(),
            EpollEvent::new(EpollFlags::EPOLLIN, LIFELINE),
        )?;
        Ok(Self {
            worker,
            connections_max,
            door: Door::open(worker, &epoll)?,
            epoll,
            crowd: Crowd::default(),
            shelf: Shelf::default(),
            is_draining: false,
        })
    }

    fn serve(mut self) -> nix::Result<Left> {
        loop {
            self.worker.reporter.count_round(self.worker.slot);
            self.worker.logs.refresh();
            match self.worker.slot.command() {
                Command::Run => {}
                Command::Drain => self.drain(),
                Command::Retire => self.retire(),
                Command::Stop => return Ok(self.abort_all()),
            }
            if self.door.is_shut() && self.crowd.is_empty() {
                return Ok(Left::Asked);
            }
            if self.wait()? == Waited::Orphaned {
                return Ok(self.abort_all());
            }
            let now = Instant::now();
            self.crowd.wake_due(now);
            self.give_turns(now)?;
            self.mind_the_door(now);
        }
    }

    /// Waits until something happens or is due, and wakes whom it concerns.
    fn wait(&mut self) -> nix::Result<Waited> {
        let timeout = if self.crowd.has_runnable() {
            PollTimeout::ZERO
        } else {
            let now = Instant::now();
            let due = [self.crowd.next_due(), self.door.next_look()];
            let until = due.into_iter().flatten().fold(now + LOOK, Instant::min);
            timeout(until, now)
        };
        let mut events = [EpollEvent::empty(); EVENTS_LEN];
        let len = match self.epoll.wait(&mut events, timeout) {
            Ok(len) => len,
            // The parent's signal.
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error),
        };
        self.door.forget_knock();
        let mut waited = Waited::GoOn;
        for event in &events[..len] {
            match event.data() {
                LIFELINE => waited = Waited::Orphaned,
                LISTENER => self.door.knocked(),
                id => self.crowd.wake(Id(id)),
            }
        }
        Ok(waited)
    }

    fn give_turns(&mut self, now: Instant) -> nix::Result<()> {
        self.let_one_in(now)?;
        for _ in 0..TURNS_MAX {
            let Some(id) = self.crowd.next() else { break };
            self.give_turn(id, now);
            if !self.crowd.has_runnable() {
                // Whoever comes next is as well served by a worker that sleeps, and the pool more evenly.
                break;
            }
            self.let_one_in(now)?;
        }
        Ok(())
    }

    fn give_turn(&mut self, id: Id, now: Instant) {
        // However long the others' turns take, the parent wants a sign of life.
        self.worker.reporter.count_round(self.worker.slot);
        let Some(member) = self.crowd.get_mut(id) else {
            return;
        };
        match self.worker.drive(&mut member.connection, &mut self.shelf) {
            Pause::Turn => self.crowd.again(id),
            Pause::Over => self.close(id),
            Pause::NotNow {
                interest,
                until,
                idle,
            } => match arm(&self.epoll, id, member, interest) {
                Ok(()) => self.crowd.wait(id, until, idle.then_some(now)),
                Err(error) => {
                    let worker = self.worker.index;
                    tracing::error!(worker, error = error.desc(), "cannot wait for a connection");
                    member.connection.crashed();
                    self.close(id);
                }
            },
        }
    }

    fn close(&mut self, id: Id) {
        if let Some(member) = self.crowd.remove(id) {
            // The kernel takes a closed socket out of the epoll set.
            member.connection.close();
        }
    }

    /// Accepts one connection if somebody knocks.
    fn let_one_in(&mut self, now: Instant) -> nix::Result<()> {
        if !self.door.is_to_be_tried(now) {
            return Ok(());
        }
        match self.worker.accept() {
            Accepted::Connection(mut connection) => {
                if self.is_draining {
                    connection.drain();
                }
                let armed = None;
                self.crowd.admit(Member { connection, armed });
                if self.crowd.len() >= self.connections_max {
                    self.door.full(&self.epoll, now);
                } else {
                    self.door.let_in(&self.epoll, now);
                }
            }
            Accepted::Nobody => self.door.nobody(&self.epoll, now),
            Accepted::Again => {}
            Accepted::Exhausted => self.door.exhausted(&self.epoll, now),
            Accepted::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Opens the door again if it may be, and makes room if it must be.
    fn mind_the_door(&mut self, now: Instant) {
        let has_room = self.crowd.len() < self.connections_max;
        match self.door.look(&self.epoll, now, has_room) {
            Look::Well => {}
            Look::SomebodyIsLeftStanding => {
                if let Some((since, id)) = self.crowd.longest_idle()
                    && since + IDLE_WHILE_OTHERS_WAIT <= now
                {
                    self.close_idle(id);
                }
            }
        }
    }

    fn close_idle(&mut self, id: Id) {
        if let Some(member) = self.crowd.get_mut(id) {
            member.connection.close_idle();
            self.crowd.wake(id);
        }
    }

    /// What is queued is served, what is in hand finished, what is idle closed.
    fn drain(&mut self) {
        if !self.is_draining {
            self.door.drain();
            self.drain_connections();
        }
    }

    /// The same, but what is queued is somebody else's.
    fn retire(&mut self) {
        if !self.door.is_shut() {
            title::retiring_worker(self.worker.index);
            self.door.shut(&self.epoll);
            self.drain_connections();
        }
    }

    fn drain_connections(&mut self) {
        self.is_draining = true;
        for member in self.crowd.iter_mut() {
            member.connection.drain();
        }
        self.crowd.wake_all();
    }

    fn abort_all(&mut self) -> Left {
        while let Some(mut member) = self.crowd.remove_any() {
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
        Interest::Readable => EpollFlags::EPOLLIN,
        Interest::Writable => EpollFlags::EPOLLOUT,
        // An end that the peer has made is told whether one asks for it or not, but then once.
        Interest::Nothing => EpollFlags::EPOLLONESHOT,
    };
    let mut event = EpollEvent::new(flags, id.0);
    match member.armed.replace(interest) {
        Some(before) if before == interest => Ok(()),
        Some(_) => epoll.modify(&member.connection, &mut event),
        None => epoll.add(&member.connection, event),
    }
}
