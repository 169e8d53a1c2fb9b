//! The campaigns that show what the project promises. Each is a subcommand; docs/PROOF.md says what they have shown.

mod failures;
mod histories;
mod keep;
mod roster;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use keep::Keeper;

/// Runs a campaign: at length, or with --smoke in seconds.
///
/// A campaign consists of parts. Each that is done is a line of a file in the folder proof, and is not done again when
/// the same command is given again on the same commit. The exit code is 3 if something was violated.
#[derive(Debug, Parser)]
#[command(name = "proof")]
struct Cli {
    #[command(subcommand)]
    campaign: Campaign,

    /// The short version, which takes seconds and keeps nothing.
    #[arg(long, global = true)]
    smoke: bool,

    /// Where results are kept.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "proof",
        conflicts_with = "smoke"
    )]
    keep: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Campaign {
    /// Every string of up to 8 symbols behind each of some openings, and every way to split it: the same requests come
    /// of it.
    Wire,
    /// Every sequence of up to 7 events: the supervisor's decisions keep their rules.
    Roster,
    /// Clients upload, download, delete and list the same files while workers are killed: some order of what they did
    /// gives every answer.
    Histories,
    /// Every system call of the server, made to fail, one at a time, once and from then on: in a session, at the start,
    /// in a reload, an upgrade and a stop. Takes strace, and a quarter of an hour.
    Failures,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    if args.nth(1).is_some_and(|role| role == failures::SERVER) {
        let program = std::env::args_os().take(1);
        return prefork_server::main_with_args(program.chain(args));
    }
    match run(&Cli::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(3),
        Err(error) => {
            eprintln!("proof: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says how many violations there were.
fn run(cli: &Cli) -> Result<u64> {
    let keep = |name| match cli.smoke {
        true => Ok(Keeper::nowhere(name)),
        false => Keeper::open(&cli.keep, name),
    };
    match cli.campaign {
        Campaign::Wire => wire::run(keep("wire")?, cli.smoke),
        Campaign::Histories => histories::run(keep("histories")?, cli.smoke),
        Campaign::Roster => roster::run(keep("roster")?, cli.smoke),
        Campaign::Failures => failures::run(keep("failures")?, cli.smoke),
    }
}
