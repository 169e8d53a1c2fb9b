//! Workers that could not be made, or were killed, because something ran out: it is counted, and named.

use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use super::Supervisor;
use super::members::Member;
use crate::supervisor::roster::End;
use crate::supervisor::scarcity::Limit;
use crate::sys::Reaped;

impl Supervisor {
    /// Counts what ran out, and names it in the log.
    pub(super) fn ran_out(&mut self, what: &str, find_out: impl FnOnce() -> Limit) {
        if let Some(Limit { name, cure }) = self.shortages.book(Instant::now(), find_out) {
            tracing::error!(limit = name, "{what}: {name} is reached; {cure}");
        }
    }

    /// How a worker ended; what ran out, if that was why, is counted.
    pub(super) fn end_of(&mut self, dead: &Reaped, member: &Member) -> End {
        match WaitStatus::from_raw(dead.pid, dead.status) {
            Ok(WaitStatus::Exited(_, 0)) => End::Cleanly,
            Ok(WaitStatus::Exited(_, code)) => match crate::exit::shortage(code) {
                Some(error) => {
                    self.ran_out("a worker cannot start", || Limit::behind(error));
                    End::Starved
                }
                None => End::Crashed,
            },
            // A KILL of another's does not raise the kernel's count.
            Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _))
                if !member.is_overdue && self.shortages.take_oom_kill() =>
            {
                self.ran_out(
                    "the kernel killed a worker for want of memory",
                    Limit::of_memory,
                );
                End::OutOfMemory
            }
            _ => End::Crashed,
        }
    }
}
