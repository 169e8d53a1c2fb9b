//! The request decoder: collects heads byte by byte and hands bodies on.

mod hold;

use super::body::Body;
use super::line::{self, Foreign, NameScan};
use super::{Event, Phase, Refusal, Request, Step, Verb};
use crate::{Code, FileName, Limits};

/// Decodes requests from a byte stream cut anywhere, holding at most one head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestDecoder {
    limits: Limits,
    state: State,
    /// What has come of the head, or is held back until it is known what it is; empty between requests.
    head: Vec<u8>,
    /// What was held back and is known by now: it comes before all further input.
    replay: Vec<u8>,
    scan: Scan,
    /// The last byte was a CR: only LF may follow.
    after_cr: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// In a head, or before one while it is empty.
    Head,
    /// After the head of an upload that its line's end ended: the body, or what is wrong with the head.
    Awaiting(Result<FileName, Refusal>),
    Body(Body),
    /// After a body that may be the first line of a longer text: what it is if it is not.
    Settling(Event),
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
            replay: Vec::new(),
            scan: Scan::Verb,
            after_cr: false,
        }
    }

    /// Takes what it can of `input`; upload content goes to `out`, which must have room for 3 bytes
    /// at least. After [`Event::Broken`] all input is consumed and ignored.
    pub fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        if self.replay.is_empty() {
            self.decode_input(input, out)
        } else {
            self.decode_replay(input, out)
        }
    }

    fn decode_input(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        match &mut self.state {
            State::Head => self.decode_head(input),
            State::Awaiting(_) => self.await_body(input, out),
            State::Body(body) => {
                let mut step = body.decode(input, out);
                match step.event.take() {
                    Some(event @ (Event::UploadEnd | Event::Refused(_)))
                        if body.may_be_wrapped() =>
                    {
                        self.state = State::Settling(event);
                    }
                    event => {
                        match event {
                            Some(Event::UploadEnd | Event::Refused(_)) => self.state = State::Head,
                            Some(Event::Broken(_)) => self.state = State::Broken,
                            Some(Event::Request(_)) | None => {}
                        }
                        step.event = event;
                    }
                }
                step
            }
            State::Settling(_) => self.settle(input),
            State::Broken => Step::taken(input.len()),
        }
    }

    /// Nothing follows at once. In [`Phase::Settling`] that, as the end of input does, decides what has come.
    /// In a head (`--accept-unterminated`) what looks like a complete request without a body counts as ended.
    pub fn silence(&mut self) -> Option<Event> {
        if let State::Settling(_) = self.state {
            return Some(self.settle_at_end());
        }
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
            State::Head | State::Awaiting(_) => Phase::Head,
            State::Body(_) => Phase::Body,
            State::Settling(_) => Phase::Settling,
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
                let mut message = format!("head longer than {} bytes", self.limits.head_len_max);
                if let (None | Some(Verb::Upload), Some(foreign)) =
                    (self.verb(), line::foreign(&self.head))
                {
                    message = format!("{message}: {foreign}");
                }
                let refusal = Refusal::new(Code::BadRequest, self.verb(), message);
                Some(self.break_off(refusal))
            }
            // At once: what such a client sends has no end of line that would be waited for.
            0 if self.head.len() < line::LENGTH_LEN => {
                let message = Foreign::Length.to_string();
                Some(self.break_off(Refusal::new(Code::BadRequest, None, message)))
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
        if self.is_complete_without_body() {
            let parsed = line::parse_upload(&self.head);
            self.start_over();
            self.state = State::Awaiting(parsed);
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

    /// Whether the line is an upload's whose name is complete, so that its body may follow.
    fn is_complete_without_body(&self) -> bool {
        match self.scan {
            Scan::Upload(NameScan::Bare) => !line::is_joined_by_bars(&self.head),
            Scan::Upload(NameScan::Closed) => true,
            Scan::Upload(NameScan::Start | NameScan::Quoted(_)) | Scan::Verb | Scan::Rest(_) => {
                false
            }
        }
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
