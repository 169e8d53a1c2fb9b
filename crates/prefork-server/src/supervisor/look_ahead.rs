//! HUP, USR1 and USR2 have files read, opened and started that are found by a name, on file systems that may hang. So a
//! child looks at all of them first, and the parent goes on meanwhile.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::{Flow, Supervisor};
use crate::supervisor::errand::{Errand, Purpose};
use crate::supervisor::program::Program;
use crate::supervisor::scarcity::{Limit, explained};
use crate::sys;

impl Supervisor {
    /// Does what the signal asks for, when a child has looked at the files. One more of a kind asks for what is to come anyway.
    pub(super) fn look_ahead(&mut self, signal: Signal) {
        if !self.looked_for.contains(&signal) {
            self.looked_for.push(signal);
        }
        self.look_for_the_next();
    }

    fn look_for_the_next(&mut self) {
        let Some(&signal) = self.looked_for.first().filter(|_| self.errand.is_none()) else {
            return;
        };
        let look = || match signal {
            Signal::SIGHUP => {
                if let Ok(config) = (self.reread)() {
                    let _ = config.root.metadata();
                }
            }
            Signal::SIGUSR1 => self.reopener.look(),
            _ => self.program.iter().for_each(Program::look),
        };
        let patience = self.inheritance.config.boot_timeout;
        match Errand::start(Purpose::Look, patience, &[], look) {
            Ok(errand) => self.errand = Some(errand),
            Err(error) => {
                self.looked_for.remove(0);
                let (refusal, _) = words(signal);
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
        let signal = self.looked_for.remove(0);
        let (refusal, _) = words(signal);
        match signal {
            _ if status != 0 => {
                tracing::error!("{refusal}: the process that was to look at the files was killed");
            }
            Signal::SIGHUP => self.reload()?,
            Signal::SIGUSR1 => self.reopener.reopen(),
            _ => self.upgrade(),
        }
        self.look_for_the_next();
        Ok(())
    }

    pub(super) fn give_up_looking(&mut self) {
        let is_overdue =
            |it: &mut Errand| it.purpose == Purpose::Look && it.until <= Instant::now();
        if let Some(errand) = self.errand.take_if(is_overdue) {
            errand.give_up();
            let signal = self.looked_for.remove(0);
            let (refusal, whose) = words(signal);
            tracing::error!(
                "{refusal}: the file system of {whose} has not answered for --boot-timeout; send {} again when it does",
                signal.as_str().trim_start_matches("SIG")
            );
            self.look_for_the_next();
        }
    }
}

/// What is not done, and whose file system hangs.
fn words(signal: Signal) -> (&'static str, &'static str) {
    match signal {
        Signal::SIGHUP => (
            "nothing is reloaded",
            "--config, of --root or of another file",
        ),
        Signal::SIGUSR1 => ("no log is opened anew", "--access-log or --log-file"),
        _ => ("not upgrading", "this program's file"),
    }
}
