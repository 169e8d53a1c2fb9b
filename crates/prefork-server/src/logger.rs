//! Logging: `tracing` to standard error, one write(2) a line, control characters escaped.
//!
//! No buffering and no writer thread: a thread would not survive the fork, and a line must not be torn by
//! another process that writes to the same descriptor.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use crate::logs::SharedFile;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends this process's log lines, and those of every process it forks, to standard error.
pub fn start(level: Level, format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false)
        .with_writer(StandardError);
    // An error means that a logger is already in place, as when a test runs the entry twice.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// The file that standard error is, where `--log-file` says so.
static LOG: OnceLock<Arc<SharedFile>> = OnceLock::new();

/// From here on, before each line it is looked whether `log`, which standard error has become, was opened anew.
/// Once set it stays: like the logger itself there is one for the whole process.
pub fn follow(log: &Arc<SharedFile>) {
    let _ = LOG.set(Arc::clone(log));
}

struct StandardError;

impl<'a> MakeWriter<'a> for StandardError {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line
    }
}

/// One log line: `tracing_subscriber` hands over each whole.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let escaped = escape(line);
        if let Some(log) = LOG.get() {
            log.refresh();
        }
        // A log that cannot be written must not fail what it tells of; and the error, were it returned, would be
        // printed to the same place, which panics.
        let _ = io::stderr().write_all(&escaped);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Replaces every control character but the line's own end by `\xNN`, so that nothing a peer sent can move a
/// cursor or forge a line.
fn escape(line: &[u8]) -> Vec<u8> {
    let (body, end) = match line.strip_suffix(b"\n") {
        Some(body) => (body, &b"\n"[..]),
        None => (line, &b""[..]),
    };
    let mut out = Vec::with_capacity(line.len() + 16);
    for &byte in body {
        if byte < 0x20 || byte == 0x7f {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    out.extend_from_slice(end);
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn control_characters_cannot_reach_a_terminal() {
        let check = |line: &[u8], want: &[u8]| assert_eq!(escape(line), want);
        check(b"plain\n", b"plain\n");
        check(b"a\x1b[31mb\n", b"a\\x1b[31mb\n");
        check(b"one\ntwo\n", b"one\\x0atwo\n");
        check("é\n".as_bytes(), "é\n".as_bytes());
    }
}
