//! The bytes of a connection: every send and receive ends, by a byte, a deadline or an error.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::PollFlags;
use nix::sys::socket::{setsockopt, sockopt};

use crate::Error;
use crate::wait::{Deadline, Interrupt, wait};

/// A connected, non-blocking stream. It is waited for only when there is nothing to do, so that a
/// stream at full speed costs one system call a piece.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) idle_timeout: Duration,
    pub(crate) interrupt: Option<Interrupt>,
}

/// How far [`Socket::send`] got.
#[derive(Debug)]
pub(crate) enum Sent {
    /// All of it is on its way.
    All,
    /// The peer spoke, or closed, before all of it was out.
    Heard,
    /// The peer takes no more; there may be a reply that says why.
    Broken(io::Error),
}

impl Socket {
    /// Receives at least one byte; 0 means that the peer has closed.
    pub(crate) fn receive(&self, into: &mut [u8], deadline: Deadline) -> Result<usize, Error> {
        deadline.check()?;
        loop {
            match (&self.stream).read(into) {
                Ok(len) => return Ok(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(PollFlags::POLLIN, deadline)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Reset(error)),
            }
        }
    }

    /// Sends all of `bytes`, unless the peer speaks while it takes no more.
    pub(crate) fn send(&self, bytes: &[u8], deadline: Deadline) -> Result<Sent, Error> {
        deadline.check()?;
        let mut rest = bytes;
        while !rest.is_empty() {
            match (&self.stream).write(rest) {
                Ok(len) => rest = &rest[len..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let found = self.wait(PollFlags::POLLOUT | PollFlags::POLLIN, deadline)?;
                    if found.contains(PollFlags::POLLIN) {
                        return Ok(Sent::Heard);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Ok(Sent::Broken(error)),
            }
        }
        Ok(Sent::All)
    }

    /// Whether the peer has said anything that was not read yet, or closed.
    pub(crate) fn has_heard(&self) -> bool {
        !matches!(self.obstacle(), Sent::All)
    }

    /// What a send would meet, without sending: [`Sent::All`] if nothing stands in its way.
    ///
    /// The kernel tells a reset once, to whoever asks first; a read after that sees a plain end. So what is
    /// found here must not be asked for again.
    pub(crate) fn obstacle(&self) -> Sent {
        loop {
            match self.stream.peek(&mut [0]) {
                Ok(_) => return Sent::Heard,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Sent::All,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Sent::Broken(error),
            }
        }
    }

    /// Waits at most `grace` for the peer to say something or close.
    pub(crate) fn hears_within(&self, grace: Duration) -> bool {
        let deadline = Deadline::after(Some(grace));
        let heard = wait(
            self.stream.as_fd(),
            PollFlags::POLLIN,
            deadline,
            self.interrupt.as_ref(),
        );
        heard.is_ok()
    }

    /// Closes with a reset. A server that takes the end of input for the end of a request would
    /// store what it has of an upload that was given up; it does not after a reset.
    pub(crate) fn abort(self) {
        let linger = nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // Should it fail, the connection closes the ordinary way: there is nothing better to do.
        let _ = setsockopt(&self.stream, sockopt::Linger, &linger);
    }

    /// Waits for one of `events`, or the connection's end.
    pub(crate) fn wait(&self, events: PollFlags, deadline: Deadline) -> Result<PollFlags, Error> {
        let deadline = deadline.or_after(self.idle_timeout);
        wait(
            self.stream.as_fd(),
            events,
            deadline,
            self.interrupt.as_ref(),
        )
    }
}
