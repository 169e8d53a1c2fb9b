//! The command line: what can be typed. What it means is in [`request`].

mod args;
mod commands;
mod hidden;
mod parse;
mod preset;
pub mod request;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::exit::Exit;
use crate::fail_on::GRAMMAR;
use crate::run;

pub use commands::Command;
pub use preset::PlanName;

pub use args::{AxisArgs, MeasuringArgs, OutputArgs, ServerArgs};
use request::Request;

const EXAMPLES: &str = "\
Examples:
  stress                                      all 81 combinations
  stress --op upload --size 50M --clients 5   three: 1, 5 and 50 server workers
  stress --op download,upload --repeat 5      54 rows, five samples each
  stress --plan models                        which pool to choose: one page, in under five minutes
  stress --plan assignment                    54 rows for each pair of pools: 216
  stress --quick                              81 rows with small files
  stress --server-pool process,thread,event   all pools of our server: 243 rows
  stress --op download --fault none,silent-client:5,slow-client:1M:5,kill-worker
  stress --clients 7 --size 3M                other values: numbered from 1
  stress --resume                             go on with a run that was stopped
  stress --budget 45m --server-cmd '…'        as much of the table as fits, the cheap rows first
  stress --fail-on 'clients_failed>0,makespan_s>2'     for CI: exit 4 if a row is like that
  stress show                                 the newest run's table again
  stress verify results/*                     do all numbers follow from the journals?
  stress compare OLD NEW                      what changed, with intervals
  stress explain RUN 14                       where the time of row 14 went
  stress report --lang id                     the newest run's report, in Indonesian
  stress soak --time 60s                      kill workers, reload and upgrade under load
  stress --server-cmd 'python3 s.py -p {port} -w {workers} -d {root}'

Results, in results/<time>-<label>/, with results/latest pointing at the newest:
  summary.csv       one row a combination
  clients.csv       one row an operation
  run.json          machine, settings, and how it went
  journal.ndjson    every sample: the others are computed from it
  report.html       the report, and report.md; as a PDF, in Indonesian: stress report --help
  table.csv, .xlsx  the assignment's nine columns

Filters keep the numbers of the full plan. Sizes are read as GNU reads them: 50M = 50MiB is
52,428,800 bytes, 50MB is 50,000,000 bytes.";

const EXIT_CODES: &str = "\
Exit codes:
  0    every operation of every combination was verified
  1    the harness could not go on
  2    usage
  3    some combination failed or could not be run (a connection that --fault kill-worker cut is no
       failure), or the run does not verify
  4    a row is like a condition of --fail-on (this goes before 3)
  130  interrupted; the samples taken are kept, and --resume goes on";

/// Measures the file server in every combination of operation, volume, client pool and server pool: starts a
/// server for each, verifies every byte, and writes a table.
#[derive(Debug, Parser)]
#[command(
    name = "stress",
    version,
    after_help = format!("{EXAMPLES}\n\n{GRAMMAR}\n\n{EXIT_CODES}"),
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub struct Args {
    /// Something else than measuring a plan.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Which combinations.
    #[command(flatten)]
    pub axes: AxisArgs,
    /// How each combination is measured.
    #[command(flatten)]
    pub measuring: MeasuringArgs,
    /// What serves, and how both sides talk.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Where things go and what is shown.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What the command line asks for.
enum Asked {
    Measure(Box<Request>),
    Command(Command),
}

/// What is shown while measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar on a terminal, plain lines elsewhere.
    Auto,
    /// One line for every sample.
    Plain,
    /// Nothing.
    None,
}

/// Runs the program as this process's arguments say. Must be called before any thread starts, because one of
/// the hidden subcommands is our server, and servers fork.
#[must_use]
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = hidden::run(&argv) {
        return code;
    }
    let asked = Args::try_parse_from(&argv).and_then(|args| match args.command {
        Some(command) => Ok(Asked::Command(command)),
        None => Request::new(args, &argv).map(|request| Asked::Measure(Box::new(request))),
    });
    let result = match asked {
        Ok(Asked::Measure(request)) => run::run(&request),
        Ok(Asked::Command(command)) => command.run(),
        Err(error) => {
            // Help and version come this way too, with their own exit code.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.is::<run::Unusable>() {
                true => Exit::Usage.into(),
                false => Exit::Harness.into(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
