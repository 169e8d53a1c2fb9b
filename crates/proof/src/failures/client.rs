//! One request at a time, and what came of it: a whole reply, or an end. This reads replies by itself: the reader that
//! the project has is not asked whether the project's replies are right.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

const TERMINATOR: &[u8] = b"\r\n\r\n";

/// More than any of the server's own clocks.
const DEADLINE: Duration = Duration::from_secs(20);

/// What came of a request.
#[derive(Debug)]
pub(super) enum Answer {
    Ok(Value),
    Refused(Value),
    /// The connection ended without a whole reply.
    Ended,
}

/// What must not be, in words.
pub(super) type Verdict<T> = Result<T, String>;

/// A connection that is opened again when it has ended.
#[derive(Debug)]
pub(super) struct Client {
    address: String,
    stream: Option<TcpStream>,
}

impl Client {
    pub(super) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            stream: None,
        }
    }

    /// Connects, and asks nothing yet.
    pub(super) fn connect(&mut self) -> Verdict<()> {
        self.stream = self.open()?;
        Ok(())
    }

    pub(super) fn ask(&mut self, request: &[u8]) -> Verdict<Answer> {
        if self.stream.is_none() {
            self.connect()?;
        }
        let Some(stream) = &mut self.stream else {
            return Ok(Answer::Ended);
        };
        let reply = match stream.write_all(request) {
            Ok(()) => read_reply(stream)?,
            Err(_) => None,
        };
        let Some(reply) = reply else {
            self.stream = None;
            return Ok(Answer::Ended);
        };
        match reply["status"].as_str() {
            Some("OK") => Ok(Answer::Ok(reply)),
            Some("ERROR") if reply["code"].is_string() => Ok(Answer::Refused(reply)),
            _ => Err(format!("a reply that is none: {reply}")),
        }
    }

    /// Ends the connection. Nothing more may come.
    pub(super) fn end(&mut self) -> Verdict<()> {
        let Some(mut stream) = self.stream.take() else {
            return Ok(());
        };
        let _ = stream.shutdown(Shutdown::Write);
        let mut more = Vec::new();
        match stream.read_to_end(&mut more) {
            Err(error) if is_timeout(&error) => Err("a connection that is over stays open".into()),
            _ if more.is_empty() => Ok(()),
            _ => Err(format!("a second reply: {}", more.escape_ascii())),
        }
    }

    fn open(&self) -> Verdict<Option<TcpStream>> {
        let Ok(stream) = TcpStream::connect(&self.address) else {
            return Ok(None);
        };
        stream
            .set_read_timeout(Some(DEADLINE))
            .and_then(|()| stream.set_write_timeout(Some(DEADLINE)))
            .map_err(|error| format!("the client's socket: {error}"))?;
        Ok(Some(stream))
    }
}

/// None if the connection ended before there was a whole one.
fn read_reply(stream: &mut TcpStream) -> Verdict<Option<Value>> {
    let mut text = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(None),
            Ok(len) => text.extend_from_slice(&piece[..len]),
            Err(error) if is_timeout(&error) => return Err("no reply and no end: it hangs".into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Ok(None),
        }
        let end = text
            .windows(TERMINATOR.len())
            .position(|it| it == TERMINATOR);
        if let Some(end) = end {
            let more = &text[end + TERMINATOR.len()..];
            if !more.is_empty() {
                return Err(format!("more than a reply: {}", more.escape_ascii()));
            }
            let half = |error| format!("half a reply, ended as a whole one: {error}");
            return serde_json::from_slice(&text[..end]).map(Some).map_err(half);
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
