//! The event pool: one worker, one process, many connections. A crash costs all that its worker had in hand.

use super::Inheritance;
use crate::pool::worker::{Left, event};
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
    let connections_max = inheritance.event_connections.unwrap_or(1);
    event::run(
        &inheritance.worker(slot, index, reporter),
        connections_max as usize,
    )
}
