//! `stress compare`: which two runs, and what is said of them.

use std::path::PathBuf;

use anyhow::Result;
use cli_kit::output::print;
use screen::Screen;
use stress_data::Unusable;
use stress_data::compare::Comparison;
use stress_data::run::Run;
use stress_data::summary::metric::Metric;
use stress_report::compare::{json, table};

use super::exit::Exit;
use super::{runs, words};

const NOTES: &str = "\
How it is judged:
  Rows are matched by what was measured (operation, volume, workers, pools, buffers, fault), not by
  number. An axis in which the runs differ as a whole, such as a foreign server against ours, is
  what is compared.
  The change is Hodges and Lehmann's: the median of the ratios of all new samples to all old ones
  that are ok. Its interval comes from the exact distribution of Mann and Whitney's U, at 95 % or as
  near as the samples allow: three and three give 90 %, one sample gives none.
  Noise is measured by the runs' own samples. The geometric means of all rows and of each operation
  are compared with what random exchanges of the two sides give, at 5 % for all of them together. A
  row 'differs' if shuffled samples give as much in any row in 5 % of the shuffles at most, and else
  'needs 7 repeats'. Two runs are made one after the other: what differs may be the machine.

Subjects of one run (stress --subject):
  With one RUN, its subjects are compared with the first, and are 'better' or 'worse': they were
  measured in turns. A row's ratio is of pairs, the two samples of each round; its interval is that
  of Wilcoxon's signed ranks: three rounds give 75 %, six 97 %. Subjects of two runs are matched by
  their names.

Exit codes:
  0    no regression
  1    a run cannot be read
  2    usage, or the runs have no row in common, or the only run no subjects
  4    a mean or a row differs to the bad by more than chance gives, or a row was ok and is not any
       more";

/// Which runs to compare, and how.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = cli_kit::fitted(NOTES))]
pub(super) struct CompareArgs {
    /// The run to compare with: its folder, or its name in --out.
    #[arg(value_name = "OLD", value_hint = clap::ValueHint::DirPath)]
    old: PathBuf,

    /// The run to compare; without it the subjects of one run are compared.
    #[arg(value_name = "NEW", value_hint = clap::ValueHint::DirPath)]
    new: Option<PathBuf>,

    /// Which subjects of one run are compared, by the names they were given; the first is the reference [default: all with
    /// the first].
    #[arg(long, value_name = "NAME", conflicts_with = "new")]
    subject: Vec<String>,

    /// The figure that is compared, a column of summary.csv.
    #[arg(
        long,
        value_parser = words::metric(),
        value_name = "COLUMN",
        default_value = "time_per_client_s",
        hide_possible_values = false
    )]
    metric: Metric,

    /// Where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    out: PathBuf,

    /// Print one JSON object; of the subjects of a run, one a line for each but the reference.
    #[arg(long)]
    json: bool,
}

/// Compares, prints, and says whether something got worse.
///
/// # Errors
/// A run is not there or cannot be read, or the two have nothing in common.
pub(super) fn run(args: &CompareArgs) -> Result<Exit> {
    let read =
        |named: &PathBuf| -> Result<Run> { Ok(Run::read(&runs::locate(Some(named), &args.out)?)?) };
    let old = read(&args.old)?;
    let Some(new) = &args.new else {
        return subjects(&old, args);
    };
    let new = read(new)?;
    let comparison = Comparison::new(&old, &new, args.metric)?;
    print(&match args.json {
        true => format!("{}\n", json(&comparison)),
        false => table(&comparison, Screen::stdout()),
    })?;
    Ok(exit(comparison.is_worse()))
}

/// The subjects of one run, each with the reference.
fn subjects(run: &Run, args: &CompareArgs) -> Result<Exit> {
    let all = run.subjects().iter().map(|it| it.name.as_str());
    let named = args.subject.iter().map(String::as_str);
    let names: Vec<&str> = match args.subject.is_empty() {
        true => all.collect(),
        false => named.collect(),
    };
    let (reference, others) = match &names[..] {
        [reference, others @ ..] if !others.is_empty() => (*reference, others),
        [one] => {
            let message = format!("--subject {one}: name another one, which it is compared with");
            return Err(Unusable(message).into());
        }
        // Says that the run has none.
        _ => ("", &[""][..]),
    };
    let compare = |name| Comparison::of_subjects(run, [reference, name], args.metric);
    let comparisons = others.iter().copied().map(compare);
    let comparisons: Vec<Comparison<'_>> = comparisons.collect::<Result<_, Unusable>>()?;
    print(&match args.json {
        true => {
            let lines = comparisons.iter().map(|it| format!("{}\n", json(it)));
            lines.collect()
        }
        false => {
            let tables = comparisons.iter();
            let tables = tables.map(|it| table(it, Screen::stdout()));
            tables.collect::<Vec<_>>().join("\n")
        }
    })?;
    Ok(exit(comparisons.iter().any(Comparison::is_worse)))
}

const fn exit(is_worse: bool) -> Exit {
    match is_worse {
        false => Exit::Verified,
        true => Exit::Threshold,
    }
}
