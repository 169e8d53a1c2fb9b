//! Standard output: READY and DONE, of which a large pool's are longer than a pipe holds.
//!
//! What there is no room for waits here, not in write(2): the loop goes on writing when there is.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use crate::operator::stream;
use crate::sys;

/// What is still to be written: two lines at the most.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pending: Vec<u8>,
}

impl Output {
    /// Prints a line, now as far as there is room for it.
    ///
    /// # Errors
    /// What write(2) says, if nobody will ever read it.
    pub(crate) fn print(&mut self, line: &str) -> nix::Result<()> {
        self.pending.extend_from_slice(line.as_bytes());
        self.pending.push(b'\n');
        self.go_on()
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// What write(2) says, once: what is pending is given up.
    pub(crate) fn go_on(&mut self) -> nix::Result<()> {
        let (written, result) = stream::write_all(sys::standard_output(), &self.pending);
        self.pending.drain(..written);
        match result {
            Ok(()) | Err(Errno::EAGAIN) => Ok(()),
            Err(error) => {
                self.pending.clear();
                Err(error)
            }
        }
    }

    /// How many bytes wait.
    pub(crate) fn unsent_len(&self) -> usize {
        self.pending.len()
    }

    /// What to poll while something waits.
    pub(crate) fn poll_fd(&self) -> Option<PollFd<'static>> {
        (!self.pending.is_empty()).then(|| PollFd::new(sys::standard_output(), PollFlags::POLLOUT))
    }
}
