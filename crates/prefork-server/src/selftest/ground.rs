//! What the self-test's worker is let loose on: a file outside the root, and sockets that could be talked to.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, unlink};
use proto::FileName;

use crate::store::Store;

/// Where a file outside the root may be made; the first that is not inside it and can be written to.
const PLACES: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

/// All of it belongs to the user that the server runs as, so that permissions deny nothing and only
/// confinement does. It is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) parent: Pid,
    pub(super) outside_file: PathBuf,
    /// A name outside the root that nothing has.
    pub(super) outside_name: PathBuf,
    pub(super) tcp: TcpListener,
    pub(super) udp: UdpSocket,
    pub(super) abstract_socket: UnixListener,
    pub(super) unix_socket: UnixListener,
    /// The first file of the root, if there is one.
    pub(super) root_file: Option<FileName>,
}

impl Ground {
    pub(super) fn prepare(store: &Store) -> Result<Self> {
        let outside_file = outside_file(store).context(
            "cannot make a file outside the root to try the worker on: none of /tmp, /var/tmp, /dev/shm and /run is writable and not in the root",
        )?;
        let with = |end: &str| outside_file.with_extension(end);
        let abstract_name = SocketAddr::from_abstract_name(with("").display().to_string())?;
        Ok(Self {
            parent: Pid::this(),
            outside_name: with("new"),
            tcp: TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1")?,
            udp: UdpSocket::bind("127.0.0.1:0").context("cannot receive on 127.0.0.1")?,
            abstract_socket: UnixListener::bind_addr(&abstract_name)?,
            unix_socket: UnixListener::bind(with("socket"))?,
            root_file: store.list().ok().and_then(|it| it.names().next().cloned()),
            outside_file,
        })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // The worker has a copy of this, but leaves without dropping it.
        for end in ["file", "new", "socket"] {
            let _ = unlink(&self.outside_file.with_extension(end));
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
