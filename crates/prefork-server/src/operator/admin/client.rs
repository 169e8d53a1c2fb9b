//! One client of the admin socket: it asks, is answered, and leaves, all within its deadline.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{Shutdown, shutdown};

use super::http::{self, Answer, Heard, Question, REQUEST_LEN_MAX};

/// The most that is taken of what still comes after the answer: closing with input unread would destroy it.
const REST_LEN_MAX: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    until: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Asking(Vec<u8>),
    Answered { bytes: Vec<u8>, sent: usize },
    Leaving { taken: usize },
    Gone,
}

impl Client {
    /// `socket` must be non-blocking.
    pub(super) const fn new(socket: OwnedFd, until: Instant) -> Self {
        Self {
            socket,
            until,
            state: State::Asking(Vec::new()),
        }
    }

    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        let flags = match self.state {
            State::Asking(_) | State::Leaving { .. } | State::Gone => PollFlags::POLLIN,
            State::Answered { .. } => PollFlags::POLLOUT,
        };
        PollFd::new(self.socket.as_fd(), flags)
    }

    /// Does what can be done without waiting; says whether there is more to come.
    pub(super) fn go_on(&mut self, now: Instant, answer: &impl Fn(Question) -> Answer) -> bool {
        while now < self.until {
            let state = std::mem::replace(&mut self.state, State::Gone);
            match self.step(state, answer) {
                Ok(next) => self.state = next,
                Err(waiting) => {
                    self.state = waiting;
                    break;
                }
            }
            if matches!(self.state, State::Gone) {
                break;
            }
        }
        if now < self.until && !matches!(self.state, State::Gone) {
            return true;
        }
        self.end();
        false
    }

    /// Whether it has not asked yet.
    pub(super) const fn is_silent(&self) -> bool {
        matches!(self.state, State::Asking(_))
    }

    /// Ends the connection. A worker that was forked meanwhile holds a copy of the descriptor for a moment: closing
    /// alone would not.
    pub(super) fn end(&self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
    }

    /// The next state, or as an error the same one if the socket is not ready.
    fn step(&self, state: State, answer: &impl Fn(Question) -> Answer) -> Result<State, State> {
        match state {
            State::Asking(mut request) => {
                let mut piece = [0; REQUEST_LEN_MAX];
                let room = REQUEST_LEN_MAX - request.len();
                match nix::unistd::read(&self.socket, &mut piece[..room]) {
                    Err(Errno::EAGAIN | Errno::EINTR) => return Err(State::Asking(request)),
                    Ok(0) | Err(_) => return Ok(State::Gone),
                    Ok(len) => request.extend_from_slice(&piece[..len]),
                }
                let bytes = match http::hear(&request) {
                    Heard::Nothing => return Ok(State::Asking(request)),
                    Heard::Question {
                        question,
                        head_only,
                    } => answer(question).encode(head_only),
                    Heard::Wrong(answer) => answer.encode(false),
                };
                Ok(State::Answered { bytes, sent: 0 })
            }
            State::Answered { bytes, sent } => {
                match nix::unistd::write(&self.socket, &bytes[sent..]) {
                    Err(Errno::EAGAIN | Errno::EINTR) => Err(State::Answered { bytes, sent }),
                    Err(_) => Ok(State::Gone),
                    Ok(len) if sent + len < bytes.len() => Ok(State::Answered {
                        bytes,
                        sent: sent + len,
                    }),
                    Ok(_) => {
                        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
                        Ok(State::Leaving { taken: 0 })
                    }
                }
            }
            State::Leaving { taken } => {
                let mut piece = [0; REQUEST_LEN_MAX];
                match nix::unistd::read(&self.socket, &mut piece) {
                    Err(Errno::EAGAIN | Errno::EINTR) => Err(State::Leaving { taken }),
                    Ok(len) if len > 0 && taken + len < REST_LEN_MAX => {
                        Ok(State::Leaving { taken: taken + len })
                    }
                    _ => Ok(State::Gone),
                }
            }
            State::Gone => Ok(State::Gone),
        }
    }
}
