//! The admin socket and the metrics address: questions about the running server, answered from the parent's own
//! loop.
//!
//! It speaks as much HTTP/1.0 as `curl` and Prometheus need. Nothing here waits: every descriptor is non-blocking,
//! the parent polls them beside its signals, and calls [`Admin::serve`] each time round. A client has two seconds
//! and four KiB to ask in; there are 16 at a time on each of the two sockets, and one more takes the place of the
//! longest silent.

mod client;
mod http;
mod metrics;
mod socket_file;

use std::cell::LazyCell;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::Pid;
use proto::status::Status;

use crate::shared::listener;
use crate::sys;

use client::Client;
use http::{Answer, Question};
pub(crate) use socket_file::SocketFile;

/// Clients served at a time by each of the two sockets, and newcomers a round.
const CLIENTS_MAX: usize = 16;

/// From accept to the end of a connection.
const TIME_MAX: Duration = Duration::from_secs(2);

/// How long to leave a socket alone from which nothing can be accepted, as when the process is out of descriptors:
/// polling it would return at once, again and again.
const EXHAUSTED_PAUSE: Duration = Duration::from_secs(1);

/// The sockets and their clients. Empty, it does nothing.
///
/// Dropping it closes the parent's, or in a worker the worker's, descriptors and nothing else; the parent's end is
/// [`Admin::finish`].
#[derive(Debug, Default)]
pub(crate) struct Admin {
    socket: Option<Endpoint>,
    file: Option<SocketFile>,
    metrics: Option<Endpoint>,
}

/// A listening socket with its clients.
#[derive(Debug)]
struct Endpoint {
    listener: OwnedFd,
    /// Where it listens, if that is a TCP socket.
    address: Option<SocketAddr>,
    /// While a predecessor serves, its successor accepts nothing.
    is_open: bool,
    not_before: Option<Instant>,
    clients: Vec<Client>,
}

impl Admin {
    /// Opens what the settings ask for. `inherited` is the metrics socket of a predecessor, and whether
    /// that was told the same address: with one, or with a
    /// predecessor that has the admin socket's path, the server is asked only from [`Admin::publish`] on.
    ///
    /// # Errors
    /// In words for a person, with the flag.
    pub(crate) fn open(
        socket: Option<&Path>,
        metrics: Option<&str>,
        predecessor: Option<Pid>,
        inherited: Option<(TcpListener, bool)>,
    ) -> Result<Self> {
        let mut admin = Self::default();
        if let Some(typed) = metrics {
            let listener = metrics_listener(typed, inherited)?;
            admin.metrics = Some(Endpoint::new(listener.local_addr().ok(), listener));
        }
        if let Some(path) = socket {
            socket_file::sweep(path);
            let (listener, file) = SocketFile::open(path, predecessor)
                .with_context(|| format!("--admin {}", path.display()))?;
            admin.socket = Some(Endpoint::new(None, listener));
            admin.file = Some(file);
        }
        if predecessor.is_none() {
            admin.publish()?;
        }
        Ok(admin)
    }

    /// From now on this server is asked, not its predecessor.
    ///
    /// # Errors
    /// What keeps the admin socket from getting its name.
    pub(crate) fn publish(&mut self) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.publish()
                .with_context(|| format!("--admin {}", file.path().display()))?;
        }
        for endpoint in self.endpoints_mut() {
            endpoint.is_open = true;
        }
        Ok(())
    }

    /// Takes the admin socket's path back from a successor that had it and is dead, and removes what that had made and had not
    /// put there.
    ///
    /// # Errors
    /// In words for a person, with the flag.
    pub(crate) fn restore(&mut self) -> Result<()> {
        if let Some(file) = &self.file {
            socket_file::sweep(file.path());
        }
        let Some(file) = self.file.take_if(|file| !file.is_own()) else {
            return Ok(());
        };
        let path = file.path();
        let (listener, file) =
            SocketFile::open(path, None).with_context(|| format!("--admin {}", path.display()))?;
        self.socket = Some(Endpoint::new(None, listener));
        self.file = Some(file);
        self.publish()
    }

    /// A successor answers at the metrics address from now on.
    pub(crate) fn hand_over(&mut self) {
        self.metrics = None;
    }

    /// The admin socket's file, which is removed when it is dropped, if it is still this server's.
    pub(crate) fn take_file(&mut self) -> Option<SocketFile> {
        self.file.take()
    }

    /// Where `/metrics` is answered, as bound.
    #[must_use]
    pub(crate) fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.address
    }

    /// The metrics socket, to hand over.
    #[must_use]
    pub(crate) fn metrics_fd(&self) -> Option<BorrowedFd<'_>> {
        self.metrics
            .as_ref()
            .map(|endpoint| endpoint.listener.as_fd())
    }

    pub(crate) fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.endpoints().flat_map(Endpoint::poll_fds)
    }

    /// When [`Admin::serve`] is due though nothing is ready.
    #[must_use]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.endpoints().filter_map(Endpoint::next_deadline).min()
    }

    /// Does what can be done without waiting. `make_status` is called once at the most, if a client asks.
    pub(crate) fn serve(&mut self, make_status: impl FnOnce() -> Status) {
        let status = LazyCell::new(make_status);
        let now = Instant::now();
        if let Some(endpoint) = &mut self.socket {
            endpoint.serve(now, |question| match question {
                Question::Status => http::json(&*status),
                Question::Metrics => metrics::answer(&status),
                Question::Unknown => http::not_found("/status or /metrics"),
            });
        }
        if let Some(endpoint) = &mut self.metrics {
            endpoint.serve(now, |question| match question {
                Question::Metrics => metrics::answer(&status),
                Question::Status | Question::Unknown => http::not_found("/metrics"),
            });
        }
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.socket.iter().chain(&self.metrics)
    }

    fn endpoints_mut(&mut self) -> impl Iterator<Item = &mut Endpoint> {
        self.socket.iter_mut().chain(&mut self.metrics)
    }
}

/// A predecessor's socket, if it is the one that is asked for; else a new one.
fn metrics_listener(typed: &str, inherited: Option<(TcpListener, bool)>) -> Result<TcpListener> {
    let look_up = || listener::look_up("--metrics", typed).map_err(anyhow::Error::msg);
    let is_asked_for = |listener: &TcpListener| -> Result<bool> {
        Ok(listener::is_at(listener.local_addr()?, look_up()?.0))
    };
    let listener = match inherited {
        Some((listener, is_as_typed)) if is_as_typed || is_asked_for(&listener)? => listener,
        _ => {
            let (address, _) = look_up()?;
            TcpListener::bind(address)
                .map_err(|error| crate::operator::port::explain("--metrics", address, &error))?
        }
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Endpoint {
    fn new(address: Option<SocketAddr>, listener: impl Into<OwnedFd>) -> Self {
        Self {
            listener: listener.into(),
            address,
            is_open: false,
            not_before: None,
            clients: Vec::new(),
        }
    }

    fn accepts(&self) -> bool {
        self.is_open && self.not_before.is_none()
    }

    fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        let listener = self
            .accepts()
            .then(|| PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        listener
            .into_iter()
            .chain(self.clients.iter().map(Client::poll_fd))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let clients = self.clients.iter().map(Client::until);
        clients.chain(self.not_before).min()
    }

    fn serve(&mut self, now: Instant, answer: impl Fn(Question) -> Answer) {
        self.not_before = self.not_before.filter(|at| now < *at);
        // First the clients that have asked meanwhile, which are then not taken for silent.
        self.clients.retain_mut(|client| client.go_on(now, &answer));
        for _ in 0..CLIENTS_MAX {
            if !self.accepts() {
                break;
            }
            match sys::accept(&self.listener) {
                Ok((socket, _)) => {
                    self.make_room();
                    self.clients.push(Client::new(socket, now + TIME_MAX));
                }
                Err(Errno::EAGAIN) => break,
                Err(error) => {
                    tracing::warn!(
                        error = error.desc(),
                        "cannot accept on the admin or metrics socket; waiting"
                    );
                    self.not_before = Some(now + EXHAUSTED_PAUSE);
                }
            }
        }
        self.clients.retain_mut(|client| client.go_on(now, &answer));
    }

    /// A newcomer takes the place of the client that has been silent for longest, or if none is, of the one that came
    /// first: a client that asks at once is answered at once, so neither means to be served.
    fn make_room(&mut self) {
        if self.clients.len() >= CLIENTS_MAX {
            let silent = self.clients.iter().position(Client::is_silent);
            self.clients.remove(silent.unwrap_or(0)).end();
        }
    }
}
