//! `stress rank`: which runs, and in which order they come.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cli_kit::output::print;
use screen::Screen;
use stress_data::derived;
use stress_data::rank::{HandIn, Standing, rank};
use stress_data::run::Run;
use stress_data::verify;
use stress_data::verify::class::members;
use stress_report::rank::{json_lines, page, text};

use super::exit::Exit;
use super::{runs, verify as verifying};
use crate::run::results;

const NOTES: &str = "\
How it is ranked:
  Each run must have measured its server beside a reference that all of them have, in turns:
  stress --subject ours=ours --subject mine='python3 server.py --port {port} --root {root}'
  The ratio is a client's time over the reference's in the same rounds, the geometric mean of all
  rows that are ok on both sides, with where it lies at 95 %; the least comes first. Times of two
  runs are never compared: machines differ by two.
  Not comparable is a run that has no reference, other rows than most runs, or a reference that was
  measured otherwise than in most. Not verified, and not ranked, is what 'stress verify' does not
  accept, and who has samples of another run. All of these are listed, with the reason.

Exit codes:
  0    every run is ranked
  2    usage, or a run that is named is not there (the others are ranked all the same)
  3    a run is not ranked";

/// Which runs to rank.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = cli_kit::fitted(NOTES))]
pub(super) struct RankArgs {
    /// The runs: their folders, or their names in --out.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// The subject that the others are related to [default: the one that is our server, or else the first].
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,

    /// Write the ranking as a page, too.
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,

    /// Where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    out: PathBuf,

    /// Print one JSON object a line, for each subject that is ranked and each run that is not.
    #[arg(long)]
    json: bool,
}

/// Ranks all runs that are named.
///
/// # Errors
/// No run is named, or the page cannot be written.
pub(super) fn run(args: &RankArgs) -> Result<Exit> {
    let (folders, missing) = verifying::folders(&args.runs, &args.out)?;
    let checked: Vec<_> = folders.iter().map(|run| verifying::check(run)).collect();
    let members = members(&checked, &verify::copies(&checked));
    let hand_ins = checked.into_iter().zip(members);
    let hand_in = |(checked, member): (verify::Checked, _)| HandIn {
        run: Run::read(&checked.run).ok(),
        checked,
        member,
    };
    let hand_ins: Vec<HandIn> = hand_ins.map(hand_in).collect();
    let entries = rank(&hand_ins, args.reference.as_deref());
    if let Some(file) = &args.output {
        write(file, &page(&hand_ins, &entries))?;
    }
    print(&match args.json {
        true => json_lines(&hand_ins, &entries),
        false => text(&hand_ins, &entries, Screen::stdout()),
    })?;
    let is_ranked = |it: &stress_data::rank::Entry| matches!(it.standing, Standing::Ranked { .. });
    Ok(match entries.iter().all(is_ranked) {
        true => missing.unwrap_or(Exit::Verified),
        false => missing.unwrap_or(Exit::RowFailed),
    })
}

/// Whole or not at all.
fn write(file: &Path, page: &str) -> Result<()> {
    let parent = file.parent().filter(|parent| *parent != Path::new(""));
    let parent = parent.unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|error| results::unusable(parent, &error))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(derived::replace(parent, &name, |out| {
        out.write_all(page.as_bytes())
    })?)
}
