//! The command line: what can be typed, and the entry that runs it.

mod sections;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, Parser, ValueHint};
use cli_kit::Handout;
use cli_kit::output;
use cli_kit::value::whole;
use screen::counted;

use crate::config::{Config, PoolKind, ReadyFormat};
use crate::exit::Exit;
use crate::logger::{self, LogFormat};
use crate::sandbox::{SandboxMode, self_test};
use crate::store::Durability;
use crate::{config_file, duration, size, status, stream, supervisor, sys, words};

use sections::SECTIONS;

/// How long the last words wait for a reader.
const SAY_PATIENCE: Duration = Duration::from_secs(1);

/// A multiprocess prefork file server: a parent binds and forks, a fixed pool of workers accepts and serves.
#[derive(Debug, Parser)]
#[command(
    name = "prefork-server",
    version,
    after_help = cli_kit::help(&SECTIONS),
    max_term_width = 110,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    subcommand_help_heading = "Commands (without one, a server is started)"
)]
pub struct Args {
    /// What to do instead of starting a server.
    #[command(subcommand)]
    pub command: Option<Subcommand>,

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

    /// Settings from a TOML file: its keys are these flags without their dashes. What is typed overrides it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Say whether the settings make sense, and start nothing.
    #[arg(long)]
    pub check_config: bool,

    /// What "uploaded" promises: none (survives the death of any process), data (the content is on disk), full
    /// (content and name survive a power loss).
    #[arg(long, value_enum, default_value_t = Durability::Full)]
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
    #[arg(long, value_name = "SIZE", value_parser = size::parse_buffer, help_heading = "Network")]
    pub receive_buffer: Option<u64>,

    /// Leave a connection with the kernel until it has sent something, for about so long at most; a silent client
    /// then costs no worker. A graceful stop takes 1.5 s longer [default: off].
    #[arg(long, value_name = "SECONDS", value_parser = whole(1..=120_u32), help_heading = "Network")]
    pub defer_accept: Option<u32>,

    /// Treat a request without a body and without an end of line as ended after so much silence; for clients
    /// that send no terminator [default: off].
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = "Network")]
    pub accept_unterminated: Option<Duration>,

    /// With --pool event: how many connections a worker holds at once [default: 1024]. At the limit it accepts
    /// no more, and its longest idle connection yields to whoever waits.
    #[arg(long, value_name = "N", value_parser = whole(0..=u32::MAX), help_heading = "Limits")]
    pub event_connections: Option<u32>,

    /// With --pool process or thread: how many connections a worker sets aside while it serves another: those that are
    /// between two requests, or have not ended a head. 0 for none: it has one connection, from accept to its end
    /// [default: 16].
    #[arg(long, value_name = "N", value_parser = whole(0..=u32::MAX), help_heading = "Limits")]
    pub set_aside: Option<u32>,

    /// From accept to a complete request head, or to the content that follows it on the next line.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse, help_heading = "Limits")]
    pub head_timeout: Duration,

    /// Between two requests of one connection.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse, help_heading = "Limits")]
    pub idle_timeout: Duration,

    /// Least rate, per second, while a body or reply moves, taken over --rate-window of waiting; 0 for none.
    #[arg(long, value_name = "SIZE", default_value = "4K", value_parser = size::parse, help_heading = "Limits")]
    pub min_rate: u64,

    /// How much waiting for the peer makes up one measurement of --min-rate.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration::parse, help_heading = "Limits")]
    pub rate_window: Duration,

    /// Connections that one address may have open at once, over all workers; for IPv6, one /64 [default: off].
    #[arg(long, value_name = "N", value_parser = whole(1..=u32::MAX), help_heading = "Limits")]
    pub max_connections_per_address: Option<u32>,

    /// Largest upload, decoded.
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = size::parse, help_heading = "Limits")]
    pub upload_max: u64,

    /// Free space that uploads leave on the file system.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size::parse, help_heading = "Limits")]
    pub min_free: u64,

    /// What all files under the root may hold together [default: off].
    #[arg(long, value_name = "SIZE", value_parser = size::parse, help_heading = "Limits")]
    pub root_max_bytes: Option<u64>,

    /// How long a graceful stop may take before what is left is cut.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse, help_heading = "Life cycle")]
    pub drain_timeout: Duration,

    /// How long a worker that was replaced may take to finish what it has in hand before that is cut.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse, help_heading = "Life cycle")]
    pub retire_timeout: Duration,

    /// How long a worker may take to become ready before it is killed and started again.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse, help_heading = "Life cycle")]
    pub boot_timeout: Duration,

    /// A worker that gives no sign of life for so long is aborted and replaced; 0s for never. Waiting for a slow
    /// client is no reason; waiting for a slow disk is one after ten times as long.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration::parse, help_heading = "Life cycle")]
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

    /// Answer http://ADDR/metrics for Prometheus, to whoever can connect to it [default: off].
    #[arg(long, value_name = "ADDR", help_heading = "Watching")]
    pub metrics: Option<String>,

    /// Stop at once when standard input ends, for a program that starts the server as its child.
    #[arg(long, help_heading = "Life cycle")]
    pub exit_with_stdin: bool,

    /// Run as this user (name or number) once the address is bound; takes root to start. The default is whoever
    /// starts the server.
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Username, help_heading = "Hardening")]
    pub user: Option<String>,

    /// Run as root without a warning, and also where nothing confines the workers.
    #[arg(long, help_heading = "Hardening")]
    pub allow_root: bool,

    /// Confine the workers to the root with Landlock: auto (as far as the kernel can), off, or require (do not
    /// start where files outside the root would be in reach).
    #[arg(long, value_enum, default_value_t = SandboxMode::Auto, hide_possible_values = true, value_name = "auto|off|require", help_heading = "Hardening")]
    pub sandbox: SandboxMode,

    /// Serve nobody; start one worker as these flags say, let it try what it must not be able to do, and print
    /// what came of it. Exit code 0 if all is well, else 1.
    #[arg(long, help_heading = "Hardening")]
    pub self_test: bool,

    /// Print the result of --self-test as JSON.
    #[arg(long, requires = "self_test", help_heading = "Hardening")]
    pub json: bool,

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

/// What the program can do but serve. It has its own flags, none of which is a setting.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Show what a running server does: its workers, what they have done, how long the queue is.
    Status(status::Args),
    /// A script for a shell, or the manual.
    #[command(flatten)]
    Handout(Handout),
}

impl Subcommand {
    fn run(&self) -> ExitCode {
        match self {
            Self::Status(args) => status::run(args),
            Self::Handout(handout) => match handout.print(Args::command(), &SECTIONS) {
                Ok(()) => Exit::Done.into(),
                Err(error) => {
                    say(format_args!("error: {error}"));
                    Exit::Error.into()
                }
            },
        }
    }
}

fn log_level() -> impl TypedValueParser<Value = tracing::Level> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"])
        .try_map(|name| name.parse::<tracing::Level>())
}

/// Runs the server as this process's own arguments say.
#[must_use]
pub fn main() -> ExitCode {
    main_with_args(std::env::args_os())
}

/// Runs the server as `argv` says; its first is the program's name. Must be called before any thread starts:
/// the parent forks, and forks only from a single-threaded process.
#[must_use]
pub fn main_with_args(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let source = Source::new(argv);
    let args = match source.args() {
        Ok(args) => args,
        Err(error) => return error.print(),
    };
    if let Some(command) = &args.command {
        return command.run();
    }
    logger::start(args.log_level, args.log_format);
    let is_check = args.check_config;
    let self_test = args.self_test.then_some(args.json);
    let config = Config::try_from(args).and_then(|mut config| {
        config.find_user()?;
        if is_check {
            config.check_addresses()?;
        }
        Ok(config)
    });
    let config = match config {
        Ok(config) => config,
        Err(message) => return source.blame(message).print(),
    };
    if is_check {
        let (workers, pool) = (config.workers, config.pool.as_str());
        let workers = counted(workers.into(), &format!("{pool} worker"));
        let line = format!("the settings make sense: {workers}\n");
        let written = output::check().and_then(|()| std::io::stdout().write_all(line.as_bytes()));
        return match written {
            Ok(()) => Exit::Done.into(),
            Err(error) => cannot_write(&error),
        };
    }
    let result = match self_test {
        Some(json) => self_test::run(&config, json),
        None => supervisor::run(config, source),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            say(format_args!("error: {}", words::chain(&error)));
            Exit::Error.into()
        }
    }
}

/// What clap says, without the frame that it puts around every message.
fn unframed(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (message, _) = text.rsplit_once("\n\nFor more").unwrap_or((text, ""));
    message.trim_end().to_owned()
}

/// Says a line on standard error, for which a reader gets [`SAY_PATIENCE`] to make room. Where nobody can read it there
/// is nothing else to be done about it.
pub(crate) fn say(line: impl Display) {
    stream::write_within(
        sys::standard_error(),
        format!("{line}\n").as_bytes(),
        SAY_PATIENCE,
    );
}

fn cannot_write(error: &std::io::Error) -> ExitCode {
    say(format_args!(
        "error: cannot write to standard output: {}",
        words::plain(error)
    ));
    Exit::Error.into()
}

/// Where the settings come from: what was typed, and the file it names. Read again at each reload.
#[derive(Debug, Clone)]
pub struct Source {
    argv: Vec<OsString>,
}

/// Why there are no settings.
#[derive(Debug)]
pub enum Wrong {
    /// What was typed; help and version come this way too.
    Typed(clap::Error),
    /// The file.
    File(String),
    /// Both are well-formed, and make no sense together.
    Settings(String),
}

impl Source {
    /// The settings that `argv` gives; its first is the program's name.
    #[must_use]
    pub fn new(argv: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            argv: argv.into_iter().collect(),
        }
    }

    /// What is typed and what the file says, now.
    ///
    /// # Errors
    /// See [`Wrong`].
    pub fn args(&self) -> Result<Args, Wrong> {
        let typed = Args::try_parse_from(&self.argv).map_err(Wrong::Typed)?;
        let Some(path) = &typed.config else {
            return Ok(typed);
        };
        let wrong = |what: &dyn std::fmt::Display| {
            Wrong::File(format!("--config {}: {what}", path.display()))
        };
        let from_file = config_file::arguments(path).map_err(|error| wrong(&error))?;
        let (name, flags) = self.argv.split_at(self.argv.len().min(1));
        let all = name.iter().chain(&from_file).chain(flags);
        // What was typed is right by itself, so what is wrong now is in the file.
        Args::try_parse_from(all).map_err(|error| wrong(&unframed(&error)))
    }

    /// The settings, now.
    ///
    /// # Errors
    /// In words for a person.
    pub fn config(&self) -> Result<Config, String> {
        let args = self.args().map_err(|wrong| wrong.to_string())?;
        Config::try_from(args).map_err(|message| self.blame(message).to_string())
    }

    /// Where to look for what makes no sense: in the file, unless what was typed makes none by itself.
    fn blame(&self, message: String) -> Wrong {
        let typed = Args::try_parse_from(&self.argv).ok();
        match typed.and_then(|typed| Some((typed.config.clone()?, Config::try_from(typed)))) {
            Some((_, Err(alone))) if alone == message => Wrong::Settings(message),
            Some((path, _)) => Wrong::File(format!("--config {}: {message}", path.display())),
            None => Wrong::Settings(message),
        }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Typed(error) => write!(f, "{}", error.render()),
            Self::File(message) | Self::Settings(message) => f.write_str(message),
        }
    }
}

impl Wrong {
    fn print(&self) -> ExitCode {
        match self {
            Self::Typed(error) => {
                // Help and version have their own exit code, and go to standard output.
                if !error.use_stderr()
                    && let Err(error) = output::check()
                {
                    return cannot_write(&error);
                }
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Self::File(message) => {
                say(format_args!("error: {}", message.trim_end()));
                Exit::Usage.into()
            }
            Self::Settings(message) => {
                say(format_args!(
                    "error: {message}\n\nFor all options try 'prefork-server --help'."
                ));
                Exit::Usage.into()
            }
        }
    }
}

#[cfg(test)]
mod tests;
