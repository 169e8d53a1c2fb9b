//! The listening socket: bound once by the parent, shared by all workers.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, getsockopt, listen, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::shared::report::LOOK;
use crate::{sys, words};

/// How many connections may wait to be accepted. The kernel caps it at `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// The congestion control that `auto` uses for loopback peers. BBR, the default of some machines, paces
/// loopback (1,214 MB/s against 2,270 with reno, one run); cubic needs CAP_NET_ADMIN on some, reno never.
const LOOPBACK_CONGESTION: &str = "reno";

/// Which congestion control sends replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Congestion {
    /// `reno` for loopback peers, the system's choice for others.
    Auto,
    /// The system's choice.
    System,
    /// A name the kernel knows.
    Named(String),
}

impl Congestion {
    /// As it was written on the command line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Auto => "auto",
            Self::System => "system",
            Self::Named(name) => name,
        }
    }
}

/// A process's copy of the listening socket. It is closed before the process ends when none of its workers is to accept
/// any more: an open copy that nobody accepts from would keep the port taken and clients waiting, though the server
/// has stopped.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// All peers are this machine's own, and what such connections need is set on the listener.
    is_loopback: bool,
    /// How many workers of this process have not let go of it.
    shares: AtomicU32,
}

/// A worker's share in its process's copy. With the last of them the copy is closed.
#[derive(Debug)]
pub struct Share<'a> {
    listener: &'a Listener,
}

impl Listener {
    /// The parent's copy.
    #[must_use]
    pub fn new(socket: TcpListener) -> Self {
        Self {
            is_loopback: is_loopback(&socket),
            socket,
            shares: AtomicU32::new(1),
        }
    }

    /// The socket, or what is in its place once the copy is closed.
    #[must_use]
    pub const fn socket(&self) -> &TcpListener {
        &self.socket
    }

    /// Whether it can still be accepted from.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shares.load(Ordering::Acquire) > 0
    }

    /// In a process that was just forked: each of its workers takes one [`Share`].
    pub fn share_among(&self, workers: u32) {
        self.shares.store(workers, Ordering::Release);
    }

    /// One of the shares.
    #[must_use]
    pub const fn share(&self) -> Share<'_> {
        Share { listener: self }
    }

    /// Prepares an accepted connection for serving, beyond what it has inherited.
    pub fn prepare(&self, socket: &TcpStream, peer: SocketAddr, congestion: &Congestion) {
        let is_of_both = *congestion == Congestion::Auto && !self.is_loopback;
        if is_of_both && peer.ip().to_canonical().is_loopback() {
            use_loopback_congestion(socket);
        }
    }
}

fn is_loopback(listener: &TcpListener) -> bool {
    listener
        .local_addr()
        .is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

fn use_loopback_congestion(socket: &impl AsFd) {
    let name = OsString::from(LOOPBACK_CONGESTION);
    let _ = setsockopt(socket, sockopt::TcpCongestion, &name);
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.listener.shares.fetch_sub(1, Ordering::AcqRel) == 1
            // Standard input takes the socket's number.
            && let Err(error) = sys::replace_descriptor(&self.listener.socket, &sys::standard_input())
        {
            tracing::warn!(
                error = error.desc(),
                "cannot close the listening socket before the end"
            );
        }
    }
}

/// Binds and listens.
///
/// # Errors
/// What socket(2), bind(2) and listen(2) say.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
}

/// Whether a socket at `bound` is at the address that was asked for; port 0 asks for any.
#[must_use]
pub fn is_at(bound: SocketAddr, asked: SocketAddr) -> bool {
    bound.ip() == asked.ip() && (asked.port() == 0 || asked.port() == bound.port())
}

/// What an address looks like.
pub const ADDRESS_HINT: &str =
    "use HOST:PORT, such as 127.0.0.1:46666, 0.0.0.0:46666 or [::1]:46666";

/// The addresses that `typed` after `flag` stands for now, the one that is taken first. A name may take its servers' time
/// to look up.
///
/// # Errors
/// Names the flag.
pub fn look_up(flag: &str, typed: &str) -> Result<(SocketAddr, Vec<SocketAddr>), String> {
    let mut addresses = typed
        .to_socket_addrs()
        .map_err(|error| format!("{flag} {typed}: {}; {ADDRESS_HINT}", words::plain(&error)))?;
    let first = addresses
        .next()
        .ok_or_else(|| format!("{flag} {typed}: no such address; {ADDRESS_HINT}"))?;
    let mut others: Vec<SocketAddr> = addresses.filter(|other| *other != first).collect();
    others.dedup();
    Ok((first, others))
}

/// Sets up a listening socket, bound or inherited. `receive_buffer`, the congestion control and that nothing is held back
/// are inherited by every accepted connection; `waits` says whether accept waits for a connection, in every process that
/// has the socket.
///
/// # Errors
/// What listen(2) and setsockopt(2) say.
pub fn configure(
    listener: &TcpListener,
    congestion: &Congestion,
    receive_buffer: Option<u64>,
    waits: bool,
) -> io::Result<()> {
    if let Some(bytes) = receive_buffer {
        setsockopt(
            listener,
            sockopt::RcvBuf,
            &usize::try_from(bytes).unwrap_or(usize::MAX),
        )?;
    }
    set_congestion(listener, congestion)?;
    // Replies are few large writes; without this the last, short one could wait for an acknowledgement.
    setsockopt(listener, sockopt::TcpNoDelay, &true)?;
    // A service manager may have made it one or the other.
    listener.set_nonblocking(!waits)?;
    // std listens with a queue of 128; listening again only changes its length.
    listen(listener, Backlog::new(BACKLOG)?)?;
    let tick = TimeVal::milliseconds(i64::try_from(LOOK.as_millis()).unwrap_or(250));
    setsockopt(listener, sockopt::ReceiveTimeout, &tick)?;
    Ok(())
}

fn set_congestion(listener: &TcpListener, congestion: &Congestion) -> io::Result<()> {
    let set = |name: &OsString| setsockopt(listener, sockopt::TcpCongestion, name);
    match congestion {
        Congestion::Named(name) => set(&OsString::from(name)).map_err(|e| {
            io::Error::new(
                io::Error::from(e).kind(),
                format!("cannot use --congestion {name}: {}", e.desc()),
            )
        })?,
        Congestion::Auto if is_loopback(listener) => use_loopback_congestion(listener),
        Congestion::Auto | Congestion::System => {
            // A predecessor may have set another.
            let system = getsockopt(&probe()?, sockopt::TcpCongestion)?;
            if getsockopt(listener, sockopt::TcpCongestion)? != system {
                set(&OsString::from(trimmed(&system)))?;
            }
        }
    }
    Ok(())
}

/// Stops new connections from being queued; what is queued can still be accepted, without waiting.
///
/// # Errors
/// What setsockopt(2) and fcntl(2) say.
pub fn close_the_door(listener: &TcpListener) -> nix::Result<()> {
    let refused = sys::refuse_new_connections(listener);
    // O_NONBLOCK belongs to the open socket that all workers share: from now on none of them waits in accept.
    let flags = OFlag::from_bits_retain(fcntl(listener, FcntlArg::F_GETFL)?);
    fcntl(listener, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    refused
}

/// Whether accept waits for a connection.
///
/// # Errors
/// What fcntl(2) says.
pub fn waits(listener: &TcpListener) -> nix::Result<bool> {
    let flags = OFlag::from_bits_retain(fcntl(listener, FcntlArg::F_GETFL)?);
    Ok(!flags.contains(OFlag::O_NONBLOCK))
}

/// Whether the kernel grants the congestion control `name`, which is neither auto nor system, to this process.
///
/// # Errors
/// What to write instead.
pub fn check_congestion(name: &str) -> Result<(), String> {
    let attempt = || {
        let socket = probe()?;
        setsockopt(&socket, sockopt::TcpCongestion, &OsString::from(name))
    };
    attempt().map_err(|errno: Errno| {
        // What the kernel has, and what users other than root may use of it.
        let list = match errno {
            Errno::ENOENT => "tcp_available_congestion_control",
            _ => "tcp_allowed_congestion_control",
        };
        let names = sys::read_kernel_file(format!("/proc/sys/net/ipv4/{list}"));
        format!(
            "--congestion: the kernel does not grant '{name}' ({}): write auto, system, or one of: {}",
            errno.desc(),
            names.as_deref().map_or("unknown", str::trim)
        )
    })
}

fn probe() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Inet, SockType::Stream, flags, None)
}

/// The congestion control in force for loopback peers and for others, asked of the kernel on a socket that
/// was prepared like an accepted one.
#[must_use]
pub fn congestion_in_force(listener: &TcpListener, congestion: &Congestion) -> (String, String) {
    let name = |socket: &dyn AsFd| {
        getsockopt(&socket.as_fd(), sockopt::TcpCongestion).map(|name| trimmed(&name))
    };
    let names = || match congestion {
        Congestion::Auto => {
            let probe = probe()?;
            let other = name(&probe)?;
            use_loopback_congestion(&probe);
            Ok((name(&probe)?, other))
        }
        Congestion::System | Congestion::Named(_) => {
            let name = name(listener)?;
            Ok((name.clone(), name))
        }
    };
    let unknown = |_: Errno| ("unknown".to_owned(), "unknown".to_owned());
    names().unwrap_or_else(unknown)
}

/// The kernel fills the name's 16 bytes up with NULs.
fn trimmed(name: &OsString) -> String {
    name.to_string_lossy().trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is set on a connection that is accepted at `address`: that nothing is held back, and the congestion control.
    fn accepted(listener: &Listener, congestion: &Congestion) -> (bool, String) {
        let mut address = listener.socket().local_addr().expect("an address");
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        let client = TcpStream::connect(address).expect("a connection");
        let (socket, peer) = sys::accept(listener.socket()).expect("a connection");
        assert_eq!(peer, client.local_addr().ok());
        let socket = TcpStream::from(socket);
        listener.prepare(&socket, peer.expect("an address"), congestion);
        let name = getsockopt(&socket, sockopt::TcpCongestion).expect("a name");
        (socket.nodelay().expect("an option"), trimmed(&name))
    }

    #[test]
    fn a_connection_is_prepared_whatever_the_listener_was_prepared_for_before() {
        let system = getsockopt(&probe().expect("a socket"), sockopt::TcpCongestion);
        let system = trimmed(&system.expect("a name"));
        let loopback = LOOPBACK_CONGESTION.to_owned();
        let named = Congestion::Named(loopback.clone());
        for address in [[127, 0, 0, 1], [0, 0, 0, 0]] {
            let listener = Listener::new(bind((address, 0).into()).expect("a port"));
            for (congestion, want) in [
                (&Congestion::Auto, &loopback),
                (&Congestion::System, &system),
                (&named, &loopback),
                (&Congestion::Auto, &loopback),
                (&Congestion::System, &system),
            ] {
                configure(listener.socket(), congestion, None, true).expect("a listener");
                let want = (true, want.clone());
                assert_eq!(
                    accepted(&listener, congestion),
                    want,
                    "{address:?} {congestion:?}"
                );
            }
        }
    }
}
