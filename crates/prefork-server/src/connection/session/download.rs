//! A download: the file piece by piece, each encoded here or sent from where it is encoded already.
//!
//! A piece is begun from the cache only if the file is at that moment still what it was when it was opened. So each
//! piece is what the file held when it was begun, as it is without a cache. What has been begun is ended from the cache
//! too; if it is gone from there, it is encoded here, and goes on behind what was sent of it. A reply of several pieces is
//! ended only if the file was not changed in place meanwhile: the pieces would be of different contents, under a valid
//! CRC. One that was replaced by a rename is still read as it was.

use std::io;
use std::os::fd::BorrowedFd;

use proto::{Verb, base64, reply};

use super::booking::Answer;
use super::{Failure, Outcome, Session, Task};
use crate::shared::encoded_cache::{
    CacheReader, Entry, Filling, HeldFile, PIECE_LEN, PIECE_TEXT_LEN,
};
use crate::shared::scoreboard::{ConnectionEnd, Field};
use crate::store::{Download, StoreError};

/// How many pieces are sent at once: 256 KiB, beyond which a call that goes on and on is not faster.
const PIECES_AT_ONCE: usize = 2;

/// A file on its way out.
#[derive(Debug)]
pub(super) struct Downloading {
    file: Download,
    /// Content of which all is sent, or is in the output.
    offset: u64,
    crc: crc32fast::Hasher,
    cached: Option<Cached>,
}

/// A file that is in the cache, or is to be put there.
#[derive(Debug)]
struct Cached {
    entry: Entry,
    /// The next piece is there.
    is_next: bool,
    /// How much of the next piece's text was sent from there.
    sent_len: usize,
    /// The CRC-32s of the pieces that are being sent, the next one first.
    crcs: [u32; PIECES_AT_ONCE],
}

impl Session<'_> {
    pub(super) fn begin_download(&mut self, file: Download) {
        let entry = self.cache.and_then(|cache| cache.look_up(file.key()));
        self.task = Task::Download(Downloading {
            offset: 0,
            crc: crc32fast::Hasher::new(),
            cached: entry.map(Cached::new),
            file,
        });
        self.continue_download();
    }

    /// Has the next piece sent from the cache, or encodes it.
    pub(super) fn continue_download(&mut self) {
        let Task::Download(download) = &mut self.task else {
            return;
        };
        let piece = download.piece();
        let is_at_end = download.offset == download.file.len();
        if let (Some(cached), Some(cache)) = (&mut download.cached, self.cache) {
            cached.is_next = !is_at_end && cache.has(&cached.entry, piece);
        }
        if !self.sends_encoded() {
            self.encode_next_piece();
        }
    }

    /// Whether the next of the reply is to be sent by [`Session::send_encoded`], after the output.
    pub fn sends_encoded(&self) -> bool {
        match &self.task {
            Task::Download(download) => download
                .cached
                .as_ref()
                .is_some_and(|cached| cached.is_next),
            Task::None | Task::Upload { .. } | Task::Discard(_) | Task::Listing(_) => false,
        }
    }

    /// Has `send` send a range of a file, and returns what it says. 0 if there is nothing to be sent any more.
    ///
    /// # Errors
    /// What `send` says.
    pub fn send_encoded(
        &mut self,
        send: impl FnOnce(BorrowedFd<'_>, u64, usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let (Task::Download(download), Some(cache)) = (&mut self.task, self.cache) else {
            return Ok(0);
        };
        match self.slot.in_store(|| download.next_range(cache)) {
            // Held until it is sent.
            Some((held, start, len)) => send(held.text(), start, len),
            None => Ok(0),
        }
    }

    /// So much of what [`Session::send_encoded`] sends is sent. If that is nothing, the reply goes on without the cache.
    pub fn sent_encoded(&mut self, len: usize) {
        let Task::Download(download) = &mut self.task else {
            return;
        };
        match len {
            0 => self.encode_next_piece(),
            len => {
                download.sent_from_cache(len);
                self.slot.add(Field::SentFromCacheBytes, len as u64);
            }
        }
        self.advance();
    }

    /// Encodes the next piece of the file; the last one with the reply's end.
    fn encode_next_piece(&mut self) {
        let Task::Download(download) = &mut self.task else {
            return;
        };
        let left = download.file.len() - download.offset;
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_LEN);
        let content = &mut self.buffers.content[..len];
        let out = &mut self.buffers.output;
        let start = out.len();
        let (filling, sent) = download.place_in_cache(self.cache);
        let read = || download.file.read_exact_at(content, download.offset);
        if let Err(error) = self.slot.in_store(read) {
            drop(filling);
            // Of a reply that is still in the output nothing is out.
            return match download.offset {
                0 if start > 0 => self.fail_before_it_began(error),
                offset => self.break_off(offset, error),
            };
        }
        encode_piece(content, out);
        let mut crc = crc32fast::Hasher::new();
        crc.update(content);
        let crc32 = crc.clone().finalize();
        if let Some((sent_len, sent_crc32)) = sent {
            if crc32 != sent_crc32 {
                let offset = download.offset;
                return self.break_off(offset, changed());
            }
            self.sent = sent_len;
        }
        if let Some(filling) = filling
            && self.slot.in_store(|| download.file.is_unchanged())
        {
            filling.fill(&out[start..], crc32);
        }
        download.crc.combine(&crc);
        download.offset += len as u64;
        if download.offset == download.file.len() {
            let size = download.offset;
            let is_in_pieces = size > PIECE_LEN as u64;
            if is_in_pieces && self.slot.in_store(|| download.file.is_rewritten()) {
                return self.break_off(size, changed());
            }
            reply::encode_get_end(out, size, download.crc.clone().finalize());
            self.task = Task::None;
            self.answer(Answer::Ok(Verb::Get, size));
        }
    }

    /// A download whose file cannot even begin to be read: of its reply nothing is out yet.
    fn fail_before_it_began(&mut self, error: io::Error) {
        self.buffers.output.clear();
        self.fail(error.into());
    }

    /// A part of the reply is out: leaving it without its terminator says that it is none.
    pub(super) fn break_off(&mut self, offset: u64, error: impl Into<StoreError>) {
        let error = error.into();
        let code = error.code();
        self.failure = Some(Failure {
            verb: self.verb,
            name: self.name.clone(),
            error,
            is_broken_off: true,
        });
        self.slot.add(Field::Error(code), 1);
        self.slot.add(Field::SentError(code), 1);
        self.finish(offset, Outcome::Error(code));
        self.request_open = false;
        self.cut(None, ConnectionEnd::Closed);
    }
}

impl Downloading {
    /// How much content has been moved.
    pub(super) const fn moved_bytes(&self) -> u64 {
        self.offset
    }

    fn piece(&self) -> usize {
        usize::try_from(self.offset / PIECE_LEN as u64).unwrap_or(usize::MAX)
    }

    /// What can be sent from the cache now: where it is, and how much. None if nothing can be.
    fn next_range<'c>(&mut self, cache: CacheReader<'c>) -> Option<(HeldFile<'c>, u64, usize)> {
        let first = self.piece();
        let cached = self.cached.as_mut()?;
        let held = cache.hold(&cached.entry)?;
        let is_unchanged = self.file.is_unchanged();
        let mut len = 0;
        for (n, crc32) in cached.crcs.iter_mut().enumerate() {
            let is_begun = n == 0 && cached.sent_len > 0;
            let text_len = text_len(&self.file, first + n);
            if text_len == 0 || !(is_begun || is_unchanged) {
                break;
            }
            let Some(of_piece) = held.crc32_of(first + n) else {
                break;
            };
            *crc32 = of_piece;
            len += text_len;
        }
        let start = first as u64 * PIECE_TEXT_LEN as u64 + cached.sent_len as u64;
        (len > 0).then(|| (held, start, len - cached.sent_len))
    }

    fn sent_from_cache(&mut self, mut len: usize) {
        while len > 0 {
            let piece = self.piece();
            let Some(cached) = &mut self.cached else {
                return;
            };
            let rest = text_len(&self.file, piece) - cached.sent_len;
            if len < rest {
                cached.sent_len += len;
                return;
            }
            let content_len = piece_len(&self.file, piece) as u64;
            let [crc32, ..] = cached.crcs;
            self.crc
                .combine(&crc32fast::Hasher::new_with_initial_len(crc32, content_len));
            self.offset += content_len;
            cached.sent_len = 0;
            cached.crcs.rotate_left(1);
            len -= rest;
        }
    }

    /// The next piece is encoded here: the right to put it into the cache, if it is to be there; and how much of it was
    /// sent from there, with the CRC-32 of its content. What could not be sent from there goes on without the cache.
    fn place_in_cache<'c>(
        &mut self,
        cache: Option<CacheReader<'c>>,
    ) -> (Option<Filling<'c>>, Option<(usize, u32)>) {
        let piece = self.piece();
        let (Some(cached), Some(cache)) = (&self.cached, cache) else {
            return (None, None);
        };
        let sent = (cached.sent_len > 0).then_some((cached.sent_len, cached.crcs[0]));
        if sent.is_some() || cached.is_next || self.offset == self.file.len() {
            self.cached = None;
            return (None, sent);
        }
        let held = cache.hold(&cached.entry);
        (held.and_then(|held| held.lease(piece)), None)
    }
}

impl Cached {
    fn new(entry: Entry) -> Self {
        Self {
            entry,
            is_next: false,
            sent_len: 0,
            crcs: [0; PIECES_AT_ONCE],
        }
    }
}

/// The log has its own words for it.
fn changed() -> io::Error {
    io::Error::other("the file was changed in place")
}

/// Content in a piece of the file: 0 behind its end.
fn piece_len(file: &Download, piece: usize) -> usize {
    let left = file.len().saturating_sub(piece as u64 * PIECE_LEN as u64);
    usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_LEN)
}

/// The same once encoded.
fn text_len(file: &Download, piece: usize) -> usize {
    base64::encoded_len(piece_len(file, piece) as u64) as usize
}

/// Pieces are whole groups of three but for a file's last, so no state goes from one to the next.
fn encode_piece(piece: &[u8], out: &mut Vec<u8>) {
    let mut encoder = base64::Encoder::new();
    encoder.encode(piece, out);
    encoder.finish(out);
}
