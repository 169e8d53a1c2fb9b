//! Who has a port: what a person needs to know when it is in use. A best effort, from /proc.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};

/// What to say when `flag`'s address cannot be had.
#[must_use]
pub fn in_use_hint(flag: &str, address: SocketAddr) -> String {
    let port = address.port();
    match holder(address) {
        Some(holder) => format!(
            "cannot listen on {address}: port {port} is in use by {holder}: stop it, or choose another address with {flag}, port 0 for any"
        ),
        None => format!(
            "cannot listen on {address} (is another server using port {port}? choose another address with {flag}, port 0 for any)"
        ),
    }
}

/// The process that listens there, as `process 123 (name)`. None if nobody does, or if /proc does not show it: it may
/// be another user's.
fn holder(address: SocketAddr) -> Option<String> {
    let inodes: Vec<u64> = procfs::net::tcp()
        .into_iter()
        .chain(procfs::net::tcp6())
        .flatten()
        .filter(|entry| is_in_the_way(entry, address))
        .map(|entry| entry.inode)
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let holders: BTreeMap<i32, (i32, String)> = procfs::process::all_processes()
        .ok()?
        .flatten()
        .filter(|process| holds(process, &inodes))
        .filter_map(|process| process.stat().ok())
        .map(|stat| (stat.pid, (stat.ppid, stat.comm)))
        .collect();
    // A prefork server's workers have the socket too: the one to stop is their parent.
    let (pid, (_, name)) = holders
        .iter()
        .find(|(_, (parent, _))| !holders.contains_key(parent))?;
    Some(format!("process {pid} ({name})"))
}

fn is_in_the_way(entry: &TcpNetEntry, address: SocketAddr) -> bool {
    let other = entry.local_address;
    entry.state == TcpState::Listen
        && other.port() == address.port()
        && address.port() != 0
        && (other.ip().to_canonical() == address.ip().to_canonical()
            || other.ip().is_unspecified()
            || address.ip().is_unspecified())
}

fn holds(process: &Process, inodes: &[u64]) -> bool {
    process.fd().is_ok_and(|descriptors| {
        descriptors
            .flatten()
            .any(|fd| matches!(fd.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_has_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let said = in_use_hint("--bind", address);
        let who = format!("in use by process {}", std::process::id());
        assert!(said.contains(&who) && said.contains("--bind"), "{said}");
        let wildcard = SocketAddr::from(([0, 0, 0, 0], address.port()));
        assert!(in_use_hint("--bind", wildcard).contains(&who));
        let other = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert!(!in_use_hint("--bind", other).contains(&who));
    }
}
