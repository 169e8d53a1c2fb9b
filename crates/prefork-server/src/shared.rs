//! What the parent and all workers have together: the listener, words of memory, and lines to each other.

pub mod address_cap;
pub mod gate;
pub mod holdings;
pub mod lifeline;
pub mod listener;
pub mod memory;
pub mod report;
pub mod scoreboard;
pub mod title;
