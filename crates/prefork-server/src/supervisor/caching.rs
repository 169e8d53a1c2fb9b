//! The encoded cache, as the parent minds it: made at the start, cleared of what the dead held, emptied when memory is
//! short and when another server takes over.

use std::time::{Duration, Instant};

use procfs::{Current, Meminfo};

use super::Supervisor;
use crate::config::Config;
use crate::pool::descriptors;
use crate::shared::encoded_cache::EncodedCache;

/// How often it is looked whether the machine has memory left.
const LOOK: Duration = Duration::from_secs(1);

/// Of the machine's memory so much is to be available: no other can take back what the cache holds.
const AVAILABLE_MIN_PART: u64 = 16;

/// How soon it is tried again to give back memory that a worker was just using.
const AGAIN: Duration = Duration::from_millis(50);

/// What the parent remembers of it.
#[derive(Debug)]
pub(super) struct Caching {
    looked: Instant,
    /// Some of its memory could not be given back yet.
    is_to_be_emptied: bool,
}

impl Caching {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            looked: now,
            is_to_be_emptied: false,
        }
    }
}

/// Whether there is to be one, and room for its descriptors.
pub(super) fn is_to_be_made(config: &Config) -> bool {
    let has_room = bytes_max(config) == 0 || descriptors::has_room_for_cache(config);
    if !has_room {
        tracing::warn!(
            "--encoded-cache: RLIMIT_NOFILE leaves no descriptors for it; going on without a cache"
        );
    }
    has_room && bytes_max(config) > 0
}

/// How much it may hold: nothing unless it is asked for.
fn bytes_max(config: &Config) -> u64 {
    config.encoded_cache.unwrap_or(0)
}

/// The cache as the settings have it, for up to `readers` workers. If it cannot be had, the server does without.
pub(super) fn make(config: &Config, readers: u32) -> Option<EncodedCache> {
    match EncodedCache::new(bytes_max(config), readers) {
        Ok(cache) => Some(cache),
        Err(error) => {
            tracing::warn!(
                error = error.desc(),
                "--encoded-cache: its memory cannot be had; going on without a cache"
            );
            None
        }
    }
}

impl Supervisor {
    /// Gives memory back when it is short, and what could not be given back before.
    pub(super) fn mind_the_cache(&mut self) {
        let now = Instant::now();
        if now >= self.caching.looked + LOOK && self.inheritance.cache.is_some() {
            self.caching.looked = now;
            if is_memory_short() {
                self.empty_cache("the machine's memory is short");
            }
        }
        if let Some(cache) = &self.inheritance.cache {
            self.caching.is_to_be_emptied = !cache.is_empty_if_paused();
        }
    }

    /// When it is tried again to give memory back.
    pub(super) fn next_look_at_the_cache(&self) -> Option<Duration> {
        self.caching.is_to_be_emptied.then_some(AGAIN)
    }

    /// Memory is short: the cache gives its back, and takes none for a while.
    pub(super) fn empty_cache(&mut self, why: &str) {
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
    pub(super) fn close_cache(&mut self) {
        if let Some(cache) = &self.inheritance.cache {
            cache.close();
        }
    }
}

fn is_memory_short() -> bool {
    Meminfo::current().is_ok_and(|memory| {
        memory
            .mem_available
            .is_some_and(|available| available < memory.mem_total / AVAILABLE_MIN_PART)
    })
}
