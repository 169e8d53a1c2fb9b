//! What a good client sees while others attack: one small file after the other, each over a new connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use client::{Connection, Options};
use serde::Serialize;

/// Between two requests of a good client.
const PAUSE: Duration = Duration::from_millis(20);
/// How long it waits for one answer. More than any limit of the attacked server.
const PATIENCE: Duration = Duration::from_secs(60);
/// The attackers come first.
const HEAD_START: Duration = Duration::from_millis(100);

/// Its experience.
#[derive(Debug, Default, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct GoodClient {
    /// Requests that it made.
    pub(super) asked: usize,
    /// Right answers that it got.
    pub(super) answered: usize,
    /// The median time to an answer.
    pub(super) median_ms: f64,
    /// The longest.
    pub(super) slowest_ms: f64,
}

/// Asks until it is over, and once at least.
pub(super) fn meanwhile(address: SocketAddr, is_over: &AtomicBool) -> GoodClient {
    thread::sleep(HEAD_START);
    let mut times_ms = Vec::new();
    let mut asked = 0;
    while asked == 0 || !is_over.load(Ordering::SeqCst) {
        asked += 1;
        let started = Instant::now();
        if ask(address).is_ok() {
            times_ms.push(started.elapsed().as_secs_f64() * 1e3);
        }
        thread::sleep(PAUSE);
    }
    times_ms.sort_by(f64::total_cmp);
    GoodClient {
        asked,
        answered: times_ms.len(),
        median_ms: times_ms.get(times_ms.len() / 2).copied().unwrap_or(0.0),
        slowest_ms: times_ms.last().copied().unwrap_or(0.0),
    }
}

fn ask(address: SocketAddr) -> Result<(), client::Error> {
    let options = Options {
        operation_timeout: Some(PATIENCE),
        ..Options::default()
    };
    let name = "small.bin".parse().expect("a name");
    let mut content = Vec::new();
    let mut connection = Connection::connect(address, &options)?;
    connection.get(&name, &mut content, &mut ())?;
    // The server's own checksum is of what it has read, whatever that is.
    match content == super::content(content.len()) {
        true => Ok(()),
        false => Err(client::Error::Mismatch(
            "it is not what was put there".into(),
        )),
    }
}
