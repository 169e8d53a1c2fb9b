//! Telling the service manager, if there is one (`NOTIFY_SOCKET`, sd_notify(3)), without waiting for it.
//!
//! A manager that is busy has a full socket. What it has no room for is sent later, in the same order: if READY were
//! lost, the manager would end the server for never having become ready.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::words;

/// How long to leave a reader alone that has no room.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);

/// The manager's socket holds hundreds of messages; one that has left more than this unread for the server alone reads
/// none any more.
const WAITING_MAX: usize = 64;

/// What the manager has not been told yet.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: VecDeque<String>,
}

impl Notices {
    /// This process serves now: after an upgrade it is another than the one that the manager started.
    pub(crate) fn ready(&mut self) {
        self.tell(format!("READY=1\nMAINPID={}\n", std::process::id()));
    }

    /// The settings are being read again; [`Notices::ready`] follows.
    pub(crate) fn reloading(&mut self) {
        match clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from) {
            Ok(now) => self.tell(format!("RELOADING=1\nMONOTONIC_USEC={}\n", now.as_micros())),
            Err(error) => tracing::warn!(%error, "there is no monotonic clock"),
        }
    }

    /// The server is on its way out.
    pub(crate) fn stopping(&mut self) {
        self.tell("STOPPING=1\n".to_owned());
    }

    /// When to [`Notices::go_on`], if there is something left to tell.
    pub(crate) fn next_try(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(PAUSE)
    }

    /// Tells what there is room for. A manager that cannot be told is no reason not to serve.
    pub(crate) fn go_on(&mut self) {
        while let Some(message) = self.waiting.front() {
            match send(message) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => tracing::warn!(
                    error = words::plain(&error),
                    "cannot notify the service manager (NOTIFY_SOCKET)"
                ),
                Ok(()) => {}
            }
            self.waiting.pop_front();
        }
    }

    fn tell(&mut self, message: String) {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return;
        }
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(message);
        self.go_on();
    }
}

fn send(message: &str) -> io::Result<()> {
    let path = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address(&path)?)?;
    socket.send(message.as_bytes()).map(drop)
}

fn address(path: &OsStr) -> io::Result<SocketAddr> {
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}
