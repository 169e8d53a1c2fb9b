//! The parent: binds, forks, reaps, passes on the stop. It never reads a client's byte, and keeps one thread
//! for life.
//!
//! Its loop waits for a signal, a READY report or a deadline, tells the pure [`Roster`], and obeys.

mod announce;
mod caching;
mod deferred_close;
mod errand;
mod events;
pub(crate) mod inherited;
pub(crate) mod ledger;
mod look_ahead;
mod members;
mod processes;
mod program;
mod reload;
pub mod roster;
pub(crate) mod scarcity;
mod shortage;
mod start;
mod status;
mod sweep;
mod telling;
mod upgrade;
pub(crate) mod watchdog;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use proto::status::ProcessState;

use crate::config::Config;
use crate::exit::Exit;
use crate::operator::admin::Admin;
use crate::operator::logs::Reopener;
use crate::operator::pidfile::Pidfile;
use crate::pool::Inheritance;
use crate::shared::report::{Kind, ProcessId, Report};
use crate::shared::scoreboard::{Command, Field};
use crate::shared::title;
use crate::supervisor::inherited::Origin;
use crate::supervisor::ledger::Ledger;
use crate::supervisor::roster::{Action, Event, Policy, Roster};
use crate::supervisor::scarcity::Shortages;
use crate::supervisor::watchdog::{Sign, Watchdog};

pub(crate) use start::{open_folder, open_store};

use announce::Facts;
use caching::Caching;
use deferred_close::DeferredClose;
use errand::{Errand, Step};
use events::{Events, News};
use members::{Member, Members};
use program::Program;
use sweep::Sweeper;
use telling::Telling;
use upgrade::{Predecessor, Successor};

/// How often workers that have been told to leave are nudged again: a nudge that falls between a worker's look
/// at its word and its next wait is lost.
const NUDGE_AGAIN: Duration = Duration::from_millis(50);

/// Reads the settings again.
pub(crate) type Reread = Box<dyn Fn() -> Result<Config, String>>;

/// Runs a server from its start to its end. `reread` is for HUP.
///
/// # Errors
/// Whatever keeps it from starting, with what to do about it.
pub(crate) fn run(config: Config, reread: Reread) -> Result<Exit> {
    Supervisor::start(config, reread)?.supervise()
}

struct Supervisor {
    reread: Reread,
    /// What to start in an upgrade.
    program: std::io::Result<Program>,
    inheritance: Inheritance,
    admin: Admin,
    reopener: Reopener,
    origin: Origin,
    events: Events,
    telling: Telling,
    sweeper: Sweeper,
    errand: Option<Errand>,
    /// What has been asked for and waits until a child has looked; for the first it is looking.
    looked_for: Vec<Step>,
    facts: Facts,
    roster: Roster,
    watchdog: Watchdog,
    ledger: Ledger,
    members: Members,
    deferred_close: DeferredClose,
    shortages: Shortages,
    caching: Caching,
    started: Instant,
    /// The settings before a reload that is under way.
    replaced_config: Option<Config>,
    /// The server that this one takes over from.
    predecessor: Option<Predecessor>,
    /// The server that takes over from this one.
    successor: Option<Successor>,
    /// Since when READY has been said, or waits for room.
    announced: Option<Instant>,
    pidfile: Option<Pidfile>,
    stop: Option<(Instant, &'static str)>,
    nudge_until: Instant,
}

/// What comes of something that the loop does: it goes on, or it ends.
type Flow<T = ()> = Result<T, Leave>;

/// How the loop ends.
enum Leave {
    With(Exit),
    For(anyhow::Error),
}

impl From<anyhow::Error> for Leave {
    fn from(error: anyhow::Error) -> Self {
        Self::For(error)
    }
}

impl Supervisor {
    fn supervise(mut self) -> Result<Exit> {
        title::parent();
        let Err(leave) = self.go_round();
        drop(self.admin.take_file());
        // Here after an error only: it must not name a server that is none.
        if let Some(pidfile) = self.pidfile.take() {
            pidfile.remove();
        }
        match leave {
            Leave::With(exit) => Ok(exit),
            Leave::For(error) => Err(error),
        }
    }

    /// The loop. It waits in [`Events::wait`] and nowhere else. What else of all that it calls could wait, and why it
    /// does not, or for how long:
    ///
    /// | call | bounded by |
    /// |---|---|
    /// | standard output, error, `--log-file`: write | never waits ([`crate::operator::stream`]); lines are lost and counted, DONE has 3 s |
    /// | standard input: read | a description of its own, or poll first; then 100 ms of rest |
    /// | admin and metrics sockets: accept, read, write | non-blocking; 16 newcomers a round, 2 s a client |
    /// | reports: recvmsg | `MSG_DONTWAIT`, 64 a round |
    /// | signalfd, the successor's report: read | non-blocking |
    /// | service manager: send | non-blocking; tried again every 250 ms |
    /// | wait4, kill | `WNOHANG`; kill never waits |
    /// | fork of a worker or sweeper | the kernel copies page tables: about 1 ms for a parent of 10 MiB; no memory is an error |
    /// | names (`--bind`, `--metrics`, `--user`, `current_user`), statfs of the root | asked at the start only |
    /// | the root: what dead workers left; at the end the lock's file, the pidfile and the admin socket | read and removed by a child ([`Sweeper`], [`Errand`]) |
    /// | the encoded cache's memory given back: ftruncate | the kernel frees 133 MiB in 12 ms |
    /// | /proc of workers and of the network, for a status; of memory, each second | the kernel's memory; what is mounted over it is not read ([`sys::read_kernel_file`]); 30 µs a process |
    /// | HUP, USR1, USR2: `--config` read, logs opened, the program's file started; an upgrade that failed: pidfile and admin socket renamed | a child has looked just before ([`Errand`]) |
    /// | HUP: the root probed when `read-only` goes | the file system it is on |
    /// | READY: pidfile and admin socket renamed | the file systems these are on |
    /// | a log line to a regular file | the file system it is on |
    ///
    /// What "the file system" bounds is the operator's own and local as a rule. One that hangs, a dead NFS server's,
    /// keeps the parent as it keeps any process; so but for log lines nothing of the kind is done for a client, a worker's
    /// death or a question, only when the operator asks (for people: docs/LOGS.md).
    fn go_round(&mut self) -> Flow<Infallible> {
        let mut news = vec![News::Tick];
        loop {
            for item in std::mem::take(&mut news) {
                self.take_in(item)?;
            }
            let timeout = self.timeout();
            let watched = self.successor.as_ref().and_then(Successor::watched);
            let others = self.admin.poll_fds();
            let others = others.chain(self.telling.output.poll_fd());
            news = self
                .events
                .wait(timeout, watched, others)
                .context("cannot wait for signals")?;
            if Instant::now() < self.nudge_until {
                self.members.nudge(Member::was_told_to_leave);
            }
            news.push(News::Tick);
        }
    }

    fn take_in(&mut self, news: News) -> Flow {
        match news {
            News::Tick if self.deferred_close.is_due(Instant::now()) => {
                self.tell_roster(Event::Drain)
            }
            News::Tick => {
                self.serve_admin();
                self.mind_the_cache();
                self.sweeper.start(&self.inheritance);
                self.give_up_looking();
                self.check_successor()?;
                self.go_on_telling()?;
                self.look_for_hung_workers()?;
                self.tell_roster(Event::Tick)
            }
            News::ChildDied => self.reap(),
            News::Report(report) => self.take_in_report(report),
            News::Successor => self.hear_successor(),
            News::Signal(signal) => self.take_in_signal(signal),
            News::TerminalGone => self.lose_terminal(),
            News::InputEnded => self.stop_at_once(),
        }
    }

    fn take_in_signal(&mut self, signal: Signal) -> Flow {
        match signal {
            Signal::SIGTERM | Signal::SIGINT if self.is_asked_for_the_first_time() => {
                self.stop_gracefully()
            }
            Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => self.stop_at_once(),
            Signal::SIGHUP => self.look_ahead(Step::Reload),
            Signal::SIGUSR1 => self.look_ahead(Step::Reopen),
            Signal::SIGUSR2 => self.look_ahead(Step::Upgrade),
            Signal::SIGTTIN => self.resize_by(1),
            Signal::SIGTTOU => self.resize_by(-1),
            signal => {
                tracing::warn!(%signal, "this signal has no meaning yet; ignored");
                Ok(())
            }
        }
    }

    /// The terminal that this server was started from is gone, and with it the way to see and to end the server.
    fn lose_terminal(&mut self) -> Flow {
        if self.is_on_its_way_out() {
            return Ok(());
        }
        if self.events.is_to_outlive_terminal() {
            tracing::info!(
                "the terminal is gone; going on, because HUP was ignored at the start, as by nohup"
            );
            return Ok(());
        }
        tracing::warn!(
            "the terminal is gone: stopping; nohup or setsid start a server that outlives its terminal"
        );
        self.stop_gracefully()
    }

    /// Whether nobody has asked for a stop yet. A hand-over is none: it may take an hour, and a stop that is asked for then
    /// is to come sooner, and still to cut nothing.
    fn is_asked_for_the_first_time(&self) -> bool {
        self.stop
            .is_none_or(|(_, reason)| reason == upgrade::HANDED_OVER)
    }

    fn stop_gracefully(&mut self) -> Flow {
        tracing::info!("stopping gracefully; a second signal stops at once");
        if !self.has_successor() && !self.predecessor_accepts() {
            self.telling.notices.stopping();
        }
        self.give_up_successor("this server was told to stop")?;
        let since = self.stop.map_or_else(Instant::now, |(since, _)| since);
        let is_mine = self.has_listener_to_itself();
        self.stop = Some((since, "drained"));
        if !is_mine && !self.roster.is_stopping() {
            // The servers that have the socket too serve the queue; closing it would close theirs.
            self.tell_roster(Event::HandOver)?;
        }
        if is_mine
            && self
                .deferred_close
                .is_waiting_after(self.inheritance.listener.socket(), Instant::now())
        {
            return Ok(());
        }
        self.tell_roster(Event::Drain)
    }

    /// Whether the workers have been told to leave, or are about to be.
    fn is_on_its_way_out(&self) -> bool {
        self.roster.is_stopping() || self.deferred_close.closes_at.is_some()
    }

    fn stop_at_once(&mut self) -> Flow {
        self.give_up_successor("this server was told to stop")?;
        let since = self.stop.map_or_else(Instant::now, |(since, _)| since);
        self.stop = Some((since, "stopped"));
        self.tell_roster(Event::Stop)
    }

    /// Whether no other server, and no service manager, accepts from the listening socket.
    fn has_listener_to_itself(&self) -> bool {
        self.origin == Origin::Bound
            && self.inheritance.listener.is_open()
            && !self.has_successor()
            && !self.predecessor_accepts()
    }

    /// What a process says of itself, if it is a worker's.
    fn take_in_report(&mut self, Report { pid, kind }: Report) -> Flow {
        let Some(process) = self.members.id_of(pid) else {
            return Ok(());
        };
        match kind {
            Kind::Ready => self.tell_roster(Event::Ready(process)),
            Kind::WornOut => self.tell_roster(Event::WornOut(process)),
        }
    }

    fn look_for_hung_workers(&mut self) -> Flow {
        if self.roster.is_cutting() {
            return Ok(());
        }
        let scoreboard = self.inheritance.scoreboard;
        let starting: Vec<ProcessId> = self
            .roster
            .processes()
            .filter(|(_, state)| *state == ProcessState::Starting)
            .map(|(id, _)| id)
            .collect();
        let signs = self
            .members
            .iter()
            .filter(|member| !starting.contains(&member.id))
            .flat_map(|member| {
                member.assignment.slots(&scoreboard).map(|(worker, slot)| {
                    let sign = Sign {
                        rounds: slot.get(Field::SignsOfLife),
                        is_in_store: slot.get(Field::InStore) != 0,
                    };
                    (member.id, worker, sign)
                })
            });
        for id in self.watchdog.look(self.started.elapsed(), signs) {
            self.tell_roster(Event::Hung(id))?;
        }
        Ok(())
    }

    fn tell_roster(&mut self, event: Event) -> Flow {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.roster.handle(self.started.elapsed(), event) {
                match action {
                    Action::Spawn(id) => events.push(self.spawn(id)),
                    Action::Retire(id) => self.tell(id, Command::Retire),
                    Action::Hurry(id) => self.hurry(id),
                    Action::Cut(id) => self.tell(id, Command::Stop),
                    Action::Abort(id) => self.abort(id),
                    Action::Kill(id) => self.kill(id),
                    Action::TellDrain => self.drain_all(),
                    Action::TellStop => self.tell_all(Command::Stop),
                    Action::Announce => {
                        self.announce_ready()?;
                    }
                    Action::Rolled => self.reloaded(),
                    Action::RollFailed => self.reload_failed(),
                    Action::Finish => return Err(self.finish(None)?),
                    Action::GiveUp(why) => return Err(self.finish(Some(why))?),
                }
            }
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let watchdog = self.watchdog.next_look();
        let since_start = [
            self.roster.next_deadline(),
            watchdog.filter(|_| !self.roster.is_cutting()),
        ];
        let deadlines = [
            self.successor.as_ref().and_then(Successor::deadline),
            self.admin.next_deadline(),
            self.deferred_close.closes_at,
            self.errand.as_ref().map(|errand| errand.until),
            (now < self.nudge_until).then(|| now + NUDGE_AGAIN),
            self.next_telling().map(|pause| now + pause),
            self.next_look_at_the_cache(now),
        ];
        let since_start = since_start.into_iter().flatten();
        since_start
            .map(|at| self.started + at)
            .chain(deadlines.into_iter().flatten())
            .min()
            .map(|at| at.saturating_duration_since(now))
    }
}

/// The roster's rules as the settings have them.
fn policy(config: &Config) -> Policy {
    Policy {
        boot_timeout: config.boot_timeout,
        drain_timeout: config.drain_timeout,
        retire_timeout: config.retire_timeout,
        seed: u64::from(std::process::id()),
        ..Policy::default()
    }
}
