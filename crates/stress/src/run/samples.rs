//! The main loop: one sample after the other, whatever becomes of each.

use std::sync::atomic::{AtomicBool, Ordering};

use super::folder::Folder;
use crate::environment::CpuTicks;
use crate::journal::{Line, Sample};
use crate::matrix::Cell;
use crate::measure::{self, WorkDir};
use crate::measurement::{Measurement, Settings, Status};
use crate::preflight;
use crate::progress::Progress;
use crate::schedule::Turn;
use crate::summary::Brief;

/// What takes samples; in tests, something without servers.
pub(super) trait Bench {
    /// Why `cell` cannot be measured now.
    fn shortage(&self, cell: &Cell) -> Option<String>;
    /// Takes one sample.
    fn measure(&mut self, cell: &Cell, repeat: u32) -> Result<Measurement, measure::Error>;
}

/// Servers, clients and sockets.
pub(super) struct RealBench<'a> {
    pub(super) work: &'a WorkDir,
    pub(super) settings: &'a Settings,
    pub(super) interrupt: &'a AtomicBool,
}

impl Bench for RealBench<'_> {
    fn shortage(&self, cell: &Cell) -> Option<String> {
        preflight::shortage(cell, self.settings, self.work.path())
    }

    fn measure(&mut self, cell: &Cell, repeat: u32) -> Result<Measurement, measure::Error> {
        measure::measure(cell, repeat, self.settings, self.work, self.interrupt)
    }
}

/// How the loop ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Every sample was taken, or is a row that says why not.
    Complete,
    /// The user stopped it; the sample in hand is discarded.
    Interrupted,
    /// The harness cannot go on.
    Broken(anyhow::Error),
}

/// Takes samples and books them.
pub(super) struct Taker<'a> {
    pub(super) folder: &'a mut Folder,
    pub(super) progress: Progress,
    pub(super) settings: &'a Settings,
    pub(super) session: u32,
    pub(super) interrupt: &'a AtomicBool,
}

impl Taker<'_> {
    /// Takes the samples `turns` of `cells` in that order.
    pub(super) fn take(&mut self, cells: &[Cell], turns: &[Turn], bench: &mut impl Bench) -> Ended {
        for turn in turns {
            if self.interrupt.load(Ordering::Relaxed) {
                return Ended::Interrupted;
            }
            let cell = &cells[turn.index];
            self.progress.start(cell);
            let before = CpuTicks::read();
            let measurement = match bench.shortage(cell) {
                Some(why) => Ok(not_run(cell, turn.repeat, why)),
                None => bench.measure(cell, turn.repeat),
            };
            let measurement = match measurement {
                Ok(measurement) => measurement,
                Err(measure::Error::Interrupted) => return Ended::Interrupted,
                Err(error) => return Ended::Broken(error.into()),
            };
            let sample = Sample {
                session: self.session,
                is_warmup: turn.is_warmup,
                cpu: before.and_then(|before| Some(CpuTicks::read()?.since(before))),
                measurement,
            };
            let brief = Brief::new(&sample, self.settings);
            if let Err(error) = self.folder.append(Line::Sample(Box::new(sample))) {
                return Ended::Broken(error);
            }
            self.progress
                .finish(cell, &brief, preflight::work_units(cell, self.settings));
        }
        Ended::Complete
    }
}

fn not_run(cell: &Cell, repeat: u32, why: String) -> Measurement {
    Measurement {
        notes: vec![why],
        ..Measurement::empty(cell, repeat, super::now(), Status::NotRun)
    }
}
