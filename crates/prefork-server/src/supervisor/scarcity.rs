//! What ran out: which limit kept a process from being made, or had one killed, by the name under which it can be
//! raised. Found out after the fact and for people, so a best effort.

mod cgroup;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::sysinfo::sysinfo;
use nix::unistd::Uid;
use procfs::{FromBufRead, Meminfo};
use proto::status::LimitHit;

use cgroup::OomKills;

use crate::sys;

/// How often a limit that goes on being hit is mentioned in the log.
const MENTION: Duration = Duration::from_secs(10);

/// A limit that was hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Under which it is counted, and under which it can be raised.
    pub name: &'static str,
    /// What it is now, and how to raise it.
    pub cure: String,
}

impl Limit {
    /// The one behind an error of fork(2), or of whatever else makes a worker.
    #[must_use]
    pub(crate) fn behind(error: Errno) -> Self {
        match error {
            Errno::EAGAIN => processes(),
            Errno::ENOMEM | Errno::ENOBUFS => address_space().unwrap_or_else(memory),
            Errno::EMFILE => limit("RLIMIT_NOFILE", "raise ulimit -n (systemd: LimitNOFILE=)"),
            Errno::ENFILE => limit("fs.file-max", "raise it with sysctl"),
            Errno::ENOSPC => limit("fs.epoll.max_user_watches", "raise it with sysctl"),
            other => limit("unknown", other.desc()),
        }
    }

    /// The one for which the kernel killed a process.
    #[must_use]
    pub(crate) fn of_memory() -> Self {
        memory()
    }
}

fn limit(name: &'static str, cure: impl Into<String>) -> Limit {
    Limit {
        name,
        cure: cure.into(),
    }
}

/// Of the limits on processes the one that is reached; what cannot be told from others is named by elimination.
fn processes() -> Limit {
    if let Some((folder, max)) = cgroup::full_of_processes() {
        return limit(
            "pids.max",
            format!(
                "it is {max} in {}: raise it (systemd: TasksMax=, docker: --pids-limit)",
                folder.display()
            ),
        );
    }
    let user_max = getrlimit(Resource::RLIMIT_NPROC).map_or(u64::MAX, |(soft, _)| soft);
    // The kernel does not hold root to it.
    if user_max < u64::MAX && !Uid::current().is_root() {
        return limit(
            "ulimit -u",
            format!(
                "user {} may have {user_max} processes and threads: raise it (systemd: LimitNPROC=)",
                Uid::current()
            ),
        );
    }
    limit(
        "kernel.threads-max",
        "raise it, or kernel.pid_max, with sysctl",
    )
}

fn address_space() -> Option<Limit> {
    let (max, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    (max < u64::MAX).then(|| {
        limit(
            "ulimit -v",
            format!(
                "a process may map {max} bytes: raise it (systemd: LimitAS=), or have fewer workers"
            ),
        )
    })
}

/// What there is to say of something that could not be done at a start, with the limit if one was reached.
pub(crate) fn explained(what: &str, error: Errno) -> anyhow::Error {
    match error {
        Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE => {
            let Limit { name, cure } = Limit::behind(error);
            anyhow::anyhow!("{what}: {name} is reached; {cure}")
        }
        other => anyhow::Error::from(other).context(what.to_owned()),
    }
}

fn memory() -> Limit {
    match cgroup::memory_max() {
        Some((folder, max)) => limit(
            "memory.max",
            format!(
                "it is {max} bytes in {}: raise it (systemd: MemoryMax=, docker: --memory), or have fewer workers",
                folder.display()
            ),
        ),
        None => limit("memory", "the machine has no more: have fewer workers"),
    }
}

/// How much memory this server may have: the machine's, or its group's if that is less. None if it cannot be found out.
pub(crate) fn memory_bytes() -> Option<u64> {
    let machine = sysinfo().ok().map(|memory| memory.ram_total());
    let group = cgroup::memory_max().map(|(_, max)| max);
    machine.into_iter().chain(group).min()
}

/// Of its memory so much is to be available to this server: no other can take back what the encoded cache holds.
const AVAILABLE_MIN_PART: u64 = 16;

/// Whether there is less than that, on the machine or in one of its groups. Not known to be is not.
pub(crate) fn is_memory_short() -> bool {
    let machine = || {
        let text = sys::read_kernel_file("/proc/meminfo")?;
        let memory = Meminfo::from_buf_read(text.as_bytes()).ok()?;
        Some((memory.mem_available?, memory.mem_total))
    };
    let mut all = machine().into_iter().chain(cgroup::memory_left());
    all.any(|(available, of)| available < of / AVAILABLE_MIN_PART)
}

/// How often which limit was hit.
#[derive(Debug, Default)]
pub(crate) struct Shortages {
    hits: BTreeMap<&'static str, u64>,
    last: Option<(&'static str, Instant)>,
    oom_kills: OomKills,
}

impl Shortages {
    /// None so far.
    #[must_use]
    pub(crate) fn watch() -> Self {
        Self {
            oom_kills: OomKills::watch(),
            ..Self::default()
        }
    }

    /// Whether the kernel has killed a process for want of memory, of which nobody was told yet.
    pub(crate) fn take_oom_kill(&mut self) -> bool {
        self.oom_kills.take()
    }

    /// Counts a hit, and says which limit it was if that is to be mentioned: not again and again. `find_out` is not
    /// asked for what is not mentioned.
    pub(crate) fn book(&mut self, now: Instant, find_out: impl FnOnce() -> Limit) -> Option<Limit> {
        let recent = self
            .last
            .filter(|(_, at)| now.saturating_duration_since(*at) < MENTION);
        let (name, found) = match recent {
            Some((name, _)) => (name, None),
            None => {
                let limit = find_out();
                (limit.name, Some(limit))
            }
        };
        if found.is_some() {
            self.last = Some((name, now));
        }
        *self.hits.entry(name).or_default() += 1;
        found
    }

    /// What was booked.
    #[must_use]
    pub(crate) fn hits(&self) -> Vec<LimitHit> {
        let hit = |(name, hits): (&&'static str, &u64)| LimitHit {
            limit: (*name).to_owned(),
            hits: *hits,
        };
        self.hits.iter().map(hit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_goes_on_being_hit_is_counted_each_time_and_mentioned_now_and_then() {
        let mut shortages = Shortages::default();
        let start = Instant::now();
        let limit = || Limit::behind(Errno::EMFILE);
        let mentioned = (0..25u32).filter(|second| {
            let now = start + Duration::from_secs(1) * *second;
            shortages.book(now, limit).is_some()
        });
        assert_eq!(mentioned.collect::<Vec<_>>(), [0, 10, 20]);
        let hits = shortages.hits();
        assert_eq!(hits.len(), 1);
        assert_eq!(
            (hits[0].limit.as_str(), hits[0].hits),
            ("RLIMIT_NOFILE", 25)
        );
    }

    #[test]
    fn every_shortage_has_a_name() {
        for error in crate::exit::SHORTAGES {
            assert_ne!(Limit::behind(error).name, "unknown", "{error}");
        }
    }
}
