//! Every setting with its final value: what the command line and the file mean.

use std::path::PathBuf;
use std::time::Duration;

use proto::Limits;

use crate::rights::User;
use crate::sandbox::Hardening;
use crate::shared::listener::Congestion;
use crate::store::Durability;

/// The most workers a pool may have: a guard against a typing mistake, not a promise.
pub(crate) const WORKERS_MAX: u32 = 4096;

/// How many connections an event worker holds at once unless told otherwise.
pub(crate) const EVENT_CONNECTIONS_DEFAULT: u32 = 1024;

/// How many connections a blocking worker sets aside unless told otherwise.
pub(crate) const SET_ASIDE_DEFAULT: u32 = 16;

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

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
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
    /// How much memory holds files that are encoded already; none for the default, 0 for none.
    pub encoded_cache_bytes: Option<u64>,
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

    /// The flags whose values differ between `self` and `other` and that a running server cannot change.
    #[must_use]
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        macro_rules! differing {
            ($($flag:literal: $($part:ident).+ $(($($call:tt)*))?,)+) => {
                [$(($flag, self.$($part).+ $(($($call)*))? != other.$($part).+ $(($($call)*))?),)+]
            };
        }
        differing! {
            "--bind": bind,
            "--root": root,
            "--pool": pool,
            "--set-aside": waits_in_accept(),
            "--congestion": congestion,
            "--receive-buffer": receive_buffer,
            "--defer-accept": defer_accept_s,
            "--encoded-cache": encoded_cache_bytes,
            "--pidfile": pidfile,
            "--admin": admin,
            "--metrics": metrics,
            "--exit-with-stdin": exit_with_stdin,
            "--access-log": access_log,
            "--log-file": log_file,
            "--log-level": log_level,
            "--log-format": log_format,
            "--ready": ready,
            "--user": hardening.user_typed,
            "--allow-root": hardening.allow_root,
            "--sandbox": hardening.sandbox,
        }
        .into_iter()
        .filter_map(|(flag, differs)| differs.then_some(flag))
        .collect()
    }
}
