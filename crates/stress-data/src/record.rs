//! What one operation of one client did: the facts every number is computed from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

words! {
    /// How an operation ended. Every operation ends in exactly one of these.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum Outcome {
        /// Done, and verified.
        Ok = "ok",
        /// The server answered with an error.
        ServerError = "server_error",
        /// The server answered `busy` or `shutting_down`.
        Busy = "busy",
        /// Nothing listened.
        ConnectRefused = "connect_refused",
        /// No connection in time.
        ConnectTimeout = "connect_timeout",
        /// Not done in time.
        Timeout = "timeout",
        /// The connection was reset.
        Reset = "reset",
        /// The server closed before its reply was complete.
        Eof = "eof",
        /// The reply was none of the protocol's.
        BadReply = "bad_reply",
        /// The content was not what it had to be.
        Mismatch = "mismatch",
        /// The client process died.
        ClientCrashed = "client_crashed",
        /// The client never came to it.
        NotSent = "not_sent",
    }
}

/// One operation. Times are nanoseconds of CLOCK_MONOTONIC: one origin for all processes of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// The client worker, from 0.
    pub client: u32,
    /// Which of the client's operations, from 0.
    pub request: u32,
    /// When the barrier released all clients of the cell.
    pub released_ns: u64,
    /// When the client began with it: after the release as soon as a processor was free. None in journals of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ns: Option<u64>,
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
    /// How long after the release `at` was, nanoseconds.
    #[must_use]
    pub fn since_release(&self, at: Option<u64>) -> Option<u64> {
        between(Some(self.released_ns), at)
    }

    /// The record of an operation that has not been tried.
    #[must_use]
    pub const fn not_sent(client: u32, request: u32) -> Self {
        Self {
            client,
            request,
            released_ns: 0,
            started_ns: None,
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

/// How long the parts of one verified operation took; a part is missing where a time is. The reply to an upload begins when
/// the upload is over, so that its first byte is the answer's.
#[derive(Debug)]
pub(crate) struct Step {
    /// From the start to the connection.
    pub(crate) connect_ns: Option<u64>,
    /// From the start to the first byte.
    pub(crate) first_byte_ns: Option<u64>,
    /// From the connection to the first byte.
    pub(crate) wait_ns: Option<u64>,
    /// From the first byte to the last.
    pub(crate) transfer_ns: Option<u64>,
    /// From the start to the last byte.
    pub(crate) latency_ns: Option<u64>,
}

/// The records of each client, in the order of its operations.
pub fn by_client(records: &[Record]) -> impl Iterator<Item = Vec<&Record>> {
    let mut by_client: BTreeMap<u32, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_client.entry(record.client).or_default().push(record);
    }
    by_client.into_values().map(|mut records| {
        records.sort_by_key(|record| record.request);
        records
    })
}

/// The verified operations of one client. Where nobody wrote down when an operation started, that is when the one before it
/// ended, or the release.
pub(crate) fn steps(records: &[&Record]) -> impl Iterator<Item = Step> {
    let ends = records.iter().map(|record| record.ended_ns);
    let befores = std::iter::once(records.first().map(|record| record.released_ns)).chain(ends);
    let starts = records.iter().zip(befores);
    let starts = starts.map(|(record, before)| record.started_ns.or(before));
    let with_start = records.iter().zip(starts);
    let verified = with_start.filter(|(record, _)| record.outcome == Outcome::Ok);
    verified.map(|(record, start)| Step {
        connect_ns: between(start, record.connected_ns),
        first_byte_ns: between(start, record.first_byte_ns),
        wait_ns: between(record.connected_ns, record.first_byte_ns),
        transfer_ns: between(record.first_byte_ns, record.ended_ns),
        latency_ns: between(start, record.ended_ns),
    })
}

fn between(from: Option<u64>, to: Option<u64>) -> Option<u64> {
    to?.checked_sub(from?)
}

/// What each verified operation of a sample consists of, nanoseconds: to the connection, from there to the first byte of the
/// reply, from there to the last. One whose times are not all known is left out.
#[must_use]
pub fn parts(records: &[Record]) -> Vec<[u64; 3]> {
    by_client(records)
        .flat_map(|records| steps(&records).collect::<Vec<_>>())
        .filter_map(|step| Some([step.connect_ns?, step.wait_ns?, step.transfer_ns?]))
        .collect()
}

/// The longest time of a sample, nanoseconds, in which no operation was completed: from the release, or the end of a verified operation, to the end of the next one; or to the end of the last that was
/// tried, if nothing was completed any more.
#[must_use]
pub fn longest_pause(records: &[Record]) -> Option<u64> {
    let ended = |record: &Record| record.since_release(record.ended_ns);
    let verified = records.iter().filter(|it| it.outcome == Outcome::Ok);
    let mut ends: Vec<u64> = verified.filter_map(ended).collect();
    ends.extend(records.iter().filter_map(ended).max());
    ends.sort_unstable();
    let befores = std::iter::once(0).chain(ends.iter().copied());
    let gaps = ends.iter().zip(befores);
    gaps.map(|(end, before)| end - before).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_was_written_down_is_the_operations_own() {
        let first = Record {
            started_ns: Some(106),
            ..record(0, [110, 140, 200], Outcome::Ok)
        };
        let second = Record {
            started_ns: Some(208),
            ..record(1, [210, 230, 260], Outcome::Ok)
        };
        assert_eq!(parts(&[first.clone(), second]), [[4, 30, 60], [2, 20, 30]]);
        // A journal without it is read, and what has none is written as before.
        let line = serde_json::to_value(record(0, [1, 2, 3], Outcome::Ok)).unwrap();
        assert!(line.get("started_ns").is_none(), "{line}");
        let line = serde_json::to_value(&first).unwrap();
        assert_eq!(line["started_ns"], 106);
        assert_eq!(serde_json::from_value::<Record>(line).unwrap(), first);
    }

    fn record(request: u32, times: [u64; 3], outcome: Outcome) -> Record {
        Record {
            released_ns: 100,
            connected_ns: Some(times[0]),
            first_byte_ns: Some(times[1]),
            ended_ns: Some(times[2]),
            outcome,
            ..Record::not_sent(0, request)
        }
    }

    #[test]
    fn each_operation_of_a_client_starts_where_the_one_before_it_ended() {
        let records = [
            record(1, [210, 230, 260], Outcome::Ok),
            record(0, [110, 140, 200], Outcome::Ok),
            record(2, [270, 280, 300], Outcome::Reset),
        ];
        assert_eq!(parts(&records), [[10, 30, 60], [10, 20, 30]]);
    }
}
