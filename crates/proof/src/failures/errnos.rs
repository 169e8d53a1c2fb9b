//! Which system calls can fail how: what the manual's pages and the kernel's file systems and sockets give. What
//! cannot happen on Linux is not here: it would show how the server deals with a kernel that there is none of.

/// `call`, where its arguments hold `with`, can fail with one of `errnos`. The first rule that fits is the one.
struct Rule {
    call: &'static str,
    with: &'static str,
    errnos: &'static str,
}

const fn rule(call: &'static str, with: &'static str, errnos: &'static str) -> Rule {
    Rule { call, with, errnos }
}

const LOOKUP: &str = "EACCES EIO ELOOP ENOENT ENOMEM";
const OPEN: &str = "EACCES EINTR EIO ELOOP EMFILE ENFILE ENOENT ENOMEM ENXIO";
const CREATE: &str = "EACCES EDQUOT EEXIST EINTR EIO EMFILE ENFILE ENOMEM ENOSPC EROFS";
const DESCRIPTOR: &str = "EMFILE ENFILE ENOMEM";
const PROCESS: &str = "EAGAIN ENOMEM";
const RENAME: &str = "EACCES EBUSY EDQUOT EIO EISDIR ENOENT ENOMEM ENOSPC EPERM EROFS EXDEV";
const SYNC: &str = "EDQUOT EINTR EIO ENOSPC";
const UNLINK: &str = "EACCES EBUSY EIO ENOENT ENOMEM EPERM EROFS";
/// To a regular file; EFBIG: RLIMIT_FSIZE.
const WRITE: &str = "EDQUOT EFBIG EINTR EIO ENOSPC";

static RULES: &[Rule] = &[
    // Those of the waiting connection among them (accept(2), "Error handling").
    rule(
        "accept4",
        "",
        "EAGAIN ECONNABORTED EHOSTUNREACH EINTR EMFILE ENETDOWN ENFILE ENOBUFS ENOMEM EPERM EPROTO",
    ),
    rule("access", "", "EACCES EIO ENOENT ENOMEM"),
    rule(
        "bind",
        "AF_UNIX",
        "EACCES EADDRINUSE EIO ENOENT ENOMEM ENOSPC EROFS",
    ),
    rule("bind", "", "EACCES EADDRINUSE EADDRNOTAVAIL ENOMEM"),
    rule("chmod", "", "EIO EPERM EROFS"),
    rule("clone", "", PROCESS),
    // ENOSYS: an older kernel, or a container's filter.
    rule("clone3", "", "EAGAIN ENOMEM ENOSYS"),
    rule("close_range", "", "ENOSYS"),
    rule("connect", "AF_UNIX", "EACCES EAGAIN ECONNREFUSED ENOENT"),
    rule(
        "connect",
        "",
        "EACCES EAGAIN ECONNREFUSED ENETUNREACH ETIMEDOUT",
    ),
    rule("dup", "", "EMFILE"),
    rule("dup2", "", "EBUSY EINTR"),
    rule("dup3", "", "EBUSY EINTR"),
    rule("epoll_create1", "", DESCRIPTOR),
    // ENOSPC: fs.epoll.max_user_watches. To change or remove what is watched takes nothing.
    rule("epoll_ctl", "EPOLL_CTL_ADD", "ENOMEM ENOSPC"),
    rule("epoll_ctl", "", ""),
    rule("epoll_pwait", "", "EINTR"),
    rule("epoll_wait", "", "EINTR"),
    rule(
        "execve",
        "",
        "EACCES EAGAIN EIO EMFILE ENFILE ENOENT ENOEXEC ENOMEM EPERM ETXTBSY",
    ),
    rule("faccessat", "", "EACCES EIO ENOMEM EROFS"),
    rule("faccessat2", "", "EACCES EIO ENOMEM ENOSYS EROFS"),
    rule(
        "fallocate",
        "",
        "EDQUOT EFBIG EINTR EIO ENOSPC ENOSYS EOPNOTSUPP",
    ),
    rule("fchmod", "", "EIO EPERM EROFS"),
    rule("fchmodat", "", "EIO EPERM EROFS"),
    rule("fchown", "", "EIO EPERM EROFS"),
    rule("fcntl", "F_DUPFD", "EMFILE"),
    rule("fcntl", "F_OFD_SETLK", "EACCES EAGAIN ENOLCK"),
    rule("fcntl", "F_SETLK", "EACCES EAGAIN ENOLCK"),
    // The other commands ask for, or set, a flag of a descriptor that is open.
    rule("fcntl", "", ""),
    rule("fdatasync", "", SYNC),
    rule("flock", "", "EAGAIN ENOLCK"),
    rule("fstatfs", "", "EINTR EIO ENOMEM ENOSYS"),
    rule("fsync", "", SYNC),
    rule("ftruncate", "", "EFBIG EINTR EIO EPERM EROFS"),
    rule("getcwd", "", "EACCES ENOENT ENOMEM"),
    // ENOENT is a folder that was removed, and so empty: readdir(3) makes an end of it.
    rule("getdents64", "/proc", ""),
    rule("getdents64", "", "EIO"),
    rule("getpeername", "", "ENOBUFS ENOTCONN"),
    rule("getrandom", "", "EINTR ENOSYS"),
    rule("getsockname", "", "ENOBUFS"),
    rule("getsockopt", "", "ENOPROTOOPT"),
    rule("kill", "", "EPERM ESRCH"),
    rule("landlock_add_rule", "", "ENOMEM"),
    rule(
        "landlock_create_ruleset",
        "",
        "EMFILE ENFILE ENOMEM ENOSYS EOPNOTSUPP",
    ),
    rule("landlock_restrict_self", "", "E2BIG ENOMEM EPERM"),
    rule(
        "linkat",
        "",
        "EACCES EDQUOT EEXIST EIO EMLINK ENOENT ENOMEM ENOSPC EPERM EROFS EXDEV",
    ),
    rule("listen", "", "EADDRINUSE"),
    rule("memfd_create", "", "EMFILE ENFILE ENOMEM ENOSYS"),
    rule("mkdir", "", CREATE),
    rule("mkdirat", "", CREATE),
    // What processes share, and a thread's stack. The rest is the allocator's and the language's, which abort.
    rule("mmap", "MAP_SHARED", "ENOMEM"),
    rule(
        "mmap",
        "PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_STACK",
        "EAGAIN ENOMEM",
    ),
    rule("mmap", "", ""),
    // Of an open file: only where its disk is a server's that is gone.
    rule("newfstatat", ", \"\",", "EIO ENOMEM"),
    rule("newfstatat", "", LOOKUP),
    rule("open", "", OPEN),
    rule(
        "openat",
        "O_TMPFILE",
        "EACCES EDQUOT EINTR EIO EISDIR EMFILE ENFILE ENOMEM ENOSPC EOPNOTSUPP EROFS",
    ),
    rule("openat", "O_CREAT", CREATE),
    rule("openat", "", OPEN),
    rule(
        "openat2",
        "",
        "EACCES EAGAIN EINTR EIO ELOOP EMFILE ENFILE ENOENT ENOMEM ENOSYS EPERM EXDEV",
    ),
    rule("pipe2", "", "EMFILE ENFILE"),
    rule("poll", "", "EINTR"),
    rule("ppoll", "", "EINTR"),
    rule("prctl", "PR_SET_MM", "EACCES EINVAL EPERM"),
    // The others take numbers that every kernel since 5.6 knows.
    rule("prctl", "", ""),
    rule("pread64", "", "EINTR EIO"),
    rule("pwrite64", "", WRITE),
    // Nothing there is read with a wait, and nothing of it is on a disk.
    rule("read", "signalfd", "EAGAIN"),
    rule("read", "pipe:", "EINTR"),
    rule("read", "socket:", "EAGAIN ECONNRESET EINTR ETIMEDOUT"),
    rule("read", "", "EINTR EIO"),
    rule("readlink", "", "EACCES EIO ENOENT ENOMEM"),
    rule("readlinkat", "", "EACCES EIO ENOENT ENOMEM"),
    rule(
        "recvfrom",
        "",
        "EAGAIN ECONNRESET EHOSTUNREACH EINTR ENOMEM ETIMEDOUT",
    ),
    rule("recvmsg", "", "EAGAIN EINTR ENOMEM"),
    rule("rename", "", RENAME),
    rule("renameat", "", RENAME),
    rule("renameat2", "", RENAME),
    rule(
        "sendmsg",
        "",
        "EAGAIN ECONNREFUSED EINTR ENOBUFS ENOMEM EPIPE",
    ),
    rule(
        "sendto",
        "",
        "EAGAIN ECONNRESET EHOSTUNREACH EINTR ENOBUFS ENOMEM EPIPE ETIMEDOUT",
    ),
    // A connection that was reset meanwhile; a kernel without the option.
    rule("setsockopt", "", "EINVAL ENOBUFS ENOMEM ENOPROTOOPT EPERM"),
    rule("shutdown", "", "ENOTCONN"),
    rule("signalfd4", "", "EMFILE ENFILE ENODEV ENOMEM"),
    rule(
        "socket",
        "",
        "EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM",
    ),
    rule("socketpair", "", "EAFNOSUPPORT EMFILE ENFILE ENOMEM"),
    rule("statfs", "", "EACCES EINTR EIO ENOENT ENOMEM"),
    rule("statx", ", \"\",", "EIO ENOMEM ENOSYS"),
    rule("statx", "", "EACCES EIO ELOOP ENOENT ENOMEM ENOSYS"),
    rule("sync_file_range", "", "EIO ENOSPC"),
    rule("tgkill", "", "EAGAIN EPERM"),
    rule("unlink", "", UNLINK),
    rule("unlinkat", "", UNLINK),
    rule("write", "pipe:", "EAGAIN EINTR EPIPE"),
    rule("write", "socket:", "EAGAIN EPIPE"),
    rule("write", "", WRITE),
    rule("writev", "", WRITE),
];

/// What is never made to fail, and why.
static LEFT_OUT: &[(&str, &str)] = &[
    (
        "the kernel cannot refuse it, or is asked with arguments that it always takes",
        "arch_prctl clock_nanosleep exit exit_group futex geteuid getpgrp getpid getppid getresuid getsid getuid \
         getgid getegid gettid lseek nanosleep prlimit64 restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn \
         sched_getaffinity sched_yield set_robust_list set_tid_address sigaltstack umask uname clock_gettime sysinfo",
    ),
    (
        "memory of the process itself: the allocator's answer is an abort, and a worker's death has tests of its own",
        "brk madvise mprotect mremap munmap",
    ),
    (
        "Linux frees the descriptor whatever it says; a call that is not made at all would keep it open",
        "close",
    ),
    (
        "with WNOHANG, or for a child that there is, it has nothing to fail with",
        "wait4 waitid",
    ),
    (
        "asks for, or sets, what a descriptor of that kind always has",
        "ioctl",
    ),
    ("as fcntl's", "getpgid setpgid setsid"),
    ("the C library's own, at its start", "fstat stat lstat"),
    ("an uninterruptible answer of /proc", "sched_setaffinity"),
];

/// Errors that pass, or that go with the one file or connection that they are of: the same call, made again, has another answer. They never come "from then on".
static PASSING: &[&str] = &[
    "EAGAIN",
    "EBUSY",
    "ECONNABORTED",
    "EEXIST",
    "EINTR",
    "ELOOP",
    "ENOENT",
    "ENXIO",
    "EPROTO",
    "ETXTBSY",
];

/// What a call with such arguments can fail with; none if nothing is known of the call.
pub(super) fn of(call: &str, args: &str) -> Option<impl Iterator<Item = &'static str>> {
    let found = RULES
        .iter()
        .filter(|rule| rule.call == call)
        .find(|rule| args.contains(rule.with));
    let is_left_out = || {
        let mut names = LEFT_OUT
            .iter()
            .flat_map(|(_, calls)| calls.split_whitespace());
        names.any(|name| name == call)
    };
    match found {
        Some(rule) => Some(rule.errnos.split_whitespace()),
        None if is_left_out() => Some("".split_whitespace()),
        None => None,
    }
}

/// Whether it may last.
pub(super) fn lasts(errno: &str) -> bool {
    !PASSING.contains(&errno)
}
