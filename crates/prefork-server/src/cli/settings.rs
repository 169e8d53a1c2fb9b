//! What the flags mean: each with its default, checked alone and with the others.

use std::path::PathBuf;
use std::time::Duration;

use proto::Limits;

use super::args::Args;
use super::outside;
use crate::config::{
    Clocks, Config, EVENT_CONNECTIONS_DEFAULT, PoolKind, SET_ASIDE_DEFAULT, WORKERS_MAX,
};
use crate::sandbox::Hardening;
use crate::shared::listener::{self, ADDRESS_HINT, Congestion, look_up};

/// Workers give a sign of life at least once in [`crate::shared::report::LOOK_MAX`].
const WORKER_TIMEOUT_MIN: Duration = Duration::from_secs(4);

/// The most it may be told to set aside: beyond that `--pool event` is what is meant.
const SET_ASIDE_MAX: u32 = 1024;

/// The most it may be told to hold: with 256 KiB in hand for each they are 16 GiB.
const EVENT_CONNECTIONS_MAX: u32 = 65_536;

impl TryFrom<Args> for Config {
    type Error = String;

    /// # Errors
    /// Names the flag and what would be right.
    fn try_from(args: Args) -> Result<Self, String> {
        check(&args)?;
        // A server that writes nothing makes no folder either.
        let create_root = args.root.is_none() && !args.read_only;
        let root = args.root.unwrap_or_else(|| PathBuf::from("files"));
        let own_files = [
            ("--config", args.config.as_deref()),
            ("--log-file", args.log_file.as_deref()),
            ("--access-log", args.access_log.as_deref()),
            ("--pidfile", args.pidfile.as_deref()),
            ("--admin", args.admin.as_deref()),
        ];
        outside::check(&root, &own_files)?;
        Ok(Self {
            bind: address("--bind", args.bind)?,
            root,
            create_root,
            read_only: args.read_only,
            pool: args.pool,
            workers: args.workers,
            event_connections: event_connections(args.pool, args.event_connections)?,
            set_aside: set_aside(args.pool, args.set_aside)?,
            durability: args.durability,
            congestion: congestion(args.congestion)?,
            receive_buffer: args.receive_buffer,
            defer_accept_s: args.defer_accept,
            limits: Limits {
                upload_len_max: args.upload_max,
                ..Limits::default()
            },
            connections_per_address_max: args.max_connections_per_address,
            min_free_bytes: args.min_free,
            root_bytes_max: args.root_max_bytes,
            encoded_cache_bytes: args.encoded_cache,
            clocks: Clocks {
                head_timeout: args.head_timeout,
                idle_timeout: args.idle_timeout,
                rate_min_bytes_per_s: args.min_rate,
                rate_window: args.rate_window,
                accept_unterminated: args.accept_unterminated,
            },
            drain_timeout: args.drain_timeout,
            retire_timeout: args.retire_timeout,
            boot_timeout: args.boot_timeout,
            worker_timeout: args.worker_timeout,
            max_requests: args.max_requests,
            pidfile: args.pidfile,
            admin: args.admin,
            metrics: args
                .metrics
                .map(|typed| address("--metrics", typed))
                .transpose()?,
            exit_with_stdin: args.exit_with_stdin,
            access_log: args.access_log,
            log_file: args.log_file,
            log_level: args.log_level,
            log_format: args.log_format,
            ready: args.ready,
            hardening: Hardening {
                user_typed: args.user,
                user: None,
                allow_root: args.allow_root,
                sandbox: args.sandbox,
            },
        })
    }
}

/// What is wrong by itself or does not go together.
fn check(args: &Args) -> Result<(), String> {
    if args.workers == 0 || args.workers > WORKERS_MAX {
        return Err(format!(
            "--workers {}: a pool has 1 to {WORKERS_MAX} workers",
            args.workers
        ));
    }
    if args.head_timeout.is_zero() {
        return Err(
            "--head-timeout 0s: no request comes in no time; the default is 10s, 1h is as good as never"
                .into(),
        );
    }
    if args.idle_timeout.is_zero() {
        return Err(
            "--idle-timeout 0s: a second request needs some time to come; 200ms closes soon after each reply"
                .into(),
        );
    }
    if args.upload_max == 0 {
        return Err("--upload-max 0: --read-only takes no upload at all".into());
    }
    if args.rate_window.is_zero() {
        return Err(
            "--rate-window 0s: a rate needs a time to be measured over; --min-rate 0 turns it off"
                .into(),
        );
    }
    if !args.worker_timeout.is_zero() && args.worker_timeout < WORKER_TIMEOUT_MIN {
        return Err(format!(
            "--worker-timeout {}: workers give a sign of life once a second; use 4s or more, or 0s for never",
            humantime::format_duration(args.worker_timeout)
        ));
    }
    if args.max_requests == Some(0) {
        return Err(
            "--max-requests 0: a worker serves at least one; leave it out for no limit".into(),
        );
    }
    if args.root_max_bytes == Some(0) {
        return Err(
            "--root-max-bytes 0: leave it out for no limit; --read-only takes no upload at all"
                .into(),
        );
    }
    Ok(())
}

fn congestion(text: String) -> Result<Congestion, String> {
    match text.as_str() {
        "auto" => Ok(Congestion::Auto),
        "system" => Ok(Congestion::System),
        name => listener::check_congestion(name).map(|()| Congestion::Named(text)),
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
fn address(flag: &str, typed: String) -> Result<String, String> {
    let is_one = typed
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    match is_one {
        true => Ok(typed),
        false => Err(format!("{flag} {typed}: no address; {ADDRESS_HINT}")),
    }
}

/// Looks every address up, only to see whether it can be.
///
/// # Errors
/// Names the flag.
pub(super) fn check_addresses(config: &Config) -> Result<(), String> {
    look_up("--bind", &config.bind)?;
    let metrics = config.metrics.as_deref();
    metrics.map_or(Ok(()), |typed| look_up("--metrics", typed).map(drop))
}
