//! The status of a running server: what its admin socket answers to `GET /status`, as JSON.
//!
//! A snapshot, made when it is asked for. A reader must ignore keys it does not know. Times are in milliseconds or
//! microseconds and sizes in bytes, as the names say.

use serde::{Deserialize, Serialize};

use crate::announce::{Counts, Settings, WorkerLedger};

/// Everything there is to know of a running server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// The server as a whole.
    pub server: Server,
    /// The listening socket.
    pub listener: Listener,
    /// Everything that all workers did, and what it cost.
    pub sum: Sum,
    /// One entry per slot, in slot order, slots that a smaller pool no longer fills included.
    pub workers: Vec<Worker>,
    /// The worker processes that exist, in the order of their seats.
    pub processes: Vec<Process>,
    /// The settings in force.
    pub settings: Settings,
}

/// The server as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Server {
    /// The address really bound.
    pub address: String,
    /// The parent's process id.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// `process`, `thread` or `event`.
    pub pool: String,
    /// The size that the pool is to have.
    pub workers_wanted: u32,
    /// What the server is doing.
    pub state: ServerState,
    /// How long it has been running.
    pub uptime_ms: u64,
    /// Log lines that were lost because the log's reader did not keep up, or its disk is full.
    #[serde(default)]
    pub log_lines_lost: u64,
    /// The server that this one took over from, while that still finishes what it has in hand.
    pub predecessor_pid: Option<u32>,
    /// The server that is to take over from this one.
    pub successor_pid: Option<u32>,
    /// Files of the root that the last listing left out, because no client can name them; none before the first.
    #[serde(default)]
    pub files_unlisted: Option<u64>,
    /// What the encoded cache holds; none where there is none.
    #[serde(default)]
    pub cached_bytes: Option<u64>,
}

worded! {
    /// What a server is doing.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum ServerState {
        /// Not all workers have been ready yet.
        Starting = "starting",
        /// Serving.
        Running = "running",
        /// Serving, while the workers are being replaced by others with new settings.
        Reloading = "reloading",
        /// Leaving gracefully.
        Draining = "draining",
        /// Leaving at once.
        Stopping = "stopping",
        /// Another server has taken over; what is in hand is being finished.
        HandingOver = "handing_over",
    }
}

/// The listening socket. What the kernel does not tell is none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Listener {
    /// Connections that wait to be accepted (`tcpi_unacked`, tcp(7)).
    pub backlog: Option<u32>,
    /// How many may wait: the least of what was asked for and `net.core.somaxconn` (`tcpi_sacked`).
    pub backlog_max: Option<u32>,
    /// How often a listening queue was full: `ListenOverflows` of this network namespace, all sockets together.
    pub listen_overflows: Option<u64>,
    /// Connections dropped on their way into a listening queue, for whatever reason: `ListenDrops` of this network
    /// namespace, all sockets together.
    pub listen_drops: Option<u64>,
}

/// Everything that all workers did, dead ones included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sum {
    /// Connections and requests.
    #[serde(flatten)]
    pub counts: Counts,
    /// The identity of [`crate::announce::Connections`] holds for every slot and in sum.
    pub connections_balanced: bool,
    /// The identity of [`crate::announce::Requests`] holds for every slot and in sum.
    pub requests_balanced: bool,
    /// Worker processes that ended without being asked to.
    pub crashes: u32,
    /// Worker processes that were started in the place of an earlier one.
    pub restarts: u32,
    /// Limits of the system that were hit when a worker was to be started, or killed for; none that were not.
    #[serde(default)]
    pub limits_hit: Vec<LimitHit>,
    /// CPU time of all worker processes that ever lived, user, microseconds.
    pub cpu_user_us: u64,
    /// CPU time of all worker processes that ever lived, system, microseconds.
    pub cpu_system_us: u64,
    /// Resident memory of the worker processes that exist, added up. They share pages, so it is more than they take.
    pub rss_bytes: u64,
    /// The largest resident size that any worker process has had; none if none could be read.
    pub peak_rss_bytes: Option<u64>,
}

/// A limit of the system that was hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitHit {
    /// Its name where it is set: `pids.max`, `ulimit -u`, `memory.max`, `RLIMIT_NOFILE` and others.
    pub limit: String,
    /// How often a worker could not be started, or was killed, because of it.
    pub hits: u64,
}

/// One slot: what its workers did over all generations, and what it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Worker {
    /// Counts, crashes, CPU time and peak memory, up to now.
    #[serde(flatten)]
    pub ledger: WorkerLedger,
    /// What the youngest of its processes is doing; none if it has no process.
    pub state: Option<ProcessState>,
    /// It has a connection in hand that it has not set aside.
    pub is_busy: bool,
    /// Connections that it has set aside, of those in flight: a blocking worker's, without a transfer.
    #[serde(default)]
    pub connections_set_aside: u64,
    /// Resident memory now; none without a process, and for a thread, whose process is shared.
    pub rss_bytes: Option<u64>,
}

/// One worker process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Process {
    /// Its place in the pool, from 0.
    pub seat: u32,
    /// Which of the seat's processes it is, from 1.
    pub generation: u32,
    /// Its process id.
    pub pid: u32,
    /// What it is doing.
    pub state: ProcessState,
    /// How many workers it is: one, or for the thread pool all.
    pub workers: u32,
    /// Connections it has in hand.
    pub connections_in_flight: u64,
    /// Requests it has in hand.
    pub requests_in_flight: u64,
    /// CPU time so far, user, microseconds, to a clock tick; none if it could not be read.
    pub cpu_user_us: Option<u64>,
    /// CPU time so far, system, microseconds, to a clock tick; none if it could not be read.
    pub cpu_system_us: Option<u64>,
    /// Resident memory now; none if it could not be read.
    pub rss_bytes: Option<u64>,
    /// The largest resident size that it has had; none if it could not be read.
    pub peak_rss_bytes: Option<u64>,
}

worded! {
    /// What a worker process is doing.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum ProcessState {
        /// It has not said that it is ready.
        Starting = "starting",
        /// It accepts and serves.
        Serving = "serving",
        /// It accepts nothing more, and leaves when what it has in hand is finished.
        Retiring = "retiring",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_word() {
        let word = |value| serde_json::to_string(&value).unwrap();
        for state in ServerState::ALL {
            assert_eq!(word(state), format!("\"{}\"", state.as_str()));
        }
        let word = |value| serde_json::to_string(&value).unwrap();
        for state in ProcessState::ALL {
            assert_eq!(word(state), format!("\"{}\"", state.as_str()));
        }
    }
}
