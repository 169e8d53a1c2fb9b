//! Where the time of a row went, in sentences, with the records they come from.

mod sentences;

use std::collections::BTreeSet;
use std::time::Duration;

use screen::{Column, Screen, Table};
use serde::Serialize;
use stress_data::Unusable;
use stress_data::journal::{Contents, Sample};
use stress_data::matrix::Operation;
use stress_data::measurement::Status;
use stress_data::record::{Outcome, Record};
use stress_data::run::Run;
use stress_data::summary::csv::{format_seconds, to_json};
use stress_data::summary::{Brief, Row};

/// Of a sample's records no more than this are shown, unless all are asked for.
const RECORDS_SHOWN_MAX: usize = 20;

/// What is said about a row.
pub struct Explanation<'a> {
    row: &'a Row,
    sample: Option<&'a Sample>,
    sentences: Vec<String>,
}

impl<'a> Explanation<'a> {
    /// Of the row `number` of `run`, with the sample `repeat` or else a typical one, or the worst of a row that is not ok.
    ///
    /// # Errors
    /// There is no such row, or no such sample.
    pub fn new(run: &'a Run, number: u32, repeat: Option<u32>) -> Result<Self, Unusable> {
        let Run { contents, rows, .. } = run;
        let row = rows.iter().find(|row| row.cell.number == number);
        let row = row.ok_or_else(|| no_row(rows, number))?;
        let sample = sample(contents, row, repeat)?;
        Ok(Self {
            sentences: sentences::of(contents, row, sample),
            row,
            sample,
        })
    }

    /// For a person; `run` is the name of the run.
    #[must_use]
    pub fn text(&self, run: &str, is_all: bool, screen: Screen) -> String {
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

    /// For a program.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let measurement = self.sample.map(|sample| &sample.measurement);
        let explanation = ExplanationJson {
            row: serde_json::from_str(&to_json(self.row)).unwrap_or_default(),
            repeat: measurement.map(|measurement| measurement.repeat),
            sentences: &self.sentences,
            records: measurement.map(|measurement| &measurement.records[..]),
        };
        serde_json::to_value(explanation).unwrap_or_default()
    }
}

/// `stress explain --json`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ExplanationJson<'a> {
    /// The row, with the columns of summary.csv.
    #[cfg_attr(test, schemars(schema_with = "crate::definitions::row_schema"))]
    row: serde_json::Value,
    /// Which of its samples, from 0; null if none was taken, and then there are no records.
    repeat: Option<u32>,
    /// What can be said of it.
    sentences: &'a [String],
    /// The sample's operations.
    records: Option<&'a [Record]>,
}

fn no_row(rows: &[Row], number: u32) -> Unusable {
    const SHOWN_MAX: usize = 30;
    let numbers: BTreeSet<u32> = rows.iter().map(|row| row.cell.number).collect();
    let which = match (numbers.first(), numbers.last()) {
        (Some(first), Some(last)) if rows.len() > SHOWN_MAX => {
            let all = (last - first + 1) as usize;
            match rows.len() == all {
                true => format!("{first} to {last}"),
                false => format!("{} of {first} to {last}", rows.len()),
            }
        }
        _ => {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            numbers.join(", ")
        }
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
    if let Some(repeat) = repeat {
        let found = contents.samples.get(&(number, repeat));
        let planned = match row.repeats {
            1 => "1 is".into(),
            repeats => format!("{repeats} are"),
        };
        return found.map(Some).ok_or_else(|| {
            Unusable(format!(
                "--repeat: row {number} has no sample {repeat}; they count from 0, and {planned} planned"
            ))
        });
    }
    let settings = &contents.header.fingerprint.settings;
    let taken = || {
        contents
            .samples_of(number)
            .filter(|sample| sample.is_taken())
    };
    let trouble = taken().find(|sample| sample.measurement.status == row.status);
    let distance = |sample: &&Sample| {
        let time = Brief::new(sample, settings).time;
        time.zip(row.time())
            .map_or(Duration::MAX, |(time, middle)| time.abs_diff(middle))
    };
    Ok(match row.status {
        Status::Ok | Status::Cut => taken().min_by_key(distance),
        _ => trouble.or_else(|| taken().next()),
    })
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
    let first_byte = match sample.measurement.cell.operation {
        Operation::Upload => "answer, s",
        Operation::Download | Operation::List => "first byte, s",
    };
    let mut table = Table::new([
        number("client"),
        number("request"),
        number("connected, s"),
        number(first_byte),
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
        let since = record.since_release(time).map(Duration::from_nanos);
        since.map_or_else(|| "-".into(), |time| format_seconds(time, 6))
    };
    [
        record.client.to_string(),
        record.request.to_string(),
        at(record.connected_ns),
        at(record.first_byte_ns),
        at(record.ended_ns),
        record.bytes.to_string(),
        record.outcome.as_str().to_owned(),
    ]
}

#[cfg(test)]
mod tests;
