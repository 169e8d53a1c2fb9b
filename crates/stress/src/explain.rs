//! `stress explain`: where the time of a row went, in sentences, with the records they come from.

mod parts;
mod sentences;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use screen::{Column, Screen, Table};
use serde_json::json;
use stress_data::journal::{Contents, Sample};
use stress_data::record::{Outcome, Record};
use stress_data::run::Run;
use stress_data::summary::csv::{format_seconds, outcome_word, to_json};
use stress_data::summary::{self, Brief, Row};

use crate::console::print;
use crate::exit::{Exit, Unusable};
use crate::runs;

/// Of a sample's records no more than this are shown, unless all are asked for.
const RECORDS_SHOWN_MAX: usize = 20;

/// Which row to explain.
#[derive(Debug, Clone, clap::Args)]
pub struct ExplainArgs {
    /// The run: its folder, or its name in --out.
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    pub run: PathBuf,

    /// The row, by the number in the table's first column.
    #[arg(value_name = "ROW", value_parser = manual::whole(1..=u32::MAX))]
    pub row: u32,

    /// The sample to look into, from 0 [default: the one in the middle, or the worst of a row that is not ok].
    #[arg(long, value_name = "N", value_parser = manual::whole(0..=u32::MAX))]
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
        false => explanation.text(&Run::name_of(&run), args.all, Screen::stdout()),
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
        stress_data::measurement::Status::Ok | stress_data::measurement::Status::Cut => {
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
    fn text(&self, run: &str, is_all: bool, screen: Screen) -> String {
        let row = format!("Row {} of {run}", self.row.cell.number);
        let mut out = format!("{}\n\n", screen.prose(&row));
        for sentence in &self.sentences {
            out += &screen.prose(sentence);
            out.push('\n');
        }
        if let Some(sample) = self.sample {
            out.push('\n');
            out += &records_text(sample, is_all, screen);
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
fn records_text(sample: &Sample, is_all: bool, screen: Screen) -> String {
    let records = &sample.measurement.records;
    let mut shown: Vec<&Record> = records.iter().collect();
    let mut out = String::new();
    if !is_all && records.len() > RECORDS_SHOWN_MAX {
        // What did not succeed first, then the slowest.
        shown.sort_by_key(|record| {
            let is_ok = record.outcome == Outcome::Ok;
            (is_ok, std::cmp::Reverse(record.ended_ns))
        });
        shown.truncate(RECORDS_SHOWN_MAX);
        out = screen.wrapped(&format!(
            "{} of {} records: those that did not succeed, then the last to end (--all shows all):",
            shown.len(),
            records.len()
        ));
        out.push('\n');
    }
    let number = Column::number;
    let mut table = Table::new([
        number("client"),
        number("request"),
        number("connected, s"),
        number("first byte, s"),
        number("ended, s"),
        number("bytes"),
        Column::text("outcome"),
    ]);
    let mut said = &None;
    for record in shown {
        let cells = cells(record);
        match record.outcome {
            Outcome::Ok => table.row(cells),
            _ => table.bad_row(cells),
        }
        // Once for all that follow with the same.
        if let Some(detail) = &record.detail
            && record.detail != *said
        {
            table.note(detail);
        }
        said = &record.detail;
    }
    out + &table.render(screen)
}

/// Times count from the release of the clients.
fn cells(record: &Record) -> [String; 7] {
    let at = |time: Option<u64>| {
        let since = time.and_then(|time| time.checked_sub(record.released_ns));
        since.map_or_else(
            || "-".into(),
            |ns| format_seconds(Duration::from_nanos(ns), 6),
        )
    };
    [
        record.client.to_string(),
        record.request.to_string(),
        at(record.connected_ns),
        at(record.first_byte_ns),
        at(record.ended_ns),
        record.bytes.to_string(),
        outcome_word(record.outcome).to_owned(),
    ]
}

#[cfg(test)]
mod tests;
