//! What can be measured: the axes, the cells in their order, and their numbers.
//!
//! # Order and numbers
//!
//! Server workers vary fastest, then client workers, then volume, then operation, then the pools (server pool
//! before client pool); buffers, caches, faults and subjects vary slowest. The standard axes give 81 cells for each pair of pools: 1–27 download, 28–54
//! upload, 55–81 list. A number is a cell's place in the *full plan* of the pools that were asked for, and a
//! filter removes cells without renumbering the rest: `--op upload --clients 5` keeps the numbers that
//! published tables of this task use.
//!
//! An axis given nothing but standard values is a filter. An axis given any other value (`--clients 7`) becomes
//! exactly the values given, in ascending order, and the full plan is that of the changed axes: such a plan
//! counts from 1 on its own. The pools, buffers,
//! caches, faults and subjects are always exactly those asked for, the subjects in the order in which they were named.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// What our server can promise about uploads, as its `--durability` takes it.
pub const DURABILITIES: [&str; 3] = ["none", "data", "full"];

/// The standard volumes: 10M, 50M and 100M.
pub const VOLUMES: [u64; 3] = [10 << 20, 50 << 20, 100 << 20];
/// The standard client pools' sizes.
pub const CLIENTS: [u32; 3] = [1, 5, 50];
/// The standard server pools' sizes.
pub const SERVERS: [u32; 3] = [1, 5, 50];
/// The size of the files that make up the volume of a list cell.
pub const LIST_FILE_BYTES: u64 = 64 << 10;

words! {
    /// What the clients of a cell do.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum Operation {
        /// GET of a file of the cell's volume.
        Download = "download",
        /// UPLOAD of a file of the cell's volume.
        Upload = "upload",
        /// LIST of a root that holds the volume as files of 64 KiB.
        List = "list",
    }
}

words! {
    /// What the clients of a cell are.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum ClientPool {
        /// Threads of one process.
        Thread = "thread",
        /// Processes.
        Process = "process",
    }
}

words! {
    /// What the workers of our server are.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum ServerPool {
        /// Forked processes.
        Process = "process",
        /// Threads of one forked process.
        Thread = "thread",
        /// Forked processes, many connections each at once.
        Event = "event",
    }
}

/// One combination: a row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cell {
    /// The row's number in the full plan, from 1; filters keep it.
    pub number: u32,
    /// What the clients do.
    pub operation: Operation,
    /// The test file's size in bytes.
    pub volume: u64,
    /// The size of the client pool.
    pub clients: u32,
    /// The size of the server pool.
    pub servers: u32,
    /// What the clients are.
    pub client_pool: ClientPool,
    /// What the server's workers are.
    pub server_pool: ServerPool,
    /// The clients' receive buffer in bytes; none leaves the kernel's tuning alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_buffer: Option<u64>,
    /// The server's receive buffer in bytes; none leaves the kernel's tuning alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_buffer: Option<u64>,
    /// The memory in which our server keeps files encoded, in bytes, 0 for none; none leaves it to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded_cache: Option<u64>,
    /// What is done to the server meanwhile.
    #[serde(default, skip_serializing_if = "Fault::is_none")]
    pub fault: Fault,
    /// Which of the servers of the run it is of, by its name; none where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl Cell {
    /// Connections that the server can have in hand at once: a blocking worker has one, an event worker all.
    #[must_use]
    pub fn at_once(&self) -> u32 {
        let connections = self.clients.saturating_add(self.fault.clients());
        match self.server_pool.is_blocking() {
            true => connections.min(self.servers),
            false => connections,
        }
    }

    /// Whether it differs from `other` in nothing but the subject: what both measure is compared round by round.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        let as_other = Self {
            number: other.number,
            subject: other.subject.clone(),
            ..self.clone()
        };
        as_other == *other
    }
}

/// Which values were asked for; an empty list asks for the standard ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Operations.
    pub operations: Vec<Operation>,
    /// Volumes in bytes.
    pub volumes: Vec<u64>,
    /// Sizes of the client pool.
    pub clients: Vec<u32>,
    /// Sizes of the server pool.
    pub servers: Vec<u32>,
    /// Client pools; threads if empty.
    pub client_pools: Vec<ClientPool>,
    /// Server pools; processes if empty.
    pub server_pools: Vec<ServerPool>,
    /// The clients' receive buffers in bytes; the kernel's tuning if empty.
    pub client_buffers: Vec<u64>,
    /// The server's receive buffers in bytes; the kernel's tuning if empty.
    pub server_buffers: Vec<u64>,
    /// The server's encoded caches in bytes; what it takes by itself if empty.
    pub encoded_caches: Vec<u64>,
    /// Faults; none if empty.
    pub faults: Vec<Fault>,
    /// The names of the servers that are measured beside each other; one without a name if empty.
    pub subjects: Vec<String>,
}

words! {
    /// A plan by its name.
    #[derive(Default)]
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum PlanName {
        #[default]
        /// 81 rows.
        Standard = "standard",
        /// The assignment's 54 rows for each pair of pools.
        Assignment = "assignment",
        /// The page an engineer decides from.
        Models = "models",
    }
}

impl PlanName {
    /// Whether it is the one that needs no name.
    #[must_use]
    pub const fn is_standard(&self) -> bool {
        matches!(self, Self::Standard)
    }
}

/// The cells to measure, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The cells that remain after filtering, in the order of their numbers.
    pub cells: Vec<Cell>,
    /// How many cells the full plan has, filtered or not.
    pub full_len: u32,
}

impl Plan {
    /// The cells that `selection` asks for, with their numbers in the full plan.
    #[must_use]
    pub fn new(selection: &Selection) -> Self {
        let operations = axis(&Operation::ALL, &selection.operations);
        let volumes = axis(&VOLUMES, &selection.volumes);
        let clients = axis(&CLIENTS, &selection.clients);
        let servers = axis(&SERVERS, &selection.servers);
        let client_pools = pools(&selection.client_pools, ClientPool::Thread);
        let server_pools = pools(&selection.server_pools, ServerPool::Process);

        let client_buffers = pools(&somes(&selection.client_buffers), None);
        let server_buffers = pools(&somes(&selection.server_buffers), None);
        let caches = pools(&somes(&selection.encoded_caches), None);
        let faults = pools(&selection.faults, Fault::None);
        let subjects = match &selection.subjects[..] {
            [] => vec![None],
            named => named.iter().cloned().map(Some).collect(),
        };

        // The slowest axis first; all of these values but the number are replaced.
        let cells = vec![Cell {
            number: 0,
            operation: Operation::Download,
            volume: 0,
            clients: 0,
            servers: 0,
            client_pool: ClientPool::Thread,
            server_pool: ServerPool::Process,
            client_buffer: None,
            server_buffer: None,
            encoded_cache: None,
            fault: Fault::None,
            subject: None,
        }];
        let cells = expand(cells, &subjects, |cell, value| cell.subject = value);
        let cells = expand(cells, &faults, |cell, value| cell.fault = value);
        let cells = expand(cells, &client_buffers, |it, value| it.client_buffer = value);
        let cells = expand(cells, &server_buffers, |it, value| it.server_buffer = value);
        let cells = expand(cells, &caches, |cell, value| cell.encoded_cache = value);
        let cells = expand(cells, &client_pools, |cell, value| cell.client_pool = value);
        let cells = expand(cells, &server_pools, |cell, value| cell.server_pool = value);
        let cells = expand(cells, &operations, |cell, value| cell.operation = value);
        let cells = expand(cells, &volumes, |cell, value| cell.volume = value);
        let cells = expand(cells, &clients, |cell, value| cell.clients = value);
        let mut cells = expand(cells, &servers, |cell, value| cell.servers = value);

        let mut full_len = 0;
        for cell in &mut cells {
            full_len += 1;
            cell.number = full_len;
        }
        cells.retain(|cell| selection.wants(cell));
        Self { cells, full_len }
    }
}

impl Selection {
    fn wants(&self, cell: &Cell) -> bool {
        is_wanted(&self.operations, cell.operation)
            && is_wanted(&self.volumes, cell.volume)
            && is_wanted(&self.clients, cell.clients)
            && is_wanted(&self.servers, cell.servers)
    }
}

fn is_wanted<T: PartialEq>(asked: &[T], value: T) -> bool {
    asked.is_empty() || asked.contains(&value)
}

/// The values of an axis of the full plan: the standard ones, unless others were asked for.
fn axis<T: Copy + Ord>(standard: &[T], asked: &[T]) -> Vec<T> {
    if asked.iter().all(|value| standard.contains(value)) {
        standard.to_vec()
    } else {
        sorted(asked)
    }
}

fn pools<T: Copy + Ord>(asked: &[T], default: T) -> Vec<T> {
    if asked.is_empty() {
        vec![default]
    } else {
        sorted(asked)
    }
}

fn somes(values: &[u64]) -> Vec<Option<u64>> {
    values.iter().copied().map(Some).collect()
}

fn sorted<T: Copy + Ord>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values
}

/// Every cell with every value, the values varying faster than the cells.
fn expand<T: Clone>(cells: Vec<Cell>, values: &[T], set: fn(&mut Cell, T)) -> Vec<Cell> {
    let with = |cell: &Cell, value: &T| {
        let mut cell = cell.clone();
        set(&mut cell, value.clone());
        cell
    };
    cells
        .iter()
        .flat_map(|cell| values.iter().map(move |value| with(cell, value)))
        .collect()
}

impl ServerPool {
    /// Whether a worker serves one connection at a time.
    #[must_use]
    pub const fn is_blocking(self) -> bool {
        matches!(self, Self::Process | Self::Thread)
    }
}

#[cfg(test)]
mod tests;
