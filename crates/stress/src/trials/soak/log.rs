//! What a soaked server's log says of the changes that were asked of it: each line is read once, however long the soak.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How the server begins a line about a change that does not take place.
const REFUSALS: [&str; 4] = [
    "not upgrading: ",
    "the upgrade failed: ",
    "not reloading: ",
    "nothing is reloaded: ",
];
/// Of what went wrong no more than the last few lines are kept.
const LINES_MAX: usize = 3;

/// The log of all generations of a server, and what was found in it since a change was asked for.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    /// A line that has not arrived whole.
    rest: Vec<u8>,
    reloads: u32,
    has_refused: bool,
    /// Errors and warnings.
    trouble: Vec<String>,
}

impl Log {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            rest: Vec::new(),
            reloads: 0,
            has_refused: false,
            trouble: Vec::new(),
        })
    }

    /// Takes in what has been written since the last time.
    pub(super) fn read_on(&mut self) {
        // What cannot be read now may be later.
        let _ = self.file.read_to_end(&mut self.rest);
        let whole_len = self.rest.iter().rposition(|byte| *byte == b'\n');
        let rest = self.rest.split_off(whole_len.map_or(0, |last| last + 1));
        let whole = std::mem::replace(&mut self.rest, rest);
        for line in String::from_utf8_lossy(&whole).lines() {
            self.hear(line);
        }
    }

    fn hear(&mut self, line: &str) {
        self.reloads += u32::from(line.contains("INFO reloaded"));
        self.has_refused |= REFUSALS.iter().any(|words| line.contains(words));
        let levels = [" ERROR ", " WARN ", "error: "];
        let level = levels
            .iter()
            .find_map(|level| Some(line.find(level)? + level.len()));
        if let Some(words) = level.map(|start| line[start..].trim()) {
            self.trouble.push(words.to_owned());
            let excess_len = self.trouble.len().saturating_sub(LINES_MAX);
            self.trouble.drain(..excess_len);
        }
    }

    /// From now on everything is about a new change.
    pub(super) fn forget(&mut self) {
        self.read_on();
        self.has_refused = false;
        self.trouble.clear();
    }

    /// Reloads that have come to their end.
    pub(super) const fn reloads(&self) -> u32 {
        self.reloads
    }

    /// Why the change did not take place, if the server has said so.
    pub(super) fn refusal(&self) -> Option<String> {
        self.has_refused.then(|| self.trouble())
    }

    /// What went wrong since the change was asked for.
    pub(super) fn trouble(&self) -> String {
        match self.trouble.as_slice() {
            [] => "the server's log has no error since it was asked to".into(),
            lines => lines.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn each_line_counts_once_and_a_refusal_comes_with_what_led_to_it() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut log = Log::open(file.path()).unwrap();
        let mut write = |log: &mut Log, text: &str| {
            file.write_all(text.as_bytes()).unwrap();
            log.read_on();
        };
        write(&mut log, "2026 INFO reloaded workers=5\n2026  INFO relo");
        assert_eq!(log.reloads(), 1);
        write(&mut log, "aded workers=5\n2026  WARN a worker died\n");
        assert_eq!((log.reloads(), log.refusal()), (2, None));
        log.forget();
        assert!(log.trouble().contains("no error"));
        write(&mut log, "2026 ERROR cannot bind\n");
        assert_eq!(log.refusal(), None);
        write(&mut log, "2026 ERROR the upgrade failed: it ended pid=7\n");
        let why = "cannot bind; the upgrade failed: it ended pid=7";
        assert_eq!(log.refusal().as_deref(), Some(why));
        log.forget();
        assert_eq!(log.refusal(), None);
        for (words, is_refusal) in [
            ("WARN not upgrading: no", true),
            ("ERROR nothing is reloaded: no", true),
            ("WARN not reloading: no", true),
            ("WARN it is full", false),
        ] {
            write(&mut log, &format!("2026 {words}\n"));
            assert_eq!(log.refusal().is_some(), is_refusal, "{words}");
            log.forget();
        }
    }
}
