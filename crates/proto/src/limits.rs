//! The bounds that both directions of the wire keep.

/// The longest request head in bytes: verb, name and their spaces, without the end of line.
pub const HEAD_LEN_MAX: usize = 1024;

/// The longest file name in bytes.
pub const NAME_LEN_MAX: usize = 255;

/// The largest upload a server takes unless told otherwise, decoded: 4 GiB.
pub const UPLOAD_LEN_MAX: u64 = 4 << 30;

/// The most bytes of names one LIST reply carries; a longer listing is cut and says `truncated`.
pub const LIST_LEN_MAX: usize = 1 << 20;

/// The most bytes a client keeps of one JSON value that it must hold whole (a message, a name, a key).
pub const JSON_VALUE_LEN_MAX: usize = 16 << 10;

/// The most bytes of names a client takes from one LIST reply, ours or a foreign server's, unless told otherwise.
pub const LISTING_LEN_MAX: usize = 64 << 20;

/// The most bytes of content a client takes from one reply, unless told otherwise: sixteen times what a server takes in
/// one upload, since files get into its folder in other ways, too. Without a bound an endless one would fill the disk.
pub const DOWNLOAD_LEN_MAX: u64 = 16 * UPLOAD_LEN_MAX;

/// The deepest nesting a client skips inside an unknown key's value.
pub const JSON_DEPTH_MAX: usize = 32;

/// What a request decoder enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest head in bytes ([`HEAD_LEN_MAX`]).
    pub head_len_max: usize,
    /// The largest upload in decoded bytes ([`UPLOAD_LEN_MAX`]).
    pub upload_len_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_len_max: HEAD_LEN_MAX,
            upload_len_max: UPLOAD_LEN_MAX,
        }
    }
}
