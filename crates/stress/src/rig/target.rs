//! A server that runs already, here or on another machine: nobody starts or stops it, and its folder is reached
//! only through it.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::AtomicBool;

use proto::announce::{Done, Ready};

use super::{Ending, Error, READY_LIMIT, Rig};

/// A running server.
#[derive(Debug)]
pub struct Target {
    address: SocketAddr,
}

impl Target {
    /// The server at `address`, `HOST:PORT`, if it accepts connections.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn find(address: &str) -> Result<Self, Error> {
        let not_ready = |why: String| Error::NotReady(format!("--target {address}: {why}"));
        let found = address
            .to_socket_addrs()
            .map_err(|error| not_ready(error.to_string()))?;
        let mut why = "the name has no address".to_owned();
        for address in found {
            match TcpStream::connect_timeout(&address, READY_LIMIT) {
                Ok(_) => return Ok(Self { address }),
                Err(error) => why = error.to_string(),
            }
        }
        Err(not_ready(why))
    }

    /// What its ledger grew by during the cell. The seam for a running server of ours that can be asked for it: none
    /// of those that can be reached here can.
    const fn ledger() -> Option<Done> {
        None
    }
}

impl Rig for Target {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn ready(&self) -> Option<&Ready> {
        None
    }

    /// It is not ours to end: the clients' deadlines end them.
    fn cut(&mut self) {}

    fn stop(&mut self, _interrupt: &AtomicBool) -> Ending {
        let lost = TcpStream::connect_timeout(&self.address, READY_LIMIT)
            .err()
            .map(|error| format!("the target is gone: {error}"));
        Ending {
            done: Self::ledger(),
            lost,
        }
    }
}
