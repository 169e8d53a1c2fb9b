//! `stress explain`: which row of which run, and what is said of it.

use std::path::PathBuf;

use anyhow::Result;
use cli_kit::output::print;
use screen::Screen;
use stress_data::run::Run;
use stress_report::explain::Explanation;

use super::exit::Exit;
use super::runs;

/// Which row to explain.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ExplainArgs {
    /// The run: its folder, or its name in --out.
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    run: PathBuf,

    /// The row, by the number in the table's first column.
    #[arg(value_name = "ROW", value_parser = cli_kit::value::whole(1..=u32::MAX))]
    row: u32,

    /// The sample to look into, from 0 [default: the one in the middle, or the worst of a row that is not ok].
    #[arg(long, value_name = "N", value_parser = cli_kit::value::whole(0..=u32::MAX))]
    repeat: Option<u32>,

    /// Show all records, however many.
    #[arg(long)]
    all: bool,

    /// Where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    out: PathBuf,

    /// Print one JSON object: the row, the sentences and the records.
    #[arg(long)]
    json: bool,
}

/// Prints the explanation.
///
/// # Errors
/// The run is not there or cannot be read, or has no such row or sample.
pub(super) fn run(args: &ExplainArgs) -> Result<Exit> {
    let run = Run::read(&runs::locate(Some(&args.run), &args.out)?)?;
    let explanation = Explanation::new(&run, args.row, args.repeat)?;
    print(&match args.json {
        true => format!("{}\n", explanation.json()),
        false => explanation.text(&run.name, args.all, Screen::stdout()),
    })?;
    Ok(Exit::Verified)
}
