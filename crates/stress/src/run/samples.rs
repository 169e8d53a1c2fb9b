//! The main loop: one sample after the other, whatever becomes of each.

use std::path::Path;
use std::time::{Duration, Instant};

use stress_data::journal::{Line, Sample, Served, Timeline};
use stress_data::machine::CpuTicks;
use stress_data::matrix::Cell;
use stress_data::measurement::{Measurement, Settings, Status};
use stress_data::schedule::Turn;
use stress_data::summary::Brief;

use super::agenda::Agenda;
use super::budget::Cost;
use super::folder::Folder;
use super::measure;
use super::preflight;
use super::progress::Progress;
use super::timeline::AccessLog;
use super::work::work_units;
use crate::corpus::workdir::WorkDir;
use crate::host::environment::cpu_ticks;
use crate::host::stops::Stops;

/// What takes samples; in tests, something without servers.
pub(super) trait Sampler {
    /// Why `cell` cannot be measured now.
    fn shortage(&self, cell: &Cell) -> Option<String>;
    /// Takes one sample.
    fn measure(&mut self, cell: &Cell, repeat: u32) -> Result<Measurement, measure::Error>;
    /// Takes one more sample, with what each of the server's workers did where that can be known.
    fn draw(&mut self, cell: &Cell, repeat: u32) -> Result<Drawn, measure::Error>;
    /// The time since the start of the session.
    fn elapsed(&self) -> Duration;
}

/// A sample, and what the server's workers did meanwhile.
pub(super) type Drawn = (Measurement, Vec<Served>);

/// Servers, clients and sockets.
pub(super) struct RealSampler<'a> {
    pub(super) work: &'a WorkDir,
    /// The folder of the run.
    pub(super) run: &'a Path,
    pub(super) settings: &'a Settings,
    pub(super) stops: &'a Stops,
    pub(super) started: Instant,
}

impl Sampler for RealSampler<'_> {
    fn shortage(&self, cell: &Cell) -> Option<String> {
        let settings = self.settings.of(cell);
        let ask = || preflight::shortage(cell, &settings, self.work.path(), self.run);
        ask().and_then(|_| {
            // What the row before has left may still be there.
            self.work.quiet();
            ask()
        })
    }

    fn measure(&mut self, cell: &Cell, repeat: u32) -> Result<Measurement, measure::Error> {
        let settings = self.settings.of(cell);
        measure::measure(cell, repeat, &settings, self.work, self.stops.any())
    }

    fn draw(&mut self, cell: &Cell, repeat: u32) -> Result<Drawn, measure::Error> {
        let Some((log, settings)) = AccessLog::of(&self.settings.of(cell), self.work.path()) else {
            return Ok((self.measure(cell, repeat)?, Vec::new()));
        };
        let measured = measure::measure(cell, repeat, &settings, self.work, self.stops.any())?;
        Ok((measured, log.served(cell.operation)))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// How the loop ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Every sample was taken, or is a row that says why not.
    Complete,
    /// The user stopped it; the sample in hand is discarded.
    Interrupted,
    /// The harness cannot go on.
    Broken(anyhow::Error),
}

/// Takes samples and books them.
pub(super) struct Sampling<'a> {
    pub(super) folder: &'a mut Folder,
    pub(super) progress: Progress,
    pub(super) settings: &'a Settings,
    pub(super) session: u32,
    pub(super) stops: &'a Stops,
}

impl Sampling<'_> {
    /// Takes the samples of `cells` that `agenda` has, and books those that it does not come to.
    pub(super) fn take(
        &mut self,
        cells: &[Cell],
        mut agenda: Agenda<'_>,
        bench: &mut impl Sampler,
    ) -> Ended {
        loop {
            if self.stops.is_by_user() {
                return Ended::Interrupted;
            }
            let Some(turn) = agenda.next(bench.elapsed()) else {
                break;
            };
            let cell = &cells[turn.index];
            match self.take_one(cell, turn, bench) {
                Ok(Some(cost)) => agenda.learn(cell, cost),
                Ok(None) => {}
                Err(Ended::Interrupted) if !self.stops.is_by_user() => {
                    agenda.put_back(turn, cell);
                    break;
                }
                Err(ended) => return ended,
            }
        }
        for (turn, why) in agenda.left_over(bench.elapsed()) {
            if let Err(ended) = self.book_not_run(&cells[turn.index], turn, why) {
                return ended;
            }
        }
        Ended::Complete
    }

    /// Takes the timelines of the rows `numbers` that have samples and no timeline yet, until `end`. The run is complete without
    /// them: whoever stops it now loses nothing else.
    pub(super) fn draw(
        &mut self,
        cells: &[Cell],
        numbers: &[u32],
        end: Option<Duration>,
        bench: &mut impl Sampler,
    ) -> Ended {
        for cell in cells.iter().filter(|cell| numbers.contains(&cell.number)) {
            let contents = &self.folder.contents;
            let mut drawn = contents.timelines.iter();
            let is_drawn = drawn.any(|it| it.sample.measurement.cell.number == cell.number);
            let walls = contents.samples_of(cell.number).filter_map(|it| it.wall_ns);
            let Some(wall_ns) = walls.max().filter(|_| !is_drawn) else {
                continue;
            };
            let needed = bench.elapsed() + Duration::from_nanos(wall_ns);
            if end.is_some_and(|end| needed > end) || bench.shortage(cell).is_some() {
                continue;
            }
            self.progress.start(cell);
            let repeat = contents.header.fingerprint.repeats;
            let (started, before) = (bench.elapsed(), cpu_ticks());
            let (measurement, served) = match bench.draw(cell, repeat) {
                Ok(drawn) => drawn,
                Err(measure::Error::Interrupted) => break,
                Err(error) => return Ended::Broken(error.into()),
            };
            let took = bench.elapsed().saturating_sub(started);
            let sample = self.sample(measurement, false, before, took);
            let timeline = Line::Timeline(Box::new(Timeline { sample, served }));
            if let Err(error) = self.folder.append(timeline) {
                return Ended::Broken(error);
            }
        }
        Ended::Complete
    }

    fn sample(
        &self,
        measurement: Measurement,
        is_warmup: bool,
        before: Option<CpuTicks>,
        took: Duration,
    ) -> Sample {
        Sample {
            session: self.session,
            is_warmup,
            cpu: before.and_then(|before| Some(cpu_ticks()?.since(before))),
            wall_ns: Some(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)),
            measurement,
        }
    }

    /// Takes one sample and says what that took; none if it cannot be taken, and is booked as that.
    fn take_one(
        &mut self,
        cell: &Cell,
        turn: Turn,
        bench: &mut impl Sampler,
    ) -> Result<Option<Cost>, Ended> {
        self.progress.start(cell);
        let (started, before) = (bench.elapsed(), cpu_ticks());
        if let Some(why) = bench.shortage(cell) {
            self.book_not_run(cell, turn, why)?;
            return Ok(None);
        }
        let measurement = bench
            .measure(cell, turn.repeat)
            .map_err(|error| match error {
                measure::Error::Interrupted => Ended::Interrupted,
                error => Ended::Broken(error.into()),
            })?;
        let took = bench.elapsed().saturating_sub(started);
        let sample = self.sample(measurement, turn.is_warmup, before, took);
        let cost = Cost::new(took, sample.measurement.window());
        self.book(cell, sample)?;
        Ok(Some(cost))
    }

    fn book_not_run(&mut self, cell: &Cell, turn: Turn, why: String) -> Result<(), Ended> {
        let sample = Sample {
            session: self.session,
            is_warmup: turn.is_warmup,
            cpu: None,
            wall_ns: None,
            measurement: Measurement {
                notes: vec![why],
                ..Measurement::empty(cell, turn.repeat, super::now(), Status::NotRun)
            },
        };
        self.book(cell, sample)
    }

    fn book(&mut self, cell: &Cell, sample: Sample) -> Result<(), Ended> {
        let brief = Brief::new(&sample, self.settings);
        self.folder
            .append(Line::Sample(Box::new(sample)))
            .map_err(Ended::Broken)?;
        self.progress
            .finish(cell, &brief, work_units(cell, self.settings));
        Ok(())
    }
}
