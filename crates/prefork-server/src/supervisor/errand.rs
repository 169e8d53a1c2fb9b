//! Work that waits for a file system, which may hang: a child of the parent does it, and the parent goes on meanwhile.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::shared::{memory, title};
use crate::sys;

/// What the child is to find out or to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Look at all that a signal has the parent look at.
    Look,
    /// Remove a file of the server's at its end.
    Remove,
}

/// What is done once a child has looked at the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Reload,
    Reopen,
    Upgrade,
    /// After an upgrade that failed.
    TakeNamesBack,
}

/// A child at work.
#[derive(Debug)]
pub(super) struct Errand {
    pub purpose: Purpose,
    /// How long it is waited for.
    pub until: Instant,
    child: Pid,
}

impl Errand {
    /// Has a child do `work`, which must leave nothing in memory that the parent needs. It has no descriptor of the parent's
    /// but `kept`: a child that hangs may outlive the server, and is to keep neither its port nor its lock.
    ///
    /// # Errors
    /// What fork(2) says.
    pub(super) fn start(
        purpose: Purpose,
        patience: Duration,
        kept: &[BorrowedFd<'_>],
        work: impl FnOnce(),
    ) -> nix::Result<Self> {
        let parent = Pid::this();
        let child = sys::fork(|| {
            sys::keep_only(kept);
            title::sweeper();
            memory::go_before_the_parent();
            let bound = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
            if bound.is_ok() && Pid::parent() == parent {
                work();
            }
            0
        })?;
        Ok(Self {
            purpose,
            child,
            until: Instant::now() + patience,
        })
    }

    /// Whether `dead` is the child.
    pub(super) fn is(&self, dead: Pid) -> bool {
        self.child == dead
    }

    /// Ends the child, which still waits; it is reaped as any other.
    pub(super) fn give_up(self) {
        let _: Result<(), Errno> = kill(self.child, Signal::SIGKILL);
    }
}
