//! The streaming codec agrees with the `base64` crate on every input, however it is cut.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proto::base64::{Decoder, Encoder, Malformed, encoded_len};

use crate::pieces::{Lens, cut, lens};

fn encode(bytes: &[u8], lens: &[usize]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    for piece in cut(bytes, lens) {
        encoder.encode(piece, &mut out);
    }
    encoder.finish(&mut out);
    out
}

fn encode_into(bytes: &[u8], lens: &[usize]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    for piece in cut(bytes, lens) {
        let mut room = vec![b'?'; encoded_len(piece.len() as u64) as usize];
        let written = encoder.encode_into(piece, &mut room);
        out.extend_from_slice(&room[..written]);
    }
    encoder.finish(&mut out);
    out
}

/// Decodes with `out_len` bytes of room at a time, and sees to it that no byte past them is written.
fn decode(text: &[u8], lens: &[usize], out_len: usize) -> Result<Vec<u8>, Malformed> {
    const GUARD: u8 = 0xa5;
    let mut decoder = Decoder::new();
    let mut decoded = Vec::new();
    let mut buffer = vec![GUARD; out_len + 64];
    for mut piece in cut(text, lens) {
        while !piece.is_empty() {
            let progress = decoder.decode(piece, &mut buffer[..out_len])?;
            assert!(buffer[out_len..].iter().all(|&byte| byte == GUARD));
            assert!(progress.consumed > 0, "stuck with room for {out_len} bytes");
            assert!(progress.consumed == piece.len() || out_len - progress.produced < 3);
            decoded.extend_from_slice(&buffer[..progress.produced]);
            piece = &piece[progress.consumed..];
        }
    }
    decoder.finish()?;
    Ok(decoded)
}

fn check(text: &[u8], lens: &[usize], out_len: usize) {
    let expected = STANDARD.decode(text).map_err(|_| Malformed);
    assert_eq!(
        decode(text, lens, out_len),
        expected,
        "{}",
        text.escape_ascii()
    );
}

fn out_len() -> impl Strategy<Value = usize> {
    prop_oneof![3..12usize, 3..400usize, Just(1 << 16)]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(any::<u8>(), 0..900)
    ]
}

/// What is near to base64: an encoding with a few bytes put in, taken out or replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(b"=\r\n AB/+-_".to_vec()), any::<u8>()];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, byte), 1..4);
    (bytes(), edits).prop_map(|(bytes, edits)| {
        let mut text = STANDARD.encode(bytes).into_bytes();
        for (index, kind, byte) in edits {
            let at = index.index(text.len() + 1);
            match kind {
                0 => text.insert(at, byte),
                _ if at == text.len() => text.push(byte),
                1 => text[at] = byte,
                _ => drop(text.remove(at)),
            }
        }
        text
    })
}

/// Short texts of few characters, where padding and trailing bits are everywhere.
fn dense() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"AQgwB/==\n".to_vec()), 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_split_encodes_to_the_same_text(bytes in bytes(), lens in lens()) {
        let expected = STANDARD.encode(&bytes).into_bytes();
        prop_assert_eq!(encoded_len(bytes.len() as u64), expected.len() as u64);
        prop_assert_eq!(&encode(&bytes, &lens), &expected);
        prop_assert_eq!(&encode_into(&bytes, &lens), &expected);
    }

    #[test]
    fn what_was_encoded_decodes(bytes in bytes(), lens in lens(), out_len in out_len()) {
        let text = encode(&bytes, &lens);
        prop_assert_eq!(decode(&text, &lens, out_len), Ok(bytes));
    }

    #[test]
    fn a_mutated_text_is_judged_as_by_the_crate(text in mutated(), lens in lens(), out_len in out_len()) {
        check(&text, &lens, out_len);
    }

    #[test]
    fn a_dense_text_is_judged_as_by_the_crate(text in dense(), lens in lens(), out_len in out_len()) {
        check(&text, &lens, out_len);
    }

    #[test]
    fn random_bytes_are_judged_as_by_the_crate(text in bytes(), lens in lens(), out_len in out_len()) {
        check(&text, &lens, out_len);
    }
}

/// All texts of up to two groups and a character, cut in up to three pieces in every way.
#[test]
fn every_short_text_is_judged_as_by_the_crate_however_it_is_cut() {
    let mut texts = vec![Vec::new()];
    for _ in 0..9 {
        let longer = |text: &Vec<u8>| b"QA=".map(|symbol| [&text[..], &[symbol]].concat());
        texts = texts.iter().flat_map(longer).collect();
        for text in &texts {
            let expected = STANDARD.decode(text).map_err(|_| Malformed);
            for first in 1..=text.len() {
                for second in 1..=text.len() - first {
                    let found = decode(text, &[first, second, text.len()], 64);
                    let shown = text.escape_ascii();
                    assert_eq!(found, expected, "{shown} after {first} and {second}");
                }
            }
        }
    }
}

#[test]
fn every_byte_in_every_place_of_a_group_is_judged_as_by_the_crate() {
    let whole: Lens = vec![usize::MAX];
    for place in 0..8 {
        for byte in 0..=u8::MAX {
            let mut text = *b"QUJDREVG";
            text[place] = byte;
            check(&text, &whole, 64);
            check(&text, &[3], 64);
            let mut padded = *b"QUJDRA==";
            padded[place] = byte;
            check(&padded, &whole, 64);
            check(&padded, &[1], 3);
        }
    }
}

#[test]
fn a_byte_that_is_not_base64_is_refused_in_the_call_that_brings_it() {
    for text in [
        "\n",
        "A\n",
        "QUJD\n",
        "QUJDR\r",
        "=",
        "A=",
        "QUJDRA==Q",
        "QUJDRA===",
    ] {
        for lens in [vec![usize::MAX], vec![1], vec![3]] {
            let mut decoder = Decoder::new();
            let mut out = [0; 64];
            let refused =
                cut(text.as_bytes(), &lens).any(|piece| decoder.decode(piece, &mut out).is_err());
            assert!(refused, "{text:?} in pieces of {lens:?}");
        }
    }
}

#[test]
fn a_full_output_takes_no_input() {
    let mut decoder = Decoder::new();
    let progress = decoder.decode(b"QUJD", &mut [0; 2]).unwrap();
    assert_eq!((progress.consumed, progress.produced), (0, 0));
    let progress = decoder.decode(b"QUJD", &mut [0; 3]).unwrap();
    assert_eq!((progress.consumed, progress.produced), (4, 3));
}

#[test]
fn encoded_len_does_not_overflow() {
    assert_eq!(encoded_len(0), 0);
    assert_eq!(encoded_len(1), 4);
    assert_eq!(encoded_len(u64::MAX), u64::MAX);
}
