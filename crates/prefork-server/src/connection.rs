//! One connection: what is said over it, what it waits for, and what is written down of it.

pub mod access_log;
pub mod clock;
pub mod drive;
pub mod failures;
pub mod session;
