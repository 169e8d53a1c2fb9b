//! The soak: mixed load on our server while its workers are killed, its settings reloaded and its program
//! upgraded. Afterwards everything that was acknowledged must be there, whole, and the accounts of clients and
//! servers must agree.

mod client;
mod disruptions;
mod log;
mod register;
mod server;
mod shared;
mod verdict;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use stress_data::matrix::ServerPool;

use crate::corpus::Corpus;
use crate::corpus::workdir::WorkDir;

use client::{Client, Tally};
use disruptions::Disruptions;
use server::Server;
use shared::Contents;
pub(crate) use verdict::Verdict;

/// How long to soak, and in what.
#[derive(Debug)]
pub(crate) struct Soak {
    pub(crate) time: Duration,
    pub(crate) clients: u32,
    pub(crate) servers: u32,
    pub(crate) server_pool: ServerPool,
    pub(crate) size_max: u64,
    /// Zero for no kills.
    pub(crate) kill_every: Duration,
    pub(crate) reloads: u32,
    pub(crate) upgrades: u32,
    pub(crate) durability: String,
    pub(crate) seed: u64,
}

/// Soaks, and `say`s what is done to the server. Must be called on the main thread.
///
/// # Errors
/// What kept the harness from its work; a server that fails is an outcome.
pub(crate) fn soak(
    plan: &Soak,
    work: &WorkDir,
    interrupt: &AtomicBool,
    say: impl Fn(&str),
) -> Result<Verdict> {
    let cell = work.row()?;
    let mut server = Server::start(plan, &cell, interrupt)?;
    let address = server.address();
    let contents = Contents {
        corpus: Corpus::new(plan.seed),
        size_max: plan.size_max,
    };
    let is_over = AtomicBool::new(false);
    let started = Instant::now();
    let (tallies, disruptions) = thread::scope(|scope| {
        let clients: Vec<_> = (0..plan.clients)
            .map(|number| {
                let client = Client {
                    address,
                    contents: contents.clone(),
                    started,
                    random: plan.seed ^ (u64::from(number) << 32),
                    version: 0,
                    tally: Tally {
                        client: number,
                        ..Tally::default()
                    },
                };
                let is_over = &is_over;
                scope.spawn(move || client.run(is_over))
            })
            .collect();
        let disruptions = Disruptions::new(plan).run(&mut server, interrupt, say);
        is_over.store(true, Ordering::SeqCst);
        let tallies: Vec<Tally> = clients
            .into_iter()
            .map(|client| client.join().expect("a client does not panic"))
            .collect();
        (tallies, disruptions)
    });
    let soaked = started.elapsed();
    let ledgers = server.stop();
    Ok(Verdict::new(
        &tallies,
        &ledgers,
        &disruptions,
        &cell.root(),
        &contents,
        soaked,
    ))
}
