//! Ctrl-C: the first ends the transfer in an orderly way, so that no temporary file stays; the second
//! ends the program.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use client::Interrupt;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::exit::Exit;

/// The signals that ask this program to end.
#[derive(Debug)]
pub(crate) struct Signals {
    came: Arc<AtomicBool>,
    interrupt: Interrupt,
}

impl Signals {
    /// From now on they are noticed here.
    pub(crate) fn watch() -> io::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        let (writer, reader) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset.
            flag::register_conditional_shutdown(
                signal,
                Exit::Interrupted as i32,
                Arc::clone(&came),
            )?;
            flag::register(signal, Arc::clone(&came))?;
            low_level::pipe::register(signal, writer.try_clone()?)?;
        }
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

    fn check(&self) -> io::Result<()> {
        match self.came() {
            true => Err(io::Error::other("interrupted")),
            false => Ok(()),
        }
    }
}

/// A file that is read, or a pipe, until a signal comes.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    file: File,
    may_block: bool,
    signals: &'a Signals,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: File, signals: &'a Signals) -> io::Result<Self> {
        let may_block = !file.metadata()?.is_file();
        Ok(Self {
            file,
            may_block,
            signals,
        })
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.may_block {
            wait_readable(&self.file, &self.signals.interrupt)?;
        }
        self.signals.check()?;
        self.file.read(buffer)
    }
}

/// A reader that blocked would be restarted after a signal (`SA_RESTART`) and notice nothing.
fn wait_readable(file: &File, interrupt: &Interrupt) -> io::Result<()> {
    let mut fds = [file.as_fd(), interrupt.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop).map_err(io::Error::from),
        }
    }
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
