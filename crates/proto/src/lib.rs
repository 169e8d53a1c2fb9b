//! The file server's wire format, both directions, without I/O and without a clock.
//!
//! Bytes go in, messages come out ([`request::RequestDecoder`], [`reply::ReplyDecoder`]); messages go in,
//! bytes come out ([`request::encode_head`], [`reply`]'s `encode_*`, [`base64::Encoder`]). Nothing here
//! holds a body: file contents stream through buffers the caller owns.
//!
//! The format itself is written down in the repository's `docs/PROTOCOL.md`.

#![forbid(unsafe_code)]

#[macro_use]
mod words;

pub mod announce;
pub mod base64;
pub mod limits;
pub mod name;
pub mod reply;
pub mod request;
pub mod status;

mod json;

pub use limits::Limits;
pub use name::{FileName, NameError};
pub use reply::Code;
pub use request::{RequestDecoder, Terminator, Verb};
