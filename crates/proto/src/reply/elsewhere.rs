//! Where a reply has what the protocol has in `data_file` or `data`, for an error that a person can act on.

use super::BadReply;

/// The most of a key that is kept.
const KEY_LEN_MAX: usize = 64;

/// The beginning of a key. Most replies have one that is kept, and none needs it: it takes no memory of its own.
#[derive(Debug, Clone, Copy)]
struct Key {
    bytes: [u8; KEY_LEN_MAX],
    len: usize,
}

impl Key {
    fn of(text: &str) -> Self {
        let len = text.floor_char_boundary(KEY_LEN_MAX);
        let mut bytes = [0; KEY_LEN_MAX];
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        Self { bytes, len }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// The longest value of a reply that could have been meant as content or as a listing.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Its key and its length on the wire.
    longest: Option<(Key, u64)>,
    /// The one being read: its key, and where in the reply it began.
    reading: Option<(Key, u64)>,
    /// There is content, or a listing, in its place.
    is_needless: bool,
}

impl Elsewhere {
    /// A value begins, `at` bytes into the reply; `key` is none for one that means something by itself.
    pub(super) fn start(&mut self, key: Option<&str>, at: u64) {
        self.end(at);
        let key = key.filter(|_| !self.is_needless);
        self.reading = key.map(|key| (Key::of(key), at));
    }

    /// The value being read has ended.
    pub(super) fn end(&mut self, at: u64) {
        if let Some((key, start)) = self.reading.take() {
            let len = at.saturating_sub(start);
            if self.longest.is_none_or(|(_, most)| len > most) {
                self.longest = Some((key, len));
            }
        }
    }

    /// What could be elsewhere is where it belongs.
    pub(super) fn forget(&mut self) {
        *self = Self {
            is_needless: true,
            ..Self::default()
        };
    }

    /// The key of the longest value, `at` bytes into the reply.
    pub(super) fn key(&self, at: u64) -> Option<&str> {
        let reading = self.reading.as_ref();
        let reading = reading.map(|(key, start)| (key, at.saturating_sub(*start)));
        let longest = self.longest.as_ref().map(|(key, len)| (key, *len));
        let either = longest.into_iter().chain(reading);
        either
            .max_by_key(|(_, len)| *len)
            .map(|(key, _)| key.as_str())
    }

    /// `error`, with the key of the value that it was found in.
    pub(super) fn name_in(&self, error: BadReply) -> BadReply {
        match &self.reading {
            Some((key, _)) => BadReply(format!("{} ('{}')", error.0, key.as_str().escape_debug())),
            None => error,
        }
    }
}
