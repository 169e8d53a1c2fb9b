//! Shows what a run recorded: the table on a terminal, and the report as a page, as text and as spreadsheets, in English
//! or Indonesian. It knows journals and rows and nothing of how they came to be.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod chart;
pub mod compare;
mod content;
mod definitions;
mod diagram;
mod document;
pub mod explain;
mod findings;
mod html;
mod lanes;
pub mod lang;
mod markdown;
mod nine;
mod notes;
mod parts;
pub mod rank;
pub mod recheck;
#[cfg(test)]
#[path = "../../cli-kit/tests/support/schemas.rs"]
mod schemas;
pub mod subjects;
pub mod submission;
pub mod submitted;
mod svg;
pub mod table;
mod texts;
mod variants;

use std::path::Path;
use std::slice;

use anyhow::Result;
use stress_data::derived;
use stress_data::run::Run;

use submission::Submission;

/// What a person opens.
pub const PAGE: &str = "report.html";

/// Writes the report on `run` into its `folder`: in English, or as the folder remembers it.
///
/// # Errors
/// [`stress_data::Unusable`] says what is wrong with what the folder remembers; else a file cannot be written.
pub fn write_beside(folder: &Path, run: &Run) -> Result<()> {
    let submission = Submission::remembered(folder)?.unwrap_or_default();
    write(slice::from_ref(run), &submission, folder).map(drop)
}

/// Writes all files of a report on `runs` into the folder `target`, each whole or not at all; gives its page.
///
/// # Errors
/// A file cannot be written.
pub fn write(runs: &[Run], submission: &Submission, target: &Path) -> Result<String> {
    let lang = submission.lang();
    let document = content::document(runs, submission, lang);
    let page = html::render(&document);
    save(target, PAGE, page.as_bytes())?;
    save(target, "report.md", markdown::render(&document).as_bytes())?;
    for run in runs {
        let mut table = Vec::new();
        nine::write_csv(&run.rows, lang, &mut table)?;
        save(target, &table_name(runs, run), &table)?;
    }
    let workbook = nine::workbook(&variants::of(runs, lang), lang)?;
    save(target, "table.xlsx", &workbook)?;
    Ok(page)
}

/// The assignment's table of `run`: nine columns cannot say which run a row is of.
fn table_name(runs: &[Run], run: &Run) -> String {
    match runs {
        [_] => "table.csv".into(),
        _ => format!("table-{}.csv", run.name),
    }
}

/// What a person opens or hands in.
pub fn names(runs: &[Run]) -> impl Iterator<Item = String> {
    let tables = runs.iter().map(|run| table_name(runs, run));
    let others = [PAGE, "report.md", "table.xlsx"].map(str::to_owned);
    others.into_iter().chain(tables)
}

fn save(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    Ok(derived::replace(folder, name, |out| {
        out.write_all(content)
    })?)
}

#[cfg(test)]
mod tests;
