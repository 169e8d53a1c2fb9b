//! Uploads, to their end and cut before it.

use super::*;

/// An upload is sent in pieces of so many bytes of content.
const PIECE_LEN: usize = 96 << 10;

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
