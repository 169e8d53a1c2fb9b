//! `--self-test`: what would be in force, shown by a worker that tries to get out.
//!
//! A child is forked, hardened and confined by the very code that makes a worker ([`pool::settle_in`]). In
//! place of accepting connections it tries what a worker must be able to do in the root, and what it must not
//! be able to do anywhere else.

mod ground;
mod probes;

use std::fs::File;
use std::io::{self, Read, Write};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, alarm};
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
const SECONDS_MAX: u32 = 30;

/// What was found out.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Report {
    /// Who the worker was, by name.
    user: String,
    /// The same by number.
    uid: u32,
    /// The folder that is served.
    root: String,
    /// What workers are kept from.
    sandbox: proto::announce::Sandbox,
    /// Bytes of a core dump: 0 is none.
    core_limit_bytes: u64,
    /// Everything that it tried.
    trials: Vec<Trial>,
    /// All of it came out as wanted.
    passed: bool,
}

/// One thing that the worker tried.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Trial {
    /// What was tried.
    what: String,
    /// How it came out.
    outcome: Outcome,
    /// What the kernel said when it was not done.
    error: Option<String>,
    /// How it should come out.
    wanted: Wanted,
    /// It came out as wanted.
    passed: bool,
}

/// How it came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum Outcome {
    Allowed,
    Denied,
    /// Not done for another reason, so that nothing is known.
    Failed,
}

/// How it should come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum Wanted {
    Allowed,
    Denied,
    /// Nothing in force denies it to a worker as such; the user's permissions may.
    Either,
}

/// How something that is tried should come out, and for which roots it is tried.
#[derive(Debug, Clone, Copy)]
enum Law {
    AllowedIfWritable,
    AllowedIfReadOnly,
    DeniedIfReadOnly,
    /// The same, if the root has a file.
    FileDeniedIfReadOnly,
    /// From this version of Landlock on.
    DeniedFrom(u32),
    /// Under no version.
    NotDenied,
}

impl Law {
    /// A kernel without any Landlock must still keep files out of reach to pass.
    fn wanted(self, abi: Option<u32>) -> Wanted {
        match self {
            Self::AllowedIfWritable | Self::AllowedIfReadOnly => Wanted::Allowed,
            Self::DeniedIfReadOnly | Self::FileDeniedIfReadOnly => Wanted::Denied,
            Self::DeniedFrom(from) if from <= abi.unwrap_or(0).max(ABI_CONFINING_FILES) => {
                Wanted::Denied
            }
            Self::DeniedFrom(_) | Self::NotDenied => Wanted::Either,
        }
    }
}

impl Trial {
    fn new(what: &str, wanted: Wanted, result: io::Result<()>) -> Self {
        let errno = result.as_ref().err().and_then(io::Error::raw_os_error);
        let errno = errno.map(Errno::from_raw);
        let outcome = match (&result, errno) {
            (Ok(()), _) => Outcome::Allowed,
            (_, Some(Errno::EACCES | Errno::EPERM | Errno::EXDEV | Errno::EROFS)) => {
                Outcome::Denied
            }
            _ => Outcome::Failed,
        };
        Self {
            what: what.to_owned(),
            outcome,
            error: result.err().map(|error| match errno {
                Some(errno) => format!("{errno:?}"),
                None => error.to_string(),
            }),
            wanted,
            passed: match wanted {
                Wanted::Allowed => outcome == Outcome::Allowed,
                Wanted::Denied => outcome == Outcome::Denied,
                Wanted::Either => outcome != Outcome::Failed,
            },
        }
    }
}

/// Runs the self-test and prints its result on standard output.
///
/// # Errors
/// What would keep the server from starting, and what keeps the test from being made.
pub(crate) fn run(config: &Config, json: bool) -> Result<Exit> {
    cli_kit::output::check().context("cannot write to standard output")?;
    sandbox::harden_process();
    let folder = supervisor::open_folder(config)?;
    sandbox::drop_root(config.user_found.as_ref(), &folder, config.read_only)?;
    let store = supervisor::open_store(config, folder)?;
    let confinement = sandbox::prepare(config.sandbox, config.allow_root, &store)?;
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
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let parent = Pid::this();
    let try_all = || -> Result<()> {
        // The kernel ends this process if it takes longer.
        sys::heed(Signal::SIGALRM)?;
        alarm::set(SECONDS_MAX);
        pool::settle_in(parent, confinement, store)?;
        let trials = probes::all(&ground, store, confinement.abi);
        // All of it is shorter than what a pipe holds, so the write does not wait.
        File::from(writer.try_clone()?).write_all(&serde_json::to_vec(&trials)?)?;
        Ok(())
    };
    let child = sys::fork(|| match try_all() {
        Ok(()) => WORKER_DONE,
        Err(error) => {
            tracing::error!(%error, "the worker cannot be tested");
            WORKER_FAILED
        }
    });
    let child = child.context("cannot fork")?;
    drop(writer);
    let mut said = Vec::new();
    let read = File::from(reader).read_to_end(&mut said);
    let end = waitpid(child, None).context("cannot wait for the worker")?;
    read.context("cannot read what the worker says")?;
    let is_in_time = !matches!(end, WaitStatus::Signaled(_, Signal::SIGALRM, _));
    ensure!(is_in_time, "the worker did not finish in time");
    serde_json::from_slice(&said).context("the worker ended before it had tried everything")
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
    fn the_schemas_are_what_the_types_say() {
        crate::schemas::keep::<Report>("self-test", "prefork-server --self-test --json");
    }

    #[test]
    fn what_must_be_denied_follows_from_what_the_kernel_can() {
        let check = |law: Law, abi, want| assert_eq!(law.wanted(abi), want, "{law:?} {abi:?}");
        // Files must be out of reach, whatever the kernel can.
        check(Law::DeniedFrom(1), None, Wanted::Denied);
        check(Law::DeniedFrom(3), Some(1), Wanted::Denied);
        check(Law::DeniedIfReadOnly, None, Wanted::Denied);
        check(Law::DeniedFrom(4), Some(3), Wanted::Either);
        check(Law::DeniedFrom(4), Some(4), Wanted::Denied);
        check(Law::DeniedFrom(10), Some(7), Wanted::Either);
        check(Law::NotDenied, Some(10), Wanted::Either);
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
