//! What the machine and the server had used at both edges of a window, and what passed between the two.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A tick of the kernel's is 10 ms for programs, on every Linux.
const TICK_US: u64 = 10_000;
/// Of fewer ticks of all processors together nobody can say what share is whose: each counts for what went on at its end.
const TICKS_MIN: u64 = 100;
/// A share of the window that others, or waiting, may have.
const TOLERATED: u64 = 10;
/// Less memory than this is had from the host unnoticed.
const COLD_BYTES_MIN: u64 = 64 << 20;

/// Both edges of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Edges {
    /// Right before the release.
    pub before: Edge,
    /// Right after the last client's end.
    pub after: Edge,
}

/// One edge. What the kernel does not tell is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Edge {
    /// Nanoseconds of the records' clock: all of the window, and the look at the server's CPU time, lie between those of its edges.
    pub at_ns: u64,
    /// CPU time of the harness so far, microseconds.
    pub harness_cpu_us: u64,
    /// Of all processors, since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticks: Option<Ticks>,
    /// The machine's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// How long programs have waited so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<Pressure>,
    /// The server's processes; none of one that runs for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerUse>,
}

/// Processor time in ticks of 10 ms, from `/proc/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ticks {
    /// All of it.
    pub total: u64,
    /// Of processes, their system calls included (user, nice, system). Not of interrupts: whose network traffic those are is not
    /// known, and where the kernel counts them apart they are in no process's time.
    pub processes: u64,
}

/// From `/proc/meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Memory {
    /// That nobody uses (MemFree).
    pub free_bytes: u64,
    /// To be written to a disk (Dirty).
    pub dirty_bytes: u64,
    /// Being written (Writeback).
    pub writeback_bytes: u64,
}

/// From `/proc/pressure` (PSI): how long at least one process has waited for it since boot, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pressure {
    /// For a processor.
    pub cpu_us: u64,
    /// For a disk.
    pub io_us: u64,
    /// For memory.
    pub memory_us: u64,
}

/// What the processes of a server have used so far, parent and workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerUse {
    /// How many they are.
    pub processes: u32,
    /// CPU time, microseconds; of those that have ended in whole ticks.
    pub cpu_us: u64,
    /// How often one has waited.
    pub voluntary_switches: u64,
    /// How often another was let on in its place.
    pub involuntary_switches: u64,
    /// Page faults that needed no disk.
    pub minor_faults: u64,
    /// Page faults that did.
    pub major_faults: u64,
}

impl Edges {
    /// From one edge to the other: the window, and little more.
    #[must_use]
    pub const fn span(&self) -> Duration {
        Duration::from_nanos(self.after.at_ns.saturating_sub(self.before.at_ns))
    }

    /// What the server has used between them.
    #[must_use]
    pub fn server(&self) -> Option<ServerUse> {
        let (before, after) = (self.before.server?, self.after.server?);
        let grown = |of: fn(&ServerUse) -> u64| of(&after).saturating_sub(of(&before));
        Some(ServerUse {
            processes: after.processes,
            cpu_us: grown(|it| it.cpu_us),
            voluntary_switches: grown(|it| it.voluntary_switches),
            involuntary_switches: grown(|it| it.involuntary_switches),
            minor_faults: grown(|it| it.minor_faults),
            major_faults: grown(|it| it.major_faults),
        })
    }

    /// All that the processors could do meanwhile, and what the kernel's counting in ticks may add: each of eight kinds of time
    /// is cut to whole ticks, at both edges. Of a group that may use fewer processors than there are, a window shorter than its
    /// period may have had them all.
    pub(crate) fn capacity_us(&self, cores: u32) -> u64 {
        let spanned = micros(self.span()).saturating_mul(cores.into());
        spanned.max(self.total_ticks().unwrap_or(0) * TICK_US) + 8 * TICK_US
    }

    fn total_ticks(&self) -> Option<u64> {
        Some(
            self.after
                .ticks?
                .total
                .saturating_sub(self.before.ticks?.total),
        )
    }

    /// Whether others than clients, server and harness had more than a tenth of the processors' time. False where the window
    /// is too short to tell, or one of ours is not known.
    pub(crate) fn is_disturbed(&self, client_cpu_us: Option<u64>) -> bool {
        let others = || {
            let before = self.before.ticks?.processes;
            let processes = self.after.ticks?.processes.saturating_sub(before);
            let before = self.before.harness_cpu_us;
            let harness_us = self.after.harness_cpu_us.saturating_sub(before);
            let ours_us = harness_us + self.server()?.cpu_us + client_cpu_us?;
            Some((processes * TICK_US).saturating_sub(ours_us))
        };
        let total = self.total_ticks().filter(|total| *total >= TICKS_MIN);
        let both = others().zip(total);
        both.is_some_and(|(others_us, total)| others_us > total * TICK_US / TOLERATED)
    }

    /// Whether memory was not at hand: the window took so much that nobody had in use that getting it from the host of a
    /// virtual machine may have been more than a tenth of the processors' time; or somebody waited for memory for more than a
    /// tenth of the window; or so much was still to be written to disks before it that the kernel does so by itself.
    pub(crate) fn is_cold(&self, cores: u32, memory_bytes: u64) -> bool {
        let span_us = micros(self.span());
        let memory = self.before.memory.zip(self.after.memory);
        let pressure = self.before.pressure.zip(self.after.pressure);
        let is_taken = memory.is_some_and(|(before, after)| {
            let taken = before.free_bytes.saturating_sub(after.free_bytes);
            // 1.2 s a gigabyte or more: `stress/src/host/memory.rs` has the measurement.
            let cost_us = taken / 1_000 * 12 / 10;
            taken >= COLD_BYTES_MIN && cost_us > span_us * u64::from(cores) / TOLERATED
        });
        // The default of vm.dirty_background_ratio is a tenth of the memory.
        let is_written = memory.is_some_and(|(before, _)| {
            before.dirty_bytes + before.writeback_bytes > memory_bytes / TOLERATED
        });
        let is_waited_for = pressure.is_some_and(|(before, after)| {
            after.memory_us.saturating_sub(before.memory_us) > span_us / TOLERATED
        });
        is_taken || is_written || is_waited_for
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
