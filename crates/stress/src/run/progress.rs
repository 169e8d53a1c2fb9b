//! What is shown on standard error while a run goes on: a bar, plain lines, or nothing.
//!
//! The bar is drawn between samples only. A ticking bar would need a thread, and would take time from what is
//! being measured.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use cli_kit::output::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use screen::Screen;
use stress_data::matrix::Cell;
use stress_data::measurement::Status;
use stress_data::size::{counted, format, rate_text};
use stress_data::summary::Brief;
use stress_report::table::conditions;

/// What is shown while measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A bar on a terminal, plain lines elsewhere.
    Auto,
    /// One line for every sample.
    Plain,
    /// Nothing.
    None,
}

impl Shown {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Auto, Self::Plain, Self::None];
}

/// Shows how far a run is.
#[derive(Debug)]
pub(crate) struct Progress {
    view: View,
    started: Instant,
    /// Samples taken and planned, those of earlier sessions included.
    samples: (usize, usize),
    /// Work done and to do, of this session.
    units: (u64, u64),
    failed: usize,
    /// How long all of it may take, from the start.
    budget: Option<Duration>,
    is_own_server: bool,
}

#[derive(Debug)]
enum View {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// A run with `samples` (taken already, planned) and `units` of work ahead. Of a foreign server nobody knows what
    /// its workers are. A budget is shown instead of a guess at the time left.
    pub(crate) fn new(
        shown: Shown,
        samples: (usize, usize),
        units: u64,
        is_own_server: bool,
        budget: Option<Duration>,
    ) -> Self {
        let view = match shown {
            Shown::Auto if std::io::stderr().is_terminal() => View::Bar(bar(samples)),
            Shown::Auto | Shown::Plain => View::Lines,
            Shown::None => View::Nothing,
        };
        Self {
            view,
            started: Instant::now(),
            samples,
            units: (0, units),
            failed: 0,
            budget,
            is_own_server,
        }
    }

    /// A sample of `cell` begins.
    pub(crate) fn start(&self, cell: &Cell) {
        if let View::Bar(bar) = &self.view {
            let elapsed = self.started.elapsed();
            let guess = || remaining(elapsed, self.units.0, self.units.1);
            let left = match self.budget {
                Some(budget) => format!(
                    "{} of --budget left",
                    whole_seconds(budget.saturating_sub(elapsed))
                ),
                None => {
                    guess().map_or_else(String::new, |left| format!("{} left", whole_seconds(left)))
                }
            };
            let failed = match self.failed {
                0 => String::new(),
                failed => format!("{failed} failed"),
            };
            let mut parts = vec![left, failed, self.name(cell)];
            parts.retain(|part| !part.is_empty());
            // The name comes last: what there is no room for is cut.
            bar.set_message(parts.join(", "));
            bar.tick();
        }
    }

    /// A sample of `cell`, worth `units` of work, has ended.
    pub(crate) fn finish(&mut self, cell: &Cell, brief: &Brief, units: u64) {
        self.samples.0 += 1;
        self.units.0 += units;
        self.failed += usize::from(brief.status != Status::Ok);
        match &self.view {
            View::Bar(bar) => {
                if brief.status != Status::Ok {
                    bar.println(Screen::stderr().wrapped(&self.line(cell, brief)));
                }
                bar.set_position(self.samples.0 as u64);
            }
            View::Lines => say(Screen::stderr().wrapped(&self.line(cell, brief))),
            View::Nothing => {}
        }
    }

    /// The end: a bar disappears.
    pub(crate) fn close(self) {
        if let View::Bar(bar) = self.view {
            bar.finish_and_clear();
        }
    }

    fn line(&self, cell: &Cell, brief: &Brief) -> String {
        let (done, planned) = self.samples;
        let width = planned.to_string().len();
        let mut line = format!(
            "[{done:>width$}/{planned}] {}: {}",
            self.name(cell),
            brief.status.as_str()
        );
        if let Some(time) = brief.time {
            line += &format!(
                ", {} s per client",
                stress_data::summary::csv::format_seconds(time, 4)
            );
        }
        if let Some(rate) = brief.aggregate_bytes_per_s {
            line += &format!(", {} MB/s together", rate_text(rate));
        }
        if let Some(note) = &brief.note {
            line += &format!(" ({note})");
        }
        line
    }

    /// The row in a few words: all that tells it from the others.
    fn name(&self, cell: &Cell) -> String {
        let workers = match self.is_own_server {
            true => cell.server_pool.as_str(),
            false => "server",
        };
        format!(
            "row {} {} {}, {}, {}{}",
            cell.number,
            cell.operation.as_str(),
            format(cell.volume),
            counted(
                cell.clients.into(),
                &format!("{} client", cell.client_pool.as_str())
            ),
            counted(cell.servers.into(), &format!("{workers} worker")),
            conditions(cell),
        )
    }
}

fn bar(samples: (usize, usize)) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(samples.1 as u64), ProgressDrawTarget::stderr());
    // The template is a constant, and the program's tests draw it.
    if let Ok(style) = ProgressStyle::with_template("{bar:16} {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_position(samples.0 as u64);
    bar
}

/// The time that the rest takes if it goes on as before; none before anything is done.
fn remaining(elapsed: Duration, done: u64, total: u64) -> Option<Duration> {
    let left = u128::from(total.saturating_sub(done));
    let ns = (elapsed.as_nanos() * left).checked_div(u128::from(done))?;
    u64::try_from(ns).ok().map(Duration::from_nanos)
}

/// `1 h 5 min`, `3 min 20 s` or `12 s`.
pub(crate) fn whole_seconds(time: Duration) -> String {
    // Rounded up: "0 s left" would be a lie.
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use stress_data::matrix::{Plan, Selection, ServerPool};

    use super::*;

    #[test]
    fn what_remains_is_guessed_from_the_work_done() {
        let second = Duration::from_secs(1);
        assert_eq!(remaining(second, 0, 10), None);
        assert_eq!(remaining(second, 2, 10), Some(second * 4));
        assert_eq!(remaining(second, 10, 10), Some(Duration::ZERO));
        assert_eq!(remaining(second, 12, 10), Some(Duration::ZERO));
        assert_eq!(whole_seconds(Duration::from_millis(11_200)), "12 s");
        assert_eq!(whole_seconds(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(whole_seconds(Duration::from_secs(3_900)), "1 h 5 min");
    }

    #[test]
    fn a_plain_line_says_which_row_and_how_it_went() {
        let mut cell = Plan::new(&Selection::default()).cells.swap_remove(2);
        let ok = Brief {
            status: Status::Ok,
            time: Some(Duration::from_micros(12_340)),
            aggregate_bytes_per_s: Some(1_234_000_000),
            note: None,
        };
        let mut progress = Progress::new(Shown::None, (2, 81), 10, true, None);
        progress.finish(&cell, &ok, 10);
        assert_eq!(
            progress.line(&cell, &ok),
            "[ 3/81] row 3 download 10M, 1 thread client, 50 process workers: ok, 0.0123 s per client, 1,234 MB/s together"
        );
        let not_run = Brief {
            status: Status::NotRun,
            time: None,
            aggregate_bytes_per_s: None,
            note: Some("not enough memory".into()),
        };
        let line = progress.line(&cell, &not_run);
        assert!(
            line.ends_with("50 process workers: not_run (not enough memory)"),
            "{line}"
        );
        // Rows that differ in nothing else have lines that differ.
        (cell.clients, cell.servers) = (5, 1);
        cell.server_pool = ServerPool::Event;
        cell.fault = "slow-client:1M:5".parse().unwrap();
        cell.client_buffer = Some(64 << 10);
        assert_eq!(
            progress.name(&cell),
            "row 3 download 10M, 5 thread clients, 1 event worker, client buffer 64K, fault slow-client:1M:5"
        );
        progress.is_own_server = false;
        assert!(
            progress
                .name(&cell)
                .contains("1 server worker, client buffer")
        );
    }
}
