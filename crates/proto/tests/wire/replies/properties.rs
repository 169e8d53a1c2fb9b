//! What holds for any replies, and for any bytes.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proto::Code;
use proto::limits::LISTING_LEN_MAX;
use proto::reply::{self, Reply};

use super::*;
use crate::pieces::{lens, name, soup};

const FRAGMENTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\"",
    "\\",
    "\\/",
    "\\u0041",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "{\"status\":\"OK\"",
    "{\"status\":\"OK\",",
    "}\r\n\r\n",
    "\"status\":\"OK\"",
    "\"data\":",
    "\"data\":[\"a\",\"b\"]",
    "\"data_file\":\"",
    "\"data_file\":\"QUJD\"",
    "QUJD",
    "QQ==",
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5eg==",
    "\"size\":12",
    "null",
    "true",
    "1",
    "\"x\":",
    "\"x\"",
    "{\"a\":[1,{}]}",
];

/// Replies as an arbitrary server may write them: any order, any spaces, escapes anywhere.
fn foreign() -> impl Strategy<Value = (String, Vec<u8>)> {
    let content = prop::collection::vec(any::<u8>(), 0..300);
    (
        content,
        any::<bool>(),
        any::<u8>(),
        prop::sample::select(vec!["", " ", "\n\t", "\r\n"]),
    )
        .prop_flat_map(|(content, slashes, style, space)| {
            let mut text = STANDARD.encode(&content);
            if slashes {
                text = text.replace('/', "\\/");
            }
            if style % 3 == 0 {
                text = text.replace('A', "\\u0041");
            }
            let pairs = vec![
                format!("\"status\"{space}:{space}\"OK\""),
                format!("\"data_file\"{space}:{space}\"{text}\""),
                format!("\"data_namafile\":{space}\"a \\u0062\""),
                format!("\"extra\":{space}[{space}{{\"data_file\":{space}\"QQ\"}}]"),
            ];
            (Just(pairs).prop_shuffle(), Just(content), Just(space)).prop_map(
                |(pairs, content, space)| {
                    let separator = format!("{space},{space}");
                    (
                        format!("{{{space}{}{space}}}\r\n\r\n", pairs.join(&separator)),
                        content,
                    )
                },
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_download_arrives_as_it_was_sent(
        name in name(),
        content in prop::collection::vec(any::<u8>(), 0..900),
        crc32 in any::<u32>(),
        lens in lens(),
        out_len in 3..900usize,
    ) {
        let mut wire = Vec::new();
        reply::encode_get_start(&mut wire, &name);
        let mut encoder = proto::base64::Encoder::new();
        encoder.encode(&content, &mut wire);
        encoder.finish(&mut wire);
        reply::encode_get_end(&mut wire, content.len() as u64, crc32);
        let expected = Reply {
            name: Some(name.to_string()),
            has_content: true,
            content_len: content.len() as u64,
            size: Some(content.len() as u64),
            crc32: Some(crc32),
            json_len: wire.len() as u64 - 4,
            ..ok()
        };
        prop_assert_eq!(run_with(&wire, &lens, out_len), [Ok((expected, content))]);
    }

    #[test]
    fn a_listing_arrives_as_it_was_sent(names in prop::collection::vec(name(), 0..20), truncated in any::<bool>(), lens in lens()) {
        let mut wire = Vec::new();
        reply::encode_list_start(&mut wire);
        for (at, name) in names.iter().enumerate() {
            reply::encode_list_item(&mut wire, name, at == 0);
        }
        reply::encode_list_end(&mut wire, truncated);
        prop_assert!(wire.is_ascii());
        let expected = Reply {
            names: Some(names.iter().map(ToString::to_string).collect()),
            truncated,
            json_len: wire.len() as u64 - 4,
            ..ok()
        };
        prop_assert_eq!(run_with(&wire, &lens, 3), [Ok((expected, Vec::new()))]);
    }

    #[test]
    fn messages_arrive_as_they_were_sent(name in name(), message in any::<String>(), code in prop::sample::select(Code::ALL.to_vec()), lens in lens()) {
        let mut wire = Vec::new();
        reply::encode_error(&mut wire, code, &message);
        reply::encode_uploaded(&mut wire, &name, 7, 9);
        reply::encode_deleted(&mut wire, &name);
        // No terminator but the three that belong there.
        prop_assert_eq!(memchr::memmem::find_iter(&wire, reply::TERMINATOR).count(), 3);
        let replies: Vec<_> = run_with(&wire, &lens, 3)
            .into_iter()
            .map(|outcome| Reply { json_len: 0, ..outcome.unwrap().0 })
            .collect();
        let error = Reply { ok: false, code: Some(code.as_str().into()), message: Some(message), ..ok() };
        let uploaded = Reply { message: Some(format!("{name} has been uploaded")), size: Some(7), crc32: Some(9), ..ok() };
        let deleted = Reply { message: Some(format!("{name} has been deleted")), ..ok() };
        prop_assert_eq!(replies, [error, uploaded, deleted]);
    }

    #[test]
    fn a_foreign_download_is_read_however_it_is_written((wire, expected) in foreign(), lens in lens(), out_len in 3..400usize) {
        let outcomes = run_with(wire.as_bytes(), &lens, out_len);
        prop_assert_eq!(outcomes.len(), 1);
        let (reply, content) = outcomes[0].as_ref().unwrap();
        prop_assert!(reply.ok && reply.has_content);
        prop_assert_eq!(reply.name.as_deref(), Some("a b"));
        prop_assert_eq!(content, &expected);
    }

    #[test]
    fn any_split_gives_the_same_replies(wire in soup(FRAGMENTS), lens in lens(), out_len in 3..60usize) {
        // What an error says may depend on how much had come.
        let outcomes = |lens: &[usize], out_len| -> Vec<_> {
            run_with(&wire, lens, out_len).into_iter().map(|outcome| outcome.map_err(drop)).collect()
        };
        prop_assert_eq!(outcomes(&lens, out_len), outcomes(&[usize::MAX], 1 << 16));
    }

    #[test]
    fn a_restarted_decoder_is_as_a_new_one_whatever_it_has_read_and_was_given(
        before in soup(FRAGMENTS), after in soup(FRAGMENTS), lens in lens(), out_len in 3..60usize,
    ) {
        let mut decoder = ReplyDecoder::new();
        for outcome in run_in(&mut decoder, &before, &lens, out_len) {
            outcome.into_iter().for_each(|(reply, _)| decoder.reuse(reply));
        }
        decoder.restart(LISTING_LEN_MAX);
        let mut new = ReplyDecoder::new();
        let again = run_in(&mut decoder, &after, &lens, out_len);
        prop_assert_eq!(again, run_in(&mut new, &after, &lens, out_len));
        prop_assert_eq!(decoder.elsewhere(), new.elsewhere());
    }

    #[test]
    fn random_bytes_neither_panic_nor_get_stuck(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        within in prop::sample::select(vec!["", "{\"", "{\"x\":", "{\"data\":[", "{\"data_file\":\"", "{\"status\":\"OK\"}"]),
        lens in lens(),
    ) {
        run_with(&[within.as_bytes(), &bytes].concat(), &lens, 5);
    }
}
