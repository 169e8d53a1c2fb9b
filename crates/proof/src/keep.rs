//! What a campaign has done: a line for each part, kept so that a campaign that was stopped goes on, and so that its
//! figures can be looked up.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use stress::host::environment::{COMMIT, machine};
use stress_data::machine::Machine;

/// The first line of a campaign's file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    campaign: String,
    commit: String,
    machine: Machine,
}

/// One part that was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) part: String,
    #[serde(flatten)]
    tally: Tally,
    /// What it took, of all that did it at once together.
    seconds: f64,
}

/// So many violations of a part are kept in words.
const WORDS_MAX: usize = 20;

/// What a part comes to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// What was tried, by kind.
    counts: BTreeMap<String, u64>,
    /// In words, the first of them.
    violations: Vec<String>,
    violation_count: u64,
    /// What it took before it came to its part.
    #[serde(skip)]
    elsewhere: Duration,
}

impl Tally {
    /// Adds what it took to come to this.
    pub(crate) fn took(&mut self, time: Duration) {
        self.elsewhere += time;
    }

    pub(crate) fn count(&mut self, what: &str, by: u64) {
        *self.counts.entry(what.to_owned()).or_default() += by;
    }

    /// Takes over what was found elsewhere.
    pub(crate) fn join(&mut self, other: Self) {
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        self.violation_count += other.violation_count;
        self.elsewhere += other.elsewhere;
        self.violations.extend(other.violations);
        self.violations.truncate(WORDS_MAX);
    }

    pub(crate) fn violation(&mut self, what: impl FnOnce() -> String) {
        self.violation_count += 1;
        if self.violations.len() < WORDS_MAX {
            self.violations.push(what());
        }
    }
}

/// Where a campaign's parts go.
#[derive(Debug)]
pub(crate) struct Keeper {
    campaign: &'static str,
    file: Option<File>,
    done: Vec<Part>,
    started: Instant,
}

impl Keeper {
    /// Keeps nothing.
    pub(crate) fn nowhere(campaign: &'static str) -> Self {
        Self {
            campaign,
            file: None,
            done: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Goes on with what the same commit has done on the same machine, or begins anew.
    pub(crate) fn open(folder: &Path, campaign: &'static str) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("--keep {}", folder.display()))?;
        let path = folder.join(format!("{campaign}.jsonl"));
        let head = Head {
            campaign: campaign.to_owned(),
            commit: COMMIT.to_owned(),
            machine: machine(),
        };
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = kept.lines();
        let is_ours = |line| serde_json::from_str(line).is_ok_and(|kept: Head| kept == head);
        let done: Vec<Part> = match lines.next().is_some_and(is_ours) {
            // A line that was not finished is not there.
            true => lines
                .map_while(|it| serde_json::from_str(it).ok())
                .collect(),
            false => Vec::new(),
        };
        let mut text = serde_json::to_string(&head)? + "\n";
        for part in &done {
            text += &(serde_json::to_string(part)? + "\n");
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            file: Some(OpenOptions::new().append(true).open(&path)?),
            done,
            ..Self::nowhere(campaign)
        })
    }

    /// Whether the part is done already.
    pub(crate) fn is_done(&self, name: &str) -> bool {
        self.done.iter().any(|part| part.part == name)
    }

    /// Does a part, unless it is done already.
    pub(crate) fn part(&mut self, name: &str, work: impl FnOnce(&mut Tally)) -> Result<()> {
        if self.is_done(name) {
            return Ok(());
        }
        let started = Instant::now();
        let mut tally = Tally::default();
        work(&mut tally);
        let part = Part {
            part: name.to_owned(),
            seconds: (started.elapsed() + tally.elsewhere).as_secs_f64(),
            tally,
        };
        println!("{part}");
        if let Some(file) = &mut self.file {
            file.write_all((serde_json::to_string(&part)? + "\n").as_bytes())?;
        }
        self.done.push(part);
        Ok(())
    }

    /// How much was tried, by the parts whose names begin so.
    pub(crate) fn sum(&self, prefix: &str, what: &str) -> u64 {
        let parts = self.done.iter().filter(|it| it.part.starts_with(prefix));
        parts.filter_map(|it| it.tally.counts.get(what)).sum()
    }

    /// Says what all parts come to, and how many violations there were.
    pub(crate) fn finish(self) -> u64 {
        let mut total = Part {
            part: format!("{}, {} parts", self.campaign, self.done.len()),
            tally: Tally::default(),
            seconds: self.started.elapsed().as_secs_f64(),
        };
        for part in self.done {
            total.tally.join(part.tally);
        }
        // Each stands below its part.
        total.tally.violations.clear();
        println!("{total}");
        total.tally.violation_count
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.part)?;
        for (what, count) in &self.tally.counts {
            write!(f, "{count} {what}, ")?;
        }
        write!(
            f,
            "{} violations ({:.1} s)",
            self.tally.violation_count, self.seconds
        )?;
        for violation in &self.tally.violations {
            write!(f, "\n    {violation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_took_what_was_done_elsewhere_too() {
        let mut keeper = Keeper::nowhere("a test");
        let work = |tally: &mut Tally| {
            for seconds in [40, 2] {
                let mut other = Tally::default();
                other.took(Duration::from_secs(seconds));
                tally.join(other);
            }
        };
        keeper.part("a part", work).unwrap();
        assert!(keeper.done[0].seconds >= 42.0, "{}", keeper.done[0]);
    }
}
