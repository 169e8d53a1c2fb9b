//! The decoder of requests in small worlds: whatever comes, however it is cut, the same comes of it.
//!
//! A world is an opening and an alphabet. Each string of up to so many symbols is fed behind the opening, cut in every
//! way there is. That need not be done cut by cut: what a decoder is after the first pieces is kept for each place of
//! the string, so for one string more only the last piece is fed, from each place on. Where cuts leave decoders that
//! differ inside, both are kept and go on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZero;
use std::thread;

use anyhow::Result;
use proto::Limits;
use proto::request::{Event, Phase, Request, RequestDecoder};

use crate::keep::{Keeper, Tally};

struct World {
    name: &'static str,
    opening: &'static [u8],
    alphabet: &'static [u8],
    limits: Limits,
}

const USUAL: Limits = Limits {
    head_len_max: proto::limits::HEAD_LEN_MAX,
    upload_len_max: proto::limits::UPLOAD_LEN_MAX,
};

const SMALL: Limits = Limits {
    head_len_max: 9,
    upload_len_max: 3,
};

const fn world(name: &'static str, opening: &'static [u8], alphabet: &'static [u8]) -> World {
    World {
        name,
        opening,
        alphabet,
        limits: USUAL,
    }
}

/// One symbol less than a line of wrapped base64.
const NEARLY_WRAPPED: &[u8] =
    b"UPLOAD a QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h";

const WORLDS: [World; 13] = [
    world("a connection's first bytes", b"", b"LIST \r\n"),
    world("an upload's first bytes", b"", b"PUTa \r\n"),
    world("after LIST", b"LIST", b" \r\nL:\0=a"),
    world("a name to get", b"GET ", b"a\"\\/. \r\n"),
    world("a name to delete, quoted", b"HAPUS \"", b"a\"\\. \r\n"),
    world("a name to upload", b"UPLOAD ", b"a\"\\ \r\nQ="),
    world("what a name is joined to", b"UPLOAD a", b"|Q='b \r\n"),
    world("a body", b"UPLOAD a ", b"Q=b' \r\n:"),
    world("a body's padding", b"UPLOAD a ", b"Q=\n"),
    world("a body on the next line", b"ADD a\r\n", b"Q=b' \r\n:"),
    world(
        "a body or a request on the next line",
        b"ADD \"a\"\n",
        b"PUT \r\nQ=",
    ),
    world("a line that may be wrapped", NEARLY_WRAPPED, b"PUT \r\nQ="),
    World {
        limits: SMALL,
        ..world("small limits", b"PUT a", b"Q=b \r\nL\"")
    },
];

pub(crate) fn run(mut keeper: Keeper, smoke: bool) -> Result<u64> {
    for world in &WORLDS {
        // Of few symbols, longer strings: two groups of base64 and more.
        let longer = if world.alphabet.len() <= 3 { 3 } else { 0 };
        let symbols_max = if smoke { 5 } else { 8 } + longer;
        keeper.part(
            &format!("{}, up to {symbols_max} symbols", world.name),
            |tally| {
                explore(world, symbols_max, tally);
            },
        )?;
    }
    Ok(keeper.finish())
}

/// A connection so far: its decoder, and what has come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    decoder: RequestDecoder,
    /// Of the upload that is coming in.
    content: Digest,
    /// Everything that is decided.
    outcomes: Digest,
    replies: u32,
    is_broken: bool,
}

/// Bytes as one number. What is equal has the same; what differs practically never has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Digest(u64);

impl Digest {
    fn add(&mut self, what: impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.0, what).hash(&mut hasher);
        self.0 = hasher.finish();
    }
}

impl State {
    fn new(limits: Limits) -> Self {
        Self {
            decoder: RequestDecoder::new(limits),
            content: Digest::default(),
            outcomes: Digest::default(),
            replies: 0,
            is_broken: false,
        }
    }

    /// Feeds one piece.
    fn feed(&mut self, mut piece: &[u8]) -> Result<(), String> {
        let mut out = [0; 256];
        loop {
            let step = self.decoder.decode(piece, &mut out);
            piece = piece
                .get(step.consumed..)
                .ok_or("took more than there is")?;
            for byte in &out[..step.produced] {
                self.content.add(byte);
            }
            match step.event {
                Some(event) => self.note(event)?,
                None if piece.is_empty() => return Ok(()),
                None if step.consumed + step.produced == 0 => return Err("is stuck".into()),
                None => {}
            }
        }
    }

    /// What comes of it if the input ends here, and if the line does.
    fn ended(&self) -> Result<[(Digest, Phase); 2], String> {
        let mut ended_line = self.clone();
        if !self.is_broken {
            ended_line.feed(b"\n")?;
        }
        Ok([self.clone().settled()?, ended_line.settled()?])
    }

    fn settled(mut self) -> Result<(Digest, Phase), String> {
        if self.decoder.phase() == Phase::Settling {
            let event = self.decoder.silence().ok_or("is not settled by the end")?;
            self.note(event)?;
        }
        Ok((self.outcomes, self.decoder.phase()))
    }

    fn note(&mut self, event: Event) -> Result<(), String> {
        if self.is_broken {
            return Err("says something after the end".into());
        }
        let content = std::mem::take(&mut self.content);
        self.replies += 1;
        match event {
            Event::Request(Request::Upload(name)) => {
                self.replies -= 1;
                self.outcomes.add(("upload", name.as_str()));
            }
            Event::Request(request) => self.outcomes.add(format!("{request:?}")),
            Event::UploadEnd => self.outcomes.add(("stored", content.0)),
            Event::Refused(refusal) => {
                self.outcomes
                    .add(("refused", refusal.code, refusal.message));
            }
            Event::Broken(refusal) => {
                self.is_broken = true;
                self.outcomes.add(("broken", refusal.code, refusal.message));
            }
        }
        Ok(())
    }
}

/// The string so far, and what a connection may be after each of its places, however it was cut.
struct Path<'a> {
    world: &'a World,
    text: Vec<u8>,
    states: Vec<Vec<State>>,
}

fn explore(world: &World, symbols_max: usize, tally: &mut Tally) {
    let mut opened = State::new(world.limits);
    for byte in world.opening {
        if let Err(why) = opened.feed(&[*byte]) {
            tally.violation(|| format!("the opening: {why}"));
        }
    }
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = world.alphabet.len().div_ceil(cores);
    let tallies = thread::scope(|scope| {
        let workers: Vec<_> = (world.alphabet.chunks(share))
            .map(|symbols| {
                let mut path = Path {
                    world,
                    text: Vec::new(),
                    states: vec![vec![opened.clone()]],
                };
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    path.descend(symbols, symbols_max, &mut tally);
                    tally
                })
            })
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Tally>| worker.join();
        workers.into_iter().map(join).collect::<Vec<_>>()
    });
    for part in tallies {
        match part {
            Ok(part) => tally.join(part),
            Err(_) => tally.violation(|| "the decoder panicked".into()),
        }
    }
}

impl Path<'_> {
    /// Tries every string that is longer by up to `left` symbols, the first of them one of `symbols`.
    fn descend(&mut self, symbols: &[u8], left: usize, tally: &mut Tally) {
        for &symbol in symbols {
            self.text.push(symbol);
            let (states, feeds) = self.last_pieces(tally);
            tally.count("strings", 1);
            tally.count("last pieces", feeds);
            // Behind the end of a connection all strings are one.
            let is_open = states.iter().any(|state| !state.is_broken);
            if is_open && left > 1 {
                self.states.push(states);
                self.descend(self.world.alphabet, left - 1, tally);
                self.states.pop();
            }
            self.text.pop();
        }
    }

    /// Feeds the last piece, from each place on, and says what a connection may be now.
    fn last_pieces(&self, tally: &mut Tally) -> (Vec<State>, u64) {
        let mut found: Vec<State> = Vec::new();
        let mut ended = None;
        let mut feeds = 0;
        for (place, states) in self.states.iter().enumerate().rev() {
            for before in states {
                let mut state = before.clone();
                feeds += 1;
                if let Err(why) = state.feed(&self.text[place..]) {
                    tally.violation(|| self.say(place, &why));
                }
                // What is the same inside comes to the same.
                if found.contains(&state) {
                    continue;
                }
                match (state.ended(), &ended) {
                    (Err(why), _) => tally.violation(|| self.say(place, &why)),
                    (Ok(end), None) => ended = Some(end),
                    (Ok(end), Some(first)) if end != *first => {
                        tally.violation(|| self.say(place, "comes to something else"));
                    }
                    (Ok(_), Some(_)) => {}
                }
                found.push(state);
            }
        }
        let sent = self.world.opening.iter().chain(&self.text);
        let lines = sent.filter(|&&byte| byte == b'\n').count() as u32 + 1;
        if found.iter().any(|state| state.replies > lines) {
            tally.violation(|| self.say(0, "has more replies than requests"));
        }
        (found, feeds)
    }

    fn say(&self, place: usize, what: &str) -> String {
        let (before, last) = self.text.split_at(place);
        format!(
            "{}|{}|{}: {what}",
            self.world.opening.escape_ascii(),
            before.escape_ascii(),
            last.escape_ascii()
        )
    }
}
