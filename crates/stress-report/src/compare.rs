//! A comparison as a table for people, and as JSON for programs.

mod program;

use std::fmt::Write;
use std::time::Duration;

use screen::{Column, Screen, Table};
use stress_data::compare::Comparison;
use stress_data::compare::evidence::Mean;
use stress_data::compare::matching::Difference;
use stress_data::compare::verdict::{Change, Verdict};
use stress_data::matrix::Operation;
use stress_data::shift::CONFIDENCE;
use stress_data::size::{self, rate_text};
use stress_data::summary::Row;
use stress_data::summary::csv::format_seconds;
use stress_data::summary::metric::Metric;

use crate::table::heading;

pub use program::json;

/// For a person.
#[must_use]
pub fn table(comparison: &Comparison<'_>, screen: Screen) -> String {
    let number = Column::number;
    let (old, new) = sides(comparison);
    let mut table = Table::new([
        number("no"),
        number("clients"),
        number("servers"),
        number(old).spare(1),
        number(new),
        number("change"),
        Column::text("interval"),
        Column::text("verdict"),
    ]);
    let mut group = None;
    for change in &comparison.changes {
        let rows = comparison.changes.iter().map(|it| it.new);
        let heading = heading(change.new, rows);
        if group.as_ref() != Some(&heading) {
            table.heading(&heading);
            group = Some(heading);
        }
        let cells = cells(change, comparison);
        match comparison.is_regression(change) {
            true => table.bad_row(cells),
            false => table.row(cells),
        }
    }
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_head(&mut out, comparison, screen);
    out += &table.render(screen);
    let _ = write_foot(&mut out, comparison, screen);
    out
}

/// What the two are called where there is little room.
fn sides<'a>(comparison: &'a Comparison<'_>) -> (&'a str, &'a str) {
    match comparison.is_one_run {
        true => (&comparison.names.0, &comparison.names.1),
        false => ("OLD", "NEW"),
    }
}

fn write_head(out: &mut String, comparison: &Comparison<'_>, screen: Screen) -> std::fmt::Result {
    let mut line = |text: String| writeln!(out, "{}", screen.wrapped(&text));
    let (old, new) = &comparison.names;
    let (then, now) = sides(comparison);
    match comparison.is_one_run {
        true => line(format!("{new} beside {old}, in turns"))?,
        false => {
            line(format!("OLD {old}"))?;
            line(format!("NEW {new}"))?;
        }
    }
    let differences = comparison.matching.differences.iter();
    for Difference { axis, old, new } in differences.filter(|it| it.axis != "subject") {
        let or_none = |values: &str| if values.is_empty() { "none" } else { values }.to_owned();
        let (old, new) = (or_none(old), or_none(new));
        line(format!("compared: {axis} {old} in {then}, {new} in {now}"))?;
    }
    for (name, old, new) in &comparison.conditions {
        line(format!("{name}: {old} in {then}, {new} in {now}"))?;
    }
    let metric = comparison.metric;
    let direction = match metric.is_better_high() {
        true => "more is better",
        false => "less is better",
    };
    line(format!("{}{}, {direction}", metric.as_str(), unit(metric)))?;
    writeln!(out)
}

fn unit(metric: Metric) -> &'static str {
    match metric {
        Metric::ServerPeakRssBytes => "",
        metric if metric.is_time() => ", seconds",
        _ => ", MB/s",
    }
}

fn cells(change: &Change<'_>, comparison: &Comparison<'_>) -> [String; 8] {
    let metric = comparison.metric;
    let (old_no, new_no) = (change.old.cell.number, change.new.cell.number);
    let no = match old_no == new_no {
        true => new_no.to_string(),
        false => format!("{old_no}→{new_no}"),
    };
    let figure = |value: Option<u64>| value.map_or_else(|| "-".into(), |it| figure(it, metric));
    let ratio = change.shift.map(|shift| percent(shift.ratio));
    [
        no,
        change.new.cell.clients.to_string(),
        change.new.cell.servers.to_string(),
        figure(change.medians.0),
        figure(change.medians.1),
        ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio} %")),
        because(change),
        change.verdict.as_str().to_owned(),
    ]
}

fn figure(value: u64, metric: Metric) -> String {
    match metric {
        Metric::ServerPeakRssBytes => size::approximate(value),
        metric if metric.is_time() => format_seconds(Duration::from_nanos(value), 4),
        _ => rate_text(value),
    }
}

/// `+3.1` for a ratio of 1.031.
fn percent(ratio: f64) -> String {
    let percent = (ratio - 1.0) * 100.0;
    let text = format!("{percent:+.1}");
    // No sign for what rounds to nothing.
    match text.as_str() {
        "+0.0" | "-0.0" => "0.0".into(),
        _ => text,
    }
}

/// What the verdict comes from: the interval, or the statuses where those are not all ok.
fn because(change: &Change<'_>) -> String {
    use Verdict::{Broken, Repaired, Unknown};
    let interval = match (change.verdict, change.shift) {
        (Broken | Repaired | Unknown, _) => {
            let (old, new) = (change.old.status.as_str(), change.new.status.as_str());
            return format!("{old}, then {new}");
        }
        (_, None) => return String::new(),
        (_, Some(shift)) => shift.interval,
    };
    let Some(interval) = interval else {
        return match change.lens {
            (1, 1) => "one sample".into(),
            _ => "one sample of one".into(),
        };
    };
    let text = format!("{} … {} %", percent(interval.low), percent(interval.high));
    match interval.confidence >= CONFIDENCE {
        true => text,
        false => format!("{text} (at {:.0} %)", interval.confidence * 100.0),
    }
}

fn write_foot(out: &mut String, comparison: &Comparison<'_>, screen: Screen) -> std::fmt::Result {
    writeln!(out)?;
    let mut line = |text: String| writeln!(out, "{}", screen.wrapped(&text));
    let (then, now) = sides(comparison);
    for (run, rows) in [
        (then, &comparison.matching.only_old),
        (now, &comparison.matching.only_new),
    ] {
        if !rows.is_empty() {
            line(format!("only in {run}: {}", numbers(rows)))?;
        }
    }
    for mean in &comparison.means {
        line(mean_text(mean, comparison))?;
    }
    if let (beside, by_chance, all @ 1..) = comparison.beside_none() {
        line(format!(
            "intervals beside 'no change': {beside} of {all}; by chance alone about {by_chance:.1}"
        ))?;
    }
    let mut intervals = comparison.changes.iter().filter_map(|change| change.shift);
    if intervals.any(|shift| shift.interval.is_none()) {
        line("With one sample of a row nothing is known of its spread: --repeat 3 gives every change an interval.".into())?;
    }
    if !comparison.is_one_run {
        line(
            "The runs were made one after the other: what differs may be the machine. Subjects of one run tell which is better."
                .into(),
        )?;
    }
    let count = |verdict| {
        let verdicts = comparison.changes.iter().map(|change| change.verdict);
        verdicts.filter(|found| *found == verdict).count()
    };
    let counts = Verdict::ALL
        .into_iter()
        .filter(|verdict| count(*verdict) > 0);
    let counts: Vec<String> = counts
        .map(|verdict| format!("{} {}", count(verdict), verdict.as_str()))
        .collect();
    let rows = size::counted(comparison.changes.len() as u64, "row");
    line(format!("{rows} compared: {}", counts.join(", ")))
}

/// `geometric mean of download, 27 rows: +3.1 % (-0.5 … +6.9 %): chance is not ruled out`
fn mean_text(mean: &Mean, comparison: &Comparison<'_>) -> String {
    let of = mean.operation.map_or("all", Operation::as_str);
    let rows = size::counted(mean.rows as u64, "row");
    let ratio = percent(mean.ratio);
    let interval = mean.interval.map_or_else(String::new, |interval| {
        format!(
            " ({} … {} %)",
            percent(interval.low),
            percent(interval.high)
        )
    });
    let is_bad = comparison.is_to_the_bad(mean.ratio);
    let verdict = match (mean.is_sure(), comparison.is_one_run, is_bad) {
        (false, ..) => "chance is not ruled out",
        (true, false, _) => "more than chance gives",
        (true, true, true) => "worse, by more than chance gives",
        (true, true, false) => "better, by more than chance gives",
    };
    format!("geometric mean of {of}, {rows}: {ratio} %{interval}: {verdict}")
}

/// `rows 1, 2, 3`, the first few of them.
fn numbers(rows: &[&Row]) -> String {
    const SHOWN_MAX: usize = 12;
    let shown = rows.iter().take(SHOWN_MAX);
    let shown: Vec<String> = shown.map(|row| row.cell.number.to_string()).collect();
    let more = match rows.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let noun = if rows.len() == 1 { "row" } else { "rows" };
    format!("{noun} {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests;
