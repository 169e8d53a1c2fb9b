//! The report: everything a reader wants of a run, from its journal alone, as a page, as text, as spreadsheets and as
//! a PDF; in English or Indonesian.

mod chart;
mod content;
pub mod definitions;
mod diagram;
pub mod document;
mod findings;
pub mod html;
pub mod lang;
pub mod markdown;
pub mod nine;
pub mod notes;
mod parts;
mod pdf;
pub mod submission;
pub mod svg;
mod variants;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::console::print;
use crate::exit::Exit;
use crate::journal::Contents;
use crate::output;
use crate::run::Unusable;
use crate::runs;

pub use content::document;
use document::Document;
use lang::Lang;
use pdf::Printed;
use submission::{Submission, SubmissionArgs};
pub use variants::Run;

/// What to report on, and how.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// Folders of runs; several come side by side into one report [default: the newest in results].
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    pub runs: Vec<PathBuf>,

    /// Where the report is written [default: the folder of the run]; several runs need it.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub out: Option<PathBuf>,

    /// The language of all of it, headings, numbers and spreadsheets included.
    #[arg(long, value_enum, default_value_t = Lang::En, value_name = "LANG")]
    pub lang: Lang,

    /// Print report.pdf too, with the Chromium, Chrome or Edge that is found here (of Windows too, under WSL).
    #[arg(long)]
    pub pdf: bool,

    /// The browser that prints: a file, or a name on the PATH [default: the first that is found].
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::ExecutablePath, requires = "pdf")]
    pub browser: Option<PathBuf>,

    /// Who hands it in.
    #[command(flatten)]
    pub submission: SubmissionArgs,
}

const EXAMPLES: &str = "\
Examples:
  stress report                                      the newest run again, from its journal
  stress report results/A results/B --out compare    two runs side by side
  stress report --lang id --author 'Nama' --student-id 5025… --class 'Progjar C' \\
         --repository https://… --notes notes.md --pdf --capture one.png two.png

Files: report.html, report.md, table.csv, table.xlsx, with --pdf report.pdf; of a single run without --out also \
summary.csv, clients.csv and run.json, all from journal.ndjson alone.";

/// Renders what `args` ask for.
///
/// # Errors
/// [`Unusable`] for what the user has to change; else what kept a file from being written.
pub fn run(args: &ReportArgs) -> Result<Exit> {
    let submission = Submission::read(&args.submission)?;
    let folders = folders(&args.runs)?;
    let target = match (&args.out, &folders[..]) {
        (Some(out), _) => out.clone(),
        (None, [one]) => one.clone(),
        (None, _) => {
            let message = "several runs go into one report: say where to write it with --out DIR";
            return Err(Unusable(message.into()).into());
        }
    };
    let runs: Vec<Run> = folders
        .iter()
        .map(|folder| Ok(Run::new(runs::name(folder), Contents::read(folder)?)))
        .collect::<Result<_>>()?;
    if args.out.is_none() {
        for run in &runs {
            output::write_all(&target, &run.contents, &run.rows)?;
        }
    }
    fs::create_dir_all(&target).with_context(|| {
        format!(
            "cannot make {}: name another folder with --out",
            target.display()
        )
    })?;
    let document = content::document(&runs, &submission, args.lang);
    let page = html::render(&document);
    write(&runs, &submission, &document, &page, &target)?;
    let paths = names(&runs).map(|name| format!("{}\n", target.join(name).display()));
    print(&paths.collect::<String>())?;
    match args.pdf {
        true => print_pdf(&page, &target, args.browser.as_deref()),
        false => Ok(Exit::Verified),
    }
}

/// Prints the page that stands in `target`, beside it.
fn print_pdf(page: &str, target: &Path, browser: Option<&Path>) -> Result<Exit> {
    match pdf::print(page, &target.join("report.html"), browser)? {
        Printed::Whole(pdf) => {
            save(target, "report.pdf", &pdf)?;
            print(&format!("{}\n", target.join("report.pdf").display()))?;
            Ok(Exit::Verified)
        }
        Printed::Interrupted => Ok(Exit::Interrupted),
    }
}

/// Writes the report of a run that has just ended beside its tables, in English.
///
/// # Errors
/// A file cannot be written.
pub fn write_beside(folder: &Path, contents: &Contents) -> Result<()> {
    let run = Run::new(runs::name(folder), contents.clone());
    let (runs, submission) = ([run], Submission::default());
    let document = content::document(&runs, &submission, Lang::En);
    write(
        &runs,
        &submission,
        &document,
        &html::render(&document),
        folder,
    )
}

/// Writes all files of a report on `runs` into the folder `target`, each whole or not at all.
fn write(
    runs: &[Run],
    submission: &Submission,
    document: &Document,
    page: &str,
    target: &Path,
) -> Result<()> {
    let lang = document.lang;
    save(target, "report.html", page.as_bytes())?;
    save(target, "report.md", markdown::render(document).as_bytes())?;
    for run in runs {
        let mut table = Vec::new();
        nine::write_csv(&run.rows, lang, &mut table)?;
        save(target, &table_name(runs, run), &table)?;
    }
    let workbook = nine::workbook(&variants::of(runs, lang), lang)?;
    save(target, "table.xlsx", &workbook)?;
    let captures = target.join(markdown::CAPTURES);
    for image in submission.captures() {
        fs::create_dir_all(&captures).with_context(|| captures.display().to_string())?;
        save(&captures, &image.name, &image.bytes)?;
    }
    Ok(())
}

/// The assignment's table of `run`: nine columns cannot say which run a row is of.
fn table_name(runs: &[Run], run: &Run) -> String {
    match runs {
        [_] => "table.csv".into(),
        _ => format!("table-{}.csv", run.name),
    }
}

/// What a person opens or hands in.
fn names(runs: &[Run]) -> impl Iterator<Item = String> {
    let tables = runs.iter().map(|run| table_name(runs, run));
    let others = ["report.html", "report.md", "table.xlsx"].map(str::to_owned);
    others.into_iter().chain(tables)
}

/// The folders that are meant, each once.
fn folders(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let out = Path::new(runs::OUT);
    if named.is_empty() {
        return Ok(vec![runs::locate(None, out)?]);
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for run in named {
        let folder = runs::locate(Some(run), out)?;
        if folders.contains(&folder) {
            let message = format!("{} is named twice", folder.display());
            return Err(Unusable(message).into());
        }
        folders.push(folder);
    }
    Ok(folders)
}

fn save(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    output::replace(folder, name, |out| Ok(out.write_all(content)?))
}

#[cfg(test)]
mod tests;
