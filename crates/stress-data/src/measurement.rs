//! One sample of one cell: all facts of it, as the journal keeps them. Every number in a table or report is
//! computed from these and nothing else.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::announce::{Done, Ready};
use serde::{Deserialize, Serialize};

use crate::edges::Edges;
use crate::fault::FaultReport;
use crate::matrix::{Cell, Operation};
use crate::record::{Outcome, Record};

/// How the note of a sample begins that was not run for want of time.
pub const BUDGET_NOTE: &str = "--budget:";

words! {
    /// How a sample ended, a closed set.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum Status {
        /// Every operation verified, and both sides' ledgers agree.
        Ok = "ok",
        /// Some operation did not succeed.
        Failed = "failed",
        /// Some operation ran into `--timeout`, and nothing worse happened.
        Timeout = "timeout",
        /// The server was gone before its ledger: its columns stay empty.
        ServerLost = "server_lost",
        /// The records and the server's ledger contradict each other.
        Inconsistent = "inconsistent",
        /// The cell was not run.
        NotRun = "not_run",
        /// The cell was cut short.
        Cut = "cut",
    }
}

words! {
    /// How downloads and uploads are verified.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum Verify {
        /// As [`Verify::Checksum`], and every uploaded file is read back from the root outside the measured window.
        Full = "full",
        /// The default. Length and CRC-32 of every download; the size and CRC-32 in the server's answer to every
        /// upload, and reading back (outside the measured window) only where a server's answer has none.
        Checksum = "checksum",
        /// Lengths only; nothing is read back.
        Size = "size",
        /// Only that the reply is complete, and agrees with what it says itself: the client computes the CRC-32 all the same.
        Off = "off",
    }
}

/// What a measurement needs to know besides its cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// Operations of each client in a list cell.
    pub list_requests: u32,
    /// Operations of each client in a download or upload cell.
    pub transfer_requests: u32,
    /// For one operation, connecting included.
    #[serde(rename = "timeout_ms", with = "milliseconds")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub timeout: Duration,
    /// How contents are verified.
    pub verify: Verify,
    /// Where contents come from.
    pub seed: u64,
    /// What the server is asked to promise for uploads: `none`, `data` or `full`.
    pub durability: String,
    /// `auto`, `system` or a name, for both sides.
    pub congestion: String,
    /// How requests end: `crlf`, `crlfcrlf`, `lf` or `none`.
    pub terminator: String,
    /// How long a foreign server is left alone before each window, once it is ready.
    #[serde(
        default = "server_settle",
        rename = "server_settle_ms",
        with = "milliseconds",
        skip_serializing_if = "is_usual_settle"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub server_settle: Duration,
    /// What our server is started with besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_args: Vec<String>,
    /// Whether the memory of the server's processes is watched during the window.
    #[serde(default)]
    pub watch_memory: bool,
    /// Whether memory is taken from the host before a cell that needs much of it, outside its window.
    #[serde(default)]
    pub warm_memory: bool,
    /// Rounds of samples that are taken first, and not counted.
    #[serde(default)]
    pub warmup: u32,
    /// Whose server is measured; of several subjects, that of the first.
    pub server: ServerChoice,
    /// The servers that are measured beside each other, the reference first; none if there is one only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
}

impl Settings {
    /// Those that hold for `cell`: with its subject's server, and what that one is told.
    #[must_use]
    pub fn of(&self, cell: &Cell) -> Cow<'_, Self> {
        let Some(subject) = self.subject(cell) else {
            return Cow::Borrowed(self);
        };
        let mut own = self.clone();
        own.subjects.clear();
        own.server.clone_from(&subject.server);
        own.server_args.extend_from_slice(&subject.server_args);
        if let Some(terminator) = &subject.terminator {
            own.terminator.clone_from(terminator);
        }
        Cow::Owned(own)
    }

    /// Whose row `cell` is; none where there is one server only.
    #[must_use]
    pub fn subject(&self, cell: &Cell) -> Option<&Subject> {
        let name = cell.subject.as_ref()?;
        self.subjects.iter().find(|it| it.name == *name)
    }

    /// Operations of each client of `cell`.
    #[must_use]
    pub const fn requests(&self, cell: &Cell) -> u32 {
        match cell.operation {
            Operation::Download | Operation::Upload => self.transfer_requests,
            Operation::List => self.list_requests,
        }
    }
}

/// A server that is measured beside others in one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Subject {
    /// What the user calls it, and its rows.
    pub name: String,
    /// Whose server it is.
    pub server: ServerChoice,
    /// What one of ours is started with besides what all of ours are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_args: Vec<String>,
    /// How its requests end, where its trial found that; else as those of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminator: Option<String>,
}

/// Whose server is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ServerChoice {
    /// Ours, by running our own executable again.
    Own,
    /// One that the user's command starts.
    Command(ServerCommand),
    /// A server that runs already.
    Target {
        /// `HOST:PORT`.
        address: String,
        /// Its admin socket, if it is ours and has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        admin: Option<PathBuf>,
    },
}

/// How a server of the user's choice is started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerCommand {
    /// The command line, split as a shell splits words, with `{port}`, `{workers}` and `{root}` in it.
    pub command: String,
    /// The folder it is started in, if not the harness's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// The address that it listens on, if not 127.0.0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The port it always listens on; none if it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The folder it always serves; none if it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
}

impl ServerChoice {
    /// The folder that it always serves, if it is one that we start and cannot tell another.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        match self {
            Self::Command(command) => command.root.as_deref(),
            Self::Own | Self::Target { .. } => None,
        }
    }

    /// Whether the server is told how many workers each cell wants; otherwise it always has the same number.
    #[must_use]
    pub fn is_told_workers(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Command(it) => it.command.contains("{workers}"),
            Self::Target { .. } => false,
        }
    }
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Measurement {
    /// Which cell.
    pub cell: Cell,
    /// Which repeat of it, from 0.
    pub repeat: u32,
    /// When it began, RFC 3339, UTC.
    pub started_utc: String,
    /// How it ended.
    pub status: Status,
    /// One for each planned operation, by client and request.
    pub records: Vec<Record>,
    /// What our server said it was; none for a foreign server or one that never became ready.
    pub ready: Option<Ready>,
    /// Our server's ledger; none for a foreign server or one that was lost.
    pub done: Option<Done>,
    /// What the machine and the server had used at both edges of the window; none in journals of schema 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<Edges>,
    /// CPU time of the clients over the measured window, microseconds (user + system).
    pub client_cpu_us: Option<u64>,
    /// VmHWM of the largest process that holds clients; in journals of schema 1 for threads the harness itself.
    pub client_peak_rss_bytes: Option<u64>,
    /// What was done to the server, and what became of it; none if the cell has no fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultReport>,
    /// Memory of all processes of our server; none if nobody watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_memory: Option<ServerMemory>,
    /// Memory that was taken from the host before the window; none if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmed: Option<Warmed>,
    /// Connections that found the queue of a listening socket of this machine full during the window; none if the
    /// kernel does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_overflows: Option<u64>,
    /// Uploads that count as done although no answer said what was stored, and nobody read them back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unverified: u64,
    /// Identities that do not hold, and other trouble, in words.
    pub notes: Vec<String>,
}

impl Measurement {
    /// A sample of which nothing is known but how it ended.
    #[must_use]
    pub fn empty(cell: &Cell, repeat: u32, started_utc: String, status: Status) -> Self {
        Self {
            cell: cell.clone(),
            repeat,
            started_utc,
            status,
            records: Vec::new(),
            ready: None,
            done: None,
            edges: None,
            client_cpu_us: None,
            client_peak_rss_bytes: None,
            fault: None,
            server_memory: None,
            warmed: None,
            listen_overflows: None,
            unverified: 0,
            notes: Vec::new(),
        }
    }

    /// Whether every operation that did not succeed was cut off, as a killed worker cuts those that it has in hand.
    /// Wrong bytes are none of that.
    pub(crate) fn is_only_cut(&self) -> bool {
        let mut outcomes = self.records.iter().map(|record| record.outcome);
        outcomes.all(|outcome| matches!(outcome, Outcome::Ok | Outcome::Reset | Outcome::Eof))
    }

    /// CPU time of the server between the edges of the window; where its processes were not looked at then, by its ledger: over
    /// its workers' lives, or between two looks at that of a server that runs for itself.
    #[must_use]
    pub fn server_cpu(&self) -> Option<Duration> {
        let between = self.edges.and_then(|edges| Some(edges.server()?.cpu_us));
        let ledger = self.done.as_ref();
        let us = between.or_else(|| ledger.map(|it| it.cpu_user_us + it.cpu_system_us));
        us.map(Duration::from_micros)
    }

    /// From the barrier's release to the end of the last operation that ended at all.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        let records = self.records.iter();
        let ends = records.filter_map(|record| record.since_release(record.ended_ns));
        ends.max().map(Duration::from_nanos)
    }
}

/// Ten of the kernel's ticks: so long a rest shows that a server has nothing more to do.
#[must_use]
pub const fn server_settle() -> Duration {
    Duration::from_millis(100)
}

fn is_usual_settle(time: &Duration) -> bool {
    *time == server_settle()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Memory of our server, its parent process included: the sum of the proportional set sizes (PSS) of its
/// processes, in which a page that several share is counted once in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerMemory {
    /// Before the first client came.
    pub idle_bytes: u64,
    /// The most that was seen during the window.
    pub peak_bytes: u64,
}

/// Memory that was touched and given back to the kernel before a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Warmed {
    /// How much.
    pub bytes: u64,
    /// How long that took, nanoseconds.
    pub took_ns: u64,
}

/// A duration as a whole number of milliseconds.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        u64::try_from(time.as_millis())
            .unwrap_or(u64::MAX)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
