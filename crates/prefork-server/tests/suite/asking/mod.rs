//! Asking a running server at its admin socket.

pub(crate) mod exposition;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use proto::status::Status;
use tempfile::TempDir;

use crate::support::{DEADLINE, Server};
use exposition::Exposition;

/// Where a server's admin socket is, and how to ask there.
pub(crate) struct Admin {
    pub(crate) folder: TempDir,
    path: PathBuf,
}

impl Admin {
    pub(crate) fn new() -> Self {
        Self::at(TempDir::new().unwrap())
    }

    pub(crate) fn at(folder: TempDir) -> Self {
        let path = folder.path().join("admin");
        Self { folder, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// For `--admin`.
    pub(crate) fn arg(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub(crate) fn start(&self, pool: &str, args: &[&str]) -> Server {
        Server::start(pool, &[&["--admin", self.arg()], args].concat())
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    pub(crate) fn status(&self) -> Status {
        let body = whole_answer(self.connect(), "/status");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until the status is such.
    pub(crate) fn wait_for(&self, is_so: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let status = self.status();
            if is_so(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "still {status:#?}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn metrics(&self) -> Exposition {
        Exposition::parse(&whole_answer(self.connect(), "/metrics"))
    }
}

/// Sends one GET and checks the answer's head; the body.
pub(crate) fn whole_answer(mut stream: impl Read + Write, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    let length = format!("Content-Length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    body.to_owned()
}
