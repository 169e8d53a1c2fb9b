//! The clients of a cell: what one does, pools of them, and what is asked of a server outside the measured window.

pub mod operation;
pub(crate) mod pool;
pub(crate) mod readback;
pub(crate) mod remote;
mod requester;
