//! Listings as replies carry them: one is made for all connections of a process that ask while the folder is the same, and
//! freed when the last of them has it.
//!
//! A client that asks and does not read holds the listing of that time for as long as its connection lives. So what is
//! held is bounded by [`BYTES_MAX`] beside one for each worker, which a worker that sends at once gives back at once. Who
//! asks when that is used up has the listing from a file without a name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::limits::LIST_LEN_MAX;
use proto::{Verb, reply};

use super::booking::Answer;
use super::{Session, Task};
use crate::store::{KnownBy, Store, StoreError};

/// The most that a listing takes: a character of two bytes is six once escaped.
const REPLY_LEN_MAX: u64 = 3 * LIST_LEN_MAX as u64 + 64;

/// What listings may take that wait for slow clients, in a process of one worker: four of the largest, or some hundred of
/// a thousand files each.
const BYTES_MAX: u64 = 4 * REPLY_LEN_MAX;

/// How much of a listing that is in a file is read at once.
const PIECE_LEN: usize = 64 << 10;

/// What all connections of a process share.
#[derive(Debug)]
pub(super) struct Listings {
    last: Mutex<Option<Arc<EncodedListing>>>,
    held_bytes: Arc<AtomicU64>,
    bytes_max: AtomicU64,
}

/// A whole reply, with its terminator.
#[derive(Debug)]
pub(super) struct EncodedListing {
    text: Text,
    known_by: Option<KnownBy>,
}

#[derive(Debug)]
enum Text {
    Held(
        Box<[u8]>,
        #[expect(dead_code, reason = "given back when dropped")] Share,
    ),
    /// In a file, of this length.
    Aside(File, usize),
}

/// What is still to be sent of a listing that is in a file.
#[derive(Debug)]
pub(super) struct Rest {
    listing: Arc<EncodedListing>,
    offset: u64,
}

/// A part of what listings may take, given back when dropped.
#[derive(Debug)]
struct Share {
    held_bytes: Arc<AtomicU64>,
    bytes: u64,
}

impl Default for Listings {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
            held_bytes: Arc::default(),
            bytes_max: AtomicU64::new(BYTES_MAX),
        }
    }
}

impl Listings {
    /// See [`super::Service::share_among`].
    pub(super) fn share_among(&self, workers: u32) {
        let others = u64::from(workers.saturating_sub(1));
        let bytes_max = BYTES_MAX + others * REPLY_LEN_MAX;
        self.bytes_max.store(bytes_max, SeqCst);
    }

    /// What the folder holds now.
    ///
    /// # Errors
    /// [`StoreError::ListingsHeld`]; what reading the folder says.
    fn get(&self, store: &Store) -> Result<Arc<EncodedListing>, StoreError> {
        let last = self.last().clone();
        if let Some(last) = last {
            if last.is_known_in(store) {
                return Ok(last);
            }
            // It never comes back. Another worker may have put another in its place.
            self.last().take_if(|it| Arc::ptr_eq(it, &last));
        }
        let share = self.take_share();
        let made = Arc::new(EncodedListing::new(store, share)?);
        if made.known_by.is_some() {
            *self.last() = Some(Arc::clone(&made));
        }
        Ok(made)
    }

    fn last(&self) -> MutexGuard<'_, Option<Arc<EncodedListing>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for a listing of any size; none if too much is held.
    fn take_share(&self) -> Option<Share> {
        let share = Share {
            held_bytes: Arc::clone(&self.held_bytes),
            bytes: REPLY_LEN_MAX,
        };
        let before = self.held_bytes.fetch_add(share.bytes, SeqCst);
        (before + share.bytes <= self.bytes_max.load(SeqCst)).then_some(share)
    }
}

impl EncodedListing {
    /// In memory, if there is a `share` of it.
    fn new(store: &Store, share: Option<Share>) -> Result<Self, StoreError> {
        let listing = store.list()?;
        let mut reply = Vec::new();
        reply::encode_list_start(&mut reply);
        for (index, name) in listing.names().enumerate() {
            reply::encode_list_item(&mut reply, name, index == 0);
        }
        reply::encode_list_end(&mut reply, listing.truncated());
        let text = match share {
            Some(mut share) => {
                share.keep(reply.len() as u64);
                Text::Held(reply.into(), share)
            }
            None => match store.put_aside(&reply) {
                Ok(file) => Text::Aside(file, reply.len()),
                Err(_) => return Err(StoreError::ListingsHeld),
            },
        };
        Ok(Self {
            text,
            known_by: listing.known_by().cloned(),
        })
    }

    /// What is in memory.
    pub(super) fn held(&self) -> &[u8] {
        match &self.text {
            Text::Held(reply, _) => reply,
            Text::Aside(..) => &[],
        }
    }

    fn is_known_in(&self, store: &Store) -> bool {
        let is_known = |known_by| store.is_known_by(known_by);
        self.known_by.as_ref().is_some_and(is_known)
    }
}

impl Session<'_> {
    pub(super) fn list(&mut self) {
        let get = || self.service.listings.get(&self.service.store);
        let listing = match self.slot.in_store(get) {
            Ok(listing) => listing,
            Err(error) => return self.fail(error),
        };
        let len = match listing.text {
            Text::Held(ref reply, _) => {
                let len = reply.len();
                self.listing = Some(listing);
                len
            }
            Text::Aside(_, len) => {
                self.task = Task::Listing(Rest { listing, offset: 0 });
                len
            }
        };
        let json_len = len - reply::TERMINATOR.len();
        self.answer(Answer::Ok(Verb::List, json_len as u64));
        self.continue_listing();
    }

    /// Holds nothing of a listing that is in a file, until it goes on.
    pub(super) fn put_listing(&mut self) {
        let unsent_len = self.output().len();
        if let Task::Listing(rest) = &mut self.task {
            rest.offset -= unsent_len as u64;
            self.clear_output();
        }
    }

    /// Reads the next of a listing that is in a file.
    pub(super) fn continue_listing(&mut self) {
        let Task::Listing(rest) = &mut self.task else {
            return;
        };
        match self.slot.in_store(|| rest.read(&mut self.buffers.output)) {
            Ok(0) => self.task = Task::None,
            Ok(_) => {}
            Err(error) => {
                self.take_answer_back();
                self.break_off(0, error);
            }
        }
    }
}

impl Rest {
    fn read(&mut self, output: &mut Vec<u8>) -> io::Result<usize> {
        let Text::Aside(file, _) = &self.listing.text else {
            return Ok(0);
        };
        output.resize(PIECE_LEN, 0);
        let len = file.read_at(output, self.offset)?;
        output.truncate(len);
        self.offset += len as u64;
        Ok(len)
    }
}

impl Share {
    /// Gives back what is not needed.
    fn keep(&mut self, bytes: u64) {
        let spare = self.bytes.saturating_sub(bytes);
        self.held_bytes.fetch_sub(spare, SeqCst);
        self.bytes -= spare;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held_bytes.fetch_sub(self.bytes, SeqCst);
    }
}
