//! What the suite shows in short, at length: run by name, `cargo test -p prefork-server --test campaigns`, as CI does.

#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the root from outside the store"
)]

#[path = "../suite/asking/mod.rs"]
#[expect(dead_code, reason = "written for all modules of the suite")]
mod asking;
#[path = "../suite/encoded_cache/changes.rs"]
mod changes;
#[path = "../suite/downloads.rs"]
mod downloads;
#[path = "../suite/encoded_cache/kills.rs"]
mod kills;
#[path = "../suite/races/mod.rs"]
mod races;
#[path = "../suite/support.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "written for all modules of the suite"
)]
mod support;

const RACE: races::Length = races::Length {
    flips: 100_000,
    requests: 3_000,
};

const CACHE_KILLS: u64 = 400;
const CACHE_CHANGES: u64 = 5;
