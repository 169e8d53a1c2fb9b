//! What each worker process holds of the limits that all workers share, so that none of it outlives the process.
//!
//! A shared mapping with one row a process: the bytes that its pending uploads have reserved
//! (`--root-max-bytes`), how many removed files it has not freed yet, and a cell for each connection it may have in hand, with the peer's address
//! (`--max-connections-per-address`). A row is written by its process alone, until the parent has reaped that
//! process and clears it. The parent reads none of it, so nothing a worker wrote here can mislead it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::sys;

/// Words before the first row, a cache line.
const HEADER_WORDS: usize = 8;

/// In the header: what changes whenever a cell has been filled for good.
const VERSION_WORD: usize = 0;

/// In the header: how many rows have ever been used, so that nobody looks at thousands that have not. Only the
/// parent writes it.
const USED_ROWS_WORD: usize = 1;

/// Where in a row its reserved bytes are.
const RESERVED_WORD: usize = 0;

/// Where in a row it says how many of its cells have ever been used; the cells follow.
const USED_CELLS_WORD: usize = 1;

/// Where in a row it says how many files it is about to free.
const FREEING_WORD: usize = 2;

/// Words in a row before its cells.
const CELLS_START: usize = 3;

/// All rows.
#[derive(Debug, Clone, Copy)]
pub struct Holdings {
    words: &'static [AtomicU64],
    row_words: usize,
    cells: usize,
}

/// One process's row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    words: &'static [AtomicU64],
}

impl Holdings {
    /// Empty rows, shared with every process forked from now on. A process has `cells` connections in hand at
    /// most. Only the pages of rows that are used cost memory.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn new(rows: u32, cells: u32) -> nix::Result<Self> {
        let cells = cells as usize;
        // Whole cache lines, so that rows share none.
        let row_words = (CELLS_START + cells).next_multiple_of(8);
        Ok(Self {
            words: sys::shared_words(HEADER_WORDS + rows as usize * row_words)?,
            row_words,
            cells,
        })
    }

    /// How many connections of a process can be written down.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row: rows are numbered by the parent, never by a worker.
    #[must_use]
    pub fn row(&self, index: u32) -> Row {
        let start = HEADER_WORDS + index as usize * self.row_words;
        Row {
            words: &self.words[start..start + CELLS_START + self.cells],
        }
    }

    /// All rows that may hold something.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let used_rows = self.words[USED_ROWS_WORD].load(SeqCst);
        let row_len = CELLS_START + self.cells;
        self.words[HEADER_WORDS..]
            .chunks_exact(self.row_words)
            .take(usize::try_from(used_rows).unwrap_or(usize::MAX))
            .map(move |words| Row {
                words: &words[..row_len],
            })
    }

    /// A word that changes whenever a cell has been filled for good.
    pub(crate) fn version(&self) -> &'static AtomicU64 {
        &self.words[VERSION_WORD]
    }

    /// A row for the process that is to be forked next: the first that is not among those `taken`, which living processes
    /// have. Only the parent asks, and only it knows which are taken.
    #[must_use]
    pub fn free_row(&self, taken: impl Iterator<Item = u32>) -> Option<u32> {
        let rows = (self.words.len() - HEADER_WORDS) / self.row_words;
        let mut is_taken = vec![false; rows];
        for row in taken {
            is_taken[row as usize] = true;
        }
        let free = is_taken.iter().position(|is_taken| !is_taken)?;
        let free = u32::try_from(free).ok()?;
        self.use_row(free);
        Some(free)
    }

    /// The process that had this row is dead: what it held is free.
    pub fn release(&self, index: u32) {
        self.row(index).clear();
    }

    /// Rows up to this one, at least, may hold something.
    pub(crate) fn use_row(&self, index: u32) {
        self.words[USED_ROWS_WORD].fetch_max(u64::from(index) + 1, SeqCst);
    }

    /// Bytes that pending uploads have reserved, over all processes.
    #[must_use]
    pub fn reserved_bytes(&self) -> u64 {
        self.rows()
            .map(|row| row.reserved().load(SeqCst))
            .fold(0, u64::saturating_add)
    }
}

impl Row {
    /// Bytes that this process's pending uploads have reserved.
    pub(crate) fn reserved(&self) -> &'static AtomicU64 {
        &self.words[RESERVED_WORD]
    }

    /// How many removed files this process has not freed yet.
    pub(crate) fn freeing(&self) -> &'static AtomicU64 {
        &self.words[FREEING_WORD]
    }

    /// A word for each connection this process may have in hand, as far as it has ever used them; 0 is free.
    pub(crate) fn cells(&self) -> &'static [AtomicU64] {
        let used = usize::try_from(self.words[USED_CELLS_WORD].load(SeqCst)).unwrap_or(usize::MAX);
        let cells = &self.words[CELLS_START..];
        &cells[..used.min(cells.len())]
    }

    /// Fills the first free cell with `key`, which is not 0. None if all are taken.
    pub(crate) fn take_cell(&self, key: u64) -> Option<&'static AtomicU64> {
        let cells = &self.words[CELLS_START..];
        // Looking first is what makes a thousand taken cells cheap to pass by.
        let is_taken = |cell: &AtomicU64| {
            cell.load(SeqCst) != 0 || cell.compare_exchange(0, key, SeqCst, SeqCst).is_err()
        };
        let index = cells.iter().position(|cell| !is_taken(cell))?;
        self.words[USED_CELLS_WORD].fetch_max(index as u64 + 1, SeqCst);
        Some(&cells[index])
    }

    fn clear(&self) {
        for word in self.words {
            word.store(0, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_held_is_free_and_the_rest_is_not() {
        let holdings = Holdings::new(3, 9).unwrap();
        let mut taken = Vec::new();
        for _ in 0..2 {
            let index = holdings.free_row(taken.iter().copied()).unwrap();
            taken.push(index);
            let row = holdings.row(index);
            row.reserved().store(u64::from(index) + 5, SeqCst);
            for _ in 0..9 {
                row.take_cell(7).unwrap();
            }
            assert!(row.take_cell(7).is_none());
        }
        assert_eq!(
            (
                holdings.free_row([0, 1].into_iter()),
                holdings.reserved_bytes()
            ),
            (Some(2), 11)
        );
        holdings.release(0);
        assert_eq!(
            (
                holdings.free_row([1].into_iter()),
                holdings.reserved_bytes()
            ),
            (Some(0), 6)
        );
        let held: Vec<_> = holdings
            .rows()
            .map(|row| {
                row.cells()
                    .iter()
                    .filter(|cell| cell.load(SeqCst) == 7)
                    .count()
            })
            .collect();
        assert_eq!(held, [0, 9, 0]);
    }

    #[test]
    fn nobody_gets_a_row_that_is_not_there() {
        let holdings = Holdings::new(1, 1).unwrap();
        let row = holdings.free_row(std::iter::empty());
        assert_eq!(holdings.free_row(row.into_iter()), None);
    }
}
