//! An upload's body on its way through: decoded, or discarded after a refusal, up to its end of line.

use memchr::{memchr2, memchr3};

use super::line::{self, Foreign};
use super::{Event, Refusal, Step, Verb};
use crate::Code;
use crate::base64::{Decoder, Malformed, encoded_len, is_symbol};
use crate::limits::HEAD_LEN_MAX;

/// The line lengths of the tools that wrap base64: MIME's (RFC 2045) and PEM's (RFC 7468).
const WRAPPED_LENS: [u64; 2] = [76, 64];

/// So much of a body is kept, to say what it was when it is not base64.
const SHOWN_LEN: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    decoder: Decoder,
    /// Why what comes is discarded: known before any of it came.
    refusal: Option<Refusal>,
    /// What came is not base64, and the rest is discarded.
    is_malformed: bool,
    quotes: Quotes,
    /// The body may still turn out to be a header of HTTP.
    may_be_header: bool,
    /// Characters that have come, without the quotes.
    encoded: u64,
    /// Bytes that were decoded from them.
    decoded: u64,
    decoded_max: u64,
    /// What is discarded could be decoded to whole groups, as far as it matters for [`Body::may_be_wrapped`].
    is_plain: bool,
    may_be_wrapped: bool,
    start: Vec<u8>,
    after_cr: bool,
}

/// The `b'…'` that Python writes around bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// Nothing has come.
    Unknown,
    /// Only a `b`.
    AfterB,
    None,
    Open,
    Closed,
}

/// What stopped the text.
enum Stop {
    /// Nothing: the input or the room ended.
    None,
    /// The end of line, which is next.
    Line,
    /// The closing quote, which is next.
    Quote,
}

impl Body {
    /// A body of at most `decoded_max` bytes; all of it is discarded if there is a refusal already.
    pub(super) fn new(decoded_max: u64, refusal: Option<Refusal>) -> Self {
        Self {
            decoder: Decoder::new(),
            refusal,
            is_malformed: false,
            quotes: Quotes::Unknown,
            may_be_header: false,
            encoded: 0,
            decoded: 0,
            decoded_max,
            is_plain: true,
            may_be_wrapped: false,
            start: Vec::new(),
            after_cr: false,
        }
    }

    /// The same on a line of its own, where there could be a header of HTTP instead.
    pub(super) fn on_its_own_line(decoded_max: u64, refusal: Option<Refusal>) -> Self {
        Self {
            may_be_header: true,
            ..Self::new(decoded_max, refusal)
        }
    }

    /// Whether the body that has ended may be the first line of a longer text.
    pub(super) const fn may_be_wrapped(&self) -> bool {
        self.may_be_wrapped
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        match (self.quotes, input) {
            (_, []) => Step::taken(0),
            (_, [next, ..]) if self.after_cr => Step {
                event: Some(self.end_after_cr(*next)),
                ..Step::taken(1)
            },
            (Quotes::None | Quotes::Open | Quotes::Closed, _) => self.decode_line(input, out),
            (Quotes::Unknown, [b'b']) => {
                self.quotes = Quotes::AfterB;
                Step::taken(1)
            }
            (Quotes::Unknown, [b'b', b'\'', ..]) => self.open_quotes(2),
            (Quotes::AfterB, [b'\'', ..]) => self.open_quotes(1),
            (Quotes::Unknown, _) => {
                self.quotes = Quotes::None;
                self.decode_line(input, out)
            }
            (Quotes::AfterB, _) => {
                self.quotes = Quotes::None;
                // One character makes no byte.
                match self.decode_text(b"b", &mut []).event {
                    None => self.decode_line(input, out),
                    event => Step {
                        event,
                        ..Step::taken(0)
                    },
                }
            }
        }
    }

    fn open_quotes(&mut self, consumed: usize) -> Step {
        self.quotes = Quotes::Open;
        self.may_be_header = false;
        Step::taken(consumed)
    }

    /// Looks for a header of HTTP first: only at the start of a line, and no further than a head may be long.
    fn decode_line(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        if !self.may_be_header {
            return self.decode_text(input, out);
        }
        let left = (HEAD_LEN_MAX as u64).saturating_sub(self.encoded) as usize;
        let looked_at = &input[..input.len().min(left)];
        let name_len = looked_at
            .iter()
            .take_while(|&&byte| line::is_of_header_name(byte))
            .count();
        match looked_at.get(name_len) {
            Some(b':') if name_len > 0 => self.decode_text(&input[..name_len], out),
            Some(b':') if self.encoded > 0 => Step {
                event: Some(Event::Broken(line::http_header())),
                ..Step::taken(1)
            },
            _ => {
                let step = self.decode_text(input, out);
                self.may_be_header = step.consumed <= name_len;
                step
            }
        }
    }

    fn decode_text(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        let (consumed, produced, stop) = self.take_text(input, out);
        if self.start.len() < SHOWN_LEN {
            let shown_len = consumed.min(SHOWN_LEN - self.start.len());
            self.start.extend_from_slice(&input[..shown_len]);
        }
        self.encoded += consumed as u64;
        self.decoded += produced as u64;
        // Before the line's end is looked at: which of the two counts must not depend on how the
        // stream was cut.
        if self.decoded > self.decoded_max || self.encoded > encoded_len(self.decoded_max) {
            let message = format!(
                "an upload must not be larger than {} byte{}",
                self.decoded_max,
                if self.decoded_max == 1 { "" } else { "s" }
            );
            let refusal = Refusal::new(Code::TooLarge, Some(Verb::Upload), message);
            return Step {
                event: Some(Event::Broken(refusal)),
                ..Step::taken(consumed)
            };
        }
        let (end_len, event) = match (stop, &input[consumed..]) {
            (Stop::Line, [b'\r', next, ..]) => (2, Some(self.end_after_cr(*next))),
            (Stop::Line, [b'\r']) => {
                self.after_cr = true;
                (1, None)
            }
            (Stop::Line, _) => (1, Some(self.end())),
            (Stop::Quote, _) => {
                self.quotes = Quotes::Closed;
                (1, None)
            }
            (Stop::None, _) => (0, None),
        };
        Step {
            consumed: consumed + end_len,
            produced,
            event,
        }
    }

    /// Takes characters before the end of line or the closing quote: how many, into how many bytes, and what
    /// stopped it.
    fn take_text(&mut self, input: &[u8], out: &mut [u8]) -> (usize, usize, Stop) {
        if self.refusal.is_none() && !self.is_malformed {
            let decoded = match self.quotes {
                Quotes::Closed if matches!(input[0], b'\r' | b'\n') => return (0, 0, Stop::Line),
                Quotes::Closed => Err(Malformed),
                Quotes::Open => self
                    .decoder
                    .decode_until(input, out, |text| memchr3(b'\'', b'\r', b'\n', text)),
                Quotes::Unknown | Quotes::AfterB | Quotes::None => {
                    self.decoder
                        .decode_until(input, out, |text| memchr2(b'\r', b'\n', text))
                }
            };
            match decoded {
                Ok((done, false)) => return (done.consumed, done.produced, Stop::None),
                Ok((done, true)) if input[done.consumed] == b'\'' => {
                    return (done.consumed, done.produced, Stop::Quote);
                }
                Ok((done, true)) => return (done.consumed, done.produced, Stop::Line),
                Err(Malformed) => self.is_malformed = true,
            }
        }
        let (len, stop) = match memchr2(b'\r', b'\n', input) {
            Some(end) => (end, Stop::Line),
            None => (input.len(), Stop::None),
        };
        let is_short = self.encoded + len as u64 <= WRAPPED_LENS[0];
        self.is_plain &= is_short && input[..len].iter().all(|&byte| is_symbol(byte));
        (len, 0, stop)
    }

    fn end_after_cr(&mut self, next: u8) -> Event {
        match next {
            b'\n' => self.end(),
            _ => Event::Broken(Refusal::lone_cr(Some(Verb::Upload))),
        }
    }

    fn end(&mut self) -> Event {
        let is_unclosed = self.quotes == Quotes::Open && self.refusal.is_none();
        let is_malformed = self.decoder.finish().is_err() || self.is_malformed || is_unclosed;
        let is_unpadded = match self.refusal {
            Some(_) => self.is_plain,
            None => !is_malformed && self.decoded == self.encoded / 4 * 3,
        };
        self.may_be_wrapped =
            self.quotes == Quotes::None && is_unpadded && WRAPPED_LENS.contains(&self.encoded);
        match self.refusal.take() {
            Some(refusal) => Event::Refused(refusal),
            None if is_malformed => Event::Refused(malformed(&self.start)),
            None => Event::UploadEnd,
        }
    }
}

/// What is said of a body that begins like this.
fn malformed(start: &[u8]) -> Refusal {
    const EXPECTED: &str = "the content is not standard base64 with padding";
    let message = match line::foreign(start) {
        Some(Foreign::Length) if !start.contains(&b' ') => EXPECTED.to_owned(),
        Some(foreign) => format!("{EXPECTED}: {foreign}"),
        None if start.contains(&b'\'') => {
            format!("{EXPECTED}: quotes belong around it as b'…', or not at all")
        }
        None if start.contains(&b' ') => {
            format!("{EXPECTED}, but has a space: a name with spaces belongs in double quotes")
        }
        None => EXPECTED.to_owned(),
    };
    Refusal::new(Code::BadBase64, Some(Verb::Upload), message)
}

/// What is said of base64 that goes on after a full line.
pub(super) fn wrapped() -> Refusal {
    let message = "the content is base64 wrapped into lines of 64 or 76 characters: \
                   it belongs on one line, as base64 -w0 writes it";
    Refusal::new(Code::BadBase64, Some(Verb::Upload), message)
}
