//! The status of a running server, asked for over its admin socket, and the page that shows it.

mod ask;
mod head;
mod table;
mod units;

use std::path::Path;

use anyhow::Result;
use proto::status::Status;

pub use ask::status as ask;
pub use table::{Order, Page};

/// The status of the server whose admin socket is `socket`.
///
/// # Errors
/// Why it could not be asked, in words for a person.
pub fn fetch(socket: &Path) -> Result<Status> {
    Ok(serde_json::from_slice(&ask(socket)?)?)
}
