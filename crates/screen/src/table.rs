//! A table that fits the screen: with less between its columns, with shorter heads, then with fewer columns; never with
//! a line that wraps.

mod layout;
mod markdown;

use std::fmt::Write;

use crate::Screen;
use crate::wrap::{cut, visible, width};
use layout::Layout;

/// A column: its head in two lines, and when it gives way.
#[derive(Debug, Clone)]
pub struct Column {
    head: Head,
    short: Option<Head>,
    is_number: bool,
    /// The column with the highest goes first where there is no room for all; 0 stays.
    spare: u8,
}

/// Neighbours with the same upper line share it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Head {
    above: String,
    below: String,
}

impl Column {
    /// A column of words.
    pub fn text(head: impl Into<String>) -> Self {
        Self {
            head: Head {
                above: String::new(),
                below: head.into(),
            },
            short: None,
            is_number: false,
            spare: 0,
        }
    }

    /// A column of numbers, which end below one another.
    pub fn number(head: impl Into<String>) -> Self {
        Self {
            is_number: true,
            ..Self::text(head)
        }
    }

    /// With `above` over its head.
    #[must_use]
    pub fn under(mut self, above: &str) -> Self {
        above.clone_into(&mut self.head.above);
        self
    }

    /// With a shorter head where the whole one finds no room.
    #[must_use]
    pub fn short(mut self, above: &str, below: &str) -> Self {
        self.short = Some(Head {
            above: above.to_owned(),
            below: below.to_owned(),
        });
        self
    }

    /// One that can be spared: the higher `rank`, the sooner.
    #[must_use]
    pub const fn spare(mut self, rank: u8) -> Self {
        self.spare = rank;
        self
    }

    /// The whole head in one line.
    fn name(&self) -> String {
        match self.head.above.as_str() {
            "" => self.head.below.clone(),
            above => format!("{above} {}", self.head.below),
        }
    }
}

/// Rows below heads, and lines between them.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
enum Line {
    Heading(String),
    Row { cells: Vec<String>, is_bad: bool },
    Note(String),
}

/// A table as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The heads.
    pub head: Vec<String>,
    /// Rows, headings and notes.
    pub body: Vec<String>,
    /// Which columns found no room; nothing if all are there.
    pub foot: Vec<String>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            lines: Vec::new(),
        }
    }

    /// A line over the rows that follow.
    pub fn heading(&mut self, text: &str) {
        self.lines.push(Line::Heading(text.to_owned()));
    }

    /// A row, with a cell for each column.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.push(cells, false);
    }

    /// A row that is not well.
    pub fn bad_row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.push(cells, true);
    }

    /// What a row has to say that is too long for a cell: below it.
    pub fn note(&mut self, text: &str) {
        self.lines.push(Line::Note(format!("    {text}")));
    }

    fn push<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>, is_bad: bool) {
        let cells: Vec<String> = cells
            .into_iter()
            .map(|cell| visible(&cell.into()))
            .collect();
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.lines.push(Line::Row { cells, is_bad });
    }

    fn rows(&self) -> impl Iterator<Item = &Vec<String>> {
        self.lines.iter().filter_map(|line| match line {
            Line::Row { cells, .. } => Some(cells),
            Line::Heading(_) | Line::Note(_) => None,
        })
    }

    /// The table on `screen`, with an end of line after each line.
    pub fn render(&self, screen: Screen) -> String {
        let Shown { head, body, foot } = self.shown(screen);
        let mut out = String::new();
        for line in head.into_iter().chain(body).chain(foot) {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{line}");
        }
        out
    }

    /// The same in its parts.
    pub fn shown(&self, screen: Screen) -> Shown {
        let layout = Layout::new(self, screen.columns());
        let mut body = Vec::new();
        for line in &self.lines {
            match line {
                Line::Heading(text) => {
                    let text = screen.wrapped(text);
                    body.extend(text.lines().map(|line| screen.strong(line)));
                }
                Line::Note(text) => {
                    body.extend(screen.wrapped(text).lines().map(str::to_owned));
                }
                Line::Row { cells, is_bad } => {
                    let line = self.line(&layout, |index| &cells[index]);
                    body.push(if *is_bad { screen.bad(&line) } else { line });
                }
            }
        }
        let head = self.head(&layout);
        Shown {
            head: head.iter().map(|line| screen.strong(line)).collect(),
            body,
            foot: self.foot(&layout, screen),
        }
    }

    fn head(&self, layout: &Layout) -> Vec<String> {
        let below = self.line(layout, |index| {
            layout.head(&self.columns[index]).below.as_str()
        });
        let above = layout.above(&self.columns);
        [above, below]
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect()
    }

    fn foot(&self, layout: &Layout, screen: Screen) -> Vec<String> {
        let is_out = |index: &usize| !layout.kept.contains(index);
        let names = (0..self.columns.len())
            .filter(is_out)
            .map(|index| self.columns[index].name());
        let names: Vec<String> = names.collect();
        let text = format!(
            "(no room for: {}; a wider terminal or a file has it all)",
            names.join(", ")
        );
        match names.is_empty() {
            true => Vec::new(),
            false => screen.wrapped(&text).lines().map(str::to_owned).collect(),
        }
    }

    /// One cell of each column that is kept.
    fn line<'a>(&'a self, layout: &Layout, cell: impl Fn(usize) -> &'a str) -> String {
        let mut line = String::new();
        for (place, (index, columns)) in layout.kept.iter().zip(&layout.widths).enumerate() {
            if place > 0 {
                line.extend(std::iter::repeat_n(' ', layout.gap));
            }
            pad(
                &mut line,
                cell(*index),
                *columns,
                self.columns[*index].is_number,
            );
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Adds `text` in a field of so many columns.
fn pad(out: &mut String, text: &str, columns: usize, is_right: bool) {
    let text = cut(text, columns);
    let blank = columns.saturating_sub(width(&text));
    let (before, after) = if is_right { (blank, 0) } else { (0, blank) };
    out.extend(std::iter::repeat_n(' ', before));
    out.push_str(&text);
    out.extend(std::iter::repeat_n(' ', after));
}

#[cfg(test)]
mod tests;
