//! What people read on a terminal: tables that fit it, text that wraps within it, and counts with their nouns; and the
//! sizes that they type there.

mod count;
pub mod size;
mod table;
mod wrap;

use console::Term;

pub use count::{counted, counted_as, with_commas};
pub use table::{Column, Shown, Table};
pub use wrap::width;

/// A terminal that does not say how wide it is has as many columns.
const COLUMNS_UNTOLD: u16 = 80;
const ROWS_UNTOLD: u16 = 24;

/// Where a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Rows and columns; none in a file or a pipe.
    size: Option<(usize, usize)>,
    is_colourful: bool,
}

impl Screen {
    /// A file or a pipe. Lines are as long as they are, and tables have all of their columns: nothing wraps there, and
    /// what reads it next (grep, a pager, an editor) has no edge of ours.
    pub const FILE: Self = Self {
        size: None,
        is_colourful: false,
    };

    /// Standard output. With colours if it is a terminal that has them, unless they are unwanted:
    /// <https://no-color.org>.
    pub fn stdout() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let size = size(&Term::stdout());
        Self {
            size,
            is_colourful: size.is_some() && !is_dumb && !is_unwanted,
        }
    }

    /// Standard error, without colours.
    pub fn stderr() -> Self {
        Self {
            size: size(&Term::stderr()),
            is_colourful: false,
        }
    }

    /// A terminal of so many columns, without colours.
    pub const fn of_columns(columns: usize) -> Self {
        Self {
            size: Some((ROWS_UNTOLD as usize, columns)),
            is_colourful: false,
        }
    }

    /// The same with colours, or without.
    #[must_use]
    pub const fn with_colours(self, is_colourful: bool) -> Self {
        Self {
            is_colourful,
            ..self
        }
    }

    /// How many columns a line may have; none where it may have any number.
    pub fn columns(self) -> Option<usize> {
        self.size.map(|(_, columns)| columns)
    }

    /// How many lines are seen at once; none in a file or a pipe.
    pub fn rows(self) -> Option<usize> {
        self.size.map(|(rows, _)| rows)
    }

    /// `text` in lines that fit; what goes on stands two columns further in than its beginning.
    pub fn wrapped(self, text: &str) -> String {
        match self.columns() {
            None => wrap::visible(text),
            Some(columns) => wrap::wrapped(text, columns),
        }
    }

    /// A sentence in lines that fit and are comfortable to read, in a file too.
    pub fn prose(self, text: &str) -> String {
        const COLUMNS_MAX: usize = 100;
        let columns = self.columns().unwrap_or(COLUMNS_MAX).min(COLUMNS_MAX);
        wrap::flush(text, columns)
    }

    /// `lines`, to be seen at once.
    pub fn strong(self, lines: &str) -> String {
        self.painted("\x1b[1m", lines)
    }

    /// `lines`, as what is not well.
    pub fn bad(self, lines: &str) -> String {
        self.painted("\x1b[31m", lines)
    }

    fn painted(self, start: &str, lines: &str) -> String {
        match self.is_colourful {
            true => format!("{start}{lines}\x1b[0m"),
            false => lines.to_owned(),
        }
    }
}

fn size(terminal: &Term) -> Option<(usize, usize)> {
    if !terminal.is_term() {
        return None;
    }
    let (rows, columns) = terminal
        .size_checked()
        .unwrap_or((ROWS_UNTOLD, COLUMNS_UNTOLD));
    Some((rows.into(), columns.into()))
}
