//! What a run was measured on, as the journal keeps it: the machine, what it can, and how busy it was.

use serde::{Deserialize, Serialize};

use crate::matrix::{Cell, Operation};

/// The machine; part of what must be the same when a run is resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Machine {
    /// The processor's name for itself.
    pub cpu_model: String,
    /// Logical processors this process may use.
    pub cores: u32,
    /// Physical memory in bytes.
    pub memory_bytes: u64,
    /// Kernel name, release and architecture.
    pub kernel: String,
}

/// Time of all processors together since boot, in ticks of 10 ms, from `/proc/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CpuTicks {
    /// All of it.
    pub total: u64,
    /// Doing nothing, or waiting for a disk.
    pub idle: u64,
    /// Taken away by the hypervisor.
    pub steal: u64,
}

impl CpuTicks {
    /// What passed since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            idle: self.idle.saturating_sub(earlier.idle),
            steal: self.steal.saturating_sub(earlier.steal),
        }
    }

    /// How much of the time was not idle, in thousandths; none if no time passed.
    #[must_use]
    pub fn busy_permille(self) -> Option<u64> {
        ((self.total - self.idle.min(self.total)) * 1000).checked_div(self.total)
    }

    /// How much of the time was stolen, in thousandths; none if no time passed.
    #[must_use]
    pub fn steal_permille(self) -> Option<u64> {
        (self.steal * 1000).checked_div(self.total)
    }
}

/// What the machine can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ceilings {
    /// By connections, ascending.
    pub loopback: Vec<Loopback>,
    /// A file written into the page cache.
    pub cache_write_bytes_per_s: u64,
    /// A file read from the page cache.
    pub cache_read_bytes_per_s: u64,
}

/// Bytes through the loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Loopback {
    /// Over so many connections at once.
    pub connections: u32,
    /// Bytes on the wire, all connections together.
    pub wire_bytes_per_s: u64,
}

impl Ceilings {
    /// Content bytes per second that `cell` cannot exceed: those of the loopback for the connections that are
    /// served at once, as base64 makes four bytes of three, or the page cache's where that is less. None for a
    /// list, which moves next to nothing.
    #[must_use]
    pub fn of(&self, cell: &Cell) -> Option<u64> {
        let cache = match cell.operation {
            Operation::Download => self.cache_read_bytes_per_s,
            Operation::Upload => self.cache_write_bytes_per_s,
            Operation::List => return None,
        };
        let at_once = cell.at_once();
        let mut known = self.loopback.iter();
        let wire = known.rfind(|loopback| loopback.connections <= at_once)?;
        Some((wire.wire_bytes_per_s / 4 * 3).min(cache))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Plan, Selection, ServerPool};

    fn ceilings() -> Ceilings {
        let loopback = |connections, wire_bytes_per_s| Loopback {
            connections,
            wire_bytes_per_s,
        };
        Ceilings {
            loopback: vec![loopback(1, 4_000), loopback(5, 8_000), loopback(50, 6_000)],
            cache_write_bytes_per_s: 5_000,
            cache_read_bytes_per_s: 9_000,
        }
    }

    #[test]
    fn a_cells_ceiling_is_that_of_the_connections_it_serves_at_once() {
        let cells = Plan::new(&Selection::default()).cells;
        let check = |number: usize, want: Option<u64>| {
            assert_eq!(ceilings().of(&cells[number - 1]), want, "{number}");
        };
        // Download, 1 × 1, 5 × 1, 5 × 5, 5 × 50 and 50 × 50.
        check(1, Some(3_000));
        check(4, Some(3_000));
        check(5, Some(6_000));
        check(6, Some(6_000));
        check(9, Some(4_500));
        // Upload 5 × 5: the page cache is slower than the loopback.
        check(32, Some(5_000));
        check(55, None);
        let event = Cell {
            server_pool: ServerPool::Event,
            ..cells[6].clone()
        };
        assert_eq!((event.clients, event.servers), (50, 1));
        assert_eq!(ceilings().of(&event), Some(4_500));
    }
}
