//! What holds for any requests, and for any bytes.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proto::request::{Terminator, Verb, encode_head};
use proto::{FileName, Limits};

use super::Outcome::{Delete, Get, List, Stored};
use super::*;
use crate::pieces::{lens, name, soup};

const FRAGMENTS: &[&str] = &[
    "LIST",
    "GET ",
    "GET a.txt",
    "DELETE b",
    "UPLOAD ",
    "UPLOAD a ",
    "UPLOAD \"a b\" ",
    "put x ",
    "UPLOAD a\n",
    "Add \"a b\"\r\n",
    "UPLOAD a/b\r\n",
    "UPLOAD a||QUJD",
    "HAPUS",
    "download",
    "LI",
    "Host:",
    "b'",
    "'",
    "b",
    "12 ",
    "{",
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2",
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAx",
    "UPLOAD c QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2MDEyMzQ1Njc4\n",
    "QUJD",
    "QUI=",
    "QQ==",
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5eg==",
    "QR==",
    "=",
    "!",
    " ",
    "\"",
    "\\",
    "\0",
    "a/b",
    "\r",
    "\n",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
];

fn limits() -> impl Strategy<Value = Limits> {
    let small = (1..40usize, 0..20u64);
    let limits = prop_oneof![
        small,
        Just((proto::limits::HEAD_LEN_MAX, proto::limits::UPLOAD_LEN_MAX)),
        Just((usize::MAX, u64::MAX)),
    ];
    limits.prop_map(|(head_len_max, upload_len_max)| Limits {
        head_len_max,
        upload_len_max,
    })
}

#[derive(Debug, Clone)]
enum Sent {
    List,
    Get(FileName),
    Delete(FileName),
    Upload(FileName, Vec<u8>, Dialect),
}

/// How published clients write a body.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    Plain,
    /// As Python shows bytes.
    Quoted,
    OnTheNextLine(Terminator),
    QuotedOnTheNextLine(Terminator),
}

fn dialect() -> impl Strategy<Value = Dialect> {
    let end = prop::sample::select(vec![Terminator::Crlf, Terminator::Lf]);
    prop_oneof![
        Just(Dialect::Plain),
        Just(Dialect::Quoted),
        end.clone().prop_map(Dialect::OnTheNextLine),
        end.prop_map(Dialect::QuotedOnTheNextLine),
    ]
}

/// A name that cannot be taken for one that its content is joined to.
fn upload_name() -> impl Strategy<Value = FileName> {
    name().prop_filter("name||base64", |name| !name.as_str().contains("||"))
}

/// Contents of any length, and often of a line of wrapped base64's. None that reads as a verb: those are refused
/// on the next line.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |len| prop::collection::vec(any::<u8>(), len);
    let content = prop_oneof![bytes(1..700), bytes(57..58), bytes(48..49), bytes(0..1)];
    content.prop_filter("a verb", |bytes| {
        Verb::from_wire(STANDARD.encode(bytes).as_bytes()).is_none()
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        Just(Sent::List),
        name().prop_map(Sent::Get),
        name().prop_map(Sent::Delete),
        (upload_name(), content(), dialect()).prop_map(|(name, content, dialect)| {
            // Nothing on the next line is no content.
            let dialect = if content.is_empty() {
                Dialect::Plain
            } else {
                dialect
            };
            Sent::Upload(name, content, dialect)
        }),
    ]
}

impl Sent {
    fn encode(&self, out: &mut Vec<u8>, terminator: Terminator) {
        match self {
            Self::List => encode_head(out, Verb::List, None),
            Self::Get(name) => encode_head(out, Verb::Get, Some(name)),
            Self::Delete(name) => encode_head(out, Verb::Delete, Some(name)),
            Self::Upload(name, content, dialect) => {
                encode_head(out, Verb::Upload, Some(name));
                let (end, is_quoted) = match dialect {
                    Dialect::Plain => (None, false),
                    Dialect::Quoted => (None, true),
                    Dialect::OnTheNextLine(end) => (Some(end), false),
                    Dialect::QuotedOnTheNextLine(end) => (Some(end), true),
                };
                if let Some(end) = end {
                    out.pop();
                    out.extend_from_slice(end.as_bytes());
                }
                out.extend_from_slice(if is_quoted { b"b'" } else { b"" });
                let mut encoder = proto::base64::Encoder::new();
                encoder.encode(content, out);
                encoder.finish(out);
                out.extend_from_slice(if is_quoted { b"'" } else { b"" });
            }
        }
        out.extend_from_slice(terminator.as_bytes());
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::List => List,
            Self::Get(name) => Get(name.to_string()),
            Self::Delete(name) => Delete(name.to_string()),
            Self::Upload(name, content, _) => Stored(name.to_string(), content.clone()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn requests_arrive_as_they_were_sent(
        requests in prop::collection::vec((sent(), prop::sample::select(vec![Terminator::Crlf, Terminator::CrlfCrlf, Terminator::Lf])), 1..5),
        lens in lens(),
        out_len in 3..900usize,
    ) {
        let mut bytes = Vec::new();
        for (request, terminator) in &requests {
            request.encode(&mut bytes, *terminator);
        }
        let expected: Vec<_> = requests.iter().map(|(request, _)| request.outcome()).collect();
        prop_assert_eq!(run_with(&bytes, Limits::default(), &lens, out_len), expected);
    }

    #[test]
    fn any_split_gives_the_same_outcomes(
        bytes in soup(FRAGMENTS),
        limits in limits(),
        lens in lens(),
        out_len in 3..60usize,
    ) {
        let whole = feed_with(&bytes, limits, &[usize::MAX], 1 << 16);
        let cut = feed_with(&bytes, limits, &lens, out_len);
        prop_assert_eq!(cut.outcomes, whole.outcomes);
        prop_assert_eq!(cut.messages, whole.messages);
    }

    #[test]
    fn random_bytes_neither_panic_nor_get_stuck(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        lens in lens(),
        out_len in 3..60usize,
    ) {
        run_with(&bytes, Limits::default(), &lens, out_len);
    }

    #[test]
    fn an_upload_cut_anywhere_stores_nothing(
        name in upload_name(),
        content in prop::collection::vec(any::<u8>(), 1..120),
        dialect in dialect(),
        lens in lens(),
    ) {
        let mut bytes = Vec::new();
        Sent::Upload(name, content, dialect).encode(&mut bytes, Terminator::Crlf);
        for end in 0..bytes.len() {
            let mut feed = Feed::new(Limits::default(), 64);
            for piece in cut(&bytes[..end], &lens) {
                feed.push(piece);
            }
            prop_assert_eq!(&feed.outcomes, &[]);
            prop_assert_eq!(feed.decoder.silence(), None);
        }
    }

    #[test]
    fn wrapped_base64_stores_nothing_and_is_answered_once(
        name in upload_name(),
        content in prop::collection::vec(any::<u8>(), 58..400),
        line_len in prop::sample::select(vec![64, 76]),
        is_on_the_next_line: bool,
        terminator in prop::sample::select(vec![Terminator::Crlf, Terminator::CrlfCrlf, Terminator::Lf]),
        lens in lens(),
    ) {
        let text = STANDARD.encode(&content);
        let lines: Vec<_> = text.as_bytes().chunks(line_len).map(|line| str::from_utf8(line).unwrap()).collect();
        prop_assume!(Verb::from_wire(lines[1].as_bytes()).is_none());
        let mut bytes = Vec::new();
        encode_head(&mut bytes, Verb::Upload, Some(&name));
        if is_on_the_next_line {
            *bytes.last_mut().unwrap() = b'\n';
        }
        bytes.extend_from_slice(lines.join("\n").as_bytes());
        bytes.extend_from_slice(terminator.as_bytes());
        bytes.extend_from_slice(b"LIST\n");
        prop_assert_eq!(run_with(&bytes, Limits::default(), &lens, 30), [Outcome::Broken(Code::BadBase64)]);
    }
}
