//! The only code that joins a session to a socket.
//!
//! [`Connection::drive`] moves bytes until the socket says "not now", the session wants to close, or the connection
//! has had its turn. The sockets are non-blocking under every pool; the pools differ only in how they wait:
//! a blocking worker polls one connection, an event loop arms it and goes on to the next.

mod send;
mod turn;

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use proto::Code;

use super::access_log::AccessLogger;
use crate::config::Clocks;
use crate::connection::clock::{Clock, Verdict, Waiting};
use crate::connection::failures;
use crate::connection::session::{BufferPool, End, Reading, Session, Want};
use crate::shared::address_cap::HeldCell;
use crate::sys;
use turn::{TURN_REQUESTS, Turn};

/// A connection that goes on asking while the server drains is closed between two requests after so long, if it has
/// had [`TURN_REQUESTS`] answers since: a stop must come to an end.
const ASKING_WHILE_DRAINING: Duration = Duration::from_secs(1);

/// The most that is taken of what a peer still sends after its last reply: enough for a client that writes a
/// whole refused file of usual size before it reads.
const LINGER_LEN_MAX: usize = 256 << 20;

/// Has close(2) reset the connection and drop what was not sent.
const RESET: linger = linger {
    l_onoff: 1,
    l_linger: 0,
};

/// Why [`Connection::drive`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The socket is not ready. Drive again when it is, or at `until`, or when told to stop.
    NotNow {
        /// What the socket is to be ready for.
        interest: Interest,
        /// Drive again then at the latest.
        until: Instant,
    },
    /// The connection has had its turn; there is more to do at once.
    Turn,
    /// It is over: call [`Connection::close`].
    Over,
}

/// What a connection is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing but a head, of which there may be nothing yet.
    Head,
    /// Between two requests.
    Idle,
    /// A request: its body, its reply, or the store's part in it.
    Transfer,
    /// All is said; what the peer still sends is taken and dropped.
    Lingering,
}

/// What a socket is to be ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes to read, or the end.
    Readable,
    /// Room for bytes to write.
    Writable,
    /// Nothing: only the time is waited for.
    Nothing,
}

/// A connection: its socket, its session and its clock.
#[derive(Debug)]
pub(crate) struct Connection<'s> {
    socket: TcpStream,
    session: Session<'s>,
    clock: Clock,
    lingered_len: usize,
    is_shut: bool,
    /// Nothing more was there to be read, less than there was room for, and it has not been waited for since.
    is_empty: bool,
    /// Its next request was not there yet when the one before was answered.
    was_awaited: bool,
    /// In this turn: the peer has just been seen not to have sent its end.
    goes_on: bool,
    draining: Option<Draining>,
    is_turned_away: bool,
    /// Its place among its address's connections, given back when this is dropped.
    _place: Option<HeldCell>,
    /// What writes down its requests.
    access_logger: Option<AccessLogger<'s>>,
}

impl<'s> Connection<'s> {
    /// Joins `session` to `socket`, which must be non-blocking.
    #[must_use]
    pub(crate) fn new(socket: TcpStream, session: Session<'s>, clocks: Clocks) -> Self {
        Self {
            socket,
            session,
            clock: Clock::new(clocks, Instant::now()),
            lingered_len: 0,
            is_shut: false,
            is_empty: false,
            was_awaited: false,
            goes_on: false,
            draining: None,
            is_turned_away: false,
            _place: None,
            access_logger: None,
        }
    }

    /// Has its requests written down.
    pub(crate) fn write_down_by(&mut self, access_logger: AccessLogger<'s>) {
        self.session.remember_finished();
        self.access_logger = Some(access_logger);
    }

    /// Has it told that it is one too many: one error, then the end.
    pub(crate) fn turn_away(&mut self, code: Code, message: &str) {
        self.session.turn_away(code, message);
        self.is_turned_away = true;
    }

    /// Whether it was.
    #[must_use]
    pub(crate) const fn is_turned_away(&self) -> bool {
        self.is_turned_away
    }

    /// Keeps `place` for as long as the connection lives.
    pub(crate) fn hold(&mut self, place: Option<HeldCell>) {
        self._place = place;
    }

    /// What it is in the middle of.
    #[must_use]
    pub(crate) fn stage(&self) -> Stage {
        match self.session.want() {
            Want::Read(Reading::First | Reading::Head) => Stage::Head,
            Want::Read(Reading::Idle) | Want::Next => Stage::Idle,
            Want::Linger(_) | Want::Close => Stage::Lingering,
            Want::Read(Reading::Body | Reading::Settling)
            | Want::Write
            | Want::Send
            | Want::Resume
            | Want::Peer => Stage::Transfer,
        }
    }

    /// Serves until there is a reason to pause. Buffers are taken from `buffer_pool`, and those that the connection
    /// can wait without are put back there.
    pub(crate) fn drive(&mut self, buffer_pool: &mut BufferPool) -> Pause {
        self.session.take_buffers(buffer_pool);
        let pause = self.move_bytes();
        self.goes_on = false;
        self.session.put_buffers(buffer_pool);
        pause
    }

    /// Something has arrived, and its peer had not sent its end when that was seen, just now.
    pub(crate) fn peer_goes_on(&mut self) {
        self.goes_on = true;
    }

    /// Finish what is in hand, then close.
    pub(crate) fn drain(&mut self) {
        self.session.drain();
        self.draining.get_or_insert_with(|| Draining {
            since: Instant::now(),
            answered: 0,
        });
    }

    /// Cut it.
    pub(crate) fn abort(&mut self) {
        self.session.end(End::Stopped);
        self.write_down();
    }

    /// A panic has come out of [`Connection::drive`]: this connection is lost.
    pub(crate) fn crashed(&mut self) {
        self.session.end(End::Crashed);
        self.write_down();
    }

    /// Who is at the other end, as far as that is still known.
    #[must_use]
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    /// Books its end and closes the socket.
    pub(crate) fn close(mut self) {
        self.session.give_up();
        self.write_down();
        self.session.close();
    }

    fn write_down(&mut self) {
        if let Some(failure) = self.session.take_failure() {
            failures::tell(&failure, self.peer_addr());
        }
        if let Some(access_logger) = &mut self.access_logger {
            access_logger.look(&mut self.session);
        }
    }

    fn move_bytes(&mut self) -> Pause {
        let mut turn = Turn::new(Instant::now());
        loop {
            let want = self.session.want();
            let result = match want {
                _ if self.has_to_wait(&turn) => Err(ErrorKind::WouldBlock.into()),
                Want::Read(_) => self.read(),
                Want::Write => self.write(&mut turn),
                Want::Send => self.send_encoded(&mut turn),
                Want::Linger(_) => self.linger(),
                Want::Next => {
                    self.next_request();
                    continue;
                }
                Want::Resume => match self.resume() {
                    Some(pause) => return pause,
                    None => continue,
                },
                Want::Peer => match self.look_for_peer(&turn) {
                    Some(pause) => return pause,
                    None => continue,
                },
                Want::Close => return Pause::Over,
            };
            if let Some(pause) = self.moved(want, result, &mut turn) {
                return pause;
            }
            self.write_down();
            let now = Instant::now();
            if turn.is_over(now) && !self.has_to_wait(&turn) && !self.has_expired(&turn, now) {
                return Pause::Turn;
            }
        }
    }

    /// Whether to try what the session wants would fail. Of a peer that had to be waited for once it was answered the next
    /// request, or its end, is hardly there just after an answer; while the server drains it is looked for, since nobody is
    /// waited for then.
    fn has_to_wait(&self, turn: &Turn) -> bool {
        match self.session.want() {
            Want::Read(Reading::Idle) => {
                self.is_empty && self.was_awaited && !self.session.is_draining()
            }
            Want::Write | Want::Send => turn.is_full,
            _ => false,
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let space = self.session.space();
        let len = self.socket.read(space)?;
        self.is_empty = len < space.len();
        Ok(len)
    }

    /// What has come of reading or writing; none if there is something else to do at once.
    fn moved(&mut self, want: Want, result: io::Result<usize>, turn: &mut Turn) -> Option<Pause> {
        match (result, want) {
            (Ok(0), Want::Read(_)) => self.session.end(End::PeerClosed),
            (Ok(0), Want::Linger(_)) => return Some(Pause::Over),
            (Ok(len), _) => {
                turn.moved_len += len;
                self.clock.moved(len, Instant::now);
                match want {
                    Want::Read(reading) => self.arrived(len, reading),
                    Want::Write => self.sent(len, turn),
                    Want::Send => {
                        self.session.sent_encoded(len);
                        self.clock.replied();
                    }
                    Want::Next | Want::Resume | Want::Peer | Want::Linger(_) | Want::Close => {}
                }
            }
            (Err(error), _) if error.kind() == ErrorKind::Interrupted => {}
            (Err(error), _) if error.kind() == ErrorKind::WouldBlock => return self.not_now(want),
            (Err(_), Want::Linger(_)) => return Some(Pause::Over),
            (Err(error), _) => {
                tracing::debug!(%error, "connection lost");
                self.session.end(End::PeerGone);
            }
        }
        None
    }

    fn arrived(&mut self, len: usize, reading: Reading) {
        let goes_on = std::mem::take(&mut self.goes_on);
        if !goes_on && reading.is_of_a_head() && matches!(self.socket.peek(&mut [0]), Ok(0)) {
            self.session.peer_has_finished();
            self.is_empty = false;
        }
        self.session.arrived(len);
    }

    /// Goes on with an answer if its peer is still there; none if there is something else to do at once.
    fn look_for_peer(&mut self, turn: &Turn) -> Option<Pause> {
        if self.is_reset() {
            self.session.end(End::PeerGone);
        } else if turn.moved_len > 0 {
            // The first bytes have just gone out. Who is gone needs a moment to say so; who is there is next in line.
            return Some(Pause::Turn);
        } else {
            self.session.resume(false);
        }
        self.write_down();
        None
    }

    /// Whether the connection is over in both directions.
    fn is_reset(&self) -> bool {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        let _ = poll(&mut fds, PollTimeout::ZERO);
        fds[0].any().unwrap_or(true)
    }

    fn sent(&mut self, len: usize, turn: &mut Turn) {
        self.session.sent(len);
        self.clock.replied();
        if !self.session.is_request_open() {
            turn.answered += 1;
            if let Some(draining) = &mut self.draining {
                draining.answered = draining.answered.saturating_add(1);
            }
        }
    }

    /// Goes on to the request behind the last one, unless the server has waited long enough for the last of them.
    fn next_request(&mut self) {
        match self.draining {
            Some(draining) if draining.is_over(Instant::now()) => self.session.close_before_next(),
            _ => self.session.go_on(),
        }
    }

    /// Whether the time for a head or between requests is over although bytes come: empty lines, which are no head.
    /// A turn is over, which is when there has been no wait that would have noticed.
    fn has_expired(&mut self, turn: &Turn, now: Instant) -> bool {
        let Want::Read(reading @ (Reading::First | Reading::Idle)) = self.session.want() else {
            return false;
        };
        if turn.answered > 0 {
            return false;
        }
        let is_over = self
            .draining
            .is_some_and(|it| now >= it.since + ASKING_WHILE_DRAINING);
        if is_over {
            self.session.close_idle();
        } else if self.clock.wait(Waiting::For(reading), now) == Verdict::Expired {
            self.session.end(End::TimedOut);
        }
        self.session.want() != Want::Read(reading)
    }

    /// Lets the session ask the store again; none if there is something else to do at once.
    fn resume(&mut self) -> Option<Pause> {
        self.session.resume(false);
        if self.session.want() == Want::Resume {
            match self.clock.wait_for_store(Instant::now()) {
                Verdict::Until(until) => {
                    return Some(Pause::NotNow {
                        interest: Interest::Nothing,
                        until,
                    });
                }
                Verdict::Silence | Verdict::Expired => self.session.resume(true),
            }
        }
        self.write_down();
        None
    }

    /// The socket is not ready for what the session wants; none if there is something else to do at once.
    fn not_now(&mut self, want: Want) -> Option<Pause> {
        let now = Instant::now();
        self.is_empty = false;
        self.was_awaited |= want == Want::Read(Reading::Idle);
        let (waiting, interest) = match want {
            Want::Read(reading) => (Waiting::For(reading), Interest::Readable),
            Want::Write | Want::Send => (Waiting::ToWrite, Interest::Writable),
            Want::Linger(lingering) => (Waiting::ToClose(lingering), Interest::Readable),
            Want::Next | Want::Resume | Want::Peer | Want::Close => return Some(Pause::Over),
        };
        let verdict = match want {
            Want::Read(Reading::Idle) if self.session.is_draining() => Verdict::Expired,
            Want::Read(Reading::First) if self.session.is_draining() => {
                self.clock.wait_while_draining(now)
            }
            _ => self.clock.wait(waiting, now),
        };
        match (verdict, want) {
            (Verdict::Until(until), _) => Some(Pause::NotNow { interest, until }),
            (Verdict::Silence, _) => {
                self.session.silence();
                None
            }
            (Verdict::Expired, Want::Linger(_)) => Some(self.silent_while_lingering(now)),
            (Verdict::Expired, Want::Read(Reading::Idle | Reading::First))
                if self.session.is_draining() =>
            {
                self.session.close_idle();
                None
            }
            (Verdict::Expired, _) => {
                tracing::debug!(?waiting, "the peer was too slow");
                if waiting == Waiting::ToWrite {
                    // Closed in good order, the kernel would keep what was not read, up to megabytes, for as long
                    // as the peer likes.
                    let _ = setsockopt(&self.socket, sockopt::Linger, &RESET);
                }
                self.session.end(End::TimedOut);
                None
            }
        }
    }

    /// Nothing more comes. If the peer has not taken all of the reply yet, a late byte of its would destroy the
    /// rest; so that is waited for too.
    fn silent_while_lingering(&mut self, now: Instant) -> Pause {
        if sys::unacknowledged_len(&self.socket) == 0 {
            return Pause::Over;
        }
        match self.clock.linger_on(now) {
            Verdict::Until(until) => Pause::NotNow {
                interest: Interest::Readable,
                until,
            },
            Verdict::Silence | Verdict::Expired => Pause::Over,
        }
    }

    /// Shuts the sending side down once, then takes what still comes.
    fn linger(&mut self) -> io::Result<usize> {
        if !self.is_shut {
            self.is_shut = true;
            self.socket.shutdown(Shutdown::Write)?;
        }
        if self.lingered_len >= LINGER_LEN_MAX {
            return Ok(0);
        }
        let len = self.socket.read(self.session.space())?;
        self.lingered_len += len;
        Ok(len)
    }
}

/// What has become of a connection since the server told it to come to an end.
#[derive(Debug, Clone, Copy)]
struct Draining {
    since: Instant,
    answered: u32,
}

impl Draining {
    fn is_over(self, now: Instant) -> bool {
        self.answered >= TURN_REQUESTS && now >= self.since + ASKING_WHILE_DRAINING
    }
}

impl AsFd for Connection<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
