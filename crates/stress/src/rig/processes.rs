//! The processes of a foreign server, as /proc shows them: where they listen, and how much they work.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process, Stat};

/// All that the process `ancestor` has started, and what that has started. What lost its parent is below the guard
/// too, which takes such processes in.
fn below(ancestor: u32) -> Vec<(Process, Stat)> {
    let all = procfs::process::all_processes().into_iter().flatten();
    let with_stat = |process: Process| process.stat().ok().map(|stat| (process, stat));
    let mut others: Vec<(Process, Stat)> = all.flatten().filter_map(with_stat).collect();
    let mut found = Vec::new();
    let mut parents = vec![i64::from(ancestor)];
    while let Some(parent) = parents.pop() {
        let (children, rest): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|(_, stat)| i64::from(stat.ppid) == parent);
        others = rest;
        parents.extend(children.iter().map(|(_, stat)| i64::from(stat.pid)));
        found.extend(children);
    }
    found
}

/// The processes below `ancestor`, a parent before its children.
pub(super) fn pids(ancestor: u32) -> Vec<u32> {
    let below = below(ancestor).into_iter();
    below.map(|(_, stat)| stat.pid.cast_unsigned()).collect()
}

/// Where the processes below `ancestor` listen.
pub(super) fn listening(ancestor: u32) -> BTreeSet<SocketAddr> {
    let below = below(ancestor);
    below
        .iter()
        .flat_map(|(process, _)| of_one(process))
        .collect()
}

fn of_one(process: &Process) -> Vec<SocketAddr> {
    let descriptors = process.fd().into_iter().flatten().flatten();
    let inodes: BTreeSet<u64> = descriptors
        .filter_map(|fd| match fd.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    // As the process itself sees them: it may be in a network namespace of its own.
    let entries = process.tcp().into_iter().chain(process.tcp6()).flatten();
    entries
        .filter(|entry| entry.state == TcpState::Listen && inodes.contains(&entry.inode))
        .map(|entry| entry.local_address)
        .collect()
}

/// Processor time that those below `ancestor` have used, and their children that have ended, in clock ticks.
pub(super) fn cpu_ticks(ancestor: u32) -> u64 {
    let of_one = |stat: &Stat| {
        let of_children = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
        stat.utime + stat.stime + of_children
    };
    below(ancestor).iter().map(|(_, stat)| of_one(stat)).sum()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_a_child_of_a_child_listens_on_is_found() {
        // The listener is this process's; the child of the child has it too, as its standard input.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'echo started; exec sleep 60'; true"])
            .stdin(std::os::fd::OwnedFd::from(listener))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(shell.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let found = listening(shell.id());
        let own = listening(std::process::id());
        let grandchildren = below(shell.id());
        for (process, _) in &grandchildren {
            let _ = Command::new("kill").arg(process.pid.to_string()).status();
        }
        shell.wait().unwrap();
        assert!(found.contains(&address), "{found:?}");
        assert!(own.contains(&address), "{own:?}");
        assert_eq!(listening(shell.id()), BTreeSet::new());
    }
}
