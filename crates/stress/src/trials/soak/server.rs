//! Our server under a soak: it outlives its own parent process, so its lines come from several.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::announce::{Announcement, Done, Ready};

use super::Soak;
use super::log::Log;
use crate::corpus::workdir::CellDir;
use crate::host::child::{self, Lines, NoLine};
use crate::host::clock::Patience;
use crate::rig::own;

/// How long any change of the server may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A server that may be upgraded.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// Its end tells every generation of the server to leave.
    stdin: Option<ChildStdin>,
    lines: Lines,
    config: PathBuf,
    log_path: PathBuf,
    log: Log,
    ready: Ready,
    ledgers: Vec<Done>,
    reloads: u32,
    is_gone: bool,
}

/// What the servers have said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that matters to the soak.
    Nothing,
    /// A new server is ready.
    Successor,
    /// The last of them has ended.
    Gone,
}

impl Server {
    pub(super) fn start(plan: &Soak, cell: &CellDir, interrupt: &AtomicBool) -> Result<Self> {
        let (config, log_path) = (cell.config(), cell.server_log());
        write_config(&config, 0)?;
        let mut child = own::command()
            .args(["--bind", "127.0.0.1:0", "--exit-with-stdin"])
            .args(["--log-level", "info", "--min-free", "0"])
            .args(["--workers", &plan.servers.to_string()])
            .args(["--pool", plan.server_pool.as_str()])
            .args(["--durability", &plan.durability])
            .arg("--root")
            .arg(cell.root())
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log_path)?)
            .spawn()
            .context("cannot start our server")?;
        let stdin = child.stdin.take();
        let mut lines = Lines::new(child.stdout.take().expect("it was asked for"));
        let patience = Patience::of(LIMIT).or_until(interrupt);
        let first = lines.next(&patience).ok();
        let Some(Announcement::Ready(ready)) =
            first.and_then(|line| Announcement::from_line(&line).ok())
        else {
            let _ = child::end(&mut child);
            bail!(
                "our server did not become ready: {}",
                child::tail(&log_path)
            );
        };
        Ok(Self {
            child,
            stdin,
            lines,
            config,
            log: Log::open(&log_path)?,
            log_path,
            ready,
            ledgers: Vec::new(),
            reloads: 0,
            is_gone: false,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.ready
            .address
            .parse()
            .expect("our server says an address")
    }

    /// The worker processes that there are now. A server that is taking over is a child of the parent too, told
    /// apart by the environment it was started with, and so is what removes a dead worker's files, by its name.
    pub(super) fn workers(&self) -> Vec<i32> {
        let parent = self.ready.pid;
        let environment = |pid: &str| fs::read(format!("/proc/{pid}/environ")).ok();
        let ours = environment(&parent.to_string());
        let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let is_worker =
            |pid: &str| name(pid).starts_with("prefork:") && name(pid) != "prefork:sweep\n";
        fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))
            .unwrap_or_default()
            .split_whitespace()
            .filter(|pid| ours.is_some() && environment(pid) == ours && is_worker(pid))
            .filter_map(|pid| pid.parse().ok())
            .collect()
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
    pub(super) fn listen(&mut self, pause: Duration) -> News {
        let mut news = News::Nothing;
        let patience = Patience::of(pause);
        loop {
            let line = match self.lines.next(&patience) {
                Ok(line) => line,
                Err(NoLine::Exhausted(_)) => return news,
                Err(NoLine::Ended) => {
                    self.is_gone = true;
                    return News::Gone;
                }
            };
            match Announcement::from_line(&line) {
                Ok(Announcement::Ready(ready)) => {
                    news = News::Successor;
                    self.ready = ready;
                }
                Ok(Announcement::Done(done)) => self.ledgers.push(done),
                Err(_) => {}
            }
        }
    }

    /// How a server ended that nobody told to, and the last that its log says.
    pub(super) fn obituary(&mut self) -> String {
        let how = match self.ready.pid == self.child.id() {
            true => child::reap(&mut self.child, LIMIT)
                .map_or_else(|error| error.to_string(), |status| status.to_string()),
            // The successor of the one that we have started is nobody's child by now.
            false => "after an upgrade".into(),
        };
        let log = child::tail(&self.log_path);
        let last = log.lines().last().unwrap_or("nothing");
        format!("it ended by itself ({how}); the last in its log: {last}")
    }

    /// Stops the newest server gracefully and says what all have left: fewer ledgers than servers where one was
    /// lost.
    pub(super) fn stop(mut self) -> Vec<Done> {
        self.signal(Signal::SIGTERM);
        // Whoever has stopped the soak wants to know what came of it all the same; a second signal ends us anyway.
        let patience = Patience::of(LIMIT);
        // Until every generation has closed its end.
        while let Ok(line) = self.lines.next(&patience) {
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
        let _ = kill(Pid::from_raw(self.ready.pid.cast_signed()), signal);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = child::end(&mut self.child);
    }
}

/// A setting that differs from one time to the next, and changes nothing that the soak checks.
fn write_config(path: &std::path::Path, number: u32) -> Result<()> {
    let text = format!("head-timeout = '{}s'\n", 10 + number);
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
