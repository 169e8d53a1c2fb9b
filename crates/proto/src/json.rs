//! A JSON lexer for a stream cut anywhere, holding at most one bounded string or scalar.

mod escape;
mod nesting;

pub(crate) use escape::{Escape, Escaped};
pub(crate) use nesting::Nesting;

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr2};
use serde::Deserializer as _;
use serde::de::{Error, Visitor};

use crate::limits::JSON_VALUE_LEN_MAX;
use crate::reply::{BadReply, TERMINATOR};

/// What [`Lexer::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// One of `{ } [ ] : ,`.
    Punct(u8),
    /// A whole string; see [`Lexer::string`] if it was kept.
    String,
    /// A string's opening quote, where the caller reads the rest itself.
    Quote,
    /// A whole number, `true`, `false` or `null`; see [`Lexer::scalar`].
    Scalar,
}

/// What to do with a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strings {
    /// Hold it, up to [`JSON_VALUE_LEN_MAX`].
    Keep,
    /// Pass over it, however long it is.
    Skip,
    /// Stop after the opening quote.
    Open,
}

/// Cuts a byte stream into JSON tokens. Which of them may follow which is the caller's business.
#[derive(Debug, Default)]
pub(crate) struct Lexer {
    mode: Mode,
    /// The string, with its quotes, or the scalar, as it came.
    text: Vec<u8>,
    /// How much of a terminator the white space seen last makes up.
    terminator_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Between,
    String {
        escaped: bool,
    },
    Scalar,
}

impl Lexer {
    /// Reads up to the end of the next token: the bytes consumed, and the token if it is complete.
    /// `strings` must stay the same until it is.
    pub(crate) fn next(
        &mut self,
        input: &[u8],
        strings: Strings,
    ) -> Result<(usize, Option<Token>), BadReply> {
        let mut start = 0;
        if self.mode == Mode::Between {
            start = self.skip_space(input)?;
            match input.get(start) {
                None => return Ok((start, None)),
                Some(&byte) => match self.open(byte, strings)? {
                    Some(token) => return Ok((start + 1, Some(token))),
                    None => start += 1,
                },
            }
        }
        let rest = &input[start..];
        let (len, token) = match self.mode {
            Mode::Between => (0, None),
            Mode::String { escaped } => self.take_string(rest, escaped, strings)?,
            Mode::Scalar => self.take_scalar(rest)?,
        };
        if token.is_some() {
            self.mode = Mode::Between;
        }
        Ok((start + len, token))
    }

    /// Passes over white space and returns its length. CRLF CRLF ends a reply wherever it comes.
    pub(crate) fn skip_space(&mut self, input: &[u8]) -> Result<usize, BadReply> {
        for (at, &byte) in input.iter().enumerate() {
            self.terminator_len = match byte {
                b'\r' if self.terminator_len == 2 => 3,
                b'\r' => 1,
                b'\n' if self.terminator_len % 2 == 1 => self.terminator_len + 1,
                b' ' | b'\t' | b'\n' => 0,
                _ => {
                    self.terminator_len = 0;
                    return Ok(at);
                }
            };
            if self.terminator_len == TERMINATOR.len() {
                return Err(BadReply::new("it ends before its JSON does"));
            }
        }
        Ok(input.len())
    }

    /// The string kept last. What is not Unicode in it, such as the lone surrogates that Python
    /// writes for undecodable file names, becomes U+FFFD.
    pub(crate) fn string(&self) -> Result<Cow<'_, str>, BadReply> {
        let between_quotes = &self.text[1..self.text.len() - 1];
        if memchr(b'\\', between_quotes).is_none() {
            return Ok(String::from_utf8_lossy(between_quotes));
        }
        serde_json::Deserializer::from_slice(&self.text)
            .deserialize_bytes(Lossy)
            .map(Cow::Owned)
            .map_err(|_| BadReply::new("a string has a malformed escape"))
    }

    /// Ready for the start of a stream, with the memory that it has.
    pub(crate) fn restart(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = Self {
            text,
            ..Self::default()
        };
    }

    /// The scalar read last, as it came.
    pub(crate) fn scalar(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Takes the first byte of a token, which may be all of it.
    fn open(&mut self, byte: u8, strings: Strings) -> Result<Option<Token>, BadReply> {
        self.text.clear();
        match byte {
            b'{' | b'}' | b'[' | b']' | b':' | b',' => return Ok(Some(Token::Punct(byte))),
            b'"' if strings == Strings::Open => return Ok(Some(Token::Quote)),
            b'"' => self.mode = Mode::String { escaped: false },
            _ if is_scalar(byte) => self.mode = Mode::Scalar,
            _ => {
                let shown = byte.escape_ascii();
                return Err(BadReply::new(format!(
                    "'{shown}' where JSON has no such thing"
                )));
            }
        }
        self.text.push(byte);
        Ok(None)
    }

    fn take_string(
        &mut self,
        rest: &[u8],
        mut escaped: bool,
        strings: Strings,
    ) -> Result<(usize, Option<Token>), BadReply> {
        let mut at = 0;
        while at < rest.len() {
            // The byte after a backslash is part of the string whatever it is.
            let from = at + usize::from(escaped);
            let stop = memchr2(b'"', b'\\', &rest[from..]).map(|found| from + found);
            let end = stop.map_or(rest.len(), |stop| stop + 1);
            let run = &rest[at..end];
            if run.iter().any(|&byte| byte < b' ') {
                return Err(BadReply::new("a string has a raw control character"));
            }
            if strings == Strings::Keep {
                self.keep(run)?;
            }
            at = end;
            match stop {
                Some(stop) if rest[stop] == b'"' => return Ok((at, Some(Token::String))),
                stop => escaped = stop.is_some(),
            }
        }
        self.mode = Mode::String { escaped };
        Ok((at, None))
    }

    /// A scalar ends before the first byte that cannot be part of it.
    fn take_scalar(&mut self, rest: &[u8]) -> Result<(usize, Option<Token>), BadReply> {
        let end = rest.iter().position(|&byte| !is_scalar(byte));
        let len = end.unwrap_or(rest.len());
        self.keep(&rest[..len])?;
        Ok((len, end.map(|_| Token::Scalar)))
    }

    fn keep(&mut self, run: &[u8]) -> Result<(), BadReply> {
        if self.text.len() + run.len() > JSON_VALUE_LEN_MAX {
            let message = format!(
                "a value is longer than {JSON_VALUE_LEN_MAX} bytes, which only data_file may be"
            );
            return Err(BadReply::new(message));
        }
        self.text.extend_from_slice(run);
        Ok(())
    }
}

/// Numbers and words alike: Python's `NaN` and `Infinity` are as good as `null` where nobody looks.
const fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

struct Lossy;

impl Visitor<'_> for Lossy {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}
