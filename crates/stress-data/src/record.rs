//! What one operation of one client did: the facts every number is computed from.

use serde::{Deserialize, Serialize};

/// How an operation ended. Every operation ends in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, and verified.
    Ok,
    /// The server answered with an error.
    ServerError,
    /// The server answered `busy` or `shutting_down`.
    Busy,
    /// Nothing listened.
    ConnectRefused,
    /// No connection in time.
    ConnectTimeout,
    /// Not done in time.
    Timeout,
    /// The connection was reset.
    Reset,
    /// The server closed before its reply was complete.
    Eof,
    /// The reply was none of the protocol's.
    BadReply,
    /// The content was not what it had to be.
    Mismatch,
    /// The client process died.
    ClientCrashed,
    /// The client never came to it.
    NotSent,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::ServerError,
        Self::Busy,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::Timeout,
        Self::Reset,
        Self::Eof,
        Self::BadReply,
        Self::Mismatch,
        Self::ClientCrashed,
        Self::NotSent,
    ];
}

/// One operation. Times are nanoseconds of CLOCK_MONOTONIC: one origin for all processes of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The client worker, from 0.
    pub client: u32,
    /// Which of the client's operations, from 0.
    pub request: u32,
    /// When the barrier released all clients of the cell.
    pub released_ns: u64,
    /// When the connection stood.
    pub connected_ns: Option<u64>,
    /// When the first byte of the reply came.
    pub first_byte_ns: Option<u64>,
    /// When the last byte of the reply came, or when the operation failed.
    pub ended_ns: Option<u64>,
    /// Content bytes that moved (for a list: bytes of the reply's JSON).
    pub bytes: u64,
    /// Content bytes that were verified: `bytes` if the outcome is ok, else 0.
    pub verified_bytes: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong, for a person.
    pub detail: Option<String>,
}

impl Record {
    /// The record of an operation that has not been tried.
    #[must_use]
    pub const fn not_sent(client: u32, request: u32) -> Self {
        Self {
            client,
            request,
            released_ns: 0,
            connected_ns: None,
            first_byte_ns: None,
            ended_ns: None,
            bytes: 0,
            verified_bytes: 0,
            outcome: Outcome::NotSent,
            detail: None,
        }
    }
}
