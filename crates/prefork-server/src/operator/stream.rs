//! Writing to what others read, or do not read, without ever waiting for them.
//!
//! A write to a full pipe, a full socket or a stopped terminal (Ctrl-S) waits for the reader, for good if need be. The
//! cure is not O_NONBLOCK on what was inherited: that belongs to the open description, which the shell and the programs
//! beside this one have too. So the server makes itself descriptions of its own ([`own_standard_streams`]), asks sockets
//! for one call at a time not to wait, and where neither can be looks first whether there is room.

use std::fmt::Display;
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc::PIPE_BUF;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{dup2_stderr, dup2_stdout};

use crate::sys;

/// How long the last words wait for a reader.
const SAY_PATIENCE: Duration = Duration::from_secs(1);

/// Says a line on standard error, for which a reader gets a second to make room. Where nobody can read it there
/// is nothing else to be done about it.
pub(crate) fn say(line: impl Display) {
    write_within(
        sys::standard_error(),
        format!("{line}\n").as_bytes(),
        SAY_PATIENCE,
    );
}

/// Puts descriptions of this process's own in the place of standard output and error, where these are pipes or
/// terminals. To be called before the user is changed: another user's cannot be opened.
pub(crate) fn own_standard_streams() {
    if let Some(own) = own(sys::standard_output(), OFlag::O_WRONLY) {
        let _ = dup2_stdout(own);
    }
    if let Some(own) = own(sys::standard_error(), OFlag::O_WRONLY) {
        let _ = dup2_stderr(own);
    }
}

/// A description of this process's own, which never waits, of the pipe or terminal that `fd` refers to. None for
/// anything else, without /proc, and where it is another user's.
pub(crate) fn own(fd: BorrowedFd<'_>, access: OFlag) -> Option<OwnedFd> {
    if kind(fd) != SFlag::S_IFIFO && !fd.is_terminal() {
        return None;
    }
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = access | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    open(path.as_str(), flags, Mode::empty()).ok()
}

/// Writes as much of `bytes` as there is room for now.
///
/// # Errors
/// `EAGAIN` where there is none; else what write(2) says.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    match kind(fd) {
        SFlag::S_IFSOCK => {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            send(fd.as_raw_fd(), bytes, flags)
        }
        // A file has no reader to wait for.
        SFlag::S_IFREG => nix::unistd::write(fd, bytes),
        _ if flags.contains(OFlag::O_NONBLOCK) => nix::unistd::write(fd, bytes),
        // A pipe that has any room takes so much at once (pipe(7)).
        _ if has_room(fd) => sys::write_now(fd, &bytes[..bytes.len().min(PIPE_BUF)]),
        _ => Err(Errno::EAGAIN),
    }
}

/// Writes all of `bytes` for which there is room now; says how much that was, and why it was not all.
pub(crate) fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> (usize, nix::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match write(fd, &bytes[written..]) {
            Ok(len) => written += len,
            Err(Errno::EINTR) => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// The same, with so long for a reader to make room.
pub(crate) fn write_within(fd: BorrowedFd<'_>, bytes: &[u8], patience: Duration) {
    let until = Instant::now() + patience;
    let mut rest = bytes;
    loop {
        let (written, result) = write_all(fd, rest);
        rest = &rest[written..];
        let left = until.saturating_duration_since(Instant::now());
        if result != Err(Errno::EAGAIN) || left.is_zero() {
            return;
        }
        let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
        let _ = poll(&mut fds, sys::poll_timeout(left));
    }
}

/// Whether something can be written now, and there is a reader.
pub(crate) fn has_room(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok() && fds[0].revents() == Some(PollFlags::POLLOUT)
}

/// Reads what there is now.
///
/// # Errors
/// `EAGAIN` where there is nothing; else what read(2) says.
pub(crate) fn read(fd: BorrowedFd<'_>, into: &mut [u8]) -> nix::Result<usize> {
    if kind(fd) == SFlag::S_IFSOCK {
        return recv(fd.as_raw_fd(), into, MsgFlags::MSG_DONTWAIT);
    }
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::ZERO)? {
        0 => Err(Errno::EAGAIN),
        _ => nix::unistd::read(fd, into),
    }
}

fn kind(fd: BorrowedFd<'_>) -> SFlag {
    fstat(fd.as_fd()).map_or(SFlag::empty(), |stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Another user's pipe cannot be opened anew: it stays one whose writers wait.
    #[test]
    fn a_pipe_whose_writers_wait_is_never_waited_for() {
        let (sender, told) = mpsc::channel();
        thread::spawn(move || {
            let (reader, writer) = nix::unistd::pipe().unwrap();
            let mut reader = File::from(reader);
            let bytes = vec![b'x'; 1 << 20];
            let (written, result) = write_all(writer.as_fd(), &bytes);
            assert_eq!(result, Err(Errno::EAGAIN));
            assert_eq!(write(writer.as_fd(), b"x"), Err(Errno::EAGAIN));
            reader.read_exact(&mut vec![0; written]).unwrap();
            assert_eq!(write(writer.as_fd(), b"x"), Ok(1));
            drop(reader);
            // Nobody will ever read it.
            let refused = write(writer.as_fd(), b"x");
            assert!(refused.is_err(), "{refused:?}");
            sender.send(written).unwrap();
        });
        let written = told.recv_timeout(Duration::from_secs(60));
        assert!(written.is_ok_and(|written| written > 0), "it waits");
    }
}
