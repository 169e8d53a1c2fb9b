//! What the log says of requests that failed on the server's side: the file, the client and the reason, at most once a
//! second for each reason. A client that asks for an unreadable file without end must not fill the disk with lines.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use proto::Verb;
use proto::announce::Limit;

use crate::connection::session::Failure;
use crate::store::StoreError;

/// How long nothing more is said of a reason once something was said.
const QUIET_TIME: Duration = Duration::from_secs(1);

/// One for each process: what is forked has its own.
static FAILURES: Mutex<Repeats> = Mutex::new(Repeats {
    reasons: Vec::new(),
});

/// There are failures that have not been mentioned: a round of a worker's loop looks at no lock before this.
static IS_OWING: AtomicBool = AtomicBool::new(false);

/// Says that a request failed, or counts it for the next line about its reason.
pub(crate) fn tell(failure: &Failure, peer: Option<SocketAddr>) {
    let reason = Reason::of(failure);
    let now = Instant::now();
    let Some(unmentioned) = with_failures(|failures| failures.happened(reason, now)) else {
        return IS_OWING.store(true, Relaxed);
    };
    let verb = failure.verb.map(Verb::as_str);
    let name = failure.name.as_ref().map(proto::FileName::as_str);
    let peer = peer.map(tracing::field::display);
    let (error, hint) = (reason.words(), reason.hint());
    let unmentioned = (unmentioned > 0).then_some(unmentioned);
    macro_rules! say {
        ($level:ident, $what:literal) => {
            tracing::$level!(verb, name, peer, error, hint, unmentioned, $what)
        };
    }
    match failure.is_broken_off {
        true => say!(warn, "a download broke off"),
        false => say!(error, "a request failed"),
    }
}

/// Says how many failures were not mentioned, once it has been quiet for long enough. A worker calls this in each round.
pub(crate) fn tell_of_unmentioned() {
    if !IS_OWING.load(Relaxed) {
        return;
    }
    IS_OWING.store(false, Relaxed);
    let (due, is_owing) = with_failures(|failures| failures.due(Instant::now()));
    for (reason, requests) in due {
        let verb = reason.verb.map(Verb::as_str);
        tracing::error!(
            verb,
            error = reason.words(),
            requests,
            "more requests failed"
        );
    }
    if is_owing {
        IS_OWING.store(true, Relaxed);
    }
}

fn with_failures<T>(what: impl FnOnce(&mut Repeats) -> T) -> T {
    what(&mut FAILURES.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What makes two failures alike. There are few: a handful of verbs, and of errors what file systems return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reason {
    verb: Option<Verb>,
    cause: Cause,
    is_broken_off: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Kernel(Errno),
    /// The file became shorter than it was when it was opened.
    CutShort,
    /// The file was changed in place when a part of it had been sent.
    Changed,
    /// The quota's books were open for as long as a request waits for them.
    BooksOpen,
    /// Clients have not taken the listings that they asked for.
    ListingsHeld,
}

impl Reason {
    fn of(failure: &Failure) -> Self {
        let cause = match &failure.error {
            StoreError::Io(error) | StoreError::Busy(error) => match error.raw_os_error() {
                Some(errno) => Cause::Kernel(Errno::from_raw(errno)),
                None if error.kind() == io::ErrorKind::UnexpectedEof => Cause::CutShort,
                None => Cause::Changed,
            },
            StoreError::ListingsHeld => Cause::ListingsHeld,
            _ => Cause::BooksOpen,
        };
        Self {
            verb: failure.verb,
            cause,
            is_broken_off: failure.is_broken_off,
        }
    }

    fn words(self) -> &'static str {
        match self.cause {
            Cause::Kernel(errno) => errno.desc(),
            Cause::CutShort => "the file became shorter while it was read",
            Cause::Changed => "the file was changed in place while it was sent",
            Cause::BooksOpen => "--root-max-bytes: its books were in use for too long",
            Cause::ListingsHeld => {
                "clients that ask for LIST and do not read it hold as many listings as there may be"
            }
        }
    }

    /// What to do about it, where that can be said.
    fn hint(self) -> Option<&'static str> {
        let Cause::Kernel(errno) = self.cause else {
            return None;
        };
        Some(match errno {
            Errno::EACCES | Errno::EPERM => {
                "the server's user may not do that with this file: change its owner or its mode"
            }
            Errno::EMFILE => Limit::RlimitNofile.remedy(),
            Errno::ENFILE => Limit::FileMax.remedy(),
            Errno::ENOMEM => Limit::Memory.remedy(),
            Errno::EIO => "the disk may be broken: see the kernel's log",
            Errno::ESTALE => "the root is gone: start the server anew once it is there",
            _ => return None,
        })
    }
}

/// What was said of each reason, and what was not.
#[derive(Debug)]
struct Repeats {
    reasons: Vec<(Reason, Said)>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    unmentioned: u64,
}

impl Repeats {
    /// It has happened again: whether that is to be said, and how often it was not.
    fn happened(&mut self, reason: Reason, now: Instant) -> Option<u64> {
        let Some((_, said)) = self.reasons.iter_mut().find(|(known, _)| *known == reason) else {
            let said = Said {
                at: now,
                unmentioned: 0,
            };
            self.reasons.push((reason, said));
            return Some(0);
        };
        if now.saturating_duration_since(said.at) < QUIET_TIME {
            said.unmentioned += 1;
            return None;
        }
        said.at = now;
        Some(std::mem::take(&mut said.unmentioned))
    }

    /// What has not been mentioned for long enough, and whether there is more.
    fn due(&mut self, now: Instant) -> (Vec<(Reason, u64)>, bool) {
        let mut due = Vec::new();
        for (reason, said) in &mut self.reasons {
            if said.unmentioned > 0 && now.saturating_duration_since(said.at) >= QUIET_TIME {
                said.at = now;
                due.push((*reason, std::mem::take(&mut said.unmentioned)));
            }
        }
        let is_owing = self.reasons.iter().any(|(_, said)| said.unmentioned > 0);
        (due, is_owing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(errno: Errno) -> Reason {
        Reason {
            verb: Some(Verb::Get),
            cause: Cause::Kernel(errno),
            is_broken_off: false,
        }
    }

    proptest! {
        /// However failures come and whenever it is looked for what is due: no reason is mentioned twice within a
        /// second, and each failure is in exactly one line in the end.
        #[test]
        fn a_reason_is_mentioned_once_a_second_and_no_failure_is_forgotten(
            steps in proptest::collection::vec((0..400u64, 0..3usize), 1..200),
        ) {
            let reasons = [Errno::EACCES, Errno::EIO].map(reason);
            let (mut repeats, mut now) = (Repeats { reasons: Vec::new() }, Instant::now());
            let mut mentioned_at = [None, None];
            let (mut happened, mut mentioned) = (0, 0);
            let mut mention = |index: usize, now: Instant, count: u64| {
                let before: Option<Instant> = mentioned_at[index].replace(now);
                mentioned += count;
                before.is_none_or(|before| now.duration_since(before) >= QUIET_TIME)
            };
            for (millis, what) in steps {
                now += Duration::from_millis(millis);
                match reasons.get(what) {
                    Some(reason) => {
                        happened += 1;
                        if let Some(unmentioned) = repeats.happened(*reason, now) {
                            prop_assert!(mention(what, now, unmentioned + 1));
                        }
                    }
                    None => for (reason, count) in repeats.due(now).0 {
                        let index = reasons.iter().position(|it| *it == reason).unwrap();
                        prop_assert!(mention(index, now, count));
                    },
                }
            }
            let (due, is_owing) = repeats.due(now + QUIET_TIME);
            prop_assert!(!is_owing);
            prop_assert_eq!(mentioned + due.iter().map(|(_, count)| count).sum::<u64>(), happened);
        }
    }
}
