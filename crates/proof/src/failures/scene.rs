//! One server, from its start to its end, with one thing that fails in one phase of its life; and what must hold.

use std::fmt;
use std::fs;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::client::{Client, Verdict};
use super::errnos;
use super::server::{DEADLINE, Place, Server, Tracing, describe};
use super::session::{Model, prepare};
use super::trace::{Call, Trace};
use crate::keep::Tally;

/// When something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// In the workers, while one session is served.
    Session,
    /// From the reading of the settings to READY.
    Start,
    /// HUP, in the parent, in the workers and in their successors.
    Reload,
    /// USR2, the same, and in the new server from its first instruction.
    Upgrade,
    /// TERM.
    Stop,
}

impl Phase {
    pub(super) const ALL: [Self; 5] = [
        Self::Session,
        Self::Start,
        Self::Reload,
        Self::Upgrade,
        Self::Stop,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Start => "start",
            Self::Reload => "reload",
            Self::Upgrade => "upgrade",
            Self::Stop => "stop",
        }
    }
}

/// Where something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) phase: Phase,
    pub(super) pool: &'static str,
    pub(super) durability: &'static str,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            phase,
            pool,
            durability,
        } = self;
        write!(f, "{}, {pool}, {durability}", phase.name())
    }
}

/// What fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Injection {
    pub(super) call: String,
    pub(super) errno: &'static str,
    /// Each thread's call number so many, from 1.
    pub(super) nth: usize,
    /// And all after it.
    pub(super) lasts: bool,
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plus = if self.lasts { "+" } else { "" };
        write!(f, "{} {}{plus} {}", self.call, self.nth, self.errno)
    }
}

impl Injection {
    fn tracing(&self) -> Tracing {
        let Self {
            call,
            errno,
            nth,
            lasts,
        } = self;
        let plus = if *lasts { "+" } else { "" };
        Tracing(
            [
                "-e".to_owned(),
                format!("trace={call}"),
                "-e".to_owned(),
                format!("inject={call}:error={errno}:when={nth}{plus}"),
            ]
            .into(),
        )
    }

    /// Whether it may keep the server from finding or removing what it has made.
    fn may_leave_something(&self) -> bool {
        let calls =
            "fcntl flock newfstatat openat read rename renameat renameat2 statx unlink unlinkat";
        calls.split(' ').any(|call| call == self.call)
    }

    /// Whether it says that a file is not there, or not this server's any more: then there is nothing to remove or to say.
    fn says_that_it_is_gone(&self) -> bool {
        ["EACCES", "ELOOP", "ENOENT", "ENXIO"].contains(&self.errno)
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) trace: Trace,
    pub(super) tally: Tally,
}

/// What strace spoils is played again, all in all so often.
const PLAYS_MAX: u32 = 3;

/// Whether this call begins the start's own work: before it, the C library and the language's runtime set the process up.
pub(super) fn begins_start(call: &Call) -> bool {
    call.name == "openat" && call.args.contains("/config\"")
}

/// Plays the phase, with something that fails or, to see what there is to fail, with nothing.
///
/// # Errors
/// What keeps the campaign itself from going on.
pub(super) fn play(setting: Setting, injection: Option<&Injection>) -> Result<Outcome> {
    let started = Instant::now();
    let (mut outcome, mut is_torn) = play_once(setting, injection)?;
    for _ in 1..PLAYS_MAX {
        if is_torn {
            (outcome, is_torn) = play_once(setting, injection)?;
        }
    }
    outcome.tally.took(started.elapsed());
    Ok(outcome)
}

/// And whether strace has gone between a call and what it was to say: then what came of it shows nothing.
fn play_once(setting: Setting, injection: Option<&Injection>) -> Result<(Outcome, bool)> {
    let place = Place::new()?;
    prepare(&place.root()).context("cannot make the files")?;
    let tracing = injection.map_or_else(
        || Tracing(vec!["-e".into(), "trace=all".into()]),
        Injection::tracing,
    );
    let mut tally = Tally::default();
    let mut scene = Scene {
        setting,
        injection,
        place: &place,
        model: Model::new(),
        tally: &mut tally,
    };
    let verdict = scene.play(&tracing)?;
    let trace = place.trace();
    let Some(injection) = injection else {
        if let Err(why) = verdict {
            tally.violation(|| format!("{setting}, nothing fails: {why}"));
        }
        return Ok((Outcome { trace, tally }, false));
    };
    let is_realistic = |call: &Call| {
        errnos::of(&call.name, &call.args)
            .is_some_and(|mut all| all.any(|errno| errno == injection.errno))
    };
    let is_torn = injection.errno != "ENOSYS"
        && (trace.is_torn(&injection.call, injection.nth, injection.lasts)
            || place.log().contains(NOT_CALLED));
    if is_torn || !trace.injected().all(is_realistic) {
        let why = match is_torn {
            true => "cut off by strace's end",
            false => "reached a call that cannot fail so",
        };
        tally.count(why, 1);
        return Ok((Outcome { trace, tally }, is_torn));
    }
    match trace.injected().next() {
        None => tally.count("not reached", 1),
        Some(_) => {
            tally.count("injections", 1);
            tally.count(injection.errno, 1);
        }
    }
    if let Err(why) = verdict {
        let log = place.log();
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ");
        tally.violation(|| format!("{setting}, {injection}: {why}; the log: {last}"));
    }
    Ok((Outcome { trace, tally }, false))
}

/// What the kernel says of a call that strace has kept from being made.
const NOT_CALLED: &str = "Function not implemented";

/// So much of a log says what came before the end.
const LAST_LINES: usize = 6;

struct Scene<'a> {
    setting: Setting,
    injection: Option<&'a Injection>,
    place: &'a Place,
    model: Model,
    tally: &'a mut Tally,
}

impl Scene<'_> {
    fn play(&mut self, tracing: &Tracing) -> Result<Verdict<()>> {
        let Setting {
            phase,
            pool,
            durability,
        } = self.setting;
        let from_start = (phase == Phase::Start).then_some(tracing);
        let mut server = Server::start(self.place, pool, durability, from_start)?;
        match server.wait_until_ready() {
            Ok(true) => {}
            Ok(false) => return Ok(self.check_no_start(server)),
            Err(why) => return Ok(Err(why)),
        }
        if phase != Phase::Start {
            server.attach(self.place, tracing, phase != Phase::Session)?;
        }
        Ok(self.go_on(server))
    }

    /// It is ready: from here on it serves, whatever fails.
    fn go_on(&mut self, mut server: Server) -> Verdict<()> {
        let mut client = Client::new(&server.address());
        let first = server.pid();
        match self.setting.phase {
            Phase::Session => {
                if self
                    .injection
                    .is_some_and(|it| it.call == "accept4" && it.lasts)
                {
                    self.wait_for_accepts_to_fail(&mut server, &mut client)?;
                }
                self.model.play(&mut client, true, self.tally)?;
            }
            Phase::Start => {}
            Phase::Reload => self.reload(&mut server)?,
            Phase::Upgrade => self.upgrade(&mut server)?,
            Phase::Stop => {
                server.signal(Signal::SIGTERM);
                return self.check_end(server, &[0, 3]);
            }
        }
        let unacknowledged = self.model.unacknowledged;
        server.detach()?;
        if self.setting.phase == Phase::Session {
            self.check_syncs(unacknowledged)?;
        }
        self.wait_for_predecessor(&mut server, first)?;
        if self.setting.phase == Phase::Reload {
            self.reload_again(&mut server)?;
        }
        self.wait_for_the_pool(&mut server)?;
        self.model.settle(&self.place.root())?;
        let mut again = Client::new(&server.address());
        self.model.read_back(&mut again)?;
        self.model.play(&mut again, false, self.tally)?;
        self.tally.count("served on", 1);
        self.check_names(&server)?;
        server.signal(Signal::SIGTERM);
        self.check_end(server, &[0])
    }

    /// While nobody can be accepted, whoever has connected waits, and is served when that is over.
    fn wait_for_accepts_to_fail(&self, server: &mut Server, client: &mut Client) -> Verdict<()> {
        client.connect()?;
        let is_told = |_: &Server| self.place.log().contains("cannot accept");
        match server.wait_until(Duration::from_secs(2), is_told)?
            || self.injection.is_some_and(|it| it.nth > 1)
        {
            true => server.detach(),
            false => Err("the log does not say that nobody can be accepted".into()),
        }
    }

    /// What could not be brought to the disk is not acknowledged. The library makes a call that was interrupted again.
    fn check_syncs(&self, unacknowledged: u32) -> Verdict<()> {
        let failed = |it: &&Injection| it.call.contains("sync") && it.errno != "EINTR";
        let is_reached = || self.place.trace().injected().next().is_some();
        match self.injection.filter(failed) {
            Some(_) if unacknowledged == 0 && is_reached() => {
                Err("a wrong OK: every change was acknowledged".into())
            }
            _ => Ok(()),
        }
    }

    fn reload(&self, server: &mut Server) -> Verdict<()> {
        self.place.configure(1).map_err(|error| error.to_string())?;
        server.signal(Signal::SIGHUP);
        let is_over = |log: &str| log.contains(" reloaded") || log.contains("nothing is reloaded");
        // Where its word is lost, or the pool waits for what is short.
        server.wait_until(Duration::from_secs(2), |_| is_over(&self.place.log()))?;
        Ok(())
    }

    /// What did not work, or is not over, does when nothing fails any more.
    fn reload_again(&self, server: &mut Server) -> Verdict<()> {
        let before = self.place.log().len();
        self.place.configure(2).map_err(|error| error.to_string())?;
        server.signal(Signal::SIGHUP);
        let is_over = |_: &Server| {
            let log = self.place.log();
            let (_, after) = log[before..].split_once("reloading").unwrap_or_default();
            after.contains(" reloaded")
        };
        let why = "the reload after it does not come to its end";
        server.expect(is_over, |_| why.into())
    }

    fn upgrade(&mut self, server: &mut Server) -> Verdict<()> {
        let old = server.pid();
        server.signal(Signal::SIGUSR2);
        let failed = ["the upgrade failed", "not upgrading"];
        let is_over = |server: &Server| {
            server.pid() != old || failed.iter().any(|it| self.place.log().contains(it))
        };
        server.wait_until(DEADLINE, is_over)?;
        let what = match server.pid() == old {
            true => "upgrades that failed",
            false => "upgrades",
        };
        self.tally.count(what, 1);
        Ok(())
    }

    /// The server before it has gone.
    fn wait_for_predecessor(&self, server: &mut Server, old: u32) -> Verdict<()> {
        let is_alone = |server: &Server| server.pid() == old || !server.dones.is_empty();
        server.expect(is_alone, |_| "the old server does not leave".into())
    }

    /// The pool is full, and of nobody else: who leaves closes connections between two requests.
    fn wait_for_the_pool(&self, server: &mut Server) -> Verdict<()> {
        let size = if self.setting.pool == "thread" { 1 } else { 2 };
        server.expect(
            |server| server.children() == size,
            |server| format!("the pool has {} processes, not {size}", server.children()),
        )
    }

    /// The pidfile names who serves.
    fn check_names(&self, server: &Server) -> Verdict<()> {
        let named = fs::read_to_string(self.place.at("pid")).unwrap_or_default();
        if named.trim() == server.pid().to_string()
            || self.place.log().contains("take the pidfile back")
        {
            return Ok(());
        }
        Err(format!(
            "the pidfile says {named:?}, and {} serves",
            server.pid()
        ))
    }

    /// It said why, and left nothing.
    fn check_no_start(&mut self, mut server: Server) -> Verdict<()> {
        self.tally.count("starts refused", 1);
        let status = server.wait_until_gone()?;
        self.check_exit(status, &[1, 2, 4])?;
        self.check_nothing_is_left()?;
        self.model.settle(&self.place.root())
    }

    fn check_end(&mut self, mut server: Server, codes: &[i32]) -> Verdict<()> {
        let status = server.wait_until_gone()?;
        self.check_exit(status, codes)?;
        for done in &server.dones {
            let left = (done.sum.connections.in_flight, done.sum.requests.in_flight);
            if !done.balanced || left != (0, 0) {
                return Err(format!("the ledger does not balance: {done:?}"));
            }
        }
        if server.dones.is_empty() && self.injection.is_none_or(|it| it.call != "write") {
            return Err("no DONE".into());
        }
        self.check_nothing_is_left()?;
        self.model.settle(&self.place.root())
    }

    fn check_exit(&self, status: ExitStatus, codes: &[i32]) -> Verdict<()> {
        let log = self.place.log();
        for word in [
            "panicked",
            "SIGABRT",
            "SIGSEGV",
            "SIGBUS",
            "SIGILL",
            "memory allocation",
        ] {
            if log.contains(word) {
                return Err(format!("the log has {word}"));
            }
        }
        let deaths = log.matches("worker died").count();
        if deaths > DEATHS_MAX {
            return Err(format!("{deaths} workers died"));
        }
        let Some(code) = status.code().filter(|code| codes.contains(code)) else {
            return Err(format!("it ended with {}", describe(status)));
        };
        let can_tell = self
            .injection
            .is_none_or(|it| it.call != "write" || !it.lasts);
        if code == 0 || self.has_a_reason(&log) || !can_tell {
            return Ok(());
        }
        Err(format!("{}, and no word of why", describe(status)))
    }

    /// A line that a person can act on: what could not be done, to which thing.
    fn has_a_reason(&self, log: &str) -> bool {
        let told = |line: &&str| {
            ["error: ", " ERROR ", " WARN "]
                .iter()
                .any(|it| line.contains(it))
                && !line.contains("os error")
                && line.split_whitespace().count() > 4
        };
        log.lines().any(|line| told(&line))
    }

    /// Where what removes was made to fail, the next start removes it.
    fn check_nothing_is_left(&self) -> Verdict<()> {
        let left = self.place.leftovers();
        if left.is_empty() {
            return Ok(());
        }
        if self.injection.is_none_or(|it| !it.may_leave_something()) {
            return Err(format!("left behind: {left:?}"));
        }
        // Hidden files in the root are the next server's business; others an operator must know of.
        let log = self.place.log();
        let is_told = |name: &String| {
            name.starts_with(".prefork-")
                || self.injection.is_some_and(Injection::says_that_it_is_gone)
                || log.contains(&self.place.at(name).display().to_string())
        };
        if !left.iter().all(is_told) {
            return Err(format!("left behind without a word: {left:?}"));
        }
        let Setting {
            pool, durability, ..
        } = self.setting;
        let mut next =
            Server::start(self.place, pool, durability, None).map_err(|error| error.to_string())?;
        if !next.wait_until_ready()? {
            return Err(format!(
                "left behind: {left:?}, and the next server does not start"
            ));
        }
        next.signal(Signal::SIGTERM);
        next.wait_until_gone()?;
        match self.place.leftovers() {
            still if still.is_empty() => Ok(()),
            still => Err(format!("left behind, by the next server too: {still:?}")),
        }
    }
}

/// More than the pauses between two deaths of a worker let die while something fails.
const DEATHS_MAX: usize = 16;
