//! The connection handler with the socket taken out.
//!
//! A [`Session`] is told what arrived (bytes, silence, the end, a stop) and says what it wants next: to read,
//! to write, to linger, to close. File work happens inside it, through the store. It knows no socket and no
//! clock; [`crate::connection::drive`] joins it to both.

mod buffers;
mod failure;
mod finished;

use std::ops::Range;

use proto::request::{Event, Phase, Refusal, Request, RequestDecoder, Step};
use proto::{Code, FileName, Limits, Verb, base64, reply};

pub(crate) use failure::Failure;
pub(crate) use finished::{Finished, Outcome};

use crate::shared::scoreboard::{ConnectionEnd, Field, RequestEnd, Slot};
use crate::store::{Download, PendingUpload, Store, StoreError};

use buffers::{Buffers, FILE_WRITE_LEN, INPUT_LEN, Needed, OUTPUT_LEN};

pub use buffers::Shelf;

/// File content read at once for a download: a multiple of 3, so that every piece encodes without a rest, and
/// 128 KiB once encoded. Larger pieces leave the cache and halve the codec's speed.
const FILE_READ_LEN: usize = 96 << 10;

/// What all sessions of a server share.
#[derive(Debug)]
pub struct Service {
    /// Where files are.
    pub store: Store,
    /// The bounds on requests.
    pub limits: Limits,
}

/// What a session wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Bytes from the peer, into [`Session::space`].
    Read(Reading),
    /// To have [`Session::output`] sent.
    Write,
    /// To be told to go on ([`Session::go_on`]): a request is over, and what came behind it is there already. Others
    /// may have their turn before.
    Next,
    /// To be told to go on shortly ([`Session::resume`]), whatever the peer does: the store cannot yet.
    Resume,
    /// To be told to go on ([`Session::resume`]) if the peer is still there. It has sent its end, as one does that waits
    /// for the answer, and as one does that has gone: the first bytes of the answer are out, which only the latter resets.
    Peer,
    /// To stop sending, take a bounded amount of what still comes, and close: closing with input unread would
    /// reset the connection and destroy the reply.
    Linger(Lingering),
    /// To be closed.
    Close,
}

/// How long a closing connection waits for what may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lingering {
    /// Between requests nothing is due but a request that crosses the close on its way.
    Briefly,
    /// After a refusal the peer may still be sending what was refused.
    Fully,
}

/// What is read; each has a clock of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The first request's head, of which nothing has come.
    First,
    /// The next request's head, of which nothing has come.
    Idle,
    /// The rest of a head.
    Head,
    /// A body.
    Body,
    /// What follows at once a body that may be the first line of a longer text.
    Settling,
}

/// Why a connection cannot go on, seen from outside the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer stopped sending.
    PeerClosed,
    /// The connection is broken.
    PeerGone,
    /// The peer was too slow.
    TimedOut,
    /// The server stops at once.
    Stopped,
    /// A panic of our own.
    Crashed,
}

/// One connection's conversation. Its memory, whatever the file's size: while bytes move under 650 KiB of address
/// space, of which an upload touches 512 KiB and a download 224; while it waits half of that at most, and
/// nothing between two requests. Only a listing is held whole, 1 MiB of names at most.
#[derive(Debug)]
pub struct Session<'s> {
    service: &'s Service,
    slot: Slot,
    decoder: RequestDecoder,
    buffers: Buffers,
    /// The part of the input that has not been decoded.
    undecoded: Range<usize>,
    /// How much of `buffers.content` waits to be written to a file.
    content_len: usize,
    /// How much of `buffers.output` has been sent.
    sent: usize,
    task: Task,
    /// What the store was asked for and could not do yet. Nothing else is done before.
    deferred: Option<Deferred>,
    /// The store is asked for the last time.
    is_last_try: bool,
    /// A request has started and has not been booked.
    request_open: bool,
    /// What it asks for, as far as its head said.
    verb: Option<Verb>,
    /// Which file it is about.
    name: Option<FileName>,
    /// The last request that failed on this side, until somebody asks.
    failure: Option<Failure>,
    /// Requests that are over, for whoever wants to know: none if nobody does.
    finished: Option<Vec<Finished>>,
    /// How the open request is booked, until the output is sent.
    answered: Option<Answer>,
    /// The peer has sent its end.
    peer_has_finished: bool,
    /// The first bytes of the open request's answer are out, and it has not been begun.
    is_opened: bool,
    /// A request is over, and what came behind it has not been looked at.
    is_before_next: bool,
    served_any: bool,
    closing: Option<Closing>,
    draining: bool,
}

#[derive(Debug)]
enum Task {
    None,
    Upload {
        name: FileName,
        file: PendingUpload,
        crc: crc32fast::Hasher,
    },
    /// An upload that has failed already; the answer waits for the body's end.
    Discard(Refusal),
    Download {
        file: Download,
        offset: u64,
        crc: crc32fast::Hasher,
    },
}

/// The store cannot do it yet.
struct NotYet;

/// What is to be done again when the store can.
#[derive(Debug)]
enum Deferred {
    /// To begin a request.
    Begin(Request),
    /// To write a piece of content, of which this much has been decoded, and then what came behind it.
    Piece(Option<Event>),
    /// To write the last piece, if there still is one, and to put the file under its name.
    End,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Ok(Verb, u64),
    Error(Code),
}

#[derive(Debug, Clone, Copy)]
struct Closing {
    end: ConnectionEnd,
    linger: Option<Lingering>,
}

impl<'s> Session<'s> {
    /// A session at the start of a connection, booked as accepted in `slot`.
    #[must_use]
    pub fn new(service: &'s Service, slot: Slot) -> Self {
        slot.add(Field::Accepted, 1);
        Self {
            service,
            slot,
            decoder: RequestDecoder::new(service.limits),
            buffers: Buffers::default(),
            undecoded: 0..0,
            content_len: 0,
            sent: 0,
            task: Task::None,
            deferred: None,
            is_last_try: false,
            request_open: false,
            verb: None,
            name: None,
            failure: None,
            finished: None,
            answered: None,
            peer_has_finished: false,
            is_opened: false,
            is_before_next: false,
            served_any: false,
            closing: None,
            draining: false,
        }
    }

    /// Takes the buffers that it needs to move bytes: before [`Session::space`] and what follows from it.
    pub fn take_buffers(&mut self, shelf: &mut Shelf) {
        self.buffers.take_from(shelf);
    }

    /// Puts back those that have nothing in them, before a wait.
    pub fn put_buffers(&mut self, shelf: &mut Shelf) {
        let needed = Needed {
            input: !self.undecoded.is_empty(),
            content: self.content_len > 0,
            output: !self.output().is_empty(),
        };
        if !needed.output {
            self.sent = 0;
        }
        self.buffers.put_on(shelf, needed);
    }

    /// From here on it is remembered which requests are over, until [`Session::take_finished`] is called.
    pub fn remember_finished(&mut self) {
        self.finished.get_or_insert_default();
    }

    /// The next of the requests that are over, in order.
    pub fn take_finished(&mut self) -> Option<Finished> {
        let finished = self.finished.as_mut().filter(|all| !all.is_empty())?;
        Some(finished.remove(0))
    }

    /// What has failed on this side since this was last asked, if anything: to be asked after each step.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Whether a request has begun that is not over.
    #[must_use]
    pub const fn is_request_open(&self) -> bool {
        self.request_open
    }

    /// Refuses the whole connection before its first request: one error, then the end.
    pub fn turn_away(&mut self, code: Code, message: &str) {
        reply::encode_error(&mut self.buffers.output, code, message);
        self.closing = Some(Closing {
            end: ConnectionEnd::Refused,
            linger: Some(Lingering::Fully),
        });
    }

    /// What the session wants next.
    #[must_use]
    pub fn want(&self) -> Want {
        if !self.output().is_empty() {
            return Want::Write;
        }
        match self.deferred {
            Some(_) if self.is_opened => return Want::Peer,
            Some(_) => return Want::Resume,
            None => {}
        }
        match self.closing {
            Some(Closing {
                linger: Some(lingering),
                ..
            }) => Want::Linger(lingering),
            Some(Closing { linger: None, .. }) => Want::Close,
            None if self.is_before_next => Want::Next,
            None => Want::Read(match self.decoder.phase() {
                Phase::Idle if self.served_any => Reading::Idle,
                Phase::Idle => Reading::First,
                Phase::Head => Reading::Head,
                Phase::Body | Phase::Broken => Reading::Body,
                Phase::Settling => Reading::Settling,
            }),
        }
    }

    /// Where what arrives next is to be put.
    pub fn space(&mut self) -> &mut [u8] {
        debug_assert!(
            self.undecoded.is_empty(),
            "all input is decoded before more is wanted"
        );
        &mut self.buffers.input[..INPUT_LEN]
    }

    /// The peer has sent its end, behind what [`Session::arrived`] is told of next.
    pub fn peer_has_finished(&mut self) {
        self.peer_has_finished = true;
    }

    /// `len` bytes have been put into [`Session::space`].
    pub fn arrived(&mut self, len: usize) {
        self.undecoded = 0..len;
        self.advance();
    }

    /// What is to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.buffers.output[self.sent..]
    }

    /// `len` bytes of [`Session::output`] have been sent.
    pub fn sent(&mut self, len: usize) {
        self.sent += len;
        if self.output().is_empty() {
            self.advance();
        }
    }

    /// Looks at what came behind the last request.
    pub fn go_on(&mut self) {
        self.is_before_next = false;
        self.advance();
    }

    /// The peer has been silent in the middle of a head (`--accept-unterminated`), or after a body that could have
    /// gone on.
    pub fn silence(&mut self) {
        if let Some(event) = self.decoder.silence() {
            self.happened(event);
            self.advance();
        }
    }

    /// Asks the store again for what it could not do yet. If it is the last time, that is refused if it still cannot.
    pub fn resume(&mut self, is_last_try: bool) {
        self.is_last_try = is_last_try;
        match self.deferred.take() {
            None => {}
            Some(Deferred::Begin(request)) if self.is_opened => self.go_on_with_opened(request),
            Some(Deferred::Begin(request)) => self.carry_out(request),
            Some(Deferred::Piece(event)) => self.write_piece(event),
            Some(Deferred::End) => self.end_upload(),
        }
        self.is_last_try = false;
        self.advance();
    }

    /// The server is stopping: what is in hand is finished, then the connection closes.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether [`Session::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Closes a connection that waits between requests. What was idle is not aborted.
    pub fn close_idle(&mut self) {
        self.closing.get_or_insert(Closing {
            end: ConnectionEnd::Closed,
            linger: Some(Lingering::Briefly),
        });
    }

    /// Closes a connection between two requests although the second has arrived, and others may be behind it.
    pub fn close_before_next(&mut self) {
        self.is_before_next = false;
        self.undecoded = 0..0;
        self.closing.get_or_insert(Closing {
            end: ConnectionEnd::Closed,
            linger: Some(Lingering::Fully),
        });
    }

    /// The connection cannot go on.
    pub fn end(&mut self, end: End) {
        if end == End::PeerClosed && self.decoder.phase() == Phase::Settling {
            // The request is complete, and the peer may be waiting for its answer.
            return self.silence();
        }
        let between_requests =
            !self.request_open && self.output().is_empty() && self.decoder.phase() == Phase::Idle;
        let mid_reply = !self.output().is_empty() || matches!(self.task, Task::Download { .. });
        match end {
            End::PeerClosed | End::Stopped if between_requests => {
                self.cut(None, ConnectionEnd::Closed);
            }
            End::PeerClosed | End::PeerGone => {
                self.cut(Some(RequestEnd::ClientGone), ConnectionEnd::ClientGone);
            }
            End::Stopped => self.cut(
                Some(RequestEnd::AbortedByStop),
                ConnectionEnd::AbortedByStop,
            ),
            End::Crashed => self.cut(
                Some(RequestEnd::AbortedByCrash),
                ConnectionEnd::AbortedByCrash,
            ),
            End::TimedOut if between_requests && self.served_any => self.close_idle(),
            End::TimedOut if between_requests || mid_reply => {
                self.cut(Some(RequestEnd::TimedOut), ConnectionEnd::TimedOut);
            }
            End::TimedOut => {
                // It may still be reading: tell it, as far as that goes without waiting.
                self.cut(Some(RequestEnd::TimedOut), ConnectionEnd::TimedOut);
                self.closing = Some(Closing {
                    end: ConnectionEnd::TimedOut,
                    linger: Some(Lingering::Fully),
                });
                reply::encode_error(
                    &mut self.buffers.output,
                    Code::Timeout,
                    "the request came too slowly",
                );
            }
        }
    }

    /// What is still open is cut, as [`Session::close`] does too.
    pub fn give_up(&mut self) {
        if self.request_open {
            self.cut(
                Some(RequestEnd::AbortedByStop),
                ConnectionEnd::AbortedByStop,
            );
        }
    }

    /// Books the connection's end. To be called once, when it is closed.
    pub fn close(mut self) {
        self.give_up();
        let end = self
            .closing
            .map_or(ConnectionEnd::AbortedByStop, |closing| closing.end);
        self.slot.add(Field::Ended(end), 1);
    }

    /// Gives up on the open request and on everything unsent.
    fn cut(&mut self, request: Option<RequestEnd>, connection: ConnectionEnd) {
        if let (true, Some(end)) = (self.request_open, request) {
            self.take_answer_back();
            self.slot.add(Field::Unanswered(end), 1);
            self.finish(self.moved_bytes(), Outcome::Unanswered(end));
        }
        self.request_open = false;
        self.answered = None;
        self.task = Task::None;
        self.deferred = None;
        self.is_opened = false;
        self.content_len = 0;
        self.buffers.output.clear();
        self.sent = 0;
        self.undecoded = 0..0;
        self.is_before_next = false;
        // A connection that was already closing keeps its reason.
        let end = self.closing.map_or(connection, |closing| closing.end);
        self.closing = Some(Closing { end, linger: None });
    }

    /// Goes on until there is something to send or nothing left to decode.
    fn advance(&mut self) {
        loop {
            if !self.output().is_empty() || self.deferred.is_some() {
                return;
            }
            self.buffers.output.clear();
            self.sent = 0;
            if matches!(self.task, Task::Download { .. }) {
                self.fill_from_file();
                continue;
            }
            let is_over = self.answer_is_sent();
            if self.closing.is_some() {
                // Nothing that came after a request of which no end can be trusted is looked at.
                self.undecoded = 0..0;
            }
            if self.undecoded.is_empty() {
                return;
            }
            if is_over {
                self.is_before_next = true;
                return;
            }
            let input = &self.buffers.input[self.undecoded.clone()];
            let content = &mut self.buffers.content[self.content_len..];
            let Step {
                consumed,
                produced,
                event,
            } = self.decoder.decode(input, content);
            self.undecoded.start += consumed;
            self.content_len += produced;
            self.write_piece(event);
        }
    }

    /// Writes content of which there is enough, and goes on to what came behind it.
    fn write_piece(&mut self, event: Option<Event>) {
        if self.content_len >= FILE_WRITE_LEN && self.flush_content(FILE_WRITE_LEN).is_err() {
            self.deferred = Some(Deferred::Piece(event));
            return;
        }
        if let Some(event) = event {
            self.happened(event);
        }
    }

    fn happened(&mut self, event: Event) {
        if !matches!(event, Event::UploadEnd) && !self.request_open {
            self.request_open = true;
            self.served_any = true;
            (self.verb, self.name) = (None, None);
            self.slot.add(Field::Started, 1);
        }
        match event {
            Event::Request(request) => self.begin(request),
            Event::UploadEnd => self.end_upload(),
            Event::Refused(refusal) => {
                self.verb = self.verb.or(refusal.verb);
                self.refuse(&refusal);
            }
            Event::Broken(refusal) => {
                self.verb = self.verb.or(refusal.verb);
                self.refuse(&refusal);
                self.closing = Some(Closing {
                    end: ConnectionEnd::Refused,
                    linger: Some(Lingering::Fully),
                });
            }
        }
    }

    fn begin(&mut self, request: Request) {
        let (verb, name) = match &request {
            Request::List => (Verb::List, None),
            Request::Get(name) => (Verb::Get, Some(name)),
            Request::Delete(name) => (Verb::Delete, Some(name)),
            Request::Upload(name) => (Verb::Upload, Some(name)),
        };
        self.verb = Some(verb);
        // Nobody asks for it but a log.
        self.name = name.cloned();
        // Of these nothing but the answer would come.
        if self.peer_has_finished && matches!(verb, Verb::Get | Verb::List) {
            self.buffers.output.extend_from_slice(reply::START);
            self.is_opened = true;
            self.deferred = Some(Deferred::Begin(request));
        } else {
            self.carry_out(request);
        }
    }

    /// The peer is there for an answer of which it has had the first bytes.
    fn go_on_with_opened(&mut self, request: Request) {
        self.is_opened = false;
        self.buffers.output.clear();
        self.carry_out(request);
        debug_assert!(self.buffers.output.starts_with(reply::START));
        self.sent = reply::START.len();
    }

    fn carry_out(&mut self, request: Request) {
        let store = &self.service.store;
        let is_last_try = self.is_last_try;
        match request {
            Request::List => match store.list() {
                Ok(listing) => {
                    let out = &mut self.buffers.output;
                    reply::encode_list_start(out);
                    for (index, name) in listing.names().enumerate() {
                        reply::encode_list_item(out, name, index == 0);
                    }
                    reply::encode_list_end(out, listing.truncated());
                    let json_len = out.len() - reply::TERMINATOR.len();
                    self.answer(Answer::Ok(Verb::List, json_len as u64));
                }
                Err(error) => self.fail(error),
            },
            Request::Get(name) => match store.read(&name) {
                Ok(file) => {
                    reply::encode_get_start(&mut self.buffers.output, &name);
                    self.task = Task::Download {
                        file,
                        offset: 0,
                        crc: crc32fast::Hasher::new(),
                    };
                    self.fill_from_file();
                }
                Err(error) => self.fail(error),
            },
            Request::Delete(name) => match self.slot.in_store(|| store.delete(&name)) {
                Ok(()) => {
                    reply::encode_deleted(&mut self.buffers.output, &name);
                    self.answer(Answer::Ok(Verb::Delete, 0));
                }
                Err(StoreError::NotYet) if !is_last_try => {
                    self.deferred = Some(Deferred::Begin(Request::Delete(name)));
                }
                Err(error) => self.fail(error),
            },
            Request::Upload(name) => {
                self.content_len = 0;
                self.task = match store.create(&name) {
                    Ok(file) => Task::Upload {
                        name,
                        file,
                        crc: crc32fast::Hasher::new(),
                    },
                    Err(StoreError::NotYet) if !is_last_try => {
                        self.deferred = Some(Deferred::Begin(Request::Upload(name)));
                        Task::None
                    }
                    Err(error) => Task::Discard(self.refusal_for(error)),
                };
            }
        }
    }

    /// Moves the first `len` bytes of decoded content to the file, or drops them if there is none. An error only if
    /// the store cannot do it yet.
    fn flush_content(&mut self, len: usize) -> Result<(), NotYet> {
        let content = &self.buffers.content[..len];
        let written = match &mut self.task {
            Task::Upload { file, crc, .. } => {
                let written = self.slot.in_store(|| file.write(content));
                written.map(|()| crc.update(content))
            }
            Task::None | Task::Discard(_) | Task::Download { .. } => Ok(()),
        };
        match written {
            Ok(()) => {}
            Err(StoreError::NotYet) if !self.is_last_try => return Err(NotYet),
            // Dropping the pending upload removes what there is of it.
            Err(error) => self.task = Task::Discard(self.refusal_for(error)),
        }
        self.buffers.content.copy_within(len..self.content_len, 0);
        self.content_len -= len;
        Ok(())
    }

    fn end_upload(&mut self) {
        if self.flush_content(self.content_len).is_err() {
            self.deferred = Some(Deferred::End);
            return;
        }
        match std::mem::replace(&mut self.task, Task::None) {
            Task::Upload {
                name,
                mut file,
                crc,
            } => {
                let size = file.len();
                match self.slot.in_store(|| file.commit()) {
                    Err(StoreError::NotYet) if !self.is_last_try => {
                        self.task = Task::Upload { name, file, crc };
                        self.deferred = Some(Deferred::End);
                    }
                    Ok(()) => {
                        reply::encode_uploaded(
                            &mut self.buffers.output,
                            &name,
                            size,
                            crc.finalize(),
                        );
                        self.answer(Answer::Ok(Verb::Upload, size));
                    }
                    Err(error) => self.fail(error),
                }
            }
            Task::Discard(refusal) => self.refuse(&refusal),
            Task::None | Task::Download { .. } => {}
        }
    }

    /// Encodes the next piece of the file; the last one with the reply's end.
    fn fill_from_file(&mut self) {
        let Task::Download { file, offset, crc } = &mut self.task else {
            return;
        };
        let left = file.len() - *offset;
        let want = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(FILE_READ_LEN);
        let piece = &mut self.buffers.content[..want];
        if let Err(error) = file.read_exact_at(piece, *offset) {
            match *offset {
                0 => self.fail_before_it_began(error),
                offset => self.break_off(offset, error),
            }
            return;
        }
        crc.update(piece);
        *offset += want as u64;
        let out = &mut self.buffers.output;
        encode_piece(piece, out);
        if want as u64 == left {
            let size = *offset;
            reply::encode_get_end(out, size, crc.clone().finalize());
            self.task = Task::None;
            self.answer(Answer::Ok(Verb::Get, size));
        }
    }

    /// A download whose file cannot even begin to be read: of its reply nothing is out yet.
    fn fail_before_it_began(&mut self, error: std::io::Error) {
        self.buffers.output.clear();
        self.fail(error.into());
    }

    /// A part of the reply is out: leaving it without its terminator says that it is none.
    fn break_off(&mut self, offset: u64, error: std::io::Error) {
        self.failure = Some(Failure {
            verb: self.verb,
            name: self.name.clone(),
            error: error.into(),
            is_broken_off: true,
        });
        self.slot.add(Field::Error(Code::Internal), 1);
        self.slot.add(Field::SentError(Code::Internal), 1);
        self.finish(offset, Outcome::Error(Code::Internal));
        self.request_open = false;
        self.cut(None, ConnectionEnd::Closed);
    }

    fn fail(&mut self, error: StoreError) {
        let refusal = self.refusal_for(error);
        self.refuse(&refusal);
    }

    /// What the client is told of an error, and, if it is not to blame, the operator.
    fn refusal_for(&mut self, error: StoreError) -> Refusal {
        let refusal = Refusal {
            code: error.code(),
            message: error.to_string(),
            verb: self.verb,
        };
        if matches!(refusal.code, Code::Internal | Code::Busy) {
            self.failure = Some(Failure {
                verb: self.verb,
                name: self.name.clone(),
                error,
                is_broken_off: false,
            });
        }
        refusal
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.task = Task::None;
        self.content_len = 0;
        reply::encode_error(&mut self.buffers.output, refusal.code, &refusal.message);
        self.answer(Answer::Error(refusal.code));
    }

    /// Books the open request's answer before its last bytes go out: were it booked after, a worker killed in
    /// between would leave a client with an answer that the ledger does not know. If they cannot be sent after
    /// all, [`Session::cut`] takes it back.
    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Ok(verb, bytes) => {
                self.slot.add(Field::OkBytes(verb), bytes);
                self.slot.add(Field::Ok(verb), 1);
            }
            Answer::Error(code) => self.slot.add(Field::Error(code), 1),
        }
        self.answered = Some(answer);
    }

    fn take_answer_back(&mut self) {
        match self.answered.take() {
            Some(Answer::Ok(verb, bytes)) => {
                self.slot.take_back(Field::Ok(verb), 1);
                self.slot.take_back(Field::OkBytes(verb), bytes);
            }
            Some(Answer::Error(code)) => self.slot.take_back(Field::Error(code), 1),
            None => {}
        }
    }

    /// All output is sent: if it ended with an answer, the request is over. Says whether it is.
    fn answer_is_sent(&mut self) -> bool {
        match self.answered.take() {
            Some(Answer::Ok(verb, bytes)) => {
                self.slot.add(Field::SentBytes(verb), bytes);
                self.slot.add(Field::Sent(verb), 1);
                tracing::debug!(verb = verb.as_str(), bytes, "request served");
                self.finish(bytes, Outcome::Ok);
            }
            Some(Answer::Error(code)) => {
                self.slot.add(Field::SentError(code), 1);
                tracing::debug!(code = code.as_str(), "request refused");
                self.finish(0, Outcome::Error(code));
            }
            None => return false,
        }
        self.request_open = false;
        // A listing may have made it larger than any other reply does.
        self.buffers.output.shrink_to(OUTPUT_LEN);
        true
    }
}

impl Session<'_> {
    /// The open request is over: whoever keeps a log of them is told.
    fn finish(&mut self, bytes: u64, outcome: Outcome) {
        if let Some(finished) = &mut self.finished {
            finished.push(Finished {
                verb: self.verb,
                name: self.name.take(),
                bytes,
                outcome,
            });
        }
    }

    /// How much content the open request has moved so far.
    fn moved_bytes(&self) -> u64 {
        match &self.task {
            Task::Upload { file, .. } => file.len() + self.content_len as u64,
            Task::Download { offset, .. } => *offset,
            Task::None | Task::Discard(_) => 0,
        }
    }
}

/// Pieces are whole groups of three but for a file's last, so no state goes from one to the next.
fn encode_piece(piece: &[u8], out: &mut Vec<u8>) {
    let mut encoder = base64::Encoder::new();
    encoder.encode(piece, out);
    encoder.finish(out);
}
