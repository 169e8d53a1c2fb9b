//! The process pool: one worker, one process. A crash costs the connection in hand, those that were set aside, and
//! nothing else.

use super::Inheritance;
use crate::pool::worker::{Left, blocking};
use crate::shared::report::Reporter;
use crate::shared::scoreboard::Assignment;

/// Runs the worker of this process to its end.
#[must_use]
pub(crate) fn run(
    inheritance: &Inheritance,
    assignment: &Assignment,
    reporter: &Reporter<'_>,
) -> Left {
    let index = assignment.workers.start;
    let slot = assignment.slot(&inheritance.scoreboard);
    let worker = inheritance.worker(slot, index, reporter);
    let set_aside = inheritance.set_aside.unwrap_or(0);
    blocking::run(&worker, set_aside, || reporter.ready())
}
