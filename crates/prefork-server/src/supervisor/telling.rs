//! What the parent tells others, none of whom it waits for in a system call: READY and DONE on standard output, the
//! service manager, the server before this one, and in the log how much of it was lost.

use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use proto::announce::Announcement;
use screen::Screen;

use super::events::News;
use super::{Flow, Leave, Supervisor, announce};
use crate::config::ReadyFormat;
use crate::exit::Exit;
use crate::operator::logger;
use crate::operator::notice::{Notices, PAUSE};
use crate::operator::output::Output;
use crate::operator::pidfile::Pidfile;
use crate::supervisor::errand::{Errand, Purpose};
use crate::supervisor::roster::{Event, Reason};

/// How long the reader of standard output may take none of it before DONE is given up, or a predecessor told to leave
/// though READY is not out.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(3);

/// What has not been told yet, for want of room.
#[derive(Debug, Default)]
pub(super) struct Telling {
    pub(super) output: Output,
    pub(super) notices: Notices,
    /// How many lost log lines the log has told of.
    mentioned_lines: u64,
}

impl Supervisor {
    pub(super) fn announce_ready(&mut self) -> Flow {
        if self.predecessor.is_some() {
            self.set_up_listener()?;
        }
        if let Some(path) = &self.inheritance.config.pidfile {
            let predecessor = self.predecessor.as_ref().map(|it| it.pid);
            self.pidfile = Some(Pidfile::write(path, predecessor)?);
        }
        self.admin.publish()?;
        let ready = announce::ready(
            &self.inheritance,
            &self.facts,
            self.admin.metrics_address(),
            self.members.pids(),
        )?;
        // The last step that may fail, now or while it waits for room: a predecessor goes on then, and takes back what
        // was its own.
        let line = self.announced_as(&Announcement::Ready(ready.clone()));
        self.telling
            .output
            .print(&line)
            .context("cannot write to standard output")?;
        tracing::info!(
            address = ready.address,
            root = ready.settings.root,
            pool = ready.pool,
            workers = ready.workers,
            "ready"
        );
        for line in announce::how_to_reach(self.inheritance.listener.socket()) {
            tracing::info!("{line}");
        }
        self.telling.notices.ready();
        self.announced = Some(Instant::now());
        self.go_on_telling()
    }

    /// As `--ready` says.
    fn announced_as(&self, announcement: &Announcement) -> String {
        let screen = Screen::stdout();
        match (self.inheritance.config.ready, screen.columns()) {
            (ReadyFormat::Json, _) | (ReadyFormat::Auto, None) => announcement.to_line(),
            (ReadyFormat::Text, _) | (ReadyFormat::Auto, Some(_)) => {
                screen.wrapped(&announce::sentence(announcement))
            }
        }
    }

    pub(super) fn finish(&mut self, gave_up: Option<Reason>) -> Flow<Leave> {
        let (since, reason) = self.stop.unwrap_or((Instant::now(), "stopped"));
        let reason = gave_up.map_or(reason, |_| "gave_up");
        let done = announce::done(&self.ledger, reason, since.elapsed());
        let cut = done.sum.connections.aborted_by_stop;
        match gave_up {
            Some(Reason::EarlyDeaths) => tracing::error!(
                "gave up: the workers kept dying before they could serve a connection"
            ),
            Some(Reason::Outage) => {
                tracing::error!("gave up: for a minute no worker has served");
            }
            None if cut > 0 => {
                tracing::warn!(connections = cut, "stopped; connections were cut");
            }
            None => tracing::info!("stopped; no connection was cut"),
        }
        if let Some(pidfile) = self.pidfile.take() {
            let errand = Errand::start(Purpose::Remove, OUTPUT_PATIENCE, &[], || pidfile.remove());
            if !self.is_removed(errand)? {
                tracing::warn!(
                    "the file system of --pidfile does not answer: the file stays there"
                );
            }
        }
        self.sweeper.start(&self.inheritance);
        self.linger(|it| it.sweeper.is_idle())?;
        // The reader of standard output may be gone, as after --exit-with-stdin; the stop is no failure for that.
        let line = self.announced_as(&Announcement::Done(done));
        if let Err(error) = self.telling.output.print(&line) {
            tracing::debug!(error = error.desc(), "nobody reads standard output");
        }
        if !self.linger(|it| it.telling.output.unsent_len() == 0)? {
            tracing::warn!("nobody reads standard output: DONE is lost");
        }
        if let Some(file) = self.admin.take_file() {
            let errand = Errand::start(Purpose::Remove, OUTPUT_PATIENCE, &[], || file.remove());
            if !self.is_removed(errand)? {
                tracing::warn!(
                    "the file system of --admin does not answer: the socket's file stays there"
                );
            }
            file.leave();
        }
        // As late as can be: a predecessor that ends after this finds its successor dead, and removes the lock itself.
        if !self.predecessor_lives() {
            self.remove_lock()?;
        }
        self.inheritance.service.store.remove_lock_at_the_end(false);
        Ok(Leave::With(match (gave_up, cut) {
            (Some(_), _) => Exit::GaveUp,
            (None, 0) => Exit::Done,
            (None, _) => Exit::Cut,
        }))
    }

    fn remove_lock(&mut self) -> Flow {
        let store = &self.inheritance.service.store;
        if store.lock().is_none() {
            return Ok(());
        }
        let kept: Vec<_> = store.descriptors().collect();
        let remove = || store.remove_lock_for(Pid::parent());
        let errand = Errand::start(Purpose::Remove, OUTPUT_PATIENCE, &kept, remove);
        if !self.is_removed(errand)? {
            tracing::warn!("the file system of --root does not answer: a lock's file stays there");
        }
        Ok(())
    }

    /// Whether the child, since the file system may hang, came to an end.
    fn is_removed(&mut self, errand: nix::Result<Errand>) -> Flow<bool> {
        if let Some(earlier) = self.errand.take() {
            earlier.give_up();
        }
        match errand {
            Ok(errand) => self.errand = Some(errand),
            Err(error) => tracing::warn!(
                error = error.desc(),
                "no process can be started to remove a file of this server's"
            ),
        }
        self.linger(|it| it.errand.is_none())
    }

    /// When all workers are gone: waits until `is_over`, as long as something moves, and unless a signal says that this
    /// is long enough. Says whether it is.
    fn linger(&mut self, is_over: fn(&Self) -> bool) -> Flow<bool> {
        let mut until = Instant::now() + OUTPUT_PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if is_over(self) || left.is_zero() {
                return Ok(is_over(self));
            }
            let waiting = self.telling.output.unsent_len();
            let output = self.telling.output.poll_fd().into_iter();
            let news = self.events.wait(Some(left), None, output);
            for news in news.context("cannot wait for signals")? {
                match news {
                    News::Signal(Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT)
                    | News::InputEnded => return Ok(is_over(self)),
                    News::ChildDied => self.reap()?,
                    _ => {}
                }
            }
            let _ = self.telling.output.go_on();
            if self.telling.output.unsent_len() < waiting {
                until = Instant::now() + OUTPUT_PATIENCE;
            }
        }
    }

    /// Goes on telling those that had no room before: the reader of standard output, the service manager, the log.
    pub(super) fn go_on_telling(&mut self) -> Flow {
        if let Err(error) = self.telling.output.go_on() {
            tracing::warn!(
                error = error.desc(),
                "nobody reads standard output any more"
            );
            if self.announced.is_some() && self.predecessor_accepts() {
                return self.give_way("READY cannot be printed to its end");
            }
        }
        let since = self.announced.map(|since| since.elapsed());
        let is_said = |since| self.telling.output.unsent_len() == 0 || since >= OUTPUT_PATIENCE;
        if since.is_some_and(is_said) && !self.is_on_its_way_out() && !self.take_over() {
            return self.give_way("the server before this one stops, and takes this one with it");
        }
        self.telling.notices.go_on();
        logger::mention_lost_lines(&mut self.telling.mentioned_lines);
        Ok(())
    }

    /// This server does not take over: the one before it, which was not told to leave yet, goes on.
    fn give_way(&mut self, why: &str) -> Flow {
        tracing::error!("{why}: leaving to the server before this one");
        self.announced = None;
        self.stop = Some((Instant::now(), "stopped"));
        self.tell_roster(Event::HandOver)
    }

    /// When there is something to tell, to look again whether there is room.
    pub(super) fn next_telling(&self) -> Option<Duration> {
        let log = (logger::lost_lines() != self.telling.mentioned_lines).then_some(PAUSE);
        let announced = self.announced.filter(|_| self.predecessor_waits());
        let output = announced.map(|since| OUTPUT_PATIENCE.saturating_sub(since.elapsed()));
        let notices = self.telling.notices.next_try();
        log.into_iter().chain(output).chain(notices).min()
    }
}
