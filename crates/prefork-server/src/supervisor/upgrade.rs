//! USR2: this program's file, started anew on the same socket. The old server leaves when the new one is
//! ready; if it never is, the old one goes on as if nothing had happened.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Flow, Supervisor};
use crate::pool::Inheritance;
use crate::shared::title;
use crate::supervisor::errand::Step;
use crate::supervisor::inherited::{
    self, BIND_VARIABLE, LOCK_VARIABLE, METRICS_VARIABLE, PERMIT_VARIABLE, Permit,
    UPGRADE_VARIABLE, Upgrade,
};
use crate::supervisor::roster::Event;
use crate::supervisor::scarcity::explained;
use crate::words;

/// How much longer than a worker a whole new server may take to become ready.
const MARGIN: Duration = Duration::from_secs(10);

/// Why a server ended that another has taken over from.
pub(super) const HANDED_OVER: &str = "handed_over";

/// What a new server says when it is ready.
const READY: &[u8] = b"ready\n";

/// A server that is to take over.
#[derive(Debug)]
pub(super) struct Successor {
    pid: Pid,
    report: OwnedFd,
    permit: Permit,
    kill_at: Instant,
    stage: Stage,
    /// This server was told to reload after it had started the new one, which has read the settings before.
    is_to_reload: bool,
}

/// A server that this one takes over from.
#[derive(Debug)]
pub(super) struct Predecessor {
    pub(super) pid: Pid,
    /// Where it is to be told that it may leave, and the permit for that, until it has been.
    pub(super) waits: Option<(OwnedFd, Option<Permit>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    /// It has closed its end of the report without a word: it is about to end, and says why not.
    Closed,
    /// It was killed, and is not dead yet.
    GivenUp,
    Ready,
}

impl Successor {
    /// What to watch for its report; nothing more once it is ready, or never will be.
    pub(super) fn watched(&self) -> Option<&OwnedFd> {
        (self.stage == Stage::Starting).then_some(&self.report)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        matches!(self.stage, Stage::Starting | Stage::Closed).then_some(self.kill_at)
    }
}

impl Supervisor {
    /// Starts the new server.
    pub(super) fn upgrade(&mut self) {
        let refusal = if Pid::this().as_raw() == 1 {
            Some(
                "this server is process 1 of its container: when it leaves, the kernel ends all others, the new server \
                 too; replace the container, or start the server under an init (docker run --init)",
            )
        } else if self.is_on_its_way_out() {
            Some("the server is on its way out")
        } else if self.successor.is_some() {
            Some("a new server is being started already")
        } else if self.predecessor_lives() {
            Some("the server before this one has not finished yet")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            tracing::warn!("not upgrading: {refusal}");
            return;
        }
        match self.start_successor() {
            Ok(successor) => {
                tracing::info!(pid = %successor.pid, "upgrading: a new server is starting");
                self.successor = Some(successor);
            }
            Err(error) => tracing::error!("not upgrading: {}", words::chain(&error)),
        }
    }

    /// The new server has said something, or has closed its end without a word.
    pub(super) fn hear_successor(&mut self) -> Flow {
        let is_waited_for =
            |it: &&mut Successor| matches!(it.stage, Stage::Starting | Stage::Closed);
        let Some(successor) = self.successor.as_mut().filter(is_waited_for) else {
            return Ok(());
        };
        let mut said = [0; READY.len()];
        match nix::unistd::read(&successor.report, &mut said) {
            Ok(len) if said[..len] == *READY => self.hand_over(),
            Err(Errno::EAGAIN) => Ok(()),
            // Killed now, it could not say why any more. Its death, or its deadline, is the end of it.
            _ => {
                successor.stage = Stage::Closed;
                Ok(())
            }
        }
    }

    /// The new server has taken over.
    fn hand_over(&mut self) -> Flow {
        if let Some(successor) = &mut self.successor {
            successor.stage = Stage::Ready;
            if successor.is_to_reload {
                let _ = kill(successor.pid, Signal::SIGHUP);
            }
            tracing::info!(pid = %successor.pid, "the new server is ready: leaving when what is in hand is finished");
        }
        self.stop = Some((Instant::now(), HANDED_OVER));
        self.admin.hand_over();
        self.inheritance.service.store.remove_lock_at_the_end(false);
        self.let_go_of_listener();
        self.close_cache();
        title::former_parent();
        self.tell_roster(Event::HandOver)
    }

    /// The new server is dead. If it has said that it was ready before it died, this one has handed over: to
    /// stop the new one means that no server is wanted, and not the old one back.
    pub(super) fn successor_died(&mut self) -> Flow {
        let flow = self.hear_successor();
        // Its number may be another process's from now on.
        let Some(Successor { pid, stage, .. }) = self.successor.take() else {
            return flow;
        };
        match stage {
            Stage::Ready => {
                self.inheritance.service.store.remove_lock_at_the_end(true);
                return flow;
            }
            Stage::GivenUp => {}
            Stage::Starting | Stage::Closed => {
                tracing::error!(%pid, "the upgrade failed: it ended before it was ready; this server goes on");
            }
        }
        if let Err(error) = self.set_up_listener() {
            tracing::error!("{}", words::chain(&error));
        }
        if !self.is_on_its_way_out() && !self.roster.is_rolling() {
            self.telling.notices.ready();
        }
        self.look_ahead(Step::TakeNamesBack)?;
        flow
    }

    /// Nobody here accepts any more. The new server alone says when the port is free, and who is queued is its own.
    fn let_go_of_listener(&self) {
        drop(self.inheritance.listener.share());
    }

    /// The listening socket is as the settings here have it.
    pub(super) fn set_up_listener(&self) -> Result<()> {
        let Inheritance {
            listener, config, ..
        } = &self.inheritance;
        inherited::set_up(listener.socket(), config, self.origin)
    }

    /// What a new server takes just before it says that it is ready is this one's again.
    pub(super) fn take_names_back(&mut self) {
        if let Some(pidfile) = &self.pidfile
            && let Err(error) = pidfile.restore()
        {
            tracing::error!("cannot take the pidfile back: {}", words::chain(&error));
        }
        if let Err(error) = self.admin.restore() {
            tracing::error!(
                "cannot take the admin socket back: {}",
                words::chain(&error)
            );
        }
    }

    pub(super) fn is_successor(&self, pid: Pid) -> bool {
        self.successor.as_ref().is_some_and(|it| it.pid == pid)
    }

    /// Kills a new server that takes too long.
    pub(super) fn check_successor(&mut self) -> Flow {
        let deadline = self.successor.as_ref().and_then(Successor::deadline);
        match deadline.is_some_and(|at| Instant::now() >= at) {
            true => self.give_up_successor("it did not become ready in time; this server goes on"),
            false => Ok(()),
        }
    }

    /// Ends a new server that is not ready, if there is one: this one stops, or the new one will not do. Its
    /// workers, which have accepted nobody, leave with it. One that takes over at this very moment is not ended.
    pub(super) fn give_up_successor(&mut self, why: &str) -> Flow {
        let Some(successor) = self.successor.as_mut().filter(|it| it.deadline().is_some()) else {
            return Ok(());
        };
        if !successor.permit.take() {
            return self.hand_over();
        }
        tracing::error!(pid = %successor.pid, "the upgrade failed: {why}");
        successor.stage = Stage::GivenUp;
        let _ = kill(successor.pid, Signal::SIGKILL);
        Ok(())
    }

    /// A new server may have read its settings before they changed: it is told to read them again, as soon as it can be.
    /// False if there is none.
    pub(super) fn pass_reload_on(&mut self) -> bool {
        let Some(successor) = &mut self.successor else {
            return false;
        };
        match successor.stage {
            Stage::Ready => kill(successor.pid, Signal::SIGHUP).is_ok(),
            Stage::Starting | Stage::Closed => {
                successor.is_to_reload = true;
                true
            }
            Stage::GivenUp => false,
        }
    }

    /// Whether another server has this one's socket, or is about to.
    pub(super) fn has_successor(&self) -> bool {
        let successor = self.successor.as_ref();
        successor.is_some_and(|it| it.stage != Stage::GivenUp)
    }

    /// Tells the server before this one that it may leave; from now on the workers here accept. False if it has taken
    /// the permit for that back, because it stops.
    pub(super) fn take_over(&mut self) -> bool {
        let waits = self.predecessor.as_mut().and_then(|it| it.waits.take());
        let Some((report, permit)) = waits else {
            return true;
        };
        if permit.is_some_and(|permit| !permit.take()) {
            return false;
        }
        self.inheritance.service.store.remove_lock_at_the_end(true);
        // If nobody hears it, that server is gone, and there is nobody to tell.
        let _ = nix::unistd::write(&report, READY);
        self.inheritance.gate.open();
        self.members.nudge(|_| true);
        true
    }

    /// The server that is to take over, or has.
    pub(super) fn successor_pid(&self) -> Option<Pid> {
        self.successor.as_ref().map(|it| it.pid)
    }

    /// The server before this one, while it still finishes what it has in hand.
    pub(super) fn predecessor_pid(&self) -> Option<Pid> {
        let pid = self.predecessor.as_ref()?.pid;
        self.predecessor_lives().then_some(pid)
    }

    /// Whether the server before this one still finishes what it has in hand.
    pub(super) fn predecessor_lives(&self) -> bool {
        self.predecessor
            .as_ref()
            .is_some_and(|it| Pid::parent() == it.pid)
    }

    /// Whether it still accepts: it was not told to leave yet.
    pub(super) fn predecessor_accepts(&self) -> bool {
        self.predecessor_waits() && self.predecessor_lives()
    }

    /// Whether it was not told to leave yet.
    pub(super) fn predecessor_waits(&self) -> bool {
        self.predecessor
            .as_ref()
            .is_some_and(|it| it.waits.is_some())
    }

    fn start_successor(&self) -> Result<Successor> {
        let program = match &self.program {
            Ok(program) => program.find()?,
            Err(error) => bail!(
                "cannot find this program's file without /proc: {}",
                words::plain(error)
            ),
        };
        let (report, told) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let permit = Permit::new()?;
        let listener = self.inheritance.listener.socket();
        let root = self.inheritance.service.store.directory();
        let lock = self.inheritance.service.store.lock();
        let metrics = self.admin.metrics_fd();
        let mut passed = vec![listener.as_fd(), root.as_fd(), told.as_fd(), permit.as_fd()];
        passed.extend(metrics);
        passed.extend(lock);
        let variable = Upgrade::describe(listener, self.origin, &root, &told, metrics.as_ref());
        let mut argv = std::env::args_os();
        let mut command = std::process::Command::new(&program);
        command
            .arg0(argv.next().unwrap_or_default())
            .args(argv)
            .env(UPGRADE_VARIABLE, variable)
            .env(LOCK_VARIABLE, inherited::describe(lock.as_ref()))
            .env(PERMIT_VARIABLE, inherited::describe(Some(&permit.as_fd())))
            .env(BIND_VARIABLE, &self.inheritance.config.bind)
            .env(
                METRICS_VARIABLE,
                self.inheritance
                    .config
                    .metrics
                    .as_deref()
                    .unwrap_or_default(),
            )
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_PID");
        let inheritable = |flags| -> nix::Result<()> {
            for &fd in &passed {
                fcntl(fd, FcntlArg::F_SETFD(flags))?;
            }
            Ok(())
        };
        inheritable(FdFlag::empty())?;
        let child = command.spawn().map_err(|error| {
            let what = format!("cannot start {}", program.display());
            match error.raw_os_error() {
                Some(code) => explained(&what, Errno::from_raw(code)),
                None => anyhow::Error::from(error).context(what),
            }
        });
        inheritable(FdFlag::FD_CLOEXEC)?;
        Ok(Successor {
            pid: Pid::from_raw(child?.id().cast_signed()),
            report,
            permit,
            kill_at: Instant::now() + self.inheritance.config.boot_timeout + MARGIN,
            stage: Stage::Starting,
            is_to_reload: false,
        })
    }
}
