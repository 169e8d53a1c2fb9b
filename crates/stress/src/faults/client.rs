//! Faulty clients: silent, stalled, and slow ones.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::{Connection, Options};
use stress_data::fault::{Fault, FaultyClient, FaultyEnd};
use stress_data::matrix::Operation;

use crate::clients::operation::{Job, check_download, options, shortened};
use crate::clients::raw::{CONNECT_LIMIT, Raw};
use crate::corpus::{Corpus, Salt, download_name, slow_name, stalled_name};
use crate::host::clock::SLICE;

/// What a stalled client sends of a body without an end: three bytes.
const STALLED: &str = "QUJD";
/// A slow client's receive buffer: little, so that the server waits for the client and not for the kernel.
const RECEIVE_BUFFER: usize = 64 << 10;

/// A client with its connection. The connection is made before the good clients are released.
pub(super) enum Faulty {
    Mute(Raw),
    Slow(Box<Connection>, u64),
    Unconnected(String),
}

impl Faulty {
    /// Connects; one that stalls sends the beginning of an upload.
    pub(super) fn connect(job: &Job) -> Self {
        let connected = match job.cell.fault {
            Fault::SlowClient { bytes_per_s, .. } => {
                slow(job).map(|connection| Self::Slow(Box::new(connection), bytes_per_s))
            }
            Fault::StallClient { .. } => mute(job, &format!("UPLOAD {} {STALLED}", stalled_name())),
            Fault::SilentClient { .. } | Fault::None | Fault::KillWorker => mute(job, ""),
        };
        connected.unwrap_or_else(Self::Unconnected)
    }

    /// Goes on until the server ends it, or until `is_over`.
    pub(super) fn go_on(self, number: u32, job: &Job, is_over: &AtomicBool) -> FaultyClient {
        let started = Instant::now();
        let mut faulty = match self {
            Self::Mute(raw) => {
                let (end, heard) = raw.go_on(None, None, || is_over.load(Ordering::Relaxed));
                ended(end, 0, (!heard.is_empty()).then_some(heard))
            }
            Self::Slow(connection, rate) => dawdle(*connection, number, rate, job, is_over),
            Self::Unconnected(why) => ended(FaultyEnd::NotConnected, 0, Some(why)),
        };
        faulty.held_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        faulty
    }
}

fn mute(job: &Job, first: &str) -> Result<Faulty, String> {
    let raw = Raw::connect(job.address, first.as_bytes());
    raw.map(Faulty::Mute).map_err(|error| error.to_string())
}

/// Connects as a client of the pool does.
fn slow(job: &Job) -> Result<Connection, String> {
    let options = Options {
        receive_buffer: Some(RECEIVE_BUFFER),
        connect_timeout: CONNECT_LIMIT,
        operation_timeout: None,
        ..options(job)?
    };
    Connection::connect(job.address, &options).map_err(|error| error.to_string())
}

fn ended(end: FaultyEnd, bytes: u64, detail: Option<String>) -> FaultyClient {
    FaultyClient {
        held_ns: 0,
        bytes,
        has_asked: false,
        end,
        detail: detail.map(|detail| shortened(&detail)),
    }
}

/// Does what the clients of the row do, slowly.
fn dawdle(
    mut connection: Connection,
    number: u32,
    bytes_per_s: u64,
    job: &Job,
    is_over: &AtomicBool,
) -> FaultyClient {
    let mut pace = Pace {
        bytes_per_s,
        started: Instant::now(),
        moved: 0,
        is_over,
        is_cut: false,
    };
    let result = match job.cell.operation {
        Operation::Download => connection
            .get(&download_name(0), &mut Sink(&mut pace), &mut ())
            .and_then(|download| check_download(job, &download).map_err(client::Error::Mismatch)),
        Operation::Upload => {
            let name = slow_name(number);
            let content = Corpus::new(job.settings.seed)
                .content(Salt::upload(u32::MAX, number), job.cell.volume);
            let mut content = Source(&mut pace, content);
            connection.upload(&name, &mut content, &mut ()).map(drop)
        }
        // Its bytes pass before the client hears of them: what is slow is what comes after.
        Operation::List => connection.list(&mut ()).map(drop),
    };
    let bytes = pace.moved;
    let (end, error) = match result {
        Ok(()) => (FaultyEnd::Done, None),
        Err(_) if pace.is_cut => (FaultyEnd::Held, None),
        Err(error @ client::Error::Mismatch(_)) => (FaultyEnd::Mismatch, Some(error)),
        Err(error @ client::Error::Reset(_)) => (FaultyEnd::Reset, Some(error)),
        Err(error) => (FaultyEnd::Closed, Some(error)),
    };
    FaultyClient {
        has_asked: true,
        ..ended(end, bytes, error.map(|error| error.to_string()))
    }
}

/// Keeps to a rate, and ends when it is over.
struct Pace<'a> {
    bytes_per_s: u64,
    started: Instant,
    moved: u64,
    is_over: &'a AtomicBool,
    is_cut: bool,
}

impl Pace<'_> {
    /// Waits until `len` more bytes are due.
    fn move_on(&mut self, len: usize) -> io::Result<()> {
        self.moved += len as u64;
        let due = Duration::from_secs_f64(self.moved as f64 / self.bytes_per_s as f64);
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                self.is_cut = true;
                return Err(io::Error::other("the good clients are done"));
            }
            match due.checked_sub(self.started.elapsed()) {
                None | Some(Duration::ZERO) => return Ok(()),
                Some(left) => std::thread::sleep(left.min(SLICE)),
            }
        }
    }

    /// A piece that takes no longer than a slice or so: what is slow is steadily slow.
    fn piece_len(&self, len: usize) -> usize {
        let slice = self.bytes_per_s / 20;
        len.min(usize::try_from(slice).unwrap_or(len)).max(1)
    }
}

/// Takes what comes, slowly.
struct Sink<'a, 'b>(&'a mut Pace<'b>);

impl Write for Sink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.0.piece_len(bytes.len());
        self.0.move_on(len)?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives what goes, slowly.
struct Source<'a, 'b, R>(&'a mut Pace<'b>, R);

impl<R: Read> Read for Source<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.0.piece_len(out.len());
        let len = self.1.read(&mut out[..len])?;
        self.0.move_on(len)?;
        Ok(len)
    }
}
