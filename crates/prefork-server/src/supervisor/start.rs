//! The start: what is taken over or made anew before the first fork.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::announce::Facts;
use super::caching::{self, Caching};
use super::deferred_close::DeferredClose;
use super::events::Events;
use super::members::Members;
use super::program::Program;
use super::sweep::Sweeper;
use super::telling::Telling;
use super::upgrade::Predecessor;
use super::{Reread, Supervisor, policy};
use crate::config::{Config, EVENT_CONNECTIONS_DEFAULT, PoolKind, SET_ASIDE_DEFAULT, WORKERS_MAX};
use crate::connection::session::Service;
use crate::operator::admin::Admin;
use crate::operator::logs::{Logs, Reopener, Wanted};
use crate::operator::pidfile::Pidfile;
use crate::operator::{port, stream};
use crate::pool::{Inheritance, descriptors};
use crate::sandbox::Confinement;
use crate::shared::encoded_cache::EncodedCache;
use crate::shared::gate::Gate;
use crate::shared::holdings::Holdings;
use crate::shared::listener::{self, Listener};
use crate::shared::report;
use crate::shared::scoreboard::Scoreboard;
use crate::store::{Folder, Quota, Store, StoreOptions, Swept};
use crate::supervisor::inherited::{self, Inherited, Origin};
use crate::supervisor::ledger::Ledger;
use crate::supervisor::roster::{self, Roster};
use crate::supervisor::scarcity::{Shortages, explained};
use crate::supervisor::watchdog::Watchdog;
use crate::{sandbox, sys};

/// What the server stands on.
struct Foundation {
    listener: TcpListener,
    origin: Origin,
    folder: Folder,
    /// The same of a predecessor, with what it is locked with.
    inherited_root: Option<(OwnedFd, Option<OwnedFd>)>,
    /// Who is waiting for this server to be ready, and where to tell it.
    predecessor: Option<Predecessor>,
    /// The socket that answered at `--metrics` before this server does, and whether it was asked for in the same words.
    metrics: Option<(TcpListener, bool)>,
}

impl Foundation {
    /// Of a server without a predecessor.
    const fn new(folder: Folder, listener: TcpListener, origin: Origin) -> Self {
        Self {
            listener,
            origin,
            folder,
            inherited_root: None,
            predecessor: None,
            metrics: None,
        }
    }
}

impl Supervisor {
    pub(super) fn start(config: Config, reread: Reread) -> Result<Self> {
        stream::own_standard_streams();
        let cache_bytes = caching::plan(&config);
        let event_connections = descriptors::make_room(&config, cache_bytes > 0)?;
        // A limit on the size of files is to be an error like that of a full disk, for uploads and logs alike, in
        // this process and in every worker.
        sys::ignore(Signal::SIGXFSZ).context("cannot ignore SIGXFSZ")?;
        let inherited = inherited::take()?;
        sandbox::harden_process();
        let foundation = match inherited {
            Inherited::Upgrade(upgrade) => take_over(&config, upgrade)?,
            Inherited::Socket(listener) => {
                Foundation::new(open_folder(&config)?, listener, Origin::Activated)
            }
            Inherited::Nothing => {
                let folder = open_folder(&config)?;
                Foundation::new(folder, bind(&config.bind)?, Origin::Bound)
            }
        };
        // A predecessor accepts from the same socket until this server is ready.
        if foundation.predecessor.is_none() {
            inherited::set_up(&foundation.listener, &config, foundation.origin)?;
        }
        let cache = caching::make(
            cache_bytes,
            slots_max(config.pool),
            &config,
            &foundation.folder,
        );
        Self::assemble(config, reread, foundation, event_connections, cache)
    }

    fn assemble(
        config: Config,
        reread: Reread,
        foundation: Foundation,
        event_connections: Option<u32>,
        cache: Option<EncodedCache>,
    ) -> Result<Self> {
        let predecessor = foundation.predecessor.as_ref().map(|it| it.pid);
        let (mut store, mut logs, reopener, confinement) = drop_root_and_open(
            &config,
            foundation.folder,
            foundation.inherited_root,
            predecessor,
        )?;
        let (reports_reader, reports) = report::channel().context("cannot make a socket")?;
        let admin = Admin::open(
            config.admin.as_deref(),
            config.metrics.as_deref(),
            predecessor,
            foundation.metrics,
        )?;
        let (scoreboard, holdings) = share_memory(&mut store, &config)?;
        // Until here, standard error says why the server does not start.
        logs.divert().context("cannot log to --log-file")?;
        let inheritance = Inheritance {
            listener: Listener::new(foundation.listener),
            gate: Gate::new(predecessor.is_none()).context("cannot map the gate")?,
            reports,
            scoreboard,
            holdings,
            row: 0,
            logs,
            service: Service::new(store, config.limits()),
            cache,
            confinement,
            event_connections,
            config,
        };
        let config = &inheritance.config;
        let started = Instant::now();
        Ok(Self {
            facts: Facts::ask(&inheritance),
            telling: Telling::default(),
            sweeper: Sweeper::default(),
            errand: None,
            looked_for: Vec::new(),
            events: Events::new(reports_reader, config.exit_with_stdin)
                .context("cannot take signals")?,
            roster: Roster::new(inheritance.processes(), policy(config)),
            watchdog: Watchdog::new(config.worker_timeout, started.elapsed()),
            ledger: Ledger::new(scoreboard, config.pool.is_a_process_each()),
            members: Members::default(),
            deferred_close: DeferredClose::default(),
            shortages: Shortages::watch(),
            caching: Caching::new(started),
            origin: foundation.origin,
            predecessor: foundation.predecessor,
            successor: None,
            announced: None,
            replaced_config: None,
            pidfile: None,
            stop: None,
            nudge_until: started,
            program: Program::of_this_process(),
            inheritance,
            admin,
            reopener,
            started,
            reread,
        })
    }
}

/// Does what needs root's rights, and then what must not be done with them.
fn drop_root_and_open(
    config: &Config,
    folder: Folder,
    inherited_root: Option<(OwnedFd, Option<OwnedFd>)>,
    predecessor: Option<Pid>,
) -> Result<(Store, Logs, Reopener, Confinement)> {
    let access_log = wanted_log("--access-log", config.access_log.as_deref())?;
    let log_file = wanted_log("--log-file", config.log_file.as_deref())?;
    // What comes now is nobody's business but the server's user's.
    sandbox::drop_root(config.user_found.as_ref(), &folder, config.read_only)?;
    let store = match inherited_root {
        None => open_store(config, folder)?,
        Some((root, lock)) => {
            let store = Store::adopt(root, lock, folder, options(config))?;
            // The predecessor's uploads are under way.
            sweep(&store)?;
            store
        }
    };
    let (logs, reopener) = Logs::open(access_log, log_file)?;
    let confinement = sandbox::prepare(config.sandbox, config.allow_root, &store)?;
    if let Some(path) = &config.pidfile {
        Pidfile::check(path, predecessor)?;
    }
    Ok((store, logs, reopener, confinement))
}

fn look_up(typed: &str) -> Result<(SocketAddr, Vec<SocketAddr>)> {
    listener::look_up("--bind", typed).map_err(anyhow::Error::msg)
}

fn bind(typed: &str) -> Result<TcpListener> {
    let (address, others) = look_up(typed)?;
    let listener =
        listener::bind(address).map_err(|error| port::explain("--bind", address, &error))?;
    if let Some(warning) = left_out(typed, listener.local_addr()?, &others) {
        tracing::warn!("{warning}");
    }
    Ok(listener)
}

/// What to say of a name that stands for more addresses than the one that is listened on, as `localhost` may.
fn left_out(typed: &str, address: SocketAddr, others: &[SocketAddr]) -> Option<String> {
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    let another = others.first()?;
    Some(format!(
        "--bind {typed} listens on {address} only, though it is {} too: clients of that address find nobody; write --bind \
         {another} for it",
        others.join(" and ")
    ))
}

/// How many processes a pool may have at once when it has grown, those included that retire.
const fn processes_max(pool: PoolKind) -> u32 {
    roster::processes_max(pool.processes(WORKERS_MAX))
}

/// How many workers all these may be.
const fn slots_max(pool: PoolKind) -> u32 {
    processes_max(pool) * pool.workers_of_a_process_max()
}

/// How many connections a process may have in hand. A worker may be allowed more in a reload, too: up to this number if
/// their addresses are counted, which a reload looks at.
fn connections_max(config: &Config) -> u32 {
    let connections = config.connections_each();
    match config.pool {
        PoolKind::Process => connections.max(SET_ASIDE_DEFAULT + 1),
        PoolKind::Thread => WORKERS_MAX * connections.max(SET_ASIDE_DEFAULT + 1),
        PoolKind::Event => connections.max(EVENT_CONNECTIONS_DEFAULT),
    }
}

pub(super) fn options(config: &Config) -> StoreOptions {
    StoreOptions {
        durability: config.durability,
        upload_len_max: config.upload_max,
        min_free_bytes: config.min_free,
        read_only: config.read_only,
        root_bytes_max: config.root_max_bytes,
    }
}

fn wanted_log(flag: &'static str, path: Option<&Path>) -> Result<Option<Wanted>> {
    path.map(|path| Wanted::new(flag, path)).transpose()
}

/// Opens the root, and makes the default one.
pub(crate) fn open_folder(config: &Config) -> Result<Folder> {
    let folder = match config.makes_root() {
        true => Folder::open_or_make(&config.root, config.user_found.as_ref()),
        false => Folder::open(&config.root),
    };
    Ok(folder?)
}

/// Locks the root, and cleans up after an earlier server.
pub(crate) fn open_store(config: &Config, folder: Folder) -> Result<Store> {
    let store = Store::open(folder, options(config))?;
    sweep(&store)?;
    Ok(store)
}

fn sweep(store: &Store) -> Result<()> {
    let Swept { removed, left } = store
        .sweep()
        .context("cannot look for stale temporary files in the root")?;
    if removed > 0 {
        tracing::info!(
            files = removed,
            "removed what an earlier server left unfinished"
        );
    }
    if left > 0 {
        tracing::warn!(
            files = left,
            "left unfinished uploads alone that are another server's or another user's; if no other server writes to \
             the root, remove .prefork-tmp.* there"
        );
    }
    Ok(())
}

/// What all processes share: what they count in, and what the limits on all of them are kept with.
fn share_memory(store: &mut Store, config: &Config) -> Result<(Scoreboard, Holdings)> {
    let scoreboard = Scoreboard::new(slots_max(config.pool))
        .map_err(|error| explained("cannot map the scoreboard", error))?;
    let holdings = Holdings::new(processes_max(config.pool), connections_max(config))
        .map_err(|error| explained("cannot map the holdings", error))?;
    store.share_quota(
        Quota::new(holdings).map_err(|error| explained("cannot set up the quota", error))?,
    );
    let bytes_max = config.root_max_bytes;
    let used_bytes = store
        .used_bytes()
        .context("cannot measure the root for --root-max-bytes")?;
    if used_bytes > bytes_max {
        tracing::warn!(
            used_bytes,
            bytes_max,
            "the root holds more than --root-max-bytes; uploads are refused until it does not"
        );
    }
    Ok((scoreboard, holdings))
}

/// What a predecessor serves with, if it is what the settings ask for.
fn take_over(config: &Config, upgrade: inherited::Upgrade) -> Result<Foundation> {
    let bound = upgrade.listener.local_addr()?;
    if upgrade.origin == Origin::Bound
        && !inherited::is_as_typed(inherited::BIND_VARIABLE, &config.bind)
        && !listener::is_at(bound, look_up(&config.bind)?.0)
    {
        bail!(
            "--bind {} is not the address of the running server, {bound}, which an upgrade cannot change",
            config.bind
        );
    }
    if listener::waits(&upgrade.listener)? != config.waits_in_accept() {
        let (pool, set_aside) = (config.pool.as_str(), config.set_aside);
        let set_aside = set_aside.map_or_else(String::new, |n| format!(" --set-aside {n}"));
        bail!(
            "--pool {pool}{set_aside}: an upgrade cannot change between workers that wait in accept (--set-aside 0) \
             and workers that do not: both would have the same socket; start the server anew"
        );
    }
    let metrics = config.metrics.as_deref();
    let is_as_typed =
        metrics.is_some_and(|it| inherited::is_as_typed(inherited::METRICS_VARIABLE, it));
    Ok(Foundation {
        listener: upgrade.listener,
        origin: upgrade.origin,
        folder: Folder::open(&config.root)?,
        inherited_root: Some((upgrade.root, upgrade.lock)),
        predecessor: Some(Predecessor {
            pid: upgrade.predecessor,
            waits: Some((upgrade.report, upgrade.permit)),
        }),
        metrics: upgrade.metrics.map(|it| (it, is_as_typed)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_more_addresses_says_which_one_is_listened_on() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (six, four) = (address("[::1]:4000"), address("127.0.0.1:4000"));
        assert_eq!(left_out("127.0.0.1:4000", four, &[]), None);
        let said = left_out("localhost:4000", six, &[four]).unwrap();
        assert_eq!(
            said,
            "--bind localhost:4000 listens on [::1]:4000 only, though it is 127.0.0.1:4000 too: clients of that address \
             find nobody; write --bind 127.0.0.1:4000 for it"
        );
        let (found, others) = listener::look_up("--bind", "127.0.0.1:4000").unwrap();
        assert_eq!((found, others), (four, Vec::new()));
    }
}
