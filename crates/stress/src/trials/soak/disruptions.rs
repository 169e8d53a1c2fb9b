//! What a server under a soak has to survive: killed workers, reloads, upgrades, spread over the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Soak;
use super::server::{Event, Server};
use crate::corpus::split_mix;

/// How long the loop listens to the server between two looks at the time.
const PAUSE: Duration = Duration::from_millis(10);

/// How much longer than planned an upgrade or a reload may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be done, and what was.
#[derive(Debug)]
pub(super) struct Disruptions {
    time: Duration,
    kill_every: Duration,
    random: u64,
    pub(super) kills: u32,
    pub(super) reloads: Changes,
    pub(super) upgrades: Changes,
    /// Kills before the last change was asked for.
    kills_before: u32,
    /// The last change was asked for again, because a kill may have been what kept it from taking place: it is to come
    /// to its end without one.
    is_calm: bool,
    /// How the server ended, if it did before it was told to.
    pub(super) lost: Option<String>,
}

/// Changes of one kind.
#[derive(Debug, Default)]
pub(super) struct Changes {
    planned: u32,
    pub(super) asked: u32,
    pub(super) done: u32,
    /// Those of which the server has said that they do not take place.
    refused: u32,
    /// Why the first of those that did not take place did not.
    pub(super) why: Option<String>,
}

impl Changes {
    fn planned(planned: u32) -> Self {
        Self {
            planned,
            ..Self::default()
        }
    }

    const fn is_pending(&self) -> bool {
        self.done + self.refused < self.asked
    }

    /// At even distances.
    fn is_due(&self, now: Duration, time: Duration) -> bool {
        self.asked < self.planned && now >= time * (2 * self.asked + 1) / (2 * self.planned)
    }

    fn refuse(&mut self, why: String) {
        self.refused += 1;
        self.why.get_or_insert(why);
    }
}

impl Disruptions {
    pub(super) fn new(plan: &Soak) -> Self {
        Self {
            time: plan.time,
            kill_every: plan.kill_every,
            random: plan.seed,
            kills: 0,
            reloads: Changes::planned(plan.reloads),
            upgrades: Changes::planned(plan.upgrades),
            kills_before: 0,
            is_calm: false,
            lost: None,
        }
    }

    /// Goes on for as long as planned, and until what was begun has come to its end; or until the server has come to
    /// its own.
    pub(super) fn run(
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
            if now >= self.time && (!self.is_pending() || now >= self.time + PATIENCE) {
                break;
            }
            // The load goes on while a change comes to its end; kills do not, or it might never.
            if !self.kill_every.is_zero() && now >= kill_at && now < self.time {
                kill_at += self.kill_every;
                if !(self.is_calm && self.is_pending()) {
                    self.kill_one(server);
                }
            }
            let tell = |what: &str| say(&format!("{:5.1} s: {what}", now.as_secs_f64()));
            if !is_stopped && !self.is_pending() {
                self.change(server, now, tell);
            }
            match server.listen(PAUSE) {
                Event::Nothing => {}
                Event::NewServer => {
                    self.upgrades.done += 1;
                    tell("the new server is ready");
                }
                Event::Gone => {
                    let lost = server.why_it_ended();
                    tell(&format!("the server is gone: {lost}"));
                    self.lost = Some(lost);
                    return self;
                }
            }
            self.follow(server, tell);
        }
        self.give_up(server);
        self
    }

    const fn is_pending(&self) -> bool {
        self.reloads.is_pending() || self.upgrades.is_pending()
    }

    fn kill_one(&mut self, server: &Server) {
        let workers = server.workers();
        if workers.is_empty() {
            return;
        }
        let nth = split_mix(&mut self.random) % workers.len() as u64;
        if kill(
            Pid::from_raw(workers[nth as usize].cast_signed()),
            Signal::SIGKILL,
        )
        .is_ok()
        {
            self.kills += 1;
        }
    }

    /// Reloads and upgrades, one at a time.
    fn change(&mut self, server: &mut Server, now: Duration, tell: impl Fn(&str)) {
        let (changes, what) = match () {
            () if self.reloads.is_due(now, self.time) => (&mut self.reloads, "reloading"),
            () if self.upgrades.is_due(now, self.time) => (&mut self.upgrades, "upgrading"),
            () => return,
        };
        changes.asked += 1;
        (self.kills_before, self.is_calm) = (self.kills, false);
        tell(what);
        self.ask(server);
    }

    /// Asks for the change that is pending.
    fn ask(&mut self, server: &mut Server) {
        if !self.reloads.is_pending() {
            server.upgrade();
        } else if let Err(error) = server.reload() {
            self.reloads.refuse(format!("{error:#}"));
        }
    }

    /// Takes down what the server's log says of the change that it was asked for.
    fn follow(&mut self, server: &mut Server, tell: impl Fn(&str)) {
        if !self.is_pending() {
            return;
        }
        let log = server.log();
        self.reloads.done = log.reloads();
        let Some(why) = log.refusal().filter(|_| self.is_pending()) else {
            return;
        };
        tell(&why);
        // A worker that was killed before it was ready is no fault of the server's.
        if self.kills > self.kills_before && !self.is_calm {
            self.is_calm = true;
            tell("asked again, without kills meanwhile");
            return self.ask(server);
        }
        self.pending().refuse(why);
    }

    /// A change that is still waited for has taken too long.
    fn give_up(&mut self, server: &mut Server) {
        if self.is_pending() {
            let trouble = server.log().trouble();
            let why = format!("not within {} s: {trouble}", PATIENCE.as_secs());
            self.pending().refuse(why);
        }
    }

    const fn pending(&mut self) -> &mut Changes {
        match self.reloads.is_pending() {
            true => &mut self.reloads,
            false => &mut self.upgrades,
        }
    }
}
