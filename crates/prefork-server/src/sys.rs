//! The fence around the kernel: the only `unsafe` in the project.
//!
//! It holds what nix marks unsafe (fork, signal dispositions, taking or closing a raw descriptor) or lacks
//! (`wait4`, some socket options). Each function is safe to call; each block says why this call is sound.

use std::ffi::{CString, c_int};
use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::mem::size_of;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, OpenHow, ResolveFlag, fcntl, open, openat, openat2};
use nix::libc;
use nix::poll::PollTimeout;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid};

/// An interface index that no machine has. A listener bound to it refuses new connections and keeps its queue.
const NO_SUCH_INTERFACE: c_int = 0x7fff_fffe;

/// Since Linux 6.1; some C libraries do not name it yet.
const MADV_COLLAPSE: c_int = 25;

/// The exit code of a child that panicked, as of any program in Rust.
const PANICKED: c_int = 101;

/// Forks. The child does `work` and leaves by [`exit_now`] with the code that it returns: not even a panic unwinds into
/// the parent's code, of which the child still has the stack. Returns in the parent only.
///
/// # Errors
/// What fork(2) says.
///
/// # Panics
/// If this process has more than one thread: the child would inherit locks that nobody will ever release.
pub fn fork(work: impl FnOnce() -> c_int) -> nix::Result<Pid> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    assert_eq!(threads, 1, "only a single-threaded process may fork");
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that forks"
    )]
    // SAFETY: the process is single-threaded (asserted above), so no lock of the allocator or of the standard
    // library can be held by a thread that does not exist in the child.
    let forked = unsafe { nix::unistd::fork() };
    match forked? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => exit_now(catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED)),
    }
}

/// Closes every descriptor above 2 that is not in `kept`, whatever this process knows of it: for a child that was just
/// forked, which has a copy of each of its parent's.
pub fn keep_only(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    kept.retain(|fd| *fd > 2);
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().chain([RawFd::MAX]) {
        if first < fd {
            close_from_to(first, fd - 1);
        }
        first = fd.max(first - 1).saturating_add(1);
    }
}

fn close_from_to(first: RawFd, last: RawFd) {
    // SAFETY: a child's copies are closed here, and the parent's go on. The objects that own them are on a stack to
    // which the child never returns: it leaves by `exit_now`, which drops nothing, so nothing is closed twice.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == 0 {
        return;
    }
    // Linux before 5.9.
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1 << 16, |(soft, _)| soft.min(1 << 20));
    for fd in first..=last.min(RawFd::try_from(limit).unwrap_or(1 << 20)) {
        // SAFETY: as above; for a number that is not open it says so and does nothing.
        let _ = unsafe { libc::close(fd) };
    }
}

/// Ends this process at once: no destructors, no `atexit`, no buffers flushed. What the parent owned is not
/// torn down a second time.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: _exit(2) takes any status and has no preconditions.
    unsafe { libc::_exit(code) }
}

/// A dead child, as the kernel accounts for it.
#[derive(Debug, Clone, Copy)]
pub struct Reaped {
    /// Which process.
    pub pid: Pid,
    /// The raw wait status.
    pub status: c_int,
    /// User CPU time over its whole life.
    pub cpu_user: Duration,
    /// System CPU time over its whole life.
    pub cpu_system: Duration,
}

/// Takes the next dead child, if there is one. Exact even for a child that was killed.
///
/// # Errors
/// `ECHILD` when there are no children at all.
pub fn reap() -> nix::Result<Option<Reaped>> {
    let mut status: c_int = 0;
    // SAFETY: an all-zero rusage is a valid value of that plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the right types, and wait4(2) only writes through them.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    match Errno::result(pid)? {
        0 => Ok(None),
        pid => Ok(Some(Reaped {
            pid: Pid::from_raw(pid),
            status,
            cpu_user: duration_of(usage.ru_utime),
            cpu_system: duration_of(usage.ru_stime),
        })),
    }
}

fn duration_of(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// Maps `len` zeroed words that this process shares with every child it forks. The mapping lives as long as
/// the process. Only pages that are used cost memory, so it may be as large as could ever be needed.
///
/// # Errors
/// What mmap(2) says.
pub fn shared_words(len: usize) -> nix::Result<&'static [AtomicU64]> {
    let bytes = NonZeroUsize::new(len * size_of::<AtomicU64>()).ok_or(Errno::EINVAL)?;
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice disturbs no existing memory.
    let start = unsafe {
        mmap_anonymous(
            None,
            bytes,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE,
        )
    }?;
    // SAFETY: the mapping is page-aligned, `bytes` long, zeroed (a valid AtomicU64), never unmapped, and only
    // ever reached through atomics, by this process and its children alike.
    Ok(unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<AtomicU64>(), len) })
}

/// The first `len` words of a memory file, shared with all that map it too. The mapping lives as long as the process.
///
/// # Errors
/// What mmap(2) says.
pub fn words_of(file: &File, len: usize) -> nix::Result<&'static [AtomicU64]> {
    let bytes = NonZeroUsize::new(len * size_of::<AtomicU64>()).ok_or(Errno::EINVAL)?;
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a fresh mapping at an address of the kernel's choice disturbs no existing memory.
    let start = unsafe { mmap(None, bytes, prot, MapFlags::MAP_SHARED, file, 0) }?;
    // SAFETY: the mapping is page-aligned, `bytes` long, never unmapped, and reached through atomics only, of which any
    // bits are valid. Beyond the file's end there is a signal, and no other's memory.
    Ok(unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<AtomicU64>(), len) })
}

/// Takes one connection off the listener's queue, non-blocking and close-on-exec; says who it is from, where that is an
/// address of the internet. Waits as the listener's own mode and `SO_RCVTIMEO` say, and unlike std's `accept` returns on
/// a signal.
///
/// # Errors
/// What accept4(2) says: `EAGAIN` after the timeout, `EINTR` on a signal.
pub fn accept(listener: &impl AsFd) -> nix::Result<(OwnedFd, Option<SocketAddr>)> {
    // SAFETY: an all-zero sockaddr_storage is a valid value of that plain C struct, of no family.
    let mut peer: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: both pointers are to live locals, and accept4(2) writes no more through the first than the second says
    // there is room for.
    let result = unsafe {
        libc::accept4(
            listener.as_fd().as_raw_fd(),
            (&raw mut peer).cast(),
            &raw mut len,
            libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        )
    };
    let fd = Errno::result(result)?;
    // SAFETY: accept4 has just returned this descriptor, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the pointer is to a whole sockaddr_storage, of which the kernel has written so much.
    let peer = unsafe { SockaddrStorage::from_raw((&raw const peer).cast(), Some(len)) };
    Ok((socket, peer.as_ref().and_then(internet_address)))
}

fn internet_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|it| SocketAddrV4::from(*it));
    let v6 = address.as_sockaddr_in6().map(|it| SocketAddrV6::from(*it));
    v4.map(SocketAddr::from).or(v6.map(SocketAddr::from))
}

/// Makes a listener refuse new connections while what is queued stays and can be accepted. Cannot be undone.
///
/// Closing the listener, or `listen(fd, 0)`, would reset or hang clients; binding it to an interface that
/// does not exist refuses new SYNs cleanly (21 of 21 runs without a reset, unprivileged, IPv4 and IPv6).
///
/// # Errors
/// What setsockopt(2) says; Linux before 5.0 has no `SO_BINDTOIFINDEX`.
pub fn refuse_new_connections(listener: &TcpListener) -> nix::Result<()> {
    let (level, name) = (libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX);
    set_option(listener, level, name, NO_SUCH_INTERFACE)
}

fn set_option(listener: &TcpListener, level: c_int, name: c_int, value: c_int) -> nix::Result<()> {
    // SAFETY: the pointer and the length describe one live c_int, which setsockopt(2) only reads.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// Makes a listener hand out connections only once they have sent something, or after about so many seconds; 0
/// makes it hand them out at once.
///
/// # Errors
/// What setsockopt(2) says.
pub fn set_defer_accept(listener: &TcpListener, seconds: u32) -> nix::Result<()> {
    let seconds = c_int::try_from(seconds).unwrap_or(c_int::MAX);
    set_option(listener, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)
}

/// What [`set_defer_accept`] came to: the kernel counts in retransmissions, and rounds up to whole ones.
///
/// # Errors
/// What getsockopt(2) says.
pub fn defer_accept(listener: &TcpListener) -> nix::Result<u32> {
    let mut seconds: c_int = 0;
    let mut len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: both pointers are to live locals, of which the length describes the first, and getsockopt(2) writes
    // no more than that.
    let result = unsafe {
        libc::getsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw mut seconds).cast(),
            &raw mut len,
        )
    };
    Errno::result(result).map(|_| seconds.unsigned_abs())
}

/// Has the kernel begin to write a range of a file to the disk, and first waits for an earlier range that it has begun with.
/// Promises nothing about what survives a power loss: that is fsync's.
///
/// # Errors
/// What sync_file_range(2) says: `EIO` or `ENOSPC` of the range that was waited for.
pub fn write_back(file: &File, earlier: Range<u64>, next: Range<u64>) -> nix::Result<()> {
    let wait = libc::SYNC_FILE_RANGE_WAIT_BEFORE;
    for (range, flags) in [(earlier, wait), (next, libc::SYNC_FILE_RANGE_WRITE)] {
        // A length of 0 would mean all there is.
        if range.is_empty() {
            continue;
        }
        let len = range.end - range.start;
        // SAFETY: the descriptor is an open file's, and the call takes no memory.
        let result = unsafe {
            libc::sync_file_range(
                file.as_raw_fd(),
                range.start.cast_signed(),
                len.cast_signed(),
                flags,
            )
        };
        Errno::result(result)?;
    }
    Ok(())
}

/// How many sent bytes the peer's kernel has not acknowledged yet; 0 also if that cannot be asked.
#[must_use]
pub fn unacknowledged_len(socket: &TcpStream) -> usize {
    let mut len: c_int = 0;
    // SAFETY: SIOCOUTQ (tcp(7), here by its other name TIOCOUTQ) writes one c_int through the pointer, which is
    // to a live local.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut len) };
    if result == 0 {
        usize::try_from(len).unwrap_or(0)
    } else {
        0
    }
}

/// The queue of connections that wait to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptQueue {
    /// How many wait.
    pub len: u32,
    /// How many may.
    pub len_max: u32,
}

/// How full a listener's queue is: what `ss -l` shows as Recv-Q and Send-Q.
///
/// # Errors
/// What getsockopt(2) says.
pub fn accept_queue(listener: &TcpListener) -> nix::Result<AcceptQueue> {
    // SAFETY: an all-zero tcp_info is a valid value of that plain C struct.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: both pointers are to live locals, and getsockopt(2) writes no more through the first than the second
    // says there is room for.
    let result = unsafe {
        libc::getsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    };
    Errno::result(result)?;
    // Of a listening socket these two have another meaning than their names (net/ipv4/tcp.c, tcp_get_info).
    Ok(AcceptQueue {
        len: info.tcpi_unacked,
        len_max: info.tcpi_sacked,
    })
}

/// Takes ownership of a descriptor that this process was started with, and makes it close-on-exec.
///
/// # Errors
/// `EBADF` if it is not open.
pub fn adopt(number: RawFd) -> nix::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: it is not -1, and it is borrowed for one call only, which fails with EBADF if it is not open.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open (just asked), it was handed to this process for good, and it is adopted at the start,
    // once, before anything else in this process could have come by the same number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

extern "C" fn only_interrupt(_: c_int) {}

/// Gives `signal` a handler that does nothing but interrupt whatever system call is waiting.
///
/// # Errors
/// What sigaction(2) says.
pub fn interrupt_on(signal: Signal) -> nix::Result<()> {
    set_action(signal, SigHandler::Handler(only_interrupt))
}

fn set_action(signal: Signal, handler: SigHandler) -> nix::Result<()> {
    // Without SA_RESTART: a handler is there to interrupt.
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the callers are in this file, and the only handler among them has an empty body, so it is
    // async-signal-safe; SIG_IGN and SIG_DFL run no code of ours.
    unsafe { sigaction(signal, &action) }.map(drop)
}

/// Makes this process deaf to `signal`.
///
/// # Errors
/// What sigaction(2) says.
pub fn ignore(signal: Signal) -> nix::Result<()> {
    set_action(signal, SigHandler::SigIgn)
}

/// Whether this process is deaf to `signal`.
#[must_use]
pub fn is_ignored(signal: Signal) -> bool {
    // SAFETY: an all-zero sigaction is a valid value of that plain C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action nothing changes, and sigaction(2) only writes the old one to a live local.
    let result = unsafe { libc::sigaction(signal as c_int, std::ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Gives `signal` its default meaning back: a program may be started deaf to one.
///
/// # Errors
/// What sigaction(2) says.
pub fn heed(signal: Signal) -> nix::Result<()> {
    set_action(signal, SigHandler::SigDfl)
}

/// Closes every descriptor above 2 that this process inherited and has not adopted. Returns how many were
/// closed.
///
/// What was inherited is what outlived the exec: it has no close-on-exec flag. What this program opens has one,
/// and what it adopts gets one.
///
/// # Errors
/// What reading /proc/self/fd says, if it is not mounted for instance.
pub fn close_inherited() -> io::Result<usize> {
    // Collected first: what is listed must not change while it is.
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    let mut closed = 0;
    for fd in open {
        // SAFETY: it is borrowed to ask for its flags, before anything else can close it; a number that is not
        // open (the listing's own, by now) is answered with EBADF.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let flags = fcntl(borrowed, FcntlArg::F_GETFD).map(FdFlag::from_bits_retain);
        if flags.is_ok_and(|flags| !flags.contains(FdFlag::FD_CLOEXEC)) {
            // SAFETY: it is open, and without the flag nothing in this program owns it or knows its number.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            closed += 1;
        }
    }
    Ok(closed)
}

/// Memory that is written, sent and locked like a file. Linux 6.3 asks to be told whether it is to be run, and may be told
/// to refuse what says nothing (vm.memfd_noexec).
///
/// # Errors
/// What memfd_create(2) says.
pub fn memory_file(name: &str) -> nix::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC;
    let not_run = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    let made = match memfd_create(name, flags | not_run) {
        Err(Errno::EINVAL) => memfd_create(name, flags),
        made => made,
    };
    made.map(File::from)
}

/// The size of a large page.
pub const LARGE_PAGE_LEN: usize = 2 << 20;

/// Has the kernel keep the large page of a memory file that begins at `start` as one page, whatever it is set up to do of
/// itself. Sending from small pages costs about twice the CPU. Something must be at `start` already; what follows need
/// not be there yet.
///
/// # Errors
/// What mmap(2) and madvise(2) say: `EINVAL` where the kernel cannot (before Linux 6.1), `ENOMEM` or `EAGAIN` where no
/// memory lies together just now.
pub fn make_large_page(file: &File, start: u64) -> nix::Result<()> {
    let len = NonZeroUsize::new(LARGE_PAGE_LEN).ok_or(Errno::EINVAL)?;
    let room_len = len.saturating_add(LARGE_PAGE_LEN);
    let start = i64::try_from(start).map_err(|_| Errno::EFBIG)?;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice disturbs no existing memory.
    let room = unsafe { mmap_anonymous(None, room_len, ProtFlags::PROT_NONE, flags) }?;
    let address = NonZeroUsize::new(room.addr().get().next_multiple_of(LARGE_PAGE_LEN));
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
    // SAFETY: what is replaced lies within the mapping above, which nobody else knows of.
    let page = unsafe { mmap(address, len, ProtFlags::PROT_READ, flags, file, start) };
    let made = page.and_then(|page| {
        // SAFETY: the stretch is mapped, and the advice changes how its content is kept, not what it is.
        let result = unsafe { libc::madvise(page.as_ptr(), LARGE_PAGE_LEN, MADV_COLLAPSE) };
        Errno::result(result).map(drop)
    });
    // SAFETY: nothing refers to the mapping above, and what lies in it was mapped here.
    unsafe { munmap(room, room_len.get()) }?;
    made
}

/// Whether the folder at `path` has an access control list (acl(5)): its mode's group bits are then not its group's, but
/// the most that anybody in the list may do.
#[must_use]
pub fn has_access_list(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    let name = c"system.posix_acl_access";
    // SAFETY: both strings end with a zero and outlive the call, which, given no buffer, writes nothing.
    let len = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
    len >= 0
}

/// Looks at the message that waits in `socket`, without taking it out: fills `payload`, and returns the
/// descriptor that came with it, as one of this process's own. None if there was no room for one in its table.
///
/// # Errors
/// What recvmsg(2) says; `EAGAIN` if there is no message.
pub fn peek_descriptor(socket: &OwnedFd, payload: &mut [u8]) -> nix::Result<Option<OwnedFd>> {
    let mut space = nix::cmsg_space!(RawFd);
    let mut payload = [IoSliceMut::new(payload)];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut payload, Some(&mut space), flags)?;
    // An error means that it was cut short: there was space for one descriptor, so none has been received.
    let Ok(mut parts) = message.cmsgs() else {
        return Ok(None);
    };
    let Some(ControlMessageOwned::ScmRights(fds)) = parts.next() else {
        return Ok(None);
    };
    // SAFETY: recvmsg has just put this descriptor into this process's table, and nothing else owns it.
    let own = |fd: &RawFd| unsafe { OwnedFd::from_raw_fd(*fd) };
    Ok(fds.first().map(own))
}

/// Makes `target` refer to what `source` refers to, close-on-exec, at one stroke for all threads.
///
/// # Errors
/// What dup3(2) says.
pub fn replace_descriptor(target: &impl AsFd, source: &impl AsFd) -> nix::Result<()> {
    let (source, target) = (source.as_fd().as_raw_fd(), target.as_fd().as_raw_fd());
    // SAFETY: both are open descriptors. `target` stays one, and stays its owner's: only what it refers to changes,
    // of which no memory depends.
    let result = unsafe { libc::dup3(source, target, libc::O_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// Writes what there is room for now, whatever the mode of the open description (`RWF_NOWAIT`, pwritev2(2)). Pipes know
/// this since Linux 6.4 or so; what does not is written to as ever.
///
/// # Errors
/// `EAGAIN` where there is no room; else what write(2) says.
pub fn write_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
    let vector = [io::IoSlice::new(bytes)];
    // SAFETY: an IoSlice has the layout of an iovec (its documentation says so), there is one, and it describes bytes
    // that live as long as this call, which only reads them. Position -1 is the description's own.
    let result = unsafe {
        libc::pwritev2(
            fd.as_raw_fd(),
            vector.as_ptr().cast(),
            1,
            -1,
            libc::RWF_NOWAIT,
        )
    };
    match Errno::result(result) {
        Ok(len) => Ok(usize::try_from(len).unwrap_or(0)),
        Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS | Errno::ESPIPE) => {
            nix::unistd::write(fd, bytes)
        }
        Err(error) => Err(error),
    }
}

/// The text of a file that the kernel makes up as it is read, in /proc or /sys; none without it, and none where another
/// file system is mounted on it in /proc, as lxcfs is in containers: a program answers for that one, or does not.
#[expect(
    clippy::disallowed_methods,
    reason = "the kernel is not the root that the store guards"
)]
pub(crate) fn read_kernel_file(path: impl AsRef<Path>) -> Option<String> {
    let path = path.as_ref();
    let Ok(in_proc) = path.strip_prefix("/proc") else {
        return fs::read_to_string(path).ok();
    };
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let proc = open("/proc", flags | OFlag::O_PATH, Mode::empty()).ok()?;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_NO_XDEV);
    // Before Linux 5.6 that cannot be asked for.
    let file = match openat2(&proc, in_proc, how) {
        Err(Errno::ENOSYS) => openat(&proc, in_proc, flags, Mode::empty()),
        opened => opened,
    };
    io::read_to_string(File::from(file.ok()?)).ok()
}

/// In whole milliseconds, rounded up so that a deadline has passed when the wait ends.
pub(crate) fn poll_timeout(timeout: Duration) -> PollTimeout {
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(u64::try_from(millis).unwrap_or(u64::MAX)).unwrap_or(PollTimeout::MAX)
}

/// Standard output, borrowed.
#[must_use]
pub fn standard_output() -> BorrowedFd<'static> {
    // SAFETY: nothing in this program closes descriptor 1, and std reopens it as /dev/null at start if it was
    // closed then.
    unsafe { BorrowedFd::borrow_raw(1) }
}

/// Standard error, borrowed.
#[must_use]
pub fn standard_error() -> BorrowedFd<'static> {
    // SAFETY: nothing in this program closes descriptor 2, and std reopens it as /dev/null at start if it was
    // closed then.
    unsafe { BorrowedFd::borrow_raw(2) }
}

/// Standard input, borrowed.
#[must_use]
pub fn standard_input() -> BorrowedFd<'static> {
    // SAFETY: nothing in this program closes descriptor 0, and std reopens it as /dev/null at start if it was
    // closed then.
    unsafe { BorrowedFd::borrow_raw(0) }
}
