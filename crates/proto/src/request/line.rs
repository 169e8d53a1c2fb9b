//! The grammar of one request line, as pure functions of the whole line.

use super::{Refusal, Request, Verb};
use crate::base64::is_symbol;
use crate::reply::UNKNOWN_VERB_TEXT;
use crate::{Code, FileName};

/// Reads a complete line, without its end. An upload never gets here with its name: what follows that, on the
/// same line or the next, is its body. Only one whose name and body run together does.
pub(super) fn parse(line: &[u8]) -> Result<Request, Refusal> {
    let (word, rest) = split_word(line);
    let verb = Verb::from_wire(word);
    refuse_nul(line, verb)?;
    let bad_request = |message: &str| Refusal::new(Code::BadRequest, verb, message);
    match verb {
        None => Err(unknown_verb(line)),
        Some(Verb::List) if is_blank(rest) => Ok(Request::List),
        Some(Verb::List) => Err(bad_request("LIST takes no name")),
        Some(_) if is_blank(rest) => Err(bad_request("the name is missing")),
        Some(Verb::Get) => parse_name(rest, Verb::Get).map(Request::Get),
        Some(Verb::Delete) => parse_name(rest, Verb::Delete).map(Request::Delete),
        Some(Verb::Upload) => Err(bad_request(&Foreign::Bars.to_string())),
    }
}

/// Whether a line's name and body run together: `UPLOAD name||base64`. A name may have bars, too: only what has
/// base64 in whole groups behind them is not waited for a body.
pub(super) fn is_joined_by_bars(line: &[u8]) -> bool {
    let Some(at) = find_bars(line) else {
        return false;
    };
    let body = &line[at + 2..];
    let body = body.strip_prefix(b"b'").unwrap_or(body);
    let body = body.strip_suffix(b"'").unwrap_or(body);
    let is_text = |&byte: &u8| is_symbol(byte) || byte == b'=';
    !body.is_empty() && body.len().is_multiple_of(4) && body.iter().all(is_text)
}

fn find_bars(line: &[u8]) -> Option<usize> {
    line.windows(2).position(|pair| pair == b"||")
}

/// What is said of an upload that nothing follows.
pub(super) fn without_body() -> Refusal {
    let message = "nothing follows the name: the content in base64 belongs on the same line or the next \
                   (content that reads LIST, POST or DOWNLOAD there is taken for the next request)";
    Refusal::new(Code::BadRequest, Some(Verb::Upload), message)
}

/// What is said where a header of HTTP came instead of a body.
pub(super) fn http_header() -> Refusal {
    let message = format!("{UNKNOWN_VERB_TEXT}: a header of HTTP; this is no web server");
    Refusal::new(Code::UnknownVerb, Some(Verb::Upload), message)
}

/// Other protocols of published programs, which are not taken: what is said when one is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Foreign {
    #[error(
        "this is JSON; a request is one line: LIST, GET name, DELETE name, or UPLOAD name base64"
    )]
    Json,
    #[error(
        "a length is not taken; what belongs there is LIST, GET name, DELETE name, or UPLOAD name base64"
    )]
    Length,
    #[error(
        "name||base64 is not taken; one space belongs between name and content: UPLOAD name base64"
    )]
    Bars,
}

/// What a line or body that cannot be read looks like from its start.
pub(super) fn foreign(start: &[u8]) -> Option<Foreign> {
    let (word, _) = split_word(start);
    match start {
        [b'{' | b'[', ..] => Some(Foreign::Json),
        _ if find_bars(start).is_some() => Some(Foreign::Bars),
        _ if !word.is_empty() && word.iter().all(u8::is_ascii_digit) => Some(Foreign::Length),
        // A number in binary, before what it is the length of. No verb is so short.
        _ if start.iter().take(LENGTH_LEN).any(|&byte| byte == 0) => Some(Foreign::Length),
        _ => None,
    }
}

/// The least length of a binary length prefix in use.
pub(super) const LENGTH_LEN: usize = 4;

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
/// made up: a server that reads on takes that page's requests for its user's.
pub(super) fn is_header(line: &[u8]) -> bool {
    // RFC 9110, section 5: a name, then a colon without a space before it.
    let name_len = memchr::memchr(b':', line).unwrap_or(0);
    name_len > 0 && line[..name_len].iter().all(|&byte| is_of_header_name(byte))
}

pub(super) const fn is_of_header_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
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

fn unknown_verb(line: &[u8]) -> Refusal {
    const SHOWN_LEN_MAX: usize = 32;
    let (word, _) = split_word(line);
    let shown = word[..word.len().min(SHOWN_LEN_MAX)].escape_ascii();
    let mut message =
        format!("{UNKNOWN_VERB_TEXT}: '{shown}' is none of LIST, GET, UPLOAD, DELETE");
    if is_header(word) {
        message += "; this is no web server";
    } else if let Some(foreign) = foreign(line) {
        message = format!("{message}; {foreign}");
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
