//! What is transferred: contents that come from a seed, are streamed and never held, and the names they go by.

pub(crate) mod files;
pub(crate) mod served;
pub(crate) mod workdir;

use std::io::{self, Read, Write};
use std::sync::Arc;

use proto::FileName;
use stress_data::matrix::Operation;
pub(crate) use stress_data::schedule::split_mix;

/// The period after which a content repeats itself but for its stamps.
const BLOCK_LEN: usize = 64 << 10;
/// The bytes at the start of each block that no other block has.
const STAMP_LEN: usize = 16;

/// A seed's contents. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Corpus {
    base: Arc<[u8]>,
}

/// Which content of a corpus: two salts, two contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(u64);

impl Salt {
    /// Of the file that all clients download.
    pub const DOWNLOAD: Self = Self(u64::MAX);

    /// Of what `client` sends as its upload number `request`.
    pub const fn upload(client: u32, request: u32) -> Self {
        Self((client as u64) << 32 | request as u64)
    }
}

impl Corpus {
    /// The contents that `seed` gives.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        let base = std::iter::repeat_with(|| split_mix(&mut state).to_le_bytes())
            .take(BLOCK_LEN / 8)
            .flatten()
            .collect();
        Self { base }
    }

    /// `len` bytes. Every block is the same 64 KiB but for its first 16 bytes, which say whose and which it is:
    /// so no two blocks are equal and a lost, doubled or misplaced one shows, and yet making a content costs
    /// little more than copying it. A generator run over every byte would compete with the measured transfer
    /// for the processor.
    pub fn content(&self, salt: Salt, len: u64) -> Content {
        Content {
            base: Arc::clone(&self.base),
            salt,
            position: 0,
            len,
        }
    }
}

/// A content on its way.
#[derive(Debug)]
pub struct Content {
    base: Arc<[u8]>,
    salt: Salt,
    position: u64,
    len: u64,
}

impl Content {
    /// Fills as much of `out` as there is content left, and says how much that was.
    fn fill(&mut self, out: &mut [u8]) -> usize {
        let left = self.len - self.position;
        let wanted_len = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        let mut filled_len = 0;
        while filled_len < wanted_len {
            let index = self.position / BLOCK_LEN as u64;
            // Less than a block: it fits.
            let offset = (self.position % BLOCK_LEN as u64) as usize;
            let piece_len = (wanted_len - filled_len).min(BLOCK_LEN - offset);
            let piece = &mut out[filled_len..][..piece_len];
            piece.copy_from_slice(&self.base[offset..][..piece_len]);
            if offset < STAMP_LEN {
                let stamp = &self.stamp(index)[offset..];
                let stamp_len = stamp.len().min(piece_len);
                piece[..stamp_len].copy_from_slice(&stamp[..stamp_len]);
            }
            filled_len += piece_len;
            self.position += piece_len as u64;
        }
        filled_len
    }

    fn stamp(&self, index: u64) -> [u8; STAMP_LEN] {
        let mut stamp = [0; STAMP_LEN];
        stamp[..8].copy_from_slice(&self.salt.0.to_le_bytes());
        stamp[8..].copy_from_slice(&index.to_le_bytes());
        stamp
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Ok(self.fill(out))
    }
}

/// A sink that compares what it is given with the content that should come.
#[derive(Debug)]
pub(crate) struct Comparison {
    expected: Content,
    piece: Vec<u8>,
    is_equal: bool,
}

impl Comparison {
    /// Nothing has been compared yet.
    pub(crate) fn with(expected: Content) -> Self {
        Self {
            expected,
            piece: vec![0; BLOCK_LEN],
            is_equal: true,
        }
    }

    /// Whether all of the content came, and nothing else.
    pub(crate) const fn is_equal(&self) -> bool {
        self.is_equal && self.expected.position == self.expected.len
    }
}

impl Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for given in bytes.chunks(BLOCK_LEN) {
            let expected = &mut self.piece[..given.len()];
            self.is_equal &= self.expected.fill(expected) == given.len() && expected == given;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The name under which `client` downloads. Published servers lower-case names, hide those without a dot, and
/// write every `*.txt` to one file: these names are safe from all of that.
pub(crate) fn download_name(client: u32) -> FileName {
    name(&format!("d{client:04}.bin"))
}

/// The name under which `client` stores its upload number `request`.
pub(crate) fn upload_name(client: u32, request: u32) -> FileName {
    name(&format!("u{client:04}-{request}.bin"))
}

/// Whose file of a name it is that clients ask for, or store, in a row of `operation`.
pub(crate) fn client_of(name: &str, operation: Operation) -> Option<u32> {
    let number = match operation {
        Operation::Download => name.strip_prefix('d')?.strip_suffix(".bin")?,
        Operation::Upload => name.strip_prefix('u')?.split_once('-')?.0,
        Operation::List => return None,
    };
    number.parse().ok()
}

/// The name under which the slow client `number` stores its upload.
pub(crate) fn slow_name(number: u32) -> FileName {
    name(&format!("slow{number:04}.bin"))
}

/// The name in the head of an upload that a stalled client does not finish.
pub(crate) fn stalled_name() -> FileName {
    name("stalled.bin")
}

/// The names in the root of a list row of `len` files, sorted by bytes.
pub(crate) fn list_names(len: u64) -> Vec<String> {
    let mut names: Vec<String> = (0..len).map(|index| format!("l{index:04}.bin")).collect();
    names.sort_unstable();
    names
}

/// A name that is right.
pub(crate) fn name(text: &str) -> FileName {
    text.parse().expect("letters, digits and a dot make a name")
}

#[cfg(test)]
mod tests;
