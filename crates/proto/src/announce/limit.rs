//! The limits of the system that keep a worker from accepting: one name each, in the log, the status and the metrics.

use serde::{Deserialize, Serialize};

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The process has as many descriptors as it may (EMFILE): `ulimit -n`.
    RlimitNofile,
    /// The machine has as many open files as it may (ENFILE): `fs.file-max`.
    FileMax,
    /// The user waits for as many descriptors with epoll as it may (ENOSPC): `fs.epoll.max_user_watches`.
    MaxUserWatches,
    /// The kernel has no memory for it (ENOMEM, ENOBUFS): the machine's, a cgroup's `memory.max`, `net.ipv4.tcp_mem`.
    Memory,
    /// None: the network or a firewall refuses, and may not do so later.
    Network,
}

impl Limit {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 5] = [
        Self::RlimitNofile,
        Self::FileMax,
        Self::MaxUserWatches,
        Self::Memory,
        Self::Network,
    ];

    /// The key in READY, DONE and the status, and the label in the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RlimitNofile => "rlimit_nofile",
            Self::FileMax => "file_max",
            Self::MaxUserWatches => "max_user_watches",
            Self::Memory => "memory",
            Self::Network => "network",
        }
    }

    /// What a person would raise, or look at.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::RlimitNofile => "RLIMIT_NOFILE of the server (ulimit -n, LimitNOFILE=)",
            Self::FileMax => "fs.file-max of the machine (sysctl)",
            Self::MaxUserWatches => "fs.epoll.max_user_watches of the server's user (sysctl)",
            Self::Memory => {
                "memory: the machine's, memory.max of the server's cgroup, net.ipv4.tcp_mem"
            }
            Self::Network => "none: the network or a firewall refuses",
        }
    }
}

/// A number for each limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ByLimit {
    /// [`Limit::RlimitNofile`]
    pub rlimit_nofile: u64,
    /// [`Limit::FileMax`]
    pub file_max: u64,
    /// [`Limit::MaxUserWatches`]
    pub max_user_watches: u64,
    /// [`Limit::Memory`]
    pub memory: u64,
    /// [`Limit::Network`]
    pub network: u64,
}

impl ByLimit {
    /// The number for `limit`.
    pub fn get_mut(&mut self, limit: Limit) -> &mut u64 {
        match limit {
            Limit::RlimitNofile => &mut self.rlimit_nofile,
            Limit::FileMax => &mut self.file_max,
            Limit::MaxUserWatches => &mut self.max_user_watches,
            Limit::Memory => &mut self.memory,
            Limit::Network => &mut self.network,
        }
    }

    /// The sum over all limits. It wraps, as that of [`super::ByVerb`] does.
    #[must_use]
    pub const fn total(&self) -> u64 {
        super::wrapping_sum(&[
            self.rlimit_nofile,
            self.file_max,
            self.max_user_watches,
            self.memory,
            self.network,
        ])
    }
}
