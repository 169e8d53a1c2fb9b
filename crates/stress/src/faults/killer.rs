//! Kills one worker of our server while it has a connection in hand, so that what it costs is what it costs.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use stress_data::fault::Killed;

use crate::host::clock::{Deadline, now_ns};

/// Between two looks at the workers.
const PAUSE: Duration = Duration::from_micros(500);
/// Looks at which some worker must have had something in hand, and none more than before, until one is killed:
/// the load is on by then.
const LOOKS: u32 = 10;
/// Workers that are watched, at most. A look at one is some 0.1 ms of CPU time, of which the killer gets a hundredth
/// part where 50 clients and 50 workers want two processors: looking at all 50 of them, it once was not done with ten
/// looks when the clients were, after 1.2 s.
const WATCHED_MAX: usize = 8;
/// How long a stopped worker may take to be stopped.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// A worker, and the sockets it has when it serves nobody.
pub(super) struct Target {
    pid: u32,
    idle_sockets: usize,
}

/// Workers of a server that serves nobody yet, evenly from all of them; thread workers share one process.
pub(super) fn targets(worker_pids: &[u32]) -> Result<Vec<Target>, String> {
    let mut pids = worker_pids.to_vec();
    pids.sort_unstable();
    pids.dedup();
    let target = |pid| match sockets(pid) {
        Some(idle_sockets) => Ok(Target { pid, idle_sockets }),
        None => Err(format!(
            "the descriptors of worker process {pid} cannot be seen"
        )),
    };
    let step = pids.len().div_ceil(WATCHED_MAX).max(1);
    pids.into_iter().step_by(step).map(target).collect()
}

/// Waits until a watched worker has connections in hand, and kills the one that has the most. None if it is over before.
pub(super) fn kill_one(targets: &[Target], is_over: &AtomicBool) -> Option<Killed> {
    let mut looks = 0;
    let mut most = 0;
    while !is_over.load(Ordering::Relaxed) {
        let busiest = targets
            .iter()
            .map(|target| (target.in_hand(), target))
            .max_by_key(|(in_hand, _)| *in_hand);
        if let Some((in_hand, target)) = busiest
            && in_hand > 0
        {
            looks = if in_hand > most { 0 } else { looks + 1 };
            most = most.max(in_hand);
            if looks >= LOOKS
                && let Some(killed) = target.kill()
            {
                return Some(killed);
            }
        }
        thread::sleep(PAUSE);
    }
    None
}

impl Target {
    fn in_hand(&self) -> usize {
        sockets(self.pid).map_or(0, |sockets| sockets.saturating_sub(self.idle_sockets))
    }

    /// Stops the worker, so that what it has in hand stays in its hand, and kills it if there is something.
    fn kill(&self) -> Option<Killed> {
        let pid = Pid::from_raw(self.pid.cast_signed());
        kill(pid, Signal::SIGSTOP).ok()?;
        let deadline = Deadline::after(STOP_LIMIT);
        while !is_stopped(self.pid) && deadline.check().is_ok() {
            thread::yield_now();
        }
        let in_hand = self.in_hand();
        let at_ns = now_ns();
        let signal = match in_hand {
            0 => Signal::SIGCONT,
            _ => Signal::SIGKILL,
        };
        kill(pid, signal).ok()?;
        (in_hand > 0).then(|| Killed {
            pid: self.pid,
            in_hand: u32::try_from(in_hand).unwrap_or(u32::MAX),
            at_ns,
        })
    }
}

/// The sockets that a process has open; none if that cannot be seen.
fn sockets(pid: u32) -> Option<usize> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let is_socket = |target: &PathBuf| target.to_string_lossy().starts_with("socket:");
    Some(targets.filter(is_socket).count())
}

/// Whether every thread of the process is stopped.
fn is_stopped(pid: u32) -> bool {
    let process = Process::new(pid.cast_signed());
    let Ok(threads) = process.and_then(|process| process.tasks()) else {
        return true;
    };
    let mut stats = threads.flatten().filter_map(|thread| thread.stat().ok());
    stats.all(|stat| ['T', 'Z', 'X'].contains(&stat.state))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn sockets_of_a_process_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Other tests of this process open and close sockets of their own.
        assert!(sockets(std::process::id()).unwrap() >= 1);
        drop(listener);
        assert_eq!(sockets(u32::MAX), None);
    }

    #[test]
    fn of_many_workers_some_are_watched() {
        let own = std::process::id();
        let mut children: Vec<_> = (0..20)
            .map(|_| {
                let mut command = Command::new("sleep");
                command.arg("100").stdin(Stdio::null()).spawn().unwrap()
            })
            .collect();
        let pids: Vec<u32> = children.iter().map(std::process::Child::id).collect();
        assert_eq!(targets(&pids).unwrap().len(), 7, "every third");
        assert_eq!(targets(&pids[..8]).unwrap().len(), 8);
        assert_eq!(targets(&[own]).unwrap().len(), 1);
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_worker_with_nothing_in_hand_is_left_alone() {
        let mut child = Command::new("sleep")
            .arg("100")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let target = targets(&[child.id(), child.id()]).unwrap();
        assert_eq!(target.len(), 1, "thread workers share a process");
        assert_eq!(target[0].kill(), None);
        assert_eq!(kill_one(&target, &AtomicBool::new(true)), None);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
