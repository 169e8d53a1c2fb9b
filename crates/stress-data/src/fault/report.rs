//! What became of a fault: facts of a sample, as the journal keeps them.

use serde::{Deserialize, Serialize};

/// What was done to the server of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FaultReport {
    /// One for each faulty client.
    pub clients: Vec<FaultyClient>,
    /// The worker process that was killed.
    pub killed: Option<Killed>,
}

impl FaultReport {
    /// Faulty clients that had a connection.
    #[must_use]
    pub fn connected(&self) -> u64 {
        self.count(|client| client.end != FaultyEnd::NotConnected)
    }

    pub(crate) fn count(&self, is_counted: fn(&FaultyClient) -> bool) -> u64 {
        self.clients
            .iter()
            .filter(|client| is_counted(client))
            .count() as u64
    }
}

/// One faulty client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FaultyClient {
    /// From its connection to its end, nanoseconds.
    pub held_ns: u64,
    /// Content bytes that were moved.
    pub bytes: u64,
    /// It sent a whole request, so that the server may have carried it out.
    pub has_asked: bool,
    /// How it ended.
    pub end: FaultyEnd,
    /// What the server, or the system, said last.
    pub detail: Option<String>,
}

/// How a faulty client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FaultyEnd {
    /// The server carried its request out.
    Done,
    /// The server carried its request out, and what it sent was not what was put there.
    Mismatch,
    /// The server answered with an error, or closed the connection.
    Closed,
    /// The server reset the connection.
    Reset,
    /// It had its connection until the good clients were done, and left then.
    Held,
    /// It never had a connection.
    NotConnected,
}

/// A worker that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Killed {
    /// Its process.
    pub pid: u32,
    /// Connections it had in hand: its sockets, counted while it was stopped, less those of an idle worker.
    pub in_hand: u32,
    /// When, on the clock of the records.
    pub at_ns: u64,
}
