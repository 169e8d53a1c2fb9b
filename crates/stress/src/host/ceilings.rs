//! The machine's ceilings: how fast bytes pass through the loopback and through the page cache when nobody does
//! anything with them. What a server reaches is a fraction of that.
//!
//! Loopback: the bytes of a wire, written and read in the pieces that our server and our client use, between two
//! processes, over 1, 5 and 50 connections at once. Page cache: a file on the work directory's file system, in
//! pieces of our store. The best of a few rounds each: a ceiling is what the machine can, not what it does on
//! average.

pub(crate) mod sink;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::sys::socket::{setsockopt, sockopt};
use stress_data::Unusable;
use stress_data::machine::{Ceilings, Loopback};
use stress_data::summary::statistics::rate;

use super::child::{self, Lines};
use super::clock::Deadline;
use super::memory::HostMemory;

/// Connections at once.
const CONNECTIONS: [u32; 3] = [1, 5, 50];
/// One write: 96 KiB of content as base64, which is what both our server and our client send at a time.
const WRITE_LEN: usize = 128 << 10;
/// One read of our client, and of our server.
pub(crate) const READ_LEN: usize = 256 << 10;
/// One write or read of a file, as in our store.
const FILE_PIECE_LEN: usize = 256 << 10;
/// Moved in one round over all connections together: a tenth of a second or more.
const LOOPBACK_BYTES: u64 = 768 << 20;
/// Written and read in one round.
const FILE_BYTES: u64 = 256 << 20;
const ROUNDS: u32 = 3;
/// How long one connection may wait for the other side.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Measures the machine's ceilings. `folder` is on the file system to measure. Takes about three seconds.
///
/// # Errors
/// What cannot be done.
pub(crate) fn measure(folder: &Path) -> Result<Ceilings> {
    drop(HostMemory::take(FILE_BYTES));
    let (write, read) = page_cache(folder)
        .with_context(|| format!("page cache ceiling in {}", folder.display()))?;
    let mut loopback = Vec::new();
    for connections in CONNECTIONS {
        let wire_bytes_per_s = best(|| copy(connections)).context("loopback ceiling")?;
        loopback.push(Loopback {
            connections,
            wire_bytes_per_s,
        });
    }
    Ok(Ceilings {
        loopback,
        cache_write_bytes_per_s: write,
        cache_read_bytes_per_s: read,
    })
}

/// The best of a few rounds, bytes per second.
fn best(mut round: impl FnMut() -> Result<u64>) -> Result<u64> {
    let mut best = 0;
    for _ in 0..ROUNDS {
        best = best.max(round()?);
    }
    Ok(best)
}

/// One round of bytes from this process to another.
fn copy(connections: u32) -> Result<u64> {
    let mut sink = Sink::start(connections)?;
    let address = sink.address;
    let bytes_each = LOOPBACK_BYTES / u64::from(connections);
    let streams = (0..connections)
        .map(|_| connect(address))
        .collect::<io::Result<Vec<_>>>()?;
    let barrier = Barrier::new(streams.len() + 1);
    let elapsed = thread::scope(|scope| {
        let barrier = &barrier;
        let senders: Vec<_> = streams
            .into_iter()
            .map(|stream| {
                scope.spawn(move || {
                    barrier.wait();
                    send(stream, bytes_each)
                })
            })
            .collect();
        barrier.wait();
        let started = Instant::now();
        for sender in senders {
            let sent = sender.join().map_err(|_| anyhow!("a sender panicked"))?;
            sent.context("sending")?;
        }
        anyhow::Ok(started.elapsed())
    })?;
    sink.end()?;
    let ns = u64::try_from(elapsed.as_nanos())?;
    rate(bytes_each * u64::from(connections), ns).context("no time passed")
}

/// As the client and the server do: reno on the loopback.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // Where the kernel has none, its own choice serves.
    let _ = setsockopt(&stream.as_fd(), sockopt::TcpCongestion, &"reno".into());
    Ok(stream)
}

/// Sends so many bytes and waits until the other side has read them all.
fn send(mut stream: TcpStream, bytes: u64) -> io::Result<()> {
    let piece = vec![b'A'; WRITE_LEN];
    let mut left = bytes;
    while left > 0 {
        let len = usize::try_from(left).map_or(WRITE_LEN, |left| left.min(WRITE_LEN));
        stream.write_all(&piece[..len])?;
        left -= len as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other("the sink spoke")),
    }
}

/// The process that reads.
struct Sink {
    child: Child,
    address: SocketAddr,
}

impl Sink {
    fn start(connections: u32) -> Result<Self> {
        let mut child = child::ourselves(child::SINK)
            .arg(connections.to_string())
            .arg(std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = Lines::new(child.stdout.take().expect("it was asked for"));
        let mut sink = Self {
            child,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let line = lines
            .next(&Deadline::after(LIMIT))
            .map_err(|why| anyhow!("the sink does not start: {why:?}"))?;
        sink.address.set_port(line.parse()?);
        Ok(sink)
    }

    fn end(&mut self) -> Result<()> {
        let status = child::reap(&mut self.child, LIMIT)?;
        match status.success() {
            true => Ok(()),
            false => Err(anyhow!("the sink ended badly ({status})")),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = child::end(&mut self.child);
    }
}

/// Bytes per second written into and read from the page cache.
fn page_cache(folder: &Path) -> Result<(u64, u64)> {
    // Without a name: gone with this process, however it ends.
    let mut file = tempfile::tempfile_in(folder).map_err(|error| unusable(folder, &error))?;
    let mut piece = vec![b'A'; FILE_PIECE_LEN];
    let write = best(|| {
        file.set_len(0)?;
        io::Seek::rewind(&mut file)?;
        timed(|| write_all(&mut file, &piece))
    })?;
    let read = best(|| {
        io::Seek::rewind(&mut file)?;
        timed(|| read_all(&mut file, &mut piece))
    })?;
    Ok((write, read))
}

/// Why no file can be made in the folder that `--work-dir` names.
pub(crate) fn unusable(folder: &Path, error: &io::Error) -> Unusable {
    let folder = folder.display();
    Unusable(format!(
        "--work-dir {folder}: cannot make a file there ({error}): name another folder"
    ))
}

fn timed(work: impl FnOnce() -> io::Result<u64>) -> Result<u64> {
    let started = Instant::now();
    let bytes = work()?;
    let ns = u64::try_from(started.elapsed().as_nanos())?;
    rate(bytes, ns).context("no time passed")
}

fn write_all(file: &mut File, piece: &[u8]) -> io::Result<u64> {
    let pieces = FILE_BYTES / piece.len() as u64;
    for _ in 0..pieces {
        file.write_all(piece)?;
    }
    Ok(pieces * piece.len() as u64)
}

fn read_all(file: &mut File, piece: &mut [u8]) -> io::Result<u64> {
    let mut bytes = 0;
    loop {
        match file.read(piece)? {
            0 => return Ok(bytes),
            len => bytes += len as u64,
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_page_cache_takes_and_gives() {
        let folder = tempfile::tempdir().unwrap();
        let (write, read) = page_cache(folder.path()).unwrap();
        assert!(write > 0 && read > 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
