//! What holds for any requests, and for any bytes.

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
    Upload(FileName, Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        Just(Sent::List),
        name().prop_map(Sent::Get),
        name().prop_map(Sent::Delete),
        (name(), prop::collection::vec(any::<u8>(), 0..700))
            .prop_map(|(name, content)| Sent::Upload(name, content)),
    ]
}

impl Sent {
    fn encode(&self, out: &mut Vec<u8>, terminator: Terminator) {
        match self {
            Self::List => encode_head(out, Verb::List, None),
            Self::Get(name) => encode_head(out, Verb::Get, Some(name)),
            Self::Delete(name) => encode_head(out, Verb::Delete, Some(name)),
            Self::Upload(name, content) => {
                encode_head(out, Verb::Upload, Some(name));
                let mut encoder = proto::base64::Encoder::new();
                encoder.encode(content, out);
                encoder.finish(out);
            }
        }
        out.extend_from_slice(terminator.as_bytes());
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::List => List,
            Self::Get(name) => Get(name.to_string()),
            Self::Delete(name) => Delete(name.to_string()),
            Self::Upload(name, content) => Stored(name.to_string(), content.clone()),
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
        let whole = run_with(&bytes, limits, &[usize::MAX], 1 << 16);
        prop_assert_eq!(run_with(&bytes, limits, &lens, out_len), whole);
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
        name in name(),
        content in prop::collection::vec(any::<u8>(), 0..120),
        lens in lens(),
    ) {
        let mut bytes = Vec::new();
        Sent::Upload(name, content).encode(&mut bytes, Terminator::Crlf);
        for end in 0..bytes.len() {
            let mut feed = Feed::new(Limits::default(), 64);
            for piece in cut(&bytes[..end], &lens) {
                feed.push(piece);
            }
            prop_assert_eq!(&feed.outcomes, &[]);
            prop_assert_eq!(feed.decoder.silence(), None);
        }
    }
}
