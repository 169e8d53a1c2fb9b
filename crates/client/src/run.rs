//! From the command line to an exit code: one file after another, whatever becomes of each.

mod delete;
mod get;
mod list;
mod upload;

use std::borrow::Borrow;
use std::io;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::CommandFactory;
use clap::error::ErrorKind;
use cli_kit::output::{self, say};
use client::FileName;

use crate::cli::{Args, Command, SECTIONS};
use crate::exit::Exit;
use crate::interrupt::Signals;
use crate::link::Link;
use crate::outcome::{Done, Failure, Operation, Outcome};
use crate::progress::Display;
use crate::report::{self, Style};
use crate::text::plain;

/// Runs the program as its arguments say.
pub(crate) fn main() -> ExitCode {
    let result = Args::read().map_err(End::Usage).and_then(|args| run(&args));
    match result {
        Ok(exit) => exit.into(),
        // Help and version come this way too, with their own exit code.
        Err(End::Usage(said)) => match output::print_usage(&said) {
            Ok(code) => code.into(),
            Err(error) => failed(error.into()),
        },
        Err(end) => failed(end),
    }
}

fn failed(end: End) -> ExitCode {
    if let End::Error(error) = end
        // Whoever read standard output has seen enough: nothing to complain about.
        && !error.downcast_ref().is_some_and(output::is_closed)
    {
        say(format_args!("error: {error:#}"));
    }
    Exit::Failed.into()
}

/// Why there are no outcomes to report.
enum End {
    Usage(clap::Error),
    Error(anyhow::Error),
}

impl End {
    fn usage(message: String) -> Self {
        let message = format!("{message}\n\nFor more information, try '--help'.\n");
        Self::Usage(clap::Error::raw(ErrorKind::ValueValidation, message))
    }
}

impl<E: Into<anyhow::Error>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// What every operation needs.
struct Run<'a> {
    link: Link<'a>,
    signals: &'a Signals,
    display: Display,
    style: Style,
}

impl Run<'_> {
    /// A failure after a signal is the signal's.
    fn explain(&self, failure: Failure) -> Failure {
        match self.signals.came() {
            true => failure.by_interrupt(),
            false => failure,
        }
    }
}

fn run(args: &Args) -> Result<Exit, End> {
    let common = &args.common;
    if args.needs_stdout() {
        // Before anything is asked of the server: nobody would learn what became of it.
        output::check().map_err(unprinted)?;
    }
    let signals = Signals::watch().context("cannot watch for signals")?;
    let mut run = Run {
        link: Link::new(&common.server, args.options(), &signals),
        signals: &signals,
        display: Display::choose(common.quiet || common.json),
        style: match (common.json, common.quiet) {
            (true, _) => Style::Json,
            (false, true) => Style::Quiet,
            (false, false) => Style::Lines,
        },
    };
    match &args.command {
        Command::Handout(handout) => {
            handout.print(Args::command(), &SECTIONS)?;
            Ok(Exit::Done)
        }
        Command::List(_) => list::run(&mut run).map_err(unprinted),
        Command::Get(get) => {
            let target = get::Output::choose(get, common.json).map_err(End::usage)?;
            let one = |run: &mut Run<'_>, name: &FileName| get::one(run, name, &target, get);
            each(&mut run, Operation::Get, &get.names, one).map_err(unprinted)
        }
        Command::Upload(upload) => {
            let files = upload::plan(upload).map_err(End::usage)?;
            each(&mut run, Operation::Upload, &files, upload::one).map_err(unprinted)
        }
        Command::Delete(delete) => {
            each(&mut run, Operation::Delete, &delete.names, delete::one).map_err(unprinted)
        }
    }
}

/// Standard output did not take what is there to be read.
fn unprinted(error: io::Error) -> End {
    match output::is_closed(&error) {
        true => End::from(error),
        false => End::Error(anyhow!(
            "cannot write to standard output: {}",
            plain(&error)
        )),
    }
}

/// Goes through all items. Only a lost server or an interrupt keeps the rest from being tried.
fn each<T: Borrow<FileName>>(
    run: &mut Run<'_>,
    operation: Operation,
    items: &[T],
    one: impl Fn(&mut Run<'_>, &T) -> Result<Done, Failure>,
) -> io::Result<Exit> {
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(items.len());
    let mut has_ended = false;
    for item in items {
        has_ended |= run.signals.came();
        let result = match has_ended {
            true => Err(Failure::not_tried()),
            false => one(run, item).map_err(|failure| run.explain(failure)),
        };
        has_ended |= result.as_ref().is_err_and(Failure::ends_run);
        let outcome = Outcome {
            operation,
            name: item.borrow().to_string(),
            result,
        };
        report::file(run.style, &outcome)?;
        outcomes.push(outcome);
    }
    report::summary(run.style, &outcomes);
    match Exit::of(&outcomes) {
        Exit::Done => Ok(Exit::Done),
        _ if run.signals.came() => Ok(Exit::Interrupted),
        exit => Ok(exit),
    }
}
