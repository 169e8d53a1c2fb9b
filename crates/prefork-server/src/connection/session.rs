//! The connection handler with the socket taken out.
//!
//! A [`Session`] is told what arrived (bytes, silence, the end, a stop) and says what it wants next: to read,
//! to write, to linger, to close. File work happens inside it, through the store. It knows no socket and no
//! clock; [`crate::connection::drive`] joins it to both.

mod booking;
mod buffers;
mod download;
mod failure;
mod finished;
mod listing;
mod want;
mod work;

use std::ops::Range;
use std::sync::Arc;

use proto::request::{Event, Phase, Refusal, Request, RequestDecoder, Step};
use proto::{Code, FileName, Limits, Verb, reply};

pub(crate) use failure::Failure;
pub(crate) use finished::{Finished, Outcome};

use crate::shared::encoded_cache::CacheReader;
use crate::shared::scoreboard::{ConnectionEnd, Field, RequestEnd, Slot};
use crate::store::{PendingUpload, Store};

use booking::Answer;
use buffers::{Buffers, INPUT_LEN, Needed};
use download::Downloading;
use listing::{EncodedListing, Listings, Rest};

pub use buffers::BufferPool;
pub use want::Want;
pub(crate) use want::{End, Lingering, Reading};

/// What all sessions of a server share.
#[derive(Debug)]
pub struct Service {
    /// Where files are.
    pub store: Store,
    /// The bounds on requests.
    pub limits: Limits,
    /// The listings that connections of this process wait to have sent.
    listings: Listings,
}

impl Service {
    /// Of a store, within those bounds.
    #[must_use]
    pub fn new(store: Store, limits: Limits) -> Self {
        let listings = Listings::default();
        Self {
            store,
            limits,
            listings,
        }
    }

    /// In a process that was just forked: so many workers share it.
    pub(crate) fn share_among(&self, workers: u32) {
        self.listings.share_among(workers);
    }
}

/// One connection's conversation. Its memory, whatever the file's size: while bytes move under 650 KiB of address
/// space, of which an upload touches 512 KiB and a download 224; while it waits half of that at most, and
/// nothing between two requests. Only a listing is held whole, by all connections together ([`listing`]).
#[derive(Debug)]
pub struct Session<'s> {
    service: &'s Service,
    slot: Slot,
    cache: Option<CacheReader<'s>>,
    decoder: RequestDecoder,
    buffers: Buffers,
    /// The part of the input that has not been decoded.
    undecoded: Range<usize>,
    /// How much of `buffers.content` waits to be written to a file.
    content_len: usize,
    /// What is to be sent instead of `buffers.output`, which is empty then.
    listing: Option<Arc<EncodedListing>>,
    /// How much of [`Session::output`] has been sent.
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
    /// The last request that failed on this side, until it is asked for.
    failure: Option<Failure>,
    /// Requests that are over, for the access log: none if there is no log.
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
    Download(Downloading),
    Listing(Rest),
}

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
            cache: None,
            decoder: RequestDecoder::new(service.limits),
            buffers: Buffers::default(),
            undecoded: 0..0,
            content_len: 0,
            listing: None,
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

    /// Has files sent from where they are encoded already.
    #[must_use]
    pub(crate) fn with_cache(mut self, cache: Option<CacheReader<'s>>) -> Self {
        self.cache = cache;
        self
    }

    /// Takes the buffers that it needs to move bytes: before [`Session::space`] and what follows from it.
    pub fn take_buffers(&mut self, buffer_pool: &mut BufferPool) {
        self.buffers.take_from(buffer_pool);
        self.continue_listing();
    }

    /// Puts back those that have nothing in them, before a wait.
    pub fn put_buffers(&mut self, buffer_pool: &mut BufferPool) {
        self.put_listing();
        let needed = Needed {
            input: !self.undecoded.is_empty(),
            content: self.content_len > 0,
            output: self.listing.is_none() && !self.output().is_empty(),
        };
        if self.output().is_empty() {
            self.sent = 0;
        }
        self.buffers.put_into(buffer_pool, needed);
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
        if !self.output().is_empty() || matches!(self.task, Task::Listing(_)) {
            return Want::Write;
        }
        if self.sends_encoded() {
            return Want::Send;
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
        let whole = match &self.listing {
            Some(listing) => listing.held(),
            None => &self.buffers.output,
        };
        &whole[self.sent..]
    }

    fn clear_output(&mut self) {
        self.buffers.output.clear();
        self.listing = None;
        self.sent = 0;
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
        let mid_reply =
            !self.output().is_empty() || matches!(self.task, Task::Download(_) | Task::Listing(_));
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
        // To close a file may wait for the disk as well.
        self.slot.in_store(|| self.task = Task::None);
        self.deferred = None;
        self.is_opened = false;
        self.content_len = 0;
        self.clear_output();
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
            self.clear_output();
            if matches!(self.task, Task::Download(_)) {
                self.continue_download();
                if self.sends_encoded() {
                    return;
                }
                continue;
            }
            if matches!(self.task, Task::Listing(_)) {
                self.continue_listing();
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
            if let Task::Upload { crc, .. } = &mut self.task {
                // While the processor has it at hand.
                crc.update(&content[..produced]);
            }
            self.undecoded.start += consumed;
            self.content_len += produced;
            self.write_piece(event);
        }
    }
}
