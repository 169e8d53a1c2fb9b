//! What the self-test's worker is let loose on: a file outside the root, and somebody to talk to.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, unlink};

use crate::store::Store;

/// Where a file outside the root may be made; the first that is not inside it and can be written to.
const PLACES: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

/// All of it belongs to the user that the server runs as, so that permissions deny nothing and only
/// confinement does. It is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) parent: Pid,
    /// A file outside the root.
    pub(super) outside_file: PathBuf,
    /// A name outside the root that nothing has.
    pub(super) outside_name: PathBuf,
    pub(super) tcp: SocketAddr,
    pub(super) udp: SocketAddr,
    pub(super) abstract_socket: UnixAddr,
    pub(super) unix_socket: PathBuf,
    _tcp: TcpListener,
    _udp: UdpSocket,
    _abstract: UnixListener,
    _unix: UnixListener,
}

impl Ground {
    pub(super) fn prepare(store: &Store) -> Result<Self> {
        let outside_file = outside_file(store).context(
            "cannot make a file outside the root to try the worker on: none of /tmp, /var/tmp, /dev/shm and /run is writable and not in the root",
        )?;
        let with = |end: &str| outside_file.with_extension(end);
        let abstract_name = with("").display().to_string();
        let abstract_socket = UnixAddr::from_abstract_name(abstract_name)?;
        let tcp = TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1")?;
        let udp = UdpSocket::bind("127.0.0.1:0").context("cannot receive on 127.0.0.1")?;
        Ok(Self {
            parent: Pid::this(),
            outside_name: with("new"),
            tcp: tcp.local_addr()?,
            udp: udp.local_addr()?,
            _abstract: UnixListener::bind_addr(&abstract_socket)?,
            _unix: UnixListener::bind(with("socket"))?,
            abstract_socket,
            unix_socket: with("socket"),
            outside_file,
            _tcp: tcp,
            _udp: udp,
        })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // The worker has a copy of this, but leaves without dropping it.
        for path in [&self.outside_file, &self.outside_name, &self.unix_socket] {
            let _ = unlink(path);
        }
    }
}

fn outside_file(store: &Store) -> Option<PathBuf> {
    let name = format!("prefork-server-self-test-{}.file", std::process::id());
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    PLACES
        .iter()
        .filter_map(|place| Path::new(place).canonicalize().ok())
        .filter(|place| !place.starts_with(store.root()))
        .map(|place| place.join(&name))
        .find(|path| open(path, flags, Mode::S_IRUSR | Mode::S_IWUSR).is_ok())
}
