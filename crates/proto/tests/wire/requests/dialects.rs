//! What published clients send besides the plain form: what is taken of it, and with which words the rest is refused.

use proto::request::{Phase, Verb};
use proto::{Code, Limits};

use super::Outcome::{Broken, Delete, List, Refused};
use super::tables::{check, get, refused, stored};
use super::*;

/// One line of 64 and one of 76 characters, and what they are the base64 of.
const LINE_64: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2";
const CONTENT_48: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv";
const LINE_76: &str =
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2MDEyMzQ1Njc4";
const CONTENT_57: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv012345678";

#[test]
fn a_body_may_come_on_the_next_line() {
    for end in ["\r\n", "\n"] {
        for (head, name) in [
            ("UPLOAD a", "a"),
            ("POST \"a b\"", "a b"),
            ("add a||b.c", "a||b.c"),
            ("UPLOAD \"a||QUJD\"", "a||QUJD"),
        ] {
            for (body, content) in [
                ("QUJD", b"ABC".as_slice()),
                ("b'QUJD'", b"ABC"),
                // Each begins as a verb does, or holds one.
                ("LISTLIST", b"\x2c\x84\x93\x2c\x84\x93"),
                ("GETA", b"\x18\x44\xc0"),
                ("hapu", b"\x85\xaa\x6e"),
                ("downloads+A=", b"\x76\x8c\x27\x96\x86\x9d\xb3\xe0"),
            ] {
                check(
                    format!("{head}{end}{body}{end}{end}LIST{end}"),
                    &[stored(name, content), List],
                );
            }
        }
    }
}

#[test]
fn a_missing_body_is_one_refusal_and_the_next_request_is_served() {
    let none = refused(Code::BadRequest, Verb::Upload);
    let bad_name = refused(Code::BadName, Verb::Upload);
    for (head, refusal) in [("UPLOAD a", none), ("UPLOAD a/b", bad_name)] {
        for end in ["\r\n", "\n"] {
            let head = format!("{head}{end}");
            check(format!("{head}{end}"), std::slice::from_ref(&refusal));
            for (next, outcome) in [
                ("LIST", List),
                ("liSt ", List),
                ("GET a", get("a")),
                ("DOWNLOAD a", get("a")),
                ("DELETE a", Delete("a".into())),
                ("Hapus a", Delete("a".into())),
                ("UPLOAD b QUJD", stored("b", b"ABC")),
                ("ADD b QUJD", stored("b", b"ABC")),
                ("GET", refused(Code::BadRequest, Verb::Get)),
            ] {
                let expected = [refusal.clone(), outcome, List];
                check(format!("{head}{next}{end}LIST{end}"), &expected);
                check(format!("{head}{end}{next}{end}LIST{end}"), &expected);
            }
        }
    }
    // Contents that read as verbs do are among them.
    for content in ["LIST", "POST", "DOWNLOAD"] {
        let outcomes = tables::run(format!("UPLOAD a\r\n{content}\r\n").as_bytes());
        assert_eq!(outcomes[0], refused(Code::BadRequest, Verb::Upload));
    }
}

#[test]
fn a_body_on_the_next_line_is_judged_as_on_the_same() {
    use Code::{BadBase64, BadName, BadRequest};
    for (lines, outcome) in [
        ("UPLOAD a\r\nQU!D", refused(BadBase64, Verb::Upload)),
        ("UPLOAD a\r\nQUJ", refused(BadBase64, Verb::Upload)),
        ("UPLOAD a\r\n QUJD", refused(BadBase64, Verb::Upload)),
        ("UPLOAD a\r\nGETS a", refused(BadBase64, Verb::Upload)),
        ("UPLOAD a/b\r\nQUJD", refused(BadName, Verb::Upload)),
        ("UPLOAD \"..\"\nQU!D", refused(BadName, Verb::Upload)),
        ("UPLOAD a\0b\nQUJD", refused(BadRequest, Verb::Upload)),
    ] {
        check(format!("{lines}\r\nLIST\r\n"), &[outcome, List]);
    }
    for lines in [
        "UPLOAD a\r\n\rQUJD",
        "UPLOAD a\r\nLI\rST",
        "UPLOAD a\nQU\rJD",
    ] {
        check(format!("{lines}\r\nLIST\n"), &[Broken(BadRequest)]);
    }
    let limits = Limits {
        upload_len_max: 3,
        ..Limits::default()
    };
    for len in [1, 2, usize::MAX] {
        let run = |text: &str| run_with(text.as_bytes(), limits, &[len], 3);
        assert_eq!(run("UPLOAD a\nQUJD\n"), [stored("a", b"ABC")]);
        assert_eq!(run("UPLOAD a\nb'QUJD'\n"), [stored("a", b"ABC")]);
        assert_eq!(run("UPLOAD a\nLISTLIST\n"), [Broken(Code::TooLarge)]);
    }
}

#[test]
fn a_header_of_http_comes_before_all_else() {
    for header in [
        "Host: x",
        "host:x",
        "List: x",
        "b: x",
        "Content-Length: 9",
        "x_y.z:",
    ] {
        let long = "A".repeat(900);
        for header in [header.to_owned(), format!("{long}{header}")] {
            check(
                format!("UPLOAD a\r\n{header}\r\n\r\nDELETE a\r\n"),
                &[Broken(Code::UnknownVerb)],
            );
        }
    }
    for line in [":", "a b: x", "QU+D: x"] {
        check(
            format!("UPLOAD a\r\n{line}\r\nLIST\r\n"),
            &[refused(Code::BadBase64, Verb::Upload), List],
        );
    }
    // Not at the start of a line.
    check(
        "UPLOAD a Host: x\r\nLIST\r\n",
        &[refused(Code::BadBase64, Verb::Upload), List],
    );
}

#[test]
fn the_quotes_of_python_are_taken_off() {
    for (body, content) in [
        ("b''", b"".as_slice()),
        ("b'QQ=='", b"A"),
        ("b'QUJD'", b"ABC"),
        ("bQ==", b"m"),
        ("b+++", b"\x6f\xef\xbe"),
    ] {
        check(
            format!("UPLOAD a {body}\r\nLIST\n"),
            &[stored("a", content), List],
        );
    }
    let quoted = format!("UPLOAD a b'{LINE_76}'\r\nQUJD\n");
    check(
        quoted,
        &[stored("a", CONTENT_57), Refused(Code::UnknownVerb, None)],
    );
    for body in [
        "b'",
        "b'QUJD",
        "'QUJD'",
        "b'QUJD''",
        "b''QUJD'",
        "b'QU'JD'",
        "b'QUJD'x",
        "b'QUJD' ",
        "b'QUJ'",
        "b\"QUJD\"",
        "B'QUJD'",
        "bb'QUJD'",
        "QUJDb'QUJD'",
        "QUJD'",
        "b'QU\\nJD'",
        "b'QUJDb'",
        "b",
    ] {
        check(
            format!("UPLOAD a {body}\r\nLIST\n"),
            &[refused(Code::BadBase64, Verb::Upload), List],
        );
    }
    check("UPLOAD a b'QU\rJD'\r\n", &[Broken(Code::BadRequest)]);
    check("UPLOAD a b'QUJD'\r'\r\n", &[Broken(Code::BadRequest)]);
}

#[test]
fn a_full_line_that_is_all_is_stored_whatever_follows_but_base64() {
    for (line, content) in [(LINE_64, CONTENT_48), (LINE_76, CONTENT_57)] {
        for head in ["UPLOAD a ", "UPLOAD a\r\n"] {
            for end in ["\r\n", "\n", "\r\n\r\n"] {
                let upload = format!("{head}{line}{end}");
                let stored = stored("a", content);
                check(&upload, std::slice::from_ref(&stored));
                check(format!("{upload}\r\n"), std::slice::from_ref(&stored));
                for (next, outcome) in [
                    ("LIST", List),
                    ("GET a", get("a")),
                    ("download a", get("a")),
                    ("HAPUS a", Delete("a".into())),
                    ("STORE a QUJD", Refused(Code::UnknownVerb, None)),
                    ("!", Refused(Code::UnknownVerb, None)),
                ] {
                    check(
                        format!("{upload}{next}{end}LIST{end}"),
                        &[stored.clone(), outcome, List],
                    );
                }
                for next in ["Host: x", "\rx", "\0\0\0"] {
                    let outcomes = tables::run(format!("{upload}{next}{end}").as_bytes());
                    assert!(matches!(&outcomes[..], [first, Broken(_)] if *first == stored));
                }
            }
        }
    }
}

#[test]
fn a_full_line_that_goes_on_is_refused_once_and_is_the_end() {
    let wrapped = Broken(Code::BadBase64);
    for line in [LINE_64, LINE_76] {
        for end in ["\r\n", "\n"] {
            for next in [
                line,
                "QUJD",
                "QQ==",
                "QUJDREVG",
                "UPLOADUPLOAD",
                "LISTLIST",
                "HELO",
                "QUJ",
                "G",
            ] {
                for rest in [
                    format!("{end}LIST{end}"),
                    format!("{end}{line}{end}QUJD{end}"),
                ] {
                    check(
                        format!("UPLOAD a {line}{end}{next}{rest}"),
                        std::slice::from_ref(&wrapped),
                    );
                    check(
                        format!("UPLOAD a/b {line}{end}{next}{rest}"),
                        &[Broken(Code::BadName)],
                    );
                }
                // The end of input, or silence.
                check(
                    format!("UPLOAD a\n{line}{end}{next}"),
                    std::slice::from_ref(&wrapped),
                );
            }
        }
    }
    // Neither is a line of a tool.
    let padded = LINE_76.replace("Njc4", "Njc=");
    for body in [&padded, &LINE_64[4..], &format!("{LINE_64}QUJD")] {
        assert!(matches!(
            &tables::run(format!("UPLOAD a {body}\nQUJD\n").as_bytes())[..],
            [Outcome::Stored(..), Refused(Code::UnknownVerb, None)]
        ));
    }
}

#[test]
fn phases_say_what_is_waited_for() {
    let mut feed = Feed::new(Limits::default(), 64);
    let mut check = |piece: &str, phase| {
        feed.push(piece.as_bytes());
        assert_eq!(feed.decoder.phase(), phase, "after {piece:?}");
    };
    check("UPLOAD a\r", Phase::Head);
    check("\n", Phase::Head);
    check("DOWNLOAD", Phase::Head);
    check("A", Phase::Body);
    check("AAA\n", Phase::Idle);
    check("UPLOAD a\n", Phase::Head);
    check("\r", Phase::Head);
    check("\n", Phase::Idle);
    check("UPLOAD a b", Phase::Body);
    check(&LINE_64[2..], Phase::Body);
    check("\n", Phase::Idle);
    check("UPLOAD a ", Phase::Body);
    check(LINE_64, Phase::Body);
    check("\r", Phase::Body);
    check("\n", Phase::Settling);
    check("LIS", Phase::Settling);
    check("T\n", Phase::Idle);
    assert_eq!(feed.decoder.silence(), None);
}

#[test]
fn silence_ends_neither_a_head_whose_body_is_awaited_nor_what_is_held_back() {
    for sent in [
        "UPLOAD a\n",
        "UPLOAD a\r\n\r",
        "UPLOAD a\nLIST",
        "UPLOAD a\nb",
    ] {
        let mut feed = Feed::new(Limits::default(), 64);
        feed.push(sent.as_bytes());
        assert_eq!(feed.decoder.silence(), None, "{sent:?}");
        assert_eq!(feed.outcomes, [], "{sent:?}");
    }
}

/// The message of the first refusal; cut into bytes it is the same.
fn message(input: impl AsRef<[u8]>) -> String {
    let input = input.as_ref();
    let [whole, bytes] = [usize::MAX, 1].map(|len| feed_with(input, Limits::default(), &[len], 3));
    assert_eq!(whole.messages, bytes.messages);
    assert_eq!(whole.outcomes.len(), 1, "one request, one reply: {input:?}");
    whole.messages[0].clone()
}

#[test]
fn what_is_not_taken_is_named_with_what_is_expected() {
    let long = "QUJD".repeat(1000);
    for (input, recognised) in [
        ("UPLOAD a 1234 QUJD\n".to_owned(), "a length is not taken"),
        (format!("UPLOAD a 3000 {long}\n"), "a length is not taken"),
        ("LENGTH 12\n".into(), "is none of LIST"),
        ("12\n".into(), "a length is not taken"),
        ("00000012LIST\n".into(), "is none of LIST"),
        ("12 LIST\n".into(), "a length is not taken"),
        ("\0\0\0\u{4}LIST".into(), "a length is not taken"),
        ("\u{4}\0\0\0LIST".into(), "a length is not taken"),
        ("UPLOAD a||QUJD\n".into(), "name||base64 is not taken"),
        ("UPLOAD a||b'QUJD'\n".into(), "name||base64 is not taken"),
        ("UPLOAD||a||QUJD\n".into(), "name||base64 is not taken"),
        ("UPLOAD my file||QUJD\n".into(), "name||base64 is not taken"),
        (format!("UPLOAD a||{long}\n"), "name||base64 is not taken"),
        ("{\"command\": \"LIST\"}\n".into(), "this is JSON"),
        (
            format!("{{\"command\":\"UPLOAD\",\"data\":\"{long}\"}}\n"),
            "this is JSON",
        ),
        ("UPLOAD a {\"data\":\"QUJD\"}\n".into(), "this is JSON"),
        ("UPLOAD a\n{\"data\":\"QUJD\"}\n".into(), "this is JSON"),
        ("UPLOAD two words QUJD\n".into(), "double quotes"),
        ("UPLOAD a 'QUJD'\n".into(), "b'…'"),
        ("UPLOAD a\n\n".into(), "the same line or the next"),
        (format!("UPLOAD a {LINE_76}\nQUJD\n"), "base64 -w0"),
        ("UPLOAD a\nHost: x\n".into(), "no web server"),
    ] {
        let message = message(&input);
        let shown = &input[..input.len().min(60)];
        assert!(message.contains(recognised), "{shown:?}: {message}");
        assert!(message.len() < 300, "{message}");
    }
    assert!(!message("UPLOAD a 12345\n").contains("length"));
}
