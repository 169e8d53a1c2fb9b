//! This machine: what it is and how busy, its clock and its memory, our processes on it, the signals that end a run, and
//! its ceilings.

pub(crate) mod ceilings;
pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod edges;
pub mod environment;
pub(crate) mod guard;
pub(crate) mod memory;
pub(crate) mod stops;
