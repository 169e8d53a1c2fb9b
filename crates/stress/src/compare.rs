//! `stress compare`: what changed between two runs, combination by combination, and whether it means anything.

mod matching;
pub mod shift;
mod text;
mod verdict;

use std::path::PathBuf;

use anyhow::Result;
use screen::Screen;
use stress_data::fingerprint::Fingerprint;
use stress_data::journal::Contents;
use stress_data::size;
use stress_data::summary::metric::Metric;
use stress_data::summary::{self, Row};

use crate::console::print;
use crate::exit::{Exit, Unusable};
use crate::{runs, words};

use matching::Matching;
use verdict::Change;

const NOTES: &str = "\
How it is judged:
  Rows are matched by what was measured (operation, volume, workers, pools, buffers, fault), not by
  number. An axis in which the runs differ as a whole, such as a foreign server against ours, is
  what is compared.
  The change is Hodges and Lehmann's: the median of the ratios of all new samples to all old ones
  that are ok. Its interval comes from the exact distribution of Mann and Whitney's U, at 95 % or as
  near as the samples allow: three and three give 90 %, one sample gives none.
  'no difference seen': the interval holds no change, or the change is within --noise, which is the
  same factor in both directions: 20 % more, or 17 % less. One in twenty intervals at 95 % misses by
  chance.

Exit codes:
  0    no regression
  1    a run cannot be read
  2    usage, or the runs have no combination in common
  4    a row is worse beyond --noise, or was ok and is not any more";

/// Which runs to compare, and how.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = manual::fitted(NOTES))]
pub struct CompareArgs {
    /// The run to compare with: its folder, or its name in --out.
    #[arg(value_name = "OLD", value_hint = clap::ValueHint::DirPath)]
    pub old: PathBuf,

    /// The run to compare.
    #[arg(value_name = "NEW", value_hint = clap::ValueHint::DirPath)]
    pub new: PathBuf,

    /// Changes up to this mean nothing, in percent.
    #[arg(long, value_name = "PERCENT", default_value = "20", value_parser = percent)]
    pub noise: f64,

    /// The figure that is compared, a column of summary.csv.
    #[arg(
        long,
        value_parser = words::metric(),
        value_name = "COLUMN",
        default_value = "time_per_client_s",
        hide_possible_values = false
    )]
    pub metric: Metric,

    /// Where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    pub out: PathBuf,

    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Compares, prints, and says whether something got worse.
///
/// # Errors
/// A run is not there or cannot be read, or the two have nothing in common.
pub fn run(args: &CompareArgs) -> Result<Exit> {
    let read = |named: &PathBuf| -> Result<(PathBuf, Contents)> {
        let run = runs::locate(Some(named), &args.out)?;
        let contents = Contents::read(&run)?;
        Ok((run, contents))
    };
    let ((old_run, old), (new_run, new)) = (read(&args.old)?, read(&args.new)?);
    let (old_rows, new_rows) = (summary::rows(&old), summary::rows(&new));
    let comparison = Comparison::new(
        (&old_run, &old, &old_rows),
        (&new_run, &new, &new_rows),
        args.metric,
        args.noise,
    )?;
    print(&match args.json {
        true => format!("{}\n", text::json(&comparison)),
        false => text::table(&comparison, Screen::stdout()),
    })?;
    Ok(match comparison.regressions() {
        0 => Exit::Verified,
        _ => Exit::Threshold,
    })
}

/// A run: its folder, what it says, its rows.
type Run<'a> = (&'a PathBuf, &'a Contents, &'a [Row]);

/// Two runs beside each other.
#[derive(Debug)]
struct Comparison<'a> {
    /// What the runs are called.
    names: (String, String),
    metric: Metric,
    /// As a share: 0.2 is 20 %.
    noise: f64,
    /// What differs in how and on what the runs were made: name, old, new.
    conditions: Vec<(String, String, String)>,
    matching: Matching<'a>,
    changes: Vec<Change<'a>>,
}

impl<'a> Comparison<'a> {
    fn new(old: Run<'a>, new: Run<'a>, metric: Metric, noise: f64) -> Result<Self> {
        let matching = Matching::new(old.2, new.2);
        if matching.pairs.is_empty() {
            let message = format!(
                "{} and {} have no combination of operation, volume and workers in common",
                runs::name(old.0),
                runs::name(new.0)
            );
            return Err(Unusable(message).into());
        }
        let pairs = matching.pairs.iter();
        let changes = pairs
            .map(|(old_row, new_row)| {
                Change::new((old_row, old.1), (new_row, new.1), metric, noise)
            })
            .collect();
        Ok(Self {
            names: (runs::name(old.0), runs::name(new.0)),
            metric,
            noise,
            conditions: conditions(&old.1.header.fingerprint, &new.1.header.fingerprint),
            matching,
            changes,
        })
    }

    fn regressions(&self) -> usize {
        let verdicts = self.changes.iter().map(|change| change.verdict);
        verdicts.filter(|verdict| verdict.is_regression()).count()
    }

    /// The geometric mean of all changes, and of how many.
    fn mean_ratio(&self) -> Option<(f64, usize)> {
        let ratios = self.changes.iter().filter_map(|change| change.shift);
        let logs: Vec<f64> = ratios.map(|shift| shift.ratio.ln()).collect();
        let len = logs.len();
        (len > 0).then(|| ((logs.iter().sum::<f64>() / len as f64).exp(), len))
    }
}

/// What besides the cells and their number is not the same.
fn conditions(old: &Fingerprint, new: &Fingerprint) -> Vec<(String, String, String)> {
    let mut found = old.conditions(new);
    let bytes = |text: &mut String| {
        if let Ok(bytes) = text.parse() {
            *text = size::approximate(bytes);
        }
    };
    for (name, old, new) in &mut found {
        if name == "memory_bytes" {
            bytes(old);
            bytes(new);
        }
    }
    // A few pages that another kernel keeps for itself are no difference to a reader.
    found.retain(|(_, old, new)| old != new);
    found
}

/// `20` or `20%`, as a share.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=1_000.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("write a percentage from 0 to 1000, such as 20 or 7.5%".into()),
    }
}

#[cfg(test)]
mod tests;
