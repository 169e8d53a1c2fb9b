//! Requests: a decoder fed with pieces of a stream, and what came of them.

mod dialects;
mod properties;
mod tables;

use proto::request::{Event, Phase, Request, RequestDecoder, Verb};
use proto::{Code, Limits};

use crate::pieces::cut;

/// What came of a stream, without the content of uploads that did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    List,
    Get(String),
    Delete(String),
    Stored(String, Vec<u8>),
    Refused(Code, Option<Verb>),
    Broken(Code),
}

use Outcome::{Broken, Delete, Get, List, Refused, Stored};

/// Feeds a decoder and gathers what comes out, and sees to it that it always gets on.
struct Feed {
    decoder: RequestDecoder,
    out: Vec<u8>,
    upload: Option<(String, Vec<u8>)>,
    outcomes: Vec<Outcome>,
    /// What the refusals among them say.
    messages: Vec<String>,
}

impl Feed {
    fn new(limits: Limits, out_len: usize) -> Self {
        let decoder = RequestDecoder::new(limits);
        Self {
            decoder,
            out: vec![0; out_len],
            upload: None,
            outcomes: Vec::new(),
            messages: Vec::new(),
        }
    }

    fn push(&mut self, mut piece: &[u8]) {
        loop {
            let step = self.decoder.decode(piece, &mut self.out);
            piece = &piece[step.consumed..];
            if step.produced > 0 {
                let (_, content) = self.upload.as_mut().expect("content belongs to an upload");
                content.extend_from_slice(&self.out[..step.produced]);
            }
            match step.event {
                Some(event) => self.note(event),
                None if piece.is_empty() => return,
                None => assert!(
                    step.consumed + step.produced > 0,
                    "stuck at {}",
                    piece.escape_ascii()
                ),
            }
        }
    }

    /// The end of input.
    fn end(&mut self) {
        if self.decoder.phase() == Phase::Settling {
            let event = self.decoder.silence().expect("the end settles it");
            self.note(event);
            assert_eq!(self.decoder.silence(), None);
        }
    }

    fn note(&mut self, event: Event) {
        if let Event::Refused(refusal) | Event::Broken(refusal) = &event {
            self.messages.push(refusal.message.clone());
        }
        let upload = match &event {
            Event::Request(_) => None,
            Event::UploadEnd | Event::Refused(_) | Event::Broken(_) => self.upload.take(),
        };
        self.outcomes.push(match event {
            Event::Request(Request::List) => List,
            Event::Request(Request::Get(name)) => Get(name.to_string()),
            Event::Request(Request::Delete(name)) => Delete(name.to_string()),
            Event::Request(Request::Upload(name)) => {
                self.upload = Some((name.to_string(), Vec::new()));
                return;
            }
            Event::UploadEnd => {
                let (name, content) = upload.expect("an upload ended that had not begun");
                Stored(name, content)
            }
            Event::Refused(refusal) => Refused(refusal.code, refusal.verb),
            Event::Broken(refusal) => Broken(refusal.code),
        });
    }
}

fn run_with(input: &[u8], limits: Limits, lens: &[usize], out_len: usize) -> Vec<Outcome> {
    feed_with(input, limits, lens, out_len).outcomes
}

fn feed_with(input: &[u8], limits: Limits, lens: &[usize], out_len: usize) -> Feed {
    let mut feed = Feed::new(limits, out_len);
    for piece in cut(input, lens) {
        feed.push(piece);
    }
    feed.end();
    feed
}
