//! What a new server is handed at its start: by its predecessor in an upgrade, or by a service manager that
//! holds the socket (`LISTEN_FDS`, sd_listen_fds(3)).

use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::unistd::Pid;

use crate::config::Config;
use crate::shared::listener;
use crate::sys;

/// The variable in which a predecessor says which descriptors are what. Nobody else is meant to set it.
pub(crate) const UPGRADE_VARIABLE: &str = "PREFORK_SERVER_UPGRADE";

/// The variable that names the descriptor of the root's lock. One of its own, which servers of older releases do not look
/// at: they and newer ones can be upgraded to each other.
pub(crate) const LOCK_VARIABLE: &str = "PREFORK_SERVER_LOCK";

/// The variable that names the descriptor of the permit to take over: servers of older releases know of none.
pub(crate) const PERMIT_VARIABLE: &str = "PREFORK_SERVER_PERMIT";

/// What the predecessor was told by `--bind` and `--metrics`: who is told the same wants the sockets that are handed over,
/// whatever a name in it leads to by now.
pub(crate) const BIND_VARIABLE: &str = "PREFORK_SERVER_UPGRADE_BIND";

/// See [`BIND_VARIABLE`].
pub(crate) const METRICS_VARIABLE: &str = "PREFORK_SERVER_UPGRADE_METRICS";

/// The first descriptor that is no standard stream.
const FIRST_PASSED: RawFd = 3;

/// Who made the listening socket, and so may say that nobody shall connect to it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This server, or a predecessor of it.
    Bound,
    /// A service manager, which may go on with it when this server has stopped.
    Activated,
}

/// Sets up the listening socket as the settings have it.
///
/// # Errors
/// What the kernel says, with the flag.
pub(super) fn set_up(listener: &TcpListener, config: &Config, origin: Origin) -> Result<()> {
    listener::configure(
        listener,
        &config.congestion,
        config.receive_buffer,
        config.waits_in_accept(),
    )
    .context("cannot set up the listening socket")?;
    // A service manager's socket may come with the option; another server's must not keep what is off here.
    let is_bound = origin == Origin::Bound;
    if let Some(seconds) = config.defer_accept.or(is_bound.then_some(0)) {
        sys::set_defer_accept(listener, seconds).context("cannot set --defer-accept")?;
    }
    Ok(())
}

/// What is handed over, if anything.
#[derive(Debug)]
pub(crate) enum Inherited {
    Nothing,
    /// A service manager's socket.
    Socket(TcpListener),
    /// What a predecessor serves with.
    Upgrade(Upgrade),
}

/// What a predecessor hands over.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// The listening socket.
    pub listener: TcpListener,
    /// Who made it.
    pub origin: Origin,
    /// The root's directory.
    pub root: OwnedFd,
    /// What it is locked with. None of a predecessor that only reads, or is of an older release.
    pub lock: Option<OwnedFd>,
    /// Where to say that the new server is ready; closed without a word, it is not.
    pub report: OwnedFd,
    /// What a new server takes before it takes over. None of a predecessor of an older release.
    pub permit: Option<Permit>,
    /// The socket that answers at `--metrics`, if there is one.
    pub metrics: Option<TcpListener>,
    /// Who waits for the report.
    pub predecessor: Pid,
}

/// What one of two servers can take, and only one: the new one does before it takes over, the old one before it ends
/// the new one. A pipe with one byte in it, whose reading end both have.
#[derive(Debug)]
pub(crate) struct Permit(OwnedFd);

impl Permit {
    /// One that nobody has taken.
    ///
    /// # Errors
    /// What pipe2(2) and write(2) say.
    pub(crate) fn new() -> nix::Result<Self> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        nix::unistd::write(&writer, &[1])?;
        Ok(Self(reader))
    }

    /// Whether it is this server's from now on.
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        nix::unistd::read(&self.0, &mut [0]) == Ok(1)
    }
}

impl AsFd for Permit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes what is handed over. To be called once, before anything else is opened.
///
/// # Errors
/// When what is handed over is not what it should be.
pub(crate) fn take() -> Result<Inherited> {
    if let Ok(text) = std::env::var(UPGRADE_VARIABLE) {
        let [lock, permit] =
            [LOCK_VARIABLE, PERMIT_VARIABLE].map(|name| std::env::var(name).unwrap_or_default());
        return parse_upgrade(&text, &lock, &permit)
            .with_context(|| {
                format!("the variable {UPGRADE_VARIABLE} is not for people to set: unset it")
            })
            .map(Inherited::Upgrade);
    }
    match passed_sockets().context("LISTEN_FDS makes no sense")? {
        0 => Ok(Inherited::Nothing),
        1 => {
            let socket = sys::adopt(FIRST_PASSED).context("LISTEN_FDS names no descriptor")?;
            listening(socket).map(Inherited::Socket)
        }
        number => {
            bail!("{number} sockets were passed by LISTEN_FDS: this server listens on one")
        }
    }
}

/// How many sockets a service manager passes to this process, from [`FIRST_PASSED`] on.
fn passed_sockets() -> Result<u32> {
    let number = |name| match std::env::var(name) {
        Ok(text) => text
            .parse::<u32>()
            .with_context(|| format!("invalid {name}")),
        Err(_) => Ok(0),
    };
    match number("LISTEN_PID")? == std::process::id() {
        true => number("LISTEN_FDS"),
        false => Ok(0),
    }
}

/// Whether the predecessor was told the same.
#[must_use]
pub(crate) fn is_as_typed(variable: &str, typed: &str) -> bool {
    std::env::var_os(variable).is_some_and(|before| before == typed)
}

impl Upgrade {
    /// What [`take`] reads on the other side.
    #[must_use]
    pub(crate) fn describe(
        listener: &impl AsRawFd,
        origin: Origin,
        root: &impl AsRawFd,
        report: &impl AsRawFd,
        metrics: Option<&impl AsRawFd>,
    ) -> String {
        let origin = match origin {
            Origin::Bound => "bound",
            Origin::Activated => "activated",
        };
        let (listener, root, report) = (listener.as_raw_fd(), root.as_raw_fd(), report.as_raw_fd());
        let metrics = metrics.map_or_else(String::new, |fd| format!(":{}", fd.as_raw_fd()));
        format!(
            "{}:{origin}:{listener}:{root}:{report}{metrics}",
            Pid::this()
        )
    }
}

/// What [`LOCK_VARIABLE`] and [`PERMIT_VARIABLE`] are set to.
#[must_use]
pub(crate) fn describe(descriptor: Option<&impl AsRawFd>) -> String {
    descriptor.map_or_else(String::new, |fd| fd.as_raw_fd().to_string())
}

fn parse_upgrade(text: &str, lock: &str, permit: &str) -> Result<Upgrade> {
    let parts: Vec<_> = text.split(':').collect();
    let [pid, origin, listener, root, report, ref metrics @ ..] = parts[..] else {
        bail!("'{text}' does not have five parts or six");
    };
    let metrics = match metrics {
        [] => None,
        [metrics] => Some(*metrics),
        _ => bail!("'{text}' has more than six parts"),
    };
    let predecessor = Pid::from_raw(pid.parse().context("no process id")?);
    if Pid::parent() != predecessor {
        bail!("process {predecessor}, which was to hand over, is not this one's parent");
    }
    let origin = match origin {
        "bound" => Origin::Bound,
        "activated" => Origin::Activated,
        _ => bail!("'{origin}' is no origin"),
    };
    let adopt = |number: &str| -> Result<OwnedFd> {
        let number: RawFd = number.parse().context("no descriptor")?;
        if number < FIRST_PASSED {
            bail!("descriptor {number} is a standard stream");
        }
        sys::adopt(number).context("a descriptor is not open")
    };
    let [lock, permit] = [lock, permit].map(|number| Some(number).filter(|it| !it.is_empty()));
    let mut numbers: Vec<_> = [listener, root, report]
        .into_iter()
        .chain(metrics)
        .chain(lock)
        .chain(permit)
        .collect();
    let passed = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.len() < passed {
        bail!("a descriptor is named twice");
    }
    Ok(Upgrade {
        listener: listening(adopt(listener)?)?,
        origin,
        root: adopt(root)?,
        lock: lock.map(adopt).transpose()?,
        permit: permit.map(adopt).transpose()?.map(Permit),
        report: adopt(report)?,
        metrics: metrics.map(|fd| listening(adopt(fd)?)).transpose()?,
        predecessor,
    })
}

fn listening(socket: OwnedFd) -> Result<TcpListener> {
    use nix::sys::socket::{SockType, getsockopt, sockopt};
    let is_stream =
        getsockopt(&socket, sockopt::SockType).is_ok_and(|kind| kind == SockType::Stream);
    let is_listening = getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false);
    let listener = TcpListener::from(socket);
    if !is_stream || !is_listening || listener.local_addr().is_err() {
        bail!(
            "what was passed is not a listening TCP socket (a unit needs ListenStream= and Accept=no)"
        );
    }
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_taken_once_by_whoever_comes_first() {
        for first in [0, 1] {
            let own = Permit::new().unwrap();
            let passed_on = Permit(own.0.try_clone().unwrap());
            let both = [own, passed_on];
            assert!(both[first].take());
            assert!(!both.iter().any(Permit::take));
        }
    }
}
