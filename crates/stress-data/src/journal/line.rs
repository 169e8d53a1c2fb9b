//! The lines of a journal.

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::machine::{Ceilings, CpuTicks};
use crate::measurement::{Measurement, Status};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Line {
    /// The first.
    Header(Box<Header>),
    /// A start or a resumption.
    Session(Session),
    /// A sample, taken or given up.
    Sample(Box<Sample>),
    /// A row's one more sample, with what each of the server's workers did.
    Timeline(Box<Timeline>),
    /// The end of a session that was not killed.
    End(End),
}

/// What the run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Header {
    /// [`super::SCHEMA`] of the program that wrote it.
    #[cfg_attr(feature = "schema", schemars(extend("const" = super::SCHEMA)))]
    pub schema: u32,
    /// When the run was first started, RFC 3339, UTC.
    pub created_utc: String,
    /// The user's word for it.
    pub label: String,
    /// All that must stay the same for the run to be one run.
    pub fingerprint: Fingerprint,
}

/// What held when the harness was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// From 0.
    pub number: u32,
    /// RFC 3339, UTC.
    pub started_utc: String,
    /// The command line, word by word.
    pub command_line: Vec<String>,
    /// The harness's version.
    pub version: String,
    /// The commit it was built from, `-dirty` if changed, or `unknown`.
    pub commit: String,
    /// The file system of the folder that is served: the work directory's, or that of `--server-root`.
    pub work_file_system: String,
    /// Load averages over 1, 5 and 15 minutes before the first cell.
    pub load_before: Option<String>,
    /// Processors in use just before the first cell, thousandths of all.
    pub busy_before_permille: Option<u64>,
    /// The kernel's default congestion control.
    pub congestion_default: Option<String>,
    /// The machine's ceilings, if they were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceilings: Option<Ceilings>,
}

/// One sample, and what the machine did meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sample {
    /// In which session.
    pub session: u32,
    /// It is a warm-up: taken before those that count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_warmup: bool,
    /// Processor time of the whole machine over the sample, its preparation included.
    pub cpu: Option<CpuTicks>,
    /// How long it took with all that belongs to it (files, server, verification), nanoseconds; none for a sample
    /// that was not run, and in journals of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ns: Option<u64>,
    /// What was measured.
    pub measurement: Measurement,
}

impl Sample {
    /// Whether it was taken, however that went. One that was not run or was cut short is taken again on resuming.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        !matches!(self.measurement.status, Status::NotRun | Status::Cut)
    }

    /// Whether any operation was tried, however it ended: without a server none is.
    #[must_use]
    pub fn has_measured(&self) -> bool {
        self.measurement.window().is_some()
    }
}

/// A row measured once more for the picture of its window. It counts as no sample of the row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timeline {
    /// What the clients did. Its repeat is the one after the last that is planned.
    pub sample: Sample,
    /// The requests that our server served, from its access log; none of a server that has no such log.
    pub served: Vec<Served>,
}

/// One line of an access log, by the clock of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Served {
    /// Which of the server's workers, from 0.
    pub worker: u32,
    /// For which client, as the file's name tells; none for a listing.
    pub client: Option<u32>,
    /// When the request's head was complete.
    pub began_ns: u64,
    /// When the answer had been handed to the kernel.
    pub ended_ns: u64,
    /// Content bytes.
    pub bytes: u64,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct End {
    /// Which session.
    pub session: u32,
    /// RFC 3339, UTC.
    pub ended_utc: String,
    /// How long it took, nanoseconds.
    pub wall_ns: u64,
    /// Processor time of the whole machine meanwhile.
    pub cpu: Option<CpuTicks>,
    /// It was stopped before all samples were taken.
    pub interrupted: bool,
}
