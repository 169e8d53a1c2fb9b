//! The limits of the system that keep a worker from accepting: one name each, in the log, the status and the metrics.

worded! {
    /// A limit.
    pub enum Limit {
        /// The process has as many descriptors as it may (EMFILE): `ulimit -n`.
        RlimitNofile = "rlimit_nofile",
        /// The machine has as many open files as it may (ENFILE): `fs.file-max`.
        FileMax = "file_max",
        /// The user waits for as many descriptors with epoll as it may (ENOSPC): `fs.epoll.max_user_watches`.
        MaxUserWatches = "max_user_watches",
        /// The kernel has no memory for it (ENOMEM, ENOBUFS): the machine's, a cgroup's `memory.max`, `net.ipv4.tcp_mem`.
        Memory = "memory",
        /// None: the network or a firewall refuses, and may not do so later.
        Network = "network",
    }
}

impl Limit {
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
