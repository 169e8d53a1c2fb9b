//! Ways to cut a byte stream, since a network may cut it anywhere.

use proptest::prelude::*;

/// The lengths of the pieces, used over and over until the stream is cut up.
pub(crate) type Lens = Vec<usize>;

pub(crate) fn lens() -> impl Strategy<Value = Lens> {
    prop_oneof![
        Just(vec![1]),
        Just(vec![usize::MAX]),
        prop::collection::vec(1..6usize, 1..5),
        prop::collection::vec(1..400usize, 1..5),
    ]
}

pub(crate) fn cut<'a>(mut bytes: &'a [u8], lens: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut lens = lens.iter().cycle();
    std::iter::from_fn(move || {
        let len = *lens.next()?;
        let (piece, rest) = bytes.split_at(len.min(bytes.len()));
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Bytes made of these fragments in any order, with arbitrary ones among them: much likelier to get
/// deep into a parser than random bytes.
pub(crate) fn soup(fragments: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        12 => prop::sample::select(fragments).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(fragment, 0..14).prop_map(|parts| parts.concat())
}

/// Names that hold everything a name may: spaces, quotes, other scripts.
pub(crate) fn name() -> impl Strategy<Value = proto::FileName> {
    let text = prop_oneof![
        "[a-z]{1,8}\\.[a-z]{1,3}",
        "[ -~]{1,20}",
        "[a-b\"' #é写\u{1f600}]{1,12}",
        "\\PC{1,60}",
    ];
    text.prop_filter_map("not a name", |text| text.parse().ok())
}
