//! The library against servers that follow a script, byte by byte.

mod common;

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

/// An upload is sent in pieces of so many bytes of content.
const PIECE_LEN: usize = 96 << 10;

/// An address that refuses, for as long as the descriptor lives: bound, but nobody listens.
fn refusing() -> (OwnedFd, SocketAddr) {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket,
    };
    let fd = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    let address: SockaddrIn = getsockname(fd.as_raw_fd()).unwrap();
    (fd, SocketAddr::V4(address.into()))
}

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
fn an_upload_is_verified_by_the_servers_answer() {
    for len in [0, 1, 2, 3, 98_303, 98_304, 98_305, 1_000_000] {
        let file = content(len);
        let reply = upload_reply("a.bin", &file);
        let server = Scripted::once(vec![EOL, say(&reply)]);
        let upload = connect(&server)
            .upload(&name(), &mut &file[..], &mut ())
            .unwrap();
        assert_eq!((upload.size, upload.verified), (len as u64, true));
        assert_eq!(upload.message, "a.bin has been uploaded");
        let heard = server.heard().remove(0).text();
        assert!(
            heard == format!("UPLOAD a.bin {}\r\n", base64(&file)),
            "{len} bytes"
        );
    }
}

#[test]
fn a_source_that_gives_little_at_a_time_is_sent_the_same() {
    struct Dribble<'a>(&'a [u8]);
    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(self.0.len()).min(977);
            self.0.read(&mut buffer[..len])
        }
    }
    let file = content(300_000);
    let server = Scripted::once(vec![EOL, say(&upload_reply("a.bin", &file))]);
    assert!(
        connect(&server)
            .upload(&name(), &mut Dribble(&file), &mut ())
            .unwrap()
            .verified
    );
}

#[test]
fn an_upload_stored_otherwise_is_a_mismatch() {
    let server = Scripted::once(vec![EOL, say(&upload_reply("a.bin", b"other"))]);
    let result = connect(&server).upload(&name(), &mut &b"hello"[..], &mut ());
    assert!(matches!(result, Err(Error::Mismatch(_))), "{result:?}");
}

#[test]
fn a_refusal_in_the_middle_of_an_upload_ends_it() {
    let refusal = "{\"status\":\"ERROR\",\"data\":\"too large\",\"code\":\"too_large\"}\r\n\r\n";
    // A server that goes on reading, one that stops reading, and one that is gone.
    for after in [
        vec![Act::ShutDown, Act::HearEnd],
        vec![Act::ShutDown],
        vec![],
    ] {
        let acts = [vec![Act::HearLen(1000), say(refusal)], after].concat();
        let server = Scripted::once(acts);
        let mut connection = connect(&server);
        let result = connection.upload(&name(), &mut io::repeat(7).take(1 << 30), &mut ());
        match result {
            Err(Error::Refused { code, .. }) => assert_eq!(code.as_deref(), Some("too_large")),
            // A close with input unread may destroy the refusal on its way.
            Err(Error::Reset(_) | Error::Eof) => {}
            other => panic!("{other:?}"),
        }
        let next = connection.list(&mut ());
        assert!(matches!(next, Err(Error::Unusable(_))), "{next:?}");
    }
}

/// Gives one piece of an upload, then waits until the server has followed its script to the end, and goes on.
struct UntilGone {
    server: Option<Scripted>,
    given_len: usize,
}

impl Read for UntilGone {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given_len >= PIECE_LEN
            && let Some(server) = self.server.take()
        {
            server.heard();
        }
        self.given_len += buffer.len();
        Ok(buffer.len())
    }
}

/// What becomes of an endless upload to a server that is gone after its first piece.
fn upload_cut_after(acts: Vec<Act>) -> Error {
    let server = Scripted::once(acts);
    let mut connection = connect(&server);
    let mut source = UntilGone {
        server: Some(server),
        given_len: 0,
    };
    connection
        .upload(&name(), &mut source, &mut ())
        .unwrap_err()
}

#[test]
fn an_upload_cut_short_by_the_server_is_a_reset() {
    let first_piece_len = "UPLOAD a.bin ".len() + PIECE_LEN / 3 * 4;
    let cases = [
        ("reset", vec![Act::HearLen(1), Act::Reset]),
        // The kernel resets a connection that is closed with input unread, and ends one without.
        ("closed unread", vec![Act::HearLen(1)]),
        ("closed", vec![Act::HearLen(first_piece_len)]),
        (
            "closed in the middle of its reply",
            vec![Act::HearLen(first_piece_len), say("{\"status\":\"ERROR\",")],
        ),
    ];
    for (case, acts) in cases {
        let error = upload_cut_after(acts);
        assert!(matches!(error, Error::Reset(_)), "{case}: {error:?}");
        assert!(error.leaves_fate_unknown(), "{case}");
    }
}

#[test]
fn a_refusal_is_heard_although_the_connection_was_reset_behind_it() {
    let refusal = "{\"status\":\"ERROR\",\"data\":\"too large\",\"code\":\"too_large\"}\r\n\r\n";
    let error = upload_cut_after(vec![Act::HearLen(1), say(refusal), Act::Reset]);
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}

#[test]
fn a_server_that_refuses_and_drains_is_always_heard() {
    let refusal = "{\"status\":\"ERROR\",\"data\":\"too large\",\"code\":\"too_large\"}\r\n\r\n";
    let server = Scripted::once(vec![
        Act::HearLen(1),
        say(refusal),
        Act::ShutDown,
        Act::HearEnd,
    ]);
    let mut source = io::repeat(7).take(1 << 40);
    let result = connect(&server).upload(&name(), &mut source, &mut ());
    assert!(matches!(result, Err(Error::Refused { .. })), "{result:?}");
    server.heard();
}

#[test]
fn a_confirmation_before_the_content_is_sent_is_not_believed() {
    let server = Scripted::once(vec![
        Act::HearLen(1000),
        say(&upload_reply("a.bin", b"")),
        Act::HearEnd,
    ]);
    let result = connect(&server).upload(&name(), &mut io::repeat(7).take(1 << 30), &mut ());
    assert!(matches!(result, Err(Error::Unexpected(_))), "{result:?}");
}

#[test]
fn an_upload_whose_source_fails_is_reset_and_not_ended() {
    struct Failing(usize);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(1)
                .ok_or_else(|| io::Error::other("the disk is gone"))?;
            Ok(buffer.len())
        }
    }
    let server = Scripted::once(vec![Act::HearEnd]);
    let result = connect(&server).upload(&name(), &mut Failing(3), &mut ());
    assert!(matches!(result, Err(Error::Local(_))), "{result:?}");
    let heard = server.heard().remove(0);
    assert!(
        heard.was_reset,
        "a server that stores at the end of input would have stored a part"
    );
    assert!(!heard.bytes.ends_with(b"\n"));
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
fn a_silent_server_is_given_up_after_the_idle_timeout() {
    let server = Scripted::once(vec![LIST, Act::HearEnd]);
    let idle_timeout = Duration::from_millis(30);
    let mut connection = Connection::connect(
        server.address,
        &Options {
            idle_timeout,
            ..options()
        },
    )
    .unwrap();
    match connection.list(&mut ()) {
        Err(Error::Timeout(limit)) => assert_eq!(limit, idle_timeout),
        other => panic!("{other:?}"),
    }
    assert!(matches!(connection.list(&mut ()), Err(Error::Unusable(_))));
    server.heard();
}

#[test]
fn a_server_that_takes_no_more_is_given_up_after_the_idle_timeout() {
    // Nobody accepts: what fits in the kernel's buffers is taken, and no more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options {
        idle_timeout: Duration::from_millis(30),
        ..options()
    };
    let mut connection = Connection::connect(listener.local_addr().unwrap(), &options).unwrap();
    let result = connection.upload(&name(), &mut io::repeat(7), &mut ());
    assert!(matches!(result, Err(Error::Timeout(_))), "{result:?}");
}

#[test]
fn a_server_that_never_comes_to_an_end_is_given_up_after_the_operation_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let endless = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"{\"status\":\"OK\",\"data_file\":\"")
            .unwrap();
        while stream.write_all(&[b'A'; 1 << 16]).is_ok() {}
    });
    let operation_timeout = Duration::from_millis(50);
    let options = Options {
        operation_timeout: Some(operation_timeout),
        ..options()
    };
    let mut connection = Connection::connect(address, &options).unwrap();
    match connection.get(&name(), &mut io::sink(), &mut ()) {
        Err(Error::Timeout(limit)) => assert_eq!(limit, operation_timeout),
        other => panic!("{other:?}"),
    }
    endless.join().unwrap();
}

/// A server that answers whatever it is asked with `start` and then `piece` without end.
fn endless(start: &str, piece: &str) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (start, piece) = (start.to_owned(), piece.repeat((1 << 16) / piece.len()));
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        while stream.write_all(piece.as_bytes()).is_ok() {}
    });
    (address, thread)
}

/// Takes bytes and counts them.
struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_endless_reply_ends_at_its_bound_wherever_it_has_no_end() {
    let options = Options {
        listing_len_max: 300_000,
        download_len_max: 1_000_000,
        ..options()
    };
    let content = "{\"status\":\"OK\",\"data_file\":\"";
    for (start, piece) in [
        ("{\"data\":[\"a\"", ",\"a.bin\""),
        ("{\"data\":[\"a\"", ",\"\""),
        ("{\"x\":\"", "aaaa"),
        ("{\"x\":[0", ",[1]"),
        ("{\"x\":0", ",\"y\":0"),
        ("{", "   \t"),
        ("\n", " \n"),
        (content, "AAAA"),
        (content, "\\/\\u0041+A"),
        ("{\"data_file\":\"AAAA\",\"x\":\"", "aaaa"),
        ("{\"status\":\"OK\"}", "    "),
    ] {
        let is_content = start == content;
        for operation in ["list", "get", "upload", "delete"] {
            let (address, server) = endless(start, piece);
            let mut connection = Connection::connect(address, &options).unwrap();
            let mut sink = Counting(0);
            let (name, source) = (name(), &mut &b"hello"[..]);
            let result = match operation {
                "list" => connection.list(&mut ()).map(drop),
                "get" => connection.get(&name, &mut sink, &mut ()).map(drop),
                "upload" => connection.upload(&name, source, &mut ()).map(drop),
                _ => connection.delete(&name).map(drop),
            };
            let wanted = match is_content && operation == "get" {
                true => (client::Part::Content, 1_000_000),
                false => (client::Part::Rest, 300_000),
            };
            match result {
                Err(Error::TooLong { part, limit }) => assert_eq!((part, limit), wanted),
                other => panic!("{operation}: {start}{piece}…: {other:?}"),
            }
            assert!(sink.0 <= 1_000_000, "{}", sink.0);
            assert!(!connection.is_usable(Duration::ZERO));
            drop(connection);
            server.join().unwrap();
        }
    }
}

#[test]
fn what_is_as_long_as_its_bound_is_taken_however_it_is_written() {
    let file = content(300_000);
    // As PHP writes it, and as nobody does: the text is then eight times as long as the content.
    let slashes = base64(&file).replace('/', "\\/");
    let escapes: String = base64(&file)
        .chars()
        .map(|c| format!("\\u{:04x}", c as u32))
        .collect();
    for text in [base64(&file), slashes, escapes] {
        let reply = format!("{{\"status\":\"OK\",\"data_file\":\"{text}\"}}\r\n\r\n");
        for (download_len_max, is_taken) in [(300_000, true), (299_999, false)] {
            let server = Scripted::once(vec![GET, say(&reply), Act::HearEnd]);
            let options = Options {
                download_len_max,
                listing_len_max: 1_000,
                ..options()
            };
            let mut connection = Connection::connect(server.address, &options).unwrap();
            let mut sink = Counting(0);
            let result = connection.get(&name(), &mut sink, &mut ());
            match result {
                Ok(download) => assert!(is_taken && download.size == 300_000),
                Err(Error::TooLong { .. }) => assert!(!is_taken && sink.0 < 300_000),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn an_interrupt_ends_the_waiting() {
    let server = Scripted::once(vec![LIST, Act::HearEnd]);
    let (mut trigger, watched) = UnixStream::pair().unwrap();
    let interrupt = Interrupt::from(OwnedFd::from(watched));
    let mut connection =
        Connection::connect_interruptible(server.address, &options(), interrupt).unwrap();
    let waiting = std::thread::spawn(move || connection.list(&mut ()));
    trigger.write_all(b"!").unwrap();
    assert!(matches!(waiting.join().unwrap(), Err(Error::Interrupted)));
    server.heard();
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

#[test]
fn nobody_listening_is_a_connect_error() {
    let (_bound, address) = refusing();
    let result = Connection::connect(address, &options());
    assert!(matches!(result, Err(Error::Connect(_))), "{result:?}");
}

#[test]
fn the_first_address_that_answers_is_taken() {
    let server = Scripted::once(vec![LIST, say("{\"status\":\"OK\",\"data\":[]}\r\n\r\n")]);
    let (_bound, nobody) = refusing();
    let addresses = [nobody, server.address];
    let mut connection = Connection::connect(&addresses[..], &options()).unwrap();
    assert_eq!(connection.peer(), server.address);
    connection.list(&mut ()).unwrap();
}

/// An address that never answers, for as long as the value lives: its queue is full, so the kernel drops what comes.
fn silent() -> (Vec<OwnedFd>, SocketAddr) {
    use nix::sys::socket::{Backlog, listen};
    let (fd, address) = refusing();
    listen(&fd, Backlog::new(0).unwrap()).unwrap();
    // A queue of 0 holds one.
    let queued = std::net::TcpStream::connect(address).unwrap();
    (vec![fd, queued.into()], address)
}

#[test]
fn a_silent_address_leaves_time_for_the_others_and_all_share_the_connect_timeout() {
    let connect_timeout = Duration::from_millis(120);
    let options = Options {
        connect_timeout,
        ..options()
    };
    let (_silent, silence) = silent();
    let (_refusing, refusal) = refusing();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let answer = listener.local_addr().unwrap();
    for addresses in [
        &[silence, answer][..],
        &[silence, silence, answer],
        &[silence, refusal, answer],
        &[refusal, silence, answer, silence],
    ] {
        let connection = Connection::connect(addresses, &options).unwrap();
        assert_eq!(connection.peer(), answer, "{addresses:?}");
    }
    let start = std::time::Instant::now();
    let error = Connection::connect(&[silence; 3][..], &options).unwrap_err();
    // Three whole timeouts would be over this, and one is not, however loaded the machine.
    assert!(start.elapsed() >= connect_timeout, "{error:?}");
    match error {
        Error::ConnectTimeout(limit) => assert_eq!(limit, connect_timeout),
        other => panic!("{other:?}"),
    }
    let error = Connection::connect(&[silence, refusal][..], &options).unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
}

#[test]
fn a_congestion_control_that_does_not_exist_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let congestion = Congestion::Named("no-such-control".to_owned());
    let options = Options {
        congestion,
        receive_buffer: Some(1 << 19),
        ..options()
    };
    let error = Connection::connect(listener.local_addr().unwrap(), &options).unwrap_err();
    assert!(error.to_string().contains("no-such-control"), "{error}");
    for congestion in [Congestion::Auto, Congestion::System] {
        let options = Options {
            congestion,
            ..options.clone()
        };
        Connection::connect(listener.local_addr().unwrap(), &options).unwrap();
    }
}
