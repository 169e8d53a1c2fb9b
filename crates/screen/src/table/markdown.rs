//! A table in Markdown, for documents: all of its columns, padded so that it reads well as it is.

use super::layout::widths;
use super::{Table, pad};

impl Table {
    /// The rows under their heads; headings and notes have no place in it.
    pub fn markdown(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(super::Column::name).collect();
        let widths = widths(std::iter::once(&heads).chain(self.rows()));
        let mut out = self.markdown_line(&heads, &widths);
        for wide in &widths {
            out.push('|');
            out.extend(std::iter::repeat_n('-', wide + 2));
        }
        out.push_str("|\n");
        for cells in self.rows() {
            out += &self.markdown_line(cells, &widths);
        }
        out
    }

    fn markdown_line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::from("|");
        for ((cell, wide), column) in cells.iter().zip(widths).zip(&self.columns) {
            line.push(' ');
            pad(&mut line, cell, *wide, column.is_number);
            line.push_str(" |");
        }
        line.push('\n');
        line
    }
}
