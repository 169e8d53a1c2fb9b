//! The soak: mixed load on our server while its workers are killed, its settings reloaded and its program
//! upgraded. Afterwards everything that was acknowledged must be there, whole, and the accounts of clients and
//! servers must agree.

mod chaos;
mod client;
mod log;
mod register;
mod server;
mod shared;
mod verdict;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use stress_data::matrix::{DURABILITIES, ServerPool};
use stress_data::size;

use crate::console::{print, say};
use crate::corpus::Corpus;
use crate::exit::Exit;
use crate::stops::catch_interrupts;
use crate::workdir;

use chaos::Chaos;
use client::{Client, Tally};
use server::Server;
use shared::Contents;
use verdict::Verdict;

/// Reloads, or upgrades, of one soak.
const CHANGES_MAX: u32 = 1_000_000;

/// How long to soak, and in what.
#[derive(Debug, Clone, clap::Args)]
pub struct SoakArgs {
    /// How long the load lasts.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = prefork_server::duration::parse)]
    pub time: Duration,

    /// Clients at work at the same time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = manual::whole(1..=1000_u32))]
    pub clients: u32,

    /// Server workers.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = manual::whole(1..=1000_u32))]
    pub servers: u32,

    /// What the workers are.
    #[arg(long, value_parser = crate::words::server_pool(), value_name = "POOL", default_value = "process")]
    pub server_pool: ServerPool,

    /// The largest file; sizes vary from nothing to this.
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = size::parse)]
    pub size: u64,

    /// The pause between two kills of a worker; 0s for none.
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = prefork_server::duration::parse)]
    pub kill_every: Duration,

    /// How often the settings are reloaded (HUP).
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = manual::whole(0..=CHANGES_MAX))]
    pub reloads: u32,

    /// How often the program is upgraded (USR2).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = manual::whole(0..=CHANGES_MAX))]
    pub upgrades: u32,

    /// What our server promises about uploads.
    #[arg(long, value_name = "WHAT", default_value = "none", value_parser = DURABILITIES)]
    pub durability: String,

    /// What contents, sizes and victims come from.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = manual::whole(0..=u64::MAX))]
    pub seed: u64,

    /// Where files are stored meanwhile; all of it is removed [default: results].
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = "results")]
    pub work_dir: PathBuf,

    /// Print the outcome as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Soaks. Must be called on the main thread.
///
/// # Errors
/// What kept the harness from its work; a server that fails is an outcome.
pub fn run(args: &SoakArgs) -> Result<Exit> {
    let interrupt = catch_interrupts()?;
    let (_made, work) = workdir::make(&args.work_dir)?;
    let cell = work.cell()?;
    let mut server = Server::start(args, &cell, &interrupt)?;
    let address = server.address();
    let contents = Contents {
        corpus: Corpus::new(args.seed),
        size_max: args.size,
    };
    let is_over = AtomicBool::new(false);
    let started = Instant::now();
    let (tallies, chaos) = thread::scope(|scope| {
        let clients: Vec<_> = (0..args.clients)
            .map(|number| {
                let client = Client::new(number, address, contents.clone(), args.seed, started);
                let is_over = &is_over;
                scope.spawn(move || client.run(is_over))
            })
            .collect();
        let chaos = Chaos::new(args).unleash(&mut server, &interrupt, |line| {
            if !args.json {
                say(line);
            }
        });
        is_over.store(true, Ordering::SeqCst);
        let tallies: Vec<Tally> = clients
            .into_iter()
            .map(|client| client.join().expect("a client does not panic"))
            .collect();
        (tallies, chaos)
    });
    let soaked = started.elapsed();
    let ledgers = server.stop();
    let verdict = Verdict::new(&tallies, &ledgers, &chaos, &cell.root(), &contents, soaked);
    if args.json {
        print(&format!("{}\n", verdict.to_json()))?;
    } else {
        print(&verdict.to_string())?;
    }
    Ok(match (interrupt.load(Ordering::SeqCst), verdict.holds()) {
        (_, false) => Exit::CellFailed,
        (true, true) => Exit::Interrupted,
        (false, true) => Exit::Verified,
    })
}
