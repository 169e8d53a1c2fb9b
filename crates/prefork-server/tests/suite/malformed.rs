//! A thousand malformed requests: each gets an error or a close, no worker dies, the root is unchanged.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{Server, each_pool};

/// How many are generated; each is sent over a connection of its own.
const COUNT: usize = 1000;

/// Requests that are wrong in one way or another. What a strategy makes may by chance be right, as an upload
/// of good base64 is; those that could change the root are kept from that by their shape.
fn malformed() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |range| prop::collection::vec(any::<u8>(), range);
    let line = |text: String| {
        let mut line = text.into_bytes();
        line.extend_from_slice(b"\r\n");
        line
    };
    prop_oneof![
        // Noise, with and without an end.
        bytes(1..200),
        bytes(1..200).prop_map(|mut noise| {
            noise.push(b'\n');
            noise
        }),
        // A verb that is none, a name that is none, too many words.
        "[A-Z]{1,12} [a-z]{0,20}"
            .prop_filter("a verb", |t| !is_verb(t))
            .prop_map(line),
        "(GET|DELETE|UPLOAD|DOWNLOAD) [./\\\\]{1,9}[a-z]{0,9}".prop_map(line),
        "(GET|DELETE) [a-z]{1,5} [a-z]{1,5}( [a-z]{1,5})?".prop_map(line),
        "(GET|DELETE|UPLOAD)".prop_map(line),
        // Quotes that do not close, or are followed by more.
        "(GET|UPLOAD) \"[a-z ]{0,9}".prop_map(line),
        "GET \"[a-z]{1,9}\"[a-z]{1,5}".prop_map(line),
        // Bodies that are not base64: a wrong character, a wrong length, padding in the middle.
        "UPLOAD new [A-Za-z0-9+/]{0,40}[-_.:,;!?][A-Za-z0-9+/]{0,40}".prop_map(line),
        "UPLOAD new ([A-Za-z0-9+/]{4}){0,9}[A-Za-z0-9+/]{1}".prop_map(line),
        "UPLOAD new ([A-Za-z0-9+/]{4}){0,9}QQ==([A-Za-z0-9+/]{4}){1,3}".prop_map(line),
        "UPLOAD new b'([A-Za-z0-9+/]{4}){0,9}('[A-Za-z0-9+/']{1,3})?".prop_map(line),
        // The same on the next line, or nothing there.
        "UPLOAD new\r?\n[A-Za-z0-9+/]{0,40}[-_.,;!?][A-Za-z0-9+/]{0,40}".prop_map(line),
        "UPLOAD new\r?\n(\r?\n)?((GET|HAPUS) g)?".prop_map(line),
        // Wrapped by a tool.
        "UPLOAD new\r?[\n ]([A-Za-z0-9+/]{76}\r?\n){2,9}([A-Za-z0-9+/]{4}){1,9}".prop_map(line),
        // Broken framing: a bare CR, a NUL, an endless head.
        "(LIST|GET f|UPLOAD new QUJD)\r[a-z]{1,5}".prop_map(line),
        "(LIST|GET f)\0[a-z]{0,5}".prop_map(line),
        "GET [a-z]{1100,2000}".prop_map(line),
        // Cut off.
        "UPLOAD new [A-Za-z0-9+/]{0,80}".prop_map(String::into_bytes),
        "(LIS|GET|GET f|DELETE f)".prop_map(String::into_bytes),
    ]
}

fn is_verb(text: &str) -> bool {
    proto::Verb::from_wire(text.split(' ').next().unwrap_or("").as_bytes()).is_some()
}

/// Malformed requests with the code each must get. Those ended by `Closed` have no end that could be trusted,
/// so nothing is answered.
const LISTED: &[(&[u8], Answer)] = &[
    (b"HELLO\r\n", Code("unknown_verb")),
    (b"GETS f\r\n", Code("unknown_verb")),
    (b"GET\tf\r\n", Code("unknown_verb")),
    (b" LIST\r\n", Code("unknown_verb")),
    (b"\xff\xfe\r\n", Code("unknown_verb")),
    (b"GET\r\n", Code("bad_request")),
    (b"GET \r\n", Code("bad_request")),
    (b"DELETE\n", Code("bad_request")),
    (b"UPLOAD\r\n", Code("bad_request")),
    (b"UPLOAD new\r\n\r\n", Code("bad_request")),
    (b"UPLOAD new\r\nGET g\r\n", Code("bad_request")),
    (b"UPLOAD new\r\nQUJ\r\n", Code("bad_base64")),
    (b"UPLOAD ../new\r\nQUJD\r\n", Code("bad_name")),
    (b"UPLOAD new\r\nHost: x\r\n", Code("unknown_verb")),
    (b"UPLOAD new||QUJD\r\n", Code("bad_request")),
    (b"UPLOAD new 3 QUJD\r\n", Code("bad_base64")),
    (b"\0\0\0\x04LIST", Code("bad_request")),
    (b"{\"command\": \"LIST\"}\r\n", Code("unknown_verb")),
    (b"LIST f\r\n", Code("bad_request")),
    (b"GET f g\r\n", Code("bad_request")),
    (b"GET \"f\r\n", Code("bad_request")),
    (b"GET \"f\"g\r\n", Code("bad_request")),
    (b"GET f\0\r\n", Code("bad_request")),
    (b"GET f\rg\r\n", Code("bad_request")),
    (b"\rLIST\r\n", Code("bad_request")),
    (b"GET ..\r\n", Code("bad_name")),
    (b"GET /etc/passwd\r\n", Code("bad_name")),
    (b"GET ../f\r\n", Code("bad_name")),
    (b"GET a\\b\r\n", Code("bad_name")),
    (b"GET .f\r\n", Code("bad_name")),
    (b"GET \" f\"\r\n", Code("bad_name")),
    (b"GET \"\"\r\n", Code("bad_name")),
    (b"GET a\x1bb\r\n", Code("bad_name")),
    (b"GET \xff\r\n", Code("bad_name")),
    ("GET a\u{202e}b\r\n".as_bytes(), Code("bad_name")),
    (b"UPLOAD ../new QUJD\r\n", Code("bad_name")),
    (b"UPLOAD .new QUJD\r\n", Code("bad_name")),
    (b"UPLOAD new QUJ\r\n", Code("bad_base64")),
    (b"UPLOAD new QUJDR\r\n", Code("bad_base64")),
    (b"UPLOAD new QQ==QUJD\r\n", Code("bad_base64")),
    (b"UPLOAD new QR==\r\n", Code("bad_base64")),
    (b"UPLOAD new =\r\n", Code("bad_base64")),
    (b"UPLOAD new QU D\r\n", Code("bad_base64")),
    (b"UPLOAD new  QUJD\r\n", Code("bad_base64")),
    (b"UPLOAD new QUJ-\r\n", Code("bad_base64")),
    (b"UPLOAD new QU\0D\r\n", Code("bad_base64")),
    (b"UPLOAD new b'QUJD\r\n", Code("bad_base64")),
    (b"UPLOAD new b'QU'JD'\r\n", Code("bad_base64")),
    (WRAPPED, Code("bad_base64")),
    (b"UPLOAD new QUJD\rQUJD\r\n", Code("bad_request")),
    (b"LIST", Closed),
    (b"LIST\r", Closed),
    (b"GET f", Closed),
    (b"DELETE f", Closed),
    (b"UPLOAD new", Closed),
    (b"UPLOAD new\r\n", Closed),
    (b"UPLOAD new\r\nLIST", Closed),
    (b"UPLOAD new\r\nQUJD", Closed),
    (b"UPLOAD new ", Closed),
    (b"UPLOAD new QUJD", Closed),
    (b"UPLOAD new QUJD\r", Closed),
];

/// What `base64 FILE` writes, without -w0.
const WRAPPED: &[u8] =
    b"UPLOAD new QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2MDEyMzQ1Njc4\nQUJD\n";

#[derive(Debug, Clone, Copy)]
enum Answer {
    Code(&'static str),
    Closed,
}
use Answer::{Closed, Code};

each_pool! {
    fn every_listed_malformed_request_gets_its_error(pool) {
        let server = Server::start(pool, &["--workers", "3"]);
        server.put("f", b"untouched");
        for (request, want) in LISTED {
            let shown = request.escape_ascii().to_string();
            let mut peer = server.connect();
            peer.send(request).finish_sending();
            let reply = peer.try_reply();
            match want {
                Code(code) => assert_eq!(reply.expect(&shown)["code"], *code, "{shown}"),
                Closed => assert!(reply.is_none(), "{shown}"),
            }
        }
        let long = [b"GET ".as_slice(), &[b'x'; 2000], b"\r\n"].concat();
        assert_eq!(server.connect().ask(long)["code"], "bad_request");
        assert_eq!(server.entries(), ["f"]);
        assert_eq!(server.stored("f").unwrap(), b"untouched");
        let (done, code) = server.stop();
        assert_eq!((done.crashes, done.sum.requests.ok.total(), code), (0, 0, 0));
    }

    fn a_web_page_can_neither_store_nor_delete(pool) {
        let server = Server::start(pool, &["--workers", "2"]);
        server.put("f", b"untouched");
        for request in ["DELETE f\r\n", "UPLOAD new QUJD\r\n"] {
            let mut peer = server.connect();
            peer.send(format!(
                "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://example.org\r\n\
                 Content-Length: {}\r\n\r\n{request}",
                request.len()
            ));
            assert_eq!(peer.reply()["code"], "bad_name");
            assert_eq!(peer.reply()["code"], "unknown_verb");
            assert!(peer.try_reply().is_none());
        }
        assert_eq!(server.entries(), ["f"]);
        assert_eq!(server.stored("f").unwrap(), b"untouched");
        let (done, code) = server.stop();
        assert_eq!((done.sum.connections.refused, done.crashes, code), (2, 0, 0));
    }

    fn a_thousand_malformed_requests_change_nothing(pool) {
        let server = Server::start(pool, &["--workers", "3"]);
        server.put("f", b"untouched");
        // Always the same requests, so that a failure can be looked at.
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        for number in 0..COUNT {
            let request = malformed().new_tree(&mut runner).unwrap().current();
            let shown = request.escape_ascii().to_string();
            let mut peer = server.connect();
            peer.send(&request).finish_sending();
            let mut replies = 0;
            while let Some(reply) = peer.try_reply() {
                // Noise can hold an end of line, and so several requests; never one that is carried out.
                assert_eq!(reply["status"], "ERROR", "{number}: {shown}: {reply}");
                replies += 1;
            }
            assert!(replies <= request.len(), "{number}: {shown}");
        }
        assert_eq!(server.entries(), ["f"]);
        assert_eq!(server.stored("f").unwrap(), b"untouched");
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (0, 0));
        assert_eq!(done.sum.connections.accepted, COUNT as u64);
        assert_eq!(done.sum.requests.ok.total(), 0);
    }
}
