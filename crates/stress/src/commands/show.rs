//! `stress show`: the table of a run again.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cli_kit::output::print;
use screen::Screen;
use stress_data::matrix::PlanName;
use stress_data::models;
use stress_data::run::Run;
use stress_data::summary;
use stress_report::{PAGE, subjects, table};

use super::exit::Exit;
use super::runs;

/// Which run to show.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ShowArgs {
    /// The run: its folder, or its name in --out [default: the newest].
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    run: Option<PathBuf>,

    /// Where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    out: PathBuf,

    /// Print the rows as JSON, one a line, instead of a table.
    #[arg(long)]
    json: bool,
}

/// Prints the table, computed from the journal.
///
/// # Errors
/// The run is not there or cannot be read.
pub(super) fn run(args: &ShowArgs) -> Result<Exit> {
    let run = runs::locate(args.run.as_deref(), &args.out)?;
    print(&text(&Run::read(&run)?, args.json))?;
    if !args.json {
        print(&last_line(&run))?;
    }
    Ok(Exit::Verified)
}

/// What is shown of a run, at its end and later: the table for whoever reads standard output, or the rows as JSON.
pub(super) fn text(run: &Run, is_json: bool) -> String {
    let Run { contents, rows, .. } = run;
    if is_json {
        return summary::csv::to_json_lines(rows);
    }
    let screen = Screen::stdout();
    let table = table::render(contents, rows, screen) + &subjects::text(run, screen);
    match contents.header.fingerprint.plan {
        PlanName::Models => format!("{table}\n{}", models::render(contents, rows, screen)),
        PlanName::Standard | PlanName::Assignment => table,
    }
}

/// What to open: the report of the run in the folder `run`, or the folder if there is none. Never wrapped: it is to be
/// copied.
pub(super) fn last_line(run: &Path) -> String {
    let report = run.join(PAGE);
    match report.is_file() {
        true => format!("report: {}\n", report.display()),
        false => format!("run: {}\n", run.display()),
    }
}
