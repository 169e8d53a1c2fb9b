//! The files of a row in the folder of a running server, put there and taken away through the server itself,
//! outside the measured window. What was in the folder before is neither replaced nor deleted.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::FileName;
use stress_data::fault::Fault;
use stress_data::matrix::{LIST_FILE_BYTES, Operation};
use stress_data::size::{counted, counted_as, with_commas};

use super::operation::Job;
use super::requester::{self, Requester, with_requester};
use crate::corpus::files::list_len;
use crate::corpus::{
    Corpus, Salt, download_name, list_names, slow_name, stalled_name, upload_name,
};
use crate::host::clock::Deadline;

/// How long one file may take to be deleted.
const DELETE_LIMIT: Duration = Duration::from_secs(10);
/// How long all of them may take together.
const CLEAR_LIMIT: Duration = Duration::from_secs(60);
/// The same for whoever has asked the run to stop.
const CLEAR_LIMIT_STOPPED: Duration = Duration::from_secs(10);
/// So many files that stay are named.
const NAMED_MAX: usize = 10;

/// What a row has in the folder.
pub(crate) struct Placed {
    /// All files that the row may leave there.
    names: Vec<FileName>,
    /// The CRC-32 of what its clients download.
    pub(crate) crc32: Option<u32>,
}

/// Why the folder is not as the row needs it.
pub(crate) struct NotPlaced {
    pub(crate) why: String,
    /// What was put there all the same.
    pub(crate) laid: Option<Placed>,
}

/// Puts there what the row needs; nothing if one of its names is taken.
pub(crate) fn lay_out(job: &Job, interrupt: &AtomicBool) -> Result<Placed, NotPlaced> {
    with_requester(job, interrupt, |requester| {
        let names = names(job);
        if let Err(why) = check_free(requester, &names) {
            return Err(NotPlaced { why, laid: None });
        }
        match put_all(requester, &names) {
            Ok(crc32) => Ok(Placed { names, crc32 }),
            Err(why) => {
                let laid = Some(Placed { names, crc32: None });
                Err(NotPlaced { why, laid })
            }
        }
    })
}

/// Every name that the row gives a file: its clients', and its faulty clients'.
fn names(job: &Job) -> Vec<FileName> {
    let (cell, requests) = (&job.cell, job.requests());
    let name = |text: &String| text.parse().expect("letters, digits and a dot make a name");
    let mut names: Vec<FileName> = match cell.operation {
        Operation::Download => vec![download_name(0)],
        Operation::List => list_names(list_len(cell.volume)).iter().map(name).collect(),
        Operation::Upload => (0..cell.clients)
            .flat_map(|client| (0..requests).map(move |request| upload_name(client, request)))
            .collect(),
    };
    match (cell.fault, cell.operation) {
        (Fault::SlowClient { clients, .. }, Operation::Upload) => {
            names.extend((0..clients).map(slow_name));
        }
        // Some servers store what came of an upload that was not finished.
        (Fault::StallClient { .. }, _) => names.push(stalled_name()),
        _ => {}
    }
    names
}

fn check_free(requester: &mut Requester<'_>, names: &[FileName]) -> Result<(), String> {
    let limit = requester.job().settings.timeout;
    let listing = requester
        .ask(limit, |connection| connection.list(&mut ()))
        .map_err(|error| format!("the target's folder cannot be listed: {error}"))?;
    if requester.job().cell.operation == Operation::List && !listing.names.is_empty() {
        return Err(format!(
            "the target's folder holds {} already: a list row needs it empty, or leave list out with --op download,upload",
            counted(listing.names.len() as u64, "file")
        ));
    }
    let there: HashSet<&str> = listing.names.iter().map(String::as_str).collect();
    let taken: Vec<&FileName> = names
        .iter()
        .filter(|name| there.contains(name.as_str()))
        .collect();
    if !taken.is_empty() {
        return Err(format!(
            "the target's folder holds {} already, which this row would replace and delete: delete what a killed run left there, or give your own files other names",
            listed(&taken)
        ));
    }
    match listing.truncated {
        true => Err(format!(
            "the target lists only the first {} files of its folder: whether another one would be replaced is not known; let it serve a folder with fewer files",
            with_commas(listing.names.len() as u64)
        )),
        false => Ok(()),
    }
}

/// Uploads what the clients of the row find there.
fn put_all(requester: &mut Requester<'_>, names: &[FileName]) -> Result<Option<u32>, String> {
    let Job { cell, settings, .. } = requester.job();
    let (operation, volume) = (cell.operation, cell.volume);
    let (limit, corpus) = (settings.timeout, Corpus::new(settings.seed));
    let mut put = |name: &FileName, len| {
        let mut content = corpus.content(Salt::DOWNLOAD, len);
        let sent = requester.ask(limit, |it| it.upload(name, &mut content, &mut ()));
        sent.map_err(|error| format!("{name} cannot be uploaded to the target's folder: {error}"))
    };
    match operation {
        Operation::Upload => Ok(None),
        Operation::Download => Ok(Some(put(&names[0], volume)?.crc32)),
        Operation::List => {
            let mut left = volume;
            for name in &names[..list_len(volume) as usize] {
                let len = left.min(LIST_FILE_BYTES);
                put(name, len)?;
                left -= len;
            }
            Ok(None)
        }
    }
}

/// Takes away what the row left there, each file whatever becomes of the others; says what stays.
pub(crate) fn clear_away(job: &Job, laid: &Placed, interrupt: &AtomicBool) -> Option<String> {
    let limit = match interrupt.load(Ordering::Relaxed) {
        true => CLEAR_LIMIT_STOPPED,
        false => CLEAR_LIMIT,
    };
    // Also for whoever has asked the run to stop: a second signal ends the harness at once.
    with_requester(job, &AtomicBool::new(false), |requester| {
        let deadline = Deadline::after(limit);
        let (mut left, mut why) = (Vec::new(), None);
        for name in &laid.names {
            let deleted = match deadline.check() {
                Ok(()) => delete(requester, name),
                Err(_) => Err(format!("not within {} s", limit.as_secs())),
            };
            if let Err(error) = deleted {
                left.push(name);
                why.get_or_insert(error);
            }
        }
        retain_listed(requester, &mut left);
        (!left.is_empty()).then(|| {
            let why = why.unwrap_or_default();
            let files = counted_as(left.len() as u64, "file stays", "files stay");
            format!("{files} in the target's folder ({}): {why}", listed(&left))
        })
    })
}

fn delete(requester: &mut Requester<'_>, name: &FileName) -> Result<(), String> {
    match requester.ask(DELETE_LIMIT, |connection| connection.delete(name)) {
        // What is not there need not go.
        Err(requester::Error::Failed(failure)) if failure.is_not_found() => Ok(()),
        deleted => deleted.map(drop).map_err(|error| error.to_string()),
    }
}

/// Without those that are not there: servers without codes refuse to delete them in the same words as others.
fn retain_listed(requester: &mut Requester<'_>, left: &mut Vec<&FileName>) {
    if left.is_empty() {
        return;
    }
    if let Ok(listing) = requester.ask(DELETE_LIMIT, |connection| connection.list(&mut ()))
        && !listing.truncated
    {
        let there: HashSet<&str> = listing.names.iter().map(String::as_str).collect();
        left.retain(|name| there.contains(name.as_str()));
    }
}

/// The first few of `names`.
fn listed(names: &[&FileName]) -> String {
    let named = names.iter().take(NAMED_MAX);
    let named: Vec<&str> = named.map(|name| name.as_str()).collect();
    match names.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {} more", named.join(", "), with_commas(more as u64)),
    }
}

#[cfg(test)]
mod tests;
