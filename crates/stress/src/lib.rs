//! The stress harness: plans cells, starts a server for each, drives a pool of clients, verifies every byte,
//! reconciles both sides' ledgers, and writes a table.

// They panic when the stream is full or gone, and a run with them: see `console`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod asking;
pub mod baseline;
pub mod budget;
mod child;
pub mod cli;
pub mod clock;
pub mod compare;
mod console;
pub mod corpus;
pub mod environment;
pub mod exit;
pub mod explain;
mod faults;
pub mod guard;
pub mod hostile;
pub mod measure;
mod memory;
pub mod operation;
pub mod output;
pub mod pool;
pub mod preflight;
pub mod progress;
mod readback;
pub mod recheck;
mod remote;
pub mod report;
pub mod request;
pub mod rig;
pub mod run;
pub mod runs;
mod served;
pub mod show;
pub mod soak;
mod stops;
#[cfg(test)]
mod testing;
mod trial;
pub mod verify;
mod words;
pub mod workdir;
