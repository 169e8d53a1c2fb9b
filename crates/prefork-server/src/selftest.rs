//! `--self-test`: what would be in force, shown by a worker that tries to get out.
//!
//! A child is forked, hardened and confined by the very code that makes a worker ([`pool::settle_in`]). In
//! place of accepting connections it tries what a worker must be able to do in the root, and what it must not
//! be able to do anywhere else.

mod ground;
mod probes;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid};
use screen::{Column, Screen, Table, counted};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::exit::{Exit, WORKER_DONE, WORKER_FAILED};
use crate::rights::current_user;
use crate::sandbox::{self, ABI_CONFINING_FILES, Confinement};
use crate::store::Store;
use crate::{pool, supervisor, sys};

use ground::Ground;

/// All that is tried takes milliseconds; `--durability full` on a slow disk takes some more.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was found out.
#[derive(Debug, Serialize)]
struct Report {
    user: String,
    uid: u32,
    root: String,
    sandbox: proto::announce::Sandbox,
    /// Bytes of a core dump: 0 is none.
    core_limit_bytes: u64,
    trials: Vec<Trial>,
    passed: bool,
}

/// One thing that the worker tried.
#[derive(Debug, Serialize, Deserialize)]
struct Trial {
    what: String,
    outcome: Outcome,
    /// What the kernel said when it was not done.
    error: Option<String>,
    wanted: Wanted,
    /// It came out as wanted.
    passed: bool,
}

/// How it came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Allowed,
    Denied,
    /// Not done for another reason, so that nothing is known.
    Failed,
}

/// How it should come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Allowed,
    Denied,
    /// Nothing in force denies it to a worker as such; the user's permissions may.
    Either,
}

/// Runs the self-test and prints its result on standard output.
///
/// # Errors
/// What would keep the server from starting, and what keeps the test from being made.
pub(crate) fn run(config: &Config, json: bool) -> Result<Exit> {
    cli_kit::output::check().context("cannot write to standard output")?;
    sandbox::harden_process();
    let folder = supervisor::open_folder(config)?;
    sandbox::drop_root(&config.hardening, &folder, config.read_only)?;
    let store = supervisor::open_store(config, folder)?;
    let confinement = sandbox::prepare(&config.hardening, &store)?;
    let trials = trials(confinement, &store)?;
    let (user, uid) = current_user();
    let report = Report {
        user,
        uid,
        root: store.root().display().to_string(),
        sandbox: confinement.announce(&store),
        core_limit_bytes: getrlimit(Resource::RLIMIT_CORE)?.0,
        passed: trials.iter().all(|trial| trial.passed),
        trials,
    };
    let text = match json {
        true => serde_json::to_string(&report)? + "\n",
        false => text(&report, Screen::stdout()),
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to standard output")?;
    Ok(match report.passed {
        true => Exit::Done,
        false => Exit::Error,
    })
}

/// Lets a worker try everything, and waits for what it says.
fn trials(confinement: Confinement, store: &Store) -> Result<Vec<Trial>> {
    let ground = Ground::prepare(store)?;
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let parent = Pid::this();
    let child = match sys::fork().context("cannot fork")? {
        ForkResult::Child => {
            drop(reader);
            let work = || -> Result<()> {
                pool::settle_in(parent, confinement, store)?;
                let trials = probes::all(&ground, store, confinement.abi);
                // All of it is shorter than what a pipe holds, so the write does not wait.
                File::from(writer).write_all(&serde_json::to_vec(&trials)?)?;
                Ok(())
            };
            // A panic must not unwind into the parent's code, of which this is still the stack.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let code = match done {
                Ok(Ok(())) => WORKER_DONE,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the worker cannot be tested");
                    WORKER_FAILED
                }
                Err(_) => WORKER_FAILED,
            };
            sys::exit_now(code)
        }
        ForkResult::Parent { child } => child,
    };
    drop(writer);
    let said = read_to_end(reader, PATIENCE);
    if said.is_err() {
        let _ = kill(child, Signal::SIGKILL);
    }
    waitpid(child, None).context("cannot wait for the worker")?;
    serde_json::from_slice(&said?).context("the worker ended before it had tried everything")
}

fn read_to_end(pipe: OwnedFd, patience: Duration) -> Result<Vec<u8>> {
    let deadline = Instant::now() + patience;
    let mut pipe = File::from(pipe);
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "the worker did not finish in time");
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for the worker"),
        }
        match pipe.read_to_end(&mut said) {
            Ok(_) => return Ok(said),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("cannot read what the worker says"),
        }
    }
}

/// What a version of Landlock must deny; a kernel without any must still keep files out of reach to pass.
fn wanted(denied_from: Option<u32>, abi: Option<u32>) -> Wanted {
    match denied_from {
        Some(from) if from <= abi.unwrap_or(0).max(ABI_CONFINING_FILES) => Wanted::Denied,
        _ => Wanted::Either,
    }
}

fn text(report: &Report, screen: Screen) -> String {
    let sandbox = &report.sandbox;
    let landlock = match (sandbox.landlock_abi, sandbox.not_denied.as_slice()) {
        (None, _) => "none".to_owned(),
        (Some(abi), []) => format!("version {abi}, full"),
        (Some(abi), open) => format!("version {abi}, does not deny: {}", open.join(", ")),
    };
    let root_access = match sandbox.root_access.as_deref() {
        None => "whatever the user may",
        Some("read") => "read",
        Some(_) => "read and change",
    };
    let core = match report.core_limit_bytes {
        0 => "none".to_owned(),
        bytes => format!("up to {}", counted(bytes, "byte")),
    };
    let mut lines = vec![
        format!("user             {} (uid {})", report.user, report.uid),
        format!("root             {}", report.root),
        format!("sandbox          {}, {}", sandbox.mode, sandbox.level),
        format!("Landlock         {landlock}"),
        format!("in the root      {root_access}"),
        format!(
            "new privileges   {}",
            if sandbox.no_new_privs {
                "none"
            } else {
                "POSSIBLE"
            }
        ),
        format!("core dumps       {core}"),
        String::new(),
    ];
    let mut table = Table::new(["", "", ""].map(Column::text));
    for trial in &report.trials {
        table.row(cells(trial));
    }
    lines.extend(table.shown(screen).body);
    let failed = report.trials.iter().filter(|trial| !trial.passed).count();
    lines.push(String::new());
    lines.push(match failed {
        0 => "passed".to_owned(),
        failed => format!("FAILED: {failed} not as it should be"),
    });
    lines.join("\n") + "\n"
}

fn cells(trial: &Trial) -> [&str; 3] {
    let outcome = match (trial.outcome, trial.wanted) {
        (Outcome::Allowed, Wanted::Allowed) => "allowed",
        (Outcome::Allowed, _) => "ALLOWED",
        (Outcome::Denied, Wanted::Allowed) => "DENIED",
        (Outcome::Denied, _) => "denied",
        (Outcome::Failed, _) => "FAILED",
    };
    let why = match (&trial.error, trial.wanted) {
        (Some(error), _) => error.as_str(),
        (None, Wanted::Either) => "nothing denies it",
        (None, _) => "",
    };
    [outcome, &trial.what, why]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_denied_follows_from_what_the_kernel_can() {
        let check = |from, abi, want| assert_eq!(wanted(from, abi), want, "{from:?} {abi:?}");
        // Files must be out of reach, whatever the kernel can.
        check(Some(1), None, Wanted::Denied);
        check(Some(3), Some(1), Wanted::Denied);
        check(Some(4), Some(3), Wanted::Either);
        check(Some(4), Some(4), Wanted::Denied);
        check(Some(10), Some(7), Wanted::Either);
        check(None, Some(10), Wanted::Either);
    }

    #[test]
    fn a_line_shouts_only_what_is_wrong() {
        let check = |outcome, wanted, want: &str| {
            let trial = Trial {
                what: "read /etc/passwd".to_owned(),
                outcome,
                error: None,
                wanted,
                passed: true,
            };
            assert_eq!(cells(&trial)[0], want);
        };
        check(Outcome::Allowed, Wanted::Allowed, "allowed");
        check(Outcome::Allowed, Wanted::Denied, "ALLOWED");
        check(Outcome::Denied, Wanted::Denied, "denied");
        check(Outcome::Denied, Wanted::Allowed, "DENIED");
        check(Outcome::Failed, Wanted::Denied, "FAILED");
    }
}
