//! A client that sends bytes as it is told to and understands no answer: silent, stalled, slow and greedy ones are made of it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use stress_data::fault::FaultyEnd;

use crate::host::child::poll_readable;
use crate::host::clock::{Deadline, SLICE};

/// How long a connection may take to stand.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How often one acts that has something to do.
const TICK: Duration = Duration::from_millis(20);
/// How much is kept of the end of what the server says, about: more than an error.
const HEARD_LEN_MAX: usize = 1 << 10;

/// A piece that is sent again and again, with every n-th tick; 0 is as fast as it goes.
pub(crate) type Drip = (&'static [u8], u32);

/// A connection.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: TcpStream,
    heard: Vec<u8>,
    /// So much of the drip's piece is sent: the next write goes on there.
    sent_len: usize,
}

impl Raw {
    /// Connects, and sends `first` at once.
    pub(crate) fn connect(address: SocketAddr, first: &[u8]) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
        match stream.write_all(first) {
            // The server may be done with it before it is all sent: the end shows how.
            Err(error) if is_end(error.kind()) => {}
            sent => sent?,
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            heard: Vec::new(),
            sent_len: 0,
        })
    }

    /// Goes on until the server ends the connection, or until `is_over`; says which, and the end of what the server said.
    /// With a `read_len`, no more than that is read with each tick.
    pub(crate) fn go_on(
        mut self,
        mut drip: Option<Drip>,
        read_len: Option<usize>,
        is_over: impl Fn() -> bool,
    ) -> (FaultyEnd, String) {
        let is_idle = drip.is_none() && read_len.is_none();
        let mut piece = vec![0; read_len.unwrap_or(16 << 10)];
        let mut tick = 0_u32;
        let end = loop {
            // Looked at before the read: what the server did before the end is heard even if this thread comes late to it.
            let is_over = is_over();
            tick = tick.wrapping_add(1);
            drip = drip.filter(|drip| self.sends_on(*drip, tick));
            // What it has not read yet hides a reset from a slow reader.
            if let Ok(Some(_)) = self.stream.take_error() {
                break FaultyEnd::Reset;
            }
            match self.read(&mut piece, read_len.is_some()) {
                Ok(true) if is_over => break FaultyEnd::Held,
                Ok(true) => {}
                Ok(false) => break FaultyEnd::Closed,
                Err(_) => break FaultyEnd::Reset,
            }
            match is_idle {
                true => {
                    let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
                    poll_readable(&mut fds, &Deadline::after(SLICE));
                }
                false => thread::sleep(TICK),
            }
        };
        (end, String::from_utf8_lossy(&self.heard).trim().to_owned())
    }

    /// Sends what is due; false if nothing more can be sent.
    fn sends_on(&mut self, (piece, every): Drip, tick: u32) -> bool {
        if every > 0 && !tick.is_multiple_of(every) {
            return true;
        }
        loop {
            match self.stream.write(&piece[self.sent_len..]) {
                Ok(0) => return false,
                Ok(len) => self.sent_len = (self.sent_len + len) % piece.len(),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
            if every > 0 && self.sent_len == 0 {
                return true;
            }
        }
    }

    /// Reads what is there, or one piece of it; false at the end.
    fn read(&mut self, piece: &mut [u8], is_once: bool) -> io::Result<bool> {
        loop {
            match self.stream.read(piece) {
                Ok(0) => return Ok(false),
                Ok(len) => {
                    self.heard.extend_from_slice(&piece[..len]);
                    let excess_len = self.heard.len().saturating_sub(HEARD_LEN_MAX);
                    self.heard.drain(..excess_len);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if is_once {
                return Ok(true);
            }
        }
    }
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// What comes of a raw client of a server that does this with its connection.
    fn play(
        drip: Option<Drip>,
        read_len: Option<usize>,
        server: impl FnOnce(TcpStream) + Send,
    ) -> (FaultyEnd, String) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let raw = Raw::connect(listener.local_addr().unwrap(), b"first ").unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                server(listener.accept().unwrap().0);
                is_over.store(true, Ordering::SeqCst);
            });
            raw.go_on(drip, read_len, || is_over.load(Ordering::SeqCst))
        })
    }

    fn hear(mut stream: &TcpStream, want: &[u8]) {
        let mut heard = vec![0; want.len()];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(heard, want);
    }

    #[test]
    fn how_the_server_ended_it_is_said_with_its_last_words() {
        let closed = play(None, None, |mut stream| {
            hear(&stream, b"first ");
            stream.write_all(b"{\"code\":\"timeout\"}\r\n").unwrap();
        });
        assert_eq!(closed, (FaultyEnd::Closed, "{\"code\":\"timeout\"}".into()));
        // With bytes unread the kernel resets.
        let reset = play(None, Some(1), drop);
        assert_eq!(reset, (FaultyEnd::Reset, String::new()));
        let long = play(None, None, |mut stream| {
            hear(&stream, b"first ");
            stream.write_all(&[b'x'; 9000]).unwrap();
            stream.write_all(b" end").unwrap();
        });
        assert_eq!(long.1.len(), HEARD_LEN_MAX);
        assert!(long.1.ends_with("x end"));
    }

    #[test]
    fn a_drip_goes_on_until_it_is_over() {
        for every in [0, 1] {
            let mut kept = None;
            let (end, _) = play(Some((b"drip", every)), None, |stream| {
                hear(&stream, b"first dripdripdripdrip");
                kept = Some(stream);
            });
            assert_eq!(end, FaultyEnd::Held, "{every}");
        }
    }
}
