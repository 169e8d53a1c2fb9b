//! One connection: what is said over it, what it waits for, and what is written down of it.

pub(crate) mod access_log;
pub(crate) mod clock;
pub(crate) mod drive;
pub(crate) mod failures;
pub(crate) mod session;
