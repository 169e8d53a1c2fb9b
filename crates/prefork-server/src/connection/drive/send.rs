//! What goes out: from memory, or from where a file is encoded already.

use std::io::{self, Write};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc::MSG_MORE;
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, send};

use super::{Connection, Turn};

impl Connection<'_> {
    /// Sends what the session has; with what it has sent from a file right behind it, in the same segments.
    pub(super) fn write(&mut self, turn: &mut Turn) -> io::Result<usize> {
        let output = self.session.output();
        let len = match self.session.sends_encoded() {
            false => self.socket.write(output)?,
            true => {
                let more = MsgFlags::from_bits_retain(MSG_MORE) | MsgFlags::MSG_NOSIGNAL;
                send(self.socket.as_raw_fd(), output, more)?
            }
        };
        turn.is_full = len < output.len();
        Ok(len)
    }

    /// Sends a range of a file. If that cannot be done the session goes on without it.
    pub(super) fn send_encoded(&mut self, turn: &mut Turn) -> io::Result<usize> {
        let socket = &self.socket;
        self.session.send_encoded(|file, start, len| {
            let mut offset = i64::try_from(start).map_err(io::Error::other)?;
            match sendfile64(socket, file, Some(&mut offset), len) {
                Err(error @ (Errno::EAGAIN | Errno::EINTR | Errno::EPIPE | Errno::ECONNRESET)) => {
                    Err(error.into())
                }
                result => {
                    let sent = result.unwrap_or(0);
                    turn.is_full = (1..len).contains(&sent);
                    Ok(sent)
                }
            }
        })
    }
}
