//! What the command line means: every setting with its final value. The only place where defaults become
//! settings.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use proto::Limits;

use crate::cli::Args;
use crate::listener;
use crate::logger::LogFormat;
use crate::outside;
use crate::sandbox::{Hardening, User};
use crate::store::Durability;
use crate::words;

/// The most workers a pool may have: a guard against a typing mistake, not a promise.
pub const WORKERS_MAX: u32 = 4096;

/// Workers give a sign of life at least once in [`crate::pool::watchdog::LOOK_MAX`].
const WORKER_TIMEOUT_MIN: Duration = Duration::from_secs(4);

/// How many connections an event worker holds at once unless told otherwise.
pub const EVENT_CONNECTIONS_DEFAULT: u32 = 1024;

/// How many connections a blocking worker sets aside unless told otherwise.
pub const SET_ASIDE_DEFAULT: u32 = 16;

/// The most it may be told to set aside: beyond that `--pool event` is what is meant.
const SET_ASIDE_MAX: u32 = 1024;

/// The most it may be told to hold: with 256 KiB in hand for each they are 16 GiB.
const EVENT_CONNECTIONS_MAX: u32 = 65_536;

/// How READY and DONE look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReadyFormat {
    /// One JSON line each, for programs.
    Json,
    /// One sentence each, for people.
    Text,
    /// Text on a terminal, else JSON.
    Auto,
}

/// What the workers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PoolKind {
    /// N forked processes, one transfer each at a time.
    Process,
    /// N threads in one forked process, one transfer each at a time.
    Thread,
    /// N forked processes, many connections each at once.
    Event,
}

impl PoolKind {
    /// The word on the command line and in READY.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Thread => "thread",
            Self::Event => "event",
        }
    }

    /// How many processes a pool of so many workers has.
    #[must_use]
    pub const fn processes(self, workers: u32) -> u32 {
        if self.is_a_process_each() { workers } else { 1 }
    }

    /// How many workers a process may be.
    #[must_use]
    pub const fn workers_of_a_process_max(self) -> u32 {
        WORKERS_MAX / self.processes(WORKERS_MAX)
    }

    /// Whether each worker is a process of its own.
    #[must_use]
    pub const fn is_a_process_each(self) -> bool {
        match self {
            Self::Process | Self::Event => true,
            Self::Thread => false,
        }
    }
}

/// Which congestion control sends replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Congestion {
    /// `reno` for loopback peers, the system's choice for others.
    Auto,
    /// The system's choice.
    System,
    /// A name the kernel knows.
    Named(String),
}

impl Congestion {
    /// As it was written on the command line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Auto => "auto",
            Self::System => "system",
            Self::Named(name) => name,
        }
    }
}

/// The clocks of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// From accept, or from the first wait inside a later head, to the complete head.
    pub head_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// The least rate while a body or a reply moves, in bytes per second.
    pub rate_min_bytes_per_s: u64,
    /// How much waiting for the peer makes up one measurement of the rate.
    pub rate_window: Duration,
    /// Silence after which a request without a terminator counts as ended.
    pub accept_unterminated: Option<Duration>,
}

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen, as it was typed: a name is looked up when the server starts, and never while it runs.
    pub bind: String,
    /// What to serve.
    pub root: PathBuf,
    /// Make the root if it is not there.
    pub create_root: bool,
    /// Refuse whatever would change a file.
    pub read_only: bool,
    /// What the workers are.
    pub pool: PoolKind,
    /// How many workers.
    pub workers: u32,
    /// How many connections an event worker holds at once; none for the others.
    pub event_connections: Option<u32>,
    /// How many connections a blocking worker sets aside; none for an event worker.
    pub set_aside: Option<u32>,
    /// How uploads become durable.
    pub durability: Durability,
    /// How replies are sent.
    pub congestion: Congestion,
    /// The receive buffer of every connection; none leaves the kernel's tuning alone.
    pub receive_buffer: Option<u64>,
    /// For how many seconds the kernel keeps a connection that has sent nothing; none to hand it out at once.
    pub defer_accept_s: Option<u32>,
    /// The bounds on requests.
    pub limits: Limits,
    /// Connections that one address may have open at once; none for as many as it likes.
    pub connections_per_address_max: Option<u32>,
    /// Free space that uploads leave on the file system.
    pub min_free_bytes: u64,
    /// What all files under the root may hold together, in bytes; none for as much as fits on the disk.
    pub root_bytes_max: Option<u64>,
    /// The clocks of a connection.
    pub clocks: Clocks,
    /// How long a graceful stop may take.
    pub drain_timeout: Duration,
    /// How long a worker that was replaced may take to finish what it has in hand.
    pub retire_timeout: Duration,
    /// How long a worker may take to become ready.
    pub boot_timeout: Duration,
    /// How long a worker may go without a sign of life; zero for ever.
    pub worker_timeout: Duration,
    /// After so many requests a worker is replaced.
    pub max_requests: Option<u64>,
    /// Where the parent's process id is written.
    pub pidfile: Option<PathBuf>,
    /// The socket that answers questions about the running server.
    pub admin: Option<PathBuf>,
    /// Where `/metrics` is answered, as it was typed.
    pub metrics: Option<String>,
    /// Stop when standard input ends.
    pub exit_with_stdin: bool,
    /// Where requests are written down.
    pub access_log: Option<PathBuf>,
    /// Where log lines go instead of standard error.
    pub log_file: Option<PathBuf>,
    /// Which log lines are written.
    pub log_level: tracing::Level,
    /// How they look.
    pub log_format: LogFormat,
    /// How READY and DONE look.
    pub ready: ReadyFormat,
    /// Who the server runs as, and what its workers are kept from.
    pub hardening: Hardening,
}

impl Config {
    /// Whether an idle worker waits in accept, rather than for an event.
    #[must_use]
    pub fn waits_in_accept(&self) -> bool {
        self.set_aside == Some(0)
    }

    /// How many connections one worker has at once.
    #[must_use]
    pub fn connections_each(&self) -> u32 {
        let set_aside = self.set_aside.unwrap_or(0);
        self.event_connections.unwrap_or(set_aside + 1)
    }

    /// Finds `--user` in the user database, which may be a server's: at the start, and never while the server runs.
    ///
    /// # Errors
    /// Names the flag and what would be right.
    pub fn find_user(&mut self) -> Result<(), String> {
        let typed = self.hardening.user_typed.as_deref();
        self.hardening.user = typed.map(User::find).transpose()?;
        Ok(())
    }

    /// Looks every address up, only to see whether it can be.
    ///
    /// # Errors
    /// Names the flag.
    pub fn check_addresses(&self) -> Result<(), String> {
        look_up("--bind", &self.bind)?;
        let metrics = self.metrics.as_deref();
        metrics.map_or(Ok(()), |typed| look_up("--metrics", typed).map(drop))
    }

    /// The flags whose values differ between `self` and `other` and that a running server cannot change.
    #[must_use]
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        [
            ("--bind", self.bind != other.bind),
            ("--root", self.root != other.root),
            ("--pool", self.pool != other.pool),
            (
                "--set-aside",
                self.waits_in_accept() != other.waits_in_accept(),
            ),
            ("--congestion", self.congestion != other.congestion),
            (
                "--receive-buffer",
                self.receive_buffer != other.receive_buffer,
            ),
            (
                "--defer-accept",
                self.defer_accept_s != other.defer_accept_s,
            ),
            ("--pidfile", self.pidfile != other.pidfile),
            ("--admin", self.admin != other.admin),
            ("--metrics", self.metrics != other.metrics),
            (
                "--exit-with-stdin",
                self.exit_with_stdin != other.exit_with_stdin,
            ),
            ("--access-log", self.access_log != other.access_log),
            ("--log-file", self.log_file != other.log_file),
            ("--log-level", self.log_level != other.log_level),
            ("--log-format", self.log_format != other.log_format),
            ("--ready", self.ready != other.ready),
            (
                "--user",
                self.hardening.user_typed != other.hardening.user_typed,
            ),
            (
                "--allow-root",
                self.hardening.allow_root != other.hardening.allow_root,
            ),
            (
                "--sandbox",
                self.hardening.sandbox != other.hardening.sandbox,
            ),
        ]
        .into_iter()
        .filter_map(|(flag, differs)| differs.then_some(flag))
        .collect()
    }
}

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
            "--max-requests 0: a worker serves at least one; leave it away for no limit".into(),
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

/// What an address looks like.
const ADDRESS_HINT: &str = "use HOST:PORT, such as 127.0.0.1:46666, 0.0.0.0:46666 or [::1]:46666";

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

/// The addresses that `typed` after `flag` stands for now, the one that is taken first. A name may take its servers' time
/// to look up.
///
/// # Errors
/// Names the flag.
pub fn look_up(flag: &str, typed: &str) -> Result<(SocketAddr, Vec<SocketAddr>), String> {
    let mut addresses = typed
        .to_socket_addrs()
        .map_err(|error| format!("{flag} {typed}: {}; {ADDRESS_HINT}", words::plain(&error)))?;
    let first = addresses
        .next()
        .ok_or_else(|| format!("{flag} {typed}: no such address; {ADDRESS_HINT}"))?;
    let mut others: Vec<SocketAddr> = addresses.filter(|other| *other != first).collect();
    others.dedup();
    Ok((first, others))
}
