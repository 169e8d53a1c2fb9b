//! Requests: heads and streamed bodies, decoded as they arrive and encoded for sending.

mod body;
mod decoder;
mod line;

pub use decoder::RequestDecoder;

use crate::{Code, FileName};

worded! {
    /// What a request asks for. `DOWNLOAD` is [`Verb::Get`]; `POST`, `PUT` and `ADD` are [`Verb::Upload`],
    /// and `HAPUS` is [`Verb::Delete`].
    pub enum Verb {
        /// The names of the files.
        List = "list",
        /// One file's content.
        Get = "get",
        /// Store a file.
        Upload = "upload",
        /// Remove a file.
        Delete = "delete",
    }
}

/// The words for verbs on the wire, published clients' among them.
const WORDS: [(&str, Verb); 9] = [
    ("LIST", Verb::List),
    ("GET", Verb::Get),
    ("DOWNLOAD", Verb::Get),
    ("UPLOAD", Verb::Upload),
    ("POST", Verb::Upload),
    ("PUT", Verb::Upload),
    ("ADD", Verb::Upload),
    ("DELETE", Verb::Delete),
    ("HAPUS", Verb::Delete),
];

impl Verb {
    /// The verb for a word on the wire, whatever its case.
    #[must_use]
    pub fn from_wire(word: &[u8]) -> Option<Self> {
        let known = WORDS
            .iter()
            .find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes()));
        known.map(|&(_, verb)| verb)
    }

    /// Whether a verb begins with `start`, whatever its case.
    fn may_begin_with(start: &[u8]) -> bool {
        let begins = |word: &str| {
            let same = word.as_bytes().get(..start.len());
            same.is_some_and(|same| same.eq_ignore_ascii_case(start))
        };
        WORDS.iter().any(|(word, _)| begins(word))
    }
}

worded! {
    /// How a request line ends on the wire.
    #[derive(Default)]
    pub enum Terminator {
        /// `\r\n`, what we send.
        #[default]
        Crlf = "crlf",
        /// `\r\n\r\n`, the dominant dialect of existing clients and the only one some servers answer.
        CrlfCrlf = "crlfcrlf",
        /// `\n`.
        Lf = "lf",
        /// Nothing at all: the course's base client. Never for an upload to our server.
        None = "none",
    }
}

impl Terminator {
    /// The bytes to send.
    #[must_use]
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Crlf => b"\r\n",
            Self::CrlfCrlf => b"\r\n\r\n",
            Self::Lf => b"\n",
            Self::None => b"",
        }
    }
}

impl std::str::FromStr for Terminator {
    type Err = String;

    /// Reads `crlf`, `crlfcrlf`, `lf` or `none`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|terminator| terminator.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no terminator: use crlf, crlfcrlf, lf or none"))
    }
}

/// A complete request head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// LIST
    List,
    /// GET or DOWNLOAD
    Get(FileName),
    /// DELETE
    Delete(FileName),
    /// UPLOAD: its body follows as [`Event::UploadEnd`] or [`Event::Refused`] after any number of steps
    /// that produce content.
    Upload(FileName),
}

impl Request {
    /// Which verb it is.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::List => Verb::List,
            Self::Get(_) => Verb::Get,
            Self::Delete(_) => Verb::Delete,
            Self::Upload(_) => Verb::Upload,
        }
    }
}

/// A request that gets an error reply instead of being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code for programs.
    pub code: Code,
    /// What is wrong, for a person.
    pub message: String,
    /// The verb, where the head got far enough to know it.
    pub verb: Option<Verb>,
}

impl Refusal {
    fn new(code: Code, verb: Option<Verb>, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            verb,
        }
    }

    /// A CR that no LF follows: programs disagree on whether that ends a line.
    fn lone_cr(verb: Option<Verb>) -> Self {
        Self::new(Code::BadRequest, verb, "a CR must be followed by LF")
    }
}

/// What a [`RequestDecoder`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request's head is complete. For all but an upload the request is complete with it.
    Request(Request),
    /// The upload's body ended well; everything decoded of it has been produced.
    UploadEnd,
    /// A request ended whose framing was sound but which cannot be carried out; if it was an upload in
    /// progress, what came of it must be discarded. The next request may follow.
    Refused(Refusal),
    /// No end of this request can be trusted. Nothing more will be decoded.
    Broken(Refusal),
}

/// What one [`RequestDecoder::decode`] call did. Call again with the rest of the input while anything was
/// consumed or produced or `event` is some; `event: None` with everything consumed means that more input is
/// needed, and with input left over that `out` is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Bytes of decoded upload content written to `out`.
    pub produced: usize,
    /// At most one thing that happened, after the `produced` bytes.
    pub event: Option<Event>,
}

impl Step {
    /// So much was done with, and nothing came of it.
    const fn taken(consumed: usize) -> Self {
        Self {
            consumed,
            produced: 0,
            event: None,
        }
    }
}

/// Where in a request the decoder stands; each phase has its own clock in the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between requests: no byte of the next one has come (empty lines do not count).
    Idle,
    /// Inside a head, or after an upload's whose body is awaited on the next line.
    Head,
    /// Inside an upload's body, or discarding a refused one.
    Body,
    /// After a body that is as long as a line of wrapped base64: what follows at once, or that nothing does
    /// ([`RequestDecoder::silence`]), tells whether it was all.
    Settling,
    /// After [`Event::Broken`].
    Broken,
}

/// Appends `VERB name` for sending, quoting a name that needs it, without a terminator. For an upload the
/// single space that starts the body is included.
///
/// `name` is none only for [`Verb::List`]. DOWNLOAD is never sent: every known server takes GET.
pub fn encode_head(out: &mut Vec<u8>, verb: Verb, name: Option<&FileName>) {
    out.extend_from_slice(match verb {
        Verb::List => b"LIST",
        Verb::Get => b"GET",
        Verb::Upload => b"UPLOAD",
        Verb::Delete => b"DELETE",
    });
    if let Some(name) = name {
        out.push(b' ');
        encode_name(out, name.as_str());
    }
    if verb == Verb::Upload {
        out.push(b' ');
    }
}

/// A name as one word of a shell-like line. Quotes and `#` would be read as such by some servers.
fn encode_name(out: &mut Vec<u8>, name: &str) {
    if !name.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '#')) {
        out.extend_from_slice(name.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in name.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}
