//! Streaming base64 (RFC 4648 section 4, padded, canonical) over one codec.
//!
//! The codec is this file's decision alone: see `engine` at the bottom.

/// The length of `len` bytes once encoded, padding included.
#[must_use]
pub const fn encoded_len(len: u64) -> u64 {
    len.div_ceil(3).saturating_mul(4)
}

/// Encodes a stream whose pieces may have any length.
#[derive(Debug, Default, Clone)]
pub struct Encoder {
    /// Up to two bytes that wait for the rest of their group of three.
    carry: [u8; 3],
    carry_len: usize,
}

impl Encoder {
    /// An encoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the encoding of `input` to `out`. A whole number of threes keeps the fast path.
    pub fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + encoded_len(input.len() as u64) as usize, 0);
        let written = self.encode_into(input, &mut out[start..]);
        out.truncate(start + written);
    }

    /// Encodes `input` to the start of `out`, which the caller can use again without clearing it,
    /// and returns how many bytes were written. [`Encoder::encode`] must first fill the room it
    /// writes to with zeros; this does not.
    ///
    /// # Panics
    /// If `out` is shorter than [`encoded_len`] of the input.
    pub fn encode_into(&mut self, input: &[u8], out: &mut [u8]) -> usize {
        let mut rest = input;
        let mut written = 0;
        if self.carry_len > 0 {
            let (fill, after) = rest.split_at(rest.len().min(3 - self.carry_len));
            self.carry[self.carry_len..][..fill.len()].copy_from_slice(fill);
            self.carry_len += fill.len();
            if self.carry_len < 3 {
                return 0;
            }
            self.carry_len = 0;
            rest = after;
            written = engine::encode(&self.carry, out);
        }
        let (whole, tail) = rest.split_at(rest.len() / 3 * 3);
        written += engine::encode(whole, &mut out[written..]);
        self.carry[..tail.len()].copy_from_slice(tail);
        self.carry_len = tail.len();
        written
    }

    /// Ends the stream: appends the last group with its padding, and is ready for another stream.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let mut group = [0; 4];
        let written = self.finish_into(&mut group);
        out.extend_from_slice(&group[..written]);
    }

    /// The same to the start of `out`, with the number of bytes written.
    ///
    /// # Panics
    /// If `out` is shorter than 4 bytes.
    pub fn finish_into(&mut self, out: &mut [u8]) -> usize {
        let written = engine::encode(&self.carry[..self.carry_len], out);
        self.carry_len = 0;
        written
    }
}

/// What [`Decoder::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes taken from the input.
    pub consumed: usize,
    /// Bytes written to the output.
    pub produced: usize,
}

/// The text is not canonical, padded base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not standard padded base64")]
pub struct Malformed;

/// Decodes a stream strictly: only the standard alphabet, padding only at the very end, zero
/// trailing bits.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Decoder {
    /// Up to three characters that wait for the rest of their group of four. They have been
    /// checked: nothing foreign to base64, such as a line end, is ever swallowed.
    carry: [u8; 4],
    carry_len: usize,
    /// Padding has ended the text: whatever follows is malformed.
    ended: bool,
}

impl Decoder {
    /// A decoder at the start of a text.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes as much of `input` as fits in `out`. All of `input` is consumed unless `out` is full
    /// (fewer than 3 bytes of room left).
    ///
    /// # Errors
    /// [`Malformed`] once any of the input cannot be base64; the decoder must then be dropped or
    /// reset. What `out` holds is then of no use.
    pub fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Result<Progress, Malformed> {
        let mut done = Progress::default();
        if self.carry_len > 0 {
            done = self.complete_carry(input, out)?;
            if self.carry_len > 0 {
                return Ok(done);
            }
        }
        let rest = &input[done.consumed..];
        if self.ended && !rest.is_empty() {
            return Err(Malformed);
        }
        let room = &mut out[done.produced..];
        let groups = (rest.len() / 4).min(room.len() / 3);
        let (whole, tail) = rest.split_at(groups * 4);
        done.produced += self.decode_groups(whole, &mut room[..groups * 3])?;
        done.consumed += whole.len();
        if self.ended && !tail.is_empty() {
            return Err(Malformed);
        }
        if tail.len() < 4 {
            self.keep(tail)?;
            done.consumed += tail.len();
        }
        Ok(done)
    }

    /// Decodes what comes before a byte that ends the text, which `find_end` can find, and says
    /// whether that byte was reached. It is not consumed.
    ///
    /// Most chunks of a long body hold nothing but base64. Decoding refuses every other byte
    /// anyway, so the search is saved unless the chunk's last byte gives the end away or decoding
    /// fails: a fifth of a chunk's time (`benches/codec.rs`).
    ///
    /// # Errors
    /// [`Malformed`] if what comes before the end, or all of `input` when it has none, is not base64.
    pub(crate) fn decode_until(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        find_end: impl FnOnce(&[u8]) -> Option<usize>,
    ) -> Result<(Progress, bool), Malformed> {
        if input
            .last()
            .is_some_and(|&last| is_symbol(last) || last == b'=')
        {
            let before = self.clone();
            match self.decode(input, out) {
                Ok(progress) => return Ok((progress, false)),
                Err(Malformed) => *self = before,
            }
        }
        match find_end(input) {
            None => Ok((self.decode(input, out)?, false)),
            Some(end) => {
                let progress = self.decode(&input[..end], out)?;
                Ok((progress, progress.consumed == end))
            }
        }
    }

    /// Ends the text, and is ready for another.
    ///
    /// # Errors
    /// [`Malformed`] if characters are left that are no whole group.
    pub fn finish(&mut self) -> Result<(), Malformed> {
        let whole = self.carry_len == 0;
        *self = Self::default();
        if whole { Ok(()) } else { Err(Malformed) }
    }

    /// Fills up the group that waits and decodes it. It goes on waiting if the input is too short
    /// or `out` is full.
    fn complete_carry(&mut self, input: &[u8], out: &mut [u8]) -> Result<Progress, Malformed> {
        let missing = 4 - self.carry_len;
        if input.len() < missing {
            self.keep(input)?;
            return Ok(Progress {
                consumed: input.len(),
                produced: 0,
            });
        }
        if out.len() < 3 {
            return Ok(Progress::default());
        }
        let mut group = self.carry;
        group[self.carry_len..].copy_from_slice(&input[..missing]);
        self.carry_len = 0;
        let produced = self.decode_groups(&group, &mut out[..3])?;
        Ok(Progress {
            consumed: missing,
            produced,
        })
    }

    /// Decodes whole groups into exactly the room they need at most.
    fn decode_groups(&mut self, groups: &[u8], out: &mut [u8]) -> Result<usize, Malformed> {
        let produced = engine::decode(groups, out)?;
        // Fewer than three bytes for some group: it was padded.
        self.ended |= produced < out.len();
        Ok(produced)
    }

    /// Keeps the start of a group for later, if it can be one: at most three characters in all,
    /// padding in the third place at the earliest.
    fn keep(&mut self, tail: &[u8]) -> Result<(), Malformed> {
        for &byte in tail {
            if !(is_symbol(byte) || (byte == b'=' && self.carry_len == 2)) {
                return Err(Malformed);
            }
            self.carry[self.carry_len] = byte;
            self.carry_len += 1;
        }
        Ok(())
    }
}

/// Whether `byte` is one of the 64 characters.
pub(crate) const fn is_symbol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// The codec. `base64`'s vector engine encodes 3.5 and decodes 6 times as fast as its general-purpose
/// one (`benches/codec.rs`), 2.1 to 2.8 times end to end; `base64-turbo` is faster still, but young.
mod engine {
    use std::sync::LazyLock;

    use base64::Engine as _;
    use base64::engine::general_purpose::PAD;

    use super::Malformed;

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    use base64::engine::Simd as Codec;

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    use base64::engine::GeneralPurpose as Codec;

    /// Detects the processor's features once.
    static CODEC: LazyLock<Codec> = LazyLock::new(|| {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        let codec = Codec::standard(PAD);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let codec = Codec::new(&base64::alphabet::STANDARD, PAD);
        codec
    });

    /// Encodes to the start of `out` and returns the length.
    pub(super) fn encode(input: &[u8], out: &mut [u8]) -> usize {
        CODEC
            .encode_slice(input, out)
            .expect("the caller made room for the encoding")
    }

    /// Decodes whole groups of four, of which the last may be padded, and returns the length.
    pub(super) fn decode(groups: &[u8], out: &mut [u8]) -> Result<usize, Malformed> {
        CODEC.decode_slice(groups, out).map_err(|_| Malformed)
    }
}
