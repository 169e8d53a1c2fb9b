//! HUP, USR1 and USR2 have files read, opened and started that are found by a name, on file systems that may hang, and an
//! upgrade that fails leaves files to be taken back. So a child looks at all of them first, and the parent goes on meanwhile.

use std::time::Instant;

use super::{Flow, Supervisor};
use crate::supervisor::errand::{Errand, Purpose, Step};
use crate::supervisor::program::Program;
use crate::supervisor::scarcity::{Limit, explained};
use crate::sys;

impl Supervisor {
    /// Takes the step when a child has looked at the files. One more of a kind is to come anyway.
    pub(super) fn look_ahead(&mut self, step: Step) -> Flow {
        if !self.looked_for.contains(&step) {
            self.looked_for.push(step);
        }
        self.look_for_the_next();
        Ok(())
    }

    fn look_for_the_next(&mut self) {
        let Some(&step) = self.looked_for.first().filter(|_| self.errand.is_none()) else {
            return;
        };
        let config = &self.inheritance.config;
        let look_at_names = || {
            for path in [&config.pidfile, &config.admin].into_iter().flatten() {
                let _ = path.symlink_metadata();
            }
        };
        let look_at_settings = || {
            if let Ok(config) = (self.reread)() {
                let _ = config.root.metadata();
            }
        };
        let look = || match step {
            Step::Reload => look_at_settings(),
            Step::Reopen => self.reopener.look(),
            // All that the new server opens, which has the port and the root's lock by then.
            Step::Upgrade => {
                self.program.iter().for_each(Program::look);
                look_at_settings();
                self.reopener.look();
                look_at_names();
            }
            Step::TakeNamesBack => look_at_names(),
        };
        let patience = self.inheritance.config.boot_timeout;
        match Errand::start(Purpose::Look, patience, &[], look) {
            Ok(errand) => self.errand = Some(errand),
            Err(error) => {
                self.looked_for.remove(0);
                let (refusal, ..) = words(step);
                let what = format!("{refusal}: no process can be started to look at the files");
                tracing::error!("{:#}", explained(&what, error));
                let _ = self.shortages.book(Instant::now(), || Limit::behind(error));
            }
        }
    }

    /// Whether `dead` was the child that looked.
    pub(super) fn has_looked_ahead(&mut self, dead: &sys::Reaped) -> bool {
        let errand = self.errand.take_if(|it| it.is(dead.pid));
        errand.is_some_and(|it| it.purpose == Purpose::Look)
    }

    /// The child that looked came to its end, or was killed.
    pub(super) fn go_ahead(&mut self, status: i32) -> Flow {
        let step = self.looked_for.remove(0);
        let (refusal, ..) = words(step);
        match step {
            _ if status != 0 => {
                tracing::error!("{refusal}: the process that was to look at the files was killed");
            }
            Step::Reload => self.reload()?,
            Step::Reopen => self.reopener.reopen(),
            Step::Upgrade => self.upgrade(),
            Step::TakeNamesBack => self.take_names_back(),
        }
        self.look_for_the_next();
        Ok(())
    }

    pub(super) fn give_up_looking(&mut self) {
        let is_overdue =
            |it: &mut Errand| it.purpose == Purpose::Look && it.until <= Instant::now();
        if let Some(errand) = self.errand.take_if(is_overdue) {
            errand.give_up();
            let (refusal, whose, cure) = words(self.looked_for.remove(0));
            tracing::error!(
                "{refusal}: the file system of {whose} has not answered for --boot-timeout; {cure} when it does"
            );
            self.look_for_the_next();
        }
    }
}

/// What is not done, whose file system hangs, and what to do.
fn words(step: Step) -> (&'static str, &'static str, &'static str) {
    match step {
        Step::Reload => (
            "nothing is reloaded",
            "--config, of --root or of another file",
            "send HUP again",
        ),
        Step::Reopen => (
            "no log is opened anew",
            "--access-log or --log-file",
            "send USR1 again",
        ),
        Step::Upgrade => (
            "not upgrading",
            "this program's file, or of another that a new server opens,",
            "send USR2 again",
        ),
        Step::TakeNamesBack => (
            "cannot take the pidfile and the admin socket back",
            "--pidfile or --admin",
            "start the server anew",
        ),
    }
}
