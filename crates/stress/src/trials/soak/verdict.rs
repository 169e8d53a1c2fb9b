//! Whether a soaked server kept its promises: each is a line with what was found.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use proto::announce::Done;
use serde::Serialize;
use stress_data::size::{counted, with_commas};

use super::client::{Tally, Version};
use super::disruptions::Disruptions;
use super::register::{Operation, What};
use super::shared::{self, Contents, History, shared_name};
use crate::corpus::{Comparison, Corpus, Salt, upload_name};

/// The outcome of a soak.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Verdict {
    /// How long the load lasted.
    seconds: f64,
    /// How many clients there were.
    clients: usize,
    /// Operations that were answered rightly: the sum of the next four.
    operations: u64,
    /// Uploads among them.
    uploads: u64,
    /// Downloads among them.
    downloads: u64,
    /// Listings among them.
    lists: u64,
    /// Deletes among them.
    deletes: u64,
    /// Content bytes that they moved.
    bytes: u64,
    /// Answers about the files that all clients share; a listing is one about each.
    shared_operations: u64,
    /// Workers that were killed.
    kills: u32,
    /// Reloads that came to their end.
    reloads: u32,
    /// Upgrades that came to their end.
    upgrades: u32,
    /// Worker processes that there were in all.
    generations: u32,
    /// Connections that stood and gave no answer, as the clients counted.
    cut: u64,
    /// Connections that killed workers had in hand, as the servers' ledgers say.
    aborted_by_crash: u64,
    /// All that has to hold.
    promises: Vec<Promise>,
}

/// Something that has to hold.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Promise {
    /// Whether it does.
    holds: bool,
    /// What it is.
    what: &'static str,
    /// What was found, for a person.
    found: String,
}

impl Verdict {
    pub(super) fn new(
        tallies: &[Tally],
        ledgers: &[Done],
        disruptions: &Disruptions,
        root: &Path,
        contents: &Contents,
        soaked: Duration,
    ) -> Self {
        let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
        let (uploads, downloads) = (sum(|it| it.uploads), sum(|it| it.downloads));
        let (lists, deletes) = (sum(|it| it.lists), sum(|it| it.deletes));
        let connections = |of: fn(&Done) -> u64| ledgers.iter().map(of).sum::<u64>();
        let mut verdict = Self {
            seconds: soaked.as_secs_f64(),
            clients: tallies.len(),
            operations: uploads + downloads + lists + deletes,
            uploads,
            downloads,
            lists,
            deletes,
            bytes: sum(|it| it.bytes),
            shared_operations: 0,
            kills: disruptions.kills,
            reloads: disruptions.reloads.done,
            upgrades: disruptions.upgrades.done,
            generations: ledgers
                .iter()
                .flat_map(|done| &done.workers)
                .map(|worker| worker.generations)
                .sum(),
            cut: sum(|it| it.cut),
            aborted_by_crash: connections(|done| done.sum.connections.aborted_by_crash),
            promises: Vec::new(),
        };
        verdict.judge_life(disruptions);
        verdict.judge_clients(tallies);
        verdict.judge_root(tallies, root, &contents.corpus);
        verdict.judge_shared(tallies, root, contents, soaked);
        verdict.judge_ledgers(ledgers, disruptions);
        verdict
    }

    pub(crate) fn holds(&self) -> bool {
        self.promises.iter().all(|promise| promise.holds)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn promise(&mut self, what: &'static str, holds: bool, found: impl Into<String>) {
        let found = found.into();
        self.promises.push(Promise { holds, what, found });
    }

    fn judge_life(&mut self, disruptions: &Disruptions) {
        let found = match &disruptions.lost {
            None => format!("{:.1} s", self.seconds),
            Some(why) => format!("after {:.1} s {why}", self.seconds),
        };
        let what = "the server ran until it was told to stop";
        self.promise(what, disruptions.lost.is_none(), found);
    }

    fn judge_clients(&mut self, tallies: &[Tally]) {
        let faults = tallies.iter().map(|tally| tally.faults).sum();
        let first = tallies.iter().find_map(|tally| tally.first_fault.as_ref());
        let found = match first {
            None => counted(self.operations, "answer"),
            Some(first) => format!("{}, the first: {first}", counted(faults, "fault")),
        };
        self.promise("every answer was right", faults == 0, found);
    }

    fn judge_root(&mut self, tallies: &[Tally], root: &Path, corpus: &Corpus) {
        let (mut right, mut wrong, mut undecided) = (0u64, Vec::new(), 0u64);
        for tally in tallies {
            for (file, versions) in &tally.files {
                let path = root.join(upload_name(tally.client, *file).as_str());
                undecided += u64::from(versions.len() > 1);
                match holds_one_of(&path, versions, corpus, tally.client) {
                    Ok(true) => right += 1,
                    Ok(false) => wrong.push(format!("{}: none of {versions:?}", path.display())),
                    Err(error) => wrong.push(format!("{}: {error}", path.display())),
                }
            }
        }
        let found = match wrong.first() {
            None if undecided == 0 => counted(right, "file"),
            None => format!(
                "{}, {undecided} of them as before or after a change that was cut off",
                counted(right, "file")
            ),
            Some(first) => {
                format!(
                    "{} wrong, the first: {first}",
                    counted(wrong.len() as u64, "file")
                )
            }
        };
        self.promise(
            "every acknowledged upload is there, whole",
            wrong.is_empty(),
            found,
        );
        let hidden: Vec<String> = fs::read_dir(root)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            // A server's lock stays where another server goes on.
            .filter(|name| name.starts_with('.') && name != ".prefork-lock")
            .collect();
        self.promise(
            "no temporary is left",
            hidden.is_empty(),
            counted(hidden.len() as u64, "hidden file"),
        );
    }

    fn judge_shared(
        &mut self,
        tallies: &[Tally],
        root: &Path,
        contents: &Contents,
        soaked: Duration,
    ) {
        let mut history = History::default();
        for tally in tallies {
            history.join(&tally.history);
        }
        let (answered, unanswered) = history.counts();
        self.shared_operations = answered;
        let mut faults = Vec::new();
        // What is stored in the end is an answer too.
        for file in 0..shared::FILES {
            match shared::stored(root, file, contents) {
                Ok(stored) => history.add(file, Operation::at(soaked, What::Read(stored))),
                Err(error) => faults.push(format!("{}: {error}", shared_name(file))),
            }
        }
        faults.extend(history.faults());
        let found = match faults.first() {
            None => format!(
                "{}, {} without",
                counted(answered, "answer"),
                with_commas(unanswered)
            ),
            Some(first) => {
                let files = counted(faults.len() as u64, "file");
                format!("{files} wrong, the first: {first}")
            }
        };
        let what = "of each file that all share, some order of what was done gives every answer";
        self.promise(what, faults.is_empty(), found);
    }

    fn judge_ledgers(&mut self, ledgers: &[Done], disruptions: &Disruptions) {
        let expected = 1 + disruptions.upgrades.done as usize;
        self.promise(
            "every server left its ledger",
            ledgers.len() == expected,
            format!("{} of {expected}", ledgers.len()),
        );
        let unbalanced = ledgers.iter().filter(|done| !done.balanced).count();
        let in_flight: u64 = ledgers
            .iter()
            .map(|done| done.sum.connections.in_flight + done.sum.requests.in_flight)
            .sum();
        self.promise(
            "every ledger balances",
            unbalanced == 0 && in_flight == 0,
            format!("{unbalanced} do not, {in_flight} in flight"),
        );
        let kills = u64::from(self.kills);
        self.promise(
            "the clients' failures are connections that killed workers had in hand",
            self.cut <= self.aborted_by_crash + kills,
            format!(
                "{}, {} in the ledgers, {}",
                counted(self.cut, "failure"),
                with_commas(self.aborted_by_crash),
                counted(kills, "kill"),
            ),
        );
        let crashes: u64 = ledgers.iter().map(|done| u64::from(done.crashes)).sum();
        self.promise(
            "no worker died but those that were killed",
            crashes <= kills,
            format!("{}, {}", counted(crashes, "death"), counted(kills, "kill")),
        );
        let ok: u64 = ledgers.iter().map(|done| done.sum.requests.ok.upload).sum();
        self.promise(
            "every acknowledged upload is in the ledgers",
            self.uploads <= ok && ok <= self.uploads + self.cut,
            format!(
                "{} acknowledged, {} in the ledgers",
                with_commas(self.uploads),
                with_commas(ok)
            ),
        );
        let (reloads, upgrades) = (&disruptions.reloads, &disruptions.upgrades);
        let whys = [&reloads.why, &upgrades.why].into_iter().flatten();
        let whys: String = whys.map(|why| format!("; {why}")).collect();
        self.promise(
            "every reload and upgrade came to its end",
            reloads.asked == reloads.done && upgrades.asked == upgrades.done,
            format!(
                "{} of {}, {} of {}{whys}",
                reloads.done,
                counted(reloads.asked.into(), "reload"),
                upgrades.done,
                counted(upgrades.asked.into(), "upgrade")
            ),
        );
    }
}

fn holds_one_of(
    path: &Path,
    versions: &[Version],
    corpus: &Corpus,
    client: u32,
) -> io::Result<bool> {
    for version in versions {
        let is_it = match (version, fs::File::open(path)) {
            (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => true,
            (Some(_), Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
            (None, Ok(_)) => false,
            (_, Err(error)) => return Err(error),
            (Some((version, len)), Ok(mut file)) => {
                let content = corpus.content(Salt::upload(client, *version), *len);
                let mut comparison = Comparison::with(content);
                io::copy(&mut file, &mut comparison)?;
                comparison.is_equal()
            }
        };
        if is_it {
            return Ok(true);
        }
    }
    Ok(false)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.1} s, {}: {} ({}, {}, {}, {}), {}",
            self.seconds,
            counted(self.clients as u64, "client"),
            counted(self.operations, "operation"),
            counted(self.uploads, "upload"),
            counted(self.downloads, "download"),
            counted(self.lists, "list"),
            counted(self.deletes, "delete"),
            counted(self.bytes, "byte"),
        )?;
        writeln!(
            f,
            "{}, {}, {}, {}",
            counted(self.kills.into(), "kill"),
            counted(self.reloads.into(), "reload"),
            counted(self.upgrades.into(), "upgrade"),
            counted(self.generations.into(), "worker generation"),
        )?;
        for promise in &self.promises {
            let word = if promise.holds { "ok    " } else { "BROKEN" };
            writeln!(f, "{word}  {}: {}", promise.what, promise.found)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schemas_are_what_the_types_say() {
        crate::schemas::keep::<super::Verdict>("soak", "stress soak --json");
    }
}
