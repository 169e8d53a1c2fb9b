//! What a request does: file work through the store, and the reply that comes of it.

use proto::request::{Event, Refusal, Request};
use proto::{Code, Verb, reply};

use super::booking::Answer;
use super::buffers::FILE_WRITE_LEN;
use super::{Closing, Deferred, Failure, Lingering, Session, Task};
use crate::shared::scoreboard::{ConnectionEnd, Field};
use crate::store::StoreError;

/// The store cannot do it yet.
pub(super) struct NotYet;

impl Session<'_> {
    /// Writes content of which there is enough, and goes on to what came behind it.
    pub(super) fn write_piece(&mut self, event: Option<Event>) {
        if self.content_len >= FILE_WRITE_LEN && self.flush_content(FILE_WRITE_LEN).is_err() {
            self.deferred = Some(Deferred::Piece(event));
            return;
        }
        if let Some(event) = event {
            self.happened(event);
        }
    }

    pub(super) fn happened(&mut self, event: Event) {
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
    pub(super) fn go_on_with_opened(&mut self, request: Request) {
        self.is_opened = false;
        self.clear_output();
        self.carry_out(request);
        debug_assert!(self.output().starts_with(reply::START));
        self.sent = reply::START.len();
    }

    pub(super) fn carry_out(&mut self, request: Request) {
        let store = &self.service.store;
        let is_last_try = self.is_last_try;
        match request {
            Request::List => self.list(),
            Request::Get(name) => match self.slot.in_store(|| store.read(&name)) {
                Ok(file) => {
                    reply::encode_get_start(&mut self.buffers.output, &name);
                    self.begin_download(file);
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
                self.task = match self.slot.in_store(|| store.create(&name)) {
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
    pub(super) fn flush_content(&mut self, len: usize) -> Result<(), NotYet> {
        let content = &self.buffers.content[..len];
        let written = match &mut self.task {
            Task::Upload { file, .. } => self.slot.in_store(|| file.write(content)),
            Task::None | Task::Discard(_) | Task::Download(_) | Task::Listing(_) => Ok(()),
        };
        match written {
            Ok(()) => {}
            Err(StoreError::NotYet) if !self.is_last_try => return Err(NotYet),
            // Dropping the pending upload removes what there is of it.
            Err(error) => {
                let refusal = self.refusal_for(error);
                self.slot.in_store(|| self.task = Task::Discard(refusal));
            }
        }
        self.buffers.content.copy_within(len..self.content_len, 0);
        self.content_len -= len;
        Ok(())
    }

    pub(super) fn end_upload(&mut self) {
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
            Task::None | Task::Download(_) | Task::Listing(_) => {}
        }
    }

    pub(super) fn fail(&mut self, error: StoreError) {
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

    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.task = Task::None;
        self.content_len = 0;
        reply::encode_error(&mut self.buffers.output, refusal.code, &refusal.message);
        self.answer(Answer::Error(refusal.code));
    }

    /// How much content the open request has moved so far.
    pub(super) fn moved_bytes(&self) -> u64 {
        match &self.task {
            Task::Upload { file, .. } => file.len() + self.content_len as u64,
            Task::Download(download) => download.moved_bytes(),
            Task::None | Task::Discard(_) | Task::Listing(_) => 0,
        }
    }
}
