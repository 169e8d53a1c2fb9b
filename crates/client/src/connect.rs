//! Opening a connection: within a time, with its options set before the first byte.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::LazyLock;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};

use crate::wait::{Deadline, wait};
use crate::{Congestion, Error, Options};

/// Connects to the first of `addresses` that answers; all of them share the connect timeout. Each may take its
/// share of what is left, so that a silent one leaves time for the others. The stream is non-blocking.
pub(crate) fn open(
    mut addresses: impl Iterator<Item = SocketAddr>,
    options: &Options,
) -> Result<(TcpStream, SocketAddr), Error> {
    let end = Instant::now().checked_add(options.connect_timeout);
    let mut last_error = None;
    while let Some(address) = addresses.next() {
        // The standard library's lists of addresses know their lengths.
        let untried = u32::try_from(addresses.size_hint().0 + 1).unwrap_or(u32::MAX);
        let share = end.map(|end| end.saturating_duration_since(Instant::now()) / untried);
        match open_one(address, options, Deadline::after(share)) {
            Ok(stream) => {
                set_congestion(&stream, address, &options.congestion)?;
                return Ok((stream, address));
            }
            Err(error @ (Error::Connect(_) | Error::ConnectTimeout(_))) => last_error = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last_error.unwrap_or_else(|| {
        Error::Connect(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ))
    }))
}

fn open_one(
    address: SocketAddr,
    options: &Options,
    deadline: Deadline,
) -> Result<TcpStream, Error> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Stream, flags, None).map_err(connect_error)?;
    if let Some(bytes) = options.receive_buffer {
        // The window scale is agreed on while connecting (tcp(7)): later would be too late.
        setsockopt(&fd, sockopt::RcvBuf, &bytes).map_err(connect_error)?;
    }
    let connecting = connect(fd.as_raw_fd(), &SockaddrStorage::from(address));
    let stream = TcpStream::from(fd);
    match connecting {
        Ok(()) => {}
        Err(Errno::EINPROGRESS) => {
            let interrupt = options.interrupt.as_ref();
            let found = wait(stream.as_fd(), PollFlags::POLLOUT, deadline, interrupt)
                .map_err(|error| while_connecting(error, options))?;
            // Writable and nothing else is connected.
            if found != PollFlags::POLLOUT
                && let Some(error) = stream.take_error().map_err(Error::Connect)?
            {
                return Err(Error::Connect(error));
            }
        }
        Err(errno) => return Err(connect_error(errno)),
    }
    stream.set_nodelay(true).map_err(Error::Connect)?;
    Ok(stream)
}

fn connect_error(errno: Errno) -> Error {
    Error::Connect(io::Error::from(errno))
}

fn while_connecting(error: Error, options: &Options) -> Error {
    match error {
        // However short this address's share of it was.
        Error::Timeout(_) => Error::ConnectTimeout(options.connect_timeout),
        Error::Reset(error) => Error::Connect(error),
        other => other,
    }
}

fn set_congestion(
    stream: &TcpStream,
    peer: SocketAddr,
    congestion: &Congestion,
) -> Result<(), Error> {
    static RENO: LazyLock<OsString> = LazyLock::new(|| "reno".into());
    match congestion {
        Congestion::System => Ok(()),
        Congestion::Auto => {
            if is_local(stream, peer) {
                // Only a matter of speed: a kernel without reno works all the same.
                let _ = setsockopt(stream, sockopt::TcpCongestion, &*RENO);
            }
            Ok(())
        }
        Congestion::Named(name) => {
            let set = setsockopt(stream, sockopt::TcpCongestion, name);
            set.map_err(|errno| Error::Congestion {
                name: name.to_string_lossy().into_owned(),
                source: io::Error::from(errno),
            })
        }
    }
}

/// Whether the connection runs over the loopback interface: so it does also between a machine and
/// its own outward address.
fn is_local(stream: &TcpStream, peer: SocketAddr) -> bool {
    let is_peer = |own: SocketAddr| own.ip() == peer.ip();
    peer.ip().to_canonical().is_loopback() || stream.local_addr().is_ok_and(is_peer)
}
