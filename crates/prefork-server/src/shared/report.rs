//! What worker processes report to the parent, over one socket: that they are ready, that they are worn out.
//!
//! A message says only what; the kernel says who (`SO_PASSCRED`, unix(7)). So no worker can report for another.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixCredentials, recvmsg,
    sendmsg, setsockopt, socketpair, sockopt,
};
use nix::unistd::Pid;

use crate::shared::scoreboard::{Field, Slot};

/// Reports taken at once: a worker that reports without end keeps the parent from nothing.
const READ_MAX: usize = 64;

/// The longest that a worker may wait without coming round its loop, which is its sign of life; and the longest time
/// between two looks at these.
pub(crate) const LOOK_MAX: Duration = Duration::from_secs(1);

/// How often an idle worker looks at the parent's word and at its logs. A signal makes it look at once, unless it comes
/// between the look and the wait.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// One process of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// Its seat, from 0.
    pub seat: u32,
    /// Which of the seat's processes, from 1.
    pub generation: u32,
}

/// A report, as the parent reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// Who reports, by the kernel's word.
    pub pid: Pid,
    /// What, by the worker's own.
    pub kind: Kind,
}

/// What is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It serves from now on.
    Ready,
    /// It has served as many requests as it should: it wants a successor.
    WornOut,
}

/// The parent's end, and the one that all workers have.
///
/// # Errors
/// What socketpair(2) and setsockopt(2) say.
pub(crate) fn channel() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (parents, workers) = socketpair(
        AddressFamily::Unix,
        SockType::Datagram,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    setsockopt(&parents, sockopt::PassCred, &true)?;
    Ok((parents, workers))
}

/// A worker process's end of the socket.
#[derive(Debug)]
pub(crate) struct Reporter<'a> {
    socket: &'a OwnedFd,
    worn_out_after: Option<u64>,
    has_reported: AtomicBool,
}

impl<'a> Reporter<'a> {
    /// For one process. `max_requests` is taken less up to a fifth, differently for each process, so that a
    /// pool started at once is not worn out at once.
    #[must_use]
    pub(crate) fn new(socket: &'a OwnedFd, process: ProcessId, max_requests: Option<u64>) -> Self {
        let mixed = (u64::from(process.seat) << 32 | u64::from(process.generation))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            >> 32;
        Self {
            socket,
            worn_out_after: max_requests.map(|max| (max - mixed % (max / 5 + 1)).max(1)),
            has_reported: AtomicBool::new(false),
        }
    }

    /// Says that the process is ready. Of thousands that start at once the last wait until the parent, which is still
    /// forking, has taken the first ones' reports.
    ///
    /// # Errors
    /// What sendmsg(2) says.
    pub(crate) fn ready(&self) -> nix::Result<()> {
        loop {
            match self.send(Kind::Ready, MsgFlags::MSG_NOSIGNAL) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// Counts one round of a worker's loop, and asks for a successor once the worker has served for long
    /// enough. It goes on serving until the parent tells it to leave.
    pub(crate) fn count_round(&self, slot: Slot) {
        slot.add(Field::SignsOfLife, 1);
        if self
            .worn_out_after
            .is_some_and(|after| slot.get(Field::Started) >= after)
            && !self.has_reported.swap(true, Relaxed)
        {
            // A full socket means that the parent has more than enough to do: the next round asks again.
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let is_sent = self.send(Kind::WornOut, flags).is_ok();
            self.has_reported.store(is_sent, Relaxed);
        }
    }

    fn send(&self, kind: Kind, flags: MsgFlags) -> nix::Result<()> {
        let byte = [kind.byte()];
        sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&byte)],
            &[],
            flags,
            None,
        )
        .map(drop)
    }
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ready => b'R',
            Self::WornOut => b'W',
        }
    }

    const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            b'R' => Some(Self::Ready),
            b'W' => Some(Self::WornOut),
            _ => None,
        }
    }
}

/// Takes the reports that there are from the parent's end, and not too many at once. What is no report is passed over.
pub(crate) fn read(socket: &OwnedFd) -> Vec<Report> {
    let messages = std::iter::repeat_with(|| receive(socket)).map_while(Result::ok);
    messages.take(READ_MAX).flatten().collect()
}

/// The next message, if it is a report.
fn receive(socket: &OwnedFd) -> nix::Result<Option<Report>> {
    let mut byte = [0; 1];
    let mut space = nix::cmsg_space!(UnixCredentials);
    let mut payload = [IoSliceMut::new(&mut byte)];
    // Without the flag, descriptors that came with it would be passed on by exec; there is no room for any.
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut payload, Some(&mut space), flags)?;
    let sender = message
        .cmsgs()
        .ok()
        .and_then(|mut parts| match parts.next() {
            Some(ControlMessageOwned::ScmCredentials(sender)) => Some(Pid::from_raw(sender.pid())),
            _ => None,
        });
    let len = message.bytes;
    let kind = Kind::of_byte(byte[0]).filter(|_| len == 1);
    Ok(sender.zip(kind).map(|(pid, kind)| Report { pid, kind }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: ProcessId = ProcessId {
        seat: 4095,
        generation: 70_000,
    };

    #[test]
    fn a_report_is_its_senders_whoever_it_says_it_is() {
        let (parents, workers) = channel().unwrap();
        Reporter::new(&workers, PROCESS, None).ready().unwrap();
        // A worker gone mad: nonsense, nothing, much, descriptors, another's process id.
        let send = |bytes: &[u8], more: &[nix::sys::socket::ControlMessage<'_>]| {
            let bytes = [IoSlice::new(bytes)];
            sendmsg::<()>(
                workers.as_raw_fd(),
                &bytes,
                more,
                MsgFlags::MSG_DONTWAIT,
                None,
            )
        };
        for bytes in [&b"x"[..], b"", &[b'x'; 5000]] {
            send(bytes, &[]).unwrap();
        }
        let fds = [parents.as_raw_fd()];
        send(b"x", &[nix::sys::socket::ControlMessage::ScmRights(&fds)]).unwrap();
        send(b"W", &[]).unwrap();
        let this = Pid::this();
        let kinds = [Kind::Ready, Kind::WornOut];
        assert_eq!(read(&parents), kinds.map(|kind| Report { pid: this, kind }));
        assert_eq!(read(&parents), []);
    }

    #[test]
    fn a_worker_that_reports_without_end_is_heard_in_pieces() {
        let (parents, workers) = channel().unwrap();
        let reporter = Reporter::new(&workers, PROCESS, None);
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent =
            std::iter::repeat_with(|| reporter.send(Kind::Ready, flags)).map_while(Result::ok);
        let sent = sent.count();
        assert!(sent >= READ_MAX, "{sent}");
        assert_eq!(read(&parents).len(), READ_MAX);
    }
}
