//! The access log's file. What a line says is the business of [`crate::connection::access_log`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde::Serialize;

use super::shared_file::SharedFile;

/// Longer than any line: the name is the only part that is not short, and has at most 255 bytes.
const LINE_LEN: usize = 1024;

/// The file, as every worker of a process writes it.
#[derive(Debug)]
pub struct AccessLog {
    file: Arc<SharedFile>,
    /// The last line was cut short by a full disk: the next one must not continue it.
    is_torn: AtomicBool,
    has_complained: AtomicBool,
}

impl AccessLog {
    /// A log in `file`.
    #[must_use]
    pub const fn new(file: Arc<SharedFile>) -> Self {
        Self {
            file,
            is_torn: AtomicBool::new(false),
            has_complained: AtomicBool::new(false),
        }
    }

    pub(super) fn file(&self) -> &SharedFile {
        &self.file
    }

    /// See [`super::Logs::refresh`].
    pub fn refresh(&self) {
        self.file.refresh();
    }

    /// Writes one line, or does not: a log that cannot be written must not fail a request. Says whether it did.
    pub fn write(&self, line: &impl Serialize) -> bool {
        let mut text = Vec::with_capacity(LINE_LEN);
        if self.is_torn.load(Relaxed) {
            text.push(b'\n');
        }
        if serde_json::to_writer(&mut text, line).is_err() {
            return false;
        }
        text.push(b'\n');
        let error = match self.file.append(&text) {
            Ok(len) if len == text.len() => {
                self.is_torn.store(false, Relaxed);
                return true;
            }
            Ok(_) => {
                self.is_torn.store(true, Relaxed);
                "no space left for the whole line"
            }
            Err(error) => error.desc(),
        };
        if !self.has_complained.swap(true, Relaxed) {
            tracing::error!(
                error,
                "cannot write --access-log; lines that are lost are counted, and not mentioned again"
            );
        }
        false
    }
}
