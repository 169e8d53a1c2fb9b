//! Flags: what a reader should know before believing a row. A closed set of words.

use super::figures::Figures;
use super::statistics::Spread;
use crate::journal::Contents;
use crate::machine::CpuTicks;
use crate::measurement::ServerChoice;

words! {
    /// One reason for care.
    pub enum Flag {
        /// More than a tenth of the processors was in use just before the run, or the resumption, that a sample is
        /// from.
        BusyMachine = "busy_machine",
        /// During a sample the hypervisor took more than 2 % of the processors' time away.
        Steal = "steal",
        /// In a sample the clients rather than the server used up the processors.
        ClientBound = "client_bound",
        /// A sample lies so far from the median that it is of another kind; it is counted all the same.
        Outlier = "outlier",
        /// The files were on tmpfs: in memory, not on a disk.
        Tmpfs = "tmpfs",
        /// A sample that was not ok was taken again, with `--rerun-failed`: what is shown is the later one, and the
        /// journal has both.
        Retaken = "retaken",
        /// During a sample connections found the queue of a listening socket of this machine full.
        ListenOverflow = "listen_overflow",
        /// Uploads of a sample that no answer vouched for were not read back, as `--verify` asks for.
        Unverified = "unverified",
        /// In a sample the clients started further apart than a tenth of a client's time: that much of the time is the
        /// scheduler's of this machine.
        StartSpread = "start_spread",
        /// In a sample others than clients, server and harness had more than a tenth of the processors' time.
        Disturbed = "disturbed",
        /// Memory was not at hand in a sample: it had to be got from the host, waited for, or was still to be written to a disk.
        ColdMemory = "cold_memory",
    }
}

impl Flag {
    /// What it means, for the foot of a table.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::BusyMachine => "the machine was busy before the run started",
            Self::Steal => "the hypervisor took away more than 2 % of the processors' time",
            Self::ClientBound => "the clients, not the server, used up the processors",
            Self::Outlier => "a sample lies far from the median",
            Self::Tmpfs => "files were on tmpfs, in memory",
            Self::Retaken => "a sample that was not ok was taken again; the journal has both",
            Self::ListenOverflow => {
                "connections found the listening queue full and had to try again, a second or more later"
            }
            Self::Unverified => {
                "uploads that no answer vouched for were not read back: leave --verify out for that"
            }
            Self::StartSpread => "clients started further apart than a tenth of a client's time",
            Self::Disturbed => "other programs had more than a tenth of the processors' time",
            Self::ColdMemory => {
                "memory may have had to be got from the host, or waited for: use --warm-memory, or measure again"
            }
        }
    }
}

const BUSY_PERMILLE_MAX: u64 = 100;
const STEAL_PERMILLE_MAX: u64 = 20;
/// Ticks are 10 ms: of fewer than three stolen ones nobody can say what share they are.
const STEAL_TICKS_MIN: u64 = 3;
/// Processors used up to this share count as used up: scheduling leaves gaps.
const SATURATED_PERCENT: u64 = 90;
/// In a shorter window it is mostly their own start that clients work for, not anything that a server could do faster.
const WINDOW_NS_MIN: u64 = 1_000_000;
/// A client's time counts from the release: what of it was waiting for a processor may be a tenth.
const START_SPREAD_DIVISOR: u64 = 10;
/// Fewer samples than this do not tell an outlier from spread.
const OUTLIER_SAMPLES_MIN: usize = 5;

/// The flags of a row with these samples.
pub(super) fn of(contents: &Contents, taken: &[Figures<'_>]) -> Vec<Flag> {
    let is_set = |flag: &Flag| match flag {
        Flag::Outlier => has_outlier(taken),
        flag => taken.iter().any(|figures| has(*flag, figures, contents)),
    };
    Flag::ALL.into_iter().filter(is_set).collect()
}

/// Whether one sample is reason enough for the flag.
fn has(flag: Flag, figures: &Figures<'_>, contents: &Contents) -> bool {
    let fingerprint = &contents.header.fingerprint;
    let measurement = &figures.sample.measurement;
    let mut sessions = contents.sessions.iter();
    let session = sessions.find(|session| session.number == figures.sample.session);
    match flag {
        Flag::BusyMachine => {
            session.and_then(|it| it.busy_before_permille) > Some(BUSY_PERMILLE_MAX)
        }
        Flag::Steal => has_steal(figures),
        Flag::ClientBound => is_client_bound(figures, fingerprint.machine.cores.into()),
        Flag::Outlier => false,
        // Where a target has its folder is not known.
        Flag::Tmpfs => {
            let is_here = !matches!(fingerprint.settings.server, ServerChoice::Target { .. });
            is_here && session.is_some_and(|session| session.work_file_system == "tmpfs")
        }
        Flag::Retaken => {
            let mut retaken = contents.retaken.iter();
            retaken.any(|earlier| earlier.measurement.cell.number == measurement.cell.number)
        }
        Flag::ListenOverflow => measurement.listen_overflows > Some(0),
        Flag::Unverified => measurement.unverified > 0,
        Flag::StartSpread => {
            let known = figures.start_spread_ns.zip(figures.time_ns);
            known.is_some_and(|(spread, time)| spread > time / START_SPREAD_DIVISOR)
        }
        Flag::Disturbed => {
            let clients = measurement.client_cpu_us;
            (measurement.edges).is_some_and(|edges| edges.is_disturbed(clients))
        }
        Flag::ColdMemory => {
            let machine = &fingerprint.machine;
            (measurement.edges).is_some_and(|it| it.is_cold(machine.cores, machine.memory_bytes))
        }
    }
}

fn has_steal(figures: &Figures<'_>) -> bool {
    let cpu = figures
        .sample
        .cpu
        .filter(|cpu| cpu.steal >= STEAL_TICKS_MIN);
    cpu.and_then(CpuTicks::steal_permille) > Some(STEAL_PERMILLE_MAX)
}

/// Either every client (or, with more clients than processors, every processor) was busy with client work for
/// the whole window, or both sides together used up the processors and the clients the greater part. Nothing can be
/// said of clients that got nothing done, or in a window that was over as soon as it began.
fn is_client_bound(figures: &Figures<'_>, cores: u64) -> bool {
    let (Some(makespan), Some(client)) = (figures.makespan_ns, figures.client_cpu_ns) else {
        return false;
    };
    if figures.clients.ok == 0 || makespan < WINDOW_NS_MIN {
        return false;
    }
    let uses_up = |cpu_ns: u64, processors: u64| {
        u128::from(cpu_ns) * 100
            >= u128::from(makespan) * u128::from(processors * SATURATED_PERCENT)
    };
    let clients = u64::from(figures.sample.measurement.cell.clients);
    let is_saturated = uses_up(client, clients.min(cores));
    let is_greater = |server| client > server && uses_up(client + server, cores);
    is_saturated || figures.server_cpu_ns.is_some_and(is_greater)
}

/// A modified z-score above 3.5 (Iglewicz and Hoaglin 1993): 0.6745 · |x − median| ÷ MAD.
fn has_outlier(taken: &[Figures<'_>]) -> bool {
    let times: Vec<u64> = taken.iter().filter_map(|figures| figures.time_ns).collect();
    let spread = Spread::of(times.iter().copied());
    let Some((median, mad)) = spread.and_then(|it| Some((it.median, it.mad?))) else {
        return false;
    };
    let is_far = |time: u64| u128::from(time.abs_diff(median)) * 6_745 > u128::from(mad) * 35_000;
    times.len() >= OUTLIER_SAMPLES_MIN && mad > 0 && times.into_iter().any(is_far)
}
