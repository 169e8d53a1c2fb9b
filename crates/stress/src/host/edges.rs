//! What the machine and the server have used so far, looked at right before and right after a window.

use nix::time::ClockId;
use nix::unistd::Pid;
use procfs::process::Process;
use stress_data::edges::{Edge, Memory, Pressure, ServerUse, Ticks};

use super::clock;
use super::environment::{meminfo, read};

/// A tick of the kernel's, on every Linux.
const TICK_US: u64 = 10_000;

/// The edge before a window of a server with these processes, the first of which has started the others.
pub(crate) fn before(server: &[u32]) -> Edge {
    let edge = rest(server);
    let at_ns = clock::now_ns();
    with_server_cpu(Edge { at_ns, ..edge }, cpu_us(server))
}

/// The edge after it. What a client's end is followed by is to be little, so that what takes long comes last.
pub(crate) fn after(server: &[u32]) -> Edge {
    let cpu_us = cpu_us(server);
    let at_ns = clock::now_ns();
    let edge = rest(server);
    with_server_cpu(Edge { at_ns, ..edge }, cpu_us)
}

fn with_server_cpu(mut edge: Edge, cpu_us: u64) -> Edge {
    if let Some(server) = &mut edge.server {
        server.cpu_us = cpu_us;
    }
    edge
}

/// Of those that have ended the kernel tells in ticks, and the one that has waited for them. They come first: one that ends
/// between the two is then missed, and not counted twice.
fn cpu_us(server: &[u32]) -> u64 {
    let parent = server.first().and_then(|pid| stat(*pid));
    let ended = parent.map_or(0, |stat| stat.cutime + stat.cstime);
    let clock = |pid: &u32| ClockId::pid_cpu_clock_id(Pid::from_raw(pid.cast_signed())).ok();
    let alive: u64 = server.iter().filter_map(clock).map(clock::read).sum();
    u64::try_from(ended).unwrap_or(0) * TICK_US + alive / 1_000
}

fn stat(pid: u32) -> Option<procfs::process::Stat> {
    Process::new(pid.cast_signed()).ok()?.stat().ok()
}

/// All but when, and the server's CPU time.
fn rest(server: &[u32]) -> Edge {
    Edge {
        at_ns: 0,
        ticks: ticks(&read("/proc/stat")),
        harness_cpu_us: clock::process_cpu_ns() / 1_000,
        memory: memory(&read("/proc/meminfo")),
        pressure: pressure(),
        server: (!server.is_empty()).then(|| server_use(server)),
    }
}

fn ticks(stat: &str) -> Option<Ticks> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks = fields
        .split_whitespace()
        .map_while(|field| field.parse().ok());
    // user nice system idle iowait irq softirq steal; guest time is inside user time already.
    let ticks: Vec<u64> = ticks.take(8).collect();
    Some(Ticks {
        total: ticks.get(..8)?.iter().sum(),
        processes: ticks[..3].iter().sum(),
    })
}

fn memory(text: &str) -> Option<Memory> {
    Some(Memory {
        free_bytes: meminfo(text, "MemFree")?,
        dirty_bytes: meminfo(text, "Dirty")?,
        writeback_bytes: meminfo(text, "Writeback")?,
    })
}

fn pressure() -> Option<Pressure> {
    let of = |what: &str| some_total(&read(&format!("/proc/pressure/{what}")));
    Some(Pressure {
        cpu_us: of("cpu")?,
        io_us: of("io")?,
        memory_us: of("memory")?,
    })
}

fn some_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.rsplit_once("total=")?.1.trim().parse().ok()
}

fn server_use(server: &[u32]) -> ServerUse {
    let mut used = ServerUse::default();
    for process in server
        .iter()
        .filter_map(|pid| Process::new(pid.cast_signed()).ok())
    {
        let Ok(stat) = process.stat() else {
            continue;
        };
        used.processes += 1;
        used.minor_faults += stat.minflt;
        used.major_faults += stat.majflt;
        // Of a process with threads, its status has the first one's.
        let tasks = process.tasks().into_iter().flatten().flatten();
        for status in tasks.filter_map(|task| task.status().ok()) {
            used.voluntary_switches += status.voluntary_ctxt_switches.unwrap_or(0);
            used.involuntary_switches += status.nonvoluntary_ctxt_switches.unwrap_or(0);
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read_from_its_lines() {
        let found = ticks("cpu  100 1 50 800 9 2 3 35 77 5\ncpu0 1 2 3\n");
        let (total, processes) = (1000, 151);
        assert_eq!(found, Some(Ticks { total, processes }));
        assert_eq!(ticks("cpu  1 2 3"), None);
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.00 total=5\n";
        assert_eq!(some_total(text), Some(77));
        assert_eq!(some_total(""), None);
        let text = "MemFree: 2 kB\nDirty: 3 kB\nWriteback: 0 kB\nWritebackTmp: 9 kB\n";
        let found = memory(text).unwrap();
        assert_eq!(
            (found.free_bytes, found.dirty_bytes, found.writeback_bytes),
            (2048, 3072, 0)
        );
    }

    #[test]
    fn what_a_process_has_used_grows_from_edge_to_edge_by_no_more_than_the_time() {
        let own = [std::process::id()];
        let first = before(&own);
        let mut sum = 0_u64;
        while after(&own).server.unwrap().cpu_us < first.server.unwrap().cpu_us + 2_000 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let last = after(&own);
        let (from, to) = (first.server.unwrap(), last.server.unwrap());
        assert_eq!((from.processes, to.processes), (1, 1));
        assert!(to.cpu_us >= from.cpu_us + 2_000 && last.at_ns >= first.at_ns);
        assert!(last.ticks.unwrap().total >= first.ticks.unwrap().total);
        assert!(first.memory.unwrap().free_bytes > 0);
        assert!(before(&[]).server.is_none());
    }
}
