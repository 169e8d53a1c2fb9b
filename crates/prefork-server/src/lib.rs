//! A multiprocess prefork file server.
//!
//! A parent process binds the socket and forks a fixed pool of workers, which accept and serve connections.
//! The repository's `ARCHITECTURE.md` says how the parts fit together.

// They panic when nobody can read them any more.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod address_cap;
pub mod admin;
pub mod backlog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod config_file;
pub mod drive;
pub mod duration;
pub mod exit;
pub mod footing;
pub mod gate;
pub mod holdings;
pub mod inherited;
pub mod ledger;
pub mod lifeline;
pub mod listener;
pub mod logger;
pub mod logs;
pub mod memory;
pub mod outside;
pub mod pidfile;
pub mod pool;
pub mod port;
pub mod sandbox;
pub mod scarcity;
pub mod scoreboard;
pub mod session;
pub mod size;
pub mod status;
pub mod store;
pub mod stream;
pub mod supervisor;
pub mod sys;
pub mod title;
pub mod usage;
pub mod words;
pub mod worker;

pub use cli::main_with_args;
