//! Removing what dead workers have left in the root: by a child, because that takes reading the whole folder, of
//! which the file system says how long it takes (200,000 files: 825 ms; a server that is gone: for ever).

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::pool::{self, Inheritance};
use crate::shared::{memory, title};
use crate::supervisor::scarcity::explained;
use crate::sys;

/// How soon it is tried again to start a child that could not be started.
const AGAIN: Duration = Duration::from_secs(10);

/// Dead workers whose files wait to be removed, at the most. What is left then is removed at the next start.
const WAITING_MAX: usize = 8192;

/// One child at a time; workers that die meanwhile wait for the next.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    waiting: Vec<u32>,
    child: Option<Pid>,
    /// When no child could be started.
    failed: Option<Instant>,
}

impl Sweeper {
    /// A worker is dead that may have left something.
    pub(super) fn add(&mut self, dead: Pid) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push(dead.as_raw().unsigned_abs());
        }
    }

    /// Starts the child, if one is needed and none is at work.
    pub(super) fn start(&mut self, inheritance: &Inheritance) {
        let is_too_soon = |at: Instant| at.elapsed() < AGAIN;
        if self.waiting.is_empty() || self.child.is_some() || self.failed.is_some_and(is_too_soon) {
            return;
        }
        let parent = Pid::this();
        match sys::fork(|| sweep(inheritance, parent, &self.waiting)) {
            Ok(child) => {
                self.waiting.clear();
                self.child = Some(child);
            }
            Err(error) => {
                self.failed = Some(Instant::now());
                let what = "cannot remove a dead worker's temporary files yet";
                tracing::warn!("{:#}", explained(what, error));
            }
        }
    }

    /// Whether `pid` was the child, which has ended.
    pub(super) fn is_over(&mut self, pid: Pid, status: i32) -> bool {
        if self.child.take_if(|child| *child == pid).is_none() {
            return false;
        }
        // What the child says by its exit code; a signal that ended it says nothing of files.
        if let code @ 1.. = status >> 8 {
            complain(Errno::from_raw(code));
        }
        true
    }

    /// Whether nothing is left to be removed.
    pub(super) const fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.child.is_none()
    }
}

/// The child's life; returns its exit code, an errno.
fn sweep(inheritance: &Inheritance, parent: Pid, dead: &[u32]) -> i32 {
    let store = &inheritance.service.store;
    sys::keep_only(&[store.directory()]);
    title::sweeper();
    memory::go_before_the_parent();
    // A number that is another process's by now is left alone.
    let is_dead = |pid: &u32| kill(Pid::from_raw(pid.cast_signed()), None) == Err(Errno::ESRCH);
    let dead: Vec<u32> = dead.iter().copied().filter(is_dead).collect();
    let result = pool::settle_in(parent, inheritance.confinement, store)
        .and_then(|()| store.sweep_of(&dead));
    match result {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(Errno::EIO as i32),
    }
}

fn complain(error: Errno) {
    tracing::warn!(
        error = error.desc(),
        "cannot remove a dead worker's temporary files"
    );
}
