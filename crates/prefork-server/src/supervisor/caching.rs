//! The encoded cache, as the parent minds it: made at the start, cleared of what the dead held, emptied when memory is
//! short and when another server takes over.

use std::time::{Duration, Instant};

use super::{Supervisor, scarcity};
use crate::config::Config;
use crate::pool::descriptors;
use crate::shared::encoded_cache::EncodedCache;
use crate::store::Folder;

/// How often it is looked whether there is memory left, and whether files were put out.
const LOOK: Duration = Duration::from_secs(1);

/// The most that it takes of the memory there is, and what it takes unless it is told.
const ASKED_MAX_PART: u64 = 2;
const DEFAULT_PART: u64 = 8;
const DEFAULT_MAX: u64 = 512 << 20;

/// How soon it is tried again to give back memory that a worker was just using.
const AGAIN: Duration = Duration::from_millis(50);

/// What the parent remembers of it.
#[derive(Debug)]
pub(super) struct Caching {
    looked: Instant,
    /// Some of its memory could not be given back yet.
    is_in_use: bool,
}

impl Caching {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            looked: now,
            is_in_use: false,
        }
    }
}

/// How much the cache is to hold; 0 for none. It takes what it is told to, up to half of the memory there is; if it is told
/// nothing, an eighth and not too much. Nobody is to be refused for the descriptors that it takes.
pub(super) fn plan(config: &Config) -> u64 {
    let memory = scarcity::memory_bytes();
    let bytes_max = match (config.encoded_cache, memory) {
        (Some(asked), Some(memory)) if asked > memory / ASKED_MAX_PART => {
            let most = memory / ASKED_MAX_PART;
            tracing::warn!(
                "--encoded-cache: half of the memory that this server may have is {most} bytes, and it takes no more"
            );
            most
        }
        (Some(asked), _) => asked,
        // It would let a worker change what others send, which nothing else does there.
        (None, _) if config.read_only => 0,
        (None, memory) => memory.map_or(0, |it| it / DEFAULT_PART).min(DEFAULT_MAX),
    };
    if bytes_max == 0 || descriptors::has_room_for_cache(config) {
        return bytes_max;
    }
    if config.encoded_cache.is_some() {
        tracing::warn!(
            "--encoded-cache: RLIMIT_NOFILE leaves no descriptors for it; going on without a cache"
        );
    }
    0
}

/// A cache for so much of the folder's files, for up to `readers` workers. If it cannot be had, the server does without.
pub(super) fn make(
    bytes_max: u64,
    readers: u32,
    config: &Config,
    folder: &Folder,
) -> Option<EncodedCache> {
    if bytes_max == 0 {
        return None;
    }
    if !folder.stamps_changes_of_files() {
        if config.encoded_cache.is_some() {
            tracing::warn!(
                "--encoded-cache: this file system's times need not show that a file has changed; going on without a cache"
            );
        }
        return None;
    }
    EncodedCache::new(bytes_max, readers)
        .inspect_err(|error| {
            tracing::warn!(
                error = error.desc(),
                "--encoded-cache: its memory cannot be had; going on without a cache"
            );
        })
        .ok()
}

impl Supervisor {
    /// Gives back the memory of files that were put out, and of all when memory is short.
    pub(super) fn mind_the_cache(&mut self) {
        let Some(cache) = &self.inheritance.cache else {
            return;
        };
        let now = Instant::now();
        if now >= self.caching.looked + LOOK {
            self.caching.looked = now;
            if cache.bytes() > 0 && scarcity::is_memory_short() {
                self.empty_cache("memory is short");
            }
        }
        self.caching.is_in_use = !cache.give_back();
    }

    /// When it is looked at next.
    pub(super) fn next_look_at_the_cache(&self, now: Instant) -> Option<Instant> {
        let Caching { looked, is_in_use } = self.caching;
        let at = if is_in_use {
            now + AGAIN
        } else {
            looked + LOOK
        };
        self.inheritance.cache.as_ref().map(|_| at)
    }

    /// Memory is short: the cache gives its back, and takes none for a while.
    pub(super) fn empty_cache(&self, why: &str) {
        let Some(cache) = self
            .inheritance
            .cache
            .as_ref()
            .filter(|cache| cache.bytes() > 0)
        else {
            return;
        };
        tracing::warn!(
            bytes = cache.bytes(),
            "{why}: the encoded cache is emptied, and rests for a minute"
        );
        cache.pause();
    }

    /// Another server has taken over, and has a cache of its own.
    pub(super) fn close_cache(&self) {
        if let Some(cache) = &self.inheritance.cache {
            cache.close();
        }
    }
}
