//! Servers of every dialect, each a thread that answers as published servers do.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use proto::reply::TERMINATOR;

use super::*;

const NAMES: &str = "{\"status\": \"OK\", \"data\": [\"a.bin\"]}\r\n\r\n";
const UNKNOWN: &str = "{\"status\": \"ERROR\", \"data\": \"request tidak dikenali\"}\r\n\r\n";

/// How a server finds the end of a request.
#[derive(Debug, Clone, Copy)]
enum Reads {
    /// Up to CRLF CRLF; what comes without it is waited for.
    Blocks,
    /// A line up to CRLF, an empty one too.
    Lines,
    /// A line up to LF, of which a CR is a part.
    Bare,
    /// Whatever one recv brings, without spaces around it.
    Piece,
    /// Whatever one recv brings, to the byte.
    ExactPiece,
    /// Nothing is ever answered.
    Nothing,
    /// Every request is refused.
    Refuses,
    /// JSON without an end.
    Endless,
}

impl Reads {
    /// Takes one request off `input`.
    fn take(self, input: &mut Vec<u8>) -> Option<Vec<u8>> {
        let end = match self {
            Self::Blocks => TERMINATOR,
            Self::Lines | Self::Endless => b"\r\n",
            Self::Bare | Self::Refuses => b"\n",
            Self::Nothing => return None,
            Self::Piece | Self::ExactPiece => return Some(std::mem::take(input)),
        };
        let at = input.windows(end.len()).position(|window| window == end)?;
        let request = input[..at].to_vec();
        input.drain(..at + end.len());
        Some(request)
    }

    fn answer(self, request: &[u8]) -> &'static str {
        match self {
            Self::Refuses => UNKNOWN,
            Self::Endless => "{\"status\": \"OK\", \"data\": []}",
            Self::Piece if request.trim_ascii() == b"LIST" => NAMES,
            _ if request == b"LIST" => NAMES,
            _ => UNKNOWN,
        }
    }
}

/// Serves until nobody connects for the rest of the test; with `is_short` it closes after each answer.
fn serve(reads: Reads, is_short: bool) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut input = Vec::new();
            let mut piece = [0; 100];
            'connection: while let Ok(len @ 1..) = stream.read(&mut piece) {
                input.extend_from_slice(&piece[..len]);
                while let Some(request) = reads.take(&mut input) {
                    let _ = stream.write_all(reads.answer(&request).as_bytes());
                    if is_short {
                        break 'connection;
                    }
                    if input.is_empty() {
                        break;
                    }
                }
            }
        }
    });
    address
}

fn probed(reads: Reads, is_short: bool, limit: Duration) -> Result<(Terminator, bool), String> {
    let interrupt = AtomicBool::new(false);
    let deadline = Deadline::after(Duration::from_mins(1)).or_once(&interrupt);
    match dialect(serve(reads, is_short), &ORDER, limit, &deadline) {
        Ok(found) => Ok((found.terminator, found.names.is_some())),
        Err(Error::NotReady(why)) => Err(why),
        Err(Error::Interrupted) => panic!("nobody interrupts"),
    }
}

#[test]
fn each_dialect_is_found_whether_a_connection_lasts_or_not() {
    let (sender, ends) = mpsc::channel();
    // Where a connection ends with the first answer, nobody hears the one to the empty line.
    let cases = [
        (Reads::Blocks, [Terminator::CrlfCrlf; 2], true),
        (Reads::Lines, [Terminator::Crlf, Terminator::CrlfCrlf], true),
        (Reads::Bare, [Terminator::Lf; 2], true),
        (Reads::Piece, [Terminator::CrlfCrlf; 2], true),
        (Reads::ExactPiece, [Terminator::None; 2], true),
        (
            Reads::Refuses,
            [Terminator::Crlf, Terminator::CrlfCrlf],
            false,
        ),
    ];
    // All at once: each waits for silence.
    for (reads, terminators, has_names) in cases {
        for (terminator, is_short) in terminators.into_iter().zip([false, true]) {
            let sender = sender.clone();
            thread::spawn(move || {
                let found = probed(reads, is_short, Duration::from_secs(1));
                sender
                    .send((reads, is_short, found, (terminator, has_names)))
                    .unwrap();
            });
        }
    }
    drop(sender);
    for (reads, is_short, found, wanted) in ends {
        assert_eq!(
            found,
            Ok(wanted),
            "{reads:?}, closes after an answer: {is_short}"
        );
    }
}

#[test]
fn where_nothing_is_answered_all_that_was_tried_is_said() {
    for (reads, words) in [
        (Reads::Nothing, "no answer"),
        (Reads::Endless, "28 bytes came, and no CRLF CRLF after them"),
    ] {
        let why = probed(reads, false, Duration::from_millis(200)).unwrap_err();
        for end in ["CRLF CRLF", "CRLF", "LF", "nothing"] {
            assert!(why.contains(&format!("LIST ended by {end}: ")), "{why}");
        }
        assert!(why.contains(words), "{why}");
    }
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let interrupt = AtomicBool::new(false);
    let deadline = Deadline::after(Duration::from_mins(1)).or_once(&interrupt);
    match dialect(address, &ORDER, ANSWER_LIMIT, &deadline) {
        Err(Error::NotReady(why)) => assert!(why.contains("cannot connect"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_is_ready_when_all_who_ask_at_once_are_answered() {
    let interrupt = AtomicBool::new(false);
    let brief = || Deadline::after(Duration::from_millis(200)).or_once(&interrupt);
    let long = Deadline::after(Duration::from_mins(1)).or_once(&interrupt);
    let address = serve(Reads::Blocks, true);
    assert_eq!(
        wait_until_all_answer(address, Terminator::CrlfCrlf, 20, &long),
        Ok(())
    );
    match wait_until_all_answer(address, Terminator::Crlf, 2, &brief()) {
        Err(Error::NotReady(why)) => {
            assert!(
                why.contains("of 2 LISTs at once, each ended by CRLF, 0 were answered"),
                "{why}"
            );
        }
        other => panic!("{other:?}"),
    }
    interrupt.store(true, std::sync::atomic::Ordering::Relaxed);
    let stopped = wait_until_all_answer(address, Terminator::Crlf, 2, &long);
    assert_eq!(stopped, Err(Error::Interrupted));
}
