//! `stress soak`: how long, and in what.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use cli_kit::output::{print, say};
use cli_kit::value::{any_duration, whole};
use stress_data::matrix::{DURABILITIES, ServerPool};
use stress_data::size;

use super::exit::Exit;
use super::words;
use crate::corpus::workdir;
use crate::host::stops::catch_interrupts;
use crate::trials::soak::{Soak, soak};

/// Reloads, or upgrades, of one soak.
const CHANGES_MAX: u32 = 1_000_000;

/// How long to soak, and in what.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SoakArgs {
    /// How long the load lasts.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = any_duration)]
    time: Duration,

    /// Clients at work at the same time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = whole(1..=1000_u32))]
    clients: u32,

    /// Server workers.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole(1..=1000_u32))]
    servers: u32,

    /// What the workers are.
    #[arg(long, value_parser = words::server_pool(), value_name = "POOL", default_value = "process")]
    server_pool: ServerPool,

    /// The largest file; sizes vary from nothing to this.
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = size::parse)]
    size: u64,

    /// The pause between two kills of a worker; 0s for none.
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = any_duration)]
    kill_every: Duration,

    /// How often the settings are reloaded (HUP).
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = whole(0..=CHANGES_MAX))]
    reloads: u32,

    /// How often the program is upgraded (USR2).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0..=CHANGES_MAX))]
    upgrades: u32,

    /// What our server promises about uploads.
    #[arg(long, value_name = "WHAT", default_value = "none", value_parser = DURABILITIES)]
    durability: String,

    /// The seed of contents, sizes and victims.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0..=u64::MAX))]
    seed: u64,

    /// Where files are stored meanwhile; all of it is removed.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = "results")]
    work_dir: PathBuf,

    /// Print the outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Soaks. Must be called on the main thread.
///
/// # Errors
/// What kept the harness from its work; a server that fails is an outcome.
pub(super) fn run(args: &SoakArgs) -> Result<Exit> {
    let interrupt = catch_interrupts()?;
    let (_made, work) = workdir::make(&args.work_dir)?;
    let plan = Soak {
        time: args.time,
        clients: args.clients,
        servers: args.servers,
        server_pool: args.server_pool,
        size_max: args.size,
        kill_every: args.kill_every,
        reloads: args.reloads,
        upgrades: args.upgrades,
        durability: args.durability.clone(),
        seed: args.seed,
    };
    let verdict = soak(&plan, &work, &interrupt, |line| {
        if !args.json {
            say(line);
        }
    })?;
    print(&match args.json {
        true => format!("{}\n", verdict.to_json()),
        false => verdict.to_string(),
    })?;
    Ok(match (interrupt.load(Ordering::SeqCst), verdict.holds()) {
        (_, false) => Exit::RowFailed,
        (true, true) => Exit::Interrupted,
        (false, true) => Exit::Verified,
    })
}
