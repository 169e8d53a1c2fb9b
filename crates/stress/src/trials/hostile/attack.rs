//! The attacks: what each sends and reads, how fast, and what becomes of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Serialize;
use stress_data::fault::FaultyEnd;
use stress_data::matrix::ServerPool;

use crate::clients::raw::{Drip, Raw};

/// One kind of hostile client.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What it is, for a person.
    pub(super) what: &'static str,
    /// Sent at once, so many times.
    first: (&'static [u8], usize),
    drip: Option<Drip>,
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

const QUIET: Attack = Attack {
    name: "",
    what: "",
    first: (b"", 1),
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
        first: (b"GET ", 1),
        drip: Some((b"x", 5)),
        ..QUIET
    },
    Attack {
        name: "slow head, deferred",
        what: "the same, with --defer-accept 1",
        first: (b"GET ", 1),
        drip: Some((b"x", 5)),
        server_flags: &["--defer-accept", "1"],
        ..QUIET
    },
    Attack {
        name: "slow body",
        what: "uploads 40 bytes a second, without end",
        first: (b"UPLOAD slow.bin ", 1),
        drip: Some((b"QUJD", 5)),
        cost: Cost::Limits(2),
        ..QUIET
    },
    Attack {
        name: "slow read",
        what: "asks for 64 MiB and reads 5,000 bytes a second",
        first: (b"GET big.bin\r\n", 1),
        read_len: Some(100),
        cost: Cost::Limits(3),
        ..QUIET
    },
    Attack {
        name: "half-open peer",
        what: "vanishes in the middle of an upload: neither bytes nor an end ever come",
        first: (b"UPLOAD gone.bin QUJD", 1),
        cost: Cost::Limits(2),
        ..QUIET
    },
    Attack {
        name: "huge head",
        what: "sends a head of 1 MiB",
        first: (b"x", 1 << 20),
        ..QUIET
    },
    Attack {
        name: "endless body",
        what: "uploads as fast as it can, without end",
        first: (b"UPLOAD endless.bin ", 1),
        drip: Some((&[b'A'; 64 << 10], 0)),
        ..QUIET
    },
    Attack {
        name: "idle keep-alive",
        what: "asks once and keeps its connection",
        first: (b"LIST\r\n", 1),
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
        first: (b"LIST\r\n", 1),
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
        let (first, times) = self.first;
        let how = match Raw::connect(address, &first.repeat(times)) {
            Err(_) => "refused".into(),
            Ok(raw) => {
                let is_over = || started.elapsed() >= deadline;
                match raw.go_on(self.drip, self.read_len, is_over) {
                    (FaultyEnd::Held, _) => "still open".into(),
                    (FaultyEnd::Reset, heard) => with_code(&heard, "reset"),
                    (_, heard) => with_code(&heard, "closed"),
                }
            }
        };
        AttackEnd {
            how,
            after_s: started.elapsed().as_secs_f64(),
        }
    }
}

/// `how` with the code of the error that was heard, if one was.
fn with_code(heard: &str, how: &str) -> String {
    match heard
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
        let most = fates.iter().map(|fate| fate.how.as_str());
        let most = most.max_by_key(|how| count(how)).unwrap_or_default();
        let of_it = fates.iter().filter(|fate| fate.how == most);
        let mut times: Vec<f64> = of_it.map(|fate| fate.after_s).collect();
        times.sort_by(f64::total_cmp);
        Self {
            how: match fates.len() - times.len() {
                0 => most.to_owned(),
                others => format!("{most} ({others} of {} otherwise)", fates.len()),
            },
            after_s: times.get(times.len() / 2).copied().unwrap_or(0.0),
        }
    }
}
