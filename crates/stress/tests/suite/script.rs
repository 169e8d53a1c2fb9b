//! A server that does with its one connection what a test wants, and a client that meets it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use stress::clients::operation::{Attempt, Job, Worker};
use stress::corpus::{Corpus, Salt};
use stress_data::matrix::Operation;
use stress_data::measurement::Settings;
use stress_data::testing;

/// For operations that should end by something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One connection of a scripted server.
pub(crate) struct Peer {
    stream: TcpStream,
    /// Gone when the client is done.
    client: mpsc::Receiver<()>,
}

impl Peer {
    /// Reads until what came ends with a line end.
    pub(crate) fn hear_line(&mut self) {
        let mut last = [0];
        let mut piece = [0; 64 << 10];
        while last != *b"\n" {
            match self.stream.read(&mut piece).unwrap() {
                0 => panic!("the client closed in the middle of its request"),
                len => last = [piece[len - 1]],
            }
        }
    }

    /// Reads so much and no more.
    pub(crate) fn hear_len(&mut self, len: usize) {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).unwrap();
    }

    pub(crate) fn say(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).unwrap();
    }

    /// Does nothing until the client has given up.
    pub(crate) fn stall(&mut self) {
        let _ = self.client.recv_timeout(PATIENCE);
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        let linger = nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&self.stream, sockopt::Linger, &linger).unwrap();
    }
}

/// The CRC-32 of a content.
pub(crate) fn crc32(seed: u64, salt: Salt, len: u64) -> u32 {
    let mut content = Vec::new();
    Corpus::new(seed)
        .content(salt, len)
        .read_to_end(&mut content)
        .unwrap();
    crc32fast::hash(&content)
}

/// A job for one client that meets a server at `address`.
pub(crate) fn job(address: SocketAddr, operation: Operation, volume: u64) -> Job {
    Job {
        address,
        cell: testing::cell(operation, volume),
        settings: Settings {
            list_requests: 1,
            timeout: PATIENCE,
            ..testing::settings()
        },
        download_crc32: Some(crc32(1, Salt::DOWNLOAD, volume)),
        is_shared: false,
    }
}

/// All that a client does with `job`.
pub(crate) fn perform(job: &Job) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let worker = Worker::new(job, Corpus::new(job.settings.seed), 0);
    worker
        .unwrap()
        .run(|attempt| attempts.push(attempt.clone()));
    attempts
}

/// What becomes of one operation against a server that serves its one connection by `script`.
pub(crate) fn meet(
    operation: Operation,
    volume: u64,
    timeout: Duration,
    script: impl FnOnce(Peer) + Send + 'static,
) -> Attempt {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut job = job(listener.local_addr().unwrap(), operation, volume);
    job.settings.timeout = timeout;
    let (here, client): (Sender<()>, _) = mpsc::channel();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        script(Peer { stream, client });
    });
    let mut attempts = perform(&job);
    drop(here);
    server.join().unwrap();
    assert_eq!(attempts.len(), 1);
    attempts.remove(0)
}
