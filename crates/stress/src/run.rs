//! A run: every sample of the plan in turn, each in the journal before the next begins.

mod agenda;
mod budget;
mod folder;
pub(crate) mod measure;
pub(crate) mod preflight;
pub(crate) mod progress;
pub(crate) mod request;
pub(crate) mod results;
mod samples;
pub(crate) mod timeline;
mod trial;
pub(crate) mod work;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};
use cli_kit::output::say;
use client::Terminator;
use screen::Screen;
use stress_data::Unusable;
use stress_data::derived::write_all;
use stress_data::journal::{Contents, End, Line, Session};
use stress_data::matrix::{Cell, Operation};
use stress_data::measurement::ServerChoice;
use stress_data::run::Run;
use stress_data::schedule::{self, Turn};
use stress_data::size;

use crate::corpus::files;
use crate::corpus::served::ServedFolder;
use crate::corpus::workdir::{self, WorkDir};
use crate::host::ceilings;
use crate::host::environment::{self, COMMIT, cpu_ticks};
use crate::host::stops::Stops;
use crate::rig::probe;

use agenda::{Agenda, sampling_end};
use folder::Folder;
use progress::{Progress, Shown, whole_seconds};
use request::Request;
pub(crate) use samples::Ended;
use samples::{RealSampler, Sampler, Sampling};
use work::{content_bytes, work_units};

/// A run that has come to its end, with its tables written.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) path: PathBuf,
    pub(crate) run: Run,
    pub(crate) ended: Ended,
}

/// Takes what samples there are to take, and writes the tables. Must be called on the main thread.
///
/// # Errors
/// [`Unusable`] if the user has to ask for something else; anything else that kept the harness from its work.
pub(crate) fn measure(request: &Request) -> Result<Measured> {
    preflight::check_congestion(&request.settings.congestion).map_err(Unusable)?;
    let (started, ticks) = (Instant::now(), cpu_ticks());
    let stops = Stops::catch()?;
    let _parent = folder::make_parent(request)?;
    // Before the run's folder: one that cannot be used leaves no run that has nothing but a journal.
    let (_made, work) = workdir::make(request.work_parent())?;
    if let Some(root) = request.settings.server.root() {
        // Also before: each row takes it anew.
        drop(ServedFolder::take(root).map_err(|error| Unusable(error.to_string()))?);
    }
    if let Some(budget) = request.budget {
        Stops::end_after(sampling_end(budget).saturating_sub(started.elapsed()));
    }
    let request = &tried(request, &work, &stops)?;
    Stops::end_never();
    let mut folder = Folder::open(request)?;
    let session = session(request, &folder.contents)?;
    let number = session.number;
    folder.append(Line::Session(session))?;

    let ended = take_samples(request, &mut folder, work, number, &stops, started)?;
    let end = folder.append(Line::End(End {
        session: number,
        ended_utc: now(),
        wall_ns: u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
        cpu: ticks.and_then(|before| Some(cpu_ticks()?.since(before))),
        interrupted: !matches!(ended, Ended::Complete),
    }));
    // Without its last line a journal is as good as before: the tables are written all the same.
    let ended = end.map_or_else(Ended::Broken, |()| ended);
    let Folder { path, contents, .. } = folder;
    let run = Run::new(Run::name_of(&path), contents);
    write_all(&path, &run.contents, &run.rows)?;
    Ok(Measured { path, run, ended })
}

/// The request with what the trial of a foreign server showed. One that fails it is an error, unless the user wants to
/// go on.
fn tried(request: &Request, work: &WorkDir, stops: &Stops) -> Result<Request> {
    let mut tried = request.clone();
    let cells = &request.plan.cells;
    let of_subject = |name: Option<&str>| {
        let cell = cells.iter().find(|cell| cell.subject.as_deref() == name);
        let found = cell.map(|cell| try_one(request, cell, work, stops));
        let found = found.transpose()?.flatten();
        anyhow::Ok(found.map(|terminator| terminator.as_str().to_owned()))
    };
    for subject in &mut tried.settings.subjects {
        subject.terminator = of_subject(Some(&subject.name))?;
    }
    if let Some(terminator) = of_subject(None)? {
        tried.settings.terminator = terminator;
    }
    Ok(tried)
}

/// What the trial of the server of `cell` showed; none if it is ours.
fn try_one(
    request: &Request,
    cell: &Cell,
    work: &WorkDir,
    stops: &Stops,
) -> Result<Option<Terminator>> {
    let settings = request.settings.of(cell);
    let held = match trial::hold(cell, &settings, request.is_probed, work, stops.any()) {
        Err(measure::Error::Interrupted) if !stops.is_by_user() => {
            Some(Err("the server's trial was not over within --budget".into()))
        }
        held => held?,
    };
    match held {
        None => return Ok(None),
        Some(Ok(terminator)) => {
            if request.is_probed && request.progress != Shown::None {
                let whose = cell.subject.as_ref();
                say(format_args!(
                    "{}requests end with {} (found by LIST; --terminator {} skips the search)",
                    whose.map_or_else(String::new, |name| format!("{name}: ")),
                    probe::word(terminator),
                    terminator.as_str()
                ));
            }
            return Ok(Some(terminator));
        }
        Some(Err(why)) if request.keep_going => say(format_args!("warning: {why}")),
        Some(Err(why)) => anyhow::bail!(
            "{why}
Nothing was measured. To measure all the same, each row with its error: --keep-going"
        ),
    }
    Ok(None)
}

/// Takes the samples that are missing; the work directory is gone afterwards.
fn take_samples(
    request: &Request,
    folder: &mut Folder,
    work: WorkDir,
    session: u32,
    stops: &Stops,
    started: Instant,
) -> Result<Ended> {
    let turns = turns_left(request, &folder.contents);
    announce(request, folder, &turns);
    let settings = &request.settings;
    let agenda = agenda(request, &folder.contents, &turns);
    let run = folder.path.clone();
    let mut bench = RealSampler {
        work: &work,
        run: &run,
        settings,
        stops,
        started,
    };
    lay_out_downloads(request, &turns, &mut bench);
    let mut taker = Sampling {
        folder,
        progress: progress(request, &turns),
        settings,
        session,
        stops,
    };
    if let Some(budget) = request.budget {
        Stops::end_after(sampling_end(budget).saturating_sub(started.elapsed()));
    }
    let mut ended = taker.take(&request.plan.cells, agenda, &mut bench);
    if matches!(ended, Ended::Complete) {
        let end = request.budget.map(sampling_end);
        ended = taker.draw(&request.plan.cells, &request.timelines, end, &mut bench);
    }
    Stops::end_never();
    taker.progress.close();
    Ok(ended)
}

/// Makes what rows download before the first of them: by the time most of them come it has been left alone for as long as our
/// server wants. Within a budget each file is made when its row comes, since it may not come to it.
fn lay_out_downloads(request: &Request, turns: &[Turn], bench: &mut RealSampler<'_>) {
    let (settings, sources) = (&request.settings, bench.work.sources());
    let cells = || turns.iter().map(|turn| &request.plan.cells[turn.index]);
    sources.expect(cells());
    if request.budget.is_some() {
        return;
    }
    let is_kept = |cell: &&Cell| {
        cell.operation == Operation::Download && settings.of(cell).server == ServerChoice::Own
    };
    let mut volumes = BTreeSet::new();
    for cell in cells().filter(is_kept) {
        if volumes.insert(cell.volume) && bench.shortage(cell).is_none() {
            // What cannot be made is said by its row.
            let _ = files::kept(cell, settings.seed, sources);
        }
    }
}

fn agenda<'a>(request: &'a Request, contents: &Contents, turns: &[Turn]) -> Agenda<'a> {
    let (cells, settings) = (&request.plan.cells, &request.settings);
    match request.budget {
        None => Agenda::listed(turns),
        Some(budget) => Agenda::budgeted(turns, budget, contents, cells, settings),
    }
}

fn session(request: &Request, contents: &Contents) -> Result<Session> {
    let work = request.work_parent();
    let served = request.settings.server.root().unwrap_or(work);
    Ok(Session {
        number: u32::try_from(contents.sessions.len()).unwrap_or(u32::MAX),
        started_utc: now(),
        command_line: request.command_line.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        commit: COMMIT.into(),
        work_file_system: environment::file_system(served)
            .with_context(|| served.display().to_string())?,
        load_before: environment::load_averages(),
        busy_before_permille: environment::watch_busy_permille(),
        congestion_default: environment::congestion_default(),
        ceilings: match request.baseline {
            true => Some(ceilings::measure(work)?),
            false => None,
        },
    })
}

/// The samples that are still to be taken, in order.
fn turns_left(request: &Request, contents: &Contents) -> Vec<Turn> {
    let cells = &request.plan.cells;
    let mut turns = schedule::turns(cells, request.repeats, request.order, request.settings.seed);
    turns.retain(|turn| request.is_wanted(contents, cells[turn.index].number, turn.repeat));
    schedule::with_warmup(turns, request.settings.warmup, request.order)
}

fn progress(request: &Request, turns: &[Turn]) -> Progress {
    let warmups = turns.iter().filter(|turn| turn.is_warmup).count();
    let planned = request.plan.cells.len() * request.repeats as usize + warmups;
    let units = turns
        .iter()
        .map(|turn| work_units(&request.plan.cells[turn.index], &request.settings));
    Progress::new(
        request.progress,
        (planned - turns.len(), planned),
        units.sum(),
        request
            .plan
            .cells
            .iter()
            .all(|cell| request.settings.of(cell).server == ServerChoice::Own),
        request.budget,
    )
}

/// Says on standard error what is about to happen.
fn announce(request: &Request, folder: &Folder, turns: &[Turn]) {
    if request.progress == Shown::None {
        return;
    }
    let bytes = turns
        .iter()
        .map(|turn| content_bytes(&request.plan.cells[turn.index], &request.settings));
    let line = |text: String| say(Screen::stderr().wrapped(&text));
    line(format!(
        "{} to take, about {} of content to move; results in {}",
        size::counted(turns.len() as u64, "sample"),
        size::approximate(bytes.sum()),
        folder.path.display(),
    ));
    if let Some(budget) = request.budget {
        line(format!(
            "within {}: what is cheap comes first, and what does not fit is a row with status not_run",
            whole_seconds(budget)
        ));
    }
}

/// Now, as RFC 3339 to the second, UTC.
fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests;
