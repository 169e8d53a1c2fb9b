//! Waiting for a socket: with a deadline always, and cut short by an interrupt where one was given.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Error;

/// Ends whatever a connection is doing once its descriptor becomes readable: the reading end of a
/// pipe or of a socket pair, to which a signal handler writes. The operation then returns
/// [`Error::Interrupted`].
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<OwnedFd>);

impl From<OwnedFd> for Interrupt {
    fn from(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The end of one operation, if it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// The deadline of an operation that starts now. Without a limit the clock is never read.
    pub(crate) fn after(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit))))
    }

    /// A peer that always has another byte would never be waited for: this is asked between reads.
    pub(crate) fn check(self) -> Result<(), Error> {
        match self.0 {
            Some((end, limit)) if Instant::now() >= end => Err(Error::Timeout(limit)),
            _ => Ok(()),
        }
    }

    /// This deadline, or the end of `limit` from now on if that comes first.
    pub(crate) fn or_after(self, limit: Duration) -> Self {
        let other = Self::after(Some(limit));
        match (self.0, other.0) {
            (Some((own_end, _)), Some((other_end, _))) if own_end <= other_end => self,
            (Some(_), None) => self,
            _ => other,
        }
    }
}

/// Waits until one of `events` (or the connection's end) is there, and returns what is.
pub(crate) fn wait(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    deadline: Deadline,
    interrupt: Option<&Interrupt>,
) -> Result<PollFlags, Error> {
    loop {
        let mut fds = [PollFd::new(fd, events), PollFd::new(fd, PollFlags::empty())];
        let watched = match interrupt {
            Some(interrupt) => {
                fds[1] = PollFd::new(interrupt.as_fd(), PollFlags::POLLIN);
                &mut fds[..]
            }
            None => &mut fds[..1],
        };
        match poll(watched, timeout_until(deadline)) {
            Ok(0) => deadline.check()?,
            Ok(_) if watched.get(1).and_then(PollFd::any) == Some(true) => {
                return Err(Error::Interrupted);
            }
            Ok(_) => return Ok(fds[0].revents().unwrap_or(PollFlags::empty())),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::Reset(io::Error::from(errno))),
        }
    }
}

/// Rounded up to whole milliseconds: rounded down, the last fraction of one would be spent spinning.
fn timeout_until(deadline: Deadline) -> PollTimeout {
    let Some((end, _)) = deadline.0 else {
        return PollTimeout::NONE;
    };
    let remaining = end.saturating_duration_since(Instant::now());
    PollTimeout::try_from(remaining.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}
