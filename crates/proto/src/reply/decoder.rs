//! The reply decoder: the object's grammar, its streamed content, and its end.

use memchr::memchr2;

use super::draft::{Draft, Field};
use super::elsewhere::Elsewhere;
use super::{BadReply, Reply, Step, TERMINATOR};
use crate::base64::{self, Malformed};
use crate::json::{Escape, Escaped, Lexer, Nesting, Strings, Token};
use crate::limits::LISTING_LEN_MAX;

/// Reads replies from a byte stream cut anywhere: spaces, any key order, `\/` and other escapes (also inside
/// `data_file`), unknown keys with values of any shape. A reply without its CRLF CRLF is no reply.
#[derive(Debug)]
pub struct ReplyDecoder {
    state: State,
    lexer: Lexer,
    draft: Draft,
    content: base64::Decoder,
    /// A character of the content that came as an escape and waits for room.
    unescaped: Option<u8>,
    listing_len_max: usize,
    elsewhere: Elsewhere,
}

impl Default for ReplyDecoder {
    fn default() -> Self {
        Self::with_listing_max(LISTING_LEN_MAX)
    }
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Start,
    /// The first key, or the end of an object without any.
    FirstKey,
    Key,
    Colon(Field),
    Value(Field),
    FirstName,
    Name,
    AfterName,
    /// Inside a value of no interest.
    Skip(Nesting),
    AfterValue,
    Content,
    /// After a backslash in the content.
    Escape(Escape),
    /// After the object, with so many bytes of the terminator.
    End(usize),
}

impl ReplyDecoder {
    /// A decoder at the start of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same that holds at most `len_max` bytes of names, their bookkeeping included.
    #[must_use]
    pub fn with_listing_max(len_max: usize) -> Self {
        Self {
            state: State::default(),
            lexer: Lexer::default(),
            draft: Draft::default(),
            content: base64::Decoder::default(),
            unescaped: None,
            listing_len_max: len_max,
            elsewhere: Elsewhere::default(),
        }
    }

    /// At the start of a reply again, whatever became of the last one, with the memory that it has.
    pub fn restart(&mut self, listing_len_max: usize) {
        self.lexer.restart();
        self.draft.take();
        *self = Self {
            lexer: std::mem::take(&mut self.lexer),
            draft: std::mem::take(&mut self.draft),
            ..Self::with_listing_max(listing_len_max)
        };
    }

    /// Has later replies use the memory of `reply`, with which the caller is done.
    pub fn reuse(&mut self, reply: Reply) {
        self.draft.reuse(reply);
    }

    /// Whether it was too long a listing that could not be decoded.
    #[must_use]
    pub fn is_over_listing_max(&self) -> bool {
        self.draft.names_len > self.listing_len_max
    }

    /// The key of the longest value of the reply in hand, or the last one, that has neither content nor a listing: where
    /// a server put them that does not name them as the protocol does.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&str> {
        self.elsewhere.key(self.draft.reply.json_len)
    }

    /// Takes what it can of `input`; file content goes to `out`, which must have room for 3 bytes at
    /// least. After a reply it is ready for the next.
    ///
    /// # Errors
    /// [`BadReply`] when the bytes cannot be a reply; nothing more can be decoded then.
    pub fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, BadReply> {
        let mut step = Step {
            consumed: 0,
            produced: 0,
            reply: None,
        };
        while step.consumed < input.len() && step.reply.is_none() {
            let rest = &input[step.consumed..];
            let consumed = match self.state {
                State::Start => self.take_start(rest)?,
                State::Content => {
                    let done = self.take_content(rest, &mut out[step.produced..])?;
                    step.produced += done.produced;
                    if done.consumed == 0 {
                        break;
                    }
                    done.consumed
                }
                State::Escape(escape) => self.take_escape(escape, rest[0])?,
                State::End(len) => self.take_end(len, rest[0])?,
                _ => self.take_token(rest)?,
            };
            step.consumed += consumed;
            if self.state == State::End(TERMINATOR.len()) {
                self.elsewhere.end(self.draft.reply.json_len);
                step.reply = Some(self.draft.take());
                self.state = State::Start;
            }
        }
        Ok(step)
    }

    /// True when no byte of the current reply has come yet; white space before it does not count.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        self.state == State::Start
    }

    /// Anything but an object is another protocol: better said at the first byte.
    fn take_start(&mut self, rest: &[u8]) -> Result<usize, BadReply> {
        const EXCERPT_LEN_MAX: usize = 40;
        let space = self.lexer.skip_space(rest)?;
        match &rest[space..] {
            [] => Ok(space),
            [b'{', ..] => {
                self.state = State::FirstKey;
                self.elsewhere = Elsewhere::default();
                self.draft.reply.json_len = 1;
                Ok(space + 1)
            }
            other => {
                let shown = other[..other.len().min(EXCERPT_LEN_MAX)].escape_ascii();
                Err(BadReply::new(format!(
                    "it starts with '{shown}' instead of a JSON object"
                )))
            }
        }
    }

    fn take_token(&mut self, rest: &[u8]) -> Result<usize, BadReply> {
        let strings = match self.state {
            State::Value(Field::Content) => Strings::Open,
            State::Value(Field::Unknown) | State::Skip(_) => Strings::Skip,
            _ => Strings::Keep,
        };
        let read = self.lexer.next(rest, strings);
        let (consumed, token) = read.map_err(|error| self.elsewhere.name_in(error))?;
        self.draft.reply.json_len += consumed as u64;
        if let Some(token) = token {
            self.state = self.follow(token)?;
        }
        Ok(consumed)
    }

    /// The grammar: where a token leads.
    fn follow(&mut self, token: Token) -> Result<State, BadReply> {
        use Token::Punct;
        Ok(match (self.state, token) {
            (State::FirstKey | State::Key, Token::String) => {
                let key = self.lexer.string()?;
                let field = self.draft.field(&key)?;
                let is_candidate = matches!(field, Field::Unknown | Field::Data);
                let len = self.draft.reply.json_len;
                self.elsewhere.start(is_candidate.then_some(&*key), len);
                State::Colon(field)
            }
            (State::Colon(field), Punct(b':')) => State::Value(field),
            (State::Value(Field::Content), Token::Quote) => {
                self.elsewhere.forget();
                State::Content
            }
            (State::Value(Field::Unknown), Token::String) => State::AfterValue,
            (State::Value(field), Token::String) => {
                self.draft.set_string(field, &self.lexer.string()?);
                State::AfterValue
            }
            (State::Value(field), Token::Scalar) => {
                self.draft.set_scalar(field, self.lexer.scalar())?;
                State::AfterValue
            }
            (State::Value(Field::Data), Punct(b'[')) => {
                self.elsewhere.forget();
                self.draft.start_names();
                State::FirstName
            }
            (State::Value(Field::Content), _) => {
                return Err(BadReply::new("its data_file is not a string"));
            }
            (State::Value(_), Punct(bracket @ (b'[' | b'{'))) => State::Skip(Nesting::new(bracket)),
            (State::Skip(nesting), Punct(byte)) => match nesting.follow(byte)? {
                Some(nesting) => State::Skip(nesting),
                None => State::AfterValue,
            },
            (State::Skip(nesting), _) => State::Skip(nesting),
            (State::FirstName | State::Name, Token::String) => {
                let name = self.lexer.string()?;
                self.draft.add_name(&name, self.listing_len_max)?;
                State::AfterName
            }
            (State::FirstName | State::AfterName, Punct(b']')) => State::AfterValue,
            (State::FirstName | State::Name, _) => {
                return Err(BadReply::new("its listing holds something else than names"));
            }
            (State::AfterName, Punct(b',')) => State::Name,
            (State::AfterValue, Punct(b',')) => State::Key,
            (State::FirstKey | State::AfterValue, Punct(b'}')) => {
                self.draft.end()?;
                State::End(0)
            }
            _ => return Err(BadReply::new("its JSON is malformed")),
        })
    }

    /// Decodes content up to its closing quote or the next escape. Consumes nothing when `out` is full.
    fn take_content(&mut self, rest: &[u8], out: &mut [u8]) -> Result<base64::Progress, BadReply> {
        let malformed = |Malformed| BadReply::new("its data_file is not standard padded base64");
        let mut total = base64::Progress::default();
        if let Some(character) = self.unescaped {
            let done = self.content.decode(&[character], out).map_err(malformed)?;
            if done.consumed == 0 {
                return Ok(total);
            }
            self.unescaped = None;
            total.produced = done.produced;
        }
        let find_end = |text: &[u8]| memchr2(b'"', b'\\', text);
        let room = &mut out[total.produced..];
        let (done, at_end) = self
            .content
            .decode_until(rest, room, find_end)
            .map_err(malformed)?;
        total.consumed = done.consumed;
        total.produced += done.produced;
        if at_end {
            self.state = if rest[total.consumed] == b'"' {
                self.content.finish().map_err(malformed)?;
                self.draft.reply.has_content = true;
                State::AfterValue
            } else {
                State::Escape(Escape::default())
            };
            total.consumed += 1;
        }
        self.draft.reply.json_len += total.consumed as u64;
        self.draft.reply.content_len += total.produced as u64;
        Ok(total)
    }

    fn take_escape(&mut self, escape: Escape, byte: u8) -> Result<usize, BadReply> {
        self.draft.reply.json_len += 1;
        self.state = match escape.follow(byte) {
            None => {
                return Err(BadReply::new(
                    "its data_file has an escape that is not base64",
                ));
            }
            Some(Escaped::More(escape)) => State::Escape(escape),
            Some(Escaped::Byte(character)) => {
                self.unescaped = Some(character);
                State::Content
            }
        };
        Ok(1)
    }

    fn take_end(&mut self, len: usize, byte: u8) -> Result<usize, BadReply> {
        match byte {
            b' ' | b'\t' if len == 0 => {}
            _ if byte == TERMINATOR[len] => self.state = State::End(len + 1),
            _ => {
                let shown = byte.escape_ascii();
                return Err(BadReply::new(format!("'{shown}' after its JSON")));
            }
        }
        Ok(1)
    }
}
