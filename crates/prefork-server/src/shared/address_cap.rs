//! `--max-connections-per-address`: how many connections one address may have open, over all workers.
//!
//! There is no table that could overflow, and no hash that two addresses could share: the worker that accepts a
//! connection looks for its address among the connections all workers have in hand ([`Holdings`]), so nobody is
//! ever refused for another's sake. That reads one word for each connection the server could serve at once:
//! 0.2 µs for 50 blocking workers, 4.3 for 5 event workers with 5,120 connections (`cargo bench --bench limits`),
//! beside the 50 that a connection costs.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use crate::shared::holdings::{Holdings, Row};

/// How often an admission is tried again because another connection was admitted meanwhile. Each failure is
/// another's success, so even with all workers accepting at once far fewer are needed.
const TRIES_MAX: u32 = 10_000;

/// Said once, not for each connection.
static HAS_COMPLAINED: AtomicBool = AtomicBool::new(false);

/// The limit, as one worker process applies it.
#[derive(Debug, Clone, Copy)]
pub struct AddressCap {
    /// Where all workers' connections are written down.
    pub holdings: Holdings,
    /// This process's own row.
    pub row: Row,
    /// Connections that one address may have open at once.
    pub connections_max: u32,
}

/// The answer to a new connection.
#[derive(Debug)]
pub enum Admission {
    /// It may be served. The place is to be kept as long as the connection lives; there is none only where there is
    /// no limit.
    Admitted(Option<HeldCell>),
    /// Its address has as many connections as it may have, or they could not be counted.
    OverCap,
}

/// A connection's place among those of its address, free again when dropped.
#[derive(Debug)]
pub struct HeldCell {
    cell: &'static AtomicU64,
}

impl AddressCap {
    /// Admits a connection, or does not. Exact, however many processes and threads admit at once: the address is
    /// counted, the place taken, and both stand only if nobody else was admitted in between.
    #[must_use]
    pub fn admit(&self, peer: SocketAddr) -> Admission {
        let key = key_of(peer.ip());
        let version = self.holdings.version();
        for _ in 0..TRIES_MAX {
            let before = version.load(SeqCst);
            if self.count(key) >= u64::from(self.connections_max) {
                return Admission::OverCap;
            }
            let Some(cell) = self.row.take_cell(key) else {
                break;
            };
            let place = HeldCell { cell };
            let admitted = version.compare_exchange(before, before.wrapping_add(1), SeqCst, SeqCst);
            if admitted.is_ok() {
                return Admission::Admitted(Some(place));
            }
        }
        if !HAS_COMPLAINED.swap(true, SeqCst) {
            tracing::warn!(
                "--max-connections-per-address: a connection is refused because it cannot be counted; this is a fault"
            );
        }
        // Never more than the limit, also where something is wrong.
        Admission::OverCap
    }

    fn count(&self, key: u64) -> u64 {
        let of_key = |cell: &&AtomicU64| cell.load(SeqCst) == key;
        self.holdings
            .rows()
            .map(|row| row.cells().iter().filter(of_key).count() as u64)
            .sum()
    }
}

impl Drop for HeldCell {
    fn drop(&mut self) {
        self.cell.store(0, SeqCst);
    }
}

/// What stands for an address, never 0. A host has a whole /64 of IPv6, so that is what counts; an IPv4 address
/// counts by itself, also where it is written as IPv6 (`::ffff:192.0.2.1`). Both fit into one word without two
/// of them meeting: nobody has an address in ::/8 (RFC 4291, reserved) but the loopback's.
fn key_of(address: IpAddr) -> u64 {
    const IPV4: u64 = 1 << 32;
    const LOOPBACK: u64 = 2 << 32;
    match address.to_canonical() {
        IpAddr::V4(v4) => IPV4 | u64::from(u32::from(v4)),
        IpAddr::V6(v6) => match (u128::from(v6) >> 64) as u64 {
            0 => LOOPBACK,
            prefix => prefix,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn cap(holdings: Holdings, row: u32, connections_max: u32) -> AddressCap {
        holdings.use_row(row);
        AddressCap {
            holdings,
            row: holdings.row(row),
            connections_max,
        }
    }

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 1)
    }

    fn place(cap: &AddressCap, address: &str) -> Option<HeldCell> {
        match cap.admit(peer(address)) {
            Admission::Admitted(place) => Some(place.expect("a cell")),
            Admission::OverCap => None,
        }
    }

    #[test]
    fn addresses_that_are_one_host_count_as_one() {
        let same = |a: &str, b: &str| key_of(a.parse().unwrap()) == key_of(b.parse().unwrap());
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(!same("::1", "127.0.0.1"));
        // The kernel's word for "no address" stands for something, too: 0 would be a free cell.
        assert!(
            ["::", "::1", "0.0.0.0"]
                .iter()
                .all(|a| key_of(a.parse().unwrap()) != 0)
        );
    }

    #[test]
    fn an_address_over_its_cap_is_refused_until_a_place_is_free() {
        let holdings = Holdings::new(2, 4).unwrap();
        let (one, other) = (cap(holdings, 0, 2), cap(holdings, 1, 2));
        let first = place(&one, "192.0.2.1").unwrap();
        let second = place(&other, "192.0.2.1").unwrap();
        assert!(place(&one, "192.0.2.1").is_none() && place(&other, "192.0.2.1").is_none());
        // Nobody else is refused for it.
        let others: Vec<_> = (2..5)
            .map(|n| place(&one, &format!("192.0.2.{n}")).unwrap())
            .collect();
        drop(first);
        let third = place(&other, "192.0.2.1").unwrap();
        assert!(place(&one, "192.0.2.1").is_none());
        drop((second, third, others));
        assert!(
            holdings
                .rows()
                .all(|row| row.cells().iter().all(|cell| cell.load(SeqCst) == 0))
        );
    }

    #[test]
    fn nobody_is_let_in_uncounted() {
        let cap = cap(Holdings::new(1, 1).unwrap(), 0, 5);
        let first = place(&cap, "192.0.2.1").unwrap();
        assert!(place(&cap, "192.0.2.2").is_none());
        drop(first);
        assert!(place(&cap, "192.0.2.2").is_some());
    }

    #[test]
    fn at_no_moment_are_there_more_than_the_cap_and_the_last_place_goes_to_one_of_many() {
        const THREADS: u32 = 4;
        const ROUNDS: u32 = 2_000;
        let holdings = Holdings::new(THREADS, 1).unwrap();
        let in_hand = AtomicU64::new(0);
        let admitted = AtomicU64::new(0);
        thread::scope(|scope| {
            for row in 0..THREADS {
                let (in_hand, admitted) = (&in_hand, &admitted);
                scope.spawn(move || {
                    let cap = cap(holdings, row, 2);
                    for round in 0..ROUNDS {
                        // Others are admitted all the while, so that many a try fails.
                        drop(place(
                            &cap,
                            &format!("198.51.100.{}", (row * 7 + round) % 250),
                        ));
                        if let Some(place) = place(&cap, "192.0.2.1") {
                            assert!(in_hand.fetch_add(1, SeqCst) < 2);
                            admitted.fetch_add(1, SeqCst);
                            thread::yield_now();
                            in_hand.fetch_sub(1, SeqCst);
                            drop(place);
                        }
                    }
                });
            }
        });
        // How many depends on whom the kernel lets run when: two that are put aside keep everybody out meanwhile.
        assert!(admitted.load(SeqCst) > 0);
    }
}
