//! As much of HTTP/1.0 as the admin socket speaks: one GET, one answer, the end. Pure.

use serde::Serialize;

/// The longest request.
pub(super) const REQUEST_LEN_MAX: usize = 4 << 10;

/// More header lines than any client of this sends.
const HEADERS_MAX: usize = 64;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// `/status`
    Status,
    /// `/metrics`
    Metrics,
    /// Anything else.
    Unknown,
}

/// What a request so far comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is not whole.
    Nothing,
    /// It is whole and well-formed; with `head_only`, only the answer's head is wanted.
    Question {
        /// What is asked for.
        question: Question,
        /// The method was HEAD.
        head_only: bool,
    },
    /// It will get no other answer than this.
    Wrong(Answer),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
}

/// Reads the request as far as it has come.
pub(super) fn hear(request: &[u8]) -> Heard {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(request) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if request.len() < REQUEST_LEN_MAX => return Heard::Nothing,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Heard::Wrong(plain(
                "431 Request Header Fields Too Large",
                "the request is too long\n",
            ));
        }
        Err(error) => {
            return Heard::Wrong(plain("400 Bad Request", &format!("no HTTP: {error}\n")));
        }
    }
    let head_only = match parsed.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => {
            return Heard::Wrong(plain(
                "405 Method Not Allowed",
                "only GET: nothing can be changed here\n",
            ));
        }
    };
    let target = parsed.path.unwrap_or_default();
    let question = match target.split_once('?').map_or(target, |(path, _)| path) {
        "/status" => Question::Status,
        "/metrics" => Question::Metrics,
        _ => Question::Unknown,
    };
    Heard::Question {
        question,
        head_only,
    }
}

/// An answer for a program.
pub(super) fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            Answer {
                status: "200 OK",
                content_type: "application/json",
                body,
            }
        }
        Err(error) => plain("500 Internal Server Error", &format!("{error}\n")),
    }
}

/// An answer in text.
pub(super) fn text(content_type: &'static str, body: String) -> Answer {
    Answer {
        status: "200 OK",
        content_type,
        body: body.into_bytes(),
    }
}

/// There is no such path; there are those in `known`.
pub(super) fn not_found(known: &str) -> Answer {
    plain("404 Not Found", &format!("nothing here: ask for {known}\n"))
}

fn plain(status: &'static str, body: &str) -> Answer {
    Answer {
        status,
        content_type: "text/plain; charset=utf-8",
        body: body.into(),
    }
}

impl Answer {
    /// As it goes over the wire.
    pub(super) fn encode(self, head_only: bool) -> Vec<u8> {
        let Self {
            status,
            content_type,
            body,
        } = self;
        let allow = if status.starts_with("405") {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let mut bytes = format!(
            "HTTP/1.0 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        if !head_only {
            bytes.extend_from_slice(&body);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_heard_once_it_is_whole() {
        let request = b"GET /status HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
        for len in 0..request.len() {
            assert_eq!(hear(&request[..len]), Heard::Nothing, "{len}");
        }
        let status = Heard::Question {
            question: Question::Status,
            head_only: false,
        };
        assert_eq!(hear(request), status);
        assert_eq!(hear(b"GET /status?x=1 HTTP/1.0\n\n"), status);
        assert_eq!(
            hear(b"HEAD /metrics HTTP/1.0\r\n\r\n"),
            Heard::Question {
                question: Question::Metrics,
                head_only: true
            }
        );
    }

    #[test]
    fn what_is_no_question_is_answered_with_what_is_wrong() {
        let check = |request: &[u8], want: &str| match hear(request) {
            Heard::Wrong(answer) => assert!(answer.status.starts_with(want), "{answer:?}"),
            other => panic!("{other:?}"),
        };
        check(b"POST /status HTTP/1.0\r\n\r\n", "405");
        check(b"\x16\x03\x01\x02\x00\x01", "400");
        check(b"LIST\r\n", "400");
        check(&[b'a'; REQUEST_LEN_MAX], "431");
        let many = format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(100));
        check(many.as_bytes(), "431");
    }

    #[test]
    fn an_answer_says_how_long_it_is() {
        let bytes = text("text/plain", "hello".into()).encode(false);
        let answer = String::from_utf8(bytes).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\nContent-Length: 5\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
        let head = text("text/plain", "hello".into()).encode(true);
        assert!(head.ends_with(b"\r\n\r\n"));
    }
}
