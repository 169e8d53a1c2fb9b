//! Client pools: workers in processes of their own, that wait until all are there, are released together, and leave
//! what they did in memory that the harness has too.

pub(crate) mod members;
mod memory;

use std::fs::File;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use stress_data::edges::Edges;

use super::operation::{Attempt, Job};
use crate::corpus::workdir::Quiet;
use crate::host::clock::{Deadline, WaitEnded, now_ns};
use crate::host::{child, edges};
use crate::rig::{Error, Rig};
use members::Orders;
use memory::Layout;

/// How long the workers may take to be there.
const ASSEMBLE_LIMIT: Duration = Duration::from_secs(60);
/// How much longer than the sum of its operations a client may take.
const MARGIN: Duration = Duration::from_secs(30);
/// How long processes whose clients are all done may take to end.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// What a pool of clients did.
#[derive(Debug)]
pub(crate) struct Reports {
    /// One for each planned operation, by client and request.
    pub(crate) attempts: Vec<Attempt>,
    /// CPU time over the window, microseconds; none if a client did not report its own.
    pub(crate) cpu_us: Option<u64>,
    /// VmHWM of the largest process that holds clients. None if the kernel does not say.
    pub(crate) peak_rss_bytes: Option<u64>,
}

/// Who is to be told, and asked, while clients are at work.
pub(crate) struct Context<'a> {
    /// The server they talk to.
    pub(crate) rig: &'a mut dyn Rig,
    /// True when the user asks to stop.
    pub(crate) interrupt: &'a AtomicBool,
    /// Where clients write their errors.
    pub(crate) log: &'a Path,
    /// Nobody else is at work in the work directory.
    pub(crate) _quiet: Quiet<'a>,
}

/// Starts the clients of `job`, which then wait for [`Pool::run`]. Must be called on the main thread.
///
/// # Errors
/// See [`Error`].
pub(crate) fn assemble<'a>(job: &'a Job, context: &Context<'_>) -> Result<Pool<'a>, Error> {
    let mut pool = Orders::command(job)
        .and_then(|command| Pool::start(command, job, context.log))
        .map_err(cannot_start)?;
    let deadline = Deadline::after(ASSEMBLE_LIMIT).or_once(context.interrupt);
    match pool.hear(&deadline) {
        Ok(true) => Ok(pool),
        Ok(false) => Err(not_ready(&format!(
            "they ended: {}",
            child::tail(context.log)
        ))),
        Err(WaitEnded::Interrupted) => Err(Error::Interrupted),
        Err(WaitEnded::Late) => Err(not_ready("they do not come up")),
    }
}

/// The processes of the clients; killed if dropped before they have ended.
pub(crate) struct Pool<'a> {
    job: &'a Job,
    /// Their parent. They are in its process group.
    child: Child,
    /// They say by a byte that all are there, and that all are done. That this side has nothing more to say, which all
    /// hear at once, is their release; that nobody is left on theirs is their end.
    gate: UnixStream,
    memory: File,
}

impl<'a> Pool<'a> {
    /// `command` gets the gate as its standard input, and the memory as its standard output.
    fn start(mut command: Command, job: &'a Job, log: &Path) -> io::Result<Self> {
        let memory = Layout::of(job).memory()?;
        let (gate, theirs) = UnixStream::pair()?;
        let child = command
            .stdin(OwnedFd::from(theirs))
            .stdout(memory.try_clone()?)
            .stderr(File::create(log)?)
            .spawn()?;
        Ok(Self {
            job,
            child,
            gate,
            memory,
        })
    }

    /// Releases the clients, and waits until they have done their work.
    ///
    /// # Errors
    /// See [`Error`]. What goes wrong with single clients is in the reports.
    pub(crate) fn run(mut self, context: &Context<'_>) -> Result<(Reports, Edges), Error> {
        let before = edges::before(&context.rig.processes());
        let released_ns = now_ns();
        self.gate.shutdown(Shutdown::Write).map_err(cannot_start)?;
        let deadline = Deadline::after(limit(self.job)).or_once(context.interrupt);
        let is_done = self.finish(&deadline)?;
        let after = edges::after(&context.rig.processes());
        let reports = self.reports(is_done, released_ns).map_err(cannot_start)?;
        Ok((reports, Edges { before, after }))
    }

    /// Waits for a byte; false if all have ended instead.
    fn hear(&mut self, deadline: &Deadline<'_>) -> Result<bool, WaitEnded> {
        loop {
            deadline.check()?;
            let waits = PollFd::new(self.gate.as_fd(), PollFlags::POLLIN);
            if child::wait_readable([Some(waits)], deadline)[0] {
                return Ok(matches!(self.gate.read(&mut [0]), Ok(1)));
            }
        }
    }

    /// Waits until all are done, or have ended; those that are not by the `deadline` are killed, and that is false.
    fn finish(&mut self, deadline: &Deadline<'_>) -> Result<bool, Error> {
        match self.hear(deadline) {
            Ok(_) => Ok(true),
            Err(WaitEnded::Interrupted) => Err(Error::Interrupted),
            Err(WaitEnded::Late) => {
                let _ = child::end(&mut self.child);
                self.vanish();
                Ok(false)
            }
        }
    }

    /// Waits until nobody is left: members go a moment after their parent was killed.
    fn vanish(&mut self) {
        let deadline = Deadline::after(LEAVE_LIMIT);
        while self.hear(&deadline) == Ok(true) {}
    }

    /// What they did, when they have ended.
    fn reports(mut self, is_done: bool, released_ns: u64) -> io::Result<Reports> {
        self.vanish();
        let end = child::reap(&mut self.child, LEAVE_LIMIT);
        let end = end.map_or_else(|error| error.to_string(), |status| status.to_string());
        let why_not = |status: Option<ExitStatus>| match (status, is_done) {
            (Some(status), _) => format!("the client process ended without a report ({status})"),
            (None, false) => format!("the client process was killed: it took too long ({end})"),
            (None, true) => format!("the client process went with its parent ({end})"),
        };
        Layout::of(self.job).read(&self.memory, released_ns, why_not)
    }
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        let _ = child::end(&mut self.child);
    }
}

/// The longest that a client's operations can take, and some.
fn limit(job: &Job) -> Duration {
    // Connecting and the exchange have a deadline each.
    let operation = job.settings.timeout.saturating_mul(2);
    operation
        .saturating_mul(job.requests())
        .saturating_add(MARGIN)
}

fn cannot_start(error: io::Error) -> Error {
    not_ready(&error.to_string())
}

fn not_ready(why: &str) -> Error {
    Error::NotReady(format!("client processes: {why}"))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use stress_data::matrix::{ClientPool, Operation};
    use stress_data::record::Outcome;

    use super::memory::Memory;
    use super::*;
    use crate::testing;

    #[test]
    fn a_pool_that_hangs_is_killed_and_keeps_what_was_complete() {
        for client_pool in [ClientPool::Thread, ClientPool::Process] {
            let mut cell = testing::cell(Operation::Download, 1_000);
            (cell.clients, cell.client_pool) = (2, client_pool);
            let job = Job {
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
                cell,
                settings: testing::settings(),
                download_crc32: None,
                is_shared: false,
            };
            // It says that all are there, and hears nothing more.
            let mut hung = Command::new("sh");
            hung.args(["-c", "printf a >&0; exec sleep 1000"]);
            let folder = tempfile::tempdir().unwrap();
            let mut pool = Pool::start(hung, &job, &folder.path().join("log")).unwrap();
            assert_eq!(pool.hear(&Deadline::after(LEAVE_LIMIT)), Ok(true));
            let layout = Layout::of(&job);
            let mut done = Attempt::without_times(0, 0, Outcome::Ok, "");
            (done.record.detail, done.record.ended_ns) = (None, Some(8));
            Memory::map(&pool.memory, layout).unwrap().keep(&done);
            let deadline = Deadline::after(Duration::from_millis(10));
            assert_eq!(pool.finish(&deadline), Ok(false));
            let attempts = pool.reports(false, 7).unwrap().attempts;
            let [kept, lost] = <[_; 2]>::try_from(attempts).unwrap();
            done.record.released_ns = 7;
            assert_eq!(kept, done);
            assert_eq!(
                (lost.record.client, lost.record.outcome),
                (1, Outcome::ClientCrashed)
            );
            let detail = lost.record.detail.unwrap();
            assert!(
                detail.contains("killed: it took too long (signal: 9"),
                "{detail}"
            );
        }
    }
}
