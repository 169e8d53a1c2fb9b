//! `stress` without a subcommand: measures a plan, shows its table, verifies what was written, and says how it went.

mod args;
mod dry_run;
mod meaning;
mod parse;
mod preset;
mod server_args;
mod subjects;

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use cli_kit::output::{print, say};
use stress_data::fail_on::{self, Condition, Hit};
use stress_data::journal::Contents;
use stress_data::size;
use stress_data::summary::Row;

use super::exit::Exit;
use super::{report, show, verify};
use crate::run::request::Request;
use crate::run::{self, Ended, Measured};

use args::{AxisArgs, MeasuringArgs, OutputArgs, ServerArgs};
pub(super) use meaning::of;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    axes: AxisArgs,
    #[command(flatten)]
    measuring: MeasuringArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Measures what `args` ask for; `argv` is what was typed. Must be called on the main thread.
///
/// # Errors
/// A [`clap::Error`] or [`stress_data::Unusable`] if the user has to ask for something else; anything else that kept
/// the harness from its work.
pub(super) fn run(args: RunArgs, argv: &[OsString]) -> Result<Exit> {
    let (is_dry, is_json) = (args.output.dry_run, args.output.json);
    let fail_on = args.output.fail_on.clone();
    let request = of(args, argv)?;
    if is_dry {
        dry_run::print(&request, is_json)?;
        return Ok(Exit::Verified);
    }
    let measured = run::measure(&request)?;
    finish(&request, measured, is_json, &fail_on)
}

/// Writes the report, shows the table, verifies the run, and says how it went. What cannot be shown is said once
/// every file of the run is there.
fn finish(
    request: &Request,
    measured: Measured,
    is_json: bool,
    fail_on: &[Condition],
) -> Result<Exit> {
    let Measured { path, run, ended } = measured;
    let written = report::write_beside(&path, &run);
    let shown = print(&show::text(&run, is_json));
    if !matches!(ended, Ended::Complete) {
        let taken = turns_taken(&run.contents);
        let planned = request.plan.cells.len() * request.repeats as usize;
        say(format_args!(
            "stopped with {taken} of {} taken, which are kept. To go on:",
            size::counted(planned as u64, "sample")
        ));
        say(format_args!(
            "  {}",
            request.resume_command(&path.display().to_string())
        ));
    }
    let is_verified = is_verified(&path);
    if let Ended::Broken(error) = ended {
        return Err(error);
    }
    written?;
    shown?;
    let is_interrupted = matches!(ended, Ended::Interrupted);
    let is_passed = is_interrupted || is_passed(fail_on, &run.rows);
    if !is_json {
        print(&show::last_line(&path))?;
    }
    Ok(match () {
        () if is_interrupted => Exit::Interrupted,
        () if !is_verified => Exit::RowFailed,
        () if !is_passed => Exit::Threshold,
        () if !run.rows.iter().all(Row::is_as_expected) => Exit::RowFailed,
        () => Exit::Verified,
    })
}

/// Reads the run back and computes all of it again, as `stress verify` does; what does not fit is said.
fn is_verified(run: &Path) -> bool {
    let checked = verify::check(run);
    if !checked.findings.is_empty() {
        say(stress_data::verify::text(&checked).trim_end());
    }
    checked.findings.is_empty()
}

/// Whether no row is like any of `conditions`, and each of them was asked of something; else says why not.
fn is_passed(conditions: &[Condition], rows: &[Row]) -> bool {
    let hits = fail_on::hits(conditions, rows);
    say_hits(&hits);
    let unjudged = fail_on::unjudged(conditions, rows);
    unjudged.iter().for_each(say);
    hits.is_empty() && unjudged.is_empty()
}

fn say_hits(hits: &[Hit]) {
    const SHOWN_MAX: usize = 10;
    for hit in hits.iter().take(SHOWN_MAX) {
        say(hit);
    }
    if let Some(more @ 1..) = hits.len().checked_sub(SHOWN_MAX) {
        say(format_args!("… and {more} more"));
    }
}

fn turns_taken(contents: &Contents) -> usize {
    contents
        .samples
        .keys()
        .filter(|(number, repeat)| contents.is_taken(*number, *repeat))
        .count()
}
