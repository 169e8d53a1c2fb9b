//! What a foreign server answers to LIST: how it wants requests to end, and whether it is ready.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use proto::Terminator;
use proto::reply::{Reply, ReplyDecoder};

use super::Error;
use crate::host::clock::{Deadline, WaitEnded};

/// The ends of a request, in the order in which they are tried: the one that most servers take comes first.
pub(crate) const ORDER: [Terminator; 4] = [
    Terminator::CrlfCrlf,
    Terminator::Crlf,
    Terminator::Lf,
    Terminator::None,
];
/// How long a server may take to answer one LIST. A Python server's first answer took 0.3 s on a busy machine.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long nothing may follow an answer: the answer to an empty line comes with the one before it.
const SILENCE: Duration = Duration::from_millis(250);
/// How long the first attempt to connect may take; each further one may take twice as long. Where the listening queue
/// is full the kernel's own second attempt comes after a second.
const CONNECT_LIMIT: Duration = Duration::from_millis(250);
/// And any at most.
const CONNECT_LIMIT_MAX: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(10);
/// A thread that asks holds a few kilobytes.
const STACK_LEN: usize = 256 << 10;

/// What came of one LIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// One reply with names, and nothing after it.
    Names(Vec<String>),
    /// One other reply, and nothing after it: the server's words.
    Other(String),
    /// No such thing, and what there was instead.
    Unclear(String),
}

/// What a server was found to speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) terminator: Terminator,
    /// The names it listed, if it did.
    pub(crate) names: Option<Vec<String>>,
}

/// Asks with each of `candidates`, and waits for an answer for `limit`, until one is answered with one listing and no more. Where none is, the first that
/// is answered once with anything else counts.
///
/// # Errors
/// [`Error::NotReady`] with what was tried if nothing was answered as it must be.
pub(crate) fn dialect(
    address: SocketAddr,
    candidates: &[Terminator],
    limit: Duration,
    deadline: &Deadline<'_>,
) -> Result<Dialect, Error> {
    let mut refused = None;
    let mut tried = Vec::new();
    for &terminator in candidates {
        let found = match ask(address, terminator, limit, deadline)? {
            Answer::Names(names) => {
                return Ok(Dialect {
                    terminator,
                    names: Some(names),
                });
            }
            Answer::Other(said) => {
                refused.get_or_insert(terminator);
                said
            }
            Answer::Unclear(found) => found,
        };
        tried.push(format!("LIST ended by {}: {found}", word(terminator)));
    }
    match refused {
        Some(terminator) => Ok(Dialect {
            terminator,
            names: None,
        }),
        None => Err(Error::NotReady(format!(
            "it does not answer LIST\n  {}",
            tried.join("\n  ")
        ))),
    }
}

/// Waits until `count` LISTs, sent at once, each over a connection of its own, have been answered.
///
/// # Errors
/// [`Error::NotReady`] if that does not happen.
pub(crate) fn wait_until_all_answer(
    address: SocketAddr,
    terminator: Terminator,
    count: u32,
    deadline: &Deadline<'_>,
) -> Result<(), Error> {
    let ends: Vec<Result<(), Error>> = thread::scope(|scope| {
        let ask = || ask_until_answered(address, terminator, deadline);
        let start = |_| {
            let named = thread::Builder::new().stack_size(STACK_LEN);
            named.spawn_scoped(scope, ask)
        };
        let askers: Vec<_> = (0..count).map(start).collect();
        let end = |requester: std::io::Result<thread::ScopedJoinHandle<'_, _>>| match requester {
            Ok(requester) => requester.join().unwrap_or_else(|why| resume_unwind(why)),
            Err(error) => Err(Error::NotReady(format!("cannot ask it: {error}"))),
        };
        askers.into_iter().map(end).collect()
    });
    if ends.contains(&Err(Error::Interrupted)) {
        return Err(Error::Interrupted);
    }
    let answered = ends.iter().filter(|end| end.is_ok()).count();
    match ends.into_iter().find_map(Result::err) {
        Some(Error::NotReady(why)) => Err(Error::NotReady(format!(
            "of {count} LISTs at once, each ended by {}, {answered} were answered; another: {why}",
            word(terminator)
        ))),
        _ => Ok(()),
    }
}

fn ask_until_answered(
    address: SocketAddr,
    terminator: Terminator,
    deadline: &Deadline<'_>,
) -> Result<(), Error> {
    let mut connect_limit = CONNECT_LIMIT;
    loop {
        // A connect hears no interrupt.
        let limit = connect_limit.min(CONNECT_LIMIT_MAX);
        let why = match connect(address, limit) {
            Ok(stream) => match exchange(stream, terminator, None, deadline)? {
                Answer::Names(_) | Answer::Other(_) => return Ok(()),
                Answer::Unclear(why) => why,
            },
            Err(why) => why,
        };
        match deadline.check() {
            Ok(()) => thread::sleep(PAUSE),
            Err(WaitEnded::Interrupted) => return Err(Error::Interrupted),
            Err(WaitEnded::Late) => return Err(Error::NotReady(why)),
        }
        connect_limit = connect_limit.saturating_mul(2);
    }
}

/// What ends a request, for a person.
pub(crate) const fn word(terminator: Terminator) -> &'static str {
    match terminator {
        Terminator::CrlfCrlf => "CRLF CRLF",
        Terminator::Crlf => "CRLF",
        Terminator::Lf => "LF",
        Terminator::None => "nothing",
    }
}

/// Sends one LIST over a connection of its own, after whose answer nothing may come for a while.
fn ask(
    address: SocketAddr,
    terminator: Terminator,
    limit: Duration,
    deadline: &Deadline<'_>,
) -> Result<Answer, Error> {
    match connect(address, limit) {
        Ok(stream) => exchange(stream, terminator, Some(limit), deadline),
        Err(why) => Ok(Answer::Unclear(why)),
    }
}

/// While nobody listens, a connection to a port that the kernel also gives to connecting sockets can by chance meet
/// itself.
pub(super) fn connect(address: SocketAddr, limit: Duration) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&address, limit)
        .map_err(|error| format!("cannot connect: {error}"))?;
    match stream.local_addr() {
        Ok(own) if own == address => Err("nothing listens there".into()),
        _ => Ok(stream),
    }
}

/// With `alone_within` the answer must come in that time, and nothing after it for a while.
fn exchange(
    mut stream: TcpStream,
    terminator: Terminator,
    alone_within: Option<Duration>,
    deadline: &Deadline<'_>,
) -> Result<Answer, Error> {
    let request = [b"LIST", terminator.as_bytes()].concat();
    if let Err(error) = stream.write_all(&request) {
        return Ok(Answer::Unclear(format!("cannot be sent: {error}")));
    }
    let mut decoder = ReplyDecoder::new();
    let mut received_len = 0;
    let until_answered = alone_within.map_or(*deadline, |limit| deadline.at_most(limit));
    loop {
        let piece = match receive(&mut stream, &until_answered)? {
            Received::Bytes(piece) => piece,
            other => return Ok(Answer::Unclear(other.instead_of_reply(received_len))),
        };
        received_len += piece.len();
        // Content that nobody asked for has to go somewhere.
        let mut content = vec![0; piece.len() + 3];
        let step = match decoder.decode(&piece, &mut content) {
            Ok(step) => step,
            Err(error) => return Ok(Answer::Unclear(error.to_string())),
        };
        let Some(reply) = step.reply else { continue };
        if step.consumed < piece.len() {
            return Ok(Answer::Unclear(TWICE.into()));
        }
        return match alone_within {
            Some(_) => listen_on(stream, reply, &deadline.at_most(SILENCE)),
            None => Ok(answer(reply)),
        };
    }
}

/// The end was taken for more than one.
const TWICE: &str = "answered more than once";

/// After a reply: nothing may follow but the end.
fn listen_on(
    mut stream: TcpStream,
    reply: Reply,
    deadline: &Deadline<'_>,
) -> Result<Answer, Error> {
    Ok(match receive(&mut stream, deadline)? {
        Received::Nothing => answer(reply),
        Received::End => {
            // The server has closed first: by a reset its port is not held for a minute after it.
            let reset = linger {
                l_onoff: 1,
                l_linger: 0,
            };
            let _ = setsockopt(&stream, sockopt::Linger, &reset);
            answer(reply)
        }
        Received::Bytes(_) => Answer::Unclear(TWICE.into()),
        Received::Broken => {
            Answer::Unclear("answered, and closed with a part of the request unread".into())
        }
    })
}

fn answer(reply: Reply) -> Answer {
    match reply.names {
        Some(names) if reply.ok => Answer::Names(names),
        _ => {
            let said = reply.message.unwrap_or_default();
            Answer::Other(format!("answered without names: '{}'", said.escape_debug()))
        }
    }
}

/// What a connection had.
enum Received {
    Bytes(Vec<u8>),
    End,
    Nothing,
    Broken,
}

impl Received {
    fn instead_of_reply(&self, received_len: usize) -> String {
        let how = match self {
            Self::End => "closed",
            Self::Broken => "the connection was reset",
            Self::Nothing | Self::Bytes(_) => "no answer",
        };
        match (received_len, self) {
            (0, Self::Nothing) => how.into(),
            (0, _) => format!("{how} without an answer"),
            (len, Self::Nothing) => format!("{len} bytes came, and no CRLF CRLF after them"),
            (len, _) => format!("{how} after {len} bytes, without CRLF CRLF"),
        }
    }
}

/// Waits for what comes next; [`Received::Nothing`] when the time is over.
fn receive(stream: &mut TcpStream, deadline: &Deadline<'_>) -> Result<Received, Error> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match deadline.check() {
            Ok(()) => {}
            Err(WaitEnded::Late) => return Ok(Received::Nothing),
            Err(WaitEnded::Interrupted) => return Err(Error::Interrupted),
        }
        // 0 would be no limit.
        let slice = deadline.slice().max(Duration::from_millis(1));
        let _ = stream.set_read_timeout(Some(slice));
        match stream.read(&mut piece) {
            Ok(0) => return Ok(Received::End),
            Ok(len) => {
                piece.truncate(len);
                return Ok(Received::Bytes(piece));
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => return Ok(Received::Broken),
            },
        }
    }
}

#[cfg(test)]
mod tests;
