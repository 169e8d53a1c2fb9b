//! Pools: how workers come to be. What a worker does is the same under each.

pub mod process;
pub mod roster;
pub mod thread;

use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{ForkResult, Pid};

use crate::config::{Clocks, Congestion, PoolKind};
use crate::exit::{WORKER_DONE, WORKER_FAILED};
use crate::lifeline::{Hold, Watch};
use crate::scoreboard::Scoreboard;
use crate::session::Service;
use crate::worker::{Left, Worker};
use crate::{memory, sys};

/// Signals that the parent takes from its signalfd, and that a worker must not die of: a terminal's Ctrl-C and
/// a service manager's signals go to the whole group.
pub const PARENT_SIGNALS: [Signal; 9] = [
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
pub const NUDGE: Signal = Signal::SIGTERM;

/// What every worker process inherits.
#[derive(Debug)]
pub struct Inheritance {
    /// The shared listening socket.
    pub listener: TcpListener,
    /// The workers' end of the lifeline.
    pub watch: Watch,
    /// The parent's end; a child closes its copy at once.
    pub hold: Option<Hold>,
    /// The writing end of the pipe over which workers report READY.
    pub ready_writer: OwnedFd,
    /// The counters.
    pub scoreboard: Scoreboard,
    /// The store and the limits.
    pub service: Service,
    /// The clocks of a connection.
    pub clocks: Clocks,
    /// How replies are sent.
    pub congestion: Congestion,
    /// What the workers are.
    pub kind: PoolKind,
    /// How many.
    pub workers: u32,
}

impl Inheritance {
    /// How many processes the pool has.
    #[must_use]
    pub const fn processes(&self) -> u32 {
        match self.kind {
            PoolKind::Process => self.workers,
            PoolKind::Thread => 1,
        }
    }

    /// Which scoreboard slots process `index` has.
    #[must_use]
    pub const fn slots(&self, index: u32) -> std::ops::Range<u32> {
        match self.kind {
            PoolKind::Process => index..index + 1,
            PoolKind::Thread => 0..self.workers,
        }
    }

    /// One worker of this process.
    #[must_use]
    pub fn worker(&self, index: u32) -> Worker<'_> {
        Worker {
            index,
            slot: self.scoreboard.slot(index),
            listener: &self.listener,
            watch: &self.watch,
            service: &self.service,
            clocks: self.clocks,
            congestion: &self.congestion,
        }
    }
}

/// Forks the process `index` of the pool. Returns in the parent only.
///
/// # Errors
/// What fork(2) says.
pub fn spawn(inheritance: &mut Inheritance, index: u32, generation: u32) -> nix::Result<Pid> {
    let parent = Pid::this();
    match sys::fork()? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // A panic must not unwind into the parent's code, of which this is still the stack.
            let run =
                std::panic::AssertUnwindSafe(|| child_main(inheritance, parent, index, generation));
            let code = std::panic::catch_unwind(run).unwrap_or(WORKER_FAILED);
            sys::exit_now(code)
        }
    }
}

fn child_main(inheritance: &mut Inheritance, parent: Pid, index: u32, generation: u32) -> i32 {
    inheritance.hold = None;
    if let Err(error) = settle_in(parent) {
        tracing::error!(worker = index, error = error.desc(), "worker cannot start");
        return WORKER_FAILED;
    }
    // The parent has died before the kernel was asked to watch it.
    if inheritance.watch.has_ended() {
        return WORKER_DONE;
    }
    if let Err(error) = report_ready(&inheritance.ready_writer, index, generation) {
        tracing::error!(
            worker = index,
            error = error.desc(),
            "worker cannot report that it is ready"
        );
        return WORKER_FAILED;
    }
    let left = match inheritance.kind {
        PoolKind::Process => process::run(inheritance, index),
        PoolKind::Thread => thread::run(inheritance),
    };
    memory::publish_peak(
        inheritance
            .slots(index)
            .map(|slot| inheritance.scoreboard.slot(slot)),
    );
    match left {
        Left::Asked => WORKER_DONE,
        Left::Failed(error) => {
            tracing::error!(worker = index, error = error.desc(), "worker cannot accept");
            WORKER_FAILED
        }
    }
}

/// Signal dispositions first, then unblock: what came in between is acted on, not lost.
fn settle_in(parent: Pid) -> nix::Result<()> {
    sys::interrupt_on(NUDGE)?;
    for signal in PARENT_SIGNALS {
        if signal != NUDGE && signal != Signal::SIGCHLD {
            sys::ignore(signal)?;
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if Pid::parent() != parent {
        sys::exit_now(WORKER_DONE);
    }
    Ok(())
}

/// What a worker process writes when it is ready: process index and generation, little-endian.
pub const READY_REPORT_LEN: usize = 8;

fn report_ready(writer: &OwnedFd, index: u32, generation: u32) -> nix::Result<()> {
    let mut report = [0; READY_REPORT_LEN];
    report[..4].copy_from_slice(&index.to_le_bytes());
    report[4..].copy_from_slice(&generation.to_le_bytes());
    // Shorter than PIPE_BUF: written whole or not at all.
    nix::unistd::write(writer.as_fd(), &report).map(drop)
}
