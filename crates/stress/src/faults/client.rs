//! Faulty clients: silent, stalled, and slow ones.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::{Connection, Options};
use stress_data::fault::{FaultyClient, FaultyEnd};
use stress_data::matrix::Operation;

use crate::clients::operation::{Job, check_download, options, shortened};
use crate::corpus::{Corpus, Salt, download_name, slow_name, stalled_name};
use crate::host::clock::SLICE;

/// How long a connection may take to stand.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// What a stalled client sends of a body without an end: three bytes.
const STALLED: &str = "QUJD";
/// A slow client's receive buffer: little, so that the server waits for the client and not for the kernel.
const RECEIVE_BUFFER: usize = 64 << 10;
/// How much is kept of what the server says to a client that did not ask, about.
const WORDS_LEN_MAX: usize = 1 << 10;

/// A client with its connection. The connection is made before the good clients are released.
pub(super) enum Faulty {
    Mute(TcpStream),
    Slow(Box<Connection>, u64),
    Unconnected(String),
}

impl Faulty {
    /// Connects and says nothing.
    pub(super) fn silent(address: SocketAddr) -> Self {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(stream) => Self::Mute(stream),
            Err(error) => Self::Unconnected(error.to_string()),
        }
    }

    /// Connects and sends the beginning of an upload.
    pub(super) fn stalled(address: SocketAddr) -> Self {
        match Self::silent(address) {
            Self::Mute(mut stream) => {
                let begun = format!("UPLOAD {} {STALLED}", stalled_name());
                match stream.write_all(begun.as_bytes()) {
                    Ok(()) => Self::Mute(stream),
                    Err(error) => Self::Unconnected(error.to_string()),
                }
            }
            other => other,
        }
    }

    /// Connects as a client of the pool does.
    pub(super) fn slow(job: &Job, bytes_per_s: u64) -> Self {
        let connect = || -> Result<Connection, String> {
            let options = Options {
                receive_buffer: Some(RECEIVE_BUFFER),
                connect_timeout: CONNECT_LIMIT,
                operation_timeout: None,
                ..options(job)?
            };
            Connection::connect(job.address, &options).map_err(|error| error.to_string())
        };
        match connect() {
            Ok(connection) => Self::Slow(Box::new(connection), bytes_per_s),
            Err(why) => Self::Unconnected(why),
        }
    }

    /// Goes on until the server ends it, or until `is_over`.
    pub(super) fn go_on(self, number: u32, job: &Job, is_over: &AtomicBool) -> FaultyClient {
        let started = Instant::now();
        let mut faulty = match self {
            Self::Mute(stream) => wait(stream, is_over),
            Self::Slow(connection, rate) => dawdle(*connection, number, rate, job, is_over),
            Self::Unconnected(why) => ended(FaultyEnd::NotConnected, 0, Some(why)),
        };
        faulty.held_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        faulty
    }
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

/// Waits for the server's last word.
fn wait(mut stream: TcpStream, is_over: &AtomicBool) -> FaultyClient {
    if let Err(error) = stream.set_read_timeout(Some(SLICE)) {
        return ended(FaultyEnd::NotConnected, 0, Some(error.to_string()));
    }
    let mut words = Vec::new();
    let mut piece = [0; 1 << 10];
    let end = loop {
        // Looked at before the read: what the server did before the end is heard even if this thread comes late to it.
        let is_over = is_over.load(Ordering::Relaxed);
        match stream.read(&mut piece) {
            Ok(0) => break FaultyEnd::Closed,
            Ok(len) if words.len() < WORDS_LEN_MAX => words.extend_from_slice(&piece[..len]),
            Ok(_) if is_over => break FaultyEnd::Held,
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                if is_over {
                    break FaultyEnd::Held;
                }
            }
            Err(_) => break FaultyEnd::Reset,
        }
    };
    let said = String::from_utf8_lossy(&words).trim().to_owned();
    ended(end, 0, (!said.is_empty()).then_some(said))
}

/// Does what the clients of the cell do, slowly.
fn dawdle(
    mut connection: Connection,
    number: u32,
    bytes_per_s: u64,
    job: &Job,
    is_over: &AtomicBool,
) -> FaultyClient {
    let mut pace = Pace::new(bytes_per_s, is_over);
    let result = match job.operation {
        Operation::Download => connection
            .get(&download_name(0), &mut Sink(&mut pace), &mut ())
            .and_then(|download| check_download(job, &download).map_err(client::Error::Mismatch)),
        Operation::Upload => {
            let name = slow_name(number);
            let content = Corpus::new(job.seed).content(Salt::upload(u32::MAX, number), job.volume);
            let mut content = Source(&mut pace, content);
            connection.upload(&name, &mut content, &mut ()).map(drop)
        }
        // Its bytes pass before the client hears of them: what is slow is what comes after.
        Operation::List => connection.list(&mut ()).map(drop),
    };
    let bytes = pace.moved;
    let faulty = match result {
        Ok(()) => ended(FaultyEnd::Done, bytes, None),
        Err(_) if pace.is_cut => ended(FaultyEnd::Held, bytes, None),
        Err(error @ client::Error::Mismatch(_)) => {
            ended(FaultyEnd::Mismatch, bytes, Some(error.to_string()))
        }
        Err(error @ client::Error::Reset(_)) => {
            ended(FaultyEnd::Reset, bytes, Some(error.to_string()))
        }
        Err(error) => ended(FaultyEnd::Closed, bytes, Some(error.to_string())),
    };
    FaultyClient {
        has_asked: true,
        ..faulty
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

impl<'a> Pace<'a> {
    fn new(bytes_per_s: u64, is_over: &'a AtomicBool) -> Self {
        Self {
            bytes_per_s,
            started: Instant::now(),
            moved: 0,
            is_over,
            is_cut: false,
        }
    }

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
