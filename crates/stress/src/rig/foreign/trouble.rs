//! Why a foreign server cannot be measured: what went wrong, where it was expected, where it listens instead, and the
//! last of what it wrote.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::rig::Error;

/// How many of its last lines are shown, and how much of each.
const LINES_MAX: usize = 10;
const LINE_LEN_MAX: usize = 300;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Trouble {
    /// None: the user asked to stop.
    pub(super) what: Option<String>,
    /// Where it was expected, and where its processes listen if it runs; none if it was not started.
    pub(super) sought: Option<Sought>,
    /// The end of what it wrote.
    pub(super) output: String,
}

type Sought = (SocketAddr, Option<BTreeSet<SocketAddr>>);

impl Trouble {
    /// Before it was started.
    pub(super) fn of(what: String) -> Self {
        Self {
            what: Some(what),
            ..Self::default()
        }
    }

    /// All of it, in lines; none if the user asked to stop.
    pub(crate) fn text(&self) -> Option<String> {
        let mut text = self.what.clone()?;
        if let Some(sought) = &self.sought {
            let _ = write!(text, "\n  {}", where_it_is(sought));
        }
        let lines = last_lines(&self.output);
        if !lines.is_empty() {
            let _ = write!(
                text,
                "\n  the end of its output:\n    {}",
                lines.join("\n    ")
            );
        }
        Some(text)
    }
}

impl From<Trouble> for Error {
    /// For a row: in one line, the last of what the server wrote first.
    fn from(trouble: Trouble) -> Self {
        let Some(what) = trouble.what else {
            return Self::Interrupted;
        };
        let what = what.replace("\n ", ";");
        let place = trouble
            .sought
            .as_ref()
            .map_or_else(String::new, |sought| format!("; {}", where_it_is(sought)));
        Self::NotReady(format!("{what}{place}{}", wrote(&trouble.output)))
    }
}

fn where_it_is((expected, listening): &Sought) -> String {
    let tried = format!("{expected} was tried");
    let Some(listening) = listening else {
        return tried;
    };
    if listening.is_empty() {
        return format!("{tried}; its processes listen on no port");
    }
    let all: Vec<String> = listening.iter().map(ToString::to_string).collect();
    let port = expected.port();
    let cure = match listening.iter().find(|address| address.port() == port) {
        Some(other) if other.ip() != expected.ip() && !other.ip().is_unspecified() => {
            format!(": write --server-host {}", other.ip())
        }
        Some(_) => String::new(),
        None => ": if one of them is meant, write --server-port".to_owned(),
    };
    format!("{tried}; its processes listen on {}{cure}", all.join(", "))
}

/// What it wrote, in one line that begins with the last.
pub(super) fn wrote(output: &str) -> String {
    let lines = last_lines(output);
    match lines.split_last() {
        None => String::new(),
        Some((last, [])) => format!(". It wrote: {}", last.trim()),
        Some((last, before)) => {
            let before: Vec<&str> = before.iter().map(|line| line.trim()).collect();
            format!(
                ". It wrote: {} (before that: {})",
                last.trim(),
                before.join(" | ")
            )
        }
    }
}

fn last_lines(output: &str) -> Vec<String> {
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    let shortened = |line: &&str| match line.char_indices().nth(LINE_LEN_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => (*line).to_owned(),
    };
    last.iter().map(shortened).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(trouble: Trouble) -> String {
        match Error::from(trouble) {
            Error::NotReady(note) => note,
            Error::Interrupted => "interrupted".into(),
        }
    }

    #[test]
    fn a_row_begins_what_a_server_wrote_with_its_last_line() {
        assert_eq!(wrote(""), "");
        assert_eq!(wrote("\n\n"), "");
        assert_eq!(wrote("one\n"), ". It wrote: one");
        assert_eq!(wrote("a\n  b\n\nc\n"), ". It wrote: c (before that: a | b)");
        let many: String = (0..50).map(|number| format!("{number}\n")).collect();
        assert!(wrote(&many).starts_with(". It wrote: 49 (before that: 40 |"));
        assert_eq!(note(Trouble::default()), "interrupted");
        assert_eq!(note(Trouble::of("gone".into())), "gone");
    }

    #[test]
    fn where_a_server_listens_instead_is_said_with_the_flag_for_it() {
        let check = |expected: &str, listening: &[&str], want: &str| {
            let listening = listening.iter().map(|text| text.parse().unwrap());
            let listening = Some(listening.collect());
            let expected = expected.parse().unwrap();
            let trouble = Trouble {
                what: Some("late".into()),
                sought: Some((expected, listening)),
                output: "bye".into(),
            };
            let text = trouble.text().unwrap();
            assert_eq!(
                text,
                format!("late\n  {want}\n  the end of its output:\n    bye")
            );
            assert_eq!(note(trouble), format!("late; {want}. It wrote: bye"));
        };
        check(
            "127.0.0.1:5",
            &[],
            "127.0.0.1:5 was tried; its processes listen on no port",
        );
        check(
            "127.0.0.1:5",
            &["0.0.0.0:6666", "[::]:7"],
            "127.0.0.1:5 was tried; its processes listen on 0.0.0.0:6666, [::]:7: if one of them is meant, write --server-port",
        );
        check(
            "127.0.0.1:5",
            &["10.0.0.2:5"],
            "127.0.0.1:5 was tried; its processes listen on 10.0.0.2:5: write --server-host 10.0.0.2",
        );
        check(
            "127.0.0.1:5",
            &["0.0.0.0:5"],
            "127.0.0.1:5 was tried; its processes listen on 0.0.0.0:5",
        );
    }
}
