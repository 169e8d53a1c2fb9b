//! The parent: binds, forks, reaps, passes on the stop. It never reads a client's byte, and keeps one thread
//! for life.
//!
//! Its loop waits for a signal, a READY report or a deadline, tells the pure [`Roster`], and obeys.

mod announce;
mod events;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::config::{Config, PoolKind};
use crate::exit::Exit;
use crate::ledger::{Departure, Ledger};
use crate::lifeline::lifeline;
use crate::pool::roster::{Action, Event, Policy, Roster};
use crate::pool::{self, Inheritance, NUDGE};
use crate::scoreboard::{Command, Scoreboard};
use crate::session::Service;
use crate::store::{Store, StoreOptions};
use crate::{listener, memory, sys};

use events::{Events, News};

/// How often workers that have been told to leave are nudged again: a nudge that falls between a worker's look
/// at its word and its next wait is lost.
const NUDGE_AGAIN: Duration = Duration::from_millis(50);

/// Runs a server from its start to its end.
///
/// # Errors
/// Whatever keeps it from starting, with what to do about it.
pub fn run(config: &Config) -> Result<Exit> {
    Supervisor::start(config)?.supervise()
}

struct Supervisor<'c> {
    config: &'c Config,
    inheritance: Inheritance,
    events: Events,
    roster: Roster,
    ledger: Ledger,
    started: Instant,
    /// The process in each seat, and how many there have been.
    pids: Vec<Option<Pid>>,
    generations: Vec<u32>,
    /// How many requests each seat had answered when its process was forked.
    answered_before: Vec<u64>,
    /// Killed by the parent because they did not leave in time.
    overdue: Vec<bool>,
    stop: Option<(Instant, &'static str)>,
}

/// What the loop does after an action.
enum Flow {
    GoOn,
    Leave(Exit),
}

impl<'c> Supervisor<'c> {
    fn start(config: &'c Config) -> Result<Self> {
        let options = StoreOptions {
            durability: config.durability,
            upload_len_max: config.limits.upload_len_max,
            min_free_bytes: config.min_free_bytes,
            create: config.create_root,
        };
        let store = Store::open(&config.root, options)?;
        let swept = store
            .sweep()
            .context("cannot remove stale temporary files from the root")?;
        if swept > 0 {
            tracing::info!(
                files = swept,
                "removed what an earlier server left unfinished"
            );
        }
        let listener = listener::bind(config.bind, &config.congestion, config.receive_buffer)
            .with_context(|| bind_hint(config))?;
        let (hold, watch) = lifeline().context("cannot make a pipe")?;
        let (ready_reader, ready_writer) =
            nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let inheritance = Inheritance {
            listener,
            watch,
            hold: Some(hold),
            ready_writer,
            scoreboard: Scoreboard::new(config.workers).context("cannot map the scoreboard")?,
            service: Service {
                store,
                limits: config.limits,
            },
            clocks: config.clocks,
            congestion: config.congestion.clone(),
            kind: config.pool,
            workers: config.workers,
        };
        Self::assemble(config, inheritance, ready_reader)
    }

    fn assemble(
        config: &'c Config,
        inheritance: Inheritance,
        ready_reader: OwnedFd,
    ) -> Result<Self> {
        let seats = inheritance.processes() as usize;
        let policy = Policy {
            drain_timeout: config.drain_timeout,
            patience: config.workers.saturating_mul(2).max(5),
            seed: u64::from(std::process::id()),
            ..Policy::default()
        };
        Ok(Self {
            config,
            events: Events::new(ready_reader, config.exit_with_stdin)
                .context("cannot take signals")?,
            roster: Roster::new(inheritance.processes(), policy),
            ledger: Ledger::new(inheritance.scoreboard, config.pool == PoolKind::Process),
            inheritance,
            started: Instant::now(),
            pids: vec![None; seats],
            generations: vec![0; seats],
            answered_before: vec![0; seats],
            overdue: vec![false; seats],
            stop: None,
        })
    }

    fn supervise(mut self) -> Result<Exit> {
        let mut news = vec![News::Tick];
        loop {
            for item in std::mem::take(&mut news) {
                if let Flow::Leave(exit) = self.take_in(item)? {
                    return Ok(exit);
                }
            }
            let timeout = self.timeout();
            news = self
                .events
                .wait(timeout)
                .context("cannot wait for signals")?;
            if self.roster.is_stopping() {
                self.nudge();
            }
            news.push(News::Tick);
        }
    }

    fn take_in(&mut self, news: News) -> Result<Flow> {
        match news {
            News::Tick => self.tell_roster(Event::Tick),
            News::ChildDied => self.reap(),
            News::Ready { index, generation } => {
                // A report is believed only if it names a process that exists.
                if self.generations.get(index as usize) == Some(&generation) {
                    self.tell_roster(Event::Ready(index))
                } else {
                    Ok(Flow::GoOn)
                }
            }
            News::Signal(Signal::SIGTERM | Signal::SIGINT) if !self.roster.is_stopping() => {
                tracing::info!("stopping gracefully; a second signal stops at once");
                self.stop = Some((Instant::now(), "drained"));
                self.tell_roster(Event::Drain)
            }
            News::Signal(Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT) | News::InputEnded => {
                let since = self.stop.map_or_else(Instant::now, |(since, _)| since);
                self.stop = Some((since, "stopped"));
                self.tell_roster(Event::Stop)
            }
            News::Signal(signal) => {
                tracing::warn!(%signal, "this signal has no meaning yet; ignored");
                Ok(Flow::GoOn)
            }
        }
    }

    fn tell_roster(&mut self, event: Event) -> Result<Flow> {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.roster.handle(self.started.elapsed(), event) {
                match action {
                    Action::Spawn(index) => events.push(self.spawn(index)),
                    Action::Kill(index) => self.kill(index),
                    Action::TellDrain => self.tell(Command::Drain),
                    Action::TellStop => self.tell(Command::Stop),
                    Action::Announce => self.announce_ready()?,
                    Action::Finish => return self.finish(false).map(Flow::Leave),
                    Action::GiveUp => return self.finish(true).map(Flow::Leave),
                }
            }
        }
        Ok(Flow::GoOn)
    }

    fn spawn(&mut self, index: u32) -> Event {
        let seat = index as usize;
        let slots = self.inheritance.slots(index);
        self.generations[seat] += 1;
        self.answered_before[seat] = self.ledger.answered(slots.clone());
        match pool::spawn(&mut self.inheritance, index, self.generations[seat]) {
            Ok(pid) => {
                self.pids[seat] = Some(pid);
                self.ledger.spawned(slots, pid.as_raw().unsigned_abs());
                Event::Spawned(index)
            }
            Err(error) => {
                tracing::error!(worker = index, error = error.desc(), "cannot fork");
                Event::SpawnFailed(index)
            }
        }
    }

    /// Kills a process that did not become ready, or did not leave, in time.
    fn kill(&mut self, index: u32) {
        if let Some(pid) = self.pids[index as usize] {
            tracing::warn!(worker = index, %pid, "killing a worker that did not answer in time");
            self.overdue[index as usize] = self.roster.is_stopping();
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    fn tell(&mut self, command: Command) {
        if command == Command::Drain {
            if let Err(error) = listener::close_the_door(&self.inheritance.listener) {
                tracing::warn!(
                    error = error.desc(),
                    "cannot refuse new connections while draining"
                );
            }
            self.observe_memory();
        }
        for slot in self.inheritance.scoreboard.slots() {
            slot.tell(command);
        }
        self.nudge();
    }

    fn nudge(&self) {
        for pid in self.pids.iter().flatten() {
            let _ = kill(*pid, NUDGE);
        }
    }

    /// A worker publishes its own peak as it leaves; this is for those that will not come to that.
    fn observe_memory(&mut self) {
        for index in 0..self.inheritance.processes() {
            let peak = self.pids[index as usize]
                .and_then(|pid| memory::peak_rss_bytes(pid.as_raw().unsigned_abs()));
            self.ledger
                .observe_peak(self.inheritance.slots(index), peak);
        }
    }

    fn reap(&mut self) -> Result<Flow> {
        loop {
            let dead = match sys::reap() {
                Ok(Some(dead)) => dead,
                Ok(None) | Err(Errno::ECHILD) => return Ok(Flow::GoOn),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error).context("cannot reap"),
            };
            let Some(seat) = self.pids.iter().position(|pid| *pid == Some(dead.pid)) else {
                continue;
            };
            self.pids[seat] = None;
            let index = u32::try_from(seat).unwrap_or(u32::MAX);
            let cleanly = dead.status == 0;
            let departure = match (self.roster.is_stopping() && cleanly, self.overdue[seat]) {
                (true, _) => Departure::Asked,
                (false, true) => Departure::Overdue,
                (false, false) => Departure::Crash,
            };
            let slots = self.inheritance.slots(index);
            self.ledger
                .reaped(slots.clone(), departure, dead.cpu_user, dead.cpu_system);
            if departure == Departure::Crash {
                tracing::warn!(worker = index, pid = %dead.pid, how = %announce::describe(dead.status), "worker died");
            }
            if let Err(error) = self
                .inheritance
                .service
                .store
                .sweep_pid(dead.pid.as_raw().unsigned_abs())
            {
                tracing::warn!(%error, "cannot remove a dead worker's temporary files");
            }
            let was_useful = self.ledger.answered(slots) != self.answered_before[seat];
            let flow = self.tell_roster(Event::Exited {
                index,
                cleanly,
                was_useful,
            })?;
            if matches!(flow, Flow::Leave(_)) {
                return Ok(flow);
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let deadline = self
            .roster
            .next_deadline()
            .map(|at| at.saturating_sub(self.started.elapsed()));
        let again = self.roster.is_stopping().then_some(NUDGE_AGAIN);
        [deadline, again].into_iter().flatten().min()
    }

    fn announce_ready(&self) -> Result<()> {
        let ready = announce::ready(self.config, &self.inheritance, &self.pids)?;
        tracing::info!(
            address = ready.address,
            root = ready.settings.root,
            pool = ready.pool,
            workers = ready.workers,
            "ready"
        );
        for line in announce::how_to_reach(&self.inheritance.listener) {
            tracing::info!("{line}");
        }
        print_line(&proto::announce::Announcement::Ready(ready).to_line())
    }

    fn finish(&mut self, gave_up: bool) -> Result<Exit> {
        let (since, reason) = self.stop.unwrap_or((Instant::now(), "stopped"));
        let reason = if gave_up { "gave_up" } else { reason };
        let done = announce::done(&self.ledger, reason, since.elapsed());
        let cut = done.sum.connections.aborted_by_stop;
        if gave_up {
            tracing::error!("gave up: the workers kept dying before they could serve a connection");
        } else if cut > 0 {
            tracing::warn!(connections = cut, "stopped; connections were cut");
        } else {
            tracing::info!("stopped; no connection was cut");
        }
        let line = print_line(&proto::announce::Announcement::Done(done).to_line());
        // Whoever reads standard output may be gone, as after --exit-with-stdin; the stop is no failure for that.
        if let Err(error) = line {
            tracing::debug!(%error, "nobody reads standard output");
        }
        Ok(match (gave_up, cut) {
            (true, _) => Exit::GaveUp,
            (false, 0) => Exit::Done,
            (false, _) => Exit::Cut,
        })
    }
}

fn bind_hint(config: &Config) -> String {
    let port = config.bind.port();
    format!(
        "cannot listen on {} (is another server using port {port}? choose another address with --bind, port 0 for any)",
        config.bind
    )
}

fn print_line(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
