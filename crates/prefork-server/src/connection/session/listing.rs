//! Listings as replies carry them: one is made for all connections of a process that ask while the folder is the same, and
//! freed when the last of them has it.
//!
//! A client that asks and does not read holds the listing of that time for as long as its connection waits. So what is
//! held is bounded by [`BYTES_MAX`] beside one for each worker, which a worker that sends at once gives back at once. Where
//! there is no room for one more, those who have waited longest lose theirs: a newcomer never waits for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use proto::limits::LIST_LEN_MAX;
use proto::reply;

use crate::store::{KnownBy, Listing, Store, StoreError};

/// The most that a listing takes: a character of two bytes is six once escaped.
const REPLY_LEN_MAX: u64 = 3 * LIST_LEN_MAX as u64 + 64;

/// What listings may take that wait for slow clients, in a process of one worker: four of the largest, or some hundred of
/// a thousand files each.
const BYTES_MAX: u64 = 4 * REPLY_LEN_MAX;

/// What all connections of a process share.
#[derive(Debug)]
pub(super) struct Listings {
    last: Mutex<Option<Arc<EncodedListing>>>,
    /// Who waits with the rest of one, who began to wait first in front.
    waiting: Mutex<VecDeque<Weak<Place>>>,
    held_bytes: Arc<AtomicU64>,
    bytes_max: AtomicU64,
}

/// Where a connection's listing is while it waits: it may be gone when the connection goes on.
type Place = Mutex<Option<Arc<EncodedListing>>>;

/// The rest of a listing, kept for a connection that waits.
#[derive(Debug)]
pub(super) struct Kept(Arc<Place>);

/// A whole reply.
#[derive(Debug)]
pub(super) struct EncodedListing {
    reply: Box<[u8]>,
    known_by: Option<KnownBy>,
    _share: Share,
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
            waiting: Mutex::default(),
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
    pub(super) fn get(&self, store: &Store) -> Result<Arc<EncodedListing>, StoreError> {
        let last = lock(&self.last).clone();
        if let Some(last) = last {
            if last.is_known_in(store) {
                return Ok(last);
            }
            // It never comes back. Another worker may have put another in its place.
            lock(&self.last).take_if(|it| Arc::ptr_eq(it, &last));
        }
        let share = self.make_room().ok_or(StoreError::ListingsHeld)?;
        let made = Arc::new(EncodedListing::new(&store.list()?, share));
        if made.known_by.is_some() {
            *lock(&self.last) = Some(Arc::clone(&made));
        }
        Ok(made)
    }

    /// Keeps `listing` for a connection that waits for its client to read.
    pub(super) fn keep(&self, listing: Arc<EncodedListing>) -> Kept {
        let place = Arc::new(Mutex::new(Some(listing)));
        let mut waiting = lock(&self.waiting);
        waiting.retain(|it| it.strong_count() > 0);
        waiting.push_back(Arc::downgrade(&place));
        Kept(place)
    }

    /// Room for a listing of any size, if need be that of those who have waited longest; none if too much is being sent.
    fn make_room(&self) -> Option<Share> {
        loop {
            if let Some(share) = self.take_share() {
                return Some(share);
            }
            let waiting = lock(&self.waiting);
            let places = || waiting.iter().filter_map(Weak::upgrade);
            let longest = places().find_map(|it| lock(&it).clone())?;
            for place in places() {
                lock(&place).take_if(|it| Arc::ptr_eq(it, &longest));
            }
        }
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

impl Kept {
    /// To go on with it; none if its room was needed.
    pub(super) fn take(self) -> Option<Arc<EncodedListing>> {
        lock(&self.0).take()
    }
}

impl EncodedListing {
    fn new(listing: &Listing, mut share: Share) -> Self {
        let mut reply = Vec::new();
        reply::encode_list_start(&mut reply);
        for (index, name) in listing.names().enumerate() {
            reply::encode_list_item(&mut reply, name, index == 0);
        }
        reply::encode_list_end(&mut reply, listing.truncated());
        share.keep(reply.len() as u64);
        Self {
            reply: reply.into(),
            known_by: listing.known_by().cloned(),
            _share: share,
        }
    }

    /// With its terminator.
    pub(super) fn reply(&self) -> &[u8] {
        &self.reply
    }

    fn is_known_in(&self, store: &Store) -> bool {
        let is_known = |known_by| store.is_known_by(known_by);
        self.known_by.as_ref().is_some_and(is_known)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
