//! A multiprocess prefork file server.
//!
//! A parent process binds the socket and forks a fixed pool of workers, which accept and serve connections.
//! The repository's `ARCHITECTURE.md` says how the parts fit together.

// Who reads its documentation has the source.
#![allow(rustdoc::private_intra_doc_links)]
// They panic when nobody can read them any more.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod cli;
mod config;
mod connection;
mod exit;
mod operator;
mod pool;
mod rights;
mod sandbox;
#[cfg(test)]
#[path = "../../cli-kit/tests/support/schemas.rs"]
mod schemas;
mod selftest;
mod shared;
mod store;
mod supervisor;
pub mod sys;
mod words;

pub use cli::{Args, Source, main, main_with_args};
pub use operator::{backlog, status};
pub use shared::report::ProcessId;
pub use shared::{listener, memory};
pub use supervisor::roster;

/// What benches and tests look at from outside.
pub mod inside {
    pub use crate::cli::config_file;
    pub use crate::connection::access_log::AccessLogger;
    pub use crate::connection::session::{BufferPool, Service, Session, Want};
    pub use crate::operator::logs::{Logs, Wanted};
    pub use crate::shared::address_cap::{AddressCap, Admission};
    pub use crate::shared::holdings::Holdings;
    pub use crate::shared::scoreboard::Scoreboard;
    pub use crate::store::{Durability, Folder, Quota, Store, StoreOptions};
}
