//! `stress hostile`: which attacks, on which pools.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use cli_kit::output::{print, say};
use cli_kit::value::{any_duration, whole};
use screen::Screen;
use stress_data::matrix::ServerPool;

use super::exit::Exit;
use super::words;
use crate::corpus::workdir;
use crate::host::stops::catch_interrupts;
use crate::trials::hostile::{Setup, table, try_one, verdict, wanted};

/// What to try, on what.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HostileArgs {
    /// What the workers are (comma list) [default: all].
    #[arg(long, value_parser = words::server_pool(), value_delimiter = ',', value_name = "POOL")]
    server_pool: Vec<ServerPool>,

    /// Server workers; there are as many attackers.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole(1..=50_u32))]
    servers: u32,

    /// Only attacks with this word in their name.
    #[arg(long, value_name = "WORD")]
    only: Option<String>,

    /// The server's time for a request's head, and the window of its least rate.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = any_duration)]
    limit: Duration,

    /// Where files are served from meanwhile; all of it is removed.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = "results")]
    work_dir: PathBuf,

    /// Print Markdown, as in the documentation.
    #[arg(long)]
    markdown: bool,

    /// Print one JSON object an attack and pool.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
}

/// Attacks every pool in every way. Must be called on the main thread.
///
/// # Errors
/// What kept the harness from its work.
pub(super) fn run(args: &HostileArgs) -> Result<Exit> {
    let interrupt = catch_interrupts()?;
    let attacks = wanted(args.only.as_deref())?;
    let (_made, work) = workdir::make(&args.work_dir)?;
    let pools = match args.server_pool.is_empty() {
        true => &ServerPool::ALL[..],
        false => &args.server_pool,
    };
    let setup = Setup {
        servers: args.servers,
        limit: args.limit,
    };
    let mut findings = Vec::new();
    for attack in attacks {
        for pool in pools {
            say(format_args!("{}, {} pool", attack.name, pool.as_str()));
            let finding = try_one(attack, *pool, &setup, &work, &interrupt)?;
            if args.json {
                print(&format!("{}\n", serde_json::to_string(&finding)?))?;
            }
            findings.push(finding);
            if interrupt.load(Ordering::SeqCst) {
                return Ok(Exit::Interrupted);
            }
        }
    }
    let (verdict, screen) = (verdict(&findings), Screen::stdout());
    match (args.json, args.markdown) {
        (true, _) => say(verdict),
        (_, true) => print(&format!("{}\n{verdict}\n", table::markdown(&findings)))?,
        _ => print(&format!(
            "{}\n{}\n",
            table::render(&findings, screen),
            screen.wrapped(&verdict)
        ))?,
    }
    Ok(
        match findings.iter().all(|finding| finding.breach().is_none()) {
            true => Exit::Verified,
            false => Exit::RowFailed,
        },
    )
}
