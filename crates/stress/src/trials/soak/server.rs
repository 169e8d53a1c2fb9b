//! Our server under a soak: it outlives its own parent process, so its lines come from several.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::announce::{Announcement, Done};

use super::Soak;
use super::log::Log;
use crate::corpus::workdir::RowDir;
use crate::host::child::{self, NoLine};
use crate::host::clock::Deadline;
use crate::host::environment::children;
use crate::rig::Rig;
use crate::rig::own::Own;

/// How long any change of the server may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A server that may be upgraded.
#[derive(Debug)]
pub(super) struct Server {
    /// The first of them, whose pipes all that come after it have too; what it was is what the newest is.
    own: Own,
    config: PathBuf,
    log: Log,
    ledgers: Vec<Done>,
    reloads: u32,
    is_gone: bool,
}

/// What the servers have said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing that matters to the soak.
    Nothing,
    /// A new server is ready.
    NewServer,
    /// The last of them has ended.
    Gone,
}

impl Server {
    pub(super) fn start(plan: &Soak, cell: &RowDir, interrupt: &AtomicBool) -> Result<Self> {
        let (config, log_path) = (cell.config(), cell.server_log());
        write_config(&config, 0)?;
        let workers = plan.servers.to_string();
        let arguments = [
            ["--bind", "127.0.0.1:0"],
            ["--log-level", "info"],
            ["--min-free", "0"],
            ["--workers", &workers],
            ["--pool", plan.server_pool.as_str()],
            ["--durability", &plan.durability],
            [
                "--config",
                config.to_str().context("the path is not UTF-8")?,
            ],
        ];
        let own = Own::launch(arguments.as_flattened(), &cell.root(), &log_path, interrupt)
            .context("our server cannot be started")?;
        Ok(Self {
            own,
            config,
            log: Log::open(&log_path)?,
            ledgers: Vec::new(),
            reloads: 0,
            is_gone: false,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.own.address()
    }

    /// The worker processes that there are now. A server that is taking over is a child of the parent too, told
    /// apart by the environment it was started with, and so is what removes a dead worker's files, by its name.
    pub(super) fn workers(&self) -> Vec<u32> {
        let parent = self.own.ready.pid;
        let environment = |pid: u32| fs::read(format!("/proc/{pid}/environ")).ok();
        let ours = environment(parent);
        let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let is_worker =
            |pid: u32| name(pid).starts_with("prefork:") && name(pid) != "prefork:sweep\n";
        let mut workers = children(parent);
        workers.retain(|&pid| ours.is_some() && environment(pid) == ours && is_worker(pid));
        workers
    }

    /// Changes a setting and has it read.
    pub(super) fn reload(&mut self) -> Result<()> {
        self.reloads += 1;
        write_config(&self.config, self.reloads)?;
        self.log.forget();
        self.signal(Signal::SIGHUP);
        Ok(())
    }

    pub(super) fn upgrade(&mut self) {
        self.log.forget();
        self.signal(Signal::SIGUSR2);
    }

    /// What its log says of the last change, and before.
    pub(super) fn log(&mut self) -> &Log {
        self.log.read_on();
        &self.log
    }

    /// Takes in what the servers have said, waiting no longer than `pause`.
    pub(super) fn listen(&mut self, pause: Duration) -> Event {
        let mut news = Event::Nothing;
        let deadline = Deadline::after(pause);
        loop {
            let line = match self.own.lines.next(&deadline) {
                Ok(line) => line,
                Err(NoLine::WaitEnded(_)) => return news,
                Err(NoLine::Ended) => {
                    self.is_gone = true;
                    return Event::Gone;
                }
            };
            match Announcement::from_line(&line) {
                Ok(Announcement::Ready(ready)) => {
                    news = Event::NewServer;
                    self.own.ready = ready;
                }
                Ok(Announcement::Done(done)) => self.ledgers.push(done),
                Err(_) => {}
            }
        }
    }

    /// How a server ended that nobody told to, and the last that its log says.
    pub(super) fn why_it_ended(&mut self) -> String {
        let how = match self.own.ready.pid == self.own.child.id() {
            true => child::reap(&mut self.own.child, LIMIT)
                .map_or_else(|error| error.to_string(), |status| status.to_string()),
            // The successor of the one that we have started is nobody's child by now.
            false => "after an upgrade".into(),
        };
        let log = child::tail(&self.own.log);
        let last = log.lines().last().unwrap_or("nothing");
        format!("it ended by itself ({how}); the last in its log: {last}")
    }

    /// Stops the newest server gracefully and says what all have left: fewer ledgers than servers where one was
    /// lost.
    pub(super) fn stop(mut self) -> Vec<Done> {
        self.signal(Signal::SIGTERM);
        // Whoever has stopped the soak wants to know what came of it all the same; a second signal ends us anyway.
        let deadline = Deadline::after(LIMIT);
        // Until every generation has closed its end.
        while let Ok(line) = self.own.lines.next(&deadline) {
            if let Ok(Announcement::Done(done)) = Announcement::from_line(&line) {
                self.ledgers.push(done);
            }
        }
        std::mem::take(&mut self.ledgers)
    }

    fn signal(&self, signal: Signal) {
        // The number of one that has ended may be another process's.
        if self.is_gone {
            return;
        }
        let _ = kill(Pid::from_raw(self.own.ready.pid.cast_signed()), signal);
    }
}

/// A setting that differs from one time to the next, and changes nothing that the soak checks.
fn write_config(path: &std::path::Path, number: u32) -> Result<()> {
    let text = format!("head-timeout = '{}s'\n", 10 + number);
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
