//! Faults as an axis: what is done to a cell's server while its clients are at work.
//!
//! Faulty clients are extra clients, not members of the pool: `clients_ok + clients_failed` still add up to the
//! pool, and every figure of a row is that of the good clients. Each faulty client connects once, before the
//! good ones are released, so that a pool that serves in order of arrival has it in hand before any of them.

pub mod report;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::size;

pub use report::{FaultReport, FaultyClient, FaultyEnd, Killed};

/// The most faulty clients of a cell.
const CLIENTS_MAX: u32 = 1_000;
/// What can be written, for errors.
const GRAMMAR: &str = "write none, kill-worker, silent-client[:N], stall-client[:N] or slow-client:RATE[:N], such as slow-client:1M:5 for five that move 1 MiB a second each";

/// One fault. Its text is the flag's, the journal's and the table's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Fault {
    /// Nothing is done.
    #[default]
    None,
    /// So many clients do what the cell's clients do, no faster than a given rate.
    SlowClient {
        /// Content bytes per second of each.
        bytes_per_s: u64,
        /// How many.
        clients: u32,
    },
    /// So many clients connect and say nothing.
    SilentClient {
        /// How many.
        clients: u32,
    },
    /// So many clients stop in the middle of an upload.
    StallClient {
        /// How many.
        clients: u32,
    },
    /// One worker process is killed while it has a connection in hand.
    KillWorker,
}

impl Fault {
    /// Whether nothing is done.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// How many clients come besides those of the pool.
    #[must_use]
    pub const fn clients(self) -> u32 {
        match self {
            Self::None | Self::KillWorker => 0,
            Self::SilentClient { clients }
            | Self::StallClient { clients }
            | Self::SlowClient { clients, .. } => clients,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none")?,
            Self::KillWorker => write!(f, "kill-worker")?,
            Self::SilentClient { .. } => write!(f, "silent-client")?,
            Self::StallClient { .. } => write!(f, "stall-client")?,
            Self::SlowClient { bytes_per_s, .. } => {
                write!(f, "slow-client:{}", size::format(*bytes_per_s))?;
            }
        }
        match self.clients() {
            0 | 1 => Ok(()),
            clients => write!(f, ":{clients}"),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(':');
        let kind = words.next().unwrap_or_default();
        let fault = match kind {
            "none" => Self::None,
            "kill-worker" => Self::KillWorker,
            "silent-client" => Self::SilentClient {
                clients: clients(words.next())?,
            },
            "stall-client" => Self::StallClient {
                clients: clients(words.next())?,
            },
            "slow-client" => Self::SlowClient {
                bytes_per_s: rate(words.next())?,
                clients: clients(words.next())?,
            },
            _ => return Err(format!("unknown fault '{text}': {GRAMMAR}")),
        };
        match words.next() {
            None => Ok(fault),
            Some(_) => Err(format!("too many parts in '{text}': {GRAMMAR}")),
        }
    }
}

impl TryFrom<String> for Fault {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

fn rate(word: Option<&str>) -> Result<u64, String> {
    match word {
        None => Err(format!("the rate is missing: {GRAMMAR}")),
        Some(word) => size::parse(word).map_err(|error| format!("rate: {error}")),
    }
}

/// One if nothing is said.
fn clients(word: Option<&str>) -> Result<u32, String> {
    match word.map(str::parse) {
        None => Ok(1),
        Some(Ok(clients @ 1..=CLIENTS_MAX)) => Ok(clients),
        Some(_) => Err(format!("the number of clients is 1 to 1,000: {GRAMMAR}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_written_as_it_is_read() {
        let check = |text: &str, fault: Fault| {
            assert_eq!(text.parse(), Ok(fault));
            assert_eq!(fault.to_string(), text);
            let json = serde_json::to_string(&fault).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        };
        check("none", Fault::None);
        check("kill-worker", Fault::KillWorker);
        check("silent-client", Fault::SilentClient { clients: 1 });
        check("stall-client:7", Fault::StallClient { clients: 7 });
        let bytes_per_s = 32 << 10;
        check(
            "slow-client:32K",
            Fault::SlowClient {
                bytes_per_s,
                clients: 1,
            },
        );
        check(
            "slow-client:32K:1000",
            Fault::SlowClient {
                bytes_per_s,
                clients: 1_000,
            },
        );
    }

    #[test]
    fn what_is_no_fault_is_refused_with_what_to_write() {
        let check = |text: &str, words: &str| {
            let error = text.parse::<Fault>().unwrap_err();
            assert!(
                error.contains(words) && error.contains("kill-worker"),
                "{error}"
            );
        };
        check("", "unknown fault ''");
        check("explode", "unknown fault 'explode'");
        check("slow-client", "the rate is missing");
        check("silent-client:0", "1 to 1,000");
        check("silent-client:1001", "1 to 1,000");
        check("silent-client:5:5", "too many parts");
        check("kill-worker:2", "too many parts");
        let error = "slow-client:fast".parse::<Fault>().unwrap_err();
        assert!(error.starts_with("rate: invalid size 'fast'"), "{error}");
    }
}
