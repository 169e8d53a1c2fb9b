//! The settings: what can be set ([`Settings`]), and what it means ([`Config`]).

mod check;
mod outside;
mod settings;

use std::ops::Deref;
use std::path::PathBuf;

use proto::Limits;

use crate::rights::User;
use crate::shared::listener::Congestion;

pub(crate) use check::check_addresses;
pub(crate) use settings::{Clocks, Settings};

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

proto::worded! {
    /// What the workers are.
    #[derive(clap::ValueEnum)]
    pub enum PoolKind {
        /// N forked processes, one transfer each at a time.
        Process = "process",
        /// N threads in one forked process, one transfer each at a time.
        Thread = "thread",
        /// N forked processes, many connections each at once.
        Event = "event",
    }
}

impl PoolKind {
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

/// Settings that make sense together. Those that mean more than what was typed have a field here, which hides the typed
/// one of the same name.
#[derive(Debug, Clone)]
pub struct Config {
    typed: Settings,
    /// What to serve.
    pub root: PathBuf,
    /// How many connections an event worker holds at once; none for the others.
    pub event_connections: Option<u32>,
    /// How many connections a blocking worker sets aside; none for an event worker.
    pub set_aside: Option<u32>,
    /// How replies are sent.
    pub congestion: Congestion,
    /// `--user` as the user database has it: at the start, and never while the server runs.
    pub user_found: Option<User>,
}

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.typed
    }
}

impl Config {
    /// The same for a pool of so many workers.
    #[must_use]
    pub fn resized(mut self, workers: u32) -> Self {
        self.typed.workers = workers;
        self
    }

    /// Whether to make the root if it is missing. A server that writes nothing makes no folder either.
    #[must_use]
    pub fn makes_root(&self) -> bool {
        self.typed.root.is_none() && !self.read_only
    }

    /// The bounds on requests.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            upload_len_max: self.upload_max,
            ..Limits::default()
        }
    }

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

    /// Finds `--user` in the user database, which may be a server's.
    ///
    /// # Errors
    /// Names the flag and what would be right.
    pub fn find_user(&mut self) -> Result<(), String> {
        let typed = self.user.as_deref();
        self.user_found = typed.map(User::find).transpose()?;
        Ok(())
    }

    /// The flags whose values differ between `self` and `other` and that a running server cannot change.
    #[must_use]
    pub fn fixed_differences(&self, other: &Self) -> Vec<String> {
        macro_rules! differing {
            ($($field:ident)+) => {
                [$((stringify!($field), self.$field != other.$field),)+]
            };
        }
        let mut fixed = Vec::from(differing! {
            bind root pool congestion receive_buffer defer_accept encoded_cache pidfile admin metrics exit_with_stdin access_log log_file
            log_level log_format ready user allow_root sandbox
        });
        fixed.push((
            "set_aside",
            self.waits_in_accept() != other.waits_in_accept(),
        ));
        fixed.retain(|(_, differs)| *differs);
        fixed
            .iter()
            .map(|(field, _)| format!("--{}", field.replace('_', "-")))
            .collect()
    }
}
