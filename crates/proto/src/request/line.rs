//! The grammar of one request line, as pure functions of the whole line.

use super::{Refusal, Request, Verb};
use crate::reply::UNKNOWN_VERB_TEXT;
use crate::{Code, FileName};

/// Reads a complete line, without its end. An upload never gets here with its name and the space
/// after it: those end its head, and what follows is its body.
pub(super) fn parse(line: &[u8]) -> Result<Request, Refusal> {
    let (word, rest) = split_word(line);
    let verb = Verb::from_wire(word);
    refuse_nul(line, verb)?;
    let bad_request = |message: &str| Refusal::new(Code::BadRequest, verb, message);
    match verb {
        None => Err(unknown_verb(word)),
        Some(Verb::List) if is_blank(rest) => Ok(Request::List),
        Some(Verb::List) => Err(bad_request("LIST takes no name")),
        Some(_) if is_blank(rest) => Err(bad_request("the name is missing")),
        Some(Verb::Get) => parse_name(rest, Verb::Get).map(Request::Get),
        Some(Verb::Delete) => parse_name(rest, Verb::Delete).map(Request::Delete),
        Some(Verb::Upload) => Err(bad_request(
            "nothing follows the name: the content in base64 belongs on the same line",
        )),
    }
}

/// Reads the head of an upload, up to and including the space before the body.
pub(super) fn parse_upload(head: &[u8]) -> Result<FileName, Refusal> {
    refuse_nul(head, Some(Verb::Upload))?;
    let (_, rest) = split_word(head);
    parse_name(rest, Verb::Upload)
}

/// How far into an upload's head its bytes have got: finds the space that ends the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameScan {
    /// The space after the verb has just come.
    Start,
    /// In a bare name.
    Bare,
    /// In a quoted name; after a backslash when true.
    Quoted(bool),
    /// After the closing quote.
    Closed,
}

impl NameScan {
    /// Takes the next byte; none when it ends the head, be it well or ill.
    pub(super) const fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Start, b'"') => Some(Self::Quoted(false)),
            (Self::Start | Self::Bare, b' ') | (Self::Closed, _) => None,
            (Self::Start | Self::Bare, _) => Some(Self::Bare),
            (Self::Quoted(false), b'"') => Some(Self::Closed),
            (Self::Quoted(escaped), _) => Some(Self::Quoted(!escaped && byte == b'\\')),
        }
    }
}

/// Whether a line begins as the headers of HTTP do. Every browser sends some before the content that a web page
/// made up: whoever reads on takes that page's requests for its user's.
pub(super) fn is_header(line: &[u8]) -> bool {
    // RFC 9110, section 5: a name, then a colon without a space before it.
    let name_len = memchr::memchr(b':', line).unwrap_or(0);
    let is_of_a_name = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name_len > 0 && line[..name_len].iter().all(is_of_a_name)
}

fn refuse_nul(head: &[u8], verb: Option<Verb>) -> Result<(), Refusal> {
    match memchr::memchr(0, head) {
        None => Ok(()),
        Some(_) => Err(Refusal::new(
            Code::BadRequest,
            verb,
            "a request must not contain NUL",
        )),
    }
}

fn unknown_verb(word: &[u8]) -> Refusal {
    const SHOWN_LEN_MAX: usize = 32;
    let shown = word[..word.len().min(SHOWN_LEN_MAX)].escape_ascii();
    let mut message =
        format!("{UNKNOWN_VERB_TEXT}: '{shown}' is none of LIST, GET, UPLOAD, DELETE");
    if is_header(word) {
        message += "; this is no web server";
    }
    Refusal::new(Code::UnknownVerb, None, message)
}

/// The name in what follows the verb, with one space before it and nothing but spaces after it.
fn parse_name(rest: &[u8], verb: Verb) -> Result<FileName, Refusal> {
    let bad_request = |message| Err(Refusal::new(Code::BadRequest, Some(verb), message));
    let unquoted;
    let (name, after) = match rest {
        [b' ', b' ', ..] => return bad_request("one space belongs between verb and name"),
        [b' ', b'"', quoted @ ..] => match unquote(quoted) {
            Some((name, after)) => {
                unquoted = name;
                (unquoted.as_slice(), after)
            }
            None => return bad_request("the name's closing quote is missing"),
        },
        [_, bare @ ..] => split_word(bare),
        [] => return bad_request("the name is missing"),
    };
    match after {
        after if is_blank(after) => {}
        [b' ', ..] => {
            return bad_request("too many words: a name with spaces belongs in double quotes");
        }
        _ => return bad_request("a space or the line's end belongs after the closing quote"),
    }
    FileName::parse(name)
        .map_err(|error| Refusal::new(Code::BadName, Some(verb), error.to_string()))
}

/// Splits what follows an opening quote at the closing one, and resolves `\"` and `\\`. Any other
/// backslash stays, as in a POSIX shell.
fn unquote(quoted: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut name = Vec::new();
    let mut rest = quoted;
    loop {
        match rest {
            [] => return None,
            [b'"', after @ ..] => return Some((name, after)),
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                name.push(*escaped);
                rest = after;
            }
            [byte, after @ ..] => {
                name.push(*byte);
                rest = after;
            }
        }
    }
}

/// Splits before the first space.
fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    line.split_at(memchr::memchr(b' ', line).unwrap_or(line.len()))
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b' ')
}
