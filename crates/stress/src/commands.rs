//! The command line: what can be typed, one file a subcommand: its arguments, whose comments are its help, and what it
//! does. What a run is asked for is a [`Request`](crate::run::request::Request), which knows no command line.

mod baseline;
mod compare;
mod exit;
mod explain;
mod hostile;
mod rank;
mod recheck;
mod report;
mod roles;
mod run;
mod runs;
mod sections;
mod show;
mod soak;
mod verify;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use cli_kit::Handout;
use cli_kit::output;
use stress_data::Unusable;

use crate::run::measure;
use exit::Exit;
use sections::SECTIONS;

/// Measures the file server in every combination of operation, volume, client pool and server pool: starts a
/// server for each, verifies every byte, and writes a table.
#[derive(Debug, Parser)]
#[command(
    name = "stress",
    version,
    after_help = cli_kit::help(&SECTIONS),
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the table of a run again: the newest, or the one named.
    Show(show::ShowArgs),
    /// Compute every number of runs again from their journals, check that both sides' accounts agree, and find
    /// runs whose records are copies of one another.
    Verify(verify::VerifyArgs),
    /// Say what changed between two runs, row by row, with an interval; exit 4 on a regression.
    Compare(compare::CompareArgs),
    /// Rank runs, such as those of a class, by how long their servers take beside a reference in the same run.
    Rank(rank::RankArgs),
    /// Measure some rows of a run again and say whether its ratios hold on this machine.
    Recheck(recheck::RecheckArgs),
    /// Say in sentences where the time of a row went.
    Explain(explain::ExplainArgs),
    /// Keep our server under mixed load while its workers are killed, its settings reloaded and its program
    /// upgraded; then check that nothing acknowledged was lost and that both sides' accounts agree.
    Soak(soak::SoakArgs),
    /// Attack our server with hostile clients (silent, slow, greedy), and show how each ends and what a good
    /// client sees meanwhile, under each pool.
    Hostile(hostile::HostileArgs),
    /// Measure this machine's ceilings: bytes through the loopback over 1, 5 and 50 connections, and through the
    /// page cache. With --baseline a run does that first, and every row shows its fraction.
    Baseline(baseline::BaselineArgs),
    /// Render the report of a run, or of several side by side, from the journal alone: a page, Markdown,
    /// spreadsheets, and a PDF.
    Report(Box<report::ReportArgs>),
    /// A script for a shell, or the manual.
    #[command(flatten)]
    Handout(Handout),
}

/// Runs the program as this process's arguments say. Must be called before any thread starts, because one of
/// the hidden subcommands is our server, and servers fork.
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = roles::run(&argv) {
        return code;
    }
    let result = match Args::try_parse_from(&argv) {
        Ok(args) => dispatch(args, &argv),
        Err(error) => Err(error.into()),
    };
    let error = match result {
        Ok(exit) => return exit.into(),
        Err(error) => error,
    };
    let error = match error
        .downcast::<clap::Error>()
        .map(|said| output::print_usage(&said))
    {
        Ok(Ok(code)) => return code.into(),
        Ok(Err(error)) => error.into(),
        Err(error) => error,
    };
    output::say(format_args!("error: {error:#}"));
    match error.downcast_ref::<measure::Error>() {
        Some(measure::Error::Interrupted) => Exit::Interrupted.into(),
        _ if error.is::<Unusable>() => Exit::Usage.into(),
        _ => Exit::Harness.into(),
    }
}

fn dispatch(args: Args, argv: &[OsString]) -> Result<Exit> {
    match args.command {
        None => run::run(args.run, argv),
        Some(Command::Show(args)) => show::run(&args),
        Some(Command::Verify(args)) => verify::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Rank(args)) => rank::run(&args),
        Some(Command::Recheck(args)) => recheck::run(&args),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Soak(args)) => soak::run(&args),
        Some(Command::Hostile(args)) => hostile::run(&args),
        Some(Command::Baseline(args)) => baseline::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Handout(handout)) => {
            handout.print(Args::command(), &SECTIONS)?;
            Ok(Exit::Verified)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
