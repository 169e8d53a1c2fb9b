//! `stress show`: the table of a run again.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cli::PlanName;
use crate::console::print;
use crate::exit::Exit;
use crate::journal::Contents;
use crate::summary::Row;
use crate::{models, runs, summary, table};

/// Which run to show.
#[derive(Debug, Clone, clap::Args)]
pub struct ShowArgs {
    /// The run: its folder, or its name in --out [default: the newest].
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    pub run: Option<PathBuf>,

    /// Where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    pub out: PathBuf,

    /// Print the rows as JSON, one a line, instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Prints the table, computed from the journal.
///
/// # Errors
/// The run is not there or cannot be read.
pub fn run(args: &ShowArgs) -> Result<Exit> {
    let run = runs::locate(args.run.as_deref(), &args.out)?;
    let contents = Contents::read(&run)?;
    let rows = summary::rows(&contents);
    print(&text(&contents, &rows, &run, args.json))?;
    Ok(Exit::Verified)
}

/// Whether standard output is a terminal that shows colours, and is wanted to: <https://no-color.org>.
fn is_colourful() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !is_dumb && !is_unwanted
}

/// What is shown of a run in the folder `run`, at its end and later: the table for whoever reads standard output,
/// or the rows as JSON.
pub(crate) fn text(contents: &Contents, rows: &[Row], run: &Path, is_json: bool) -> String {
    if is_json {
        return summary::csv::to_json_lines(rows);
    }
    let run = run.display().to_string();
    let table = table::render(contents, rows, &run, is_colourful());
    match contents.header.fingerprint.plan {
        PlanName::Models => format!("{table}\n{}", models::render(contents, rows, false)),
        PlanName::Standard | PlanName::Assignment => table,
    }
}
