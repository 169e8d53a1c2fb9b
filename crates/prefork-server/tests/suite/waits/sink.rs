//! A server's standard output or error that is read until it is ready, and then no more.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::termios::{FlowArg, tcflow};
use nix::unistd::Pid;
use proto::announce::{Announcement, Ready};
use tempfile::TempDir;

use crate::support::{DEADLINE, Peer, command, fill, wait_for_workers_of, workers_of};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Output,
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pipe,
    Socket,
    Terminal,
}

/// What the server writes to, and what this test reads from.
pub(super) struct Sink {
    kind: Kind,
    servers: OwnedFd,
    ours: File,
    said: String,
}

impl Sink {
    fn new(kind: Kind) -> Self {
        let (ours, servers): (OwnedFd, OwnedFd) = match kind {
            Kind::Pipe => nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap(),
            Kind::Socket => {
                let (ours, servers) = UnixStream::pair().unwrap();
                (ours.into(), servers.into())
            }
            Kind::Terminal => {
                let pair = openpty(None, None).unwrap();
                for fd in [&pair.master, &pair.slave] {
                    fcntl(fd, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
                }
                (pair.master, pair.slave)
            }
        };
        Self {
            kind,
            servers,
            ours: ours.into(),
            said: String::new(),
        }
    }

    /// The mode of the description that was handed to the server, and that others have too.
    pub(super) fn flags(&self) -> OFlag {
        OFlag::from_bits_retain(fcntl(&self.servers, FcntlArg::F_GETFL).unwrap())
    }

    /// From now on a write would wait.
    pub(super) fn stop(&self) {
        match self.kind {
            Kind::Terminal => tcflow(&self.servers, FlowArg::TCOOFF).unwrap(),
            Kind::Socket => {
                for len in [4096, 1] {
                    let flags = MsgFlags::MSG_DONTWAIT;
                    while send(self.servers.as_raw_fd(), &vec![b'x'; len], flags).is_ok() {}
                }
            }
            Kind::Pipe => fill(&self.servers),
        }
    }

    /// From now on there is room: what was written is read.
    pub(super) fn resume(&self) {
        if self.kind == Kind::Terminal {
            tcflow(&self.servers, FlowArg::TCOON).unwrap();
        }
    }

    /// Reads until there is `text` after what was waited for before.
    pub(super) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.said.find(text) {
                let rest = self.said.split_off(at + text.len());
                return std::mem::replace(&mut self.said, rest);
            }
            let left = PollTimeout::try_from(deadline.saturating_duration_since(Instant::now()));
            let mut fds = [PollFd::new(self.ours.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, left.unwrap()), Ok(1), "no '{text}'");
            let mut piece = [0; 4096];
            let len = self.ours.read(&mut piece).unwrap();
            assert!(len > 0, "the end, and no '{text}'");
            self.said.push_str(&String::from_utf8_lossy(&piece[..len]));
        }
    }
}

/// A server one of whose standard streams is stuck from READY on.
pub(super) struct Stuck {
    child: Child,
    ready: Ready,
    sink: Sink,
    /// The other stream, and the root.
    _rest: (Option<Sink>, TempDir),
}

impl Stuck {
    pub(super) fn start(which: Which, kind: Kind, args: &[&str]) -> Self {
        let root = TempDir::new().unwrap();
        let folder = root.path().join("root");
        fs::create_dir(&folder).unwrap();
        let mut command = command(&folder, "process", args);
        // On a terminal too.
        command.args(["--ready", "json"]);
        let mut sink = Sink::new(kind);
        let stream = |fd: BorrowedFd<'_>| Stdio::from(fd.try_clone_to_owned().unwrap());
        let mut other = None;
        match which {
            Which::Output => {
                let log = File::create(root.path().join("log")).unwrap();
                command.stdout(stream(sink.servers.as_fd())).stderr(log);
            }
            Which::Error => {
                let output = Sink::new(Kind::Pipe);
                command.stderr(stream(sink.servers.as_fd()));
                command.stdout(stream(output.servers.as_fd()));
                other = Some(output);
            }
        }
        let child = command.spawn().unwrap();
        let line = other.as_mut().unwrap_or(&mut sink).wait_for("\n");
        let Announcement::Ready(ready) = Announcement::from_line(line.trim_end()).unwrap() else {
            panic!("READY, not {line}");
        };
        sink.stop();
        Self {
            child,
            ready,
            sink,
            _rest: (other, root),
        }
    }

    pub(super) fn sink(&mut self) -> &mut Sink {
        &mut self.sink
    }

    pub(super) fn connect(&self) -> Peer {
        Peer::new(TcpStream::connect(&self.ready.address).unwrap())
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.signal_one(self.ready.pid, signal);
    }

    pub(super) fn signal_one(&self, pid: u32, signal: Signal) {
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    pub(super) fn children(&self) -> Vec<u32> {
        workers_of(self.ready.pid)
    }

    pub(super) fn wait_for_children(&self, are_right: impl Fn(&[u32]) -> bool) -> Vec<u32> {
        wait_for_workers_of(self.ready.pid, are_right)
    }

    /// Waits for the end.
    pub(super) fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
