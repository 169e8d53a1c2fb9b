//! The limits of the system that keep a worker from accepting: one name each, in the log, the status and the metrics.

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
