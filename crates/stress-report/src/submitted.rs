//! The assignment's table as it lies in the folder of a run, which is what is handed in.

use std::path::Path;

use stress_data::summary::Row;
use stress_data::verify::class::HandedIn;
use stress_data::verify::{Finding, line_differences};

use super::lang::Lang;
use super::nine;
use super::submission::{FILE_NAME, Submission};

/// Its name.
const SUBMITTED: &str = "table.csv";

/// What is wrong with it in the folder `run`: in one of the languages it must be what the journal gives. It is no part of
/// every run.
#[must_use]
pub fn check(run: &Path, rows: &[Row]) -> Vec<Finding> {
    let Ok(written) = std::fs::read(run.join(SUBMITTED)) else {
        return Vec::new();
    };
    let rendered = |lang: &Lang| {
        let mut out = Vec::new();
        nine::write_csv(rows, *lang, &mut out).map(|()| out)
    };
    let rendered: Vec<Vec<u8>> = Lang::ALL.iter().flat_map(rendered).collect();
    if rendered.contains(&written) {
        return Vec::new();
    }
    let first_line = |bytes: &[u8]| {
        let line = bytes.split(|byte| *byte == b'\n').next();
        line.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
    };
    let heading = first_line(&written);
    let same_language = rendered.iter().find(|table| first_line(table) == heading);
    let Some(expected) = same_language else {
        let what = "its first line is that of none of the languages";
        return vec![Finding::new(SUBMITTED, "line 1", what)];
    };
    let mut found = line_differences(SUBMITTED, &written, expected);
    if found.is_empty() {
        let what = "its line ends are not those that this program writes (CR LF): it was edited";
        found.push(Finding::new(SUBMITTED, "", what));
    }
    found
}

/// Who handed the run in the folder in; nobody, if it says nothing.
///
/// # Errors
/// What it says cannot be read.
pub fn handed_in(run: &Path) -> Result<HandedIn, Finding> {
    let remembered = Submission::remembered(run);
    let remembered = remembered.map_err(|wrong| Finding::new(FILE_NAME, "", wrong.to_string()))?;
    Ok(remembered.unwrap_or_default().handed_in())
}
