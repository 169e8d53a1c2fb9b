//! A table in Markdown, for documents: all of its columns, padded so that it reads well as it is.

use super::{Table, pad};
use crate::wrap::width;

impl Table {
    /// The rows under their heads; headings and notes have no place in it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(super::Column::name).collect();
        let mut widths: Vec<usize> = heads.iter().map(|head| width(head)).collect();
        for cells in self.rows() {
            for (wide, cell) in widths.iter_mut().zip(cells) {
                *wide = width(cell).max(*wide);
            }
        }
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
