//! Both streams of a program: words to people on standard error, results on standard output.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};
use manual::stdout;

/// Says a line to whoever watches, with one write. What cannot be said (a terminal that is gone, a full disk) is no
/// reason to end a run.
pub(crate) fn say(line: impl Display) {
    let line = format!("{line}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Writes results to standard output; a reader that has seen enough, such as `head`, is no error.
///
/// # Errors
/// They did not all arrive, as on a full disk.
pub(crate) fn print(text: &str) -> Result<()> {
    stdout::check().context("standard output")?;
    let mut out = io::stdout().lock();
    // What is left unfinished in the buffer would otherwise be lost without a word.
    forgive_closed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What became of writing results, where a closed pipe is no error.
pub(crate) fn forgive_closed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}
