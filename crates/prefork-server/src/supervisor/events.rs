//! What the parent waits for: signals, READY reports, the end of its standard input.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::pool::{PARENT_SIGNALS, READY_REPORT_LEN};
use crate::sys;

/// Something the parent has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Time has passed.
    Tick,
    /// At least one child is dead.
    ChildDied,
    /// A signal other than that.
    Signal(Signal),
    /// A worker process says that it is ready. Not to be believed as it is.
    Ready { index: u32, generation: u32 },
    /// Whoever started the server is gone.
    InputEnded,
}

/// The sources of news. Signals are blocked from here on and arrive as data: no handler, nothing to race with.
#[derive(Debug)]
pub(super) struct Events {
    signals: SignalFd,
    ready: OwnedFd,
    watch_input: bool,
}

impl Events {
    pub(super) fn new(ready: OwnedFd, watch_input: bool) -> nix::Result<Self> {
        let mask: SigSet = PARENT_SIGNALS.into_iter().collect();
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self {
            signals,
            ready,
            watch_input,
        })
    }

    /// Waits for news, at most so long.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> nix::Result<Vec<News>> {
        let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
            let millis = timeout.as_nanos().div_ceil(1_000_000);
            PollTimeout::try_from(u64::try_from(millis).unwrap_or(u64::MAX))
                .unwrap_or(PollTimeout::MAX)
        });
        let input = sys::standard_input();
        let mut fds = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.ready.as_fd(), PollFlags::POLLIN),
            PollFd::new(input.as_fd(), PollFlags::POLLIN),
        ];
        let watched = if self.watch_input { 3 } else { 2 };
        match poll(&mut fds[..watched], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
        let input_is_ready = self.watch_input && fds[2].any().unwrap_or(true);
        let mut news = Vec::new();
        self.read_signals(&mut news)?;
        self.read_reports(&mut news);
        if input_is_ready && input_has_ended() {
            self.watch_input = false;
            news.push(News::InputEnded);
        }
        Ok(news)
    }

    fn read_signals(&self, news: &mut Vec<News>) -> nix::Result<()> {
        while let Some(info) = self.signals.read_signal()? {
            match Signal::try_from(info.ssi_signo.cast_signed()) {
                Ok(Signal::SIGCHLD) => news.push(News::ChildDied),
                Ok(signal) => news.push(News::Signal(signal)),
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn read_reports(&self, news: &mut Vec<News>) {
        let mut report = [0; READY_REPORT_LEN];
        while let Ok(READY_REPORT_LEN) = nix::unistd::read(&self.ready, &mut report) {
            let [i0, i1, i2, i3, g0, g1, g2, g3] = report;
            news.push(News::Ready {
                index: u32::from_le_bytes([i0, i1, i2, i3]),
                generation: u32::from_le_bytes([g0, g1, g2, g3]),
            });
        }
    }
}

/// Reads and forgets what there is; nothing is expected on standard input but its end.
fn input_has_ended() -> bool {
    let mut ignored = [0; 512];
    matches!(
        nix::unistd::read(sys::standard_input(), &mut ignored),
        Ok(0) | Err(Errno::EIO)
    )
}
