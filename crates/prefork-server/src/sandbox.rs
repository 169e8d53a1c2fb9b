//! What keeps a worker that has gone wrong from doing harm: another user, no new privileges, no core dumps,
//! and Landlock, which leaves it the root and nothing else, and of that only reading where nobody is to change it.
//!
//! [`prepare`] puts in force what the parent shares with its workers and finds out, by trying it, what the
//! kernel can confine; [`Confinement::enter`] confines a worker, before it has threads and before it has seen
//! a client. `docs/HARDENING.md` is the description for people.

mod landlock;

use std::io;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};

use crate::rights::{User, current_user, is_root};
use crate::store::{Folder, Store};
use crate::{sys, words};

pub(crate) use landlock::ABI_CONFINING_FILES;

proto::worded! {
    /// Whether workers are confined.
    #[derive(clap::ValueEnum)]
    pub enum SandboxMode {
        /// As far as the kernel can.
        Auto = "auto",
        /// Not at all.
        Off = "off",
        /// Rather no server than workers that reach files outside the root.
        Require = "require",
    }
}

/// How every worker of this server is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confinement {
    mode: SandboxMode,
    /// The Landlock version that a trial was confined with; none if it could not be, or was not to be.
    pub(crate) abi: Option<u32>,
}

/// Resets what the process inherited (a deaf SIGCHLD, open descriptors), and gives up what it and its children never
/// need: new privileges, core dumps. Where that fails the server serves all the same. To be called at the start, once
/// what was handed over on purpose is in hand.
pub(crate) fn harden_process() {
    // Deaf to it, a parent would never hear of a worker's death.
    if let Err(error) = sys::heed(Signal::SIGCHLD) {
        tracing::warn!(error = error.desc(), "cannot hear of workers' deaths");
    }
    match sys::close_inherited() {
        Ok(0) => {}
        Ok(closed) => tracing::debug!(closed, "closed descriptors that were inherited"),
        Err(error) => tracing::warn!(
            error = words::plain(&error),
            "cannot close inherited descriptors without /proc"
        ),
    }
    // A core of a worker would hold clients' files, outside the root.
    let given_up = prctl::set_no_new_privs().and_then(|()| setrlimit(Resource::RLIMIT_CORE, 0, 0));
    if let Err(error) = given_up {
        tracing::warn!(
            error = error.desc(),
            "cannot give up new privileges and core dumps"
        );
    }
}

/// Drops root where that was asked for, and looks whether the server's user may use the `folder`, which is only read if
/// `is_read_only`. To be called once everything is open that only root may open, and before
/// anything else is: what is opened, made, renamed or removed by a name is so with the rights of the server's user.
///
/// # Errors
/// With what to do about it.
pub(crate) fn drop_root(user: Option<&User>, folder: &Folder, is_read_only: bool) -> Result<()> {
    if let Some(user) = user {
        user.become_for_good()?;
    }
    check_access(folder, is_read_only)
}

/// Finds out how workers can be confined, and refuses what is too dangerous.
///
/// # Errors
/// With what to do about it.
pub(crate) fn prepare(mode: SandboxMode, allow_root: bool, store: &Store) -> Result<Confinement> {
    let confinement = Confinement {
        mode,
        abi: match mode {
            SandboxMode::Off => None,
            SandboxMode::Auto | SandboxMode::Require => try_out(store)?,
        },
    };
    if mode == SandboxMode::Require && !confinement.confines_files() {
        bail!(
            "--sandbox require: {}; it takes Landlock version {ABI_CONFINING_FILES} (Linux 6.2), or --sandbox auto for what there is",
            confinement.shortcoming()
        );
    }
    if is_root() && !allow_root {
        if !confinement.confines_files() {
            bail!(
                "will not run as root: {}; run as another user with --user NAME, or as root all the same with --allow-root",
                confinement.shortcoming()
            );
        }
        tracing::warn!(
            "RUNNING AS ROOT: only Landlock keeps a faulty worker to the root; better run as another user with --user NAME (--allow-root silences this)"
        );
    }
    Ok(confinement)
}

impl Confinement {
    /// Confines this process, if that is how its server's workers are. Threads that exist already stay free.
    ///
    /// # Errors
    /// What the kernel says. A worker must not serve then: its server has announced that it is confined.
    pub(crate) fn enter(self, store: &Store) -> io::Result<()> {
        if self.abi.is_some() {
            landlock::restrict(store).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Whether no file outside the root can be opened, changed, made or removed.
    #[must_use]
    pub(crate) fn confines_files(self) -> bool {
        self.abi.is_some_and(|abi| abi >= ABI_CONFINING_FILES)
    }

    /// As READY tells it: how workers forked from now on are confined.
    #[must_use]
    pub(crate) fn announce(self, store: &Store) -> proto::announce::Sandbox {
        let (root_access, _) = landlock::root_access(store);
        proto::announce::Sandbox {
            mode: self.mode.as_str().to_owned(),
            level: landlock::level(self.abi).to_owned(),
            landlock_abi: self.abi,
            not_denied: landlock::not_denied(self.abi).map(str::to_owned).collect(),
            root_access: self.abi.map(|_| root_access.to_owned()),
            no_new_privs: prctl::get_no_new_privs().unwrap_or(false),
        }
    }

    fn shortcoming(self) -> String {
        match (self.mode, self.abi) {
            (SandboxMode::Off, _) => "with --sandbox off nothing confines the workers".to_owned(),
            (_, Some(abi)) => format!(
                "Landlock of this kernel (version {abi}) lets workers cut files short outside the root"
            ),
            (_, None) => "this kernel cannot confine the workers (no Landlock)".to_owned(),
        }
    }
}

/// Confines a child that then leaves, to see whether the kernel does it and not only says so.
fn try_out(store: &Store) -> Result<Option<u32>> {
    // A version is an exit code; 0 says that there is none, and others that the child failed.
    let forked = sys::fork(|| {
        let abi = landlock::restrict(store).unwrap_or_else(|error| {
            tracing::warn!(%error, "Landlock is there, but does not work");
            None
        });
        abi.and_then(|abi| i32::try_from(abi).ok()).unwrap_or(0)
    });
    let child =
        forked.map_err(|errno| anyhow::Error::msg(words::cannot_start("a process", errno)))?;
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, abi @ 1..100)) => return Ok(Some(abi.unsigned_abs())),
            Err(Errno::EINTR) => {}
            Ok(_) => return Ok(None),
            Err(error) => return Err(error).context("cannot wait for a child"),
        }
    }
}

/// A root that the server's user cannot read is an error now rather than for every client; one that can only be read is
/// a mirror, and is said to be one.
fn check_access(folder: &Folder, is_read_only: bool) -> Result<()> {
    let root = folder.path().display();
    let (name, uid) = current_user();
    let user = format!("user {name} (uid {uid})");
    if !folder.can_read() {
        bail!(
            "{user} cannot read the folder {root}: give it to that user (chown {name} {root}), or name another with --root"
        );
    }
    if is_read_only {
        return Ok(());
    }
    if folder.is_mounted_read_only() {
        tracing::warn!(
            "the root's file system is mounted read-only: every upload and delete will be refused; --read-only \
             says that this is meant"
        );
    } else if !folder.can_write() {
        tracing::warn!(
            "{user} cannot write to the folder {root}: every UPLOAD and DELETE will fail; give it to that user \
             (chown {name} {root}), or say that this is meant with --read-only"
        );
    }
    Ok(())
}
