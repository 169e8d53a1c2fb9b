//! Following a process system call by system call (ptrace(2)), to end it in the middle of something short.

use std::fs;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::support::DEADLINE;

/// More system calls than an upload's end takes.
const STEPS_MAX: usize = 10_000;

/// Stops every thread of a process, has the world go on by `go`, then lets the worker thread run from one system call
/// to the next until `is_so`, and ends the process there by `signal`. Says whether it came to that.
pub(super) fn kill_when(
    pid: u32,
    signal: Signal,
    go: impl FnOnce(),
    is_so: impl Fn() -> bool,
) -> bool {
    let process = Pid::from_raw(pid.cast_signed());
    let worker = worker_thread(pid);
    ptrace::seize(worker, Options::PTRACE_O_TRACESYSGOOD)
        .expect("this user may trace its own processes");
    ptrace::interrupt(worker).unwrap();
    let mut pass_on = signal_of(wait(worker));
    go();
    for _ in 0..STEPS_MAX {
        ptrace::syscall(worker, pass_on).unwrap();
        pass_on = signal_of(wait(worker));
        if is_so() {
            if worker == process {
                die_here(worker, signal, pass_on);
            } else {
                die_elsewhere(process, worker, signal);
            }
            return true;
        }
    }
    false
}

/// Sends the signal at every stop until it ends the process: Rust's own handler takes the first SIGSEGV.
fn die_here(worker: Pid, signal: Signal, mut pass_on: Option<Signal>) {
    for _ in 0..STEPS_MAX {
        match kill(worker, signal).and_then(|()| ptrace::syscall(worker, pass_on)) {
            // Or it is dying already. Its parent hears of that only when this process has.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => panic!("{errno}"),
        }
        let status = waitpid(worker, Some(WaitPidFlag::__WALL));
        if is_over(status) {
            return;
        }
        pass_on = status.ok().and_then(signal_of);
    }
    panic!("{signal} does not end it");
}

/// Sends the signal until it ends the process, by way of its other threads, while the worker stays where it is.
fn die_elsewhere(process: Pid, worker: Pid, signal: Signal) {
    let deadline = Instant::now() + DEADLINE;
    let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
    while !is_over(waitpid(worker, Some(flags))) {
        assert!(Instant::now() < deadline, "{signal} does not end it");
        // It may be dying already.
        let _ = kill(process, signal);
        std::thread::yield_now();
    }
}

fn is_over(status: nix::Result<WaitStatus>) -> bool {
    match status {
        Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD) => true,
        Ok(_) => false,
        Err(errno) => panic!("{errno}"),
    }
}

fn wait(worker: Pid) -> WaitStatus {
    waitpid(worker, Some(WaitPidFlag::__WALL)).unwrap()
}

/// The signal that stopped it, which it is to have in the end.
fn signal_of(status: WaitStatus) -> Option<Signal> {
    match status {
        WaitStatus::Stopped(_, signal) if signal != Signal::SIGTRAP => Some(signal),
        _ => None,
    }
}

/// The thread that serves: of a process with one thread that one, else the one that has a worker's name.
fn worker_thread(pid: u32) -> Pid {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let threads: Vec<_> = threads.map(|it| it.unwrap().path()).collect();
    let is_worker = |path: &&std::path::PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == "prefork:w0")
    };
    let id = |path: &Path| path.file_name()?.to_str()?.parse().ok();
    Pid::from_raw(
        threads
            .iter()
            .find(is_worker)
            .and_then(|it| id(it))
            .expect("a worker"),
    )
}
