//! The clients of a row: what one does, pools of them, those that only send bytes, and what is asked of a server outside
//! the measured window.

pub mod operation;
pub(crate) mod pool;
pub(crate) mod raw;
pub(crate) mod readback;
pub(crate) mod remote;
mod requester;
