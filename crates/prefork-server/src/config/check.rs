//! Whether the settings make sense, each alone and with the others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Config, EVENT_CONNECTIONS_DEFAULT, PoolKind, SET_ASIDE_DEFAULT, Settings, WORKERS_MAX, outside,
};
use crate::shared::listener::{self, ADDRESS_HINT, Congestion, look_up};

/// Workers give a sign of life at least once in [`crate::shared::report::LOOK_MAX`].
const WORKER_TIMEOUT_MIN: Duration = Duration::from_secs(4);

/// The most it may be told to set aside: beyond that `--pool event` is what is meant.
const SET_ASIDE_MAX: u32 = 1024;

/// The most it may be told to hold: with 256 KiB in hand for each they are 16 GiB.
const EVENT_CONNECTIONS_MAX: u32 = 65_536;

impl Config {
    /// What `typed` means; `file` is where it is read from, if that is a file.
    ///
    /// # Errors
    /// Names the flag and what would be right.
    pub fn new(typed: Settings, file: Option<&Path>) -> Result<Self, String> {
        check(&typed)?;
        let root = typed.root.clone().unwrap_or_else(|| PathBuf::from("files"));
        let own_files = [
            ("--config", file),
            ("--log-file", typed.log_file.as_deref()),
            ("--access-log", typed.access_log.as_deref()),
            ("--pidfile", typed.pidfile.as_deref()),
            ("--admin", typed.admin.as_deref()),
        ];
        outside::check(&root, &own_files)?;
        address("--bind", &typed.bind)?;
        if let Some(metrics) = &typed.metrics {
            address("--metrics", metrics)?;
        }
        Ok(Self {
            root,
            event_connections: event_connections(typed.pool, typed.event_connections)?,
            set_aside: set_aside(typed.pool, typed.set_aside)?,
            congestion: congestion(&typed.congestion)?,
            user_found: None,
            typed,
        })
    }
}

/// What is wrong by itself or does not go together.
fn check(typed: &Settings) -> Result<(), String> {
    if typed.workers == 0 || typed.workers > WORKERS_MAX {
        return Err(format!(
            "--workers {}: a pool has 1 to {WORKERS_MAX} workers",
            typed.workers
        ));
    }
    if typed.clocks.head_timeout.is_zero() {
        return Err(
            "--head-timeout 0s: no request comes in no time; the default is 10s, 1h is as good as never"
                .into(),
        );
    }
    if typed.clocks.idle_timeout.is_zero() {
        return Err(
            "--idle-timeout 0s: a second request needs some time to come; 200ms closes soon after each reply"
                .into(),
        );
    }
    if typed.upload_max == 0 {
        return Err("--upload-max 0: --read-only takes no upload at all".into());
    }
    if typed.clocks.rate_window.is_zero() {
        return Err(
            "--rate-window 0s: a rate needs a time to be measured over; --min-rate 0 turns it off"
                .into(),
        );
    }
    if !typed.worker_timeout.is_zero() && typed.worker_timeout < WORKER_TIMEOUT_MIN {
        return Err(format!(
            "--worker-timeout {}: workers give a sign of life once a second; use 4s or more, or 0s for never",
            humantime::format_duration(typed.worker_timeout)
        ));
    }
    if typed.max_requests == Some(0) {
        return Err(
            "--max-requests 0: a worker serves at least one; leave it out for no limit".into(),
        );
    }
    if typed.root_max_bytes == Some(0) {
        return Err(
            "--root-max-bytes 0: leave it out for no limit; --read-only takes no upload at all"
                .into(),
        );
    }
    Ok(())
}

fn congestion(typed: &str) -> Result<Congestion, String> {
    match typed {
        "auto" => Ok(Congestion::Auto),
        "system" => Ok(Congestion::System),
        name => listener::check_congestion(name).map(|()| Congestion::Named(name.to_owned())),
    }
}

fn event_connections(pool: PoolKind, asked: Option<u32>) -> Result<Option<u32>, String> {
    match (pool, asked) {
        (PoolKind::Event, None) => Ok(Some(EVENT_CONNECTIONS_DEFAULT)),
        (PoolKind::Event, Some(1..=EVENT_CONNECTIONS_MAX)) => Ok(asked),
        (PoolKind::Event, Some(n)) => Err(format!(
            "--event-connections {n}: an event worker holds 1 to {EVENT_CONNECTIONS_MAX} connections"
        )),
        (PoolKind::Process | PoolKind::Thread, None) => Ok(None),
        (PoolKind::Process | PoolKind::Thread, Some(n)) => Err(format!(
            "--event-connections {n}: only an event worker has such a limit; add --pool event, or write --set-aside"
        )),
    }
}

fn set_aside(pool: PoolKind, asked: Option<u32>) -> Result<Option<u32>, String> {
    match (pool, asked) {
        (PoolKind::Event, None) => Ok(None),
        (PoolKind::Event, Some(n)) => Err(format!(
            "--set-aside {n}: an event worker serves all of its connections at once; it has --event-connections"
        )),
        (PoolKind::Process | PoolKind::Thread, None) => Ok(Some(SET_ASIDE_DEFAULT)),
        (PoolKind::Process | PoolKind::Thread, Some(0..=SET_ASIDE_MAX)) => Ok(asked),
        (PoolKind::Process | PoolKind::Thread, Some(n)) => Err(format!(
            "--set-aside {n}: a worker sets 0 to {SET_ASIDE_MAX} connections aside; --pool event has workers for more"
        )),
    }
}

/// Whether an address is written like one.
fn address(flag: &str, typed: &str) -> Result<(), String> {
    let is_one = typed
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    match is_one {
        true => Ok(()),
        false => Err(format!("{flag} {typed}: no address; {ADDRESS_HINT}")),
    }
}

/// Looks every address up, only to see whether it can be.
///
/// # Errors
/// Names the flag.
pub(crate) fn check_addresses(config: &Config) -> Result<(), String> {
    look_up("--bind", &config.bind)?;
    let metrics = config.metrics.as_deref();
    metrics.map_or(Ok(()), |typed| look_up("--metrics", typed).map(drop))
}
