//! The guard of a foreign server: a small process between the harness and a command that knows nothing of it.
//!
//! `stress __guard COMMAND…` starts the command as the leader of a process group of its own. When standard input
//! ends, because the harness closed it or was killed, the guard ends that whole group, gently first.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__guard";

/// From TERM to KILL.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at the command and at standard input.
const LOOK: Duration = Duration::from_millis(10);

/// Runs the command until it ends or standard input does.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words = args.into_iter().skip(1);
    let Some(program) = words.next() else {
        eprintln!("{SUBCOMMAND} is what stress puts between itself and a foreign server; it is not for people");
        return ExitCode::from(2);
    };
    let child = Command::new(&program).args(words).stdin(Stdio::null()).process_group(0).spawn();
    match child {
        Ok(child) => guard(child),
        Err(error) => {
            eprintln!("cannot start {}: {error}", program.display());
            ExitCode::from(127)
        }
    }
}

fn guard(mut child: Child) -> ExitCode {
    let harness_is_gone = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&harness_is_gone);
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
        tell.store(true, Ordering::Relaxed);
    });
    // The leader has not been waited for while this loop runs, so its group's number is not anybody else's.
    let group = Pid::from_raw(child.id().cast_signed());
    let mut kill_at = None;
    loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                // What the leader left behind: the kernel keeps the group's number as long as there is any.
                let _ = killpg(group, Signal::SIGKILL);
                return code_of(status);
            }
            Err(_) => return ExitCode::FAILURE,
        }
        match kill_at {
            None if harness_is_gone.load(Ordering::Relaxed) => {
                let _ = killpg(group, Signal::SIGTERM);
                kill_at = Some(Instant::now() + PATIENCE);
            }
            Some(at) if Instant::now() >= at => {
                let _ = killpg(group, Signal::SIGKILL);
            }
            _ => {}
        }
        std::thread::sleep(LOOK);
    }
}

fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
