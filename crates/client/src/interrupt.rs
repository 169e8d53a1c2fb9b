//! Ctrl-C: the first ends the transfer in an orderly way, so that no temporary file stays; the second
//! ends the program.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cli_kit::interrupt::{SIGINT, SIGTERM, catch, wake};
use client::Interrupt;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How often a named pipe is tried that nobody reads yet: its reader cannot be waited for otherwise.
const READER_INTERVAL_MS: u16 = 20;

/// The signals that ask this program to end.
#[derive(Debug)]
pub(crate) struct Signals {
    came: Arc<AtomicBool>,
    interrupt: Interrupt,
}

impl Signals {
    /// From now on they are noticed here.
    pub(crate) fn watch() -> io::Result<Self> {
        let signals = [SIGINT, SIGTERM];
        let came = catch(&signals)?;
        let reader = wake(&signals)?;
        Ok(Self {
            came,
            interrupt: Interrupt::from(OwnedFd::from(reader)),
        })
    }

    /// Whether one has come.
    pub(crate) fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }

    /// For the library, which waits for a socket most of the time.
    pub(crate) fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Waits until `file` is ready or a signal has come. A call that blocked in the kernel would be
    /// begun anew after a signal (`SA_RESTART`), and nothing noticed.
    fn wait(&self, file: &File, events: PollFlags) -> io::Result<()> {
        let mut fds = [
            PollFd::new(file.as_fd(), events),
            PollFd::new(self.interrupt.as_fd(), PollFlags::POLLIN),
        ];
        poll_again(&mut fds, PollTimeout::NONE)
    }

    /// Waits a little, and no longer than until a signal comes.
    fn pause(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(self.interrupt.as_fd(), PollFlags::POLLIN)];
        poll_again(&mut fds, PollTimeout::from(READER_INTERVAL_MS))?;
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        match self.came() {
            true => Err(io::Error::other("interrupted")),
            false => Ok(()),
        }
    }
}

fn poll_again(fds: &mut [PollFd<'_>], timeout: PollTimeout) -> io::Result<()> {
    loop {
        match poll(fds, timeout) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop).map_err(io::Error::from),
        }
    }
}

/// A file that is read, or a pipe, until a signal comes. A regular file gives what it held when it was opened, no more
/// and no less: one that somebody writes to meanwhile is an error, and no whole upload.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    file: File,
    /// What a regular file has to give; none for what may block, whose length nobody knows.
    len: Option<u64>,
    given_len: u64,
    signals: &'a Signals,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: File, signals: &'a Signals) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let len = match metadata.is_file() {
            // Standard input may have been read in part.
            true => Some(metadata.len().saturating_sub((&file).stream_position()?)),
            false => None,
        };
        Ok(Self {
            file,
            len,
            given_len: 0,
            signals,
        })
    }

    /// How much it will give, if that is known.
    pub(crate) fn len(&self) -> Option<u64> {
        self.len
    }

    fn check_len(&self, is_at_end: bool) -> io::Result<()> {
        let gave = match self.len {
            Some(len) if self.given_len > len => "more".to_owned(),
            Some(len) if is_at_end && self.given_len < len => format!("only {}", self.given_len),
            _ => return Ok(()),
        };
        let len = self.len.unwrap_or_default();
        let s = if len == 1 { "" } else { "s" };
        Err(io::Error::other(format!(
            "it had {len} byte{s} when it was opened, and gave {gave} — upload it again when nobody writes to it, or pipe \
             what there is: cat PATH | prefork-client upload - --as NAME"
        )))
    }

    /// Opens `path`. A named pipe need not have a writer yet: the first read waits for one.
    pub(crate) fn open(path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true);
        if is_named_pipe(path) {
            options.custom_flags(OFlag::O_NONBLOCK.bits());
        }
        options.open(path)
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.len.is_none() {
                self.signals.wait(&self.file, PollFlags::POLLIN)?;
            }
            self.signals.check()?;
            match self.file.read(buffer) {
                // Another reader of the same pipe was faster.
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.len.is_none() => {}
                result => {
                    let read_len = result?;
                    self.given_len += read_len as u64;
                    self.check_len(read_len == 0 && !buffer.is_empty())?;
                    return Ok(read_len);
                }
            }
        }
    }
}

/// A device or a named pipe that is written until a signal comes, also while nobody reads it.
#[derive(Debug)]
pub(crate) struct Special<'a> {
    file: File,
    signals: &'a Signals,
}

impl<'a> Special<'a> {
    /// Opens `path`; if it is a named pipe, once somebody reads it.
    pub(crate) fn open(path: &Path, signals: &'a Signals) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        loop {
            match options.open(path) {
                // fifo(7). Without O_NONBLOCK the open would wait, and be begun anew after a signal.
                Err(error) if is(&error, Errno::ENXIO) && is_named_pipe(path) => signals.pause()?,
                result => {
                    let file = result?;
                    return Ok(Self { file, signals });
                }
            }
        }
    }
}

impl Write for Special<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.signals.wait(&self.file, PollFlags::POLLOUT)?;
            self.signals.check()?;
            match self.file.write(bytes) {
                // Another writer of the same pipe was faster.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

fn is_named_pipe(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.file_type().is_fifo())
}

/// A sink that is written until a signal comes.
pub(crate) struct Sink<'a, W> {
    pub(crate) inner: W,
    pub(crate) signals: &'a Signals,
}

impl<W: Write> Write for Sink<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.signals.check()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
