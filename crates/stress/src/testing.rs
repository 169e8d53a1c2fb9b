//! MadeFolders-up servers for the tests of this crate; made-up journals are those of `stress-data`.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;

pub(crate) use stress_data::testing::*;

/// A server that answers each request line as it is told, with what it has heard; without an answer the connection
/// stays open.
pub(crate) fn scripted(
    answer: impl Fn(&str) -> Option<String> + Send + 'static,
) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, heard) = mpsc::channel();
    // It ends with the test's process.
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let answer = answer(line.trim_end());
            if sender.send(line.trim_end().to_owned()).is_err() {
                return;
            }
            match answer {
                Some(answer) => stream
                    .get_mut()
                    .write_all(format!("{answer}\r\n\r\n").as_bytes())
                    .unwrap(),
                None => held.push(stream),
            }
        }
    });
    (address, heard)
}
