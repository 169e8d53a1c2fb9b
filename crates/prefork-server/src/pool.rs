//! Pools: how workers come to be. What a worker does is the same under each.

pub(crate) mod descriptors;
mod thread;
pub(crate) mod worker;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::Pid;

use crate::config::{Config, PoolKind};
use crate::connection::session::Service;
use crate::exit::{WORKER_DONE, WORKER_FAILED, of_shortage};
use crate::operator::logs::Logs;
use crate::pool::worker::{Left, Worker, blocking, event};
use crate::sandbox::Confinement;
use crate::shared::address_cap::AddressCap;
use crate::shared::encoded_cache::EncodedCache;
use crate::shared::gate::Gate;
use crate::shared::holdings::Holdings;
use crate::shared::listener::Listener;
use crate::shared::memory::{self, OwnStatus};
use crate::shared::report::{ProcessId, Reporter};
use crate::shared::scoreboard::{Assignment, Scoreboard, Slot};
use crate::shared::title;
use crate::store::Store;
use crate::{sys, words};

/// Signals that the parent takes from its signalfd, and that a worker must not die of: a terminal's Ctrl-C and
/// a service manager's signals go to the whole group.
pub(crate) const PARENT_SIGNALS: [Signal; 9] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGCHLD,
];

/// The signal that makes a worker look at the parent's word.
pub(crate) const NUDGE: Signal = Signal::SIGTERM;

/// What workers are made from, and all that one is given. Of its descriptors a worker keeps those in [`Inheritance::descriptors`].
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub listener: Listener,
    /// Whether the workers may accept.
    pub gate: Gate,
    /// Where workers report to the parent.
    pub reports: OwnedFd,
    pub scoreboard: Scoreboard,
    /// What the processes hold of shared limits, and which row the next one to be forked has.
    pub holdings: Holdings,
    /// See `holdings`.
    pub row: u32,
    pub logs: Logs,
    pub service: Service,
    /// Where files are encoded already, if anywhere.
    pub cache: Option<EncodedCache>,
    pub confinement: Confinement,
    /// The settings in force.
    pub config: Config,
    /// How many connections an event worker holds at once, as far as there is room.
    pub event_connections: Option<u32>,
}

impl Inheritance {
    /// How many processes the pool has.
    #[must_use]
    pub(crate) fn processes(&self) -> u32 {
        self.config.pool.processes(self.config.workers)
    }

    /// Which workers the process of a seat is, and where they count if it has row `row` of the holdings.
    #[must_use]
    pub(crate) fn assignment(&self, seat: u32, row: u32) -> Assignment {
        Assignment {
            workers: if self.config.pool.is_a_process_each() {
                seat..seat + 1
            } else {
                0..self.config.workers
            },
            first_slot: row * self.config.pool.workers_of_a_process_max(),
        }
    }

    /// One worker of this process.
    #[must_use]
    pub(crate) fn worker<'a>(
        &'a self,
        slot: Slot,
        index: u32,
        reporter: &'a Reporter<'a>,
    ) -> Worker<'a> {
        Worker {
            index,
            slot,
            listener: &self.listener,
            gate: self.gate,
            service: &self.service,
            clocks: self.config.clocks,
            congestion: &self.config.congestion,
            reporter,
            address_cap: self.address_cap(),
            logs: &self.logs,
            cache: self
                .cache
                .as_ref()
                .map(|cache| cache.reader(self.reader(index))),
        }
    }

    /// The number of one worker of this process among all that use the cache: that of its slot in the scoreboard.
    fn reader(&self, index: u32) -> u32 {
        let Assignment {
            workers,
            first_slot,
        } = self.assignment(index, self.row);
        first_slot + (index - workers.start)
    }

    /// What a worker process keeps of its parent's descriptors, besides the standard streams: what is not named here is
    /// closed before it does anything else.
    #[must_use]
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let own = [self.listener.socket().as_fd(), self.reports.as_fd()];
        own.into_iter()
            .chain(self.service.store.descriptors())
            .chain(self.logs.descriptors())
            .chain(self.cache.iter().flat_map(EncodedCache::descriptors))
            .collect()
    }

    /// The next process to be forked writes what it holds into row `index`.
    pub(crate) fn take_row(&mut self, index: u32) {
        self.row = index;
        self.service.store.hold_in(index);
    }

    /// How this process limits the connections of one address.
    #[must_use]
    pub(crate) fn address_cap(&self) -> Option<AddressCap> {
        let connections_max = self.config.max_connections_per_address?;
        Some(AddressCap {
            holdings: self.holdings,
            row: self.holdings.row(self.row),
            connections_max,
        })
    }
}

/// Forks a process of the pool. Returns in the parent only.
///
/// # Errors
/// What fork(2) says.
pub(crate) fn spawn(
    inheritance: &Inheritance,
    id: ProcessId,
    assignment: &Assignment,
) -> nix::Result<Pid> {
    let parent = Pid::this();
    if let Some(cache) = &inheritance.cache {
        cache.use_readers(assignment.readers().end);
    }
    sys::fork(|| child_main(inheritance, parent, id, assignment))
}

fn child_main(
    inheritance: &Inheritance,
    parent: Pid,
    id: ProcessId,
    assignment: &Assignment,
) -> i32 {
    sys::keep_only(&inheritance.descriptors());
    let workers = assignment.workers.end - assignment.workers.start;
    inheritance.listener.share_among(workers);
    inheritance.service.share_among(workers);
    let seat = id.seat;
    if inheritance.config.pool.is_a_process_each() {
        title::worker(seat);
    } else {
        title::threads();
    }
    memory::go_before_the_parent();
    let status = OwnStatus::open();
    let store = &inheritance.service.store;
    if let Err(error) = settle_in(parent, inheritance.confinement, store) {
        tracing::error!(
            worker = seat,
            error = words::plain(&error),
            "worker cannot start"
        );
        return failure(error.raw_os_error().map(Errno::from_raw));
    }
    let reporter = Reporter::new(&inheritance.reports, id, inheritance.config.max_requests);
    let slot = assignment.slot(&inheritance.scoreboard);
    let worker = || inheritance.worker(slot, assignment.workers.start, &reporter);
    let left = match inheritance.config.pool {
        PoolKind::Process => {
            let set_aside = inheritance.config.set_aside.unwrap_or(0);
            blocking::run(&worker(), set_aside, || reporter.ready())
        }
        PoolKind::Thread => thread::run(inheritance, assignment, &reporter),
        PoolKind::Event => {
            let connections_max = inheritance.event_connections.unwrap_or(1);
            event::run(&worker(), connections_max as usize)
        }
    };
    status.publish_peak(
        assignment
            .slots(&inheritance.scoreboard)
            .map(|(_, slot)| slot),
    );
    match left {
        Left::Asked => WORKER_DONE,
        Left::Failed(error) => {
            tracing::error!(worker = seat, error = error.desc(), "worker cannot go on");
            failure(Some(error))
        }
    }
}

/// The exit code of a worker that cannot start or go on: another one if that is for want of something.
fn failure(error: Option<Errno>) -> i32 {
    error.and_then(of_shortage).unwrap_or(WORKER_FAILED)
}

/// What every worker does before it may serve. Signal dispositions first, then unblock: what came in between
/// is acted on, not lost. Then it is confined, while it has one thread and has seen no client.
///
/// # Errors
/// What the kernel says; the worker must not serve then.
pub(crate) fn settle_in(parent: Pid, confinement: Confinement, store: &Store) -> io::Result<()> {
    sys::interrupt_on(NUDGE)?;
    for signal in PARENT_SIGNALS {
        if signal != NUDGE && signal != Signal::SIGCHLD {
            sys::ignore(signal)?;
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // It has died before the kernel was asked to watch it.
    if Pid::parent() != parent {
        sys::exit_now(WORKER_DONE);
    }
    confinement.enter(store)
}
