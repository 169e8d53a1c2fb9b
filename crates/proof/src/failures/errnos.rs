//! Which system calls can fail how: what the manual's pages and the kernel's file systems and sockets give. What
//! cannot happen on Linux is not here: it would show how the server deals with a kernel that there is none of.

/// Calls, and what they can fail with; after `if`, what the call's arguments hold. The first line that fits is the one.
const RULES: &str = r#"
# Those of the waiting connection among them (accept(2), "Error handling").
accept4 -> EAGAIN ECONNABORTED EHOSTUNREACH EINTR EMFILE ENETDOWN ENFILE ENOBUFS ENOMEM EPERM EPROTO
access readlink readlinkat -> EACCES EIO ENOENT ENOMEM
bind if AF_UNIX -> EACCES EADDRINUSE EIO ENOENT ENOMEM ENOSPC EROFS
bind -> EACCES EADDRINUSE EADDRNOTAVAIL ENOMEM
chmod fchmod fchmodat fchown -> EIO EPERM EROFS
clone -> EAGAIN ENOMEM
# ENOSYS: an older kernel, or a container's filter.
clone3 -> EAGAIN ENOMEM ENOSYS
close_range -> ENOSYS
connect if AF_UNIX -> EACCES EAGAIN ECONNREFUSED ENOENT
connect -> EACCES EAGAIN ECONNREFUSED ENETUNREACH ETIMEDOUT
dup -> EMFILE
dup2 dup3 -> EBUSY EINTR
epoll_create1 -> EMFILE ENFILE ENOMEM
# ENOSPC: fs.epoll.max_user_watches. To change or remove what is watched takes nothing.
epoll_ctl if EPOLL_CTL_ADD -> ENOMEM ENOSPC
epoll_ctl ->
epoll_pwait epoll_wait poll ppoll -> EINTR
execve -> EACCES EAGAIN EIO EMFILE ENFILE ENOENT ENOEXEC ENOMEM EPERM ETXTBSY
faccessat -> EACCES EIO ENOMEM EROFS
faccessat2 -> EACCES EIO ENOMEM ENOSYS EROFS
fallocate -> EDQUOT EFBIG EINTR EIO ENOSPC ENOSYS EOPNOTSUPP
fcntl if F_DUPFD -> EMFILE
fcntl if F_OFD_SETLK -> EACCES EAGAIN ENOLCK
fcntl if F_SETLK -> EACCES EAGAIN ENOLCK
# The other commands ask for, or set, a flag of a descriptor that is open.
fcntl ->
fdatasync fsync -> EDQUOT EINTR EIO ENOSPC
flock -> EAGAIN ENOLCK
fstatfs -> EINTR EIO ENOMEM ENOSYS
ftruncate -> EFBIG EINTR EIO EPERM EROFS
getcwd -> EACCES ENOENT ENOMEM
# ENOENT is a folder that was removed, and so empty: readdir(3) makes an end of it.
getdents64 if /proc ->
getdents64 -> EIO
getpeername -> ENOBUFS ENOTCONN
getrandom -> EINTR ENOSYS
getsockname -> ENOBUFS
getsockopt -> ENOPROTOOPT
kill -> EPERM ESRCH
landlock_add_rule -> ENOMEM
landlock_create_ruleset -> EMFILE ENFILE ENOMEM ENOSYS EOPNOTSUPP
landlock_restrict_self -> E2BIG ENOMEM EPERM
linkat -> EACCES EDQUOT EEXIST EIO EMLINK ENOENT ENOMEM ENOSPC EPERM EROFS EXDEV
listen -> EADDRINUSE
memfd_create -> EMFILE ENFILE ENOMEM ENOSYS
mkdir mkdirat -> EACCES EDQUOT EEXIST EINTR EIO EMFILE ENFILE ENOMEM ENOSPC EROFS
# What processes share, and a thread's stack. The rest is the allocator's and the language's, which abort.
mmap if MAP_SHARED -> ENOMEM
mmap if PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_STACK -> EAGAIN ENOMEM
mmap ->
# Of an open file: only where its disk is a server's that is gone.
newfstatat if , "", -> EIO ENOMEM
newfstatat -> EACCES EIO ELOOP ENOENT ENOMEM
openat if O_TMPFILE -> EACCES EDQUOT EINTR EIO EISDIR EMFILE ENFILE ENOMEM ENOSPC EOPNOTSUPP EROFS
openat if O_CREAT -> EACCES EDQUOT EEXIST EINTR EIO EMFILE ENFILE ENOMEM ENOSPC EROFS
open openat -> EACCES EINTR EIO ELOOP EMFILE ENFILE ENOENT ENOMEM ENXIO
openat2 -> EACCES EAGAIN EINTR EIO ELOOP EMFILE ENFILE ENOENT ENOMEM ENOSYS EPERM EXDEV
pipe2 -> EMFILE ENFILE
prctl if PR_SET_MM -> EACCES EINVAL EPERM
# The others take numbers that every kernel since 5.6 knows.
prctl ->
pwrite64 writev -> EDQUOT EFBIG EINTR EIO ENOSPC
# Nothing there is read with a wait, and nothing of it is on a disk.
read if signalfd -> EAGAIN
read if pipe: -> EINTR
read if socket: -> EAGAIN ECONNRESET EINTR ETIMEDOUT
pread64 read -> EINTR EIO
recvfrom -> EAGAIN ECONNRESET EHOSTUNREACH EINTR ENOMEM ETIMEDOUT
recvmsg -> EAGAIN EINTR ENOMEM
rename renameat renameat2 -> EACCES EBUSY EDQUOT EIO EISDIR ENOENT ENOMEM ENOSPC EPERM EROFS EXDEV
sendmsg -> EAGAIN ECONNREFUSED EINTR ENOBUFS ENOMEM EPIPE
sendto -> EAGAIN ECONNRESET EHOSTUNREACH EINTR ENOBUFS ENOMEM EPIPE ETIMEDOUT
# A connection that was reset meanwhile; a kernel without the option.
setsockopt -> EINVAL ENOBUFS ENOMEM ENOPROTOOPT EPERM
shutdown -> ENOTCONN
signalfd4 -> EMFILE ENFILE ENODEV ENOMEM
socket -> EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM
socketpair -> EAFNOSUPPORT EMFILE ENFILE ENOMEM
statfs -> EACCES EINTR EIO ENOENT ENOMEM
statx if , "", -> EIO ENOMEM ENOSYS
statx -> EACCES EIO ELOOP ENOENT ENOMEM ENOSYS
sync_file_range -> EIO ENOSPC
tgkill -> EAGAIN EPERM
unlink unlinkat -> EACCES EBUSY EIO ENOENT ENOMEM EPERM EROFS
write if pipe: -> EAGAIN EINTR EPIPE
write if socket: -> EAGAIN EPIPE
# To a regular file; EFBIG: RLIMIT_FSIZE.
write -> EDQUOT EFBIG EINTR EIO ENOSPC
"#;

/// What is never made to fail, after why.
const LEFT_OUT: &str = "
# The kernel cannot refuse it, or is asked with arguments that it always takes.
arch_prctl clock_nanosleep exit exit_group futex geteuid getpgrp getpid getppid getresuid getsid getuid
getgid getegid gettid lseek nanosleep prlimit64 restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn
sched_getaffinity sched_yield set_robust_list set_tid_address sigaltstack umask uname clock_gettime sysinfo
# Memory of the process itself: the allocator's answer is an abort, and a worker's death has tests of its own.
brk madvise mprotect mremap munmap
# Linux frees the descriptor whatever it says; a call that is not made at all would keep it open.
close
# With WNOHANG, or for a child that there is, it has nothing to fail with.
wait4 waitid
# Asks for, or sets, what a descriptor of that kind always has.
ioctl
# As fcntl's.
getpgid setpgid setsid
# The C library's own, at its start.
fstat stat lstat
# An uninterruptible answer of /proc.
sched_setaffinity
";

/// Errors that pass, or that go with the one file or connection that they are of: the same call, made again, has another
/// answer. They never come "from then on".
const PASSING: &str = "EAGAIN EBUSY ECONNABORTED EEXIST EINTR ELOOP ENOENT ENXIO EPROTO ETXTBSY";

/// What a call with such arguments can fail with; none if nothing is known of the call.
pub(super) fn of(call: &str, args: &str) -> Option<impl Iterator<Item = &'static str>> {
    let rules = RULES.lines().filter_map(|line| line.split_once(" ->"));
    let fits = |rule: &str| {
        let (calls, with) = rule.split_once(" if ").unwrap_or((rule, ""));
        has(calls, call) && args.contains(with)
    };
    let found = rules
        .filter(|(rule, _)| fits(rule))
        .map(|(_, errnos)| errnos)
        .next();
    let is_left_out = LEFT_OUT
        .lines()
        .any(|line| !line.starts_with('#') && has(line, call));
    Some(found.or(is_left_out.then_some(""))?.split_whitespace())
}

/// Whether it may last.
pub(super) fn lasts(errno: &str) -> bool {
    !has(PASSING, errno)
}

fn has(words: &str, wanted: &str) -> bool {
    words.split_whitespace().any(|word| word == wanted)
}
