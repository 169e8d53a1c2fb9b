//! The request decoder: collects heads byte by byte and hands bodies on.

use super::body::Body;
use super::line::{self, NameScan};
use super::{Event, Phase, Refusal, Request, Step, Verb};
use crate::{Code, Limits};

/// Decodes requests from a byte stream cut anywhere, holding at most one head.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    state: State,
    /// What has come of the head; empty between requests.
    head: Vec<u8>,
    scan: Scan,
    /// The last byte was a CR: only LF may follow.
    after_cr: bool,
}

#[derive(Debug)]
enum State {
    /// In a head, or before one while it is empty.
    Head,
    Body(Body),
    Broken,
}

/// What is known of the head so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// In the verb.
    Verb,
    /// In the name of an upload.
    Upload(NameScan),
    /// After any other verb, or none that is known: the head is the whole line.
    Rest(Option<Verb>),
}

impl RequestDecoder {
    /// A decoder at the start of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Head,
            head: Vec::new(),
            scan: Scan::Verb,
            after_cr: false,
        }
    }

    /// Takes what it can of `input`; upload content goes to `out`, which must have room for 3 bytes
    /// at least. After [`Event::Broken`] all input is consumed and ignored.
    pub fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        match &mut self.state {
            State::Head => self.decode_head(input),
            State::Body(body) => {
                let step = body.decode(input, out);
                match step.event {
                    Some(Event::UploadEnd | Event::Refused(_)) => self.state = State::Head,
                    Some(Event::Broken(_)) => self.state = State::Broken,
                    Some(Event::Request(_)) | None => {}
                }
                step
            }
            State::Broken => Step {
                consumed: input.len(),
                produced: 0,
                event: None,
            },
        }
    }

    /// The peer has been silent (`--accept-unterminated`): if what came so far looks like a complete request
    /// without a body, it counts as ended and its event is returned.
    pub fn silence(&mut self) -> Option<Event> {
        let waits_for_end = matches!(self.state, State::Head) && !self.after_cr;
        let complete = waits_for_end && !matches!(self.scan, Scan::Upload(_));
        let request = complete.then(|| line::parse(&self.head).ok()).flatten()?;
        self.start_over();
        Some(Event::Request(request))
    }

    /// Where in a request the decoder stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Head if self.head.is_empty() => Phase::Idle,
            State::Head => Phase::Head,
            State::Body(_) => Phase::Body,
            State::Broken => Phase::Broken,
        }
    }

    fn decode_head(&mut self, input: &[u8]) -> Step {
        let mut consumed = 0;
        let mut event = None;
        for &byte in input {
            consumed += 1;
            event = self.take(byte);
            if event.is_some() || !matches!(self.state, State::Head) {
                break;
            }
        }
        Step {
            consumed,
            produced: 0,
            event,
        }
    }

    /// Takes one byte of a head.
    fn take(&mut self, byte: u8) -> Option<Event> {
        match byte {
            b'\n' => self.end_line(),
            _ if self.after_cr => Some(self.break_off(Refusal::lone_cr(self.verb()))),
            b'\r' => {
                self.after_cr = true;
                None
            }
            _ if self.head.len() == self.limits.head_len_max => {
                let message = format!("head longer than {} bytes", self.limits.head_len_max);
                let refusal = Refusal::new(Code::BadRequest, self.verb(), message);
                Some(self.break_off(refusal))
            }
            _ => {
                self.head.push(byte);
                self.advance(byte)
            }
        }
    }

    /// Finds out whether the byte just pushed ends the head: only an upload's head ends before its line.
    fn advance(&mut self, byte: u8) -> Option<Event> {
        match self.scan {
            Scan::Verb if byte == b' ' => {
                let word = &self.head[..self.head.len() - 1];
                self.scan = match Verb::from_wire(word) {
                    Some(Verb::Upload) => Scan::Upload(NameScan::Start),
                    verb => Scan::Rest(verb),
                };
                None
            }
            Scan::Verb | Scan::Rest(_) => None,
            Scan::Upload(name) => match name.next(byte) {
                Some(name) => {
                    self.scan = Scan::Upload(name);
                    None
                }
                None => self.start_body(),
            },
        }
    }

    fn start_body(&mut self) -> Option<Event> {
        let parsed = line::parse_upload(&self.head);
        self.start_over();
        let (refusal, event) = match parsed {
            Ok(name) => (None, Some(Event::Request(Request::Upload(name)))),
            Err(refusal) => (Some(refusal), None),
        };
        self.state = State::Body(Body::new(self.limits.upload_len_max, refusal));
        event
    }

    fn end_line(&mut self) -> Option<Event> {
        if self.head.is_empty() {
            self.start_over();
            return None;
        }
        let parsed = line::parse(&self.head);
        let is_header = line::is_header(&self.head);
        self.start_over();
        Some(match parsed {
            Ok(request) => Event::Request(request),
            Err(refusal) if is_header => self.break_off(refusal),
            Err(refusal) => Event::Refused(refusal),
        })
    }

    fn start_over(&mut self) {
        self.head.clear();
        self.scan = Scan::Verb;
        self.after_cr = false;
    }

    fn break_off(&mut self, refusal: Refusal) -> Event {
        self.state = State::Broken;
        Event::Broken(refusal)
    }

    fn verb(&self) -> Option<Verb> {
        match self.scan {
            Scan::Verb => None,
            Scan::Upload(_) => Some(Verb::Upload),
            Scan::Rest(verb) => verb,
        }
    }
}
