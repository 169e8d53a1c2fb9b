//! The listening queue: how full it is, and how often one was too full. Asked of the kernel.

use std::net::TcpListener;

use proto::status::Listener;

use crate::sys;

/// The queue of `listener`, and the counts of its network namespace.
#[must_use]
pub fn look(listener: &TcpListener) -> Listener {
    let queue = sys::accept_queue(listener).ok();
    let counts = read_netstat().unwrap_or_default();
    Listener {
        backlog: queue.map(|queue| queue.len),
        backlog_max: queue.map(|queue| queue.len_max),
        listen_overflows: counter(&counts, "ListenOverflows"),
        listen_drops: counter(&counts, "ListenDrops"),
    }
}

/// How often a connection found a listening queue of this network namespace full, since it was made. None if the kernel
/// does not say.
#[must_use]
pub fn listen_overflows() -> Option<u64> {
    counter(&read_netstat()?, "ListenOverflows")
}

fn read_netstat() -> Option<String> {
    sys::read_kernel_file("/proc/self/net/netstat")
}

/// A line of names is followed by one of as many numbers, both after `TcpExt:`.
fn counter(netstat: &str, name: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter_map(|it| it.strip_prefix("TcpExt:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let (_, number) = names
        .split_whitespace()
        .zip(numbers.split_whitespace())
        .find(|(it, _)| *it == name)?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_name() {
        let text =
            "IpExt: A ListenOverflows\nIpExt: 5 6\nTcpExt: A ListenOverflows B\nTcpExt: 1 23 4\n";
        assert_eq!(counter(text, "ListenOverflows"), Some(23));
        assert_eq!(counter(text, "ListenDrops"), None);
        assert_eq!(counter("", "A"), None);
        assert_eq!(counter("TcpExt: A\n", "A"), None);
    }

    #[test]
    fn who_waits_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(look(&listener).backlog, Some(0));
        // The kernel has queued those that have connected.
        let _waiting: Vec<_> = (0..3)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        let seen = look(&listener);
        assert_eq!(seen.backlog, Some(3));
        assert!(seen.backlog_max.unwrap() > 0);
        assert!(seen.listen_overflows.is_some() && seen.listen_drops.is_some());
    }
}
