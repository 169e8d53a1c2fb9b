//! What the command line means: every setting with its final value. The only place where defaults become
//! settings.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use proto::Limits;

use crate::cli::Args;
use crate::store::Durability;

/// The most workers a pool may have: a guard against a typing mistake, not a promise.
pub const WORKERS_MAX: u32 = 4096;

/// What the workers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PoolKind {
    /// N forked processes, one connection each at a time.
    Process,
    /// N threads in one forked process, one connection each at a time.
    Thread,
}

impl PoolKind {
    /// The word on the command line and in READY.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Thread => "thread",
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
    /// Where to listen.
    pub bind: SocketAddr,
    /// What to serve.
    pub root: PathBuf,
    /// Make the root if it is not there.
    pub create_root: bool,
    /// What the workers are.
    pub pool: PoolKind,
    /// How many workers.
    pub workers: u32,
    /// How uploads become durable.
    pub durability: Durability,
    /// How replies are sent.
    pub congestion: Congestion,
    /// The receive buffer of every connection; none leaves the kernel's tuning alone.
    pub receive_buffer: Option<u64>,
    /// The bounds on requests.
    pub limits: Limits,
    /// Free space that uploads leave on the file system.
    pub min_free_bytes: u64,
    /// The clocks of a connection.
    pub clocks: Clocks,
    /// How long a graceful stop may take.
    pub drain_timeout: Duration,
    /// Stop when standard input ends.
    pub exit_with_stdin: bool,
}

impl TryFrom<Args> for Config {
    type Error = String;

    /// # Errors
    /// Names the flag and what would be right.
    fn try_from(args: Args) -> Result<Self, String> {
        if args.workers == 0 || args.workers > WORKERS_MAX {
            return Err(format!(
                "--workers {}: a pool has 1 to {WORKERS_MAX} workers",
                args.workers
            ));
        }
        if args.rate_window.is_zero() {
            return Err("--rate-window 0s: a rate needs a time to be measured over; --min-rate 0 turns it off".into());
        }
        let create_root = args.root.is_none();
        Ok(Self {
            bind: resolve(&args.bind)?,
            root: args.root.unwrap_or_else(|| PathBuf::from("files")),
            create_root,
            pool: args.pool,
            workers: args.workers,
            durability: args.durability,
            congestion: match args.congestion.as_str() {
                "auto" => Congestion::Auto,
                "system" => Congestion::System,
                name => Congestion::Named(name.to_owned()),
            },
            receive_buffer: args.receive_buffer,
            limits: Limits {
                upload_len_max: args.upload_max,
                ..Limits::default()
            },
            min_free_bytes: args.min_free,
            clocks: Clocks {
                head_timeout: args.head_timeout,
                idle_timeout: args.idle_timeout,
                rate_min_bytes_per_s: args.min_rate,
                rate_window: args.rate_window,
                accept_unterminated: args.accept_unterminated,
            },
            drain_timeout: args.drain_timeout,
            exit_with_stdin: args.exit_with_stdin,
        })
    }
}

fn resolve(bind: &str) -> Result<SocketAddr, String> {
    let hint = "use HOST:PORT, such as 127.0.0.1:46666, 0.0.0.0:46666 or [::1]:46666";
    bind.to_socket_addrs()
        .map_err(|error| format!("--bind {bind}: {error}; {hint}"))?
        .next()
        .ok_or_else(|| format!("--bind {bind}: no such address; {hint}"))
}
