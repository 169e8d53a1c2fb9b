//! What can be measured: the axes, the cells in their order, and their numbers.
//!
//! # Order and numbers
//!
//! Server workers vary fastest, then client workers, then volume, then operation; the pools vary slowest
//! (client pool slowest of all). The standard axes give 81 cells for each pair of pools: 1–27 download, 28–54
//! upload, 55–81 list. A number is a cell's place in the *full plan* of the pools that were asked for, and a
//! filter removes cells without renumbering the rest: `--op upload --clients 5` keeps the numbers that
//! published tables of this task use.
//!
//! An axis given nothing but standard values is a filter. An axis given any other value (`--clients 7`) becomes
//! exactly the values given, in ascending order, and the full plan is that of the changed axes: such a plan
//! counts from 1 on its own. The pools are always exactly those asked for.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The standard volumes: 10M, 50M and 100M.
pub const VOLUMES: [u64; 3] = [10 << 20, 50 << 20, 100 << 20];
/// The standard client pools' sizes.
pub const CLIENTS: [u32; 3] = [1, 5, 50];
/// The standard server pools' sizes.
pub const SERVERS: [u32; 3] = [1, 5, 50];
/// The size of the files that make up the volume of a list cell.
pub const LIST_FILE_BYTES: u64 = 64 << 10;

/// What the clients of a cell do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// GET of a file of the cell's volume.
    #[value(alias = "get")]
    Download,
    /// UPLOAD of a file of the cell's volume.
    Upload,
    /// LIST of a root that holds the volume as files of 64 KiB.
    List,
}

/// What the clients of a cell are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum ClientPool {
    /// Threads of one process.
    Thread,
    /// Processes.
    Process,
}

/// What the workers of our server are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum ServerPool {
    /// Forked processes.
    Process,
    /// Threads of one forked process.
    Thread,
}

/// One combination: a row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
        let all_operations = [Operation::Download, Operation::Upload, Operation::List];
        let operations = Axis::new(&all_operations, &selection.operations);
        let volumes = Axis::new(&VOLUMES, &selection.volumes);
        let clients = Axis::new(&CLIENTS, &selection.clients);
        let servers = Axis::new(&SERVERS, &selection.servers);
        let client_pools = sorted_or(&selection.client_pools, ClientPool::Thread);
        let server_pools = sorted_or(&selection.server_pools, ServerPool::Process);

        let mut cells = Vec::new();
        let mut number = 0;
        for &client_pool in &client_pools {
            for &server_pool in &server_pools {
                for (operation, operation_wanted) in operations.iter() {
                    for (volume, volume_wanted) in volumes.iter() {
                        for (clients, clients_wanted) in clients.iter() {
                            for (servers, servers_wanted) in servers.iter() {
                                number += 1;
                                if operation_wanted
                                    && volume_wanted
                                    && clients_wanted
                                    && servers_wanted
                                {
                                    cells.push(Cell {
                                        number,
                                        operation,
                                        volume,
                                        clients,
                                        servers,
                                        client_pool,
                                        server_pool,
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
        Self {
            cells,
            full_len: number,
        }
    }
}

/// The values of one axis of the full plan, and which of them are wanted.
struct Axis<T> {
    values: Vec<(T, bool)>,
}

impl<T: Copy + Ord> Axis<T> {
    fn new(standard: &[T], asked: &[T]) -> Self {
        let is_filter = asked.iter().all(|value| standard.contains(value));
        let values = if is_filter {
            let is_wanted = |value: &T| asked.is_empty() || asked.contains(value);
            standard
                .iter()
                .map(|value| (*value, is_wanted(value)))
                .collect()
        } else {
            sorted(asked)
                .into_iter()
                .map(|value| (value, true))
                .collect()
        };
        Self { values }
    }

    fn iter(&self) -> impl Iterator<Item = (T, bool)> {
        self.values.iter().copied()
    }
}

fn sorted<T: Copy + Ord>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values
}

fn sorted_or<T: Copy + Ord>(asked: &[T], default: T) -> Vec<T> {
    if asked.is_empty() {
        vec![default]
    } else {
        sorted(asked)
    }
}

impl Operation {
    /// The word in tables and flags.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
            Self::List => "list",
        }
    }
}

impl ClientPool {
    /// The word in tables and flags.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Process => "process",
        }
    }
}

impl ServerPool {
    /// The word in tables and flags.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Thread => "thread",
        }
    }
}

#[cfg(test)]
mod tests;
