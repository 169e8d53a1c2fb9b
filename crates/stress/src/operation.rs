//! One operation of one client: a connection, a request, a verified reply, a record.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use client::{Congestion, Connection, Error, FileName, Observer, Options, Terminator};
use serde::{Deserialize, Serialize};

use crate::clock::monotonic_ns;
use crate::corpus::{self, Content};
use crate::matrix::Operation;
use crate::measurement::Verify;
use crate::record::{Outcome, Record};

/// What every client of a cell does; client processes get it as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) operation: Operation,
    pub(crate) volume: u64,
    pub(crate) seed: u64,
    /// Operations of each client.
    pub(crate) requests: u32,
    pub(crate) clients: u32,
    /// For one operation, connecting included.
    pub(crate) timeout: Duration,
    pub(crate) verify: Verify,
    pub(crate) terminator: String,
    pub(crate) congestion: String,
    pub(crate) receive_buffer: Option<u64>,
    pub(crate) server: SocketAddr,
    /// What a download must be.
    pub(crate) download_crc32: u32,
}

/// What an upload's record says until the content has been read back: no answer of the server's vouches for it.
pub(crate) const UNCONFIRMED: &str = "the server's answer has no checksum; not read back";

impl Job {
    fn options(&self) -> Options {
        Options {
            connect_timeout: self.timeout,
            operation_timeout: Some(self.timeout),
            idle_timeout: self.timeout,
            terminator: self.terminator.parse().unwrap_or(Terminator::Crlf),
            congestion: match self.congestion.as_str() {
                "auto" => Congestion::Auto,
                "system" => Congestion::System,
                name => Congestion::Named(name.to_owned()),
            },
            receive_buffer: self.receive_buffer.and_then(|bytes| usize::try_from(bytes).ok()),
        }
    }
}

/// Carries out one operation. The record's `released_ns` is filled in by whoever released the clients.
pub(crate) fn perform(job: &Job, client: u32, request: u32) -> Record {
    let mut record = Record::not_sent(client, request);
    let mut watch = Watch::default();
    let done = Connection::connect(job.server, &job.options()).and_then(|mut connection| {
        record.connected_ns = Some(monotonic_ns());
        exchange(job, client, request, &mut connection, &mut watch)
    });
    record.ended_ns = Some(monotonic_ns());
    record.first_byte_ns = watch.first_byte_ns;
    record.bytes = watch.bytes;
    match done {
        Ok(Done { bytes, problem: None }) => {
            record.bytes = bytes;
            record.verified_bytes = bytes;
            record.outcome = Outcome::Ok;
        }
        Ok(Done { bytes, problem: Some(Problem::Unconfirmed) }) => {
            record.bytes = bytes;
            record.outcome = Outcome::Ok;
            record.detail = Some(UNCONFIRMED.to_owned());
        }
        Ok(Done { bytes, problem: Some(Problem::Wrong(what)) }) => {
            record.bytes = bytes;
            record.outcome = Outcome::Mismatch;
            record.detail = Some(what);
        }
        Err(error) => {
            record.outcome = outcome_of(&error);
            record.detail = Some(error.to_string());
        }
    }
    record
}

struct Done {
    bytes: u64,
    problem: Option<Problem>,
}

enum Problem {
    Unconfirmed,
    Wrong(String),
}

fn exchange(
    job: &Job,
    client: u32,
    request: u32,
    connection: &mut Connection,
    watch: &mut Watch,
) -> Result<Done, Error> {
    match job.operation {
        Operation::Download => {
            let name = name(corpus::download_name(client))?;
            let got = connection.get(&name, &mut io::sink(), watch)?;
            Ok(Done { bytes: got.size, problem: check_download(job, got.size, got.crc32) })
        }
        Operation::Upload => {
            let name = name(corpus::upload_name(client, request))?;
            let mut content = Content::new(job.seed, corpus::upload_salt(client, request), job.volume);
            let sent = connection.upload(&name, &mut content, watch)?;
            let trusts_answer = sent.verified || matches!(job.verify, Verify::Size | Verify::Off);
            Ok(Done { bytes: sent.size, problem: (!trusts_answer).then_some(Problem::Unconfirmed) })
        }
        Operation::List => {
            let listing = connection.list(watch)?;
            let problem = if job.verify == Verify::Off { None } else { check_listing(job, listing.names) };
            Ok(Done { bytes: listing.json_len, problem })
        }
    }
}

fn check_download(job: &Job, size: u64, crc32: u32) -> Option<Problem> {
    let wants_size = job.verify != Verify::Off;
    let wants_crc32 = matches!(job.verify, Verify::Full | Verify::Checksum);
    if wants_size && size != job.volume {
        return Some(Problem::Wrong(format!("{size} bytes came, {} were due", job.volume)));
    }
    (wants_crc32 && crc32 != job.download_crc32).then(|| {
        Problem::Wrong(format!("CRC-32 {crc32:08x} came, {:08x} was due", job.download_crc32))
    })
}

/// Name by name; servers other than ours may list in any order.
fn check_listing(job: &Job, mut names: Vec<String>) -> Option<Problem> {
    names.sort_unstable();
    let count = names.len();
    let same = names.into_iter().eq(corpus::list_names(job.volume));
    (!same).then(|| Problem::Wrong(format!("the {count} names listed are not those that are there")))
}

fn name(name: String) -> Result<FileName, Error> {
    // The corpus makes only names that a FileName can be.
    FileName::parse(name.as_bytes()).map_err(|error| Error::Local(io::Error::other(error)))
}

fn outcome_of(error: &Error) -> Outcome {
    match error {
        Error::Resolve { .. } | Error::Connect(_) => Outcome::ConnectRefused,
        Error::ConnectTimeout(_) => Outcome::ConnectTimeout,
        Error::Timeout(_) => Outcome::Timeout,
        Error::Reset(_) => Outcome::Reset,
        Error::Eof => Outcome::Eof,
        Error::Refused { code, .. } => match code.as_deref() {
            Some("busy" | "shutting_down") => Outcome::Busy,
            _ => Outcome::ServerError,
        },
        Error::Mismatch(_) => Outcome::Mismatch,
        Error::Local(_) => Outcome::NotSent,
        _ => Outcome::BadReply,
    }
}

/// Stamps what the client library reports.
#[derive(Debug, Default)]
struct Watch {
    first_byte_ns: Option<u64>,
    bytes: u64,
}

impl Observer for Watch {
    fn first_byte(&mut self) {
        self.first_byte_ns = Some(monotonic_ns());
    }

    fn content(&mut self, total: u64) {
        self.bytes = total;
    }
}
