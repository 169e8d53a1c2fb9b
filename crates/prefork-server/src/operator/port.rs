//! Why an address cannot be listened on, in words that say what to do. Who has a port is a best effort, from /proc.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};

use crate::words;

/// What to say when listening on `flag`'s address ended with `error`.
pub(crate) fn explain(flag: &str, address: SocketAddr, error: &io::Error) -> anyhow::Error {
    let port = address.port();
    let why = match (error.kind(), holder(address)) {
        (ErrorKind::AddrInUse, Some(holder)) => format!(
            "port {port} is in use by {holder}: stop it, or choose another address with {flag}, port 0 for any"
        ),
        (ErrorKind::AddrInUse, None) => {
            format!("port {port} is in use: choose another address with {flag}, port 0 for any")
        }
        (ErrorKind::AddrNotAvailable, _) => format!(
            "this machine has no address {}: choose one of its own with {flag}, 0.0.0.0 or [::] for all of them",
            address.ip()
        ),
        (ErrorKind::PermissionDenied, _) => format!(
            "port {port} takes root: start as root and give --user NAME, or choose a higher one with {flag}"
        ),
        _ => format!(
            "{}: choose another address with {flag}",
            words::plain(error)
        ),
    };
    anyhow::anyhow!("cannot listen on {address}: {why}")
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
        let explain = |address| {
            let error = io::Error::from(ErrorKind::AddrInUse);
            explain("--bind", address, &error).to_string()
        };
        let said = explain(address);
        let who = format!("in use by process {}", std::process::id());
        assert!(said.contains(&who) && said.contains("--bind"), "{said}");
        let wildcard = SocketAddr::from(([0, 0, 0, 0], address.port()));
        assert!(explain(wildcard).contains(&who));
        let other = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert!(!explain(other).contains(&who));
    }

    #[test]
    fn each_reason_has_its_remedy() {
        let check = |kind: ErrorKind, want: &str| {
            let address = SocketAddr::from(([192, 0, 2, 1], 80));
            let said = explain("--bind", address, &io::Error::from(kind)).to_string();
            assert!(
                said.starts_with("cannot listen on 192.0.2.1:80: "),
                "{said}"
            );
            assert!(said.contains(want), "{said}");
        };
        check(ErrorKind::AddrInUse, "port 80 is in use: choose another");
        check(ErrorKind::AddrNotAvailable, "no address 192.0.2.1: choose");
        check(ErrorKind::PermissionDenied, "--user NAME");
        check(ErrorKind::OutOfMemory, "out of memory");
    }
}
