//! What a run is asked to do, once the command line is understood.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stress_data::journal::Contents;
use stress_data::matrix::{Plan, PlanName};
use stress_data::measurement::Settings;
use stress_data::schedule::Order;
use stress_data::shell::quoted;

use super::progress::Shown;

/// Everything a run needs to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// The rows.
    pub(crate) plan: Plan,
    /// What the plan is called.
    pub(crate) plan_name: PlanName,
    /// Samples of each row.
    pub(crate) repeats: u32,
    /// Their order.
    pub(crate) order: Order,
    /// How a row is measured.
    pub(crate) settings: Settings,
    /// Whether a foreign server is asked how it wants requests to end; the settings then get its answer.
    pub(crate) is_probed: bool,
    /// Whether a foreign server is measured although its trial failed.
    pub(crate) keep_going: bool,
    /// Whether the machine's ceilings are measured first.
    pub(crate) baseline: bool,
    /// The folder that gets the folder of the run.
    pub(crate) out: PathBuf,
    /// The folder that gets the work directory; none puts it into `out`.
    pub(crate) work_dir: Option<PathBuf>,
    /// The word in the folder's name.
    pub(crate) label: String,
    /// Whether to go on with an earlier run.
    pub(crate) start: Start,
    /// Whether samples that are not ok are taken again.
    pub(crate) rerun_failed: bool,
    /// The numbers of the rows that are measured once more at the end, to be drawn.
    pub(crate) timelines: Vec<u32>,
    /// Whether the run becomes the newest one, which `latest` points at.
    pub(crate) is_latest: bool,
    /// How long all of it may take.
    pub(crate) budget: Option<Duration>,
    /// What is shown meanwhile.
    pub(crate) progress: Shown,
    /// The command line, word by word.
    pub(crate) command_line: Vec<String>,
}

/// Where a run starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// A new folder.
    Fresh,
    /// The newest folder whose run is not finished.
    ResumeNewest,
    /// This folder.
    Resume(PathBuf),
}

impl Request {
    /// Whether something of the run with these `contents` is still to be taken, or to be taken again.
    pub(crate) fn has_work_in(&self, contents: &Contents) -> bool {
        contents
            .plan()
            .any(|(number, repeat)| self.is_wanted(contents, number, repeat))
    }

    /// Whether this sample is still to be taken, or to be taken again.
    pub(crate) fn is_wanted(&self, contents: &Contents, number: u32, repeat: u32) -> bool {
        match self.rerun_failed {
            true => !contents.is_ok(number, repeat),
            false => !contents.is_taken(number, repeat),
        }
    }

    /// Where the work directory is made.
    pub(crate) fn work_parent(&self) -> &Path {
        self.work_dir.as_deref().unwrap_or(&self.out)
    }

    /// The command that goes on with the run in the folder `run`: this one, resuming.
    pub(crate) fn resume_command(&self, run: &str) -> String {
        let mut words = Vec::new();
        let mut typed = self.command_line.iter().peekable();
        while let Some(word) = typed.next() {
            if word == "--resume" {
                // Its value, if it has one, is the next word that is no flag.
                typed.next_if(|word| !word.starts_with('-'));
            } else if !word.starts_with("--resume=") && word != "--fresh" {
                words.push(quoted(word));
            }
        }
        words.push("--resume".into());
        words.push(quoted(run));
        words.join(" ")
    }
}
