//! What goes out: from memory, or from where a file is encoded already.

use std::io::{self, Write};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc::MSG_MORE;
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, send};

use super::Connection;

impl Connection<'_> {
    /// Sends what the session has; with what it has sent from a file right behind it, in the same segments.
    pub(super) fn write(&mut self) -> io::Result<usize> {
        if !self.session.sends_encoded() {
            return self.socket.write(self.session.output());
        }
        let more = MsgFlags::from_bits_retain(MSG_MORE) | MsgFlags::MSG_NOSIGNAL;
        Ok(send(self.socket.as_raw_fd(), self.session.output(), more)?)
    }

    /// Sends a range of a file. If that cannot be done the session goes on without it.
    pub(super) fn send_encoded(&mut self) -> io::Result<usize> {
        let socket = &self.socket;
        self.session.send_encoded(|file, start, len| {
            let mut offset = i64::try_from(start).map_err(io::Error::other)?;
            match sendfile64(socket, file, Some(&mut offset), len) {
                Err(error @ (Errno::EAGAIN | Errno::EINTR | Errno::EPIPE | Errno::ECONNRESET)) => {
                    Err(error.into())
                }
                result => Ok(result.unwrap_or(0)),
            }
        })
    }
}
