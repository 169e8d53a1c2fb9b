//! Logging: `tracing` to standard error, one write(2) a line, control characters escaped.
//!
//! No buffering and no writer thread: a thread would not survive the fork, and a line must not be torn by
//! another process that writes to the same descriptor. And no waiting: a line that the log's reader has left no
//! room for is lost, and counted for all processes together.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use tracing::Level;

use crate::config::LogFormat;
use crate::operator::logs::shared_file::SharedFile;
use crate::operator::stream;
use crate::sys;

/// Sends this process's log lines, and those of every process it forks, to standard error; a panic's words too, which
/// std would wait with.
pub(crate) fn start(level: Level, format: LogFormat) {
    if let Ok(words) = sys::shared_words(1) {
        let _ = LOST.set(&words[0]);
    }
    std::panic::set_hook(Box::new(|panic| {
        write_line(&escape(format!("{panic}\n").as_bytes()));
    }));
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false)
        .with_writer(|| Line);
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
pub(crate) fn follow(log: &Arc<SharedFile>) {
    let _ = LOG.set(Arc::clone(log));
}

/// How many lines were lost, by all processes.
static LOST: OnceLock<&'static AtomicU64> = OnceLock::new();

/// The last line was cut short: the next one must not continue it.
static IS_TORN: AtomicBool = AtomicBool::new(false);

/// How many lines were lost because there was no room for them, by this server's processes together.
#[must_use]
pub(crate) fn lost_lines() -> u64 {
    LOST.get().map_or(0, |lost| lost.load(Relaxed))
}

/// Says how many lines have been lost if it is not `mentioned`, once there is room to. For the parent only.
pub(crate) fn mention_lost_lines(mentioned: &mut u64) {
    let lines = lost_lines();
    if lines != *mentioned && stream::has_room(sys::standard_error()) {
        tracing::warn!(
            lines,
            "log lines have been lost: the reader of this log did not keep up"
        );
        // On a full disk this was one more; it must not be a reason to say it again.
        *mentioned = lost_lines();
    }
}

/// Writes a line whole, or counts it as lost. A log that cannot be written must not fail what it tells of.
fn write_line(line: &[u8]) {
    if let Some(log) = LOG.get() {
        log.refresh();
    }
    let end = if IS_TORN.load(Relaxed) { "\n" } else { "" };
    let text = [end.as_bytes(), line].concat();
    let (written, result) = stream::write_all(sys::standard_error(), &text);
    if written > 0 {
        IS_TORN.store(result.is_err(), Relaxed);
    }
    if let (Err(_), Some(lost)) = (result, LOST.get()) {
        lost.fetch_add(1, Relaxed);
    }
}

/// One log line: `tracing_subscriber` hands over each whole.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write_line(&escape(line));
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
