//! A run: every sample of the plan in turn, each in the journal before the next begins.

mod dry_run;
mod folder;
mod samples;

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result};
use jiff::Timestamp;
use nix::sys::signal::Signal;

use crate::baseline::Ceilings;
use crate::cli::PlanName;
use crate::cli::request::Request;
use crate::environment::{self, COMMIT, CpuTicks};
use crate::exit::Exit;
use crate::journal::{Contents, End, Line, Session};
use crate::measure::WorkDir;
use crate::output;
use crate::preflight::{self, content_bytes, work_units};
use crate::progress::Progress;
use crate::schedule::{self, Turn};
use crate::summary::{self, Row};
use crate::{models, size, table};

use folder::Folder;
use samples::{Ended, RealBench, Taker};

/// What was typed does not fit what is there: a usage error that only shows once files are looked at.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// Does what `request` asks for. Must be called on the main thread.
///
/// # Errors
/// [`Unusable`] if the user has to ask for something else; anything else that kept the harness from its work.
pub fn run(request: &Request) -> Result<Exit> {
    if request.dry_run {
        dry_run::print(request)?;
        return Ok(Exit::Verified);
    }
    preflight::check_congestion(&request.settings.congestion).map_err(Unusable)?;
    let (started, ticks) = (Instant::now(), CpuTicks::read());
    let interrupt = catch_interrupts()?;
    let mut folder = Folder::open(request)?;
    let session = session(request, &folder.contents)?;
    let number = session.number;
    folder.append(Line::Session(session))?;

    let ended = take_samples(request, &mut folder, number, &interrupt)?;
    let end = folder.append(Line::End(End {
        session: number,
        ended_utc: now(),
        wall_ns: u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
        cpu: ticks.and_then(|before| Some(CpuTicks::read()?.since(before))),
        interrupted: !matches!(ended, Ended::Complete),
    }));
    // Without its last line a journal is as good as before: the tables are written all the same.
    conclude(request, &folder, end.map_or_else(Ended::Broken, |()| ended))
}

/// Takes the samples that are missing; the work directory is gone afterwards.
fn take_samples(
    request: &Request,
    folder: &mut Folder,
    session: u32,
    interrupt: &AtomicBool,
) -> Result<Ended> {
    let turns = turns_left(request, &folder.contents);
    announce(request, folder, &turns);
    let work = WorkDir::create(request.work_parent()).context("cannot make a work directory")?;
    let settings = &request.settings;
    let mut bench = RealBench {
        work: &work,
        settings,
        interrupt,
    };
    let mut taker = Taker {
        folder,
        progress: progress(request, &turns),
        settings,
        session,
        interrupt,
    };
    let ended = taker.take(&request.plan.cells, &turns, &mut bench);
    taker.progress.close();
    Ok(ended)
}

/// Writes all tables and says how it went.
fn conclude(request: &Request, folder: &Folder, ended: Ended) -> Result<Exit> {
    let rows = summary::rows(&folder.contents);
    output::write_all(&folder.path, &folder.contents, &rows)?;
    let run = folder.path.display().to_string();
    show(request, &folder.contents, &rows, &run)?;
    if !matches!(ended, Ended::Complete) {
        let taken = turns_taken(&folder.contents);
        let planned = request.plan.cells.len() * request.repeats as usize;
        eprintln!("stopped with {taken} of {planned} samples taken; they are kept. To go on:");
        eprintln!("  {}", request.resume_command(&run));
    }
    match ended {
        Ended::Interrupted => Ok(Exit::Interrupted),
        Ended::Broken(error) => Err(error),
        Ended::Complete => {
            let is_good = rows.iter().all(Row::is_as_expected);
            Ok(if is_good {
                Exit::Verified
            } else {
                Exit::CellFailed
            })
        }
    }
}

fn show(request: &Request, contents: &Contents, rows: &[Row], run: &str) -> Result<()> {
    if request.json {
        let line = |row| format!("{}\n", summary::csv::to_json(row));
        return print(&rows.iter().map(line).collect::<String>());
    }
    let is_colourful = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print(&table::render(contents, rows, run, is_colourful))?;
    match request.plan_name {
        PlanName::Models => print(&format!("\n{}", models::render(contents, rows, false))),
        PlanName::Standard | PlanName::Assignment => Ok(()),
    }
}

/// A flag that the first INT, TERM or HUP sets; the second one ends the process at once.
pub(crate) fn catch_interrupts() -> Result<Arc<AtomicBool>> {
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // In this order: the first registered sees the flag as the signal before it left it.
        signal_hook::flag::register_conditional_shutdown(
            signal as i32,
            130,
            Arc::clone(&interrupt),
        )
        .and_then(|_| signal_hook::flag::register(signal as i32, Arc::clone(&interrupt)))
        .context("cannot catch signals")?;
    }
    Ok(interrupt)
}

fn session(request: &Request, contents: &Contents) -> Result<Session> {
    let work = request.work_parent();
    Ok(Session {
        number: u32::try_from(contents.sessions.len()).unwrap_or(u32::MAX),
        started_utc: now(),
        command_line: request.command_line.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        commit: COMMIT.into(),
        work_file_system: environment::file_system(work)
            .with_context(|| work.display().to_string())?,
        load_before: environment::load_averages(),
        busy_before_permille: environment::watch_busy_permille(),
        congestion_default: environment::congestion_default(),
        ceilings: match request.baseline {
            true => Some(Ceilings::measure(work)?),
            false => None,
        },
    })
}

/// The samples that are still to be taken, in order.
fn turns_left(request: &Request, contents: &Contents) -> Vec<Turn> {
    let cells = &request.plan.cells;
    let mut turns = schedule::turns(cells, request.repeats, request.order, request.settings.seed);
    turns.retain(|turn| !contents.is_taken(cells[turn.index].number, turn.repeat));
    schedule::with_warmup(turns, request.settings.warmup, request.order)
}

fn turns_taken(contents: &Contents) -> usize {
    contents
        .samples
        .keys()
        .filter(|(number, repeat)| contents.is_taken(*number, *repeat))
        .count()
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
    )
}

/// Says on standard error what is about to happen.
fn announce(request: &Request, folder: &Folder, turns: &[Turn]) {
    if request.progress == crate::cli::Progress::None {
        return;
    }
    let bytes = turns
        .iter()
        .map(|turn| content_bytes(&request.plan.cells[turn.index], &request.settings));
    eprintln!(
        "{} to take, about {} of content to move; results in {}",
        size::counted(turns.len() as u64, "sample"),
        size::approximate(bytes.sum()),
        folder.path.display(),
    );
}

/// Writes to standard output; a reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}

/// Now, as RFC 3339 to the second, UTC.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
