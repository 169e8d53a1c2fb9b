//! What the parent prints: READY, DONE, and how to reach the server.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use proto::announce::{Announcement, Done, Ready, Settings};
use screen::{counted, counted_as};

use crate::pool::Inheritance;
use crate::shared::encoded_cache::EncodedCache;
use crate::shared::listener::{self, BACKLOG};
use crate::store::Temporaries;
use crate::supervisor::ledger::{self, Ledger};
use crate::sys;

/// READY: what is in force, asked of the kernel where it has the last word.
pub(super) fn ready(
    inheritance: &Inheritance,
    facts: &Facts,
    metrics: Option<SocketAddr>,
    worker_pids: Vec<u32>,
) -> Result<Ready> {
    let address = inheritance
        .listener
        .socket()
        .local_addr()
        .context("cannot read the bound address")?;
    Ok(Ready {
        address: address.to_string(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pool: inheritance.config.pool.as_str().to_owned(),
        workers: inheritance.config.workers,
        worker_pids,
        settings: settings(inheritance, facts, metrics),
    })
}

/// What it takes the file system, the user database or a socket to know, and what does not change while the server
/// runs: asked for once, since each may take long to answer.
#[derive(Debug)]
pub(super) struct Facts {
    root_file_system: String,
    congestion_loopback: String,
    congestion_other: String,
    user: String,
    uid: u32,
}

impl Facts {
    pub(super) fn ask(inheritance: &Inheritance) -> Self {
        let (congestion_loopback, congestion_other) = listener::congestion_in_force(
            inheritance.listener.socket(),
            &inheritance.config.congestion,
        );
        let (user, uid) = crate::rights::current_user();
        Self {
            root_file_system: inheritance.service.store.file_system(),
            congestion_loopback,
            congestion_other,
            user,
            uid,
        }
    }
}

/// `metrics` is where `/metrics` is answered.
pub(super) fn settings(
    inheritance: &Inheritance,
    facts: &Facts,
    metrics: Option<SocketAddr>,
) -> Settings {
    let config = &inheritance.config;
    let store = &inheritance.service.store;
    Settings {
        root: store.root().display().to_string(),
        root_file_system: facts.root_file_system.clone(),
        durability: config.durability.as_str().to_owned(),
        temporaries: store
            .temporaries()
            .map_or("none", Temporaries::as_str)
            .to_owned(),
        read_only: config.read_only,
        congestion: config.congestion.as_str().to_owned(),
        congestion_loopback: facts.congestion_loopback.clone(),
        congestion_other: facts.congestion_other.clone(),
        backlog: BACKLOG.unsigned_abs(),
        receive_buffer_bytes: config.receive_buffer,
        event_connections: inheritance.event_connections,
        set_aside: config.set_aside,
        defer_accept_s: sys::defer_accept(inheritance.listener.socket())
            .ok()
            .filter(|seconds| *seconds > 0),
        head_timeout_ms: millis(config.clocks.head_timeout),
        idle_timeout_ms: millis(config.clocks.idle_timeout),
        rate_min_bytes_per_s: config.clocks.rate_min_bytes_per_s,
        rate_window_ms: millis(config.clocks.rate_window),
        drain_timeout_ms: millis(config.drain_timeout),
        retire_timeout_ms: millis(config.retire_timeout),
        boot_timeout_ms: millis(config.boot_timeout),
        worker_timeout_ms: millis(config.worker_timeout),
        max_requests: config.max_requests,
        upload_len_max: config.upload_max,
        head_len_max: inheritance.service.limits.head_len_max as u64,
        connections_per_address_max: config.max_connections_per_address,
        min_free_bytes: config.min_free,
        root_bytes_max: config.root_max_bytes,
        encoded_cache_bytes: inheritance.cache.as_ref().map(EncodedCache::bytes_max),
        access_log: shown(config.access_log.as_deref()),
        log_file: shown(config.log_file.as_deref()),
        accept_unterminated_ms: config.clocks.accept_unterminated.map(millis),
        user: facts.user.clone(),
        uid: facts.uid,
        sandbox: inheritance.confinement.announce(store),
        admin: shown(config.admin.as_deref()),
        metrics: metrics.map(|address| address.to_string()),
    }
}

/// DONE: the ledger.
pub(super) fn done(ledger: &Ledger, reason: &str, stop: Duration) -> Done {
    let workers = ledger.workers([]);
    let sum = ledger::sum(&workers);
    let balanced = workers
        .iter()
        .all(|w| w.counts.connections.is_balanced() && w.counts.requests.is_balanced());
    let (cpu_user_us, cpu_system_us) = ledger.cpu_us();
    Done {
        reason: reason.to_owned(),
        stop_ms: millis(stop),
        workers,
        sum,
        cpu_user_us,
        cpu_system_us,
        peak_rss_bytes: ledger.peak_rss_bytes(),
        crashes: ledger.crashes(),
        balanced,
    }
}

/// READY or DONE, for people.
pub(super) fn sentence(announcement: &Announcement) -> String {
    match announcement {
        Announcement::Ready(ready) => format!(
            "ready: {} on {}, {}, pid {}; Ctrl-C stops it",
            ready.settings.root,
            ready.address,
            counted(ready.workers.into(), &format!("{} worker", ready.pool)),
            ready.pid,
        ),
        Announcement::Done(done) => {
            let (connections, requests) = (&done.sum.connections, &done.sum.requests);
            let cut = connections.aborted_by_stop;
            let cut = match cut {
                0 => String::new(),
                cut => format!(" ({cut} cut)"),
            };
            let balance = match done.balanced {
                true => "all accounted for",
                false => "the counts DO NOT ADD UP",
            };
            format!(
                "{}: {}{cut}, {}, {}, {}; {balance}",
                done.reason.replace('_', " "),
                counted(connections.accepted, "connection"),
                counted(requests.started, "request"),
                counted(requests.errors.total(), "error"),
                counted_as(done.crashes.into(), "crash", "crashes"),
            )
        }
    }
}

/// What to type to reach the server, from this machine and, where it listens for others, from another.
pub(super) fn how_to_reach(listener: &TcpListener) -> Vec<String> {
    let Ok(address) = listener.local_addr() else {
        return Vec::new();
    };
    let port = address.port();
    let local = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("127.0.0.1:{port}"),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("[::1]:{port}"),
        other => other.to_string(),
    };
    let mut lines = vec![format!("try: prefork-client --server {local} list")];
    if address.ip().is_loopback() {
        lines.push(format!(
            "only this machine can connect; for others: --bind 0.0.0.0:{port} (no authentication)"
        ));
    } else if address.ip().is_unspecified() {
        let host = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok());
        let host = host.unwrap_or_else(|| "THIS-HOST".to_owned());
        lines.push(format!(
            "from another machine: prefork-client --server {host}:{port} list"
        ));
    }
    lines
}

/// A wait status in words.
pub(super) fn describe(status: i32) -> String {
    match WaitStatus::from_raw(Pid::from_raw(0), status) {
        Ok(WaitStatus::Exited(_, code)) => format!("exit code {code}"),
        Ok(WaitStatus::Signaled(_, signal, core)) => describe_signal(signal, core),
        _ => format!("wait status {status}"),
    }
}

fn describe_signal(signal: Signal, core: bool) -> String {
    format!("{signal}{}", if core { ", core dumped" } else { "" })
}

fn shown(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.display().to_string())
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
