//! A multiprocess prefork file server.
//!
//! A parent process binds the socket and forks a fixed pool of workers, which accept and serve connections.
//! The repository's `ARCHITECTURE.md` says how the parts fit together.

// They panic when nobody can read them any more.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod config;
pub mod connection;
pub mod exit;
pub mod operator;
pub mod pool;
pub mod rights;
pub mod sandbox;
pub mod selftest;
pub mod shared;
pub mod store;
pub mod supervisor;
pub mod sys;
pub mod words;

// What other crates use.
pub use cli::main_with_args;
pub use operator::{backlog, status};
pub use shared::{listener, memory};
