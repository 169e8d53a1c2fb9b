//! Until the old server has left it the socket a new one accepts nobody: whichever of the two has to go before, and
//! however, cuts nobody.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::announce::Announcement;
use tempfile::TempDir;

use crate::support::{self, Peer, children_of, each_pool, noise, upload, wait_until, workers_of};

const CLIENTS: usize = 6;

/// For so long a new server waits for room for its READY.
const PATIENCE: Duration = Duration::from_secs(3);

each_pool! {
    fn an_old_server_that_stops_while_the_new_one_starts_cuts_nobody(pool) {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            Upgrading::start(pool).end(|it| it.signal(it.old.id(), signal), false);
        }
    }

    fn a_new_server_that_ends_before_it_takes_over_cuts_nobody(pool) {
        for signals in [&[Signal::SIGTERM, Signal::SIGCONT][..], &[Signal::SIGKILL]] {
            let give_up = |it: &Upgrading| {
                for signal in signals {
                    it.signal(it.new, *signal);
                }
            };
            Upgrading::start(pool).end(give_up, true);
        }
    }
}

/// An upgrade that has come as far as it can before the old server is told to leave. The new server's workers are
/// ready, and those of the old one, which stand still, leave every client to them.
struct Upgrading {
    root: TempDir,
    old: Child,
    old_workers: Vec<u32>,
    new: u32,
    address: String,
    output: BufReader<fs::File>,
}

impl Upgrading {
    fn start(pool: &str) -> Self {
        // On a machine that stood still meanwhile the new server has taken over, though its READY is not out.
        loop {
            let since = Instant::now();
            let it = Self::try_to_start(pool);
            if since.elapsed() < PATIENCE {
                return it;
            }
        }
    }

    fn try_to_start(pool: &str) -> Self {
        let root = TempDir::new().unwrap();
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut command = support::command(root.path(), pool, &["--workers", "1"]);
        let old = command.stdout(writer.try_clone().unwrap()).spawn().unwrap();
        let mut output = BufReader::new(fs::File::from(reader));
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let Announcement::Ready(ready) = Announcement::from_line(line.trim_end()).unwrap() else {
            panic!("READY, not {line}");
        };
        // The new server's READY waits for room, for long enough to stop it before it says anything.
        support::fill(&writer);
        let mut it = Self {
            root,
            old_workers: ready.worker_pids,
            new: 0,
            address: ready.address,
            output,
            old,
        };
        it.signal(it.old.id(), Signal::SIGUSR2);
        wait_until("the new server has a worker", || it.successor().is_some());
        it.new = it.successor().unwrap();
        wait_until("that worker waits", || {
            workers_of(it.new)
                .iter()
                .all(|worker| is_all_in(*worker, 'S'))
        });
        it.signal(it.new, Signal::SIGSTOP);
        wait_until("the new server stands still", || is_all_in(it.new, 'T'));
        for worker in &it.old_workers {
            it.signal(*worker, Signal::SIGSTOP);
        }
        it
    }

    fn successor(&self) -> Option<u32> {
        let mut others = children_of(self.old.id()).into_iter();
        others.find(|pid| !self.old_workers.contains(pid) && !workers_of(*pid).is_empty())
    }

    fn signal(&self, pid: u32, signal: Signal) {
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    /// Clients come and have begun to upload when `what` happens.
    fn end(mut self, what: impl FnOnce(&Self), goes_on: bool) {
        let content = noise(1, 20_000);
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let mut peer = Peer::new(TcpStream::connect(&self.address).unwrap());
                let mut request = upload(&format!("f{client}"), &content);
                let rest = request.split_off(request.len() / 2);
                peer.send(request);
                (peer, rest)
            })
            .collect();
        let workers = workers_of(self.new);
        wait_until("the new workers have done what they could", || {
            workers.iter().all(|worker| is_all_in(*worker, 'S'))
        });
        what(&self);
        if goes_on {
            // With room for its READY before it has seen the signal it would take over after all.
            wait_until("the new server lets its workers go", || {
                workers_of(self.new).is_empty()
            });
        }
        let output = std::mem::replace(&mut self.output, BufReader::new(null()));
        let output = std::thread::spawn(move || output.lines().map_while(Result::ok).last());
        if goes_on {
            wait_until("the new server is gone", || {
                !children_of(self.old.id()).contains(&self.new)
            });
        }
        for worker in &self.old_workers {
            self.signal(*worker, Signal::SIGCONT);
        }
        for (peer, rest) in &mut clients {
            peer.send(&rest);
        }
        for (client, (mut peer, _)) in clients.into_iter().enumerate() {
            assert_eq!(peer.reply()["status"], "OK", "client {client}");
            let stored = fs::read(self.root.path().join(format!("f{client}"))).unwrap();
            assert!(stored == content, "client {client}");
        }
        if goes_on {
            self.signal(self.old.id(), Signal::SIGTERM);
        }
        assert_eq!(self.old.wait().unwrap().code(), Some(0));
        let done = output.join().unwrap().unwrap();
        let Announcement::Done(done) =
            Announcement::from_line(done.trim_start_matches('x')).unwrap()
        else {
            panic!("DONE, not {done}");
        };
        assert_eq!(done.sum.requests.ok.upload, CLIENTS as u64);
        assert_eq!(done.sum.connections.aborted_by_stop, 0);
    }
}

impl Drop for Upgrading {
    fn drop(&mut self) {
        if children_of(self.old.id()).contains(&self.new) {
            self.signal(self.new, Signal::SIGKILL);
        }
        let _ = self.old.kill();
        let _ = self.old.wait();
    }
}

fn null() -> fs::File {
    fs::File::open("/dev/null").unwrap()
}

/// Whether each thread of a process is in this state: S waits for something, T was stopped.
fn is_all_in(pid: u32, state: char) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    tasks.map_while(Result::ok).all(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with(state))
    })
}
