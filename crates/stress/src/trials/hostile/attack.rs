//! The attacks: what each sends and reads, how fast, and what becomes of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use stress_data::matrix::ServerPool;

/// How often an attacker acts.
const TICK: Duration = Duration::from_millis(20);

/// How much of what it receives it keeps: more than an error.
const TAIL_LEN: usize = 300;

/// One kind of hostile client.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What it is, for a person.
    pub(super) what: &'static str,
    /// Sent at once.
    first: Send,
    /// Sent with every so manieth tick after that.
    drip: Option<(&'static [u8], u32)>,
    /// Bytes read with every tick; none reads all there is.
    read_len: Option<usize>,
    /// So many attackers for each worker, if not one.
    pub(super) crowd: Option<u32>,
    /// It ends only when the attacker has had enough.
    is_endless: bool,
    /// What it may cost the others where a worker serves one connection at a time.
    cost: Cost,
    /// What the server is started with besides.
    pub(super) server_flags: &'static [&'static str],
}

/// How long an attacker may be in the way of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// Not at all: its connection can be set aside between two requests and before the first.
    Nothing,
    /// It is in the middle of a transfer, or one of more than can be set aside: until so many limits are over.
    Limits(u32),
}

#[derive(Debug)]
enum Send {
    Text(&'static [u8]),
    /// A byte so many times.
    Many(u8, usize),
}

const QUIET: Attack = Attack {
    name: "",
    what: "",
    first: Send::Text(b""),
    drip: None,
    read_len: None,
    crowd: None,
    is_endless: false,
    cost: Cost::Nothing,
    server_flags: &[],
};

/// Requests that are done in no time.
const TINY: &[u8; 37] = b"UPLOAD a QQ==\r\nDELETE nothing\r\nLIST\r\n";

/// As many of them as go into one write.
static TINY_REQUESTS: [u8; 200 * TINY.len()] = {
    let mut requests = [0; 200 * TINY.len()];
    let mut at = 0;
    while at < requests.len() {
        requests[at] = TINY[at % TINY.len()];
        at += 1;
    }
    requests
};

/// A worker that such a client keeps from its loop is taken for a hung one; this is the shortest time for that.
const SHORT_WATCH: &[&str] = &["--worker-timeout", "4s"];

/// All of them.
pub(super) const ATTACKS: [Attack; 13] = [
    Attack {
        name: "silent connection",
        what: "connects and says nothing",
        ..QUIET
    },
    Attack {
        name: "silent connection, deferred",
        what: "the same, with --defer-accept 1",
        server_flags: &["--defer-accept", "1"],
        ..QUIET
    },
    Attack {
        name: "slow head",
        what: "sends one byte of a head every 100 ms, without end",
        first: Send::Text(b"GET "),
        drip: Some((b"x", 5)),
        ..QUIET
    },
    Attack {
        name: "slow head, deferred",
        what: "the same, with --defer-accept 1",
        first: Send::Text(b"GET "),
        drip: Some((b"x", 5)),
        server_flags: &["--defer-accept", "1"],
        ..QUIET
    },
    Attack {
        name: "slow body",
        what: "uploads 40 bytes a second, without end",
        first: Send::Text(b"UPLOAD slow.bin "),
        drip: Some((b"QUJD", 5)),
        cost: Cost::Limits(2),
        ..QUIET
    },
    Attack {
        name: "slow read",
        what: "asks for 64 MiB and reads 5,000 bytes a second",
        first: Send::Text(b"GET big.bin\r\n"),
        read_len: Some(100),
        cost: Cost::Limits(3),
        ..QUIET
    },
    Attack {
        name: "half-open peer",
        what: "vanishes in the middle of an upload: neither bytes nor an end ever come",
        first: Send::Text(b"UPLOAD gone.bin QUJD"),
        cost: Cost::Limits(2),
        ..QUIET
    },
    Attack {
        name: "huge head",
        what: "sends a head of 1 MiB",
        first: Send::Many(b'x', 1 << 20),
        ..QUIET
    },
    Attack {
        name: "endless body",
        what: "uploads as fast as it can, without end",
        first: Send::Text(b"UPLOAD endless.bin "),
        drip: Some((&[b'A'; 64 << 10], 0)),
        ..QUIET
    },
    Attack {
        name: "idle keep-alive",
        what: "asks once and keeps its connection",
        first: Send::Text(b"LIST\r\n"),
        server_flags: &["--idle-timeout", "3s"],
        ..QUIET
    },
    Attack {
        name: "flood",
        what: "40 silent connections for each worker",
        crowd: Some(40),
        cost: Cost::Limits(41),
        ..QUIET
    },
    Attack {
        name: "pipeliner",
        what: "sends tiny requests as fast as it can, without end, and reads the answers",
        drip: Some((&TINY_REQUESTS, 0)),
        is_endless: true,
        server_flags: SHORT_WATCH,
        ..QUIET
    },
    Attack {
        name: "busy asker",
        what: "asks for something small every 150 ms, for good",
        first: Send::Text(b"LIST\r\n"),
        drip: Some((b"LIST\r\n", 7)),
        is_endless: true,
        server_flags: SHORT_WATCH,
        ..QUIET
    },
];

/// What a good client waits at most where no attacker may be in its way: for others' turns, and for this machine.
const PROMISED_WAIT: Duration = Duration::from_millis(250);

/// What became of an attacker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct AttackEnd {
    /// `closed`, `reset`, `still open`, or the code it was answered with before that.
    pub(super) how: String,
    /// After so many seconds.
    pub(super) after_s: f64,
}

impl Attack {
    /// How long an attacker goes on at the most. Where each attacker in a crowd occupies a worker until the
    /// limit, the last of them comes to it late.
    pub(super) fn deadline(&self, limit: Duration) -> Duration {
        match self.is_endless {
            true => limit * 6,
            false => limit * (8 + 2 * self.crowd.unwrap_or(0)),
        }
    }

    /// How long a good client waits at most beside it.
    pub(super) fn promised_wait(&self, pool: ServerPool, limit: Duration) -> Duration {
        match (pool, self.cost) {
            (ServerPool::Event, _) | (_, Cost::Nothing) => PROMISED_WAIT,
            (_, Cost::Limits(limits)) => limit * limits + PROMISED_WAIT,
        }
    }

    pub(super) fn carry_out(&self, address: SocketAddr, deadline: Duration) -> AttackEnd {
        let started = Instant::now();
        let fate = |how: &str| AttackEnd {
            how: how.to_owned(),
            after_s: started.elapsed().as_secs_f64(),
        };
        let Ok(mut stream) = TcpStream::connect(address) else {
            return fate("refused");
        };
        if self.send_first(&mut stream).is_err() || stream.set_nonblocking(true).is_err() {
            return fate("reset");
        }
        let mut received = Vec::new();
        let mut drip = self.drip.map(Drip::new);
        for tick in 1u32.. {
            if started.elapsed() >= deadline {
                return fate("still open");
            }
            drip = drip.and_then(|drip| drip.send_what_is_due(&mut stream, tick));
            // What it has not read yet hides a reset from a slow reader.
            if let Ok(Some(_)) = stream.take_error() {
                return fate(&with_code(&received, "reset"));
            }
            match self.read(&mut stream, &mut received) {
                Ok(true) => {}
                Ok(false) => return fate(&with_code(&received, "closed")),
                Err(_) => return fate(&with_code(&received, "reset")),
            }
            thread::sleep(TICK);
        }
        fate("still open")
    }

    fn send_first(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self.first {
            Send::Text(text) => stream.write_all(text),
            // The server may be done with it before it is all sent.
            Send::Many(byte, len) => match stream.write_all(&vec![byte; len]) {
                Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                other => other,
            },
        }
    }

    /// Reads what is due; false at the end.
    fn read(&self, stream: &mut TcpStream, received: &mut Vec<u8>) -> std::io::Result<bool> {
        let mut piece = vec![0; self.read_len.unwrap_or(64 << 10)];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => return Ok(false),
                Ok(len) => {
                    received.extend_from_slice(&piece[..len]);
                    // Only the end is looked at.
                    received.drain(..received.len().saturating_sub(TAIL_LEN));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.read_len.is_some() {
                return Ok(true);
            }
        }
    }
}

/// What is sent piece by piece, and how far that has come.
struct Drip {
    piece: &'static [u8],
    /// With every so manieth tick; 0 is as fast as it goes.
    every: u32,
    /// So much of the piece is sent: the next write goes on there.
    sent: usize,
}

impl Drip {
    fn new((piece, every): (&'static [u8], u32)) -> Self {
        Self {
            piece,
            every,
            sent: 0,
        }
    }

    /// None if nothing more can be sent.
    fn send_what_is_due(mut self, stream: &mut TcpStream, tick: u32) -> Option<Self> {
        if self.every > 0 && !tick.is_multiple_of(self.every) {
            return Some(self);
        }
        loop {
            match stream.write(&self.piece[self.sent..]) {
                Ok(0) => return None,
                Ok(len) => self.sent = (self.sent + len) % self.piece.len(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(self),
                Err(_) => return None,
            }
            if self.every > 0 && self.sent == 0 {
                return Some(self);
            }
        }
    }
}

/// `how` with the code of the error that was received, if one was.
fn with_code(received: &[u8], how: &str) -> String {
    let text = String::from_utf8_lossy(received);
    match text
        .rsplit_once("\"code\":\"")
        .and_then(|(_, rest)| rest.split_once('"'))
    {
        Some((code, _)) => format!("{code}, {how}"),
        None => how.to_owned(),
    }
}

impl AttackEnd {
    /// The fate that most met, after the median of their times.
    pub(super) fn of_most(fates: &[Self]) -> Self {
        let count = |how: &str| fates.iter().filter(|fate| fate.how == how).count();
        let how = fates
            .iter()
            .map(|fate| fate.how.clone())
            .max_by_key(|how| count(how))
            .unwrap_or_default();
        let mut times: Vec<f64> = fates
            .iter()
            .filter(|fate| fate.how == how)
            .map(|fate| fate.after_s)
            .collect();
        times.sort_by(f64::total_cmp);
        let after_s = times.get(times.len() / 2).copied().unwrap_or(0.0);
        let others = fates.len() - count(&how);
        match others {
            0 => Self { how, after_s },
            _ => Self {
                how: format!("{how} ({others} of {} otherwise)", fates.len()),
                after_s,
            },
        }
    }
}
