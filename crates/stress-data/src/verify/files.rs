//! The files of a run against what its journal gives.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::derived::derived;
use crate::journal::{self, Contents};
use crate::size::counted_as;
use crate::summary::Row;
use serde_json::Value;

use super::Finding;

/// Of one file no more than this is told: a column that is wrong is wrong in every row.
const FINDINGS_MAX: usize = 1_000;
/// The columns that say which row it is.
const NAMING: [&str; 4] = ["no", "repeat", "client", "request"];

/// Every value in the files of `run` that is not what `contents` give.
pub(super) fn check(run: &Path, contents: &Contents, rows: &[Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, fill) in derived(contents) {
        let mut expected = Vec::new();
        if let Err(error) = fill(contents, rows, &mut expected) {
            let what = format!("cannot be computed: {error:#}");
            findings.push(Finding::new(name, "", what));
            continue;
        }
        let mut differences = match read(run, name) {
            Ok(written) if written == expected => continue,
            Ok(written) => differences(name, &written, &expected),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                vec![Finding::new(name, "", "it is missing")]
            }
            Err(error) => vec![Finding::new(name, "", error.to_string())],
        };
        differences.truncate(FINDINGS_MAX);
        findings.extend(differences);
    }
    findings
}

/// A file of `run`, packed or not.
fn read(run: &Path, name: &str) -> io::Result<Vec<u8>> {
    match std::fs::read(run.join(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            journal::unpack(&run.join(format!("{name}.gz")))
        }
        read => read,
    }
}

/// The lines of the file `name` that are not those that were expected.
#[must_use]
pub fn line_differences(name: &str, written: &[u8], expected: &[u8]) -> Vec<Finding> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (written, expected) = (text(written), text(expected));
    let (mut written, mut expected) = (written.lines(), expected.lines());
    let mut found = Vec::new();
    for number in 1.. {
        let (value, wanted) = match (written.next(), expected.next()) {
            (None, None) => break,
            (value, wanted) => (value.unwrap_or_default(), wanted.unwrap_or_default()),
        };
        if value != wanted {
            let place = format!("line {number}");
            found.push(Finding::new(name, place, contrast(value, wanted)));
        }
    }
    found.truncate(FINDINGS_MAX);
    found
}

/// Where the journal is there packed and not packed, both must say the same.
pub(super) fn journals(run: &Path) -> Option<Finding> {
    let has = |name| run.join(name).is_file();
    let is_double = has(journal::FILE_NAME) && has(journal::PACKED_NAME);
    (is_double && !journal::is_packed_copy(run)).then(|| {
        let what = format!("it is another journal than {}", journal::FILE_NAME);
        Finding::new(journal::PACKED_NAME, "", what)
    })
}

fn differences(name: &str, written: &[u8], expected: &[u8]) -> Vec<Finding> {
    let mut found = match name.rsplit_once('.') {
        Some((_, "csv")) => csv_differences(name, written, expected),
        Some((_, "json")) => json_differences(name, written, expected),
        _ => Vec::new(),
    };
    if found.is_empty() {
        let what = "it is written otherwise than by this program: spaces, quotes or line ends";
        found.push(Finding::new(name, "", what));
    }
    found
}

fn csv_differences(name: &str, written: &[u8], expected: &[u8]) -> Vec<Finding> {
    let (written, expected) = (records(written), records(expected));
    let (Some(columns), Some(written_columns)) = (expected.first(), written.first()) else {
        return vec![Finding::new(name, "", "it is empty")];
    };
    if columns != written_columns {
        let without = |of: &[String], other: &[String]| {
            let mut columns = of.iter();
            columns.find(|column| !other.contains(column)).cloned()
        };
        let missing = without(columns, written_columns);
        let what = match (missing, without(written_columns, columns)) {
            (Some(column), _) => format!("the column {column} is missing"),
            (None, Some(column)) => format!("there is no column {column}"),
            (None, None) => "its columns are in another order".into(),
        };
        return vec![Finding::new(name, "line 1", what)];
    }
    let mut found = Vec::new();
    if written.len() != expected.len() {
        let rows = counted_as(written.len() as u64 - 1, "row is", "rows are");
        let follow = counted_as(expected.len() as u64 - 1, "follows", "follow");
        let what = format!("{rows} written, {follow} from the journal");
        found.push(Finding::new(name, "", what));
    }
    for (wanted, row) in expected.iter().zip(&written).skip(1) {
        for (index, column) in columns.iter().enumerate() {
            let value = |row: &[String]| row.get(index).cloned().unwrap_or_default();
            let (value, wanted_value) = (value(row), value(wanted));
            if value != wanted_value {
                let place = format!("{}, {column}", row_name(columns, wanted));
                found.push(Finding::new(name, place, contrast(&value, &wanted_value)));
            }
        }
    }
    found
}

fn contrast(written: &str, wanted: &str) -> String {
    let shown = |value: &str| if value.is_empty() { "nothing" } else { value }.to_owned();
    let (written, wanted) = (shown(written), shown(wanted));
    format!("{written} is written, {wanted} follows from the journal")
}

/// `row 14` or `row 14, repeat 0, client 3, request 0`.
fn row_name(columns: &[String], row: &[String]) -> String {
    let named = columns.iter().zip(row);
    let named = named.filter(|(column, _)| NAMING.contains(&column.as_str()));
    let parts: Vec<String> = named
        .map(|(column, value)| match column.as_str() {
            "no" => format!("row {value}"),
            column => format!("{column} {value}"),
        })
        .collect();
    parts.join(", ")
}

fn records(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let record = |record: csv::ByteRecord| {
        let field = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        record.iter().map(field).collect()
    };
    reader.byte_records().flatten().map(record).collect()
}

fn json_differences(name: &str, written: &[u8], expected: &[u8]) -> Vec<Finding> {
    let parse = |bytes| serde_json::from_slice::<Value>(bytes);
    let (written, expected) = match (parse(written), parse(expected)) {
        (Ok(written), Ok(expected)) => (written, expected),
        (Err(error), _) | (_, Err(error)) => {
            return vec![Finding::new(name, "", format!("not JSON: {error}"))];
        }
    };
    let mut found = Vec::new();
    compare(name, "", &written, &expected, &mut found);
    found
}

fn compare(name: &str, place: &str, written: &Value, expected: &Value, found: &mut Vec<Finding>) {
    let inner = |key: &str| match place {
        "" => key.to_owned(),
        place => format!("{place}.{key}"),
    };
    match (written, expected) {
        (Value::Object(written), Value::Object(expected)) => {
            for (key, wanted) in expected {
                let value = written.get(key).unwrap_or(&Value::Null);
                compare(name, &inner(key), value, wanted, found);
            }
            for key in written.keys().filter(|key| !expected.contains_key(*key)) {
                let what = "the journal gives no such key";
                found.push(Finding::new(name, inner(key), what));
            }
        }
        (Value::Array(written), Value::Array(expected)) if written.len() == expected.len() => {
            for (index, (value, wanted)) in written.iter().zip(expected).enumerate() {
                compare(name, &inner(&index.to_string()), value, wanted, found);
            }
        }
        (written, expected) if written == expected => {}
        (written, expected) => {
            let what = contrast(&written.to_string(), &expected.to_string());
            found.push(Finding::new(name, place, what));
        }
    }
}
