//! The shapes we write, the shapes foreign servers write, and what is no reply.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use proto::limits::{JSON_DEPTH_MAX, JSON_VALUE_LEN_MAX};
use proto::reply::{self, Reply, ReplyDecoder};
use proto::{Code, FileName};

use super::*;

/// The one reply in `json` with its terminator, read in one piece and byte by byte.
fn read(json: &str) -> Outcome {
    let wire = format!("{json}\r\n\r\n");
    let mut outcomes = run_with(wire.as_bytes(), &[usize::MAX], 1 << 16);
    assert_eq!(outcomes.len(), 1, "{json}");
    let outcome = outcomes.remove(0);
    let mut by_byte = run_with(wire.as_bytes(), &[1], 3);
    assert_eq!(by_byte.len(), 1, "{json}");
    match (&outcome, by_byte.remove(0)) {
        (Ok(whole), Ok(by_byte)) => assert_eq!(*whole, by_byte, "{json}"),
        (Err(_), Err(_)) => {}
        (whole, by_byte) => panic!("{json}: {whole:?}, byte by byte {by_byte:?}"),
    }
    outcome
}

#[track_caller]
fn check(json: &str, expected: Reply) {
    let (reply, _) = read(json).unwrap();
    assert_eq!(
        reply,
        Reply {
            json_len: json.len() as u64,
            ..expected
        },
        "{json}"
    );
}

#[track_caller]
fn check_content(json: &str, expected: &[u8]) {
    let (reply, content) = read(json).unwrap();
    assert!(reply.ok && reply.has_content, "{json}");
    assert_eq!(content, expected, "{json}");
}

#[track_caller]
fn check_bad(json: &str, says: &str) {
    let error = read(json).unwrap_err();
    assert!(error.to_string().contains(says), "{json}: {error}");
}

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(ToString::to_string).collect())
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    assert!(out.starts_with(reply::START));
    String::from_utf8(out).unwrap()
}

fn file(name: &str) -> FileName {
    name.parse().unwrap()
}

#[test]
fn replies_have_exactly_the_shapes_of_the_protocol() {
    let list = |names: &[&str], truncated| {
        written(|out| {
            reply::encode_list_start(out);
            for (at, name) in names.iter().enumerate() {
                reply::encode_list_item(out, &file(name), at == 0);
            }
            reply::encode_list_end(out, truncated);
        })
    };
    assert_eq!(list(&[], false), "{\"status\":\"OK\",\"data\":[]}\r\n\r\n");
    assert_eq!(
        list(&["a.bin", "b.txt"], false),
        "{\"status\":\"OK\",\"data\":[\"a.bin\",\"b.txt\"]}\r\n\r\n"
    );
    assert_eq!(
        list(&["a"], true),
        "{\"status\":\"OK\",\"data\":[\"a\"],\"truncated\":true}\r\n\r\n"
    );
    let get = written(|out| {
        reply::encode_get_start(out, &file("a.txt"));
        out.extend_from_slice(b"QUJD");
        reply::encode_get_end(out, 3, 0xa3_8301);
    });
    assert_eq!(
        get,
        "{\"status\":\"OK\",\"data_namafile\":\"a.txt\",\"data_file\":\"QUJD\",\"size\":3,\"crc32\":\"00a38301\"}\r\n\r\n"
    );
    assert_eq!(
        written(|out| reply::encode_uploaded(out, &file("a.txt"), 3, 1)),
        "{\"status\":\"OK\",\"data\":\"a.txt has been uploaded\",\"size\":3,\"crc32\":\"00000001\"}\r\n\r\n"
    );
    assert_eq!(
        written(|out| reply::encode_deleted(out, &file("a.txt"))),
        "{\"status\":\"OK\",\"message\":\"a.txt has been deleted\"}\r\n\r\n"
    );
    assert_eq!(
        written(|out| reply::encode_error(out, Code::NotFound, "no \"a\"\r\n\r\n")),
        "{\"status\":\"ERROR\",\"data\":\"no \\\"a\\\"\\r\\n\\r\\n\",\"code\":\"not_found\"}\r\n\r\n"
    );
}

#[test]
fn replies_are_ascii_for_readers_that_decode_piece_by_piece() {
    assert_eq!(
        written(|out| reply::encode_deleted(out, &file("é写\u{1f600}"))),
        "{\"status\":\"OK\",\"message\":\"\\u00e9\\u5199\\ud83d\\ude00 has been deleted\"}\r\n\r\n"
    );
}

#[test]
fn what_python_writes_is_read() {
    check(
        r#"{"status": "OK", "data": ["a.bin", "b.txt"]}"#,
        Reply {
            names: names(&["a.bin", "b.txt"]),
            ..ok()
        },
    );
    check(
        r#"{"status": "OK", "data": []}"#,
        Reply {
            names: names(&[]),
            ..ok()
        },
    );
    check(
        r#"{"data": "a.txt uploaded", "status": "OK"}"#,
        Reply {
            message: Some("a.txt uploaded".into()),
            ..ok()
        },
    );
    check(
        r#"{"status": "ERROR", "data": "request tidak dikenali"}"#,
        Reply {
            message: Some("request tidak dikenali".into()),
            ..Reply::default()
        },
    );
    check(
        r#"{"status": "ERROR", "message": "[Errno 2] No such file or directory: 'x'"}"#,
        Reply {
            message: Some("[Errno 2] No such file or directory: 'x'".into()),
            ..Reply::default()
        },
    );
    let content = Reply {
        has_content: true,
        content_len: 3,
        ..ok()
    };
    check(
        r#"{"status": "OK", "data_namafile": "a b.txt", "data_file": "QUJD"}"#,
        Reply {
            name: Some("a b.txt".into()),
            ..content.clone()
        },
    );
    check(r#"{"data_file": "QUJD", "status": "OK"}"#, content.clone());
    check(
        r#"{ "status" : "ok" , "data_file" : "QUJD" }"#,
        content.clone(),
    );
    check(
        "{\n    \"status\": \"OK\",\n    \"data_file\": \"QUJD\"\n}",
        content,
    );
    check(
        r#"{"status": "OK", "data": ["caf\u00e9", "\ud83d\ude00", "q\"\\\/"]}"#,
        Reply {
            names: names(&["café", "\u{1f600}", "q\"\\/"]),
            ..ok()
        },
    );
    // os.listdir gives lone surrogates for what is not UTF-8.
    check(
        r#"{"status": "OK", "data": ["caf\udce9"]}"#,
        Reply {
            names: names(&["caf\u{fffd}\u{fffd}\u{fffd}"]),
            ..ok()
        },
    );
}

#[test]
fn content_is_read_with_and_without_escapes() {
    let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let text = STANDARD.encode(&bytes);
    check_content(
        &format!(r#"{{"status":"OK","data_file":"{text}"}}"#),
        &bytes,
    );
    let escaped = text
        .replace('/', "\\/")
        .replace('+', "\\u002b")
        .replace('=', "\\u003D");
    check_content(
        &format!(r#"{{"data_file":"{escaped}","status":"OK"}}"#),
        &bytes,
    );
    let all_escaped: String = text.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    check_content(
        &format!(r#"{{"data_file":"{all_escaped}","status":"OK"}}"#),
        &bytes,
    );
    check_content(r#"{"status":"OK","data_file":""}"#, b"");
}

#[test]
fn unknown_keys_may_hold_anything() {
    let long = "x".repeat(JSON_VALUE_LEN_MAX * 3);
    let deep = "[".repeat(JSON_DEPTH_MAX) + &"]".repeat(JSON_DEPTH_MAX);
    for value in [
        "null",
        "true",
        "-1.5e+300",
        "NaN",
        "\"x\"",
        "[]",
        "{}",
        r#"[1, "]}\"", {"a": [{}]}]"#,
        r#"{"status": "ERROR", "data_file": "!"}"#,
        &format!("\"{long}\""),
        &format!("[\"{long}\"]"),
        &deep,
    ] {
        check(&format!(r#"{{"x": {value}, "status": "OK"}}"#), ok());
        check(&format!(r#"{{"status": "OK", "x": {value}}}"#), ok());
    }
}

#[test]
fn extras_of_another_type_are_as_good_as_absent() {
    for extra in [
        "size",
        "crc32",
        "code",
        "message",
        "data_namafile",
        "truncated",
        "data",
    ] {
        for value in ["null", "false", "-3", "{}", "{\"a\": [1]}"] {
            check(&format!(r#"{{"status":"OK","{extra}":{value}}}"#), ok());
        }
    }
    check(
        r#"{"status":"OK","size":[1],"crc32":"xyz","message":["a"]}"#,
        ok(),
    );
}

#[test]
fn extras_are_read() {
    check(
        r#"{"status":"OK","size":12,"crc32":"0000fF01","truncated":true}"#,
        Reply {
            size: Some(12),
            crc32: Some(0xff01),
            truncated: true,
            ..ok()
        },
    );
    check(
        r#"{"status":"OK","size":"18446744073709551615"}"#,
        Reply {
            size: Some(u64::MAX),
            ..ok()
        },
    );
    check(
        r#"{"status":"OK","size":18446744073709551616,"crc32":"+1"}"#,
        ok(),
    );
    check(
        r#"{"status":"ERROR","data":"short","message":"for a person","code":"busy"}"#,
        Reply {
            message: Some("for a person".into()),
            code: Some("busy".into()),
            ..Reply::default()
        },
    );
    check(
        r#"{"status":"ERROR","data_file":null,"data":"no"}"#,
        Reply {
            message: Some("no".into()),
            ..Reply::default()
        },
    );
}

#[test]
fn what_is_no_reply_is_refused() {
    check_bad("HTTP/1.1 400 Bad Request", "it starts with 'HTTP/1.1 400");
    check_bad("\u{7f}ELF", "it starts with '\\x7fELF");
    check_bad("[]", "it starts with '[]");
    check_bad("", "ends before");
    check_bad("{}", "no status");
    check_bad(r#"{"status":200}"#, "no status");
    check_bad(r#"{"status":"OK""#, "ends before");
    check_bad("{\"status\":\"OK\",\r\n\r\n\"x\":1}", "ends before");
    check_bad("{\"status\":\"OK\",\"x\":[1,\r\n\r\n2]}", "ends before");
    check_bad("{\"status\":\"OK\r\n\r\n\"}", "control character");
    check_bad(r#"{"status":"OK"}x"#, "after its JSON");
    check_bad("{\"status\":\"OK\"}\n", "after its JSON");
    check_bad("{\"status\":\"OK\"}\r", "after its JSON");
    check_bad(r#"{"status":"OK",}"#, "malformed");
    check_bad(r#"{"status" "OK"}"#, "malformed");
    check_bad(r#"{"status":"OK" "x":1}"#, "malformed");
    check_bad(r#"{status:"OK"}"#, "malformed");
    check_bad(r#"{'status':'OK'}"#, "'\\'' where");
    check_bad(r#"{"status":"\x"}"#, "escape");
    check_bad(r#"{"status":"OK","x":[}]}"#, "brackets");
    check_bad(
        &format!(r#"{{"status":"OK","x":{}"#, "[".repeat(JSON_DEPTH_MAX + 1)),
        "deep",
    );
    check_bad(
        &format!(
            r#"{{"status":"OK","message":"{}"}}"#,
            "x".repeat(JSON_VALUE_LEN_MAX)
        ),
        "longer",
    );
    check_bad(
        &format!(r#"{{"{}":1}}"#, "x".repeat(JSON_VALUE_LEN_MAX)),
        "longer",
    );
    check_bad(
        &format!(r#"{{"x":{}}}"#, "1".repeat(JSON_VALUE_LEN_MAX + 1)),
        "longer",
    );
    check_bad(r#"{"status":"OK","data":["a",1]}"#, "listing");
    check_bad(r#"{"status":"OK","data":["a",]}"#, "listing");
    check_bad(r#"{"status":"OK","data":["a" "b"]}"#, "malformed");
    check_bad(r#"{"status":"OK","data_file":1}"#, "not a string");
    check_bad(r#"{"status":"OK","data_file":[]}"#, "not a string");
    check_bad(
        r#"{"data_file":"QUJD","data_file":"QUJD","status":"OK"}"#,
        "twice",
    );
    check_bad(
        r#"{"data_file":null,"data_file":"QUJD","status":"OK"}"#,
        "twice",
    );
}

#[test]
fn content_that_is_not_base64_is_refused() {
    for text in [
        "QUJ",
        "QQ==QUJD",
        "QR==",
        "QUJD QUJD",
        "QU-_",
        "QUJD\\n",
        "QUJ\\\\",
        "QUJ\\u0100",
        "QUJ\\u00zz",
        "QUJ\\\"",
        "b'QUJD'",
        "=",
        "QQ=\\/",
    ] {
        check_bad(
            &format!(r#"{{"status":"OK","data_file":"{text}"}}"#),
            "data_file",
        );
    }
}

#[test]
fn a_listing_has_a_longest_length() {
    let mut decoder = ReplyDecoder::new();
    decoder
        .decode(br#"{"status":"OK","data":[""#, &mut [])
        .unwrap();
    let piece = b"\",\"".repeat(1 << 16);
    let refused = (0..64).any(|_| decoder.decode(&piece, &mut []).is_err());
    assert!(refused, "empty names without end fill the memory, too");
}

#[test]
fn replies_follow_each_other() {
    let wire = b"{\"status\":\"OK\",\"data_file\":\"QUJD\"}\r\n\r\n\r\n{\"status\":\"ERROR\"} \t\r\n\r\n{\"status\":\"OK\"}\r\n\r";
    let outcomes = run_with(wire, &[usize::MAX], 64);
    let replies: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().0)
        .collect();
    assert_eq!(
        replies.iter().map(|reply| reply.ok).collect::<Vec<_>>(),
        [true, false]
    );
    assert!(!replies[1].has_content);
}

#[test]
fn a_reply_without_its_terminator_is_no_reply() {
    let wire = b"{\"status\": \"OK\", \"data_file\": \"QUJDREU=\", \"size\": 5}\r\n\r\n";
    for end in 0..wire.len() {
        for lens in [&[usize::MAX][..], &[1], &[7]] {
            assert_eq!(run_with(&wire[..end], lens, 64), []);
        }
    }
}

#[test]
fn a_decoder_knows_whether_a_reply_has_begun() {
    let mut decoder = ReplyDecoder::new();
    assert!(decoder.is_at_start());
    decoder.decode(b"\r\n ", &mut []).unwrap();
    assert!(decoder.is_at_start());
    decoder.decode(b"{", &mut []).unwrap();
    assert!(!decoder.is_at_start());
    decoder
        .decode(b"\"status\":\"OK\"}\r\n\r", &mut [])
        .unwrap();
    assert!(!decoder.is_at_start());
    assert!(decoder.decode(b"\n", &mut []).unwrap().reply.is_some());
    assert!(decoder.is_at_start());
}
