//! `prefork-client delete`.

use client::FileName;

use crate::outcome::{Done, Failure, Operation};

use super::Run;

/// Deletes one file.
pub(super) fn one(run: &mut Run<'_>, name: &FileName) -> Result<Done, Failure> {
    match run.link.once(|connection| connection.delete(name)) {
        Ok(_) => Ok(Done::Deleted),
        Err(error) => Err(Failure::of(error, Operation::Delete, run.link.server(), "")),
    }
}
