//! What stands below the table.

use std::fmt::Write;

use screen::{Screen, counted, counted_as};
use stress_data::derived::Totals;
use stress_data::journal::Contents;
use stress_data::measurement::{BUDGET_NOTE, Status};
use stress_data::summary::csv::format_seconds;
use stress_data::summary::{Flag, Row};

/// Rows that failed are explained below the table, up to this many.
const EXPLAINED_MAX: usize = 10;
/// An explanation is one line of a terminal or two.
const EXPLANATION_LEN_MAX: usize = 160;

/// What is below the rows: why some failed, what to be careful about, and the totals.
pub(super) fn write(
    out: &mut String,
    contents: &Contents,
    rows: &[Row],
    screen: Screen,
) -> std::fmt::Result {
    // Rows that the run did not come to explain themselves.
    let is_trouble =
        |row: &&Row| row.status != Status::Ok && why(row).is_some() && !is_over_budget(row);
    let trouble = || rows.iter().filter(is_trouble);
    writeln!(out)?;
    for row in trouble().take(EXPLAINED_MAX) {
        writeln!(out, "{}", screen.bad(&screen.wrapped(&explanation(row))))?;
    }
    let mut line = |text: &str| writeln!(out, "{}", screen.wrapped(text));
    if let Some(more @ 1..) = trouble().count().checked_sub(EXPLAINED_MAX) {
        line(&format!(
            "… and {more} more: top_outcome in summary.csv, details in clients.csv"
        ))?;
    }
    let over_budget = rows.iter().filter(|row| is_over_budget(row)).count();
    if over_budget > 0 {
        let rows = counted_as(over_budget as u64, "row is", "rows are");
        line(&format!(
            "{rows} not complete for want of time (--budget); --resume goes on with them"
        ))?;
    }
    for flag in Flag::ALL {
        let count = rows.iter().filter(|row| row.flags.contains(&flag)).count();
        if count > 0 {
            let count = counted(count as u64, "row");
            line(&format!("{} ({count}): {}", flag.as_str(), flag.meaning()))?;
        }
    }
    line(&repeats_line(contents.header.fingerprint.repeats))?;
    let totals = totals_line(&Totals::new(contents, rows));
    writeln!(out, "{}", screen.strong(&screen.wrapped(&totals)))
}

/// Whether the row lacks samples because the time was over, and nothing worse.
fn is_over_budget(row: &Row) -> bool {
    matches!(row.status, Status::NotRun | Status::Cut)
        && row.notes.iter().any(|note| note.starts_with(BUDGET_NOTE))
}

/// What the first sample in trouble had to say, or how most operations ended that did not succeed; of a row that was
/// cut, how far it came.
fn why(row: &Row) -> Option<String> {
    let note = row.notes.first();
    if row.status == Status::Cut {
        let note = note.map_or_else(String::new, |note| format!(": {note}"));
        return Some(format!("{} of {} samples{note}", row.samples, row.repeats));
    }
    let outcome = || row.top_outcome.map(|outcome| outcome.as_str().to_owned());
    note.cloned().or_else(outcome)
}

fn explanation(row: &Row) -> String {
    let why = why(row).unwrap_or_default();
    let text = format!("row {}, {}: {why}", row.cell.number, row.status.as_str());
    if text.chars().count() <= EXPLANATION_LEN_MAX {
        return text;
    }
    let start: String = text.chars().take(EXPLANATION_LEN_MAX - 1).collect();
    format!("{start}…")
}

fn repeats_line(repeats: u32) -> String {
    match repeats {
        1 => "One sample per row: nothing is known of its spread; --repeat 3 shows it.".into(),
        _ => format!(
            "Medians of {repeats} samples per row; the spread is the median absolute deviation."
        ),
    }
}

fn totals_line(totals: &Totals) -> String {
    let missing = |count: usize, how: &str| match count {
        0 => String::new(),
        count => format!(", {count} {how}"),
    };
    let (rows, ok, failed) = (counted(totals.rows as u64, "row"), totals.ok, totals.failed);
    let cut = missing(totals.cut, "cut");
    let not_run = missing(totals.not_run, "not run");
    let wall = format_seconds(totals.wall(), 1);
    format!("{rows}, {ok} ok, {failed} failed{cut}{not_run}, {wall} s")
}
