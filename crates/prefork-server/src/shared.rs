//! What the parent and all workers have together: the listener, words of memory, and lines to each other.

pub(crate) mod address_cap;
pub(crate) mod encoded_cache;
pub(crate) mod gate;
pub(crate) mod holdings;
pub mod listener;
pub mod memory;
pub(crate) mod report;
pub(crate) mod scoreboard;
pub(crate) mod title;
