//! The real server, on port 0, over real sockets: one test program, one module a topic.

#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the root from outside the store"
)]

mod support;
mod trace;

mod access_log;
mod addresses;
mod admin;
mod asking;
mod defer_accept;
mod downloads;
mod durability;
mod encoded_cache;
mod event;
mod examples;
mod exhaustion;
mod few_descriptors;
mod foreign;
mod gone;
mod groups;
mod handouts;
mod hardening;
mod hung_disk;
mod ledger;
mod life_cycle;
mod limits;
mod listings;
mod load;
mod log_file;
mod malformed;
mod mistakes;
mod quota;
mod races;
mod read_only;
mod ready;
mod reload;
mod removal;
mod root;
mod set_aside;
mod status;
mod succession;
mod supervision;
mod takeover;
mod titles;
mod transfer;
mod turns;
mod two_servers;
mod upgrade;
mod waits;

/// Here a race is short; `--test campaigns` runs the same one at length.
const RACE: races::Length = races::Length {
    flips: 2_000,
    requests: 500,
};

/// The same of the workers that are killed under the cache, and of the times that its files change under their readers.
const CACHE_KILLS: u64 = 12;
const CACHE_CHANGES: u64 = 1;
