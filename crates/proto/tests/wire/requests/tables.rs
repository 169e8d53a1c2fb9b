//! The grammar as a table, and malformed requests as a list.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use proto::reply::UNKNOWN_VERB_TEXT;
use proto::request::{Event, Phase, Refusal, RequestDecoder, Verb, encode_head};
use proto::{Code, FileName, Limits};

use super::Outcome::{Broken, Delete, Get, List, Refused, Stored};
use super::*;

pub(super) fn run(input: &[u8]) -> Vec<Outcome> {
    run_with(input, Limits::default(), &[usize::MAX], 1 << 16)
}

/// The same outcome in one piece and byte by byte.
pub(super) fn check(input: impl AsRef<[u8]>, expected: &[Outcome]) {
    let input = input.as_ref();
    let shown = input[..input.len().min(200)].escape_ascii();
    assert_eq!(run(input), expected, "{shown}");
    assert_eq!(
        run_with(input, Limits::default(), &[1], 3),
        expected,
        "{shown}, byte by byte"
    );
}

pub(super) fn get(name: &str) -> Outcome {
    Get(name.into())
}

pub(super) fn stored(name: &str, content: &[u8]) -> Outcome {
    Stored(name.into(), content.into())
}

pub(super) fn refused(code: Code, verb: Verb) -> Outcome {
    Refused(code, Some(verb))
}

#[test]
fn well_formed_requests_are_read() {
    check("LIST\r\n", &[List]);
    check("list\n", &[List]);
    check("LiSt  \r\n", &[List]);
    check("GET a.txt\r\n", &[get("a.txt")]);
    check("get a.txt \r\n", &[get("a.txt")]);
    check("DOWNLOAD a.txt\n", &[get("a.txt")]);
    check("DELETE a.txt\r\n", &[Delete("a.txt".into())]);
    check("GET файл.bin\r\n", &[get("файл.bin")]);
    check("UPLOAD a.txt QUJD\r\n", &[stored("a.txt", b"ABC")]);
    check("POST a.txt QUI=\n", &[stored("a.txt", b"AB")]);
    check("Put a.txt QQ==\r\n", &[stored("a.txt", b"A")]);
    check("ADD a.txt QQ==\r\n", &[stored("a.txt", b"A")]);
    check("hapus a.txt\r\n", &[Delete("a.txt".into())]);
    check("UPLOAD empty \r\n", &[stored("empty", b"")]);
    check("UPLOAD empty \n", &[stored("empty", b"")]);
}

#[test]
fn quoted_names_are_read() {
    check("GET \"two words\"\r\n", &[get("two words")]);
    check("GET \"plain\" \r\n", &[get("plain")]);
    check(
        r#"GET "say \"hi\""
"#,
        &[get(r#"say "hi""#)],
    );
    check(
        "UPLOAD \"two words\" QUJD\r\n",
        &[stored("two words", b"ABC")],
    );
    check("UPLOAD \"a b\" \r\n", &[stored("a b", b"")]);
    check("GET it's\r\n", &[get("it's")]);
    check("GET a\"b\r\n", &[get("a\"b")]);
    // A backslash stands for itself before anything but a quote or backslash, and no name has one.
    for line in [r#"GET "a\nb""#, r#"GET "a\\b""#, r#"UPLOAD "a\\" QUJD"#] {
        assert!(
            matches!(
                run(format!("{line}\r\n").as_bytes())[..],
                [Refused(Code::BadName, _)]
            ),
            "{line}"
        );
    }
}

#[test]
fn empty_lines_between_requests_are_silent() {
    check("\r\n\n\r\n", &[]);
    check("LIST\r\n\r\nGET a\r\n\r\n", &[List, get("a")]);
    check(
        "UPLOAD a QUJD\r\n\r\nLIST\n\nLIST\n",
        &[stored("a", b"ABC"), List, List],
    );
    let mut feed = Feed::new(Limits::default(), 16);
    for line in ["\r\n", "\n", "\r"] {
        feed.push(line.as_bytes());
        assert_eq!(feed.decoder.phase(), Phase::Idle);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    check(
        "UPLOAD a QUJD\r\nGET a\r\nUPLOAD b QUJDRA==\nDELETE a\nLIST\n",
        &[
            stored("a", b"ABC"),
            get("a"),
            stored("b", b"ABCD"),
            Delete("a".into()),
            List,
        ],
    );
    // The end of line in the middle of a chunk that ends like base64.
    let long = STANDARD.encode(vec![7; 1000]);
    check(
        format!("UPLOAD a {long}\r\nLIST\r\nUPLOAD b {long}\nUPLOAD c AAAA"),
        &[stored("a", &[7; 1000]), List, stored("b", &[7; 1000])],
    );
}

#[test]
fn malformed_requests_get_one_refusal_each_and_the_connection_goes_on() {
    use Code::{BadBase64, BadName, BadRequest, UnknownVerb};
    use Verb::{Delete, Get, List as ListVerb, Upload};
    let long_name = "n".repeat(256);
    let cases: &[(&str, Outcome)] = &[
        ("HELO", Refused(UnknownVerb, None)),
        ("GETa", Refused(UnknownVerb, None)),
        (" LIST", Refused(UnknownVerb, None)),
        (" ", Refused(UnknownVerb, None)),
        ("GET\ta", Refused(UnknownVerb, None)),
        ("QUJDQUJDQUJD", Refused(UnknownVerb, None)),
        ("STORE a QUJD", Refused(UnknownVerb, None)),
        ("{\"status\": \"OK\"}", Refused(UnknownVerb, None)),
        ("GET / HTTP/1.1", refused(BadRequest, Get)),
        ("LIST something", refused(BadRequest, ListVerb)),
        ("LIST \"\"", refused(BadRequest, ListVerb)),
        ("GET", refused(BadRequest, Get)),
        ("GET ", refused(BadRequest, Get)),
        ("GET   ", refused(BadRequest, Get)),
        ("DELETE", refused(BadRequest, Delete)),
        ("UPLOAD", refused(BadRequest, Upload)),
        ("UPLOAD ", refused(BadRequest, Upload)),
        ("UPLOAD a.txt", refused(BadRequest, Upload)),
        ("UPLOAD \"a.txt\"", refused(BadRequest, Upload)),
        ("UPLOAD a.txt||QUJD", refused(BadRequest, Upload)),
        ("GET  a", refused(BadRequest, Get)),
        ("UPLOAD  a QUJD", refused(BadRequest, Upload)),
        ("GET two words", refused(BadRequest, Get)),
        ("DELETE a b c", refused(BadRequest, Delete)),
        ("GET \"a", refused(BadRequest, Get)),
        ("GET \"a\\\"", refused(BadRequest, Get)),
        ("GET \"a\"b", refused(BadRequest, Get)),
        ("GET \"a\" b", refused(BadRequest, Get)),
        ("UPLOAD \"a\"b QUJD", refused(BadRequest, Upload)),
        ("UPLOAD \"a QUJD", refused(BadRequest, Upload)),
        ("GET a\0", refused(BadRequest, Get)),
        ("UPLOAD a\0b QUJD", refused(BadRequest, Upload)),
        ("GET ..", refused(BadName, Get)),
        ("GET ../etc/passwd", refused(BadName, Get)),
        ("DELETE .hidden", refused(BadName, Delete)),
        ("GET \"\"", refused(BadName, Get)),
        ("GET \" a\"", refused(BadName, Get)),
        ("GET a\tb", refused(BadName, Get)),
        ("UPLOAD a/b QUJD", refused(BadName, Upload)),
        ("UPLOAD a/b ", refused(BadName, Upload)),
        ("UPLOAD a/b !!!!", refused(BadName, Upload)),
        ("UPLOAD a QUJ", refused(BadBase64, Upload)),
        ("UPLOAD a QUJDQ", refused(BadBase64, Upload)),
        ("UPLOAD a QUJDQR==", refused(BadBase64, Upload)),
        ("UPLOAD a QQ==QUJD", refused(BadBase64, Upload)),
        ("UPLOAD a QUJD QUJD", refused(BadBase64, Upload)),
        ("UPLOAD a QUJD ", refused(BadBase64, Upload)),
        ("UPLOAD a  QUJD", refused(BadBase64, Upload)),
        ("UPLOAD a QU-_", refused(BadBase64, Upload)),
        ("UPLOAD a QU\0D", refused(BadBase64, Upload)),
        ("UPLOAD a =", refused(BadBase64, Upload)),
        ("UPLOAD two words QUJD", refused(BadBase64, Upload)),
    ];
    for (line, outcome) in cases {
        for end in ["\r\n", "\n", "\r\n\r\n"] {
            check(format!("{line}{end}LIST{end}"), &[outcome.clone(), List]);
        }
    }
    check(
        format!("GET {long_name}\r\nLIST\n"),
        &[refused(BadName, Get), List],
    );
    check(b"GET caf\xe9\r\nLIST\n", &[refused(BadName, Get), List]);
}

#[test]
fn a_lone_cr_breaks_the_connection_wherever_it_is() {
    let broken = Broken(Code::BadRequest);
    for line in [
        "\rLIST",
        "LI\rST",
        "LIST\r\r\n",
        "GET a\rb",
        "UPLOAD a\r b",
        "UPLOAD a QU\rJD",
        "UPLOAD a/b QU\rJD",
        "UPLOAD a !!\r!",
        "X\rY",
    ] {
        check(format!("{line}\r\nLIST\r\n"), std::slice::from_ref(&broken));
    }
    check("UPLOAD a QUJD\r\r\nLIST\r\n", &[broken]);
}

#[test]
fn nothing_is_read_after_a_broken_request() {
    let mut feed = Feed::new(Limits::default(), 16);
    feed.push(b"\rx");
    assert_eq!(feed.decoder.phase(), Phase::Broken);
    feed.push(b"LIST\r\n\r\nLIST\r\n");
    assert_eq!(feed.outcomes, [Broken(Code::BadRequest)]);
}

#[test]
fn what_a_browser_sends_is_broken_at_its_first_header() {
    let broken = Broken(Code::UnknownVerb);
    for header in [
        "Host: localhost:46666",
        "host:localhost",
        "X-Any:1",
        "x_y.z: Host",
    ] {
        check(
            format!("POST / HTTP/1.1\r\n{header}\r\n\r\nDELETE a\r\n"),
            &[refused(Code::BadName, Verb::Upload), broken.clone()],
        );
        check(
            format!("GET /a HTTP/1.1\n{header}\n\nLIST\n"),
            &[refused(Code::BadRequest, Verb::Get), broken.clone()],
        );
    }
    // Only the first word is looked at.
    check(
        "STORE a: b\r\n:\r\n\"a\": 1\r\nGET a:\r\n",
        &[
            Refused(Code::UnknownVerb, None),
            Refused(Code::UnknownVerb, None),
            Refused(Code::UnknownVerb, None),
            get("a:"),
        ],
    );
}

#[test]
fn a_head_has_a_longest_length() {
    let longest = proto::limits::HEAD_LEN_MAX;
    check(
        "G".repeat(longest) + "\r\n",
        &[Refused(Code::UnknownVerb, None)],
    );
    check("G".repeat(longest + 1), &[Broken(Code::BadRequest)]);
    check(format!("LIST{}\n", " ".repeat(longest - 4)), &[List]);
    check(
        format!("LIST{}\n", " ".repeat(longest - 3)),
        &[Broken(Code::BadRequest)],
    );
    check(
        format!("UPLOAD {} ", "n".repeat(longest)),
        &[Broken(Code::BadRequest)],
    );
    // The base64 of an upload to a server that does not know the verb.
    check(
        format!("STORE a {}", "QUJD".repeat(longest)),
        &[Broken(Code::BadRequest)],
    );
}

#[test]
fn an_upload_has_a_largest_size_refused_or_not() {
    let large = Broken(Code::TooLarge);
    let bad_name = refused(Code::BadName, Verb::Upload);
    let bad_base64 = refused(Code::BadBase64, Verb::Upload);
    // (limit, line, outcome)
    let cases: &[(u64, &str, Outcome)] = &[
        (4, "UPLOAD a QUJDRA==", stored("a", b"ABCD")),
        (3, "UPLOAD a QUJD", stored("a", b"ABC")),
        (0, "UPLOAD a ", stored("a", b"")),
        (3, "UPLOAD a QUJDRA==", large.clone()),
        (4, "UPLOAD a QUJDREU=", large.clone()),
        (0, "UPLOAD a QQ==", large.clone()),
        (4, "UPLOAD a/b QUJDREU=", bad_name),
        (4, "UPLOAD a/b QUJDREU==", large.clone()),
        (4, "UPLOAD a QU!DREU=", bad_base64),
        (4, "UPLOAD a QU!DREU==", large),
    ];
    for (upload_len_max, line, outcome) in cases {
        let limits = Limits {
            upload_len_max: *upload_len_max,
            ..Limits::default()
        };
        for (len, out_len) in [(usize::MAX, 64), (1, 3), (5, 4)] {
            let outcomes = run_with(format!("{line}\r\n").as_bytes(), limits, &[len], out_len);
            assert_eq!(
                outcomes,
                std::slice::from_ref(outcome),
                "{line} with {upload_len_max}"
            );
        }
    }
}

#[test]
fn an_upload_that_is_too_large_is_refused_before_its_end() {
    let limits = Limits {
        upload_len_max: 100,
        ..Limits::default()
    };
    let input = format!("UPLOAD a {}", "QUJD".repeat(34));
    assert_eq!(
        run_with(input.as_bytes(), limits, &[usize::MAX], 300),
        [Broken(Code::TooLarge)]
    );
    let input = format!("UPLOAD a/b {}", "!".repeat(137));
    assert_eq!(
        run_with(input.as_bytes(), limits, &[usize::MAX], 300),
        [Broken(Code::TooLarge)]
    );
}

fn refusal_of(input: &str) -> Refusal {
    let mut decoder = RequestDecoder::new(Limits::default());
    match decoder.decode(input.as_bytes(), &mut []).event {
        Some(Event::Refused(refusal)) => refusal,
        event => panic!("{input:?} gave {event:?}"),
    }
}

#[test]
fn refusals_say_what_people_and_programs_look_for() {
    let message = refusal_of("STORE a\r\n").message;
    assert!(message.contains(UNKNOWN_VERB_TEXT), "{message}");
    let message = refusal_of("\u{1b}[2Jx\r\n").message;
    assert!(message.contains("\\x1b"), "{message}");
    let message = refusal_of("GET two words\r\n").message;
    assert!(message.contains("double quotes"), "{message}");
}

#[test]
fn phases_follow_the_request() {
    let mut feed = Feed::new(Limits::default(), 64);
    let mut check = |piece: &str, phase| {
        feed.push(piece.as_bytes());
        assert_eq!(feed.decoder.phase(), phase, "after {piece:?}");
    };
    check("", Phase::Idle);
    check("\r\n", Phase::Idle);
    check("LI", Phase::Head);
    check("ST\r", Phase::Head);
    check("\n", Phase::Idle);
    check("UPLOAD a", Phase::Head);
    check(" ", Phase::Body);
    check("QUJD\r", Phase::Body);
    check("\n", Phase::Idle);
    check("UPLOAD a/b ", Phase::Body);
    check("\n", Phase::Idle);
    check("\rx", Phase::Broken);
}

#[test]
fn silence_ends_only_a_complete_looking_request_without_a_body() {
    let cases: &[(&str, Option<Outcome>)] = &[
        ("LIST", Some(List)),
        ("GET a.txt", Some(get("a.txt"))),
        ("GET \"a b\"", Some(get("a b"))),
        ("DELETE a.txt", Some(Delete("a.txt".into()))),
        ("", None),
        ("LIS", None),
        ("LIST\r", None),
        ("GET", None),
        ("GET ", None),
        ("GET \"a b", None),
        ("GET a b", None),
        ("GET ../a", None),
        ("UPLOAD a", None),
        ("UPLOAD a ", None),
        ("UPLOAD a QUJD", None),
        ("UPLOAD \"a\"", None),
        ("\rx", None),
    ];
    for (sent, expected) in cases {
        let mut feed = Feed::new(Limits::default(), 64);
        feed.push(sent.as_bytes());
        feed.outcomes.clear();
        let event = feed.decoder.silence();
        if let Some(event) = event {
            feed.note(event);
        }
        assert_eq!(feed.outcomes.first(), expected.as_ref(), "{sent:?}");
        if expected.is_some() {
            assert_eq!(feed.decoder.phase(), Phase::Idle);
            feed.outcomes.clear();
            feed.push(b"\r\nLIST\r\n");
            assert_eq!(feed.outcomes, [List], "after {sent:?}");
        } else {
            assert_eq!(feed.decoder.silence(), None);
        }
    }
}

fn encoded(verb: Verb, name: Option<&str>) -> String {
    let mut out = Vec::new();
    let name: Option<FileName> = name.map(|name| name.parse().unwrap());
    encode_head(&mut out, verb, name.as_ref());
    String::from_utf8(out).unwrap()
}

#[test]
fn heads_are_written_bare_where_they_can_be() {
    assert_eq!(encoded(Verb::List, None), "LIST");
    assert_eq!(encoded(Verb::Get, Some("a.txt")), "GET a.txt");
    assert_eq!(encoded(Verb::Delete, Some("файл.bin")), "DELETE файл.bin");
    assert_eq!(encoded(Verb::Upload, Some("a.txt")), "UPLOAD a.txt ");
    assert_eq!(encoded(Verb::Upload, Some("a b")), "UPLOAD \"a b\" ");
    assert_eq!(encoded(Verb::Get, Some("it's")), "GET \"it's\"");
    assert_eq!(encoded(Verb::Get, Some("\"x\"")), r#"GET "\"x\"""#);
    assert_eq!(encoded(Verb::Get, Some("#1")), "GET \"#1\"");
}
