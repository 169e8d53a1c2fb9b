//! Each fault of a server becomes its own outcome, and no byte of a failed operation counts.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::socket::{Backlog, listen};
use stress::clients::operation::Attempt;
use stress::corpus::{Corpus, Salt};
use stress_data::matrix::Operation;
use stress_data::record::Outcome;

use super::script::{PATIENCE, Peer, crc32, job, meet, perform};

/// More than one piece of anything, and not a multiple of three.
const VOLUME: u64 = 400_000;
/// More than what any socket's buffers hold, so that a sender has to wait for its receiver.
const LARGE: u64 = 64 << 20;
/// For operations that must run into it.
const SHORT: Duration = Duration::from_millis(300);

fn content() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut content = Corpus::new(1).content(Salt::DOWNLOAD, VOLUME);
    content.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The reply of a server that says nothing about what it sends.
fn plain_reply(content: &[u8]) -> String {
    reply(content, "")
}

fn reply(content: &[u8], more: &str) -> String {
    let body = encode(content);
    format!(
        "{{\"status\":\"OK\",\"data_namafile\":\"d0000.bin\",\"data_file\":\"{body}\"{more}}}\r\n\r\n"
    )
}

fn encode(content: &[u8]) -> String {
    let mut encoder = proto::base64::Encoder::new();
    let mut out = Vec::new();
    encoder.encode(content, &mut out);
    encoder.finish(&mut out);
    String::from_utf8(out).unwrap()
}

fn check(case: &str, attempt: &Attempt, outcome: Outcome) {
    let record = &attempt.record;
    assert_eq!(record.outcome, outcome, "{case}: {record:?}");
    assert!(record.ended_ns.is_some(), "{case}");
    if outcome == Outcome::Ok {
        assert_eq!(record.verified_bytes, record.bytes, "{case}");
        assert_eq!(record.detail, None, "{case}");
    } else {
        assert_eq!(record.verified_bytes, 0, "{case}: {record:?}");
        assert!(record.detail.is_some(), "{case}: a failure says why");
        assert!(!attempt.is_unconfirmed, "{case}");
    }
}

fn check_download(
    case: &str,
    outcome: Outcome,
    timeout: Duration,
    script: impl FnOnce(Peer) + Send + 'static,
) {
    let attempt = meet(Operation::Download, VOLUME, timeout, script);
    check(case, &attempt, outcome);
}

fn answer_download(case: &str, outcome: Outcome, answer: String) {
    check_download(case, outcome, PATIENCE, move |mut peer| {
        peer.hear_line();
        peer.say(answer);
    });
}

#[test]
fn a_download_is_ok_only_if_it_is_the_content_that_was_put_there() {
    let whole = content();
    let (len, crc32) = (whole.len(), crc32fast::hash(&whole));
    let mut changed = whole.clone();
    changed[123_456] ^= 1;
    let longer = [&whole[..], b"x"].concat();
    let said = |size: usize, crc32: u32| format!(",\"size\":{size},\"crc32\":\"{crc32:08x}\"");

    let cases = [
        ("whole", Outcome::Ok, plain_reply(&whole)),
        (
            "whole and said",
            Outcome::Ok,
            reply(&whole, &said(len, crc32)),
        ),
        ("short", Outcome::Mismatch, plain_reply(&whole[..len - 1])),
        ("empty", Outcome::Mismatch, plain_reply(&[])),
        ("long", Outcome::Mismatch, plain_reply(&longer)),
        ("changed", Outcome::Mismatch, plain_reply(&changed)),
        // Right by the server's own account, and still not what was put there.
        (
            "changed and said",
            Outcome::Mismatch,
            reply(&changed, &said(len, crc32fast::hash(&changed))),
        ),
        (
            "another size said",
            Outcome::Mismatch,
            reply(&whole, &said(len + 1, crc32)),
        ),
        (
            "another sum said",
            Outcome::Mismatch,
            reply(&whole, &said(len, !crc32)),
        ),
    ];
    for (case, outcome, answer) in cases {
        answer_download(case, outcome, answer);
    }
}

#[test]
fn a_reply_that_is_none_is_told_from_one_that_says_no() {
    let error = |more: &str| format!("{{\"status\":\"ERROR\",\"data\":\"no\"{more}}}\r\n\r\n");
    let cases = [
        ("an error", Outcome::ServerError, error("")),
        (
            "its code",
            Outcome::ServerError,
            error(",\"code\":\"not_found\""),
        ),
        (
            "internal",
            Outcome::ServerError,
            error(",\"code\":\"internal\""),
        ),
        ("busy", Outcome::Busy, error(",\"code\":\"busy\"")),
        (
            "stopping",
            Outcome::Busy,
            error(",\"code\":\"shutting_down\""),
        ),
        ("no JSON", Outcome::BadReply, "hello\r\n\r\n".to_owned()),
        (
            "bytes",
            Outcome::BadReply,
            "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
        ),
        (
            "no content",
            Outcome::BadReply,
            "{\"status\":\"OK\"}\r\n\r\n".to_owned(),
        ),
        (
            "no base64",
            Outcome::BadReply,
            "{\"status\":\"OK\",\"data_file\":\"a*b=\"}\r\n\r\n".to_owned(),
        ),
    ];
    for (case, outcome, answer) in cases {
        answer_download(case, outcome, answer);
    }
}

#[test]
fn a_download_that_ends_early_says_how_it_ended() {
    let answer = plain_reply(&content());
    let end_at = [0, 20, 300_000, answer.len() - 2];
    for len in end_at {
        let part = answer[..len].to_owned();
        let case = format!("closed after {len} bytes");
        check_download(&case, Outcome::Eof, PATIENCE, move |mut peer| {
            peer.hear_line();
            peer.say(part);
        });
        let part = answer[..len].to_owned();
        let case = format!("stalled after {len} bytes");
        check_download(&case, Outcome::Timeout, SHORT, move |mut peer| {
            peer.hear_line();
            peer.say(part);
            peer.stall();
        });
    }
    check_download("reset unheard", Outcome::Reset, PATIENCE, |mut peer| {
        peer.hear_len(1);
        peer.reset();
    });
    check_download(
        "reset after the head",
        Outcome::Reset,
        PATIENCE,
        |mut peer| {
            peer.hear_line();
            peer.say("{\"status\":\"OK\"");
            peer.reset();
        },
    );
}

fn check_upload(
    case: &str,
    outcome: Outcome,
    (volume, timeout): (u64, Duration),
    script: impl FnOnce(Peer) + Send + 'static,
) -> Attempt {
    let attempt = meet(Operation::Upload, volume, timeout, script);
    check(case, &attempt, outcome);
    attempt
}

#[test]
fn an_upload_is_confirmed_only_by_the_checksum_of_what_was_sent() {
    let crc32 = crc32(1, Salt::upload(0, 0), VOLUME);
    let answer = |more: String| {
        format!("{{\"status\":\"OK\",\"data\":\"u0000-0.bin has been uploaded\"{more}}}\r\n\r\n")
    };
    let said = |size: u64, crc32: u32| format!(",\"size\":{size},\"crc32\":\"{crc32:08x}\"");
    let cases = [
        ("confirmed", Outcome::Ok, false, said(VOLUME, crc32)),
        ("nothing said", Outcome::Ok, true, String::new()),
        (
            "only its size",
            Outcome::Ok,
            true,
            format!(",\"size\":{VOLUME}"),
        ),
        (
            "another size",
            Outcome::Mismatch,
            false,
            said(VOLUME - 1, crc32),
        ),
        (
            "another sum",
            Outcome::Mismatch,
            false,
            said(VOLUME, !crc32),
        ),
    ];
    for (case, outcome, is_unconfirmed, more) in cases {
        let answer = answer(more);
        let attempt = check_upload(case, outcome, (VOLUME, PATIENCE), |mut peer| {
            peer.hear_line();
            peer.say(answer);
        });
        assert_eq!(attempt.is_unconfirmed, is_unconfirmed, "{case}");
    }
}

#[test]
fn an_upload_that_ends_early_says_how_it_ended() {
    let no = |code: &str| {
        format!("{{\"status\":\"ERROR\",\"data\":\"no\",\"code\":\"{code}\"}}\r\n\r\n")
    };
    let (no_space, busy) = (no("no_space"), no("busy"));
    let normal = (VOLUME, PATIENCE);
    check_upload(
        "refused at the end",
        Outcome::ServerError,
        normal,
        |mut peer| {
            peer.hear_line();
            peer.say(no_space);
        },
    );
    check_upload("busy", Outcome::Busy, (LARGE, PATIENCE), |mut peer| {
        peer.hear_len(1000);
        peer.say(busy);
        peer.stall();
    });
    check_upload("closed at the end", Outcome::Eof, normal, |mut peer| {
        peer.hear_line();
    });
    check_upload("reset at the end", Outcome::Reset, normal, |mut peer| {
        peer.hear_line();
        peer.reset();
    });
    check_upload(
        "reset in the middle",
        Outcome::Reset,
        (LARGE, PATIENCE),
        |mut peer| {
            peer.hear_len(1_000_000);
            peer.reset();
        },
    );
    check_upload(
        "closed in the middle",
        Outcome::Reset,
        (LARGE, PATIENCE),
        |mut peer| peer.hear_len(1_000_000),
    );
    let stalled = (LARGE, SHORT);
    let attempt = check_upload(
        "stalled in the middle",
        Outcome::Timeout,
        stalled,
        |mut peer| {
            peer.hear_len(1_000_000);
            peer.stall();
        },
    );
    let moved = attempt.record.bytes;
    assert!(
        moved > 0 && moved < LARGE,
        "what moved is kept apart from what counts: {moved}"
    );
    check_upload(
        "stalled at the end",
        Outcome::Timeout,
        (VOLUME, SHORT),
        |mut peer| {
            peer.hear_line();
            peer.stall();
        },
    );
    check_upload("garbage", Outcome::BadReply, normal, |mut peer| {
        peer.hear_line();
        peer.say("OK\r\n\r\n");
    });
}

#[test]
fn a_list_is_ok_only_with_exactly_the_names_that_are_there() {
    // Three files of 64 KiB.
    let volume = 3 << 16;
    let check_list = |case: &str, outcome: Outcome, names: &[&str]| {
        let names = serde_json::to_string(names).unwrap();
        let answer = format!("{{\"status\": \"OK\", \"data\": {names}}}");
        let json_len = answer.len() as u64;
        let attempt = meet(Operation::List, volume, PATIENCE, move |mut peer| {
            peer.hear_line();
            peer.say(answer + "\r\n\r\n");
        });
        check(case, &attempt, outcome);
        assert_eq!(attempt.record.bytes, json_len, "{case}");
    };
    let [a, b, c] = ["l0000.bin", "l0001.bin", "l0002.bin"];
    check_list("all", Outcome::Ok, &[a, b, c]);
    check_list("in another order", Outcome::Ok, &[c, a, b]);
    check_list("one missing", Outcome::Mismatch, &[a, b]);
    check_list("none", Outcome::Mismatch, &[]);
    check_list("one too many", Outcome::Mismatch, &[a, b, c, "x.bin"]);
    check_list("one twice", Outcome::Mismatch, &[a, b, b]);
    check_list("one changed", Outcome::Mismatch, &[a, b, "L0002.bin"]);
}

#[test]
fn where_nobody_listens_a_client_is_refused_once() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let mut job = job(address, Operation::Download, VOLUME);
    job.settings.transfer_requests = 3;
    let attempts = perform(&job);
    check("refused", &attempts[0], Outcome::ConnectRefused);
    for (request, attempt) in (0..).zip(&attempts) {
        assert_eq!(
            (attempt.record.client, attempt.record.request),
            (0, request)
        );
        assert_eq!(attempt.record.connected_ns, None);
    }
    let rest: Vec<Outcome> = attempts[1..]
        .iter()
        .map(|attempt| attempt.record.outcome)
        .collect();
    assert_eq!(rest, [Outcome::NotSent, Outcome::NotSent]);
}

#[test]
fn where_nobody_accepts_a_client_gives_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listen(&listener.as_fd(), Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let full = fill_the_queue(address);
    let mut job = job(address, Operation::Download, VOLUME);
    job.settings.timeout = SHORT;
    let attempts = perform(&job);
    check("unaccepted", &attempts[0], Outcome::ConnectTimeout);
    drop(full);
}

/// Connects until the kernel takes no more: Linux then leaves connection attempts unanswered.
fn fill_the_queue(address: SocketAddr) -> Vec<TcpStream> {
    let connect = || TcpStream::connect_timeout(&address, SHORT);
    std::iter::repeat_with(connect)
        .map_while(Result::ok)
        .take(1000)
        .collect()
}

#[test]
fn a_failure_does_not_keep_a_client_from_its_next_operation() {
    let whole = plain_reply(&content());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut job = job(listener.local_addr().unwrap(), Operation::Download, VOLUME);
    job.settings.transfer_requests = 2;
    let server = std::thread::spawn(move || {
        use std::io::Write;
        let (first, _) = listener.accept().unwrap();
        drop(first);
        let (mut second, _) = listener.accept().unwrap();
        let mut request = [0; 256];
        let _ = second.read(&mut request).unwrap();
        second.write_all(whole.as_bytes()).unwrap();
    });
    let attempts = perform(&job);
    server.join().unwrap();
    let first = attempts[0].record.outcome;
    assert!(matches!(first, Outcome::Eof | Outcome::Reset), "{first:?}");
    check("the second", &attempts[1], Outcome::Ok);
}
