//! Flags: what a reader should know before believing a row. A closed set of words.

use super::figures::Figures;
use super::statistics::Spread;
use crate::journal::Contents;
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
/// Fewer samples than this do not tell an outlier from spread.
const OUTLIER_SAMPLES_MIN: usize = 5;

/// The flags of a row with these samples.
pub(super) fn of(contents: &Contents, taken: &[Figures<'_>]) -> Vec<Flag> {
    let cores = u64::from(contents.header.fingerprint.machine.cores);
    let session = |figures: &Figures<'_>| {
        contents
            .sessions
            .iter()
            .find(|session| session.number == figures.sample.session)
    };
    let is_busy = |figures: &Figures<'_>| {
        session(figures)
            .and_then(|session| session.busy_before_permille)
            .is_some_and(|permille| permille > BUSY_PERMILLE_MAX)
    };
    // Where a target has its folder is not known.
    let server = &contents.header.fingerprint.settings.server;
    let is_here = !matches!(server, ServerChoice::Target { .. });
    let is_tmpfs = |figures: &Figures<'_>| {
        is_here && session(figures).is_some_and(|session| session.work_file_system == "tmpfs")
    };
    let is_retaken = |figures: &Figures<'_>| {
        let number = figures.sample.measurement.cell.number;
        let mut retaken = contents.retaken.iter();
        retaken.any(|earlier| earlier.measurement.cell.number == number)
    };
    let has_overflow =
        |figures: &Figures<'_>| figures.sample.measurement.listen_overflows > Some(0);
    let is_unverified = |figures: &Figures<'_>| figures.sample.measurement.unverified > 0;
    let checks = [
        (Flag::BusyMachine, taken.iter().any(is_busy)),
        (Flag::Steal, taken.iter().any(has_steal)),
        (
            Flag::ClientBound,
            taken.iter().any(|figures| is_client_bound(figures, cores)),
        ),
        (Flag::Outlier, has_outlier(taken)),
        (Flag::Tmpfs, taken.iter().any(is_tmpfs)),
        (Flag::Retaken, taken.iter().any(is_retaken)),
        (Flag::ListenOverflow, taken.iter().any(has_overflow)),
        (Flag::Unverified, taken.iter().any(is_unverified)),
    ];
    checks
        .into_iter()
        .filter_map(|(flag, is_set)| is_set.then_some(flag))
        .collect()
}

fn has_steal(figures: &Figures<'_>) -> bool {
    figures.sample.cpu.is_some_and(|cpu| {
        cpu.steal >= STEAL_TICKS_MIN
            && cpu
                .steal_permille()
                .is_some_and(|permille| permille > STEAL_PERMILLE_MAX)
    })
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
    let is_greater_part = figures
        .server_cpu_ns
        .is_some_and(|server| client > server && uses_up(client + server, cores));
    is_saturated || is_greater_part
}

/// A modified z-score above 3.5 (Iglewicz and Hoaglin 1993): 0.6745 · |x − median| ÷ MAD.
fn has_outlier(taken: &[Figures<'_>]) -> bool {
    let times: Vec<u64> = taken.iter().filter_map(|figures| figures.time_ns).collect();
    let Some(Spread {
        median,
        mad: Some(mad),
        ..
    }) = Spread::of(times.iter().copied())
    else {
        return false;
    };
    let is_far = |time: u64| u128::from(time.abs_diff(median)) * 6_745 > u128::from(mad) * 35_000;
    times.len() >= OUTLIER_SAMPLES_MIN && mad > 0 && times.into_iter().any(is_far)
}
