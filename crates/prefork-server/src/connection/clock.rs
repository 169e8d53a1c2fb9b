//! The clocks of one connection: deadlines for heads and idleness, a least rate for what moves.
//!
//! An inactivity timeout alone is not enough: one byte every 59 seconds would live for ever. So heads have a
//! deadline, and bodies and replies a least rate. The rate is charged only for time spent waiting for the
//! peer, and over a long window: a steady reader of 10 KiB/s shows as 4.7 over 20 s, because TCP windows open
//! in steps of 128 KiB.

use std::time::{Duration, Instant};

use crate::config::Clocks;
use crate::connection::session::{Lingering, Reading};

/// The longest a connection lingers after its last reply.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection that lingers after a refusal may be silent before it is closed.
const LINGER_SILENCE: Duration = Duration::from_millis(300);

/// The same for one that was between requests. It is short because a stop waits for it: 40 idle connections
/// on 2 workers took 6 s to drain with the longer one.
const LINGER_SILENCE_IDLE: Duration = Duration::from_millis(20);

/// So long after a body that is as long as a line of wrapped base64 nothing has followed: it was all. A tool's
/// second line comes in the same write as its first.
const SETTLING_SILENCE: Duration = Duration::from_millis(100);

/// How long a request waits for what another has in hand, the quota's books, before it is refused as one too many.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long it is left alone in between: as long as it has waited already, within these.
const STORE_PAUSE_MIN: Duration = Duration::from_millis(1);
const STORE_PAUSE_MAX: Duration = Duration::from_millis(10);

/// How long a connection that was accepted while draining may take to send its first byte: it was queued
/// before the stop, and its request may still be on its way.
const FIRST_BYTE_WHILE_DRAINING: Duration = Duration::from_secs(1);

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Something to read.
    For(Reading),
    /// Room to write.
    ToWrite,
    /// What a lingering peer still sends.
    ToClose(Lingering),
}

/// What a wait comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Wait, but not beyond this.
    Until(Instant),
    /// The peer has been silent for `--accept-unterminated`, or for long enough after a body that could go on.
    Silence,
    /// The peer has had its time.
    Expired,
}

/// One connection's clock. The time is always an argument.
#[derive(Debug)]
pub(crate) struct Clock {
    clocks: Clocks,
    accepted: Instant,
    waiting: Option<(Waiting, Instant)>,
    /// Since when the connection waits for the store, which is not the peer's fault.
    store_since: Option<Instant>,
    /// Since when the connection has been in a phase that has a deadline.
    phase: Option<(Waiting, Instant)>,
    /// No wait yet but for the first head, whose deadline counts from accept.
    in_first_head: bool,
    silence_told: bool,
    waited: Duration,
    moved_bytes: u64,
}

impl Clock {
    /// A clock for a connection accepted at `now`.
    #[must_use]
    pub(crate) const fn new(clocks: Clocks, now: Instant) -> Self {
        Self {
            clocks,
            accepted: now,
            waiting: None,
            store_since: None,
            phase: None,
            in_first_head: true,
            silence_told: false,
            waited: Duration::ZERO,
            moved_bytes: 0,
        }
    }

    /// Bytes moved: whatever was waited for has come. `now` is asked for only after a wait.
    pub(crate) fn moved(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        self.moved_bytes += bytes as u64;
        self.store_since = None;
        self.silence_told = false;
        if let Some((_, since)) = self.waiting.take() {
            self.waited += now().saturating_duration_since(since);
        }
    }

    /// The connection has to wait for the store: until when, before it tries again.
    pub(crate) fn wait_for_store(&mut self, now: Instant) -> Verdict {
        let since = *self.store_since.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        let pause = waited.clamp(STORE_PAUSE_MIN, STORE_PAUSE_MAX);
        match verdict(since + STORE_TIMEOUT, now) {
            Verdict::Until(deadline) => Verdict::Until(deadline.min(now + pause)),
            expired => expired,
        }
    }

    /// A part of a reply is out: what is waited for from here on in the way of heads is another request's.
    pub(crate) fn replied(&mut self) {
        self.in_first_head = false;
        if matches!(self.phase, Some((Waiting::For(reading), _)) if reading.is_of_a_head()) {
            self.phase = None;
        }
    }

    /// The connection has to wait. Called again for the same wait, it says whether that may go on.
    pub(crate) fn wait(&mut self, waiting: Waiting, now: Instant) -> Verdict {
        let since = match self.waiting {
            Some((same, since)) if same == waiting => since,
            _ => now,
        };
        self.waiting = Some((waiting, since));
        let phase_since = match self.phase {
            Some((same, since)) if same == waiting => since,
            _ => now,
        };
        if self.phase.is_none_or(|(before, _)| before != waiting) {
            self.waited = Duration::ZERO;
            self.moved_bytes = 0;
        }
        self.phase = Some((waiting, phase_since));
        self.in_first_head &= matches!(waiting, Waiting::For(Reading::First | Reading::Head));
        let deadline = match waiting {
            Waiting::For(Reading::First) => self.accepted + self.clocks.head_timeout,
            Waiting::For(Reading::Idle) => phase_since + self.clocks.idle_timeout,
            Waiting::For(Reading::Head) => return self.wait_in_head(since, phase_since, now),
            Waiting::For(Reading::Settling) => {
                return match verdict(since + SETTLING_SILENCE, now) {
                    Verdict::Expired => Verdict::Silence,
                    verdict => verdict,
                };
            }
            Waiting::For(Reading::Body) | Waiting::ToWrite => {
                return self.wait_in_transfer(since, now);
            }
            Waiting::ToClose(lingering) => {
                let silence = match lingering {
                    Lingering::Briefly => LINGER_SILENCE_IDLE,
                    Lingering::Fully => LINGER_SILENCE,
                };
                (phase_since + LINGER_TIMEOUT).min(since + silence)
            }
        };
        verdict(deadline, now)
    }

    /// How long a connection without a first byte may be kept while the server drains.
    #[must_use]
    pub(crate) fn wait_while_draining(&self, now: Instant) -> Verdict {
        verdict(self.accepted + FIRST_BYTE_WHILE_DRAINING, now)
    }

    /// A lingering connection has been silent: whether it may go on until its own reply has arrived, which the
    /// caller has found it has not.
    #[must_use]
    pub(crate) fn linger_on(&mut self, now: Instant) -> Verdict {
        let deadline = self.phase.map_or(now, |(_, since)| since + LINGER_TIMEOUT);
        match verdict(deadline, now) {
            Verdict::Until(deadline) => Verdict::Until(deadline.min(now + LINGER_SILENCE_IDLE)),
            expired => expired,
        }
    }

    fn wait_in_head(&mut self, since: Instant, phase_since: Instant, now: Instant) -> Verdict {
        let begun = if self.in_first_head {
            self.accepted
        } else {
            phase_since
        };
        let deadline = begun + self.clocks.head_timeout;
        match self.clocks.accept_unterminated {
            Some(silence) if !self.silence_told => {
                if now >= since + silence {
                    self.silence_told = true;
                    return Verdict::Silence;
                }
                verdict(deadline.min(since + silence), now)
            }
            _ => verdict(deadline, now),
        }
    }

    fn wait_in_transfer(&mut self, since: Instant, now: Instant) -> Verdict {
        let Clocks {
            rate_min_bytes_per_s,
            rate_window,
            ..
        } = self.clocks;
        if rate_min_bytes_per_s == 0 {
            return Verdict::Until(now + rate_window);
        }
        let waited = self.waited + now.saturating_duration_since(since);
        if waited >= rate_window {
            let least = rate_window.as_millis() * u128::from(rate_min_bytes_per_s) / 1000;
            if u128::from(self.moved_bytes) < least {
                return Verdict::Expired;
            }
            // A new window, from here.
            self.waited = Duration::ZERO;
            self.moved_bytes = 0;
            self.waiting = self.waiting.map(|(waiting, _)| (waiting, now));
            return Verdict::Until(now + rate_window);
        }
        Verdict::Until(now + (rate_window - waited))
    }
}

fn verdict(deadline: Instant, now: Instant) -> Verdict {
    if now >= deadline {
        Verdict::Expired
    } else {
        Verdict::Until(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCKS: Clocks = Clocks {
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
        rate_min_bytes_per_s: 4096,
        rate_window: Duration::from_secs(60),
        accept_unterminated: None,
    };

    const BODY: Waiting = Waiting::For(Reading::Body);
    const HEAD: Waiting = Waiting::For(Reading::Head);
    const FIRST: Waiting = Waiting::For(Reading::First);
    const IDLE: Waiting = Waiting::For(Reading::Idle);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_first_head_has_its_deadline_from_accept_however_its_bytes_trickle() {
        let start = Instant::now();
        let mut clock = Clock::new(CLOCKS, start);
        assert_eq!(
            clock.wait(FIRST, start),
            Verdict::Until(start + seconds(10))
        );
        for second in 1..10 {
            let now = start + seconds(second);
            clock.moved(1, || now);
            assert_eq!(
                clock.wait(HEAD, now),
                Verdict::Until(start + seconds(10)),
                "{second}"
            );
        }
        assert_eq!(clock.wait(HEAD, start + seconds(10)), Verdict::Expired);
    }

    #[test]
    fn a_later_head_has_its_deadline_from_its_own_start() {
        let start = Instant::now();
        let mut clock = Clock::new(CLOCKS, start);
        assert_eq!(
            clock.wait(IDLE, start + seconds(20)),
            Verdict::Until(start + seconds(50))
        );
        clock.moved(1, || start + seconds(40));
        assert_eq!(
            clock.wait(HEAD, start + seconds(40)),
            Verdict::Until(start + seconds(50))
        );
    }

    #[test]
    fn the_store_is_waited_for_in_short_pauses_and_not_for_ever() {
        let start = Instant::now();
        let mut clock = Clock::new(CLOCKS, start);
        let mut now = start;
        let mut tries = 0;
        while let Verdict::Until(until) = clock.wait_for_store(now) {
            assert!(until > now && until <= now + STORE_PAUSE_MAX);
            (now, tries) = (until, tries + 1);
        }
        assert_eq!(now, start + STORE_TIMEOUT);
        assert!((200..220).contains(&tries), "{tries}");
        clock.moved(1, || now);
        assert_eq!(
            clock.wait_for_store(now),
            Verdict::Until(now + STORE_PAUSE_MIN)
        );
    }

    #[test]
    fn whoever_goes_on_asking_is_not_idle() {
        let start = Instant::now();
        let mut clock = Clock::new(CLOCKS, start);
        for waiting in [IDLE, HEAD] {
            let deadline = if waiting == IDLE { 30 } else { 10 };
            for second in 0..100 {
                let now = start + seconds(second);
                assert_eq!(
                    clock.wait(waiting, now),
                    Verdict::Until(now + seconds(deadline))
                );
                clock.moved(7, || now);
                clock.moved(100, || now);
                clock.replied();
            }
        }
    }

    #[test]
    fn a_steady_trickle_below_the_least_rate_expires() {
        let start = Instant::now();
        let mut clock = Clock::new(CLOCKS, start);
        for second in 0..59 {
            let now = start + seconds(second);
            assert!(
                matches!(clock.wait(BODY, now), Verdict::Until(_)),
                "{second}"
            );
            clock.moved(1000, || now + seconds(1));
        }
        assert!(matches!(
            clock.wait(BODY, start + seconds(59)),
            Verdict::Until(_)
        ));
        assert_eq!(clock.wait(BODY, start + seconds(60)), Verdict::Expired);
    }

    #[test]
    fn a_peer_that_keeps_the_least_rate_never_expires() {
        let start = Instant::now();
        let mut clock = Clock::new(CLOCKS, start);
        for second in 0..600 {
            let now = start + seconds(second);
            assert!(
                matches!(clock.wait(BODY, now), Verdict::Until(_)),
                "{second}"
            );
            clock.moved(5000, || now + seconds(1));
        }
    }

    #[test]
    fn time_not_spent_waiting_for_the_peer_is_not_charged() {
        let start = Instant::now();
        let mut clock = Clock::new(CLOCKS, start);
        // Each hour of our own work is followed by a second of waiting, in which little comes.
        for hour in 0..50 {
            let now = start + seconds(hour * 3600);
            assert!(matches!(clock.wait(BODY, now), Verdict::Until(_)), "{hour}");
            clock.moved(1, || now + seconds(1));
        }
    }

    #[test]
    fn a_body_is_settled_by_silence_alone() {
        let start = Instant::now();
        let mut clock = Clock::new(CLOCKS, start);
        let settling = Waiting::For(Reading::Settling);
        let deadline = start + SETTLING_SILENCE;
        assert!(matches!(clock.wait(BODY, start), Verdict::Until(_)));
        clock.moved(78, || start);
        assert_eq!(clock.wait(settling, start), Verdict::Until(deadline));
        // A part of a verb has come.
        let later = start + SETTLING_SILENCE / 2;
        clock.moved(3, || later);
        let deadline = later + SETTLING_SILENCE;
        assert_eq!(clock.wait(settling, later), Verdict::Until(deadline));
        assert_eq!(clock.wait(settling, deadline), Verdict::Silence);
    }

    #[test]
    fn silence_is_told_once_and_only_inside_a_head() {
        let start = Instant::now();
        let pause = Duration::from_millis(50);
        let mut clock = Clock::new(
            Clocks {
                accept_unterminated: Some(pause),
                ..CLOCKS
            },
            start,
        );
        assert_eq!(
            clock.wait(FIRST, start + pause),
            Verdict::Until(start + seconds(10))
        );
        clock.moved(4, || start + pause);
        assert_eq!(
            clock.wait(HEAD, start + pause),
            Verdict::Until(start + pause * 2)
        );
        assert_eq!(clock.wait(HEAD, start + pause * 2), Verdict::Silence);
        assert_eq!(
            clock.wait(HEAD, start + pause * 3),
            Verdict::Until(start + seconds(10))
        );
    }
}
