//! An upload's body on its way through: decoded, or discarded after a refusal, up to its end of line.

use memchr::memchr2;

use super::{Event, Refusal, Step, Verb};
use crate::Code;
use crate::base64::{Decoder, Malformed, encoded_len};

#[derive(Debug)]
pub(super) struct Body {
    decoder: Decoder,
    /// Why what comes is discarded, if it is.
    refusal: Option<Refusal>,
    /// Characters that have come.
    encoded: u64,
    /// Bytes that were decoded from them.
    decoded: u64,
    decoded_max: u64,
    after_cr: bool,
}

impl Body {
    /// A body of at most `decoded_max` bytes; all of it is discarded if there is a refusal already.
    pub(super) fn new(decoded_max: u64, refusal: Option<Refusal>) -> Self {
        Self {
            decoder: Decoder::new(),
            refusal,
            encoded: 0,
            decoded: 0,
            decoded_max,
            after_cr: false,
        }
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        match input {
            [] => Step {
                consumed: 0,
                produced: 0,
                event: None,
            },
            [next, ..] if self.after_cr => Step {
                consumed: 1,
                produced: 0,
                event: Some(self.end_after_cr(*next)),
            },
            _ => self.decode_text(input, out),
        }
    }

    fn decode_text(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        let (consumed, produced, at_end) = self.take_text(input, out);
        self.encoded += consumed as u64;
        self.decoded += produced as u64;
        // Before the line's end is looked at: which of the two counts must not depend on how the
        // stream was cut.
        if self.decoded > self.decoded_max || self.encoded > encoded_len(self.decoded_max) {
            let message = format!(
                "an upload must not be larger than {} bytes",
                self.decoded_max
            );
            let refusal = Refusal::new(Code::TooLarge, Some(Verb::Upload), message);
            return Step {
                consumed,
                produced: 0,
                event: Some(Event::Broken(refusal)),
            };
        }
        let (end_len, event) = match (at_end, &input[consumed..]) {
            (true, [b'\r', next, ..]) => (2, Some(self.end_after_cr(*next))),
            (true, [b'\r']) => {
                self.after_cr = true;
                (1, None)
            }
            (true, _) => (1, Some(self.end())),
            (false, _) => (0, None),
        };
        Step {
            consumed: consumed + end_len,
            produced,
            event,
        }
    }

    /// Takes characters before the end of line: how many, into how many bytes, and whether the end
    /// was reached.
    fn take_text(&mut self, input: &[u8], out: &mut [u8]) -> (usize, usize, bool) {
        let find_end = |text: &[u8]| memchr2(b'\r', b'\n', text);
        if self.refusal.is_none() {
            match self.decoder.decode_until(input, out, find_end) {
                Ok((done, at_end)) => return (done.consumed, done.produced, at_end),
                Err(Malformed) => self.refusal = Some(malformed()),
            }
        }
        match find_end(input) {
            Some(end) => (end, 0, true),
            None => (input.len(), 0, false),
        }
    }

    fn end_after_cr(&mut self, next: u8) -> Event {
        match next {
            b'\n' => self.end(),
            _ => Event::Broken(Refusal::lone_cr(Some(Verb::Upload))),
        }
    }

    fn end(&mut self) -> Event {
        match (self.refusal.take(), self.decoder.finish()) {
            (Some(refusal), _) => Event::Refused(refusal),
            (None, Err(Malformed)) => Event::Refused(malformed()),
            (None, Ok(())) => Event::UploadEnd,
        }
    }
}

fn malformed() -> Refusal {
    let message = "the content is not standard base64 with padding";
    Refusal::new(Code::BadBase64, Some(Verb::Upload), message)
}
