//! The library against servers that follow a script, byte by byte.

mod bounds;
#[path = "../common/mod.rs"]
mod common;
mod connecting;
mod uploads;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use client::{Congestion, Connection, Error, FileName, Interrupt, Observer, Options, Terminator};

use common::{Act, PATIENCE, Scripted, base64, content, crc32, get_reply, say, upload_reply};

const LIST: Act = Act::Hear("LIST\r\n");
const GET: Act = Act::Hear("GET a.bin\r\n");
const EOL: Act = Act::Hear("\r\n");

fn name() -> FileName {
    "a.bin".parse().unwrap()
}

fn options() -> Options {
    Options {
        idle_timeout: PATIENCE,
        ..Options::default()
    }
}

fn connect(server: &Scripted) -> Connection {
    Connection::connect(server.address, &options()).unwrap()
}

fn list_of(reply: &str) -> Result<client::Listing, Error> {
    let server = Scripted::once(vec![LIST, say(reply)]);
    connect(&server).list(&mut ())
}

fn get_of(acts: Vec<Act>) -> (Result<client::Download, Error>, Vec<u8>) {
    let server = Scripted::once(acts);
    let mut sink = Vec::new();
    let result = connect(&server).get(&name(), &mut sink, &mut ());
    (result, sink)
}

#[test]
fn listings_are_read_however_the_server_writes_json() {
    for reply in [
        "{\"status\":\"OK\",\"data\":[\"a.bin\",\"b/c\"]}\r\n\r\n",
        "{\"status\": \"OK\", \"data\": [\"a.bin\", \"b\\/c\"]}\r\n\r\n",
        "{ \"data\" : [ \"a.bin\", \"b\\u002fc\" ], \"more\": {\"x\": [1, null]}, \"status\": \"ok\" }\r\n\r\n",
    ] {
        let listing = list_of(reply).unwrap();
        assert_eq!(listing.names, ["a.bin", "b/c"], "{reply}");
        assert_eq!(listing.json_len, reply.len() as u64 - 4);
        assert!(!listing.truncated);
    }
    assert!(
        list_of("{\"status\":\"OK\",\"data\":[],\"truncated\":true}\r\n\r\n")
            .unwrap()
            .truncated
    );
}

#[test]
fn refusals_are_read_from_data_or_message() {
    for (reply, wanted_code) in [
        (
            "{\"status\":\"ERROR\",\"data\":\"no such file\",\"code\":\"not_found\"}\r\n\r\n",
            Some("not_found"),
        ),
        (
            "{\"status\": \"ERROR\", \"data\": \"no such file\"}\r\n\r\n",
            None,
        ),
        (
            "{\"message\": \"no such file\", \"status\": \"ERROR\"}\r\n\r\n",
            None,
        ),
    ] {
        match list_of(reply) {
            Err(Error::Refused { code, message }) => {
                assert_eq!(
                    (code.as_deref(), message.as_str()),
                    (wanted_code, "no such file")
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_download_is_verified_by_what_the_server_declares() {
    let file = content(1_000_000);
    let (result, sink) = get_of(vec![GET, say(&get_reply("a.bin", &file))]);
    let download = result.unwrap();
    assert_eq!((download.size, download.verified), (1_000_000, true));
    assert_eq!(format!("{:08x}", download.crc32), crc32(&file));
    assert!(sink == file);
}

#[test]
fn a_download_without_size_and_checksum_is_not_called_verified() {
    let reply = format!(
        "{{\"status\": \"OK\", \"data_file\": \"{}\"}}\r\n\r\n",
        base64(b"hello")
    );
    let (result, sink) = get_of(vec![GET, say(&reply)]);
    assert!(!result.unwrap().verified);
    assert_eq!(sink, b"hello");
}

#[test]
fn content_or_names_under_another_key_are_named_with_both_keys() {
    let content = base64(&[7; 3_000]);
    let long = base64(&[7; 30_000]);
    for (reply, wanted) in [
        (
            format!("{{\"status\":\"OK\",\"isi_file\":\"{content}\"}}"),
            "found 'isi_file' instead",
        ),
        (
            format!("{{\"isi\":\"{content}\",\"nama\":\"a.bin\",\"status\":\"OK\"}}"),
            "found 'isi' instead",
        ),
        (
            format!("{{\"status\":\"OK\",\"data\":\"{content}\"}}"),
            "found 'data' instead",
        ),
        (
            format!("{{\"status\":\"OK\",\"data\":{{\"name\":1,\"isi\":\"{content}\"}}}}"),
            "found 'data' instead",
        ),
        (
            format!("{{\"status\":\"OK\",\"data\":\"{long}\"}}"),
            "which only data_file may be ('data')",
        ),
        (
            "{\"status\":\"OK\"}".to_owned(),
            "no content in 'data_file'",
        ),
    ] {
        let (result, sink) = get_of(vec![GET, say(&format!("{reply}\r\n\r\n"))]);
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains("data_file"),
            "{error}"
        );
        assert_eq!(sink, b"");
    }
    for (reply, wanted) in [
        (
            "{\"status\":\"OK\",\"files\":[\"a.bin\"]}",
            "no list of names in 'data'; found 'files' instead",
        ),
        (
            "{\"status\":\"OK\",\"data\":\"a.bin\"}",
            "no list of names in 'data'",
        ),
    ] {
        let error = list_of(&format!("{reply}\r\n\r\n"))
            .unwrap_err()
            .to_string();
        assert!(error.ends_with(wanted), "{error}");
    }
}

#[test]
fn a_download_that_is_not_what_the_server_declares_is_a_mismatch() {
    for keys in [
        "\"size\":6",
        "\"crc32\":\"00000000\"",
        "\"size\":5,\"crc32\":\"00000000\"",
    ] {
        let reply = format!(
            "{{\"status\":\"OK\",\"data_file\":\"{}\",{keys}}}\r\n\r\n",
            base64(b"hello")
        );
        let (result, _) = get_of(vec![GET, say(&reply)]);
        assert!(
            matches!(result, Err(Error::Mismatch(_))),
            "{keys}: {result:?}"
        );
    }
}

/// What becomes of one download, upload and delete of `a.bin` that a reply each says is of `named`.
fn answered_for(named: &str, ending: &str) -> [Result<(), Error>; 3] {
    let content = base64(b"hello");
    let (list, ok) = ("{\"status\":\"OK\",\"data\":[]", "{\"status\":\"OK\"");
    let scripts = [
        format!("{ok},\"data_namafile\":\"{named}\",\"data_file\":\"{content}\""),
        format!("{ok},\"data\":\"{named} has been uploaded\",\"size\":5"),
        format!("{ok},\"message\":\"{named} has been deleted\""),
    ]
    .map(|reply| {
        let replies = [list, &reply].map(|reply| format!("{reply}{ending}}}\r\n\r\n"));
        vec![LIST, say(&replies[0]), EOL, say(&replies[1])]
    });
    let server = Scripted::start(scripts.to_vec());
    let connect = || {
        let mut connection = connect(&server);
        // The reply to this one says already whose it is.
        connection.list(&mut ()).unwrap();
        connection
    };
    let (name, content) = (name(), &mut &b"hello"[..]);
    [
        connect().get(&name, &mut io::sink(), &mut ()).map(drop),
        connect().upload(&name, content, &mut ()).map(drop),
        connect().delete(&name).map(drop),
    ]
}

#[test]
fn a_reply_of_a_prefork_server_about_another_file_is_an_error() {
    let ours = format!(",\"crc32\":\"{}\"", crc32(b"hello"));
    for (named, ending, is_well) in [
        ("a.bin", &ours[..], true),
        ("b.bin", &ours, false),
        ("", &ours, false),
        ("a.bin ", &ours, false),
        ("files/a.bin", &ours, false),
        // Other servers name what they like, a path for instance.
        ("files/a.bin", "", true),
        ("File", "", true),
    ] {
        for (number, result) in answered_for(named, ending).into_iter().enumerate() {
            match result {
                Ok(()) => assert!(is_well, "{number}: {named}"),
                Err(Error::Unexpected(about)) => {
                    assert!(!is_well && about.contains(named), "{number}: {named}");
                }
                Err(other) => panic!("{number}: {named}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_reply_that_leaves_its_file_out_is_taken() {
    let reply = format!(
        "{{\"status\":\"OK\",\"data_file\":\"{}\",\"crc32\":\"{}\"}}\r\n\r\n",
        base64(b"hello"),
        crc32(b"hello")
    );
    let (result, _) = get_of(vec![GET, say(&reply)]);
    assert!(result.unwrap().verified);
}

#[test]
fn a_confirmation_without_content_is_no_download() {
    let (result, _) = get_of(vec![
        GET,
        say("{\"status\":\"OK\",\"data\":\"here you are\"}\r\n\r\n"),
    ]);
    assert!(matches!(result, Err(Error::Unexpected(_))), "{result:?}");
    let listing = list_of("{\"status\":\"OK\",\"data\":\"no names\"}\r\n\r\n");
    assert!(matches!(listing, Err(Error::Unexpected(_))), "{listing:?}");
}

#[test]
fn a_reply_without_its_terminator_is_no_reply() {
    let whole = get_reply("a.bin", &content(100_000));
    for cut in [0, 1, 30, 5000, whole.len() - 4, whole.len() - 1] {
        let (result, _) = get_of(vec![GET, say(&whole[..cut])]);
        assert!(
            matches!(result, Err(Error::Eof)),
            "cut at {cut}: {result:?}"
        );
    }
}

#[test]
fn a_reset_within_a_reply_is_told_from_its_end() {
    let (result, _) = get_of(vec![GET, say("{\"status\":\"OK\","), Act::Reset]);
    assert!(matches!(result, Err(Error::Reset(_))), "{result:?}");
}

#[test]
fn another_protocol_is_recognised() {
    let server = Scripted::once(vec![
        LIST,
        say("HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"),
    ]);
    let error = connect(&server).list(&mut ()).unwrap_err();
    assert!(matches!(error, Error::BadReply(_)), "{error:?}");
    assert!(error.to_string().contains("HTTP/1.1"), "{error}");
}

#[test]
fn a_sink_that_fails_ends_the_download() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let server = Scripted::once(vec![GET, say(&get_reply("a.bin", b"hello"))]);
    let result = connect(&server).get(&name(), &mut Full, &mut ());
    assert!(matches!(result, Err(Error::Local(_))), "{result:?}");
}

#[test]
fn one_connection_carries_many_operations() {
    let server = Scripted::once(vec![
        LIST,
        say("{\"status\":\"OK\",\"data\":[]}\r\n\r\n"),
        GET,
        say("{\"status\":\"ERROR\",\"data\":\"no such file\",\"code\":\"not_found\"}\r\n\r\n"),
        EOL,
        say(&upload_reply("a.bin", b"hello")),
        GET,
        say(&get_reply("a.bin", b"hello")),
        Act::Hear("DELETE a.bin\r\n"),
        say("{\"status\":\"OK\",\"message\":\"a.bin has been deleted\"}\r\n\r\n"),
        Act::HearEnd,
    ]);
    let mut connection = connect(&server);
    assert_eq!(connection.peer(), server.address);
    assert!(connection.list(&mut ()).unwrap().names.is_empty());
    let refused = connection
        .get(&name(), &mut io::sink(), &mut ())
        .unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    assert!(connection.is_usable(Duration::ZERO));
    connection
        .upload(&name(), &mut &b"hello"[..], &mut ())
        .unwrap();
    let mut sink = Vec::new();
    connection.get(&name(), &mut sink, &mut ()).unwrap();
    assert_eq!(sink, b"hello");
    assert_eq!(
        connection.delete(&name()).unwrap(),
        "a.bin has been deleted"
    );
    drop(connection);
    server.heard();
}

#[test]
fn a_connection_the_server_has_closed_is_noticed_before_anything_is_sent() {
    let server = Scripted::once(vec![LIST, say("{\"status\":\"OK\",\"data\":[]}\r\n\r\n")]);
    let mut connection = connect(&server);
    connection.list(&mut ()).unwrap();
    assert!(!connection.is_usable(PATIENCE));
    let result = connection.upload(&name(), &mut &b"hello"[..], &mut ());
    assert!(matches!(result, Err(Error::Unusable(_))), "{result:?}");
    assert_eq!(server.heard()[0].text(), "LIST\r\n");
}

#[test]
fn a_reply_too_many_is_never_taken_for_the_next_one() {
    let reply = "{\"status\":\"OK\",\"data\":[]}\r\n\r\n";
    let server = Scripted::once(vec![LIST, say(&reply.repeat(2)), Act::HearEnd]);
    let mut connection = connect(&server);
    connection.list(&mut ()).unwrap();
    // It may come with the first reply or after it.
    assert!(!connection.is_usable(PATIENCE));
    let result = connection.get(&name(), &mut io::sink(), &mut ());
    assert!(matches!(result, Err(Error::Unusable(_))), "{result:?}");
}

#[test]
fn every_terminator_is_on_the_wire_as_named() {
    for (terminator, end) in [
        (Terminator::Crlf, "\r\n"),
        (Terminator::CrlfCrlf, "\r\n\r\n"),
        (Terminator::Lf, "\n"),
        (Terminator::None, ""),
    ] {
        let reply = say("{\"status\":\"OK\",\"data\":[]}\r\n\r\n");
        let server = Scripted::once(vec![
            Act::HearLen(4 + end.len()),
            reply,
            Act::HearLen("UPLOAD a.bin aGVsbG8=".len() + end.len()),
            say(&upload_reply("a.bin", b"hello")),
            Act::HearEnd,
        ]);
        let options = Options {
            terminator,
            ..options()
        };
        let mut connection = Connection::connect(server.address, &options).unwrap();
        connection.list(&mut ()).unwrap();
        connection
            .upload(&name(), &mut &b"hello"[..], &mut ())
            .unwrap();
        drop(connection);
        assert_eq!(
            server.heard()[0].text(),
            format!("LIST{end}UPLOAD a.bin aGVsbG8={end}")
        );
    }
}

#[test]
fn names_with_spaces_are_quoted_on_the_wire() {
    let reply = get_reply("two \\\"words\\\"", b"hello");
    let server = Scripted::once(vec![EOL, say(&reply)]);
    let name = "two \"words\"".parse().unwrap();
    connect(&server)
        .get(&name, &mut io::sink(), &mut ())
        .unwrap();
    assert_eq!(server.heard()[0].text(), "GET \"two \\\"words\\\"\"\r\n");
}

#[test]
fn an_observer_sees_the_first_byte_once_and_the_content_grow() {
    #[derive(Default)]
    struct Log(u32, Vec<u64>);
    impl Observer for Log {
        fn first_byte(&mut self) {
            self.0 += 1;
        }
        fn content(&mut self, total: u64) {
            self.1.push(total);
        }
    }
    let file = content(1_000_000);
    let server = Scripted::once(vec![
        GET,
        say(&get_reply("a.bin", &file)),
        EOL,
        say(&upload_reply("a.bin", &file)),
    ]);
    let mut connection = connect(&server);
    let mut log = Log::default();
    connection.get(&name(), &mut io::sink(), &mut log).unwrap();
    assert_eq!((log.0, log.1.last()), (1, Some(&1_000_000)));
    let mut log = Log::default();
    connection
        .upload(&name(), &mut &file[..], &mut log)
        .unwrap();
    assert_eq!((log.0, log.1.last()), (1, Some(&1_000_000)));
    assert!(log.1.windows(2).all(|pair| pair[0] < pair[1]));
}
