//! The identities within the rows of `summary.csv`, read as anybody would read it: apart from the code that wrote
//! it, so that a mistake of that code shows too.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::summary::csv::is_text;

use super::Finding;

const SUMMARY: &str = "summary.csv";
const STATUSES: [&str; 7] = [
    "ok",
    "failed",
    "timeout",
    "server_lost",
    "inconsistent",
    "not_run",
    "cut",
];
const SERVER_WORKERS: [&str; 3] = [
    "server_workers_ok",
    "server_workers_failed",
    "server_workers_idle",
];
/// What only a measurement can give.
const MEASURED: [&str; 13] = [
    "time_per_client_s",
    "throughput_per_client_bytes_per_s",
    "clients_ok",
    "clients_failed",
    "server_workers_ok",
    "server_workers_failed",
    "server_workers_idle",
    "time_min_s",
    "time_max_s",
    "first_done_s",
    "makespan_s",
    "aggregate_bytes_per_s",
    "top_outcome",
];

/// One row, by column.
type Fields = HashMap<String, String>;

/// Every row of the run's `summary.csv` that contradicts itself. A file that is not there is a finding elsewhere.
pub(super) fn check(run: &Path) -> Vec<Finding> {
    let Ok(mut reader) = csv::Reader::from_path(run.join(SUMMARY)) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut numbers = BTreeSet::new();
    for row in reader.deserialize::<Fields>() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                findings.push(Finding::new(SUMMARY, "", error.to_string()));
                continue;
            }
        };
        let number = field(&row, "no");
        let mut problems = row_problems(&row);
        if !numbers.insert(number.to_owned()) {
            problems.push(("no", "there is more than one row of this number".into()));
        }
        let finding = |(column, what): (&str, String)| {
            Finding::new(SUMMARY, format!("row {number}, {column}"), what)
        };
        findings.extend(problems.into_iter().map(finding));
    }
    findings
}

fn field<'a>(row: &'a Fields, column: &str) -> &'a str {
    row.get(column).map_or("", String::as_str)
}

fn row_problems(row: &Fields) -> Vec<(&str, String)> {
    let mut problems = Vec::new();
    for (column, value) in row {
        if !is_text(column) && !value.is_empty() && !is_number(value) {
            let what = format!("'{value}' is not a number; a missing value is empty");
            problems.push((column.as_str(), what));
        }
    }
    let status = field(row, "status");
    if !STATUSES.contains(&status) {
        problems.push(("status", format!("unknown status '{status}'")));
    }
    let pool = |size: &'static str, parts: &[&'static str]| {
        let values: Vec<&str> = parts.iter().map(|part| field(row, part)).collect();
        let are_empty = values.iter().all(|value| value.is_empty());
        let sum: Option<u64> = values.iter().map(|value| value.parse::<u64>().ok()).sum();
        let is_whole = sum.is_some() && sum == field(row, size).parse().ok();
        (!are_empty && !is_whole)
            .then(|| (parts[0], format!("{} are not {size}", parts.join(" + "))))
    };
    problems.extend(pool("client_workers", &["clients_ok", "clients_failed"]));
    problems.extend(pool("server_workers", &SERVER_WORKERS));
    problems.extend(status_problems(row, status));
    let times = ["time_min_s", "time_per_client_s", "time_max_s"];
    problems.extend(order_problem(row, &times));
    problems.extend(order_problem(row, &["first_done_s", "makespan_s"]));
    problems.extend(order_problem(row, &["samples", "repeats"]));
    problems
}

/// What a status says about the other values.
fn status_problems(row: &Fields, status: &str) -> Vec<(&'static str, String)> {
    let is_empty = |column: &str| field(row, column).is_empty();
    let unexpected = |columns: &[&'static str], is_wrong: &dyn Fn(&str) -> bool, what: &str| {
        let wrong = columns.iter().filter(|column| is_wrong(column));
        let problem = |column: &&'static str| (*column, format!("the row is {status} and {what}"));
        wrong.map(problem).collect::<Vec<_>>()
    };
    match status {
        "ok" => {
            let needed = ["time_per_client_s", "makespan_s", "clients_ok"];
            let mut problems = unexpected(&needed, &is_empty, "this is empty");
            let mut equal = |column: &'static str, value: &str, what: &str| {
                let is_wrong = |column: &str| field(row, column) != value;
                problems.extend(unexpected(&[column], &is_wrong, what));
            };
            equal("clients_failed", "0", "this is not 0");
            equal("repeats", field(row, "samples"), "samples are missing");
            problems
        }
        "not_run" => unexpected(&MEASURED, &|column| !is_empty(column), "this is not empty"),
        _ => Vec::new(),
    }
}

/// The values of `columns` must not descend.
fn order_problem(row: &Fields, columns: &[&'static str]) -> Option<(&'static str, String)> {
    let value = |column: &&'static str| {
        let value: f64 = field(row, column).parse().ok()?;
        Some((*column, value))
    };
    let values: Vec<(&str, f64)> = columns.iter().filter_map(value).collect();
    let pair = values.windows(2).find(|pair| pair[0].1 > pair[1].1)?;
    Some((pair[0].0, format!("it is more than {}", pair[1].0)))
}

/// Digits, with a point and more digits or without: no sign, no word, no exponent.
fn is_number(value: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match value.split_once('.') {
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => is_digits(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row in which everything fits.
    fn row() -> Fields {
        let pairs = [
            ("no", "7"),
            ("status", "ok"),
            ("client_workers", "5"),
            ("clients_ok", "5"),
            ("clients_failed", "0"),
            ("server_workers", "50"),
            ("server_workers_ok", "5"),
            ("server_workers_failed", "0"),
            ("server_workers_idle", "45"),
            ("time_min_s", "0.100000"),
            ("time_per_client_s", "0.200000"),
            ("time_max_s", "0.300000"),
            ("first_done_s", "0.100000"),
            ("makespan_s", "0.400000"),
            ("repeats", "3"),
            ("samples", "3"),
        ];
        let owned = |(column, value): (&str, &str)| (column.to_owned(), value.to_owned());
        pairs.into_iter().map(owned).collect()
    }

    #[test]
    fn each_contradiction_is_found_in_its_column() {
        assert_eq!(row_problems(&row()), []);
        let check = |column: &str, value: &str, found: &str, words: &str| {
            let mut row = row();
            row.insert(column.into(), value.into());
            let problems = row_problems(&row);
            let is_said = problems
                .iter()
                .any(|(column, what)| *column == found && what.contains(words));
            assert!(is_said, "{column}={value}: {problems:?}");
        };
        check("clients_ok", "4", "clients_ok", "are not client_workers");
        check("clients_ok", "", "clients_ok", "are not client_workers");
        check(
            "server_workers_idle",
            "44",
            "server_workers_ok",
            "are not server_workers",
        );
        check(
            "makespan_s",
            "killed",
            "makespan_s",
            "'killed' is not a number",
        );
        check("makespan_s", "1e3", "makespan_s", "is not a number");
        check("makespan_s", "0.05", "first_done_s", "more than makespan_s");
        check("makespan_s", "", "makespan_s", "is empty");
        check(
            "time_min_s",
            "0.21",
            "time_min_s",
            "more than time_per_client_s",
        );
        check("status", "fine", "status", "unknown status 'fine'");
        check("status", "not_run", "makespan_s", "is not empty");
        check("samples", "2", "repeats", "samples are missing");
        check("samples", "4", "samples", "more than repeats");
    }

    #[test]
    fn a_foreign_server_leaves_its_workers_empty() {
        let mut row = row();
        for column in ["ok", "failed", "idle"] {
            row.insert(format!("server_workers_{column}"), String::new());
        }
        assert_eq!(row_problems(&row), []);
    }
}
