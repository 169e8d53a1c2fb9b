//! What is held back until the bytes behind it tell what it is: the start of the line after an upload's head, and
//! what follows a body as long as a line of wrapped base64.
//!
//! At most nine bytes decide: the longest verb is DOWNLOAD, and what follows it. What was held back is decoded
//! once more as what it is by then, before anything else, so that it does not matter how the stream was cut.

use super::{RequestDecoder, State};
use crate::base64::is_symbol;
use crate::request::body::{self, Body};
use crate::request::{Event, Refusal, Request, Step, Verb, line};

/// The length of DOWNLOAD, the longest verb.
const VERB_LEN_MAX: usize = 8;

impl RequestDecoder {
    /// Decodes what was held back, and then the input.
    pub(super) fn decode_replay(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        let replay = std::mem::take(&mut self.replay);
        let (mut done, mut produced) = (0, 0);
        while done < replay.len() {
            let step = self.decode_input(&replay[done..], &mut out[produced..]);
            done += step.consumed;
            produced += step.produced;
            if step.event.is_some() || step.consumed == 0 {
                self.replay = replay[done..].to_vec();
                return Step {
                    consumed: 0,
                    produced,
                    event: step.event,
                };
            }
        }
        let step = self.decode_input(input, &mut out[produced..]);
        Step {
            produced: produced + step.produced,
            ..step
        }
    }

    /// Finds out whether the line after an upload's head is its body.
    pub(super) fn await_body(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        for (at, &byte) in input.iter().enumerate() {
            match byte {
                b'\n' if self.head.is_empty() => {
                    self.after_cr = false;
                    return self.end_without_body(at + 1);
                }
                _ if self.after_cr => {
                    let refusal = Refusal::lone_cr(Some(Verb::Upload));
                    return Step {
                        event: Some(self.break_off(refusal)),
                        ..Step::taken(at + 1)
                    };
                }
                b'\r' if self.head.is_empty() => self.after_cr = true,
                b' ' | b'\r' | b'\n' if Verb::from_wire(&self.head).is_some() => {
                    return self.end_without_body(at);
                }
                _ => {
                    self.head.push(byte);
                    if !Verb::may_begin_with(&self.head) {
                        self.head.pop();
                        return self.start_awaited_body(at, input, out);
                    }
                }
            }
        }
        Step::taken(input.len())
    }

    /// The awaited line is empty, or the next request.
    fn end_without_body(&mut self, consumed: usize) -> Step {
        let refusal = match self.start_next() {
            State::Awaiting(Err(refusal)) => refusal,
            _ => line::without_body(),
        };
        Step {
            event: Some(Event::Refused(refusal)),
            ..Step::taken(consumed)
        }
    }

    fn start_awaited_body(&mut self, consumed: usize, input: &[u8], out: &mut [u8]) -> Step {
        let name = match self.start_next() {
            State::Awaiting(name) => name,
            _ => Err(line::without_body()),
        };
        let len_max = self.limits.upload_len_max;
        match name {
            Ok(name) => {
                self.state = State::Body(Body::on_its_own_line(len_max, None));
                Step {
                    event: Some(Event::Request(Request::Upload(name))),
                    ..Step::taken(consumed)
                }
            }
            Err(refusal) => {
                self.state = State::Body(Body::on_its_own_line(len_max, Some(refusal)));
                let mut step = self.decode(&input[consumed..], out);
                step.consumed += consumed;
                step
            }
        }
    }

    /// Finds out whether the body that has just ended goes on, wrapped by a tool.
    pub(super) fn settle(&mut self, input: &[u8]) -> Step {
        for (at, &byte) in input.iter().enumerate() {
            match byte {
                _ if is_symbol(byte) || byte == b'=' => {
                    if self.head.len() == VERB_LEN_MAX {
                        return self.end_settling(at, true);
                    }
                    self.head.push(byte);
                }
                b'\r' | b'\n' => {
                    let is_text = !self.head.is_empty() && Verb::from_wire(&self.head).is_none();
                    return self.end_settling(at, is_text);
                }
                _ => return self.end_settling(at, false),
            }
        }
        Step::taken(input.len())
    }

    /// Nothing follows at once: what was held back is no request.
    pub(super) fn settle_at_end(&mut self) -> Event {
        self.settled(!self.head.is_empty())
    }

    fn end_settling(&mut self, consumed: usize, goes_on: bool) -> Step {
        Step {
            event: Some(self.settled(goes_on)),
            ..Step::taken(consumed)
        }
    }

    fn settled(&mut self, goes_on: bool) -> Event {
        let ended = match self.start_next() {
            State::Settling(event) => event,
            _ => Event::UploadEnd,
        };
        match ended {
            _ if !goes_on => ended,
            Event::Refused(refusal) => self.break_off(refusal),
            _ => self.break_off(body::wrapped()),
        }
    }

    /// Leaves the state. What was held back comes first in the next, which is a head's unless the caller changes it.
    fn start_next(&mut self) -> State {
        self.replay = std::mem::take(&mut self.head);
        std::mem::replace(&mut self.state, State::Head)
    }
}
