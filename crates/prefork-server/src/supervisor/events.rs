//! What the parent waits for: signals, READY reports, the end of its standard input.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::sys::stat::Mode;
use nix::unistd::getsid;

use crate::operator::stream;
use crate::pool::PARENT_SIGNALS;
use crate::shared::report::{self, Report};
use crate::sys;

/// How long standard input is left alone after something has come: it may be /dev/zero, which always has more.
const INPUT_PAUSE: Duration = Duration::from_millis(100);

/// Something the parent has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Time has passed.
    Tick,
    /// At least one child is dead.
    ChildDied,
    /// A signal other than that.
    Signal(Signal),
    /// A worker process says something.
    Report(Report),
    /// The server that is to take over says something, or never will.
    Successor,
    /// The terminal that the server was started from is gone.
    TerminalGone,
    /// The program that started the server is gone.
    InputEnded,
}

/// The sources of news. Signals are blocked from here on and arrive as data: no handler, nothing to race with.
#[derive(Debug)]
pub(super) struct Events {
    signals: SignalFd,
    reports: OwnedFd,
    input: Option<Input>,
    terminal: Terminal,
}

/// Standard input, of which only the end is of interest.
#[derive(Debug)]
struct Input {
    /// A description of this process's own to read from, where there can be one: another process that has the other may take
    /// what this process has been told is there, and it would wait.
    own: Option<OwnedFd>,
    /// When to look at it again.
    not_before: Option<Instant>,
}

impl Events {
    pub(super) fn new(reports: OwnedFd, watch_input: bool) -> nix::Result<Self> {
        let terminal = Terminal::find();
        let mask: SigSet = PARENT_SIGNALS.into_iter().collect();
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self {
            signals,
            reports,
            input: watch_input.then(|| Input {
                own: stream::own(sys::standard_input(), OFlag::O_RDONLY),
                not_before: None,
            }),
            terminal,
        })
    }

    /// Waits for news, at most so long, and no longer than until one of `others` is ready, of which there is no news.
    pub(super) fn wait<'a>(
        &'a mut self,
        timeout: Option<Duration>,
        successor: Option<&'a OwnedFd>,
        others: impl Iterator<Item = PollFd<'a>>,
    ) -> nix::Result<Vec<News>> {
        let now = Instant::now();
        let input = self.input.as_mut();
        let pause = input.and_then(|input| input.pause(now));
        let timeout = timeout.into_iter().chain(pause).min();
        let timeout = timeout.map_or(PollTimeout::NONE, sys::poll_timeout);
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let watches_input = self.input.is_some() && pause.is_none();
        let mut fds = vec![
            readable(self.signals.as_fd()),
            readable(self.reports.as_fd()),
        ];
        fds.extend(watches_input.then(|| readable(sys::standard_input())));
        fds.extend(successor.map(|fd| readable(fd.as_fd())));
        let own = fds.len();
        fds.extend(others);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
        let is_ready = |fd: Option<&PollFd<'_>>| fd.is_some_and(|fd| fd.any().unwrap_or(true));
        let input_is_ready = watches_input && is_ready(fds.get(2));
        let successor_is_ready = successor.is_some() && is_ready(fds.get(own - 1));
        let mut news = Vec::new();
        self.read_signals(&mut news)?;
        news.extend(report::read(&self.reports).into_iter().map(News::Report));
        news.extend(successor_is_ready.then_some(News::Successor));
        if input_is_ready && self.input.as_mut().is_some_and(Input::has_ended) {
            self.input = None;
            news.push(News::InputEnded);
        }
        Ok(news)
    }

    /// Whether the server is to go on when its terminal is gone.
    pub(super) const fn is_to_outlive_terminal(&self) -> bool {
        self.terminal.is_outlived
    }

    fn read_signals(&self, news: &mut Vec<News>) -> nix::Result<()> {
        while let Some(info) = self.signals.read_signal()? {
            match Signal::try_from(info.ssi_signo.cast_signed()) {
                Ok(Signal::SIGCHLD) => news.push(News::ChildDied),
                Ok(Signal::SIGHUP) if self.terminal.has_gone_with(&info) => {
                    news.push(News::TerminalGone);
                }
                Ok(signal) => news.push(News::Signal(signal)),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Input {
    /// For how long it is not looked at yet.
    fn pause(&mut self, now: Instant) -> Option<Duration> {
        self.not_before = self.not_before.filter(|at| now < *at);
        self.not_before.map(|at| at.saturating_duration_since(now))
    }

    /// Reads and forgets what there is; nothing is expected but the end.
    fn has_ended(&mut self) -> bool {
        let mut ignored = [0; 16 << 10];
        let result = match &self.own {
            Some(own) => stream::read(own.as_fd(), &mut ignored),
            None => stream::read(sys::standard_input(), &mut ignored),
        };
        self.not_before = Some(Instant::now() + INPUT_PAUSE);
        matches!(result, Ok(0) | Err(Errno::EIO))
    }
}

/// The terminal that the server was started from, if any.
#[derive(Debug)]
struct Terminal {
    is_there: bool,
    /// HUP was ignored when the server was started, as nohup does.
    is_outlived: bool,
}

impl Terminal {
    fn find() -> Self {
        Self {
            is_there: Self::is_there(),
            is_outlived: sys::is_ignored(Signal::SIGHUP),
        }
    }

    fn is_there() -> bool {
        let flags = OFlag::O_RDONLY | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        open("/dev/tty", flags, Mode::empty()).is_ok()
    }

    /// Whether this HUP says that it is gone: the kernel's does, and that of the shell, which passes it on to its jobs.
    /// Any other asks for a reload.
    fn has_gone_with(&self, hup: &siginfo) -> bool {
        let shell = getsid(None).map_or(0, |pid| pid.as_raw().unsigned_abs());
        let is_passed_on = || hup.ssi_pid == shell && self.is_there && !Self::is_there();
        hup.ssi_code == nix::libc::SI_KERNEL || is_passed_on()
    }
}
