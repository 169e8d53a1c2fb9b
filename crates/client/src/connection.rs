//! One connection to a server and the operations it carries, one after another.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use proto::reply::{Code, Reply};
use proto::{FileName, Terminator, Verb, limits};

use crate::exchange::{BodySent, Buffers, Content, Exchange};
use crate::socket::Socket;
use crate::wait::{Deadline, Interrupt};
use crate::{Error, connect};

/// Which congestion control the sending side of a connection uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Congestion {
    /// `reno` when the peer is on the loopback interface (a pacing default such as BBR halves loopback),
    /// the system's choice otherwise.
    #[default]
    Auto,
    /// The system's choice.
    System,
    /// A name the kernel knows.
    Named(OsString),
}

impl FromStr for Congestion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // TCP_CA_NAME_MAX of the kernel is 16, with the final zero.
        let is_name = (1..=15).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        match text {
            "auto" => Ok(Self::Auto),
            "system" => Ok(Self::System),
            name if is_name => Ok(Self::Named(name.into())),
            _ => Err("write auto, system, or a name from /proc/sys/net/ipv4/tcp_available_congestion_control".into()),
        }
    }
}

/// How to connect and how long to wait.
#[derive(Debug, Clone)]
pub struct Options {
    /// For the connection itself. The addresses of a name share it: after a silent one the next is tried in time.
    pub connect_timeout: Duration,
    /// For one whole operation, from its first byte sent to the last received; none for no limit.
    pub operation_timeout: Option<Duration>,
    /// The longest time in which no byte moves in either direction.
    pub idle_timeout: Duration,
    /// How requests end. With [`Terminator::None`] the server decides by itself where a request ends,
    /// for instance by the silence after it; ours does so only where told to, and never for an upload
    /// (it answers one after its deadline, and stores nothing), but servers exist that take them.
    pub terminator: Terminator,
    /// The sender's congestion control.
    pub congestion: Congestion,
    /// The receive buffer in bytes, set before connecting; none leaves the kernel's tuning alone.
    pub receive_buffer: Option<usize>,
    /// The most bytes of content that a download takes. Beyond it is [`Error::TooLong`].
    pub download_len_max: u64,
    /// The most bytes of a listing, on the wire and in memory, and of whatever else a reply has besides content.
    pub listing_len_max: u64,
    /// Ends connecting, and every operation on the connection, once it comes.
    pub interrupt: Option<Interrupt>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            operation_timeout: None,
            idle_timeout: Duration::from_secs(60),
            terminator: Terminator::Crlf,
            congestion: Congestion::Auto,
            receive_buffer: None,
            download_len_max: limits::DOWNLOAD_LEN_MAX,
            listing_len_max: limits::LISTING_LEN_MAX as u64,
            interrupt: None,
        }
    }
}

/// Watches one operation. Every method may be left as it is.
pub trait Observer {
    /// The first byte of the reply has arrived.
    fn first_byte(&mut self) {}
    /// So many decoded content bytes have been sent or received in all.
    fn content(&mut self, _total: u64) {}
}

impl Observer for () {}

/// A finished listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The names, as the server gave them: [`FileName::parse`] says which are any.
    pub names: Vec<String>,
    /// The server cut the list.
    pub truncated: bool,
    /// Bytes of the reply's JSON.
    pub json_len: u64,
}

/// A finished download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Content bytes received.
    pub size: u64,
    /// CRC-32 (ISO-HDLC) of what was received.
    pub crc32: u32,
    /// The server sent a size or checksum, and it agreed. (If it had not: [`Error::Mismatch`].)
    pub verified: bool,
}

/// A finished upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Content bytes sent.
    pub size: u64,
    /// CRC-32 (ISO-HDLC) of what was sent.
    pub crc32: u32,
    /// The server answered with a checksum of what it stored, and it agreed.
    pub verified: bool,
    /// The same with its size.
    pub is_size_confirmed: bool,
    /// The server's confirmation.
    pub message: String,
}

/// A connection to a server. Operations follow one another; after an error that leaves it unclear where
/// the next reply would begin, every further one returns [`Error::Unusable`].
#[derive(Debug)]
pub struct Connection {
    peer: SocketAddr,
    operation_timeout: Option<Duration>,
    download_len_max: u64,
    buffers: Buffers,
    state: State,
    /// An operation has been carried out: the server may have closed since.
    used: bool,
    sent_all: bool,
    is_prefork_server: bool,
}

#[derive(Debug)]
enum State {
    Open(Exchange),
    /// Closed by this side, and why.
    Closed(&'static str),
}

impl Connection {
    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::ConnectTimeout`], [`Error::Congestion`] or
    /// [`Error::Interrupted`].
    pub fn connect(server: impl ToSocketAddrs, options: &Options) -> Result<Self, Error> {
        let addresses = server.to_socket_addrs().map_err(|source| Error::Resolve {
            host: "the server's address".to_owned(),
            source,
        })?;
        let (stream, peer) = connect::open(addresses, options)?;
        let socket = Socket {
            stream,
            idle_timeout: options.idle_timeout,
            interrupt: options.interrupt.clone(),
        };
        Ok(Self {
            peer,
            operation_timeout: options.operation_timeout,
            download_len_max: options.download_len_max,
            buffers: Buffers::default(),
            state: State::Open(Exchange {
                socket,
                terminator: options.terminator,
                rest_len_max: options.listing_len_max,
                is_out_of_step: false,
            }),
            used: false,
            sent_all: false,
            is_prefork_server: false,
        })
    }

    /// Has the operations use `buffers`, of an earlier connection.
    #[must_use]
    pub fn with_buffers(self, buffers: Buffers) -> Self {
        Self { buffers, ..self }
    }

    /// Closes the connection and hands its buffers on, for the next one.
    pub fn into_buffers(self) -> Buffers {
        self.buffers
    }

    /// The server's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// After an operation that failed: whether its request was sent to the last byte. If that was an upload, and was
    /// not, a prefork-server has stored nothing; another server may have stored what came.
    pub fn sent_all(&self) -> bool {
        self.sent_all
    }

    /// Whether any reply had what only a prefork-server sends: one of its codes, or a checksum.
    pub fn is_prefork_server(&self) -> bool {
        self.is_prefork_server
    }

    /// Whether the connection can carry another operation, as far as is known: not after an operation that
    /// failed, but for a refusal behind which the server goes on. Waits at most `grace` for the server to
    /// close: many close after each reply, a moment later, and what is sent in that moment is lost.
    pub fn is_usable(&self, grace: Duration) -> bool {
        match &self.state {
            State::Closed(_) => false,
            State::Open(exchange) if grace.is_zero() => !exchange.socket.has_heard(),
            State::Open(exchange) => !exchange.socket.hears_within(grace),
        }
    }

    /// The names of the files on the server.
    ///
    /// # Errors
    /// Any [`Error`] but those of connecting.
    pub fn list(&mut self, observer: &mut dyn Observer) -> Result<Listing, Error> {
        let result = self.request(Verb::List, None, &mut Content::ignored(observer));
        let result = result.and_then(|reply| match reply.names {
            Some(names) => Ok(Listing {
                names,
                truncated: reply.truncated,
                json_len: reply.json_len,
            }),
            None => Err(self.missing("list of names in 'data'")),
        });
        self.settle(result)
    }

    /// Has later replies use the memory of `listing`, with which the caller is done.
    pub fn reuse_listing(&mut self, listing: Listing) {
        self.buffers.decoder.reuse(Reply {
            names: Some(listing.names),
            ..Reply::default()
        });
    }

    /// Downloads `name` into `sink`. What `sink` got is worth nothing unless this returns `Ok`.
    ///
    /// # Errors
    /// Any [`Error`] but those of connecting.
    pub fn get(
        &mut self,
        name: &FileName,
        sink: &mut dyn Write,
        observer: &mut dyn Observer,
    ) -> Result<Download, Error> {
        let mut content = Content::into(sink, observer, self.download_len_max);
        let result = self.request(Verb::Get, Some(name), &mut content);
        let result = result.and_then(|reply| {
            if !reply.has_content {
                return Err(self.missing("content in 'data_file'"));
            }
            let (size, crc32) = content.finish()?;
            agree("received", size, crc32, &reply)?;
            self.agree_on_name(name, reply.name.as_deref())?;
            let verified = reply.size.is_some() || reply.crc32.is_some();
            self.buffers.decoder.reuse(reply);
            Ok(Download {
                size,
                crc32,
                verified,
            })
        });
        self.settle(result)
    }

    /// Uploads all of `source` as `name`. When the server refuses before all is sent, sending stops, and
    /// the connection with it.
    ///
    /// # Errors
    /// Any [`Error`] but those of connecting. After [`Error::Timeout`], [`Error::Reset`] and [`Error::Eof`]
    /// it is not known whether the file was stored ([`Error::leaves_fate_unknown`]), unless not all of it was sent
    /// ([`Connection::sent_all`]).
    pub fn upload(
        &mut self,
        name: &FileName,
        source: &mut dyn Read,
        observer: &mut dyn Observer,
    ) -> Result<Upload, Error> {
        let deadline = Deadline::after(self.operation_timeout);
        let (exchange, buffers) = self.exchange()?;
        let (body, reply) = exchange.upload(buffers, name, source, observer, deadline);
        let is_complete = body.is_some_and(|body| body.complete);
        self.sent_all = is_complete;
        let reply = self.recognise(reply);
        let result = reply.and_then(accept).and_then(|reply| match body {
            Some(BodySent {
                size,
                crc32,
                complete: true,
            }) => {
                agree("sent", size, crc32, &reply)?;
                let verified = reply.crc32.is_some();
                let is_size_confirmed = reply.size.is_some();
                let message = reply.message.unwrap_or_default();
                self.agree_on_name(name, message.strip_suffix(" has been uploaded"))?;
                Ok(Upload {
                    size,
                    crc32,
                    verified,
                    is_size_confirmed,
                    message,
                })
            }
            _ => Err(unexpected("it says OK before all of the content was sent")),
        });
        if !is_complete {
            self.abort("an upload ended before all of it was sent");
        }
        self.settle(result)
    }

    /// Has later replies use the memory of `upload`, with which the caller is done.
    pub fn reuse_upload(&mut self, upload: Upload) {
        self.buffers.decoder.reuse(Reply {
            message: Some(upload.message),
            ..Reply::default()
        });
    }

    /// Deletes `name` and returns the server's confirmation.
    ///
    /// # Errors
    /// Any [`Error`] but those of connecting. As for an upload it may be unknown whether it was done.
    pub fn delete(&mut self, name: &FileName) -> Result<String, Error> {
        let result = self.request(Verb::Delete, Some(name), &mut Content::ignored(&mut ()));
        let result = result.and_then(|reply| {
            let message = reply.message.unwrap_or_default();
            self.agree_on_name(name, message.strip_suffix(" has been deleted"))?;
            Ok(message)
        });
        self.settle(result)
    }

    /// A request without a body, and the reply to it if that says OK.
    fn request(
        &mut self,
        verb: Verb,
        name: Option<&FileName>,
        content: &mut Content<'_>,
    ) -> Result<Reply, Error> {
        let deadline = Deadline::after(self.operation_timeout);
        let (exchange, buffers) = self.exchange()?;
        let reply = exchange.request(buffers, (verb, name), content, deadline);
        self.sent_all = true;
        self.recognise(reply).and_then(accept)
    }

    fn recognise(&mut self, reply: Result<Reply, Error>) -> Result<Reply, Error> {
        if let Ok(reply) = &reply {
            let code = reply.code.as_deref().and_then(Code::from_wire);
            self.is_prefork_server |= code.is_some() || reply.crc32.is_some();
        }
        reply
    }

    /// A prefork-server names the file that it speaks of, in all replies alike; what others write there is their own.
    fn agree_on_name(&self, asked: &FileName, named: Option<&str>) -> Result<(), Error> {
        match named {
            Some(named) if self.is_prefork_server && named != asked.as_str() => {
                Err(Error::Unexpected(format!("it is about '{named}'")))
            }
            _ => Ok(()),
        }
    }

    /// What the last reply lacks, which says OK, and what it has instead.
    fn missing(&self, what: &str) -> Error {
        let is_another = |key: &&str| !what.ends_with(&format!("'{key}'"));
        let elsewhere = self.buffers.decoder.elsewhere().filter(is_another);
        let found = elsewhere.map_or_else(String::new, |key| {
            format!("; found '{}' instead", key.escape_debug())
        });
        Error::Unexpected(format!("it says OK, but has no {what}{found}"))
    }

    /// What carries the next operation. A connection that has been idle is looked at first: as long as
    /// nothing was sent, the caller can connect anew without harm.
    fn exchange(&mut self) -> Result<(&mut Exchange, &mut Buffers), Error> {
        if self.used && !self.is_usable(Duration::ZERO) && matches!(self.state, State::Open(_)) {
            self.state = State::Closed("the server has closed it, or spoke without being asked");
        }
        self.used = true;
        match &mut self.state {
            State::Open(exchange) => Ok((exchange, &mut self.buffers)),
            State::Closed(reason) => Err(Error::Unusable(reason)),
        }
    }

    /// Closes the connection if nothing can follow on it.
    fn settle<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        let reason = match (&result, &self.state) {
            (Err(Error::Refused { code, .. }), State::Open(_)) if is_last_word(code.as_deref()) => {
                Some("the server closes after a refusal of this kind")
            }
            (Err(Error::Refused { .. }), State::Open(exchange)) if !exchange.is_out_of_step => None,
            (Err(_), State::Open(_)) => Some("an earlier operation on it failed"),
            (Ok(_), State::Open(exchange)) if exchange.is_out_of_step => {
                Some("the server sent more than its reply")
            }
            _ => None,
        };
        if let Some(reason) = reason {
            self.state = State::Closed(reason);
        }
        result
    }

    fn abort(&mut self, reason: &'static str) {
        match std::mem::replace(&mut self.state, State::Closed(reason)) {
            State::Open(exchange) => exchange.socket.abort(),
            closed @ State::Closed(_) => self.state = closed,
        }
    }
}

/// Whether the server closes behind a refusal with this code, be it that it found no end of the request or that it
/// wants to be rid of the connection. Its close comes after the refusal, and may not have arrived with it.
fn is_last_word(code: Option<&str>) -> bool {
    matches!(
        code.and_then(Code::from_wire),
        Some(Code::TooLarge | Code::Timeout | Code::Busy | Code::ShuttingDown)
    )
}

fn accept(reply: Reply) -> Result<Reply, Error> {
    match reply.ok {
        true => Ok(reply),
        false => {
            let message = reply
                .message
                .unwrap_or_else(|| "the server gave no reason".to_owned());
            Err(Error::Refused {
                code: reply.code,
                message,
            })
        }
    }
}

/// Compares what this side counted with what the server says, as far as it does.
fn agree(moved: &str, size: u64, crc32: u32, reply: &Reply) -> Result<(), Error> {
    let s = if size == 1 { "" } else { "s" };
    match (reply.size, reply.crc32) {
        (Some(theirs), _) if theirs != size => Err(Error::Mismatch(format!(
            "{size} byte{s} {moved}, but the server says {theirs}"
        ))),
        (_, Some(theirs)) if theirs != crc32 => Err(Error::Mismatch(format!(
            "CRC-32 {crc32:08x} {moved}, but the server says {theirs:08x}"
        ))),
        _ => Ok(()),
    }
}

fn unexpected(what: &str) -> Error {
    Error::Unexpected(what.to_owned())
}
