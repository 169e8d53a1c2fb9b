//! Clients that keep a server busy and count what they get: nothing may be lost while it changes.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use crate::support::{DEADLINE, Peer, Server, content, noise, upload};

/// What the load has come to.
#[derive(Debug, Default)]
pub(crate) struct Load {
    is_over: AtomicBool,
    /// Whole, right answers, by verb.
    pub(crate) downloads: AtomicU64,
    pub(crate) uploads: AtomicU64,
    /// Requests of which the first byte was sent and that got no whole answer, each with what happened.
    pub(crate) lost: Mutex<Vec<String>>,
}

/// Large enough to take many turns of a connection's loop.
const LEN: usize = 300_000;

impl Load {
    /// The file that downloads ask for.
    pub(crate) fn put_file(server: &Server) {
        server.put("shared", &noise(99, LEN));
    }

    /// Starts clients, each of which sends one request over a connection of its own after the other: upload,
    /// download, upload ... It ends when told to, or when nobody listens any more.
    pub(crate) fn start<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        address: &'scope str,
        clients: u64,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        (0..clients)
            .map(|client| scope.spawn(move || self.run(address, client)))
            .collect()
    }

    pub(crate) fn stop(&self) {
        self.is_over.store(true, SeqCst);
    }

    pub(crate) fn answered(&self) -> u64 {
        self.downloads.load(SeqCst) + self.uploads.load(SeqCst)
    }

    /// Waits until so many more requests have been answered: whatever is tested happened in the middle of them.
    pub(crate) fn wait_for(&self, more: u64) {
        let (from, deadline) = (self.answered(), Instant::now() + DEADLINE);
        while self.answered() < from + more {
            assert!(Instant::now() < deadline, "the load has come to a stand");
            thread::yield_now();
        }
    }

    /// Nothing was lost, and the servers' ledgers say that they answered exactly this.
    pub(crate) fn check(&self, ledgers: &[&proto::announce::Done]) {
        let lost = self.lost.lock().unwrap();
        assert!(lost.is_empty(), "{} lost: {lost:?}", lost.len());
        let sum = |of: fn(&proto::announce::Done) -> u64| {
            ledgers.iter().map(|done| of(done)).sum::<u64>()
        };
        assert_eq!(
            sum(|done| done.sum.requests.ok.get),
            self.downloads.load(SeqCst)
        );
        assert_eq!(
            sum(|done| done.sum.requests.ok.upload),
            self.uploads.load(SeqCst)
        );
        assert_eq!(sum(|done| done.sum.requests.errors.total()), 0);
        assert_eq!(sum(|done| done.sum.requests.started), self.answered());
    }

    fn run(&self, address: &str, client: u64) {
        let sent = noise(client, LEN);
        let name = format!("client-{client}");
        let request = upload(&name, &sent);
        let shared = noise(99, LEN);
        for round in 0u64.. {
            if self.is_over.load(SeqCst) {
                return;
            }
            // Refused: nobody listens any more, and nothing was sent.
            let Ok(stream) = TcpStream::connect(address) else {
                return;
            };
            let mut peer = Peer::new(stream);
            let is_upload = round % 2 == 0;
            let request: &[u8] = if is_upload {
                &request
            } else {
                b"GET shared\r\n"
            };
            // An error shows as a missing answer.
            let sent_whole = peer.stream.write_all(request);
            match peer.try_reply() {
                Some(reply) if is_upload && reply["status"] == "OK" => {
                    self.uploads.fetch_add(1, SeqCst);
                }
                Some(reply) if !is_upload && content(&reply) == shared => {
                    self.downloads.fetch_add(1, SeqCst);
                }
                other => {
                    let what = format!("{name} round {round}: {sent_whole:?}, {other:?}");
                    self.lost.lock().unwrap().push(what);
                }
            }
        }
    }
}
