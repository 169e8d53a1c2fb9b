//! The source of every number: one line a fact, appended and synced before the next cell starts.
//!
//! The first line is the [`Header`]: what is to be measured, with what, on what. A [`Session`] line follows for
//! the first start and for every resumption, then one [`Sample`] line for each sample taken, then a
//! [`Timeline`] line for each row that is drawn, then an [`End`] line. A last line that was cut short (a crash in the middle of a write) is ignored, and removed on resuming.

mod line;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::measurement::Status;

pub use line::{End, Header, Line, Sample, Served, Session, Timeline};

/// The journal's file in the folder of a run.
pub const FILE_NAME: &str = "journal.ndjson";
/// The same, packed by `gzip`: how it is kept in a repository. It can be read, and not be added to.
pub const PACKED_NAME: &str = "journal.ndjson.gz";
/// The version of the journal's and the tables' format. It grows when a column gets another meaning under its old name:
/// docs/COLUMNS.md says which.
pub const SCHEMA: u32 = 2;
/// The oldest version that is read. Rows of an older journal are computed as those of today's; its own tables are not.
const SCHEMA_READ_MIN: u32 = 1;

/// What went wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    // Its reason is in its words, and so is no source: a chain of errors would say it twice.
    #[error("{path}: {reason}")]
    Io {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// Another harness is writing to it.
    #[error("{0} is being written by another run")]
    Locked(PathBuf),
    /// It has no whole line: its run ended before anything was measured.
    #[error(
        "{0} has no whole line: the run was ended before it had measured anything, and there is nothing to show, explain or go on with; remove its folder and start it again"
    )]
    Unbegun(PathBuf),
    /// It was begun by an older program, which measured some figures in another way: one run does not mix the two.
    #[error(
        "{path} is of format {schema}, and this program appends to format {SCHEMA} only: go on with the program that began it, or leave --resume out for a new run"
    )]
    Older {
        /// The journal.
        path: PathBuf,
        /// Its format.
        schema: u32,
    },
    /// A line is not what this program writes.
    #[error("{path}, line {number}: {message}")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        number: usize,
        /// What is wrong with it.
        message: String,
    },
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |reason| Error::Io { path, reason }
}

/// All that a journal says.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// What the run is.
    pub header: Header,
    /// Its sessions, in order.
    pub sessions: Vec<Session>,
    /// Its samples by cell number and repeat; of several lines for one, the last that was taken
    /// counts.
    pub samples: BTreeMap<(u32, u32), Sample>,
    /// Samples that are not counted, in the order they were taken.
    pub warmups: Vec<Sample>,
    /// Samples that were taken, and then taken again.
    pub retaken: Vec<Sample>,
    /// Samples that were taken once more, each for a picture of its row.
    pub timelines: Vec<Timeline>,
    /// The ends of its sessions.
    pub ends: Vec<End>,
    /// When samples began, in the order of their lines.
    pub(crate) beginnings: Vec<Beginning>,
}

/// When a sample began in which something was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// In which session.
    pub(crate) session: u32,
    /// Which it is: the number of its cell, and its repeat.
    pub(crate) sample: (u32, u32),
    /// By the clock of its records.
    pub(crate) released_ns: u64,
    /// By the calendar.
    pub(crate) started_utc: String,
}

impl Beginning {
    fn of(sample: &Sample) -> Option<Self> {
        let measurement = &sample.measurement;
        measurement.window()?;
        Some(Self {
            session: sample.session,
            sample: (measurement.cell.number, measurement.repeat),
            released_ns: measurement.records.first()?.released_ns,
            started_utc: measurement.started_utc.clone(),
        })
    }
}

impl Contents {
    /// The contents of a journal that only has its header yet.
    #[must_use]
    pub const fn new(header: Header) -> Self {
        Self {
            header,
            sessions: Vec::new(),
            samples: BTreeMap::new(),
            warmups: Vec::new(),
            retaken: Vec::new(),
            timelines: Vec::new(),
            ends: Vec::new(),
            beginnings: Vec::new(),
        }
    }

    /// Reads the journal in the folder `run`, packed or not, whether or not somebody is writing to it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(run: &Path) -> Result<Self, Error> {
        let packed = run.join(PACKED_NAME);
        let plain = run.join(FILE_NAME);
        let (path, bytes) = match packed.exists() && !plain.exists() {
            true => (&packed, unpack(&packed)),
            false => (&plain, std::fs::read(&plain)),
        };
        let bytes = bytes.map_err(io(path))?;
        Self::parse(path, &bytes).map(|(contents, _)| contents)
    }

    /// Adds what `line` says; a header changes nothing.
    pub fn add(&mut self, line: Line) {
        match &line {
            Line::Sample(sample) => self.beginnings.extend(Beginning::of(sample)),
            Line::Timeline(timeline) => self.beginnings.extend(Beginning::of(&timeline.sample)),
            Line::Header(_) | Line::Session(_) | Line::End(_) => {}
        }
        match line {
            Line::Header(_) => {}
            Line::Session(session) => self.sessions.push(session),
            Line::Sample(sample) if sample.is_warmup => self.warmups.push(*sample),
            Line::Sample(sample) => {
                let key = (sample.measurement.cell.number, sample.measurement.repeat);
                // What could not be taken again is still what it was.
                if sample.is_taken() || !self.is_taken(key.0, key.1) {
                    let earlier = self.samples.insert(key, *sample);
                    self.retaken.extend(earlier.filter(Sample::is_taken));
                }
            }
            Line::Timeline(timeline) => self.timelines.push(*timeline),
            Line::End(end) => self.ends.push(end),
        }
    }

    /// The format, if it is an older one than this program writes.
    #[must_use]
    pub fn older_schema(&self) -> Option<u32> {
        Some(self.header.schema).filter(|schema| *schema != SCHEMA)
    }

    /// Whether the sample was taken.
    #[must_use]
    pub fn is_taken(&self, number: u32, repeat: u32) -> bool {
        let sample = self.samples.get(&(number, repeat));
        sample.is_some_and(Sample::is_taken)
    }

    /// Whether the sample was taken and everything about it is well.
    #[must_use]
    pub fn is_ok(&self, number: u32, repeat: u32) -> bool {
        let sample = self.samples.get(&(number, repeat));
        sample.is_some_and(|sample| sample.measurement.status == Status::Ok)
    }

    /// Whether every sample of the plan was taken.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.plan()
            .all(|(number, repeat)| self.is_taken(number, repeat))
    }

    /// Every sample in the journal: those that count, those they replaced, the warm-ups, and the timelines'.
    pub fn all_samples(&self) -> impl Iterator<Item = &Sample> {
        let counted = self.samples.values().chain(&self.retaken);
        let drawn = self.timelines.iter().map(|timeline| &timeline.sample);
        counted.chain(&self.warmups).chain(drawn)
    }

    /// The samples of the cell `number` that count, by repeat.
    pub fn samples_of(&self, number: u32) -> impl Iterator<Item = &Sample> {
        let samples = self.samples.range((number, 0)..=(number, u32::MAX));
        samples.map(|(_, sample)| sample)
    }

    /// The samples that are planned: the number of each cell, with each repeat.
    pub fn plan(&self) -> impl Iterator<Item = (u32, u32)> {
        let fingerprint = &self.header.fingerprint;
        let cells = fingerprint.cells.iter();
        cells.flat_map(|cell| (0..fingerprint.repeats).map(|repeat| (cell.number, repeat)))
    }

    /// The contents, and the length of the whole lines they came from.
    fn parse(path: &Path, bytes: &[u8]) -> Result<(Self, u64), Error> {
        let whole_len = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let damaged = |number: usize, message: String| Error::Damaged {
            path: path.into(),
            number,
            message,
        };
        if let Some(what) = strange_start(bytes) {
            return Err(damaged(1, what));
        }
        let mut contents = None;
        for (index, text) in bytes[..whole_len]
            .split_inclusive(|byte| *byte == b'\n')
            .enumerate()
        {
            let number = index + 1;
            if text.trim_ascii().is_empty() {
                let what = "it is blank, and this program writes no such line: remove it";
                return Err(damaged(number, what.into()));
            }
            let line =
                serde_json::from_slice(text).map_err(|error| damaged(number, error.to_string()))?;
            match (&mut contents, line) {
                (None, Line::Header(header))
                    if (SCHEMA_READ_MIN..=SCHEMA).contains(&header.schema) =>
                {
                    contents = Some(Self::new(*header));
                }
                (None, Line::Header(header)) => {
                    let schema = header.schema;
                    let what = format!(
                        "it is of format {schema}, and this program reads formats {SCHEMA_READ_MIN} to {SCHEMA}"
                    );
                    return Err(damaged(number, what));
                }
                (None, _) => return Err(damaged(number, "the header is missing".into())),
                (Some(contents), line) => contents.add(line),
            }
        }
        let contents = contents.ok_or_else(|| Error::Unbegun(path.into()))?;
        Ok((contents, whole_len as u64))
    }
}

/// What an editor or a shell has put before the first line, with how to mend it.
fn strange_start(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xEF, 0xBB, 0xBF, ..] => Some(format!(
            "it begins with a byte order mark, which an editor puts there and this program does not: remove it (sed -i '1s/^\\xef\\xbb\\xbf//' {FILE_NAME})"
        )),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some(format!(
            "it begins with the byte order mark of UTF-16, and this program writes UTF-8: convert it (iconv -f UTF-16 -t UTF-8 {FILE_NAME})"
        )),
        _ => None,
    }
}

/// Whether the packed journal in the folder `run` says what the other one there does.
pub(crate) fn is_packed_copy(run: &Path) -> bool {
    let plain = std::fs::read(run.join(FILE_NAME));
    plain.is_ok_and(|plain| unpack(&run.join(PACKED_NAME)).is_ok_and(|packed| packed == plain))
}

/// What is in a file that gzip made.
///
/// # Errors
/// What the system said.
pub fn unpack(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(File::open(path)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A journal that is being written, locked against a second writer until dropped.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Starts the journal of a new run in its folder.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn create(run: &Path, header: &Header) -> Result<Self, Error> {
        let path = run.join(FILE_NAME);
        let opened = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = opened.map_err(io(&path))?;
        let mut journal = Self::locked(file, path)?;
        journal.append(&Line::Header(Box::new(header.clone())))?;
        Ok(journal)
    }

    /// Opens the journal in the folder `run` to go on with it, without its last line if that was cut short.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn resume(run: &Path) -> Result<(Self, Contents), Error> {
        let path = run.join(FILE_NAME);
        let opened = OpenOptions::new().read(true).append(true).open(&path);
        let file = opened.map_err(io(&path))?;
        let mut journal = Self::locked(file, path.clone())?;
        let mut bytes = Vec::new();
        journal.file.read_to_end(&mut bytes).map_err(io(&path))?;
        let (contents, whole_len) = Contents::parse(&path, &bytes)?;
        if let Some(schema) = contents.older_schema() {
            return Err(Error::Older { path, schema });
        }
        journal.file.set_len(whole_len).map_err(io(&path))?;
        Ok((journal, contents))
    }

    /// Appends one line with one write, and waits until it is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&mut self, line: &Line) -> Result<(), Error> {
        self.try_append(line).map_err(io(&self.path))
    }

    fn try_append(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let whole_len = self.file.metadata()?.len();
        let written = self.file.write_all(&bytes);
        written
            .and_then(|()| self.file.sync_data())
            .inspect_err(|_| {
                // Half a line, as of a disk that is full, would spoil the next one.
                let _ = self.file.set_len(whole_len);
            })
    }

    fn locked(file: File, path: PathBuf) -> Result<Self, Error> {
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked(path)),
            Err(TryLockError::Error(reason)) => Err(Error::Io { path, reason }),
        }
    }
}

#[cfg(test)]
mod tests;
