//! What a server under a soak has to survive: killed workers, reloads, upgrades, spread over the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::SoakArgs;
use super::server::Server;
use crate::corpus::split_mix;

/// How long the loop listens to the server between two looks at the time.
const PAUSE: Duration = Duration::from_millis(10);

/// How much longer than planned an upgrade or a reload may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be done, and what was.
#[derive(Debug)]
pub(super) struct Chaos {
    time: Duration,
    kill_every: Duration,
    random: u64,
    reloads_planned: u32,
    upgrades_planned: u32,
    pub(super) kills: u32,
    pub(super) reloads: u32,
    pub(super) reloads_done: u32,
    pub(super) upgrades: u32,
    pub(super) upgrades_done: u32,
}

impl Chaos {
    pub(super) const fn new(args: &SoakArgs) -> Self {
        Self {
            time: args.time,
            kill_every: args.kill_every,
            random: args.seed,
            reloads_planned: args.reloads,
            upgrades_planned: args.upgrades,
            kills: 0,
            reloads: 0,
            reloads_done: 0,
            upgrades: 0,
            upgrades_done: 0,
        }
    }

    /// Goes on for as long as planned, and until what was begun has come to its end.
    pub(super) fn unleash(
        mut self,
        server: &mut Server,
        interrupt: &AtomicBool,
        say: impl Fn(&str),
    ) -> Self {
        let started = Instant::now();
        let mut kill_at = self.kill_every;
        loop {
            let now = started.elapsed();
            let is_stopped = interrupt.load(Ordering::SeqCst);
            if is_stopped {
                self.time = self.time.min(now);
            }
            let is_pending = self.upgrades_done < self.upgrades || self.reloads_done < self.reloads;
            if now >= self.time && (!is_pending || now >= self.time + PATIENCE) {
                break;
            }
            // The load goes on while a change comes to its end; kills do not, or it might never.
            if !self.kill_every.is_zero() && now >= kill_at && now < self.time {
                kill_at += self.kill_every;
                self.kill_one(server);
            }
            if !is_stopped {
                self.change(server, now, &say);
            }
            if server.listen(PAUSE) {
                self.upgrades_done += 1;
                say(&format!(
                    "{:5.1} s: the new server is ready",
                    now.as_secs_f64()
                ));
            }
            self.reloads_done = u32::try_from(server.reloads_done()).unwrap_or(u32::MAX);
        }
        self
    }

    fn kill_one(&mut self, server: &Server) {
        let workers = server.workers();
        if workers.is_empty() {
            return;
        }
        let nth = split_mix(&mut self.random) % workers.len() as u64;
        if kill(Pid::from_raw(workers[nth as usize]), Signal::SIGKILL).is_ok() {
            self.kills += 1;
        }
    }

    /// Reloads and upgrades at even distances, one at a time.
    fn change(&mut self, server: &mut Server, now: Duration, say: &impl Fn(&str)) {
        if self.upgrades_done < self.upgrades || self.reloads_done < self.reloads {
            return;
        }
        let is_due = |done: u32, planned: u32| {
            done < planned && now >= self.time * (2 * done + 1) / (2 * planned)
        };
        if is_due(self.reloads, self.reloads_planned) {
            match server.reload() {
                Ok(()) => self.reloads += 1,
                Err(error) => say(&format!("cannot reload: {error:#}")),
            }
            say(&format!("{:5.1} s: reloading", now.as_secs_f64()));
        } else if is_due(self.upgrades, self.upgrades_planned) {
            self.upgrades += 1;
            server.upgrade();
            say(&format!("{:5.1} s: upgrading", now.as_secs_f64()));
        }
    }
}
