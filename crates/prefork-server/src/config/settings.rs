//! What can be set: the flag of each setting, with its help and its default. A key of the configuration file is such a
//! flag without its dashes.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::ValueHint;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use cli_kit::value::{any_duration, buffer, whole};
use proto::limits::UPLOAD_LEN_MAX;
use screen::size::parse as parse_size;

use super::{LogFormat, PoolKind, ReadyFormat};
use crate::sandbox::SandboxMode;
use crate::store::Durability;

static UPLOAD_MAX: LazyLock<String> = LazyLock::new(|| format!("{}G", UPLOAD_LEN_MAX >> 30));

/// Every setting as it is typed. What some of them mean follows from others, too: [`super::Config`].
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// The address to listen on, HOST:PORT; port 0 takes any free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:46666")]
    pub bind: String,

    /// The folder to serve [default: ./files, made if missing].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,

    /// Refuse UPLOAD and DELETE. The folder need not be writable then.
    #[arg(long)]
    pub read_only: bool,

    /// What the workers are.
    #[arg(long, value_enum, default_value_t = PoolKind::Process)]
    pub pool: PoolKind,

    /// How many workers.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole(0..=u32::MAX))]
    pub workers: u32,

    /// What "uploaded" promises: none (survives the death of any process), data (the content is on disk), full
    /// (content and name survive a power loss).
    #[arg(long, value_enum, default_value_t = Durability::Full, display_order = 10)]
    pub durability: Durability,

    /// Congestion control of the sending side: auto (reno for loopback peers, the system's choice for others),
    /// system, or a name from net.ipv4.tcp_available_congestion_control.
    #[arg(
        long,
        value_name = "auto|system|NAME",
        default_value = "auto",
        help_heading = "Network"
    )]
    pub congestion: String,

    /// Receive buffer of every connection, 1K to 1G, instead of the kernel's own tuning.
    #[arg(long, value_name = "SIZE", value_parser = buffer, help_heading = "Network")]
    pub receive_buffer: Option<u64>,

    /// Leave a connection with the kernel until it has sent something, for about so long at most; a silent client
    /// then costs no worker. A graceful stop takes 1.5 s longer [default: off].
    #[arg(long, value_name = "SECONDS", value_parser = whole(1..=120_u32), help_heading = "Network")]
    pub defer_accept: Option<u32>,

    /// With --pool event: how many connections a worker holds at once [default: 1024]. At the limit it accepts
    /// no more, and closes its longest idle connection for a client that waits.
    #[arg(long, value_name = "N", value_parser = whole(0..=u32::MAX), help_heading = "Limits")]
    pub event_connections: Option<u32>,

    /// With --pool process or thread: how many connections a worker sets aside while it serves another: those that are
    /// between two requests, or have not ended a head. 0 for none: it has one connection, from accept to its end
    /// [default: 16].
    #[arg(long, value_name = "N", value_parser = whole(0..=u32::MAX), help_heading = "Limits")]
    pub set_aside: Option<u32>,

    /// The clocks of a connection.
    #[command(flatten)]
    pub clocks: Clocks,

    /// Connections that one address may have open at once, over all workers; for IPv6, one /64 [default: off].
    #[arg(long, value_name = "N", value_parser = whole(1..=u32::MAX), help_heading = "Limits")]
    pub max_connections_per_address: Option<u32>,

    /// Largest upload, decoded.
    #[arg(long, value_name = "SIZE", default_value = UPLOAD_MAX.as_str(), value_parser = parse_size, help_heading = "Limits")]
    pub upload_max: u64,

    /// Free space that uploads leave on the file system.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_size, help_heading = "Limits")]
    pub min_free: u64,

    /// What all files under the root may hold together [default: off].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Limits")]
    pub root_max_bytes: Option<u64>,

    /// Keep files encoded in so much memory, from their second download on, and send them from there; 0 for none
    /// [default: an eighth of the memory, 512M at most; 0 with --read-only].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Limits")]
    pub encoded_cache: Option<u64>,

    /// How long a graceful stop may take before what is left is cut.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = any_duration, help_heading = "Life cycle")]
    pub drain_timeout: Duration,

    /// How long a worker that was replaced may take to finish what it has in hand before that is cut.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = any_duration, help_heading = "Life cycle")]
    pub retire_timeout: Duration,

    /// How long a worker may take to become ready before it is killed and started again.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = any_duration, help_heading = "Life cycle")]
    pub boot_timeout: Duration,

    /// A worker that gives no sign of life for so long is aborted and replaced; 0s for never. Waiting for a slow
    /// client is no reason; waiting for a slow disk is one after ten times as long.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = any_duration, help_heading = "Life cycle")]
    pub worker_timeout: Duration,

    /// Replace a worker after about so many requests (up to a fifth less, so that not all are replaced at once);
    /// the old one leaves when the new one is ready [default: never].
    #[arg(long, value_name = "N", value_parser = whole(0..=u64::MAX), help_heading = "Life cycle")]
    pub max_requests: Option<u64>,

    /// Write the parent's process id to this file while the server runs.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Life cycle")]
    pub pidfile: Option<PathBuf>,

    /// Answer questions about the running server on this Unix socket, for this user only: `prefork-server status
    /// FILE`, or curl --unix-socket FILE http://x/status (JSON) or http://x/metrics (Prometheus) [default: off].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Watching")]
    pub admin: Option<PathBuf>,

    /// Answer http://ADDR/metrics for Prometheus; any client that can connect may ask [default: off].
    #[arg(long, value_name = "ADDR", help_heading = "Watching")]
    pub metrics: Option<String>,

    /// Stop at once when standard input ends, for a program that starts the server as its child.
    #[arg(long, help_heading = "Life cycle")]
    pub exit_with_stdin: bool,

    /// Run as this user (name or number) once the address is bound; takes root to start. The default is the
    /// user who starts the server.
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Username, help_heading = "Hardening")]
    pub user: Option<String>,

    /// Run as root without a warning, and also where nothing confines the workers.
    #[arg(long, help_heading = "Hardening")]
    pub allow_root: bool,

    /// Confine the workers to the root with Landlock: auto (as far as the kernel can), off, or require (do not
    /// start where files outside the root would be in reach).
    #[arg(long, value_enum, default_value_t = SandboxMode::Auto, hide_possible_values = true, value_name = "auto|off|require", help_heading = "Hardening")]
    pub sandbox: SandboxMode,

    /// Write one JSON line a request to this file; USR1 opens it anew [default: off].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Logging")]
    pub access_log: Option<PathBuf>,

    /// Write log lines to this file instead of standard error, once the server is set up; USR1 opens it anew.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Logging")]
    pub log_file: Option<PathBuf>,

    /// Log lines of this level and above go to standard error, or to --log-file: error, warn, info, debug, trace.
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        value_parser = log_level(),
        hide_possible_values = true,
        ignore_case = true,
        help_heading = "Logging"
    )]
    pub log_level: tracing::Level,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, help_heading = "Logging")]
    pub log_format: LogFormat,

    /// What standard output says when the server is ready and when it has stopped: json (READY and DONE, a line each,
    /// for programs), text (a sentence each, for people), or auto (text on a terminal, else json).
    #[arg(long, value_enum, default_value_t = ReadyFormat::Auto, hide_possible_values = true, value_name = "json|text|auto", help_heading = "Logging")]
    pub ready: ReadyFormat,
}

/// The clocks of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub struct Clocks {
    /// Treat a request without a body and without an end of line as ended after so much silence; for clients
    /// that send no terminator [default: off].
    #[arg(long, value_name = "TIME", value_parser = any_duration, help_heading = "Network")]
    pub accept_unterminated: Option<Duration>,

    /// From accept to a complete request head, or to the content that follows it on the next line.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = any_duration, help_heading = "Limits")]
    pub head_timeout: Duration,

    /// Between two requests of one connection.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = any_duration, help_heading = "Limits")]
    pub idle_timeout: Duration,

    /// Least rate, per second, while a body or reply moves, taken over --rate-window of waiting; 0 for none.
    #[arg(long = "min-rate", value_name = "SIZE", default_value = "4K", value_parser = parse_size, help_heading = "Limits")]
    pub rate_min_bytes_per_s: u64,

    /// How much waiting for the peer makes up one measurement of --min-rate.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = any_duration, help_heading = "Limits")]
    pub rate_window: Duration,
}

fn log_level() -> impl TypedValueParser<Value = tracing::Level> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"])
        .try_map(|name| name.parse::<tracing::Level>())
}
