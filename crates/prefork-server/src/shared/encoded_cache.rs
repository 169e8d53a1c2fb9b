//! Files as replies carry them, encoded once for all workers: a reply can be faster for it, and nothing else.
//!
//! The memory is in memfds that the parent makes before the first fork, one a slot ([`table`] has the rules). They have
//! no names and are on no disk: nothing is to be swept, a sandboxed worker needs no path, and all of it goes with the
//! server. A file is known by its device, inode, size and times. It is put there piece by piece, by those who need a
//! piece that is missing, from its second use on. What is taken, does not fit, cannot be written or has gone is encoded
//! as if there were no cache.

mod table;

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::time::ClockId;
use proto::base64;

use crate::{sys, words};
use table::{Held, SLOTS, Table};

pub(crate) use table::{Entry, PIECE_LEN, PIECE_TEXT_LEN};

/// Smaller files gain nothing: their replies go out whole, in one write.
const FILE_LEN_MIN: u64 = 256 << 10;

/// A file is put here once it has been left alone for so long. A write to it from then on changes its times, which two
/// writes in one tick of the clock that stamps files do not, nor on some file systems two in the same two seconds. And a
/// single write, which is stamped when it begins, has ended by then.
const SETTLED: Duration = Duration::from_secs(2);

/// For how long nothing is put here after the machine ran out of memory.
const PAUSE: Duration = Duration::from_secs(60);

/// How many descriptors it takes.
pub(crate) const DESCRIPTORS: u64 = SLOTS as u64;

/// By what a file is known: device, inode, size, and the times of the last change of its content and of its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileKey([u64; FileKey::WORDS]);

impl FileKey {
    const WORDS: usize = 7;

    /// The file of which this is known.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self([
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime().cast_unsigned(),
            metadata.mtime_nsec().cast_unsigned(),
            metadata.ctime().cast_unsigned(),
            metadata.ctime_nsec().cast_unsigned(),
        ])
    }

    const fn len(&self) -> u64 {
        self.0[2]
    }

    /// Whether the file's content was changed since it was known by `before`. Of a file that has grown it is not said: as a
    /// rule it is a log, and its beginning stays.
    pub(crate) fn is_rewritten_since(&self, before: &Self) -> bool {
        let [_, _, len, mtime @ .., _, _] = self.0;
        let [_, _, len_before, mtime_before @ .., _, _] = before.0;
        len <= len_before && (len, mtime) != (len_before, mtime_before)
    }

    /// Whether a change from now on will show.
    fn is_settled(&self, now: Duration) -> bool {
        let [_, _, _, mtime_s, mtime_ns, ctime_s, ctime_ns] = self.0;
        let is_past = |(s, ns)| {
            let settled = Duration::from_secs(s).checked_add(SETTLED + Duration::from_nanos(ns));
            settled.is_some_and(|at| at <= now)
        };
        [(mtime_s, mtime_ns), (ctime_s, ctime_ns)]
            .into_iter()
            .all(is_past)
    }

    /// Its upper half is never 0.
    fn hash(&self) -> u64 {
        let mix = |hash: u64, word: &u64| {
            (hash ^ word)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(31)
        };
        self.0.iter().fold(1, mix) | 1 << 63
    }
}

/// The cache, as parent and workers have it.
#[derive(Debug, Clone)]
pub(crate) struct EncodedCache {
    table: Table,
    files: Arc<[File]>,
    /// Whether this process tries for large pages: until it gets none.
    has_large_pages: Arc<AtomicBool>,
}

impl EncodedCache {
    /// An empty one that holds up to `bytes_max` of text, for every process forked from now on, with `readers` workers in
    /// all at most.
    ///
    /// # Errors
    /// What mmap(2) and memfd_create(2) say.
    pub(crate) fn new(bytes_max: u64, readers: u32) -> nix::Result<Self> {
        let files: nix::Result<Vec<File>> = (0..SLOTS)
            .map(|_| sys::memory_file("prefork-server encoded cache"))
            .collect();
        Ok(Self {
            table: Table::new(bytes_max, readers)?,
            files: files?.into(),
            has_large_pages: Arc::new(AtomicBool::new(true)),
        })
    }

    /// What a worker process needs to use it.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.files.iter().map(AsFd::as_fd)
    }

    /// How much it may hold.
    #[must_use]
    pub(crate) const fn bytes_max(&self) -> u64 {
        self.table.bytes_max()
    }

    /// How much memory it has taken, is about to take or to give back.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.table.bytes()
    }

    /// As the worker that counts in slot `reader` of the scoreboard uses it.
    #[must_use]
    pub(crate) const fn reader(&self, reader: u32) -> CacheReader<'_> {
        CacheReader {
            cache: self,
            reader,
        }
    }

    /// Workers up to `end` may use it. Only the parent calls this, before it forks them.
    pub(crate) fn use_readers(&self, end: u32) {
        self.table.use_readers(end);
    }

    /// These workers are dead. Only the parent calls this, when it has reaped their process.
    pub(crate) fn clear_dead(&self, dead: std::ops::Range<u32>) {
        self.table.clear_dead(dead);
    }

    /// Nothing more is put here for a while.
    pub(crate) fn pause(&self) {
        self.table.pause_until(now_ms() + PAUSE.as_millis() as u64);
    }

    /// Nothing more is put here. False if that was so already.
    pub(crate) fn close(&self) -> bool {
        self.table.pause_until(u64::MAX) < u64::MAX
    }

    /// Gives back the memory of what was put out; of everything, if it pauses. False if some of it is in use just now: to be
    /// called again. Only the parent calls this.
    #[must_use]
    pub(crate) fn give_back(&self) -> bool {
        let is_paused = self.table.is_paused(now_ms());
        // Never a part of it: pages in a socket's queue are these pages, and what is cut off within one is filled with zeros.
        let empty = |slot: usize| self.files[slot].set_len(0).is_ok();
        self.table.give_back(is_paused, empty)
    }
}

/// The cache in the hands of one worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheReader<'c> {
    cache: &'c EncodedCache,
    reader: u32,
}

impl<'c> CacheReader<'c> {
    /// Where the file is, or is to be put. None for the first use of a file, and for one that is not to be put here now.
    pub(crate) fn look_up(&self, key: &FileKey) -> Option<Entry> {
        let EncodedCache { table, .. } = self.cache;
        let now_ms = now_ms();
        if key.len() < FILE_LEN_MIN || table.is_paused(now_ms) {
            return None;
        }
        if let Some(entry) = table.find(key) {
            table.touch(&entry, now_ms);
            return Some(entry);
        }
        let now = ClockId::CLOCK_REALTIME.now().ok()?;
        let last_ms = table.last_use(key, now_ms)?;
        if !key.is_settled(now.into()) {
            return None;
        }
        table.admit(key, self.reader, last_ms, now_ms)
    }

    /// Whether a piece seems to be there.
    pub(crate) fn has(&self, entry: &Entry, piece: usize) -> bool {
        self.cache.table.has(entry, piece)
    }

    /// Holds the file's slot while something is read from it or written to it. None if it is another file's by now.
    pub(crate) fn hold(&self, entry: &Entry) -> Option<HeldFile<'c>> {
        let EncodedCache { table, files, .. } = self.cache;
        Some(HeldFile {
            text_len: base64::encoded_len(entry.key.len()),
            file: &files[entry.slot],
            held: table.hold(entry, self.reader)?,
            cache: self.cache,
        })
    }
}

/// A file's slot that stays the file's.
#[derive(Debug)]
pub(crate) struct HeldFile<'c> {
    file: &'c File,
    /// Of the whole file.
    text_len: u64,
    held: Held<'c>,
    cache: &'c EncodedCache,
}

impl<'c> HeldFile<'c> {
    /// Where the text is: that of piece n begins at n times [`PIECE_TEXT_LEN`].
    pub(crate) fn text(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The CRC-32 of a piece's content; none if the piece is not there.
    pub(crate) fn crc32_of(&self, piece: usize) -> Option<u32> {
        self.held.crc32_of(piece)
    }

    /// The right to put a piece there, if it is missing and nobody else is about to.
    pub(crate) fn lease(self, piece: usize) -> Option<Filling<'c>> {
        let lease = self.held.lease(piece)?;
        Some(Filling {
            lease,
            piece,
            held: self,
        })
    }
}

/// A piece that is about to be put there.
#[derive(Debug)]
pub(crate) struct Filling<'c> {
    lease: table::Lease<'c>,
    piece: usize,
    held: HeldFile<'c>,
}

impl Filling<'_> {
    /// Puts it there. If that cannot be done, there is no cache from now on.
    pub(crate) fn fill(self, text: &[u8], crc32: u32) {
        let at = self.piece as u64 * PIECE_TEXT_LEN as u64;
        match self.held.file.write_all_at(text, at) {
            Ok(()) => {
                self.begin_large_page(at);
                self.lease.publish(crc32);
            }
            Err(error) => self.held.cache.fail(&error),
        }
    }

    /// If a large page begins here that the text will fill. As it has to be, nobody has sent anything of it yet, unless
    /// somebody has filled a later piece first: the small pages stay then.
    fn begin_large_page(&self, at: u64) {
        let HeldFile {
            file,
            text_len,
            cache,
            ..
        } = &self.held;
        let len = sys::LARGE_PAGE_LEN as u64;
        if at.is_multiple_of(len)
            && at + len <= *text_len
            && cache.has_large_pages.load(Ordering::Relaxed)
            && let Err(error) = sys::make_large_page(file, at)
            && error != Errno::EAGAIN
        {
            cache.has_large_pages.store(false, Ordering::Relaxed);
        }
    }
}

impl EncodedCache {
    fn fail(&self, error: &io::Error) {
        if self.close() {
            tracing::warn!(
                error = words::plain(error),
                "--encoded-cache: its memory cannot be written; going on without a cache"
            );
        }
    }
}

/// By a clock that all processes share and that costs no system call.
fn now_ms() -> u64 {
    let now = ClockId::CLOCK_MONOTONIC_COARSE.now();
    now.map_or(0, |now| Duration::from(now).as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of that length, changed and named anew at these times.
    fn key(len: u64, mtime: (u64, u64), ctime: (u64, u64)) -> FileKey {
        FileKey([1, 2, len, mtime.0, mtime.1, ctime.0, ctime.1])
    }

    #[test]
    fn a_file_has_settled_two_seconds_after_its_last_change_of_any_kind() {
        let check = |mtime, ctime, want| {
            let is_settled = key(9, mtime, ctime).is_settled(Duration::new(100, 5));
            assert_eq!(is_settled, want, "{mtime:?} {ctime:?}");
        };
        check((98, 5), (98, 5), true);
        check((98, 6), (98, 5), false);
        check((98, 5), (98, 6), false);
        check((0, 0), (0, 0), true);
        // A file from the future, and one whose time cannot be.
        check((3000, 0), (98, 0), false);
        check((98, 0), (u64::MAX, u64::MAX), false);
    }

    #[test]
    fn a_file_is_rewritten_if_its_content_was_changed_and_has_not_grown() {
        let check = |(len, mtime, ctime), want| {
            let before = key(9, (5, 5), (6, 6));
            let now = key(len, mtime, ctime);
            assert_eq!(now.is_rewritten_since(&before), want, "{now:?}");
        };
        check((9, (5, 5), (6, 6)), false);
        // Replaced, or its mode was changed.
        check((9, (5, 5), (7, 6)), false);
        check((9, (5, 6), (7, 6)), true);
        // Set back afterwards.
        check((9, (4, 5), (7, 6)), true);
        check((8, (5, 5), (6, 6)), true);
        check((10, (7, 6), (7, 6)), false);
    }

    #[test]
    fn a_large_page_has_what_was_there_and_what_is_written_later() {
        let file = sys::memory_file("test").unwrap();
        let text: Vec<u8> = (0..=u8::MAX).cycle().take(sys::LARGE_PAGE_LEN).collect();
        let (first, rest) = text.split_at(PIECE_TEXT_LEN);
        let start = sys::LARGE_PAGE_LEN as u64;
        file.write_all_at(first, start).unwrap();
        match sys::make_large_page(&file, start) {
            Ok(()) => assert_eq!(file.metadata().unwrap().blocks() * 512, start),
            Err(error) => assert!(
                [Errno::EINVAL, Errno::ENOMEM, Errno::EBUSY, Errno::EAGAIN].contains(&error),
                "{error}"
            ),
        }
        assert_eq!(file.metadata().unwrap().len(), start + first.len() as u64);
        file.write_all_at(rest, start + first.len() as u64).unwrap();
        let mut back = vec![0; text.len()];
        file.read_exact_at(&mut back, start).unwrap();
        assert!(back == text);
        file.set_len(0).unwrap();
        assert_eq!(file.metadata().unwrap().blocks(), 0);
    }
}
