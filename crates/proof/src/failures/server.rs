//! A server with a folder of its own, and strace on it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use proto::announce::{Announcement, Done, Ready};
use tempfile::TempDir;

use super::client::Verdict;
use super::trace::Trace;

/// The first argument of this executable as the server.
pub(crate) const SERVER: &str = "__server";

/// What takes longer hangs: more than an upgrade may, which has the boot timeout and ten seconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// How often what has no end to wait for is looked at.
const NAP: Duration = Duration::from_millis(2);

/// Short clocks: what is waited for in vain is not waited for long.
const CLOCKS: &str = "\
boot-timeout = '3s'
drain-timeout = '3s'
head-timeout = '5s'
rate-window = '5s'
retire-timeout = '3s'
worker-timeout = '5s'
";

/// Where everything of one server is.
#[derive(Debug)]
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    pub(super) fn new() -> Result<Self> {
        let folder = TempDir::new().context("cannot make a folder for a server")?;
        let place = Self { folder };
        fs::create_dir(place.root())?;
        place.configure(0)?;
        Ok(place)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.at("root")
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap_or_default()
    }

    /// What strace has written.
    pub(super) fn trace(&self) -> Trace {
        Trace::parse(&fs::read_to_string(self.at("trace")).unwrap_or_default())
    }

    /// A setting that differs from one time to the next.
    pub(super) fn configure(&self, number: u32) -> Result<()> {
        let text = format!("{CLOCKS}idle-timeout = '{}s'\n", 10 + number);
        fs::write(self.at("config"), text).context("cannot write the settings")
    }

    /// What a server that is gone must not have left.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .map(|it| it.file_name().to_string_lossy().into_owned())
                .collect()
        };
        let ours = ["root", "config", "log", "access", "trace"];
        let mut found = names(self.folder.path());
        found.retain(|name| !ours.contains(&name.as_str()));
        let hidden = names(&self.root()).into_iter();
        found.extend(hidden.filter(|name| name.starts_with('.')));
        found
    }
}

/// What strace is to do, in its words.
#[derive(Debug, Clone)]
pub(super) struct Tracing(pub(super) Vec<String>);

impl Tracing {
    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-y", "-o"])
            .arg(place.at("trace"))
            .args(&self.0);
        command
    }
}

#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// Its end tells every generation to leave, however this campaign ends.
    _stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Of whoever was ready last.
    pub(super) ready: Option<Ready>,
    pub(super) dones: Vec<Done>,
    tracer: Option<Tracer>,
}

#[derive(Debug)]
enum Tracer {
    Ours(Child),
    /// Started by strace, as its grandchild.
    Detached,
}

impl Server {
    /// Starts one, traced from its beginning or not at all.
    pub(super) fn start(
        place: &Place,
        pool: &str,
        durability: &str,
        tracing: Option<&Tracing>,
    ) -> Result<Self> {
        let ourselves = std::env::current_exe().context("cannot find this program's file")?;
        let mut command = match tracing {
            None => Command::new(ourselves),
            Some(tracing) => {
                let mut command = tracing.command(place);
                command.args(["-D", "-I2", "--"]).arg(ourselves);
                command
            }
        };
        command
            .args([SERVER, "--bind", "127.0.0.1:0", "--exit-with-stdin"])
            .args(["--workers", "2", "--min-free", "0", "--allow-root"])
            .args(["--pool", pool, "--durability", durability])
            .args(["--metrics", "127.0.0.1:0"]);
        for (flag, name) in [
            ("--config", "config"),
            ("--root", "root"),
            ("--pidfile", "pid"),
            ("--admin", "admin"),
            ("--access-log", "access"),
        ] {
            command.arg(flag).arg(place.at(name));
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(place.at("log"))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let stdin = child.stdin.take();
        let output = child.stdout.take().context("no standard output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let tracer = tracing.map(|_| Tracer::Detached);
        Ok(Self {
            child,
            _stdin: stdin,
            lines,
            ready: None,
            dones: Vec::new(),
            tracer,
        })
    }

    /// Waits until somebody is ready; false if all have ended instead.
    pub(super) fn wait_until_ready(&mut self) -> Verdict<bool> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.hear(deadline, "neither READY nor an end")? {
                Some(true) => return Ok(true),
                Some(false) => {}
                None => return Ok(false),
            }
        }
    }

    /// Takes in the next line, true if it was READY; none if all have ended.
    fn hear(&mut self, deadline: Instant, late: &str) -> Verdict<Option<bool>> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => self.take_in(&line).map(Some),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(late.into()),
        }
    }

    /// Takes in what was said, true if it was READY.
    fn take_in(&mut self, line: &str) -> Verdict<bool> {
        match Announcement::from_line(line) {
            Ok(Announcement::Ready(ready)) => self.ready = Some(ready),
            Ok(Announcement::Done(done)) => self.dones.push(done),
            Err(error) => return Err(format!("a line that is none ({error}): {line}")),
        }
        Ok(line.contains("\"event\":\"ready\""))
    }

    /// Looks again and again until `is_so`, or until the time is over; false then, or if all have ended.
    pub(super) fn wait_until(
        &mut self,
        limit: Duration,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> Verdict<bool> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            match self.lines.recv_timeout(NAP) {
                Ok(line) => {
                    self.take_in(&line)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(is_so(self)),
            }
            if is_so(self) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits for what has to come.
    pub(super) fn expect(
        &mut self,
        is_so: impl FnMut(&Self) -> bool,
        else_why: impl FnOnce(&Self) -> String,
    ) -> Verdict<()> {
        match self.wait_until(DEADLINE, is_so)? {
            true => Ok(()),
            false => Err(else_why(self)),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.ready.as_ref().map_or(0, |ready| ready.pid)
    }

    pub(super) fn address(&self) -> String {
        self.ready
            .as_ref()
            .map_or_else(String::new, |it| it.address.clone())
    }

    /// How many processes it has.
    pub(super) fn children(&self) -> usize {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        children.unwrap_or_default().split_whitespace().count()
    }

    pub(super) fn signal(&self, signal: Signal) {
        // The process may be gone: the campaign finds out by what else it sees.
        let _ = kill(Pid::from_raw(self.pid().cast_signed()), signal);
    }

    /// Attaches strace to processes and to what they will start.
    pub(super) fn attach(
        &mut self,
        place: &Place,
        tracing: &Tracing,
        parent_too: bool,
    ) -> Result<()> {
        let ready = self.ready.as_ref().context("not ready")?;
        let mut pids: Vec<u32> = ready.worker_pids.clone();
        pids.sort_unstable();
        pids.dedup();
        pids.extend(parent_too.then_some(ready.pid));
        let mut command = tracing.command(place);
        for pid in &pids {
            command.args(["-p", &pid.to_string()]);
        }
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let said = BufReader::new(child.stderr.take().context("no standard error")?);
        let mut left = pids.len();
        let (sender, attached) = channel();
        // Reading goes on: strace says whom else it has attached to, and must not wait for a reader.
        thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        while left > 0 {
            let line = attached
                .recv_timeout(DEADLINE)
                .context("strace does not attach")?;
            if line.contains("attached") {
                left -= 1;
            } else if line.contains("ptrace") {
                let _ = child.kill();
                let _ = child.wait();
                bail!("{line}: this machine does not let strace attach");
            }
        }
        self.tracer = Some(Tracer::Ours(child));
        Ok(())
    }

    /// Takes strace away: from here on nothing fails.
    pub(super) fn detach(&mut self) -> Verdict<()> {
        match self.tracer.take() {
            Some(Tracer::Ours(mut child)) => {
                let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
                let _ = child.wait();
            }
            Some(Tracer::Detached) => {
                let path = format!("/proc/{}/status", self.child.id());
                let tracer = || {
                    let status = fs::read_to_string(&path).unwrap_or_default();
                    let (_, rest) = status.split_once("TracerPid:")?;
                    rest.split_whitespace()
                        .next()?
                        .parse()
                        .ok()
                        .filter(|pid| *pid != 0)
                };
                if let Some(pid) = tracer() {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
                }
                self.expect(|_| tracer().is_none(), |_| "strace does not let go".into())?;
            }
            None => {}
        }
        Ok(())
    }

    /// Waits until every process of the server is gone.
    pub(super) fn wait_until_gone(&mut self) -> Verdict<ExitStatus> {
        let deadline = Instant::now() + DEADLINE;
        while self.hear(deadline, "it does not end")?.is_some() {}
        self.child.wait().map_err(|error| error.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(Tracer::Ours(child)) = &mut self.tracer {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        );
        let _ = self.child.wait();
    }
}

/// An end in words.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}
