//! Which file is in which slot, which of its pieces are there, and who is using it: words of shared memory and rules,
//! without a descriptor.
//!
//! Three rules keep a reply from being wrong, also when a process is killed at any point:
//!
//! 1. A slot's state changes with everything that becomes of it, and never comes back. Who uses a slot compares it.
//! 2. A reader writes the slot's number into its own word before it compares, and clears the word after it has used the
//!    slot's bytes. A slot's state is changed, which takes the slot from its file, before the words are looked at: it is
//!    emptied only if no word names it. So of both at least one sees the other.
//! 3. A piece's bytes are written by the holder of its lease alone, before the piece is said to be there.
//!
//! Nobody waits: what is taken is left alone. Workers take slots from files, and the parent empties them
//! ([`Table::give_back`]): to free 133 MiB takes the kernel 12 ms, in which a worker with many connections would serve none
//! of them. A dead process's words and leases are cleared by the parent as well ([`Table::clear_dead`]). It compares what
//! workers wrote and does nothing else with it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::FileKey;
use crate::sys;

/// How many files can be there at once.
pub(super) const SLOTS: usize = 16;

/// Content in a piece: a multiple of 3, so that every piece encodes without a rest.
pub(crate) const PIECE_LEN: usize = 96 << 10;

/// The same once encoded.
pub(crate) const PIECE_TEXT_LEN: usize = PIECE_LEN / 3 * 4;

/// A file that was asked for so recently is not put out for another. Nor is one for another that is asked for less often:
/// where more files are asked for in turns than fit, some stay, instead of each being put out before it is of use.
const KEPT_MS: u64 = 1000;

/// How many files are remembered as used once: a word each, of a part of what the file is known by and the time.
const SEEN: usize = 256;
const SEEN_TIME: u64 = u32::MAX as u64;

/// The words before the slots.
const KEEPER: usize = 0;
const USED_READERS: usize = 1;
const PAUSED_UNTIL_MS: usize = 2;
const SEEN_START: usize = 8;
const SLOTS_START: usize = SEEN_START + SEEN;

/// The words of a slot.
const STATE: usize = 0;
const BYTES: usize = 1;
const USED_AT_MS: usize = 2;
const KEY: usize = 3;
const PIECES: usize = KEY + FileKey::WORDS;

/// Words from one reader's to the next: a cache line.
const READER_WORDS: usize = 8;

/// The parent, where a reader has its number.
pub(super) const PARENT: u32 = u32::MAX - 1;

/// The lowest bit of a state: there is a file in the slot.
const LIVE: u64 = 1;

/// What a piece's word is beside 0, which says that the piece is missing.
const LEASED: u64 = 1 << 62;
const READY: u64 = 2 << 62;

#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    words: &'static [AtomicU64],
    slot_words: usize,
    bytes_max: u64,
}

/// A file that was found in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(super) slot: usize,
    state: u64,
    /// The file as it was when its first piece was put there.
    pub(crate) key: FileKey,
}

/// The slot of an entry, which nobody empties meanwhile.
#[derive(Debug)]
pub(super) struct Held<'t> {
    table: &'t Table,
    slot: usize,
    reader: u32,
}

/// The right to write one piece. Dropped, the piece is missing as before.
#[derive(Debug)]
pub(super) struct Lease<'t> {
    word: &'t AtomicU64,
    leased: u64,
}

/// The right to change what the slots hold.
struct Keeper<'t>(&'t AtomicU64);

impl Table {
    /// Empty slots, shared with every process forked from now on.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub(super) fn new(bytes_max: u64, readers: u32) -> nix::Result<Self> {
        let pieces = usize::try_from(bytes_max / PIECE_TEXT_LEN as u64 + 1).unwrap_or(usize::MAX);
        let slot_words = (PIECES + pieces).next_multiple_of(8);
        let len = SLOTS_START + SLOTS * slot_words + readers as usize * READER_WORDS;
        Ok(Self {
            words: sys::shared_words(len)?,
            slot_words,
            bytes_max,
        })
    }

    pub(super) const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// What the slots may hold now.
    pub(super) fn bytes(&self) -> u64 {
        (0..SLOTS)
            .map(|slot| self.bytes_of(slot))
            .fold(0, u64::saturating_add)
    }

    /// Readers below `end`, at least, may be using something. Only the parent calls this.
    pub(super) fn use_readers(&self, end: u32) {
        self.words[USED_READERS].fetch_max(u64::from(end), SeqCst);
    }

    /// Nothing is put into a slot before then. Says until when it was so before.
    pub(super) fn pause_until(&self, at_ms: u64) -> u64 {
        self.words[PAUSED_UNTIL_MS].fetch_max(at_ms, SeqCst)
    }

    pub(super) fn is_paused(&self, now_ms: u64) -> bool {
        now_ms < self.words[PAUSED_UNTIL_MS].load(SeqCst)
    }

    /// When the file was used before, if it was; the next time it is now. Of files that were used long ago it is forgotten.
    pub(super) fn last_use(&self, key: &FileKey, now_ms: u64) -> Option<u64> {
        let hash = key.hash();
        let word = &self.words[SEEN_START + hash as usize % SEEN];
        let before = word.swap(hash & !SEEN_TIME | now_ms & SEEN_TIME, SeqCst);
        let ago_ms = now_ms.wrapping_sub(before) & SEEN_TIME;
        ((before ^ hash) & !SEEN_TIME == 0).then(|| now_ms.saturating_sub(ago_ms))
    }

    pub(super) fn find(&self, key: &FileKey) -> Option<Entry> {
        (0..SLOTS).find_map(|slot| {
            let state = self.slot(slot)[STATE].load(SeqCst);
            let is_it = || {
                (0..FileKey::WORDS).all(|at| self.slot(slot)[KEY + at].load(SeqCst) == key.0[at])
            };
            let entry = Entry {
                slot,
                state,
                key: *key,
            };
            // Read between two looks at the same state, the key is the state's.
            (state & LIVE != 0 && is_it() && self.is_current(&entry)).then_some(entry)
        })
    }

    /// Finds a slot for the file, which was used at `last_ms` before. Where there is none, files that have not been used
    /// since then are put out, so that there is one when the parent has given their memory back.
    pub(super) fn admit(
        &self,
        key: &FileKey,
        reader: u32,
        last_ms: u64,
        now_ms: u64,
    ) -> Option<Entry> {
        let bytes = proto::base64::encoded_len(key.len());
        if bytes > self.bytes_max {
            return None;
        }
        let _keeper = self.keep(reader)?;
        if self.is_paused(now_ms) {
            return None;
        }
        if let Some(entry) = self.find(key) {
            return Some(entry);
        }
        let free = (0..SLOTS).find(|slot| self.bytes_of(*slot) == 0);
        if let Some(slot) = free
            && self.bytes().saturating_add(bytes) <= self.bytes_max
        {
            return Some(self.install(slot, key, bytes, now_ms));
        }
        self.put_out_for(bytes, last_ms.min(now_ms.saturating_sub(KEPT_MS)));
        None
    }

    /// Takes slots from the files that were used least recently, as many as it takes for `bytes` more; none if for that
    /// one would have to go that was used after `since_ms`.
    fn put_out_for(&self, bytes: u64, since_ms: u64) {
        let used_at_ms = |slot: usize| self.slot(slot)[USED_AT_MS].load(SeqCst);
        let mut live: Vec<usize> = (0..SLOTS).filter(|slot| self.is_live(*slot)).collect();
        live.sort_by_key(|slot| std::cmp::Reverse(used_at_ms(*slot)));
        let bytes_of = live.iter().map(|slot| self.bytes_of(*slot));
        let mut left = bytes_of.fold(0, u64::saturating_add);
        let has_room = |live: &[usize], left: u64| {
            live.len() < SLOTS && left.saturating_add(bytes) <= self.bytes_max
        };
        let mut out = Vec::new();
        while !has_room(&live, left) {
            let Some(slot) = live.pop() else { return };
            if used_at_ms(slot) > since_ms {
                return;
            }
            left = left.saturating_sub(self.bytes_of(slot));
            out.push(slot);
        }
        out.into_iter().for_each(|slot| self.take_from_file(slot));
    }

    fn take_from_file(&self, slot: usize) {
        let state = &self.slot(slot)[STATE];
        let was = state.load(SeqCst);
        if was & LIVE != 0 {
            state.store((was & !LIVE) + 2, SeqCst);
        }
    }

    /// The slot is empty, and nobody's.
    fn install(&self, slot: usize, key: &FileKey, bytes: u64, now_ms: u64) -> Entry {
        let words = self.slot(slot);
        // A worker that is killed from here on leaves a slot without a file, which the parent empties.
        words[BYTES].store(bytes, SeqCst);
        for piece in &words[PIECES..PIECES + pieces_of(bytes)] {
            piece.store(0, SeqCst);
        }
        for (word, value) in words[KEY..].iter().zip(key.0) {
            word.store(value, SeqCst);
        }
        words[USED_AT_MS].store(now_ms, SeqCst);
        let state = words[STATE].load(SeqCst) | LIVE;
        words[STATE].store(state, SeqCst);
        Entry {
            slot,
            state,
            key: *key,
        }
    }

    /// Gives back the memory of slots that were taken from their files; of all, if so asked. False if some of it is in
    /// use: to be called again. Only the parent calls this; `empty` gives a slot's memory back.
    pub(super) fn give_back(&self, of_all: bool, empty: impl Fn(usize) -> bool) -> bool {
        let is_to_go = |slot: &usize| self.bytes_of(*slot) > 0 && (of_all || !self.is_live(*slot));
        if !(0..SLOTS).any(|slot| is_to_go(&slot)) {
            return true;
        }
        // So that no slot is seen between its being free and its being a file's.
        let Some(_keeper) = self.keep(PARENT) else {
            return false;
        };
        let give_back = |slot: usize| {
            self.take_from_file(slot);
            let named = slot as u64 + 1;
            let is_in_use = self.readers().any(|word| word.load(SeqCst) == named);
            let is_empty = !is_in_use && empty(slot);
            if is_empty {
                self.slot(slot)[BYTES].store(0, SeqCst);
            }
            is_empty
        };
        // Each of them, whatever becomes of the others.
        (0..SLOTS)
            .filter(is_to_go)
            .filter(|slot| !give_back(*slot))
            .count()
            == 0
    }

    /// Readers in `dead` are no more: what they held is free.
    pub(super) fn clear_dead(&self, dead: std::ops::Range<u32>) {
        for slot in 0..SLOTS {
            let pieces = pieces_of(self.bytes_of(slot).min(self.bytes_max));
            for piece in &self.slot(slot)[PIECES..PIECES + pieces] {
                let word = piece.load(SeqCst);
                let is_leased = word & READY == 0 && word & LEASED != 0;
                if is_leased && dead.contains(&((word & u64::from(u32::MAX)) as u32)) {
                    let _ = piece.compare_exchange(word, 0, SeqCst, SeqCst);
                }
            }
        }
        for reader in dead {
            let _ = self.words[KEEPER].compare_exchange(u64::from(reader) + 1, 0, SeqCst, SeqCst);
            self.reader(reader).store(0, SeqCst);
        }
    }

    /// Keeps the slot of `entry` from being emptied until what is returned is dropped. None if it is another file's by
    /// now. A reader holds one slot at a time.
    pub(super) fn hold(&self, entry: &Entry, reader: u32) -> Option<Held<'_>> {
        let word = self.reader(reader);
        debug_assert_eq!(word.load(SeqCst), 0, "a reader holds one slot at a time");
        word.store(entry.slot as u64 + 1, SeqCst);
        let held = Held {
            table: self,
            slot: entry.slot,
            reader,
        };
        if !self.is_current(entry) {
            return None;
        }
        Some(held)
    }

    /// The file is asked for once more. That it goes on being sent is no use of it: a slow reader would keep others out.
    pub(super) fn touch(&self, entry: &Entry, now_ms: u64) {
        self.slot(entry.slot)[USED_AT_MS].store(now_ms, SeqCst);
    }

    /// Whether the slot is still the entry's.
    pub(super) fn is_current(&self, entry: &Entry) -> bool {
        self.slot(entry.slot)[STATE].load(SeqCst) == entry.state
    }

    /// Whether a piece is there, as far as can be told without holding the slot.
    pub(super) fn has(&self, entry: &Entry, piece: usize) -> bool {
        self.is_current(entry)
            && crc_of(self.slot(entry.slot)[PIECES + piece].load(SeqCst)).is_some()
    }

    fn keep(&self, reader: u32) -> Option<Keeper<'_>> {
        let word = &self.words[KEEPER];
        let taken = word.compare_exchange(0, u64::from(reader) + 1, SeqCst, SeqCst);
        taken.is_ok().then(|| Keeper(word))
    }

    fn slot(&self, slot: usize) -> &'static [AtomicU64] {
        let start = SLOTS_START + slot * self.slot_words;
        &self.words[start..start + self.slot_words]
    }

    fn is_live(&self, slot: usize) -> bool {
        self.slot(slot)[STATE].load(SeqCst) & LIVE != 0
    }

    /// What a slot may hold: more than 0 also without a file, until its memory was given back.
    fn bytes_of(&self, slot: usize) -> u64 {
        self.slot(slot)[BYTES].load(SeqCst)
    }

    fn reader(&self, reader: u32) -> &'static AtomicU64 {
        &self.words[SLOTS_START + SLOTS * self.slot_words + reader as usize * READER_WORDS]
    }

    fn readers(&self) -> impl Iterator<Item = &'static AtomicU64> {
        let used = usize::try_from(self.words[USED_READERS].load(SeqCst)).unwrap_or(usize::MAX);
        let words = &self.words[SLOTS_START + SLOTS * self.slot_words..];
        words.iter().step_by(READER_WORDS).take(used)
    }
}

impl<'t> Held<'t> {
    /// The CRC-32 of a piece's content; none if the piece is not there.
    pub(super) fn crc32_of(&self, piece: usize) -> Option<u32> {
        crc_of(self.piece(piece).load(SeqCst))
    }

    /// The right to write a piece that is missing; none if it is not, or somebody else writes it.
    pub(super) fn lease(&self, piece: usize) -> Option<Lease<'t>> {
        let word = self.piece(piece);
        let leased = LEASED | u64::from(self.reader);
        let taken = word.compare_exchange(0, leased, SeqCst, SeqCst);
        taken.is_ok().then_some(Lease { word, leased })
    }

    fn piece(&self, piece: usize) -> &'t AtomicU64 {
        &self.table.slot(self.slot)[PIECES + piece]
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.table.reader(self.reader).store(0, SeqCst);
    }
}

impl Lease<'_> {
    /// The piece's bytes are written: it is there, with this CRC-32 of its content.
    pub(super) fn publish(self, crc32: u32) {
        let ready = READY | u64::from(crc32);
        let _ = self
            .word
            .compare_exchange(self.leased, ready, SeqCst, SeqCst);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let _ = self.word.compare_exchange(self.leased, 0, SeqCst, SeqCst);
    }
}

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        self.0.store(0, SeqCst);
    }
}

/// How many pieces a text of so many bytes has.
fn pieces_of(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(PIECE_TEXT_LEN as u64)).unwrap_or(usize::MAX)
}

fn crc_of(word: u64) -> Option<u32> {
    (word & READY != 0).then_some((word & u64::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests;
