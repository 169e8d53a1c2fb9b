//! Running the real program, and watching processes that are not our own. Every wait has a deadline.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stress_data::journal::Contents;
use stress_data::measurement::Measurement;
use tempfile::TempDir;

/// Long enough for a machine that is busy with other tests, and far from what any step takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A run of the harness in a folder of its own; killed if a test ends before it.
pub(crate) struct Harness {
    child: Child,
    folder: TempDir,
}

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) errors: String,
    folder: TempDir,
}

impl Harness {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(TempDir::new().unwrap(), args)
    }

    pub(crate) fn start_in(folder: TempDir, args: &[&str]) -> Self {
        let mut quiet = Vec::new();
        for (flag, usual) in [("--progress", "none"), ("--timeline", "none")] {
            if !args.iter().any(|arg| arg.starts_with(flag)) {
                quiet.extend([flag, usual]);
            }
        }
        // A folder that may be in memory: insisted on by --work-dir.
        let child = Command::new(env!("CARGO_BIN_EXE_stress"))
            .args(["--label", "test"])
            .args(quiet)
            .arg("--out")
            .arg(folder.path())
            .arg("--work-dir")
            .arg(folder.path())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    /// The same for one that may have ended: until it has been waited for, its process id is nobody else's.
    pub(crate) fn signal_if_alive(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid().cast_signed()), signal);
    }

    /// Whether it has ended, as far as the kernel tells; [`Harness::wait`] says how.
    pub(crate) fn has_ended(&self) -> bool {
        Process::read(self.pid()).is_none()
    }

    /// Waits for the end of the run.
    pub(crate) fn wait(mut self) -> Ended {
        let status = until("the harness ends", || self.child.try_wait().unwrap());
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        let folder = std::mem::replace(&mut self.folder, TempDir::new().unwrap());
        Ended {
            status,
            errors,
            folder,
        }
    }

    /// The processes it has started, and theirs, as far as they are alive.
    pub(crate) fn descendants(&self) -> Vec<Process> {
        descendants(self.pid())
    }

    /// Waits for a child that runs as `role` (`__server`, `__clients` or `__guard`).
    pub(crate) fn child(&self, role: &str) -> Process {
        until(&format!("there is a {role}"), || self.find(role))
    }

    /// A child that runs as `role`, if there is one.
    pub(crate) fn find(&self, role: &str) -> Option<Process> {
        let mut processes = self.descendants().into_iter();
        processes.find(|process| process.parent == self.pid() && process.is(role))
    }

    /// Waits for a process with clients.
    pub(crate) fn client(&self) -> Process {
        let parent = self.child("__clients");
        until("there is a client process", || {
            descendants(parent.pid).into_iter().next()
        })
    }

    /// Its work directories.
    pub(crate) fn work_dirs(&self) -> Vec<PathBuf> {
        work_dirs(self.folder.path())
    }

    /// Waits for a worker of our server that has moved a few megabytes, and no more than a fraction of what
    /// it has to.
    pub(crate) fn busy_worker(&self) -> Process {
        let server = self.child("__server");
        until("a worker moves data", || {
            let mut workers = descendants(server.pid).into_iter();
            workers.find(|worker| worker.moved_bytes() > 4 << 20)
        })
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The folder of the run.
    pub(crate) fn run(&self) -> PathBuf {
        newest_run(self.folder.path())
    }

    /// All that the journal says.
    pub(crate) fn contents(&self) -> Contents {
        Contents::read(&self.run()).unwrap()
    }

    /// What the journal says, in the table's order.
    pub(crate) fn measurements(&self) -> Vec<Measurement> {
        self.contents()
            .samples
            .into_values()
            .map(|sample| sample.measurement)
            .collect()
    }

    /// The only measurement.
    pub(crate) fn measurement(&self) -> Measurement {
        let mut measurements = self.measurements();
        assert_eq!(measurements.len(), 1, "{}", self.errors);
        measurements.remove(0)
    }

    /// Asserts that the run left nothing but its results, and that whatever went wrong in it, they are verified.
    pub(crate) fn assert_clean(&self) {
        assert!(!self.errors.contains("NOT consistent"), "{}", self.errors);
        assert_eq!(work_dirs(self.folder.path()), Vec::<PathBuf>::new());
    }

    pub(crate) fn into_folder(self) -> TempDir {
        self.folder
    }
}

/// Runs the harness to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    Harness::start(args).wait()
}

/// The run in `out` that was started last: `latest` points at none in which nothing was measured.
fn newest_run(out: &Path) -> PathBuf {
    let runs = fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let runs = runs.filter(|run| run.file_name() != Some("latest".as_ref()));
    // Of one second the later ones have a number behind their names.
    runs.filter(|run| run.join("journal.ndjson").exists())
        .max_by_key(|run| (fs::metadata(run).unwrap().modified().unwrap(), run.clone()))
        .unwrap()
}

/// Runs the harness, which must end before the first row and leave nothing, and returns what it said.
pub(crate) fn refused(args: &[&str]) -> String {
    let ended = run(args);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.errors);
    let left = fs::read_dir(ended.folder.path()).unwrap();
    assert_eq!(left.count(), 0, "{}", ended.errors);
    ended.errors
}

/// The interpreter itself: what `python3` names may be a script that takes longer to start than it. Says so loudly
/// where there is none. With `-S` it leaves alone what is installed beside it, which takes longer still.
pub(crate) fn python() -> Option<&'static str> {
    static PYTHON: OnceLock<Option<String>> = OnceLock::new();
    let find = || {
        let asked = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .ok()?;
        let path = String::from_utf8(asked.stdout).ok()?;
        asked.status.success().then(|| path.trim().to_owned())
    };
    let found = PYTHON.get_or_init(find).as_deref();
    if found.is_none() {
        skip("python3: servers in Python were NOT measured");
    }
    found
}

/// Says past the test harness's capture, so that a green run cannot hide it, that a test proves nothing here. In CI that is
/// a failure.
pub(crate) fn skip(what_is_missing: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "in CI nothing is skipped, and this machine lacks {what_is_missing}"
    );
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED, this machine lacks {what_is_missing}"
    );
}

/// The work directories in `folder`.
pub(crate) fn work_dirs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_work = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("stress-work-")
    };
    entries.filter(is_work).collect()
}

/// A process as /proc shows it.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) arguments: Vec<String>,
    /// In clock ticks since boot: with the number it names a process for good.
    started: String,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in parentheses that may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let is_zombie = matches!(fields[0], "Z" | "X");
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        (!is_zombie).then(|| Self {
            pid,
            parent: fields[1].parse().unwrap(),
            arguments: command.split('\0').map(str::to_owned).collect(),
            started: fields[19].to_owned(),
        })
    }

    fn is(&self, role: &str) -> bool {
        self.arguments
            .get(1)
            .is_some_and(|argument| argument == role)
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::read(self.pid).is_some_and(|found| found.started == self.started)
    }

    pub(crate) fn kill(&self) {
        kill(Pid::from_raw(self.pid.cast_signed()), Signal::SIGKILL).unwrap();
    }

    /// Bytes read from and written to files so far: read and write, not recv and send.
    fn moved_bytes(&self) -> u64 {
        let io = fs::read_to_string(format!("/proc/{}/io", self.pid)).unwrap_or_default();
        let number = |key: &str| {
            let line = io.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().parse::<u64>().ok()
        };
        number("rchar:").unwrap_or(0) + number("wchar:").unwrap_or(0)
    }
}

/// All living processes that `pid` has started, or that those have.
pub(crate) fn descendants(pid: u32) -> Vec<Process> {
    let numbers = fs::read_dir("/proc").unwrap();
    let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut by_parent: BTreeMap<u32, Vec<Process>> = BTreeMap::new();
    for process in numbers.filter_map(Process::read) {
        by_parent.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        let children = by_parent.remove(&parent).unwrap_or_default();
        parents.extend(children.iter().map(|child| child.pid));
        found.extend(children);
    }
    found
}

/// Waits until none of `processes` is alive.
pub(crate) fn assert_gone(processes: &[Process]) {
    until("all processes are gone", || {
        (!processes.iter().any(Process::is_alive)).then_some(())
    });
}

/// Waits for a fact about processes that tell nobody of it.
pub(crate) fn until<T>(fact: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {fact}");
        thread::sleep(Duration::from_millis(1));
    }
}
