//! Replies: written in streamed form, read in streamed form from liberal JSON.

mod decoder;
mod draft;
mod elsewhere;
mod encode;

pub use decoder::ReplyDecoder;
pub use encode::{
    encode_deleted, encode_error, encode_get_end, encode_get_start, encode_list_end,
    encode_list_item, encode_list_start, encode_uploaded,
};

/// The end of every reply.
pub const TERMINATOR: &[u8] = b"\r\n\r\n";

/// What every reply begins with, whatever it says.
pub const START: &[u8] = br#"{"status":""#;

/// The text in an `unknown_verb` reply that existing clients look for.
pub const UNKNOWN_VERB_TEXT: &str = "request tidak dikenali";

worded! {
    /// The stable `code` of an error reply.
    pub enum Code {
        /// The request is not one of the grammar's.
        BadRequest = "bad_request",
        /// The name is not a [`FileName`](crate::FileName).
        BadName = "bad_name",
        /// The body is not standard padded base64.
        BadBase64 = "bad_base64",
        /// No such verb.
        UnknownVerb = "unknown_verb",
        /// No such file.
        NotFound = "not_found",
        /// The upload is over the limit.
        TooLarge = "too_large",
        /// The disk or the quota is full.
        NoSpace = "no_space",
        /// The server takes no more work now.
        Busy = "busy",
        /// The peer was too slow.
        Timeout = "timeout",
        /// The server is stopping.
        ShuttingDown = "shutting_down",
        /// Something failed inside the server.
        Internal = "internal",
    }
}

impl Code {
    /// The code for a word on the wire.
    #[must_use]
    pub fn from_wire(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

/// A whole reply, without the file content that was streamed out of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// `status` was `OK` (compared without regard to case).
    pub ok: bool,
    /// `code`, as sent.
    pub code: Option<String>,
    /// `message`, or `data` where that is a string: the error text, or the confirmation.
    pub message: Option<String>,
    /// `data` where that is an array of strings.
    pub names: Option<Vec<String>>,
    /// `truncated`.
    pub truncated: bool,
    /// `data_namafile`.
    pub name: Option<String>,
    /// Whether `data_file` was there; its decoded bytes were produced as they came.
    pub has_content: bool,
    /// Decoded bytes of `data_file`.
    pub content_len: u64,
    /// `size`, as sent.
    pub size: Option<u64>,
    /// `crc32`, as sent.
    pub crc32: Option<u32>,
    /// Bytes of the JSON object itself, without the terminator.
    pub json_len: u64,
}

/// The bytes are no reply of this protocol. The text says what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a reply of this protocol: {0}")]
pub struct BadReply(pub(crate) String);

impl BadReply {
    pub(crate) fn new(found: impl Into<String>) -> Self {
        Self(found.into())
    }
}

/// What one [`ReplyDecoder::decode`] call did; to be read like [`crate::request::Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Decoded bytes of `data_file` written to `out`.
    pub produced: usize,
    /// The whole reply, its terminator included, has been read.
    pub reply: Option<Reply>,
}
