//! The lifeline: one pipe that tells every worker that its parent is gone.
//!
//! Nothing is ever written to it. The parent holds the writing end for life; when the parent dies, however it
//! dies, the kernel closes that end and every reader sees the end of the pipe. One pipe serves all workers:
//! with one each, siblings would inherit and hold each other's ends open.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The parent's end. As long as it exists, the workers live.
#[derive(Debug)]
pub struct Hold {
    _writer: OwnedFd,
}

/// A worker's end.
#[derive(Debug)]
pub struct Watch {
    reader: OwnedFd,
}

/// A new lifeline.
///
/// # Errors
/// What pipe2(2) says.
pub fn lifeline() -> nix::Result<(Hold, Watch)> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((Hold { _writer: writer }, Watch { reader }))
}

impl Watch {
    /// Whether the parent is gone.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(n) if n > 0)
    }
}

impl AsFd for Watch {
    /// For polling beside something else: readable or hung up means that the parent is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_sees_the_end_of_its_hold() {
        let (hold, watch) = lifeline().unwrap();
        assert!(!watch.has_ended());
        drop(hold);
        assert!(watch.has_ended());
    }
}
