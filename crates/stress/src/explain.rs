//! `stress explain`: where the time of a row went, in sentences, with the records they come from.

mod parts;
mod sentences;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::console::print;
use crate::exit::Exit;
use crate::journal::{Contents, Sample};
use crate::record::Record;
use crate::run::Unusable;
use crate::runs;
use crate::summary::csv::{format_seconds, outcome_word, to_json};
use crate::summary::{self, Brief, Row};

/// Of a sample's records no more than this are shown, unless all are asked for.
const RECORDS_SHOWN_MAX: usize = 20;

/// Which row to explain.
#[derive(Debug, Clone, clap::Args)]
pub struct ExplainArgs {
    /// The run: its folder, or its name in --out.
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    pub run: PathBuf,

    /// The row, by the number in the table's first column.
    #[arg(value_name = "ROW")]
    pub row: u32,

    /// The sample to look into, from 0 [default: the one in the middle, or the worst of a row that is not ok].
    #[arg(long, value_name = "N")]
    pub repeat: Option<u32>,

    /// Show all records, however many.
    #[arg(long)]
    pub all: bool,

    /// Where runs are looked for by name.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = runs::OUT)]
    pub out: PathBuf,

    /// Print one JSON object: the row, the sentences and the records.
    #[arg(long)]
    pub json: bool,
}

/// Prints the explanation.
///
/// # Errors
/// The run is not there or cannot be read, or has no such row or sample.
pub fn run(args: &ExplainArgs) -> Result<Exit> {
    let run = runs::locate(Some(&args.run), &args.out)?;
    let contents = Contents::read(&run)?;
    let rows = summary::rows(&contents);
    let row = rows.iter().find(|row| row.cell.number == args.row);
    let Some(row) = row else {
        return Err(no_row(&rows, args.row).into());
    };
    let sample = sample(&contents, row, args.repeat)?;
    let explanation = Explanation {
        sentences: sentences::of(&contents, row, sample),
        row,
        sample,
    };
    print(&match args.json {
        true => format!("{}\n", explanation.json()),
        false => explanation.text(&runs::name(&run), args.all),
    })?;
    Ok(Exit::Verified)
}

fn no_row(rows: &[Row], number: u32) -> Unusable {
    const SHOWN_MAX: usize = 30;
    let numbers = rows.iter().map(|row| row.cell.number);
    let (first, last) = (numbers.clone().min(), numbers.clone().max());
    let which = match rows.len() {
        ..=SHOWN_MAX => numbers
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .join(", "),
        _ => format!(
            "{} of {} to {}",
            rows.len(),
            first.unwrap_or(0),
            last.unwrap_or(0)
        ),
    };
    Unusable(format!(
        "there is no row {number} in the run; its rows are {which}"
    ))
}

/// The sample to look into; none of a row that was not run.
fn sample<'a>(
    contents: &'a Contents,
    row: &Row,
    repeat: Option<u32>,
) -> Result<Option<&'a Sample>, Unusable> {
    let number = row.cell.number;
    let all = contents.samples.range((number, 0)..=(number, u32::MAX));
    let all: Vec<&Sample> = all.map(|(_, sample)| sample).collect();
    if let Some(repeat) = repeat {
        let mut found = all.into_iter();
        let found = found.find(|sample| sample.measurement.repeat == repeat);
        return found.map(Some).ok_or_else(|| {
            Unusable(format!(
                "--repeat: row {number} has no sample {repeat}; they count from 0, and {} planned",
                match row.repeats {
                    1 => "1 is".into(),
                    repeats => format!("{repeats} are"),
                }
            ))
        });
    }
    let settings = &contents.header.fingerprint.settings;
    let taken = || all.iter().copied().filter(|sample| sample.is_taken());
    let trouble = taken().find(|sample| sample.measurement.status == row.status);
    let middle = row.time_ns.map(|time| Duration::from_nanos(time.median));
    let distance = |sample: &&Sample| {
        let time = Brief::new(sample, settings).time;
        time.zip(middle)
            .map_or(Duration::MAX, |(time, middle)| time.abs_diff(middle))
    };
    Ok(match row.status {
        crate::measurement::Status::Ok | crate::measurement::Status::Cut => {
            taken().min_by_key(distance)
        }
        _ => trouble.or_else(|| taken().next()),
    })
}

/// What is said about a row.
struct Explanation<'a> {
    row: &'a Row,
    sample: Option<&'a Sample>,
    sentences: Vec<String>,
}

impl Explanation<'_> {
    fn text(&self, run: &str, is_all: bool) -> String {
        let mut out = format!("Row {} of {run}\n\n", self.row.cell.number);
        for sentence in &self.sentences {
            out += &wrapped(sentence);
            out.push('\n');
        }
        if let Some(sample) = self.sample {
            out.push('\n');
            // Writing to a string cannot fail.
            let _ = write_records(&mut out, sample, is_all);
        }
        out
    }

    fn json(&self) -> serde_json::Value {
        let row: serde_json::Value = serde_json::from_str(&to_json(self.row)).unwrap_or_default();
        let measurement = self.sample.map(|sample| &sample.measurement);
        json!({
            "row": row,
            "repeat": measurement.map(|measurement| measurement.repeat),
            "sentences": self.sentences,
            "records": measurement.map(|measurement| &measurement.records),
        })
    }
}

/// The records of a sample; of many the first and the slowest.
fn write_records(out: &mut String, sample: &Sample, is_all: bool) -> std::fmt::Result {
    let records = &sample.measurement.records;
    let is_cut = !is_all && records.len() > RECORDS_SHOWN_MAX;
    let mut shown: Vec<&Record> = records.iter().collect();
    if is_cut {
        // What did not succeed first, then the slowest.
        shown.sort_by_key(|record| {
            let is_ok = record.outcome == crate::record::Outcome::Ok;
            (is_ok, std::cmp::Reverse(record.ended_ns))
        });
        shown.truncate(RECORDS_SHOWN_MAX);
        writeln!(
            out,
            "{} of {} records: those that did not succeed, then the last to end (--all shows all):",
            shown.len(),
            records.len()
        )?;
    }
    writeln!(
        out,
        "{:>7}{:>9}{:>14}{:>14}{:>14}{:>14}  outcome",
        "client", "request", "connected, s", "first byte, s", "ended, s", "bytes"
    )?;
    for record in shown {
        let at = |time: Option<u64>| {
            let since = time.and_then(|time| time.checked_sub(record.released_ns));
            since.map_or_else(
                || "-".into(),
                |ns| format_seconds(Duration::from_nanos(ns), 6),
            )
        };
        let detail = record.detail.as_deref().unwrap_or_default();
        let line = format!(
            "{:>7}{:>9}{:>14}{:>14}{:>14}{:>14}  {} {detail}",
            record.client,
            record.request,
            at(record.connected_ns),
            at(record.first_byte_ns),
            at(record.ended_ns),
            record.bytes,
            outcome_word(record.outcome),
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `text` in lines of at most 100 characters, if its words allow.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 100;
    let (mut out, mut line_len) = (String::new(), 0);
    for word in text.split(' ') {
        let len = word.chars().count();
        if line_len > 0 && line_len + 1 + len > WIDTH {
            out.push('\n');
            line_len = 0;
        }
        if line_len > 0 {
            out.push(' ');
            line_len += 1;
        }
        out += word;
        line_len += len;
    }
    out
}

#[cfg(test)]
mod tests;
