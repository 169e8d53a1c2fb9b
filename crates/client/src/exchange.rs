//! One request and its reply on a socket: sending a head or a streamed body, reading a streamed reply.

use std::io::{self, ErrorKind, Read, Write};

use nix::poll::PollFlags;
use proto::base64::Encoder;
use proto::reply::{Reply, ReplyDecoder};
use proto::request::encode_head;
use proto::{FileName, Terminator, Verb};

use crate::socket::{Sent, Socket};
use crate::wait::Deadline;
use crate::{Error, Observer, Part};

/// One receive. Pieces over 1 MiB leave the processor's cache and halve the codec's speed.
const RECEIVE_LEN: usize = 256 << 10;

/// Decoded content gathers here, for fewer and larger writes.
const CONTENT_LEN: usize = 256 << 10;

/// A receive shorter than this says that the wire is slow: content is then passed on at once.
const SHORT_RECEIVE_LEN: usize = 32 << 10;

/// One piece of an upload: a whole number of threes, so that only the last piece is padded.
const RAW_LEN: usize = 96 << 10;

/// Such a piece encoded, with room for a head before it and the last group and a terminator after it:
/// a small upload leaves in one packet.
const ENCODED_LEN: usize = proto::limits::HEAD_LEN_MAX + RAW_LEN / 3 * 4 + 8;

/// As long as one byte of content can be on the wire: 4 characters for 3 bytes, each an escape of 6 (`\\u0041`).
const WIRE_LEN_MAX: u64 = 8;

/// What was sent of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodySent {
    pub(crate) size: u64,
    pub(crate) crc32: u32,
    /// Up to and including the terminator. If not, the peer has spoken before.
    pub(crate) complete: bool,
}

/// Where a reply's content goes, and what has gone there.
pub(crate) struct Content<'a> {
    sink: Option<&'a mut dyn Write>,
    observer: &'a mut dyn Observer,
    size: u64,
    size_max: u64,
    crc32: crc32fast::Hasher,
}

impl<'a> Content<'a> {
    pub(crate) fn into(
        sink: &'a mut dyn Write,
        observer: &'a mut dyn Observer,
        size_max: u64,
    ) -> Self {
        Self {
            sink: Some(sink),
            size_max,
            ..Self::ignored(observer)
        }
    }

    /// For requests whose reply has none.
    pub(crate) fn ignored(observer: &'a mut dyn Observer) -> Self {
        Self {
            sink: None,
            observer,
            size: 0,
            size_max: 0,
            crc32: crc32fast::Hasher::new(),
        }
    }

    /// The size and checksum of all content.
    pub(crate) fn finish(self) -> Result<(u64, u32), Error> {
        if let Some(sink) = self.sink {
            sink.flush().map_err(Error::Local)?;
        }
        Ok((self.size, self.crc32.finalize()))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        if bytes.is_empty() {
            return Ok(());
        }
        let size = self.size + bytes.len() as u64;
        if size > self.size_max {
            return Err(too_long(Part::Content, self.size_max));
        }
        self.crc32.update(bytes);
        sink.write_all(bytes).map_err(Error::Local)?;
        self.size = size;
        self.observer.content(self.size);
        Ok(())
    }
}

/// What bytes pass through on their way, and what is told of them: 736 KiB, made when they are first needed. Many
/// connections, one after another, can use the same: made for each, zeroing them is most of what a small request costs
/// its client. Between two operations with the same nothing is allocated.
#[derive(Debug, Default)]
pub struct Buffers {
    head: Vec<u8>,
    incoming: Box<[u8]>,
    content: Box<[u8]>,
    raw: Box<[u8]>,
    encoded: Box<[u8]>,
    pub(crate) decoder: ReplyDecoder,
}

impl Buffers {
    /// Made now, and not in the first operation, which somebody may time.
    pub fn made(for_uploads: bool) -> Self {
        let mut buffers = Self::default();
        buffers.for_reply();
        if for_uploads {
            buffers.for_body();
        }
        buffers
    }

    /// The head of a request.
    fn write_head(&mut self, verb: Verb, name: Option<&FileName>) {
        self.head.clear();
        encode_head(&mut self.head, verb, name);
    }

    /// For what comes, for the content in it, and for the rest.
    fn for_reply(&mut self) -> (&mut [u8], &mut [u8], &mut ReplyDecoder) {
        (
            made(&mut self.incoming, RECEIVE_LEN),
            made(&mut self.content, CONTENT_LEN),
            &mut self.decoder,
        )
    }

    /// For a piece of content, for the same encoded, and how much of that is a head already.
    fn for_body(&mut self) -> (&mut [u8], &mut [u8], usize) {
        let encoded = made(&mut self.encoded, ENCODED_LEN);
        encoded[..self.head.len()].copy_from_slice(&self.head);
        (made(&mut self.raw, RAW_LEN), encoded, self.head.len())
    }
}

fn made(buffer: &mut Box<[u8]>, len: usize) -> &mut [u8] {
    if buffer.is_empty() {
        *buffer = vec![0; len].into_boxed_slice();
    }
    buffer
}

/// A socket and what passes through it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) socket: Socket,
    pub(crate) terminator: Terminator,
    /// The most bytes of a reply besides its content.
    pub(crate) rest_len_max: u64,
    /// The peer has sent more than its reply: what follows cannot be told from the next one.
    pub(crate) is_out_of_step: bool,
}

impl Exchange {
    /// Sends a request without a body and reads its reply. A refusal may come before the request is
    /// out (a server that is busy answers and closes), so a send that fails is not yet the end.
    pub(crate) fn request(
        &mut self,
        buffers: &mut Buffers,
        (verb, name): (Verb, Option<&FileName>),
        content: &mut Content<'_>,
        deadline: Deadline,
    ) -> Result<Reply, Error> {
        buffers.write_head(verb, name);
        buffers.head.extend_from_slice(self.terminator.as_bytes());
        let sent = self.socket.send(&buffers.head, deadline)?;
        let reply = self.read_reply(buffers, content, deadline);
        match sent {
            Sent::All => reply,
            Sent::Heard | Sent::Broken(_) => {
                self.is_out_of_step = true;
                reply.map_err(|error| blame(sent, error))
            }
        }
    }

    /// Uploads all of `source` as `name`, and reads the reply.
    pub(crate) fn upload(
        &mut self,
        buffers: &mut Buffers,
        name: &FileName,
        source: &mut dyn Read,
        observer: &mut dyn Observer,
        deadline: Deadline,
    ) -> (Option<BodySent>, Result<Reply, Error>) {
        buffers.write_head(Verb::Upload, Some(name));
        let (body, sent) = match self.send_body(buffers, source, observer, deadline) {
            Ok(sent) => sent,
            Err(error) => return (None, Err(error)),
        };
        let reply = self.read_reply(buffers, &mut Content::ignored(observer), deadline);
        (Some(body), reply.map_err(|error| blame(sent, error)))
    }

    fn send_body(
        &mut self,
        buffers: &mut Buffers,
        source: &mut dyn Read,
        observer: &mut dyn Observer,
        deadline: Deadline,
    ) -> Result<(BodySent, Sent), Error> {
        let (raw, encoded, mut start) = buffers.for_body();
        let mut encoder = Encoder::new();
        let mut crc32 = crc32fast::Hasher::new();
        let mut size = 0;
        loop {
            let raw_len = fill(source, raw)?;
            let raw = &raw[..raw_len];
            crc32.update(raw);
            size += raw_len as u64;
            let mut end = start + encoder.encode_into(raw, &mut encoded[start..]);
            let is_last = raw_len < RAW_LEN;
            if is_last {
                end += encoder.finish_into(&mut encoded[end..]);
                let terminator = self.terminator.as_bytes();
                encoded[end..][..terminator.len()].copy_from_slice(terminator);
                end += terminator.len();
            }
            let obstacle = match start {
                0 => self.socket.obstacle(),
                // Nothing was asked yet: there can be no answer.
                _ => Sent::All,
            };
            let sent = match obstacle {
                Sent::All => self.socket.send(&encoded[..end], deadline)?,
                obstacle => obstacle,
            };
            start = 0;
            let is_all = matches!(sent, Sent::All);
            if is_all {
                observer.content(size);
            }
            if is_last || !is_all {
                let complete = is_last && is_all;
                return Ok((
                    BodySent {
                        size,
                        crc32: crc32.finalize(),
                        complete,
                    },
                    sent,
                ));
            }
        }
    }

    /// Reads one reply to its end. Its content goes on in large pieces.
    fn read_reply(
        &mut self,
        buffers: &mut Buffers,
        content: &mut Content<'_>,
        deadline: Deadline,
    ) -> Result<Reply, Error> {
        let listing_len_max = usize::try_from(self.rest_len_max).unwrap_or(usize::MAX);
        buffers.decoder.restart(listing_len_max);
        let reply = self.decode_reply(buffers, content, deadline);
        reply.map_err(|error| match error {
            // A file, in another place.
            Error::TooLong {
                part: Part::Rest,
                limit,
                ..
            } if content.sink.is_some() => Error::TooLong {
                part: Part::Rest,
                limit,
                under: buffers.decoder.elsewhere().map(str::to_owned),
            },
            error => error,
        })
    }

    fn decode_reply(
        &mut self,
        buffers: &mut Buffers,
        content: &mut Content<'_>,
        deadline: Deadline,
    ) -> Result<Reply, Error> {
        let (incoming, decoded, decoder) = buffers.for_reply();
        let mut received_len = 0_u64;
        let mut filled = 0;
        // No server answers within the time of a system call: to try first would be one that fails.
        self.socket.wait(PollFlags::POLLIN, deadline)?;
        loop {
            let len = match self.socket.receive(incoming, deadline)? {
                0 => return Err(Error::Eof),
                len => len,
            };
            if received_len == 0 {
                content.observer.first_byte();
            }
            received_len += len as u64;
            let mut rest = &incoming[..len];
            while !rest.is_empty() {
                let step = match decoder.decode(rest, &mut decoded[filled..]) {
                    Err(_) if decoder.is_over_listing_max() => {
                        return Err(too_long(Part::Rest, self.rest_len_max));
                    }
                    result => result?,
                };
                rest = &rest[step.consumed..];
                filled += step.produced;
                let is_stuck = step.consumed == 0 && step.produced == 0 && filled == 0;
                if let Some(reply) = step.reply {
                    content.take(&decoded[..filled])?;
                    self.is_out_of_step |= !rest.is_empty();
                    return Ok(reply);
                }
                if is_stuck {
                    return Err(Error::Unexpected("it cannot be decoded".to_owned()));
                }
                // Input is left over when the content no longer fits.
                if !rest.is_empty() || filled >= CONTENT_LEN / 2 || len < SHORT_RECEIVE_LEN {
                    content.take(&decoded[..filled])?;
                    filled = 0;
                }
            }
            let content_len = content.size + filled as u64;
            let rest_len = received_len.saturating_sub(content_len.saturating_mul(WIRE_LEN_MAX));
            if rest_len > self.rest_len_max {
                return Err(too_long(Part::Rest, self.rest_len_max));
            }
        }
    }
}

fn too_long(part: Part, limit: u64) -> Error {
    Error::TooLong {
        part,
        limit,
        under: None,
    }
}

/// Where not all was sent and no whole reply explains it, the connection was cut, however its reading side ended:
/// whether a close in the middle shows as an end or as a reset depends on what was on its way just then.
fn blame(sent: Sent, error: Error) -> Error {
    match (sent, error) {
        (Sent::Broken(broken), Error::Eof | Error::Reset(_)) => Error::Reset(broken),
        (Sent::Heard, Error::Eof) => Error::Reset(io::Error::new(
            ErrorKind::BrokenPipe,
            "the server closed it before all was sent",
        )),
        (_, error) => error,
    }
}

/// Reads until `buffer` is full or the source has ended.
fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, Error> {
    let mut len = 0;
    while len < buffer.len() {
        match source.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read_len) => len += read_len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Local(error)),
        }
    }
    Ok(len)
}
