//! One client of a soak: uploads, downloads, lists and deletes of its own files, and what it knows of them; and of those
//! that all share, of which only all together know what they may hold.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use client::{Connection, Error, FileName, Options};

use super::register::{Operation, What};
use super::shared::{self, Contents, History, shared_name};
use crate::corpus::{Comparison, Salt, split_mix, upload_name};

/// Files of one client: few, so that each is replaced often.
const FILES: u32 = 6;

/// One operation, connecting included. Far more than any takes on a machine that is not hanging.
const LIMIT: Duration = Duration::from_secs(60);

/// After a connection that could not be made.
const PAUSE: Duration = Duration::from_millis(10);

/// A content that a file may have: which version, and how long it is. None for no file.
pub(super) type Version = Option<(u32, u64)>;

/// What one client did, and what it knows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) client: u32,
    pub(super) uploads: u64,
    pub(super) downloads: u64,
    pub(super) lists: u64,
    pub(super) deletes: u64,
    pub(super) bytes: u64,
    /// Connections that stood and gave no whole answer.
    pub(super) cut: u64,
    /// How often something happened that must never happen.
    pub(super) faults: u64,
    /// The first of that, in words.
    pub(super) first_fault: Option<String>,
    /// What each file may hold: one version where the last word was acknowledged, more where an operation was
    /// cut and its fate is not known.
    pub(super) files: BTreeMap<u32, Vec<Version>>,
    /// What was done with the files that all share.
    pub(super) history: History,
}

/// A client at work.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) contents: Contents,
    /// What times are taken from, by all clients of a soak.
    pub(super) started: Instant,
    pub(super) random: u64,
    pub(super) version: u32,
    /// With the client's number.
    pub(super) tally: Tally,
}

impl Client {
    /// Works until it is over.
    pub(super) fn run(mut self, is_over: &AtomicBool) -> Tally {
        while !is_over.load(Ordering::SeqCst) {
            self.step();
        }
        self.tally
    }

    fn step(&mut self) {
        let options = Options {
            operation_timeout: Some(LIMIT),
            ..Options::default()
        };
        let mut connection = match Connection::connect(self.address, &options) {
            Ok(connection) => connection,
            Err(error) => {
                self.fault(&format!("cannot connect: {error}"));
                // Who is not there is not there the faster for being asked again at once.
                thread::sleep(PAUSE);
                return;
            }
        };
        let file = self.below(u64::from(FILES)) as u32;
        let result = match (self.below(16), self.below(2)) {
            (0..=6, 0) => self.upload(&mut connection, file),
            (0..=6, _) => self.upload_shared(&mut connection),
            (7..=12, 0) => self.download(&mut connection, file),
            (7..=12, _) => self.download_shared(&mut connection),
            (13..=14, _) => self.list(&mut connection),
            (_, 0) => self.delete(&mut connection, file),
            _ => self.delete_shared(&mut connection),
        };
        match result {
            Ok(()) => {}
            Err(Error::Reset(_) | Error::Eof | Error::BadReply(_)) => self.tally.cut += 1,
            Err(error) => self.fault(&format!(
                "{}: {error}",
                upload_name(self.tally.client, file)
            )),
        }
    }

    fn upload(&mut self, connection: &mut Connection, file: u32) -> Result<(), Error> {
        self.version += 1;
        let len = self.below(self.contents.size_max + 1);
        let version = Some((self.version, len));
        let mut content = self
            .contents
            .corpus
            .content(Salt::upload(self.tally.client, self.version), len);
        let name = upload_name(self.tally.client, file);
        match connection.upload(&name, &mut content, &mut ()) {
            Ok(stored) => {
                if !stored.verified {
                    self.fault(&format!("{name}: stored without a checksum"));
                }
                self.tally.uploads += 1;
                self.tally.bytes += len;
                self.tally.files.insert(file, vec![version]);
                Ok(())
            }
            Err(error) => {
                if error.leaves_fate_unknown() {
                    self.may_hold(file, version);
                }
                Err(error)
            }
        }
    }

    fn download(&mut self, connection: &mut Connection, file: u32) -> Result<(), Error> {
        let name = upload_name(self.tally.client, file);
        let versions = self.versions(file);
        let mut sinks: Vec<_> = versions
            .iter()
            .flatten()
            .map(|(version, len)| {
                let salt = Salt::upload(self.tally.client, *version);
                Comparison::with(self.contents.corpus.content(salt, *len))
            })
            .collect();
        let wrong = match connection.get(&name, &mut Every(&mut sinks), &mut ()) {
            Ok(got) => {
                self.tally.bytes += got.size;
                (!sinks.iter().any(Comparison::is_equal)).then_some("holds none of")
            }
            Err(error) if error.is_not_found() => {
                (!versions.contains(&None)).then_some("is gone, and should be")
            }
            Err(error) => return Err(error),
        };
        self.tally.downloads += 1;
        if let Some(wrong) = wrong {
            self.fault(&format!("{name}: {wrong} {versions:?}"));
        }
        Ok(())
    }

    fn list(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let begin = self.started.elapsed();
        let listing = connection.list(&mut ())?;
        self.tally.lists += 1;
        for file in 0..shared::FILES {
            let name = shared_name(file);
            let exists = listing.names.iter().any(|it| it == name.as_str());
            self.answered(file, begin, What::Exists(exists));
        }
        for file in 0..FILES {
            let name = upload_name(self.tally.client, file);
            let is_listed = listing.names.iter().any(|it| it == name.as_str());
            let versions = self.versions(file);
            let is_right = match is_listed {
                true => versions.iter().any(Option::is_some),
                false => versions.contains(&None),
            };
            if !is_right {
                self.fault(&format!(
                    "{name}: listed: {is_listed}, and should be {versions:?}"
                ));
            }
        }
        Ok(())
    }

    fn delete(&mut self, connection: &mut Connection, file: u32) -> Result<(), Error> {
        let name = upload_name(self.tally.client, file);
        let was_there = match delete(connection, &name) {
            Ok(was_there) => was_there,
            Err(error) => {
                if error.leaves_fate_unknown() {
                    self.may_hold(file, None);
                }
                return Err(error);
            }
        };
        self.tally.deletes += 1;
        if !was_there && !self.versions(file).contains(&None) {
            self.fault(&format!("{name}: cannot be deleted, and should be there"));
        }
        self.tally.files.insert(file, vec![None]);
        Ok(())
    }

    fn upload_shared(&mut self, connection: &mut Connection) -> Result<(), Error> {
        self.version += 1;
        let version = shared::Version {
            client: self.tally.client,
            number: self.version,
        };
        let file = self.below(u64::from(shared::FILES)) as u32;
        let begin = self.started.elapsed();
        let mut content = self.contents.content(version);
        match connection.upload(&shared_name(file), &mut content, &mut ()) {
            Ok(_) => {
                self.tally.uploads += 1;
                self.tally.bytes += self.contents.len(version);
                self.answered(file, begin, What::Write(version));
                Ok(())
            }
            Err(error) => self.unanswered(file, begin, What::Write(version), error),
        }
    }

    fn download_shared(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let file = self.below(u64::from(shared::FILES)) as u32;
        let begin = self.started.elapsed();
        let read = shared::read(connection, file, &self.contents)?;
        self.tally.downloads += 1;
        self.tally.bytes += read.map_or(0, |version| self.contents.len(version));
        self.answered(file, begin, What::Read(read));
        Ok(())
    }

    fn delete_shared(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let file = self.below(u64::from(shared::FILES)) as u32;
        let begin = self.started.elapsed();
        let was_there = match delete(connection, &shared_name(file)) {
            Ok(was_there) => was_there,
            Err(error) => {
                let delete = What::Delete { was_there: true };
                return self.unanswered(file, begin, delete, error);
            }
        };
        self.tally.deletes += 1;
        self.answered(file, begin, What::Delete { was_there });
        Ok(())
    }

    fn answered(&mut self, file: u32, begin: Duration, what: What<shared::Version>) {
        let end = Some(self.started.elapsed());
        let operation = Operation { what, begin, end };
        self.tally.history.add(file, operation);
    }

    fn unanswered(
        &mut self,
        file: u32,
        begin: Duration,
        what: What<shared::Version>,
        error: Error,
    ) -> Result<(), Error> {
        if error.leaves_fate_unknown() {
            let end = None;
            let operation = Operation { what, begin, end };
            self.tally.history.add(file, operation);
        }
        Err(error)
    }

    fn versions(&self, file: u32) -> Vec<Version> {
        self.tally.files.get(&file).cloned().unwrap_or(vec![None])
    }

    fn may_hold(&mut self, file: u32, version: Version) {
        let mut versions = self.versions(file);
        versions.push(version);
        self.tally.files.insert(file, versions);
    }

    fn fault(&mut self, what: &str) {
        self.tally.faults += 1;
        let number = self.tally.client;
        self.tally
            .first_fault
            .get_or_insert_with(|| format!("client {number}: {what}"));
    }

    fn below(&mut self, bound: u64) -> u64 {
        split_mix(&mut self.random) % bound
    }
}

/// Whether there was such a file.
fn delete(connection: &mut Connection, name: &FileName) -> Result<bool, Error> {
    match connection.delete(name) {
        Err(error) if error.is_not_found() => Ok(false),
        deleted => deleted.map(|_| true),
    }
}

/// Gives every sink all that comes.
struct Every<'a>(&'a mut [Comparison]);

impl std::io::Write for Every<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for sink in &mut *self.0 {
            sink.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
