//! What a run recorded, and what follows from it alone: the plan and its cells, the settings, the records of every
//! operation, the journal that keeps them, the rows of the table, and the conditions that a row is held to. It starts no
//! process, opens no socket and knows no command line: what measures writes a journal, and what judges and shows reads it.

#![deny(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod words;

pub mod compare;
pub mod derived;
pub mod edges;
pub mod fail_on;
pub mod fault;
pub mod fingerprint;
pub mod journal;
pub mod machine;
pub mod matrix;
pub mod measurement;
pub mod models;
pub mod paths;
pub mod rank;
pub mod recheck;
pub mod reconcile;
pub mod record;
pub mod run;
pub mod schedule;
#[cfg(test)]
#[path = "../../cli-kit/tests/support/schemas.rs"]
mod schemas;
pub mod shell;
pub mod shift;
pub mod size;
pub mod summary;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod verify;

/// What was asked for does not fit what is there: a usage error that only shows once files are looked at.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);
