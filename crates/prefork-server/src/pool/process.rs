//! The process pool: one worker, one process. A crash costs the connection in hand and nothing else.

use super::Inheritance;
use super::report::Reporter;
use crate::scoreboard::Assignment;
use crate::worker::{Left, blocking};

/// Runs the worker of this process to its end.
#[must_use]
pub fn run(inheritance: &Inheritance, assignment: &Assignment, reporter: &Reporter<'_>) -> Left {
    if let Err(error) = reporter.ready() {
        return Left::Failed(error);
    }
    let index = assignment.workers.start;
    let slot = inheritance.scoreboard.slot(assignment.bank, index);
    blocking::run(&inheritance.worker(slot, index, reporter))
}
