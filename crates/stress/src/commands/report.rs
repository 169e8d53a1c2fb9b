//! `stress report`: of which runs, where to, with what of a submission; and the PDF, which a browser prints.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use cli_kit::output::{print, say};
use stress_data::Unusable;
use stress_data::derived;
use stress_data::run::Run;
use stress_report::PAGE;
use stress_report::lang::Lang;
use stress_report::submission::{self, Given, Item, Submission, word};

use super::exit::Exit;
use super::{runs, words};
use crate::pdf::{self, PDF};
use crate::run::results;

/// What to report on, and how.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = cli_kit::fitted(EXAMPLES))]
pub(super) struct ReportArgs {
    /// Folders of runs; several come side by side into one report [default: the newest in results].
    #[arg(value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    runs: Vec<PathBuf>,

    /// Where the report is written [default: the folder of the run]; several runs need it.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,

    /// Print report.pdf too, with the Chromium, Chrome or Edge that is found here (of Windows too, under WSL).
    #[arg(long)]
    pdf: bool,

    /// The browser that prints: a file, or a name on the PATH [default: the first that is found].
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::ExecutablePath, requires = "pdf")]
    browser: Option<PathBuf>,

    /// Who hands it in.
    #[command(flatten)]
    submission: SubmissionArgs,
}

/// What of it is on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "What a submission must contain")]
pub(super) struct SubmissionArgs {
    /// Who hands the report in; once for each author.
    #[arg(long, value_name = "NAME", value_parser = word)]
    author: Vec<String>,

    /// The author's student number; once for each author, in the same order.
    #[arg(long, value_name = "ID", value_parser = word)]
    student_id: Vec<String>,

    /// The class it is for.
    #[arg(long, value_name = "TEXT", value_parser = word)]
    class: Option<String>,

    /// Where the sources are; a link if it starts with https.
    #[arg(long, value_name = "URL", value_parser = word)]
    repository: Option<String>,

    /// Notes of your own, in Markdown, for a section of their own.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    notes: Option<PathBuf>,

    /// Screenshots (PNG, JPEG, GIF or WebP), put into the report whole; name runs before this flag.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, num_args = 1..)]
    capture: Vec<PathBuf>,

    /// The language of all of it, headings, numbers and spreadsheets included [default: en].
    #[arg(long, value_parser = words::lang(), value_name = "LANG")]
    lang: Option<Lang>,

    /// Forget what is remembered of these first: all of it, or a comma list.
    #[arg(long, value_parser = words::item(), value_name = "WHAT", value_delimiter = ',', num_args = 0..=1, require_equals = true,
        default_missing_value = "all")]
    forget: Vec<Item>,
}

impl SubmissionArgs {
    fn given(&self) -> Given {
        let it = self.clone();
        Given {
            authors: it.author,
            student_ids: it.student_id,
            class: it.class,
            repository: it.repository,
            notes: it.notes,
            captures: it.capture,
            lang: it.lang,
            forget: it.forget,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  stress report                                      the newest run again, from its journal
  stress report results/A results/B --out compare    two runs side by side
  stress report --lang id --author 'Nama' --student-id 5025… --class 'Progjar C' \\
         --repository https://… --notes notes.md --capture one.png two.png
  stress report --pdf                                the same once more, and printed
  stress report --forget=notes,capture               without them again

What a submission must contain is remembered in submission.toml, beside the report, with copies of
notes and screenshots: later reports there have it too, and the one that --resume writes. A flag
changes its own value. A report in another folder takes over once what the run's folder remembers.

Files: report.html, report.md, table.csv, table.xlsx, with --pdf report.pdf; and of a single run in
its own folder summary.csv, clients.csv and run.json, all from journal.ndjson alone.";

/// Renders what `args` ask for.
///
/// # Errors
/// [`Unusable`] for what the user has to change; else what kept a file from being written.
pub(super) fn run(args: &ReportArgs) -> Result<Exit> {
    let folders = folders(&args.runs)?;
    let target = match (&args.out, &folders[..]) {
        (Some(out), _) => out.clone(),
        (None, [one]) => one.clone(),
        (None, _) => {
            let message = "several runs go into one report: say where to write it with --out DIR";
            return Err(Unusable(message.into()).into());
        }
    };
    let recalled = Recalled::new(&args.submission, &folders, &target)?;
    let runs: Vec<Run> = folders
        .iter()
        .map(|folder| Ok(Run::read(folder)?))
        .collect::<Result<_>>()?;
    if args.out.is_none() {
        for run in &runs {
            derived::write_all(&target, &run.contents, &run.rows)?;
        }
    }
    fs::create_dir_all(&target).map_err(|error| results::unusable(&target, &error))?;
    say_which(args, &folders);
    recalled.remember(&target)?;
    let page = stress_report::write(&runs, &recalled.submission, &target)?;
    let paths =
        stress_report::names(&runs).map(|name| format!("{}\n", target.join(name).display()));
    print(&paths.collect::<String>())?;
    match args.pdf {
        true => print_pdf(&page, &target, args.browser.as_deref()),
        false => {
            say_stale(&target);
            Ok(Exit::Verified)
        }
    }
}

/// Which runs the report is on: one that nobody named has to be told.
fn say_which(args: &ReportArgs, folders: &[PathBuf]) {
    let names: Vec<String> = folders
        .iter()
        .map(|run| run.display().to_string())
        .collect();
    let newest = match args.runs.is_empty() {
        true => ", the newest run",
        false => "",
    };
    say(format_args!("report on {}{newest}", Lang::En.list(&names)));
}

/// A print of what the page said before may be handed in by mistake.
fn say_stale(target: &Path) {
    let pdf = target.join(PDF);
    if pdf.exists() {
        let pdf = pdf.display();
        say(format_args!(
            "{pdf} is the one of an earlier report: --pdf prints it anew"
        ));
    }
}

/// What a submission has to contain, as it was given now and before.
struct Recalled {
    submission: Submission,
    /// Whether the folder of the report does not know it yet.
    is_new: bool,
}

impl Recalled {
    /// What the folder of the report remembers, or the folder of its only run, changed by `args`.
    fn new(args: &SubmissionArgs, folders: &[PathBuf], target: &Path) -> Result<Self> {
        // What cannot be read any more can still be forgotten.
        let is_anew = args.forget.contains(&Item::All);
        let recall = |folder: &Path| match is_anew {
            true => Ok(None),
            false => Submission::remembered(folder),
        };
        let own = recall(target)?;
        let known = match (&own, folders) {
            (None, [run]) => recall(run)?,
            _ => own.clone(),
        };
        let has_something = known.is_some() || is_anew;
        let submission = known.unwrap_or_default().changed_by(&args.given())?;
        let is_new = own.as_ref() != Some(&submission)
            && (has_something || submission != Submission::default());
        Ok(Self { submission, is_new })
    }

    fn remember(&self, target: &Path) -> Result<()> {
        if self.is_new {
            self.submission.remember(target)?;
        }
        let file = target.join(submission::FILE_NAME);
        if file.exists() {
            say(format_args!(
                "{}: {}",
                file.display(),
                self.submission.summary()
            ));
        }
        Ok(())
    }
}

/// Prints the page that stands in `target`, beside it.
fn print_pdf(page: &str, target: &Path, browser: Option<&Path>) -> Result<Exit> {
    let Some(pdf) = pdf::print(page, &target.join(PAGE), browser)? else {
        return Ok(Exit::Interrupted);
    };
    derived::replace(target, PDF, |out| out.write_all(&pdf))?;
    print(&format!("{}\n", target.join(PDF).display()))?;
    Ok(Exit::Verified)
}

/// Writes the report of a run that has just ended beside its tables: in English, or as the folder remembers it.
///
/// # Errors
/// [`Unusable`] says what is wrong with what the folder remembers; else a file cannot be written.
pub(super) fn write_beside(folder: &Path, run: &Run) -> Result<()> {
    stress_report::write_beside(folder, run)?;
    say_stale(folder);
    Ok(())
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
