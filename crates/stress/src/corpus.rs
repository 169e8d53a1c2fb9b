//! Contents and names: what clients send, and what they must get.
//!
//! Content is generated from a seed while it is read, and never held. A block of noise repeats, but each time
//! its first 16 bytes say whose content it is and which block of it: no two blocks are alike, so that a block
//! lost, repeated, moved or taken from another client's file changes the checksum. That makes a generator as
//! fast as a copy, where fresh noise for every byte would cost the clients a third of their time.

use std::io::{self, Read};

use crate::matrix::{Cell, Operation};

/// The length of the block of noise.
const BLOCK_LEN: usize = 64 << 10;

/// The length of the files that fill the root of a list cell.
pub const LIST_FILE_LEN: u64 = 64 << 10;

/// A stream of content: the same for the same seed, salt and length.
#[derive(Debug)]
pub struct Content {
    block: Box<[u8]>,
    salt: u64,
    len: u64,
    offset: u64,
}

impl Content {
    /// Content of `len` bytes. `salt` tells the contents of one run apart.
    #[must_use]
    pub fn new(seed: u64, salt: u64, len: u64) -> Self {
        let mut content = Self { block: noise(seed), salt, len, offset: 0 };
        content.mark(0);
        content
    }

    /// Writes the salt and the block's number over the block's start.
    fn mark(&mut self, number: u64) {
        self.block[..8].copy_from_slice(&self.salt.to_le_bytes());
        self.block[8..16].copy_from_slice(&number.to_le_bytes());
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && self.offset < self.len {
            let at = (self.offset % BLOCK_LEN as u64) as usize;
            if at == 0 {
                self.mark(self.offset / BLOCK_LEN as u64);
            }
            let left = usize::try_from(self.len - self.offset).unwrap_or(usize::MAX);
            let len = (BLOCK_LEN - at).min(buffer.len() - filled).min(left);
            buffer[filled..filled + len].copy_from_slice(&self.block[at..at + len]);
            filled += len;
            self.offset += len as u64;
        }
        Ok(filled)
    }
}

/// The CRC-32 of [`Content`] with these arguments.
#[must_use]
pub fn crc32(seed: u64, salt: u64, len: u64) -> u32 {
    // Reading content cannot fail.
    crc32_of(&mut Content::new(seed, salt, len)).map_or(0, |(_, crc32)| crc32)
}

/// Length and CRC-32 of whatever `source` holds, read in pieces.
///
/// # Errors
/// What reading says.
pub fn crc32_of(source: &mut dyn Read) -> io::Result<(u64, u32)> {
    let mut hasher = crc32fast::Hasher::new();
    let mut piece = vec![0; BLOCK_LEN * 2];
    let mut total = 0;
    loop {
        match source.read(&mut piece)? {
            0 => return Ok((total, hasher.finalize())),
            len => {
                hasher.update(&piece[..len]);
                total += len as u64;
            }
        }
    }
}

/// The salt of the one file that downloads of a volume are served from.
pub const DOWNLOAD_SALT: u64 = u64::MAX;

/// The salt of one upload.
#[must_use]
pub fn upload_salt(client: u32, request: u32) -> u64 {
    u64::from(client) << 32 | u64::from(request)
}

// Published servers lower-case names, hide names without a dot, and write every `*.txt` to one file: these
// names survive all of them, and no two clients share one.

/// The name a client downloads.
#[must_use]
pub fn download_name(client: u32) -> String {
    format!("d{client:04}.bin")
}

/// The name of one upload.
#[must_use]
pub fn upload_name(client: u32, request: u32) -> String {
    format!("u{client:04}-{request}.bin")
}

/// The names that fill the root of a list cell, sorted by bytes.
pub fn list_names(volume: u64) -> impl Iterator<Item = String> {
    (0..volume.div_ceil(LIST_FILE_LEN).max(1)).map(|number| format!("l{number:06}.bin"))
}

/// Bytes that a cell's root needs on disk at its worst, beyond the volume's source file.
#[must_use]
pub fn root_len(cell: &Cell, requests: u32) -> u64 {
    match cell.operation {
        Operation::Upload => cell.volume * u64::from(cell.clients) * u64::from(requests),
        Operation::Download | Operation::List => 0,
    }
}

/// Splitmix64, a generator of eight lines that passes BigCrush: enough for bytes without a pattern.
fn noise(seed: u64) -> Box<[u8]> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..BLOCK_LEN / 8).flat_map(|_| next().to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(seed: u64, salt: u64, len: u64) -> Vec<u8> {
        let mut all = Vec::new();
        Content::new(seed, salt, len).read_to_end(&mut all).unwrap();
        all
    }

    #[test]
    fn content_is_the_same_however_it_is_read() {
        let whole = read(7, 3, 300_001);
        assert_eq!(whole.len(), 300_001);
        let mut pieces = Vec::new();
        let mut content = Content::new(7, 3, 300_001);
        let mut piece = [0; 977];
        while let len @ 1.. = content.read(&mut piece).unwrap() {
            pieces.extend_from_slice(&piece[..len]);
        }
        assert!(pieces == whole);
        assert_eq!(crc32(7, 3, 300_001), crc32fast::hash(&whole));
    }

    #[test]
    fn seeds_salts_and_blocks_make_different_content() {
        let one = read(1, 1, 200_000);
        assert!(one != read(2, 1, 200_000));
        assert!(one != read(1, 2, 200_000));
        assert!(one[..BLOCK_LEN] != one[BLOCK_LEN..2 * BLOCK_LEN]);
    }

    #[test]
    fn a_list_cell_holds_its_volume_as_files_of_64_kib() {
        let check = |volume: u64, want: usize| {
            let names: Vec<_> = list_names(volume).collect();
            assert_eq!(names.len(), want);
            assert!(names.is_sorted());
        };
        check(10 << 20, 160);
        check(50 << 20, 800);
        check(100 << 20, 1600);
        check(1, 1);
    }
}
