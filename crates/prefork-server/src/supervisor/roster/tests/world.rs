//! The processes as the kernel would have them, and what a roster must never say of them: for the property tests, and
//! for the campaign that tries every short sequence of events.

use proto::status::ProcessState;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, Event, ProcessId, Roster, processes_max};

/// A process as the kernel would have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Alive {
    /// It is ready, and has not been told to leave.
    pub(super) serves: bool,
    pub(super) was_told: bool,
    /// What it was forked with.
    pub(super) settings: u32,
}

/// The processes as the kernel would have them, and the settings as the supervisor has them.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) alive: BTreeMap<ProcessId, Alive>,
    /// The youngest of each seat.
    youngest: BTreeMap<u32, u32>,
    /// The largest size that was asked for.
    pub(super) size_max: u32,
    /// In force, before the roll that is under way, and how many there have been.
    pub(super) settings: u32,
    settings_before: Option<u32>,
    settings_count: u32,
    is_announced: bool,
    pub(super) is_told_to_stop: bool,
    /// Those that were killed, and are not dead yet.
    pub(super) dying: Vec<ProcessId>,
    pub(super) spawn_fails: bool,
    pub(super) over: bool,
}

/// Why something must not be.
fn must(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

impl World {
    pub(super) fn of_size(size: u32) -> Self {
        Self {
            size_max: size,
            ..Self::default()
        }
    }

    /// Lets the roster know what happens, and what comes of it, until nothing does.
    pub(super) fn happen(
        &mut self,
        roster: &mut Roster,
        now: Duration,
        event: Event,
    ) -> Result<(), String> {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let was_stopping = roster.is_stopping();
            for action in roster.handle(now, event) {
                events.extend(self.obey(action, was_stopping, roster)?);
            }
        }
        must(roster.living() == self.alive.len(), || {
            format!("{} live, not {}", self.alive.len(), roster.living())
        })?;
        let serve = roster
            .processes()
            .filter(|(_, state)| *state == ProcessState::Serving);
        let serving = serve.count();
        let is_few = roster.is_stopping() || serving <= roster.wanted() as usize;
        must(is_few, || format!("{serving} serve"))?;
        // What is due has been done: nothing makes the supervisor's loop spin.
        let is_done = roster.next_deadline().is_none_or(|at| at > now);
        must(is_done, || "due, and not done".into())
    }

    /// Does what the roster says, and says what comes of it.
    pub(super) fn obey(
        &mut self,
        action: Action,
        was_stopping: bool,
        roster: &Roster,
    ) -> Result<Option<Event>, String> {
        must(!self.over, || format!("{action:?} after the end"))?;
        match action {
            Action::Spawn(id) => return self.spawn(id, was_stopping, roster).map(Some),
            Action::Retire(id) | Action::Cut(id) | Action::Hurry(id) => {
                let told = self.alive.get_mut(&id).ok_or("told nobody")?;
                let is_first = !(matches!(action, Action::Retire(_)) && told.was_told);
                must(is_first, || format!("{id:?} was told to retire twice"))?;
                (told.serves, told.was_told) = (false, true);
            }
            Action::Kill(id) => {
                must(self.alive.contains_key(&id), || "killed nobody".into())?;
                self.dying.push(id);
            }
            Action::Abort(id) => must(self.alive.contains_key(&id), || "aborted nobody".into())?,
            Action::Finish | Action::GiveUp(_) => {
                must(self.alive.is_empty(), || "ended before its workers".into())?;
                self.over = true;
            }
            Action::Rolled => {
                self.settings_before = None;
                for (id, it) in &self.alive {
                    let is_new = it.was_told || it.settings == self.settings;
                    must(id.seat >= roster.wanted() || is_new, || {
                        format!("{id:?} has settings {} after the roll", it.settings)
                    })?;
                }
            }
            Action::RollFailed => {
                self.settings = self.settings_before.take().ok_or("no roll failed")?;
            }
            Action::TellStop if !was_stopping && !self.is_told_to_stop => {
                let serve = self.alive.values().any(|it| it.serves);
                let is_right = !(self.is_announced && serve);
                must(is_right, || "gave up a pool that serves".into())?;
            }
            Action::Announce => self.is_announced = true,
            Action::TellDrain | Action::TellStop => {}
        }
        Ok(None)
    }

    fn spawn(
        &mut self,
        id: ProcessId,
        was_stopping: bool,
        roster: &Roster,
    ) -> Result<Event, String> {
        must(!was_stopping, || "a stopping roster spawned".into())?;
        must(id.seat < roster.wanted(), || "a seat too many".into())?;
        let youngest = self.youngest.insert(id.seat, id.generation).unwrap_or(0);
        let is_next = id.generation == youngest + 1;
        must(is_next, || format!("{id:?} comes after {youngest}"))?;
        if self.spawn_fails {
            return Ok(Event::SpawnFailed(id));
        }
        let born = Alive {
            serves: false,
            was_told: false,
            settings: self.settings,
        };
        self.alive.insert(id, born);
        let in_seat = self.alive.iter().filter(|(it, _)| it.seat == id.seat);
        let untold = in_seat.filter(|(_, it)| !it.was_told).count();
        must(untold <= 2, || "three processes in one seat".into())?;
        let total = self.alive.len();
        let is_bounded = total <= processes_max(self.size_max) as usize;
        must(is_bounded, || format!("{total} processes"))?;
        Ok(Event::Spawned(id))
    }

    /// What a process says when it is ready. It may say so again, or after it has been told to leave, or killed.
    pub(super) fn ready(&mut self, id: ProcessId) -> Event {
        let is_dying = self.dying.contains(&id);
        if let Some(process) = self.alive.get_mut(&id) {
            process.serves = !process.was_told && !is_dying;
        }
        Event::Ready(id)
    }

    /// A roll to a pool of this size.
    pub(super) fn roll(&mut self, size: u32) -> Event {
        if !self.is_told_to_stop {
            self.settings_before.get_or_insert(self.settings);
            self.settings_count += 1;
            self.settings = self.settings_count;
            self.size_max = self.size_max.max(size);
        }
        Event::Roll { size }
    }

    /// Another size of the pool.
    pub(super) fn resize(&mut self, size: u32) -> Event {
        self.size_max = self.size_max.max(size);
        Event::Resize(size)
    }

    /// One of the three ways to the end.
    pub(super) fn stop(&mut self, event: Event) -> Event {
        self.is_told_to_stop = true;
        event
    }
}
