//! The process pool: one worker, one process. A crash costs the connection in hand and nothing else.

use super::Inheritance;
use crate::worker::Left;

/// Runs the worker of this process to its end.
#[must_use]
pub fn run(inheritance: &Inheritance, index: u32) -> Left {
    inheritance.worker(index).run()
}
