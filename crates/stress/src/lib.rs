//! The stress harness: plans rows, starts a server for each, drives a pool of clients, verifies every byte,
//! reconciles both sides' ledgers, and writes a journal.

// They panic when the stream is full or gone, and a run with them.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod clients;
mod commands;
pub mod corpus;
mod faults;
pub mod host;
mod pdf;
mod rig;
mod run;
#[cfg(test)]
#[path = "../../cli-kit/tests/support/schemas.rs"]
mod schemas;
#[cfg(test)]
mod testing;
mod trials;

pub use commands::main;
