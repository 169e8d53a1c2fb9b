//! The attacks: what each sends and reads, how fast, and what becomes of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

/// How often an attacker acts.
const TICK: Duration = Duration::from_millis(20);

/// One kind of hostile client.
#[derive(Debug)]
pub(super) struct Attack {
    pub(super) name: &'static str,
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
    /// What the server is started with besides.
    pub(super) server_flags: &'static [&'static str],
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
    server_flags: &[],
};

/// All of them.
pub(super) const ATTACKS: [Attack; 11] = [
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
        ..QUIET
    },
    Attack {
        name: "slow read",
        what: "asks for 64 MiB and reads 5,000 bytes a second",
        first: Send::Text(b"GET big.bin\r\n"),
        read_len: Some(100),
        ..QUIET
    },
    Attack {
        name: "half-open peer",
        what: "vanishes in the middle of an upload: neither bytes nor an end ever come",
        first: Send::Text(b"UPLOAD gone.bin QUJD"),
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
        ..QUIET
    },
];

/// What became of an attacker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Fate {
    /// `closed`, `reset`, `still open`, or the code it was answered with before that.
    pub(super) how: String,
    /// After so many seconds.
    pub(super) after_s: f64,
}

impl Attack {
    /// How long an attacker goes on at the most. Where each attacker in a crowd occupies a worker until the
    /// limit, the last of them comes to it late.
    pub(super) fn patience(&self, limit: Duration) -> Duration {
        limit * (8 + 2 * self.crowd.unwrap_or(0))
    }

    pub(super) fn carry_out(&self, address: SocketAddr, patience: Duration) -> Fate {
        let started = Instant::now();
        let fate = |how: &str| Fate {
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
        let mut is_open_for_sending = true;
        for tick in 1u32.. {
            if started.elapsed() >= patience {
                return fate("still open");
            }
            if let Some((piece, every)) = self.drip
                && is_open_for_sending
            {
                is_open_for_sending = drip(&mut stream, piece, tick, every);
            }
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
                Ok(len) => received.extend_from_slice(&piece[..len]),
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

/// Sends a piece if it is due; false if nothing more can be sent.
fn drip(stream: &mut TcpStream, piece: &[u8], tick: u32, every: u32) -> bool {
    if every > 0 {
        return !tick.is_multiple_of(every) || is_sent(stream.write(piece));
    }
    // As fast as it goes.
    loop {
        match stream.write(piece) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

fn is_sent(result: std::io::Result<usize>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// `how` with the code of the error that was received, if one was.
fn with_code(received: &[u8], how: &str) -> String {
    let text =
        String::from_utf8_lossy(&received[received.len().saturating_sub(300)..]).into_owned();
    match text
        .rsplit_once("\"code\":\"")
        .and_then(|(_, rest)| rest.split_once('"'))
    {
        Some((code, _)) => format!("{code}, {how}"),
        None => how.to_owned(),
    }
}

impl Fate {
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
