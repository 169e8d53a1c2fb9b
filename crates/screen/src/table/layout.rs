//! Which columns are shown, how wide, and under which heads.

use super::{Column, Head, Table, pad};
use crate::wrap::width;

/// What stands between two columns, if there is room.
const GAP: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    Whole,
    Short,
}

#[derive(Debug)]
pub(super) struct Layout {
    /// The columns that are shown.
    pub(super) kept: Vec<usize>,
    /// How wide each of them is.
    pub(super) widths: Vec<usize>,
    pub(super) gap: usize,
    heads: Heads,
}

impl Layout {
    /// For lines of at most so many columns; none for any number.
    pub(super) fn new(table: &Table, columns: Option<usize>) -> Self {
        let mut contents = widths(table.rows());
        contents.resize(table.columns.len(), 0);
        let mut kept: Vec<usize> = (0..table.columns.len()).collect();
        loop {
            for (heads, gap) in [(Heads::Whole, GAP), (Heads::Whole, 1), (Heads::Short, 1)] {
                let layout = Self::of(table, &contents, kept.clone(), heads, gap);
                if columns.is_none_or(|columns| layout.width() <= columns) {
                    return layout;
                }
            }
            let spare = |index: &&usize| table.columns[**index].spare;
            match kept.iter().max_by_key(spare).copied() {
                Some(index) if table.columns[index].spare > 0 => kept.retain(|it| *it != index),
                _ => break,
            }
        }
        let layout = Self::of(table, &contents, kept, Heads::Short, 1);
        layout.squeezed(columns.unwrap_or(usize::MAX))
    }

    fn of(table: &Table, contents: &[usize], kept: Vec<usize>, heads: Heads, gap: usize) -> Self {
        let mut layout = Self {
            widths: Vec::new(),
            kept,
            gap,
            heads,
        };
        let wide =
            |index: &usize| contents[*index].max(width(&layout.head(&table.columns[*index]).below));
        layout.widths = layout.kept.iter().map(wide).collect();
        for Span { first, last, above } in layout.spans(&table.columns) {
            let lacking = width(above).saturating_sub(layout.span_width(first, last));
            layout.widths[first] += lacking;
        }
        layout
    }

    pub(super) fn head<'a>(&self, column: &'a Column) -> &'a Head {
        match self.heads {
            Heads::Whole => &column.head,
            Heads::Short => column.short.as_ref().unwrap_or(&column.head),
        }
    }

    /// The upper line of the heads; empty if there is none.
    pub(super) fn above(&self, columns: &[Column]) -> String {
        let mut line = String::new();
        for Span { first, last, above } in self.spans(columns) {
            if first > 0 {
                line.extend(std::iter::repeat_n(' ', self.gap));
            }
            let is_right = columns[self.kept[first]].is_number;
            pad(&mut line, above, self.span_width(first, last), is_right);
        }
        line.trim_end().to_owned()
    }

    /// Neighbours under one upper line.
    fn spans<'a>(&self, columns: &'a [Column]) -> Vec<Span<'a>> {
        let mut spans: Vec<Span<'_>> = Vec::new();
        for (place, index) in self.kept.iter().enumerate() {
            let above = self.head(&columns[*index]).above.as_str();
            match spans.last_mut() {
                Some(span) if span.above == above && !above.is_empty() => span.last = place,
                _ => spans.push(Span {
                    first: place,
                    last: place,
                    above,
                }),
            }
        }
        spans
    }

    fn span_width(&self, first: usize, last: usize) -> usize {
        self.widths[first..=last].iter().sum::<usize>() + self.gap * (last - first)
    }

    fn width(&self) -> usize {
        match self.widths.len() {
            0 => 0,
            len => self.span_width(0, len - 1),
        }
    }

    /// The last resort: the widest columns are cut until the line fits.
    fn squeezed(mut self, columns: usize) -> Self {
        while self.width() > columns
            && let Some(widest) = self.widths.iter_mut().max()
            && *widest > 1
        {
            *widest -= 1;
        }
        self
    }
}

struct Span<'a> {
    first: usize,
    last: usize,
    above: &'a str,
}

/// How wide the widest cell of each column is.
pub(super) fn widths<'a>(rows: impl Iterator<Item = &'a Vec<String>>) -> Vec<usize> {
    let mut widths = Vec::new();
    for cells in rows {
        widths.resize(cells.len(), 0);
        for (wide, cell) in widths.iter_mut().zip(cells) {
            *wide = width(cell).max(*wide);
        }
    }
    widths
}
