//! A server that follows a script: one list of acts for each connection, on a port of its own.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Long enough for a loaded machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One step of a conversation.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Read until what came since the last step ends with this.
    Hear(&'static str),
    /// Read at least so many bytes.
    HearLen(usize),
    /// Read until the client closes or resets.
    HearEnd,
    /// Send this.
    Say(Vec<u8>),
    /// Send this and close in one packet: the client cannot see the one without the other.
    SayAndClose(Vec<u8>),
    /// Say no more, while the client may still send.
    ShutDown,
    /// Close with a reset.
    Reset,
    /// Tell the test that the script has come this far.
    Tell(Sender<()>),
    /// Tell the same, and wait until the test is done with what it does then.
    Pause(SyncSender<()>),
}

pub(crate) fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<Vec<Heard>>,
}

/// What one connection received, and how it ended if that was waited for.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) bytes: Vec<u8>,
    pub(crate) was_reset: bool,
}

impl Heard {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Scripted {
    /// Serves as many connections as there are scripts, one after another.
    pub(crate) fn start(scripts: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            scripts
                .into_iter()
                .map(|acts| follow(accept(&listener), acts))
                .collect()
        });
        Self { address, thread }
    }

    /// The same for one connection.
    pub(crate) fn once(acts: Vec<Act>) -> Self {
        Self::start(vec![acts])
    }

    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }

    /// Waits for the script's end.
    pub(crate) fn heard(self) -> Vec<Heard> {
        self.thread
            .join()
            .expect("the script was followed to its end")
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn follow(mut stream: TcpStream, acts: Vec<Act>) -> Heard {
    let mut heard = Heard::default();
    for act in acts {
        let start = heard.bytes.len();
        match act {
            Act::Hear(end) => {
                while !heard.bytes[start..].ends_with(end.as_bytes()) {
                    assert!(
                        hear(&mut stream, &mut heard),
                        "the client closed before {end:?}"
                    );
                }
            }
            Act::HearLen(len) => {
                while heard.bytes.len() - start < len {
                    assert!(hear(&mut stream, &mut heard), "the client closed too early");
                }
            }
            Act::HearEnd => while hear(&mut stream, &mut heard) {},
            Act::Say(bytes) => match stream.write_all(&bytes) {
                // A client may turn away from what it has understood to be wrong.
                Err(error) if is_gone(error.kind()) => return heard,
                result => result.unwrap(),
            },
            Act::SayAndClose(bytes) => {
                say_and_close(&stream, &bytes);
                return heard;
            }
            Act::ShutDown => stream.shutdown(std::net::Shutdown::Write).unwrap(),
            Act::Reset => reset(&stream),
            Act::Tell(sender) => sender.send(()).unwrap(),
            Act::Pause(sender) => {
                // With a channel that holds nothing, each send ends when the test takes it.
                sender.send(()).unwrap();
                sender.send(()).unwrap();
            }
        }
    }
    heard
}

fn hear(stream: &mut TcpStream, heard: &mut Heard) -> bool {
    let mut buffer = [0; 1 << 16];
    match stream.read(&mut buffer) {
        Ok(0) => false,
        Ok(len) => {
            heard.bytes.extend_from_slice(&buffer[..len]);
            true
        }
        Err(error) if is_gone(error.kind()) => {
            heard.was_reset = true;
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn say_and_close(stream: &TcpStream, bytes: &[u8]) {
    use nix::sys::socket::{MsgFlags, send};
    // Held back until there is more, which here is the end.
    let more = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);
    assert_eq!(send(stream.as_raw_fd(), bytes, more), Ok(bytes.len()));
    stream.shutdown(std::net::Shutdown::Write).unwrap();
}

fn reset(stream: &TcpStream) {
    use nix::sys::socket::{setsockopt, sockopt};
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(stream, sockopt::Linger, &linger).unwrap();
}

/// The CRC-32 as it stands in replies.
pub(crate) fn crc32(content: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(content))
}

/// Bytes that repeat nowhere soon.
pub(crate) fn content(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// The base64 of `content`.
pub(crate) fn base64(content: &[u8]) -> String {
    let mut encoder = proto::base64::Encoder::new();
    let mut text = Vec::new();
    encoder.encode(content, &mut text);
    encoder.finish(&mut text);
    String::from_utf8(text).unwrap()
}

/// The whole reply to a download, as our server writes it.
pub(crate) fn get_reply(name: &str, content: &[u8]) -> String {
    let (size, crc32, text) = (content.len(), crc32(content), base64(content));
    format!(
        r#"{{"status":"OK","data_namafile":"{name}","data_file":"{text}","size":{size},"crc32":"{crc32}"}}"#
    ) + "\r\n\r\n"
}

/// The whole reply to an upload, as our server writes it.
pub(crate) fn upload_reply(name: &str, content: &[u8]) -> String {
    let (size, crc32) = (content.len(), crc32(content));
    format!(
        r#"{{"status":"OK","data":"{name} has been uploaded","size":{size},"crc32":"{crc32}"}}"#
    ) + "\r\n\r\n"
}
