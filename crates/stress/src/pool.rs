//! Client pools: N clients that start together.

pub mod process;
pub mod thread;

use crate::operation::Job;
use crate::record::{Outcome, Record};

/// What a pool did.
#[derive(Debug)]
pub(crate) struct Run {
    /// One for each planned operation, by client and request.
    pub(crate) records: Vec<Record>,
    /// CPU time of the clients, user and system.
    pub(crate) cpu_us: Option<u64>,
    /// VmHWM of the largest client process.
    pub(crate) peak_rss_bytes: Option<u64>,
    /// The user asked to stop meanwhile.
    pub(crate) interrupted: bool,
    /// Trouble, in words.
    pub(crate) notes: Vec<String>,
}

/// Puts the records in order, stamps the release, and makes one of outcome `missing` for each that is not there.
fn complete(job: &Job, mut records: Vec<Record>, released_ns: u64, missing: Outcome) -> Vec<Record> {
    records.sort_by_key(|record| (record.client, record.request));
    let mut there = records.into_iter().peekable();
    let planned = (0..job.clients).flat_map(|client| (0..job.requests).map(move |request| (client, request)));
    planned
        .map(|(client, request)| {
            let found = there.next_if(|record| (record.client, record.request) == (client, request));
            let lost = || Record { outcome: missing, ..Record::not_sent(client, request) };
            let mut record = found.unwrap_or_else(lost);
            record.released_ns = released_ns;
            record
        })
        .collect()
}
