//! A blocking, streaming client for the file server.
//!
//! Contents stream from any [`std::io::Read`] and into any [`std::io::Write`]; nothing is held whole.
//!
//! ```no_run
//! use client::{Connection, Destination, FileName, Options, Overwrite};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut connection = Connection::connect("127.0.0.1:46666", &Options::default())?;
//! let name: FileName = "notes.txt".parse()?;
//! connection.upload(&name, &mut "hello".as_bytes(), &mut ())?;
//!
//! let mut file = Destination::create("notes.txt".as_ref(), Overwrite::Never)?;
//! connection.get(&name, &mut file, &mut ())?;
//! file.commit()?; // only now is there a notes.txt
//! # Ok(())
//! # }
//! ```

mod connect;
mod connection;
mod destination;
mod error;
mod exchange;
mod socket;
mod wait;

pub use connection::{Congestion, Connection, Download, Listing, Observer, Options, Upload};
pub use destination::{Destination, Overwrite};
pub use error::{Error, Part};
pub use exchange::Buffers;
pub use proto::{FileName, Terminator};
pub use wait::Interrupt;
