//! One question to an admin socket, and its answer.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::words;

/// How long the whole may take: the parent answers within milliseconds, unless it is stopped.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than a pool of the largest size comes to.
const ANSWER_LEN_MAX: u64 = 64 << 20;

const QUESTION: &[u8] = b"GET /status HTTP/1.0\r\n\r\n";

/// The status, as the JSON that the server sends.
pub fn status(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let mut socket = open(path)?;
    let deadline = Instant::now() + PATIENCE;
    // If it cannot be asked, it may still have said why.
    let asked = socket.write_all(QUESTION);
    let answer = read_all(&mut socket, deadline).and_then(|answer| match asked {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    });
    match answer {
        Ok(answer) => body(&answer).with_context(|| format!("{shown}")),
        Err(error) if is_timeout(&error) => {
            bail!(
                "{shown}: no answer within {}: is the server stopped, or busy beyond all measure?",
                humantime::format_duration(PATIENCE)
            )
        }
        Err(error) => bail!("{shown}: the server broke off: {}", words::plain(&error)),
    }
}

/// As [`UnixStream::connect`], but a server that does not accept is not waited for for ever.
fn open(path: &Path) -> Result<UnixStream> {
    let address = UnixAddr::new(path).context("the path is too long for a socket")?;
    let socket = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let patience = TimeVal::milliseconds(i64::try_from(PATIENCE.as_millis()).unwrap_or(i64::MAX));
    setsockopt(&socket, sockopt::SendTimeout, &patience)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
    connect(socket.as_raw_fd(), &address).map_err(|errno| what_to_do(path, errno))?;
    Ok(UnixStream::from(socket))
}

fn what_to_do(path: &Path, errno: Errno) -> anyhow::Error {
    let shown = path.display();
    let is_socket = std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => anyhow!(
            "{shown}: no such socket: is the server running, and was it started with --admin {shown}?"
        ),
        Errno::ECONNREFUSED if !is_socket => anyhow!(
            "{shown} is no socket: give the file that the server was started with as --admin"
        ),
        Errno::ECONNREFUSED => anyhow!(
            "{shown}: nobody listens: the server that made this socket is gone; start one with --admin {shown}, which replaces it"
        ),
        Errno::EACCES | Errno::EPERM => anyhow!(
            "{shown}: permission denied: only the user that the server runs as may ask it, and root"
        ),
        Errno::EAGAIN => anyhow!(
            "{shown}: the server accepts nobody: is it stopped, or asked by too many at once?"
        ),
        other => anyhow!("{shown}: {}", other.desc()),
    }
}

fn read_all(socket: &mut UnixStream, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match socket.read(&mut piece)? {
            0 => return Ok(answer),
            len => answer.extend_from_slice(&piece[..len]),
        }
        if Instant::now() >= deadline || answer.len() as u64 > ANSWER_LEN_MAX {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

/// What comes after the head of a whole answer that says yes.
fn body(answer: &[u8]) -> Result<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut headers);
    let head_len = match parsed.parse(answer) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if answer.is_empty() => {
            bail!("the server closed without an answer: is it just stopping?")
        }
        Ok(httparse::Status::Partial) | Err(_) => {
            bail!("what listens there is no prefork-server")
        }
    };
    let body = &answer[head_len..];
    let len = parsed
        .headers
        .iter()
        .find(|it| it.name.eq_ignore_ascii_case("content-length"))
        .and_then(|it| std::str::from_utf8(it.value).ok()?.parse::<usize>().ok());
    if parsed.code != Some(200) {
        bail!("the server says: {}", String::from_utf8_lossy(body).trim());
    }
    if len != Some(body.len()) {
        bail!("the answer was cut short; try again");
    }
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_that_says_yes_is_one() {
        let ok = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(body(ok).unwrap(), b"{}");
        let check = |answer: &[u8], want: &str| {
            let said = body(answer).unwrap_err().to_string();
            assert!(said.contains(want), "{said}");
        };
        check(b"", "stopping");
        check(&ok[..20], "no prefork-server");
        check(&ok[..ok.len() - 1], "cut short");
        check(b"{\"status\":\"OK\"}\r\n\r\n", "no prefork-server");
        check(
            b"HTTP/1.0 404 Not Found\r\n\r\nnothing here\n",
            "nothing here",
        );
    }
}
