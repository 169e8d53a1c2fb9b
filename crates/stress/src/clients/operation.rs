//! What one client does: its operations one after another, each on a connection of its own, each with its record.

use std::mem::take;
use std::net::SocketAddr;
use std::time::Duration;

use client::{Buffers, Connection, Download, FileName, Listing, Observer, Options, Terminator};
use serde::{Deserialize, Serialize};
use stress_data::matrix::{Cell, Operation};
use stress_data::measurement::{Settings, Verify};
use stress_data::record::{Outcome, Record};
use stress_data::size::counted;

use crate::corpus::files::list_len;
use crate::corpus::{Corpus, Salt, download_name, list_names, upload_name};
use crate::host::clock::now_ns;

/// The most that is kept of a failure's detail, in bytes: some of it are a server's words.
pub(crate) const DETAIL_LEN_MAX: usize = 500;

/// What all clients of a row have to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Where the server is.
    pub address: SocketAddr,
    /// What, with how many bytes, and how many they are.
    pub cell: Cell,
    /// How it is measured.
    pub settings: Settings,
    /// The CRC-32 of what is downloaded; none in other rows.
    pub download_crc32: Option<u32>,
    /// All clients download one file under one name.
    pub is_shared: bool,
}

impl Job {
    /// Operations of each client.
    pub(crate) const fn requests(&self) -> u32 {
        self.settings.requests(&self.cell)
    }
}

/// What one operation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its record. `released_ns` is filled in by whoever released the barrier.
    pub record: Record,
    /// The server took an upload and said nothing about its content that `--verify` asks for: it counts as
    /// verified only once it has been read back.
    pub is_unconfirmed: bool,
}

impl Attempt {
    /// An operation of which nothing is known but how it ended.
    pub fn without_times(client: u32, request: u32, outcome: Outcome, detail: &str) -> Self {
        Self {
            record: Record {
                outcome,
                detail: Some(detail.to_owned()),
                ..Record::not_sent(client, request)
            },
            is_unconfirmed: false,
        }
    }
}

/// What of an operation is known while it goes on.
impl Observer for Attempt {
    fn first_byte(&mut self) {
        self.record.first_byte_ns = Some(now_ns());
    }

    fn content(&mut self, total: u64) {
        self.record.bytes = total;
    }
}

/// A client worker.
#[derive(Debug)]
pub struct Worker<'a> {
    job: &'a Job,
    corpus: Corpus,
    /// What a listing must be; empty in other rows.
    names: Vec<String>,
    /// What is downloaded, or uploaded with each request; empty in other rows.
    files: Vec<FileName>,
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
        let (mut names, mut files) = (Vec::new(), Vec::new());
        let operation = job.cell.operation;
        match operation {
            Operation::List => names = list_names(list_len(job.cell.volume)),
            Operation::Download if job.is_shared => files.push(download_name(0)),
            Operation::Download => files.push(download_name(client)),
            Operation::Upload => {
                files.extend((0..job.requests()).map(|request| upload_name(client, request)));
            }
        }
        Ok(Self {
            job,
            corpus,
            names,
            files,
            options: options(job)?,
            client,
            buffers: Buffers::made(operation == Operation::Upload),
        })
    }

    /// Which client it is.
    pub(crate) const fn client(&self) -> u32 {
        self.client
    }

    /// Performs all operations, and has each kept when it is over. After one that ran into its deadline, or found nobody
    /// listening, the rest are not tried: they would wait as long again, each.
    pub fn run(&mut self, mut keep: impl FnMut(&Attempt)) {
        let mut given_up = None;
        for request in 0..self.job.requests() {
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
            keep(&attempt);
        }
    }

    /// Performs one operation.
    pub fn perform(&mut self, request: u32) -> Attempt {
        let started_ns = now_ns();
        let mut attempt = Attempt {
            record: Record {
                started_ns: Some(started_ns),
                ..Record::not_sent(self.client, request)
            },
            is_unconfirmed: false,
        };
        let result = match Connection::connect(self.job.address, &self.options) {
            Err(error) => Err(error.into()),
            Ok(connection) => {
                attempt.record.connected_ns = Some(now_ns());
                let mut connection = connection.with_buffers(take(&mut self.buffers));
                let result = self.exchange(&mut connection, &mut attempt);
                self.buffers = connection.into_buffers();
                result
            }
        };
        let record = &mut attempt.record;
        // An operation that failed ended when that was noticed.
        let ended_ns = *record.ended_ns.get_or_insert_with(now_ns);
        let took = Duration::from_nanos(ended_ns.saturating_sub(started_ns));
        let result = match result {
            // Connecting and the exchange have a limit each; together they have the same.
            Ok(()) if took > self.job.settings.timeout => Err(Failure {
                outcome: Outcome::Timeout,
                detail: format!("done, but only after {took:?}"),
            }),
            result => result,
        };
        match result {
            Ok(()) => {
                record.outcome = Outcome::Ok;
                record.verified_bytes = record.bytes;
            }
            Err(Failure { outcome, detail }) => {
                record.outcome = outcome;
                record.detail = Some(shortened(&detail));
                attempt.is_unconfirmed = false;
            }
        }
        attempt
    }

    fn exchange(&self, connection: &mut Connection, attempt: &mut Attempt) -> Result<(), Failure> {
        match self.job.cell.operation {
            Operation::Download => self.download(connection, attempt),
            Operation::Upload => self.upload(connection, attempt),
            Operation::List => self.list(connection, attempt),
        }
    }

    fn download(&self, connection: &mut Connection, attempt: &mut Attempt) -> Result<(), Failure> {
        // The connection counts and sums up what passes; nobody needs the bytes themselves.
        let download = connection.get(&self.files[0], &mut std::io::sink(), attempt)?;
        attempt.record.ended_ns = Some(now_ns());
        attempt.record.bytes = download.size;
        check_download(self.job, &download).map_err(Failure::mismatch)
    }

    fn upload(&self, connection: &mut Connection, attempt: &mut Attempt) -> Result<(), Failure> {
        let request = attempt.record.request;
        let name = &self.files[request as usize];
        let salt = Salt::upload(self.client, request);
        let mut content = self.corpus.content(salt, self.job.cell.volume);
        let upload = connection.upload(name, &mut content, attempt)?;
        attempt.record.ended_ns = Some(now_ns());
        attempt.record.bytes = upload.size;
        attempt.is_unconfirmed = match self.job.settings.verify {
            Verify::Checksum | Verify::Full => !upload.verified,
            Verify::Size | Verify::Off => !upload.verified && !upload.is_size_confirmed,
        };
        connection.reuse_upload(upload);
        Ok(())
    }

    fn list(&self, connection: &mut Connection, attempt: &mut Attempt) -> Result<(), Failure> {
        let mut listing = connection.list(attempt)?;
        attempt.record.ended_ns = Some(now_ns());
        attempt.record.bytes = listing.json_len;
        match self.job.settings.verify {
            Verify::Off => {}
            Verify::Size => compare_len(&listing, &self.names)?,
            Verify::Checksum | Verify::Full => compare_names(&mut listing, &self.names)?,
        }
        connection.reuse_listing(listing);
        Ok(())
    }
}

/// Whether what came is what was put there, as far as is asked for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_download(job: &Job, download: &Download) -> Result<(), String> {
    let (verify, volume) = (job.settings.verify, job.cell.volume);
    if verify != Verify::Off && download.size != volume {
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

/// Why an operation did not succeed.
struct Failure {
    outcome: Outcome,
    detail: String,
}

impl Failure {
    const fn mismatch(detail: String) -> Self {
        Self {
            outcome: Outcome::Mismatch,
            detail,
        }
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        let outcome = outcome_of(&error);
        let detail = match outcome {
            Outcome::NotSent => format!("the harness itself: {error}"),
            _ => error.to_string(),
        };
        Self { outcome, detail }
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
fn compare_names(listing: &mut Listing, expected: &[String]) -> Result<(), Failure> {
    compare_len(listing, expected)?;
    let names = &mut listing.names;
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
    let terminator: Terminator = job.settings.terminator.parse()?;
    let receive_buffer = job.cell.client_buffer.map(usize::try_from).transpose();
    Ok(Options {
        connect_timeout: job.settings.timeout,
        operation_timeout: Some(job.settings.timeout),
        // A client that waits for its turn hears nothing meanwhile: only the deadline of the whole counts.
        idle_timeout: job.settings.timeout,
        terminator,
        congestion: job.settings.congestion.parse()?,
        receive_buffer: receive_buffer.map_err(|error| format!("receive buffer: {error}"))?,
        // The deadline ends what has no end, and what is too long is a mismatch.
        download_len_max: u64::MAX,
        ..Options::default()
    })
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;

    use super::*;
    use crate::testing;

    /// What our server says to a client that asks it for one of these.
    fn answer(line: &str) -> String {
        let mut reply = Vec::new();
        match line.split_once(' ') {
            None => {
                proto::reply::encode_list_start(&mut reply);
                for (at, name) in list_names(list_len(VOLUME)).iter().enumerate() {
                    proto::reply::encode_list_item(&mut reply, &crate::corpus::name(name), at == 0);
                }
                proto::reply::encode_list_end(&mut reply, false);
            }
            Some(("GET", name)) => {
                let mut content = Vec::new();
                let mut file = Corpus::new(1).content(Salt::DOWNLOAD, VOLUME);
                std::io::copy(&mut file, &mut content).unwrap();
                proto::reply::encode_get_start(&mut reply, &crate::corpus::name(name));
                let mut encoder = proto::base64::Encoder::new();
                encoder.encode(&content, &mut reply);
                encoder.finish(&mut reply);
                proto::reply::encode_get_end(&mut reply, VOLUME, crc32fast::hash(&content));
            }
            Some((_, upload)) => {
                let name = crate::corpus::name(upload.split(' ').next().unwrap());
                let request = name.as_str()[6..].trim_end_matches(".bin").parse();
                let mut content = Vec::new();
                let salt = Salt::upload(0, request.unwrap());
                std::io::copy(&mut Corpus::new(1).content(salt, VOLUME), &mut content).unwrap();
                let crc32 = crc32fast::hash(&content);
                proto::reply::encode_uploaded(&mut reply, &name, VOLUME, crc32);
            }
        }
        let reply = String::from_utf8(reply).unwrap();
        reply.trim_end().to_owned()
    }

    const VOLUME: u64 = 2_000_000;

    #[test]
    fn between_two_operations_of_a_worker_nothing_is_allocated() {
        for operation in Operation::ALL {
            let (address, _heard) = testing::scripted(|line| Some(answer(line)));
            let mut settings = testing::settings();
            (settings.transfer_requests, settings.list_requests) = (5, 5);
            let job = Job {
                address,
                cell: testing::cell(operation, VOLUME),
                settings,
                download_crc32: None,
                is_shared: false,
            };
            let mut worker = Worker::new(&job, Corpus::new(1), 0).unwrap();
            let made: Vec<u64> = (0..job.requests())
                .map(|request| {
                    let mut attempt = None;
                    let counted = measure(|| attempt = Some(worker.perform(request)));
                    let attempt = attempt.unwrap();
                    assert_eq!(attempt.record.outcome, Outcome::Ok, "{operation:?}");
                    assert!(!attempt.is_unconfirmed);
                    counted.count_total
                })
                .collect();
            // The first has the worker's own strings made.
            assert!(
                made[0] > 0 && made[1..] == [0; 4],
                "{operation:?}: {made:?}"
            );
        }
    }
}
