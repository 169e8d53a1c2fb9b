//! The command line: what can be typed. What it means is a [`crate::request::Request`].

mod args;
mod commands;
mod hidden;
mod parse;
mod preset;
pub(crate) mod request;
mod sections;
mod server_args;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::console;
use crate::exit::{Exit, Unusable};
use crate::measure;
use crate::request::Request;
use crate::run;

pub use commands::Command;

pub use args::{AxisArgs, MeasuringArgs, OutputArgs, ServerArgs};
use sections::SECTIONS;

/// Measures the file server in every combination of operation, volume, client pool and server pool: starts a
/// server for each, verifies every byte, and writes a table.
#[derive(Debug, Parser)]
#[command(
    name = "stress",
    version,
    after_help = manual::help(&SECTIONS),
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
        None => request::of(args, &argv).map(|request| Asked::Measure(Box::new(request))),
    });
    let result = match asked {
        Ok(Asked::Measure(request)) => run::run(&request),
        Ok(Asked::Command(command)) => command.run(),
        Err(error) => {
            return say_usage(&error);
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            console::say(format_args!("error: {error:#}"));
            match error.downcast_ref::<measure::Error>() {
                Some(measure::Error::Interrupted) => Exit::Interrupted.into(),
                _ if error.is::<Unusable>() => Exit::Usage.into(),
                _ => Exit::Harness.into(),
            }
        }
    }
}

/// Says what is wrong with what was typed; or help and the version, which are results.
fn say_usage(error: &clap::Error) -> ExitCode {
    let printed = match error.use_stderr() {
        true => error.print(),
        false => manual::stdout::check().and_then(|()| error.print()),
    };
    match (error.use_stderr(), console::forgive_closed(printed)) {
        (false, Err(error)) => {
            console::say(format_args!("error: {error:#}"));
            Exit::Harness.into()
        }
        _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
    }
}

#[cfg(test)]
mod tests;
