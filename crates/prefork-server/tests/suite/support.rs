//! Starting the real server, talking bytes to it, and waiting for facts, each with a deadline.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use proto::announce::{Announcement, Counts, Done, Ready};
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for a machine that is busy with other tests, and far from what any step takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Makes one test for each pool out of a function that takes the pool's name.
macro_rules! each_pool {
    ($($(#[$meta:meta])* fn $name:ident($pool:ident) $body:block)+) => {
        $(fn $name($pool: &str) $body)+

        mod process {
            $(#[test] fn $name() { super::$name("process"); })+
        }

        mod thread {
            $(#[test] fn $name() { super::$name("thread"); })+
        }

        mod event {
            $(#[test] fn $name() { super::$name("event"); })+
        }
    };
}
pub(crate) use each_pool;

/// The same for the pools of blocking workers.
macro_rules! each_blocking_pool {
    ($($(#[$meta:meta])* fn $name:ident($pool:ident) $body:block)+) => {
        $(fn $name($pool: &str) $body)+

        mod process {
            $(#[test] fn $name() { super::$name("process"); })+
        }

        mod thread {
            $(#[test] fn $name() { super::$name("thread"); })+
        }
    };
}
pub(crate) use each_blocking_pool;

/// A running server with a root of its own; killed if a test ends without stopping it.
pub(crate) struct Server {
    child: Child,
    lines: Mutex<Receiver<String>>,
    log: Mutex<Receiver<String>>,
    pub(crate) ready: Ready,
    root: Option<TempDir>,
}

impl Server {
    /// A server with a fresh root.
    pub(crate) fn start(pool: &str, args: &[&str]) -> Self {
        let root = TempDir::new().unwrap();
        let mut server = Self::start_on(root.path(), pool, args);
        server.root = Some(root);
        server
    }

    /// A server on a root of the caller's.
    pub(crate) fn start_on(root: &Path, pool: &str, args: &[&str]) -> Self {
        Self::spawn(&mut command(root, pool, args))
    }

    /// The server that a command starts.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = shown_lines_of(child.stderr.take().unwrap());
        let lines = lines_of(child.stdout.take().unwrap());
        let line = lines
            .recv_timeout(DEADLINE)
            .expect("no READY line: is there an error above?");
        let Announcement::Ready(ready) = Announcement::from_line(&line).unwrap() else {
            panic!("the first line is READY, not {line}");
        };
        Self {
            child,
            lines: Mutex::new(lines),
            log: Mutex::new(log),
            ready,
            root: None,
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.ready.settings.root.clone().into()
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.root().join(name), content).unwrap();
    }

    /// What is stored under a name, if anything.
    pub(crate) fn stored(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.root().join(name)).ok()
    }

    /// Every name in the root, hidden ones too but for the lock's, in order.
    pub(crate) fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".prefork-lock")
            .collect();
        names.sort();
        names
    }

    /// Waits until the names are such: what a dead worker left is removed by a child of the server's, soon.
    pub(crate) fn wait_for_entries(&self, are_right: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !are_right(&self.entries()) {
            assert!(Instant::now() < deadline, "still {:?}", self.entries());
            thread::yield_now();
        }
    }

    pub(crate) fn connect(&self) -> Peer {
        Peer::new(TcpStream::connect(&self.ready.address).unwrap())
    }

    /// Signals the parent: after an upgrade that of the new server.
    pub(crate) fn signal(&self, signal: Signal) {
        // Not the child, which may be a tracer of the server.
        kill(Pid::from_raw(self.ready.pid.cast_signed()), signal).unwrap();
    }

    pub(crate) fn kill_worker(&self, pid: u32, signal: Signal) {
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    /// The worker processes that the parent has not reaped, in order of their birth.
    pub(crate) fn children(&self) -> Vec<u32> {
        workers_of(self.ready.pid)
    }

    /// Waits until the parent's children are such.
    pub(crate) fn wait_for_children(&self, are_right: impl Fn(&[u32]) -> bool) -> Vec<u32> {
        wait_for_workers_of(self.ready.pid, are_right)
    }

    /// Waits for a worker process that was not there when the server became ready.
    pub(crate) fn wait_for_another_worker(&self) -> u32 {
        let is_new = |pid: &&u32| !self.ready.worker_pids.contains(pid);
        let children = self.wait_for_children(|children| children.iter().any(|pid| is_new(&pid)));
        *children.iter().find(is_new).unwrap()
    }

    /// The lines of the log that nobody has waited for, up to its end.
    pub(crate) fn rest_of_log(self) -> Vec<String> {
        self.log.lock().unwrap().iter().collect()
    }

    /// Waits for a line of the log with this text.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let log = self.log.lock().unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = log.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no log line with '{text}'"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for the READY line of a server that takes over: from here on it is the one.
    pub(crate) fn wait_for_successor(&mut self) {
        let line = self.next_line(DEADLINE).expect("a READY line");
        let Announcement::Ready(ready) = Announcement::from_line(&line).unwrap() else {
            panic!("READY of the new server, not {line}");
        };
        assert_ne!(ready.pid, self.ready.pid);
        self.ready = ready;
    }

    /// Waits until the server before this one is gone: its successor has another parent then.
    pub(crate) fn wait_until_alone(&self, predecessor: u32) {
        let deadline = Instant::now() + DEADLINE;
        let parent = format!("PPid:\t{predecessor}\n");
        while fs::read_to_string(format!("/proc/{}/status", self.ready.pid))
            .unwrap()
            .contains(&parent)
        {
            assert!(Instant::now() < deadline, "the old server is still there");
            thread::yield_now();
        }
    }

    /// Waits for a DONE line, and for no exit: that of a server which has handed over.
    pub(crate) fn next_done(&self) -> Done {
        let line = self.next_line(DEADLINE).expect("a DONE line");
        let Announcement::Done(done) = Announcement::from_line(&line).unwrap() else {
            panic!("DONE, not {line}");
        };
        check_that_it_balances(&done);
        done
    }

    /// Waits for the end, whatever it says.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.exit_status().code()
    }

    /// Closes the server's standard input.
    pub(crate) fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Stops gracefully; the ledger must balance.
    pub(crate) fn stop(self) -> (Done, i32) {
        self.signal(Signal::SIGTERM);
        self.done()
    }

    /// Waits for the end that something else has brought about; the ledger must balance.
    pub(crate) fn done(mut self) -> (Done, i32) {
        self.done_in_place()
    }

    /// The same, for a test that still has something to ask of it.
    pub(crate) fn done_in_place(&mut self) -> (Done, i32) {
        let done = self.next_done();
        assert_eq!(
            (done.sum.connections.in_flight, done.sum.requests.in_flight),
            (0, 0),
            "{done:#?}"
        );
        (done, self.exit_status().code().expect("an exit code"))
    }

    /// Waits until every process that holds the server's standard output is gone.
    pub(crate) fn wait_until_all_are_gone(&self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.next_line(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("a process of the server outlived it")
                }
            }
        }
    }

    fn next_line(&self, timeout: Duration) -> Result<String, mpsc::RecvTimeoutError> {
        self.lines.lock().unwrap().recv_timeout(timeout)
    }

    fn exit_status(&mut self) -> ExitStatus {
        // Standard output has ended or is about to: the wait is short.
        self.wait_until_all_are_gone();
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has taken over is no child of this process.
        if self.ready.pid != self.child.id() && !thread::panicking() {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both identities, for each worker and in sum, computed here and not taken from the server's word for it.
fn check_that_it_balances(done: &Done) {
    let counts = done.workers.iter().map(|worker| &worker.counts);
    for counts in counts.clone().chain([&done.sum]) {
        assert!(counts.connections.is_balanced(), "{done:#?}");
        assert!(counts.requests.is_balanced(), "{done:#?}");
    }
    assert!(done.balanced, "{done:#?}");
    let total = |of: fn(&Counts) -> u64| (counts.clone().map(of).sum::<u64>(), of(&done.sum));
    let parts: [fn(&Counts) -> u64; 6] = [
        |it| it.connections.accepted,
        |it| it.connections.aborted_by_crash,
        |it| it.requests.started,
        |it| it.requests.ok.total(),
        |it| it.requests.errors.total(),
        |it| it.requests.aborted_by_crash,
    ];
    for (parts, sum) in parts.map(total) {
        assert_eq!(parts, sum, "{done:#?}");
    }
}

/// The processes that one has forked and not reaped.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// Waits until the worker processes of server `pid` are such.
pub(crate) fn wait_for_workers_of(pid: u32, are_right: impl Fn(&[u32]) -> bool) -> Vec<u32> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let workers = workers_of(pid);
        if are_right(&workers) {
            return workers;
        }
        assert!(Instant::now() < deadline, "still {workers:?}");
        thread::yield_now();
    }
}

/// Those of them that are workers, by the names they give themselves: not a server that takes over, nor the child that
/// removes what a dead worker left.
pub(crate) fn workers_of(pid: u32) -> Vec<u32> {
    let is_worker = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("prefork:") && !name.starts_with("prefork:sweep")
    };
    children_of(pid).into_iter().filter(is_worker).collect()
}

/// Waits until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "still not: {what}");
        thread::yield_now();
    }
}

/// The command that starts a server on port 0.
pub(crate) fn command(root: &Path, pool: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
    command.args(["--pool", pool]);
    // What a test is not about must not depend on how full this machine's disk is, nor wait for it.
    for [flag, value] in [
        ["--bind", "127.0.0.1:0"],
        ["--min-free", "0"],
        ["--durability", "none"],
    ] {
        if !args.contains(&flag) {
            command.args([flag, value]);
        }
    }
    // Tests may run as root, on a kernel without Landlock too.
    command
        .args(["--allow-root", "--root"])
        .arg(root)
        .args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The same, shown too, for whoever looks into why a test failed.
fn shown_lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let lines = lines_of(output);
    thread::spawn(move || {
        for line in lines {
            eprintln!("{line}");
            // Nobody may be waiting for it; the pipe must not fill up for that.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Fills a pipe, through a description of its own: the mode of the other is the server's, too.
pub(crate) fn fill(pipe: &OwnedFd) {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK;
    let mut own = fs::File::from(nix::fcntl::open(path.as_str(), flags, Mode::empty()).unwrap());
    for len in [4096, 1] {
        while own.write(&vec![b'x'; len]).is_ok() {}
    }
}

/// The same command, started by a launcher such as a tracer.
pub(crate) fn under(launcher: &[impl AsRef<std::ffi::OsStr>], command: &Command) -> Command {
    let mut launched = Command::new(&launcher[0]);
    launched.args(&launcher[1..]);
    launched.arg(command.get_program()).args(command.get_args());
    launched.stdin(Stdio::piped()).stdout(Stdio::piped());
    launched
}

/// Says, past the test runner's capture, that a test proves nothing here. In CI that is a failure.
pub(crate) fn skip(what_is_missing: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(
        std::env::var_os("CI").is_none(),
        "{test}: in CI nothing is skipped, and this machine lacks {what_is_missing}"
    );
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {test}: this machine lacks {what_is_missing}"
    );
}

/// Whether programs can be traced here; says so where they cannot.
pub(crate) fn can_trace() -> bool {
    let traced = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    let can = traced.is_ok_and(|status| status.success());
    if !can {
        skip("strace, or the permission to trace (apt-get install strace)");
    }
    can
}

/// Whether limits of running processes can be changed here; says so where they cannot.
pub(crate) fn can_limit() -> bool {
    let mut prlimit = Command::new("prlimit");
    prlimit.arg("--version").stdout(Stdio::null());
    let can = prlimit.status().is_ok_and(|status| status.success());
    if !can {
        skip("prlimit (apt-get install util-linux)");
    }
    can
}

/// What starts a program that sees a file system of its own, in memory, at `path`: made so with `options`, filled
/// and changed by `setup`. Nothing, and says so, where that is not allowed.
pub(crate) fn with_a_disk_at(path: &Path, options: &str, setup: &str) -> Option<Vec<String>> {
    let mount = format!(r#"mount -t tmpfs {options} none "$0" && {setup} exec "$@""#);
    let path = path.to_str().unwrap();
    let words = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &mount,
        path,
    ];
    let mut probe = Command::new(words[0]);
    if !probe
        .args(&words[1..])
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        skip("the permission to mount a file system of one's own (unshare --user --mount)");
        return None;
    }
    Some(words.map(str::to_owned).to_vec())
}

/// Whether this process may become another user and make device nodes; says so where it may not.
pub(crate) fn is_root() -> bool {
    let is_root = nix::unistd::Uid::effective().is_root();
    if !is_root {
        skip("root");
    }
    is_root
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The client's side of a connection, in bytes.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// The next reply, whole.
    pub(crate) fn reply(&mut self) -> Value {
        self.try_reply().expect("a whole reply")
    }

    /// The next reply, unless the connection ends before it is whole.
    pub(crate) fn try_reply(&mut self) -> Option<Value> {
        let mut searched = 0;
        loop {
            let from = searched;
            if let Some(at) = memchr::memmem::find(&self.unread[from..], b"\r\n\r\n") {
                let rest = self.unread.split_off(from + at + 4);
                let reply = std::mem::replace(&mut self.unread, rest);
                return Some(serde_json::from_slice(&reply).unwrap());
            }
            searched = self.unread.len().saturating_sub(3);
            let mut chunk = vec![0; 1 << 18];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.unread.extend_from_slice(&chunk[..len]),
            }
        }
    }

    /// Reads so much of what comes next, and keeps it for [`Peer::reply`].
    pub(crate) fn read_ahead(&mut self, len: usize) {
        while self.unread.len() < len {
            let mut chunk = vec![0; (len - self.unread.len()).min(1 << 16)];
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(
                read > 0,
                "the end after {} of {len} bytes",
                self.unread.len()
            );
            self.unread.extend_from_slice(&chunk[..read]);
        }
    }

    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Value {
        self.send(request).reply()
    }

    /// Waits for the end of what the server sends, which must come without a reset.
    pub(crate) fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("an orderly end");
        assert!(
            self.unread.is_empty() && rest.is_empty(),
            "nothing but the end"
        );
    }

    pub(crate) fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

/// `UPLOAD name content` with its end of line.
pub(crate) fn upload(name: &str, content: &[u8]) -> Vec<u8> {
    let mut request = format!("UPLOAD {name} ").into_bytes();
    request.extend_from_slice(encode(content).as_bytes());
    request.extend_from_slice(b"\r\n");
    request
}

pub(crate) fn encode(content: &[u8]) -> String {
    let mut out = Vec::new();
    let mut encoder = proto::base64::Encoder::new();
    encoder.encode(content, &mut out);
    encoder.finish(&mut out);
    String::from_utf8(out).unwrap()
}

/// The content of a download's reply.
pub(crate) fn content(reply: &Value) -> Vec<u8> {
    assert_eq!(reply["status"], "OK", "{reply}");
    let text = reply["data_file"].as_str().unwrap();
    let mut out = vec![0; text.len() / 4 * 3 + 3];
    let mut decoder = proto::base64::Decoder::new();
    let progress = decoder.decode(text.as_bytes(), &mut out).unwrap();
    decoder.finish().unwrap();
    out.truncate(progress.produced);
    out
}

/// After so many bytes noise begins anew: a prime, so that a buffer's worth in the wrong place shows.
const NOISE_PERIOD: usize = 65_521;

/// Bytes without a pattern, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut block = Vec::new();
    while block.len() < NOISE_PERIOD.min(len) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block.truncate(NOISE_PERIOD);
    let mut out = Vec::with_capacity(len + NOISE_PERIOD);
    while out.len() < len {
        out.extend_from_slice(&block);
    }
    out.truncate(len);
    out
}
