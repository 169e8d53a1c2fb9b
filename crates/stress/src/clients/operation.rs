//! What one client does: its operations one after another, each on a connection of its own, each with its record.

use std::mem::take;
use std::net::SocketAddr;
use std::time::Duration;

use client::{Buffers, Connection, Download, Listing, Observer, Options, Terminator};
use serde::{Deserialize, Serialize};
use stress_data::matrix::Operation;
use stress_data::measurement::Verify;
use stress_data::record::{Outcome, Record};
use stress_data::size::counted;

use crate::corpus::files::list_len;
use crate::corpus::{Corpus, Salt, download_name, list_names, upload_name};
use crate::host::clock::now_ns;

/// The most that is kept of a failure's detail, in bytes: some of it are a server's words.
pub const DETAIL_LEN_MAX: usize = 500;

/// What all clients of a cell have to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Where the server is.
    pub address: SocketAddr,
    /// What to do.
    pub operation: Operation,
    /// With how many bytes.
    pub volume: u64,
    /// How many times.
    pub requests: u32,
    /// Which content.
    pub seed: u64,
    /// The CRC-32 of what is downloaded; none in other cells.
    pub download_crc32: Option<u32>,
    /// All clients download one file under one name.
    #[serde(default)]
    pub is_shared: bool,
    /// How contents are verified.
    pub verify: Verify,
    /// For one operation, connecting included.
    pub timeout: Duration,
    /// `crlf`, `crlfcrlf`, `lf` or `none`.
    pub terminator: String,
    /// `auto`, `system` or a name.
    pub congestion: String,
    /// The receive buffer in bytes; none leaves the kernel's tuning alone.
    pub receive_buffer: Option<u64>,
}

/// What one operation came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its record. `released_ns` is filled in by whoever released the barrier.
    pub record: Record,
    /// The server took an upload and said nothing about its content that [`Job::verify`] asks for: it counts as
    /// verified only once it has been read back.
    pub is_unconfirmed: bool,
}

impl Attempt {
    /// An operation of which nothing is known but how it ended.
    #[must_use]
    pub fn without_times(client: u32, request: u32, outcome: Outcome, detail: &str) -> Self {
        let record = Record {
            client,
            request,
            released_ns: 0,
            connected_ns: None,
            first_byte_ns: None,
            ended_ns: None,
            bytes: 0,
            verified_bytes: 0,
            outcome,
            detail: Some(detail.to_owned()),
        };
        Self {
            record,
            is_unconfirmed: false,
        }
    }
}

/// A client worker.
#[derive(Debug)]
pub struct Worker<'a> {
    job: &'a Job,
    corpus: Corpus,
    /// What a listing must be; empty in other cells.
    names: Vec<String>,
    options: Options,
    client: u32,
    /// One set for all connections.
    buffers: Buffers,
}

impl<'a> Worker<'a> {
    /// Client number `client`, ready to start. All that takes time and is not the operation is done here.
    ///
    /// # Errors
    /// What in `job` cannot be understood.
    pub fn new(job: &'a Job, corpus: Corpus, client: u32) -> Result<Self, String> {
        let names = match job.operation {
            Operation::List => list_names(list_len(job.volume)),
            Operation::Download | Operation::Upload => Vec::new(),
        };
        Ok(Self {
            job,
            corpus,
            names,
            options: options(job)?,
            client,
            buffers: Buffers::default(),
        })
    }

    /// Performs all operations. After one that ran into its deadline, or found nobody listening, the rest are
    /// not tried: they would wait as long again, each.
    pub fn run(&mut self) -> Vec<Attempt> {
        let mut attempts = Vec::with_capacity(self.job.requests as usize);
        let mut given_up = None;
        for request in 0..self.job.requests {
            let attempt = match given_up {
                None => self.perform(request),
                Some(outcome) => {
                    let detail = format!("not tried after {outcome:?} of an earlier operation");
                    Attempt::without_times(self.client, request, Outcome::NotSent, &detail)
                }
            };
            if let outcome
            @ (Outcome::Timeout | Outcome::ConnectTimeout | Outcome::ConnectRefused) =
                attempt.record.outcome
            {
                given_up = Some(outcome);
            }
            attempts.push(attempt);
        }
        attempts
    }

    /// Performs one operation.
    #[must_use]
    pub fn perform(&mut self, request: u32) -> Attempt {
        let started_ns = now_ns();
        let mut stamps = Stamps::default();
        let (connected_ns, result) = match Connection::connect(self.job.address, &self.options) {
            Err(error) => (None, Err(Failure::of(error))),
            Ok(connection) => {
                let connected_ns = now_ns();
                let mut connection = connection.with_buffers(take(&mut self.buffers));
                let result = self.exchange(&mut connection, request, &mut stamps);
                self.buffers = connection.into_buffers();
                (Some(connected_ns), result)
            }
        };
        // An operation that failed ended when that was noticed.
        let ended_ns = stamps.ended_ns.unwrap_or_else(now_ns);
        let took = Duration::from_nanos(ended_ns.saturating_sub(started_ns));
        let result = match took > self.job.timeout {
            // Connecting and the exchange have a limit each; together they have the same.
            true if result.is_ok() => Err(Failure {
                outcome: Outcome::Timeout,
                detail: format!("done, but only after {took:?}"),
            }),
            _ => result,
        };
        let bytes = match &result {
            Ok(success) => success.bytes,
            Err(_) => stamps.content_len,
        };
        let record = Record {
            client: self.client,
            request,
            released_ns: 0,
            connected_ns,
            first_byte_ns: stamps.first_byte_ns,
            ended_ns: Some(ended_ns),
            bytes,
            verified_bytes: if result.is_ok() { bytes } else { 0 },
            outcome: result
                .as_ref()
                .map_or_else(|failure| failure.outcome, |_| Outcome::Ok),
            detail: result
                .as_ref()
                .err()
                .map(|failure| shortened(&failure.detail)),
        };
        Attempt {
            record,
            is_unconfirmed: result.is_ok_and(|success| success.is_unconfirmed),
        }
    }

    fn exchange(
        &self,
        connection: &mut Connection,
        request: u32,
        stamps: &mut Stamps,
    ) -> Result<Success, Failure> {
        match self.job.operation {
            Operation::Download => self.download(connection, stamps),
            Operation::Upload => self.upload(connection, request, stamps),
            Operation::List => self.list(connection, stamps),
        }
    }

    fn download(
        &self,
        connection: &mut Connection,
        stamps: &mut Stamps,
    ) -> Result<Success, Failure> {
        let name = match self.job.is_shared {
            true => download_name(0),
            false => download_name(self.client),
        };
        // The connection counts and sums up what passes; nobody needs the bytes themselves.
        let download = connection.get(&name, &mut std::io::sink(), stamps)?;
        stamps.ended_ns = Some(now_ns());
        check_download(self.job, &download).map_err(Failure::mismatch)?;
        Ok(Success::of(download.size))
    }

    fn upload(
        &self,
        connection: &mut Connection,
        request: u32,
        stamps: &mut Stamps,
    ) -> Result<Success, Failure> {
        let name = upload_name(self.client, request);
        let salt = Salt::upload(self.client, request);
        let mut content = self.corpus.content(salt, self.job.volume);
        let upload = connection.upload(&name, &mut content, stamps)?;
        stamps.ended_ns = Some(now_ns());
        let is_confirmed = match self.job.verify {
            Verify::Checksum | Verify::Full => upload.verified,
            Verify::Size | Verify::Off => upload.verified || upload.is_size_confirmed,
        };
        Ok(Success {
            bytes: upload.size,
            is_unconfirmed: !is_confirmed,
        })
    }

    fn list(&self, connection: &mut Connection, stamps: &mut Stamps) -> Result<Success, Failure> {
        let listing = connection.list(stamps)?;
        stamps.ended_ns = Some(now_ns());
        let json_len = listing.json_len;
        stamps.content_len = json_len;
        match self.job.verify {
            Verify::Off => {}
            Verify::Size => compare_len(&listing, &self.names)?,
            Verify::Checksum | Verify::Full => compare_names(listing, &self.names)?,
        }
        Ok(Success::of(json_len))
    }
}

/// Whether what came is what was put there, as far as is asked for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_download(job: &Job, download: &Download) -> Result<(), String> {
    let Job { verify, volume, .. } = job;
    if *verify != Verify::Off && download.size != *volume {
        return Err(format!(
            "{} came, not {volume}",
            counted(download.size, "byte")
        ));
    }
    let crc32 = job.download_crc32.unwrap_or(download.crc32);
    match verify {
        Verify::Checksum | Verify::Full if download.crc32 != crc32 => Err(format!(
            "what came has CRC-32 {:08x}, not {crc32:08x}",
            download.crc32
        )),
        _ => Ok(()),
    }
}

/// `detail`, or its beginning if it is longer than [`DETAIL_LEN_MAX`].
pub(crate) fn shortened(detail: &str) -> String {
    match detail.len() <= DETAIL_LEN_MAX {
        true => detail.to_owned(),
        false => format!("{}…", &detail[..detail.floor_char_boundary(DETAIL_LEN_MAX)]),
    }
}

/// An operation that succeeded.
struct Success {
    bytes: u64,
    is_unconfirmed: bool,
}

impl Success {
    const fn of(bytes: u64) -> Self {
        Self {
            bytes,
            is_unconfirmed: false,
        }
    }
}

/// An operation that did not.
struct Failure {
    outcome: Outcome,
    detail: String,
}

impl Failure {
    fn of(error: client::Error) -> Self {
        let outcome = outcome_of(&error);
        let detail = match outcome {
            Outcome::NotSent => format!("the harness itself: {error}"),
            _ => error.to_string(),
        };
        Self { outcome, detail }
    }

    const fn mismatch(detail: String) -> Self {
        Self {
            outcome: Outcome::Mismatch,
            detail,
        }
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::of(error)
    }
}

/// The one outcome of an operation that ended with `error`.
fn outcome_of(error: &client::Error) -> Outcome {
    use client::Error;
    use std::io::ErrorKind;
    match error {
        Error::Connect(error) => match error.kind() {
            ErrorKind::ConnectionRefused => Outcome::ConnectRefused,
            ErrorKind::ConnectionReset => Outcome::Reset,
            ErrorKind::TimedOut => Outcome::ConnectTimeout,
            // No port, no descriptor, no memory left on this side.
            _ => Outcome::NotSent,
        },
        Error::ConnectTimeout(_) => Outcome::ConnectTimeout,
        Error::Timeout(_) => Outcome::Timeout,
        Error::Reset(_) => Outcome::Reset,
        Error::Eof => Outcome::Eof,
        Error::BadReply(_) | Error::Unexpected(_) | Error::TooLong { .. } => Outcome::BadReply,
        Error::Refused { code, .. } => match code.as_deref() {
            Some("busy" | "shutting_down") => Outcome::Busy,
            _ => Outcome::ServerError,
        },
        Error::Mismatch(_) => Outcome::Mismatch,
        // Resolve, Congestion, Local, Interrupted, Unusable: this side's doing, not the server's.
        _ => Outcome::NotSent,
    }
}

fn compare_len(listing: &Listing, expected: &[String]) -> Result<(), Failure> {
    match listing.names.len() {
        len if len == expected.len() => Ok(()),
        len => Err(Failure::mismatch(format!(
            "{} came, not {}",
            counted(len as u64, "name"),
            expected.len()
        ))),
    }
}

/// Name by name. Servers may list in any order; ours sorts, and is then equal at once.
fn compare_names(listing: Listing, expected: &[String]) -> Result<(), Failure> {
    compare_len(&listing, expected)?;
    let mut names = listing.names;
    if names == expected {
        return Ok(());
    }
    names.sort_unstable();
    let different = names
        .iter()
        .zip(expected)
        .find(|(name, expected)| name != expected);
    match different {
        None => Ok(()),
        Some((name, expected)) => Err(Failure::mismatch(format!(
            "'{}' is listed where '{expected}' should be",
            name.escape_debug()
        ))),
    }
}

pub(crate) fn options(job: &Job) -> Result<Options, String> {
    let terminator: Terminator = job.terminator.parse()?;
    let receive_buffer = job.receive_buffer.map(usize::try_from).transpose();
    Ok(Options {
        connect_timeout: job.timeout,
        operation_timeout: Some(job.timeout),
        // A client that waits for its turn hears nothing meanwhile: only the deadline of the whole counts.
        idle_timeout: job.timeout,
        terminator,
        congestion: job.congestion.parse()?,
        receive_buffer: receive_buffer.map_err(|error| format!("receive buffer: {error}"))?,
        // The deadline ends what has no end, and what is too long is a mismatch.
        download_len_max: u64::MAX,
        ..Options::default()
    })
}

/// When what happened.
#[derive(Debug, Default)]
struct Stamps {
    first_byte_ns: Option<u64>,
    ended_ns: Option<u64>,
    content_len: u64,
}

impl Observer for Stamps {
    fn first_byte(&mut self) {
        self.first_byte_ns = Some(now_ns());
    }

    fn content(&mut self, total: u64) {
        self.content_len = total;
    }
}
