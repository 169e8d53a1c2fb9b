//! The files that all clients of a soak have in common: what was done with each, when, and what the answers were. All
//! of it together must be what one register would have answered.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use client::{Connection, Error, FileName};

use super::register::{self, Operation, What};
use crate::corpus::{Comparison, Content, Corpus, Salt, name, split_mix};

/// Few, so that several clients are at each at the same time.
pub(super) const FILES: u32 = 6;

/// What is at the start of a content that no other has.
const STAMP_LEN: usize = 8;

/// A content of a shared file: who uploaded it, and as which of its uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Version {
    pub(super) client: u32,
    pub(super) number: u32,
}

/// The contents of shared files: what a version says is what it is, its length too.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub(super) corpus: Corpus,
    pub(super) size_max: u64,
}

impl Contents {
    pub(super) fn len(&self, version: Version) -> u64 {
        let mut state = u64::from(version.client) << 32 | u64::from(version.number);
        STAMP_LEN as u64 + split_mix(&mut state) % (self.size_max + 1)
    }

    pub(super) fn content(&self, version: Version) -> Content {
        let salt = Salt::upload(version.client, version.number);
        self.corpus.content(salt, self.len(version))
    }
}

/// A sink that finds out which version it is given.
#[derive(Debug)]
pub(super) struct Recognition {
    contents: Contents,
    stamp: Vec<u8>,
    found: Option<(Version, Comparison)>,
}

impl Recognition {
    pub(super) fn among(contents: Contents) -> Self {
        Self {
            contents,
            stamp: Vec::new(),
            found: None,
        }
    }

    /// The version that came, if all of it did, and nothing else.
    pub(super) fn version(&self) -> Option<Version> {
        let (version, comparison) = self.found.as_ref()?;
        comparison.is_equal().then_some(*version)
    }
}

impl Write for Recognition {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some((_, comparison)) = &mut self.found {
            return comparison.write(bytes);
        }
        let len = bytes.len().min(STAMP_LEN - self.stamp.len());
        self.stamp.extend_from_slice(&bytes[..len]);
        if let Ok(stamp) = <[u8; STAMP_LEN]>::try_from(self.stamp.as_slice()) {
            let salt = u64::from_le_bytes(stamp);
            let version = Version {
                client: (salt >> 32) as u32,
                number: salt as u32,
            };
            let mut comparison = Comparison::with(self.contents.content(version));
            comparison.write_all(&stamp)?;
            self.found = Some((version, comparison));
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was done with each shared file.
#[derive(Debug, Clone)]
pub(super) struct History {
    files: Vec<Vec<Operation<Version>>>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            files: vec![Vec::new(); FILES as usize],
        }
    }
}

impl History {
    pub(super) fn add(&mut self, file: u32, operation: Operation<Version>) {
        self.files[file as usize].push(operation);
    }

    pub(super) fn join(&mut self, other: &Self) {
        for (ours, theirs) in self.files.iter_mut().zip(&other.files) {
            ours.extend(theirs);
        }
    }

    /// How many operations have an answer, and how many have none.
    pub(super) fn counts(&self) -> (u64, u64) {
        let all = || self.files.iter().flatten();
        let answered = all().filter(|it| it.end.is_some()).count();
        (answered as u64, (all().count() - answered) as u64)
    }

    /// The first answer about each file that fits no order, in words.
    pub(super) fn faults(&self) -> Vec<String> {
        let faults = self.files.iter().zip(0..).filter_map(|(operations, file)| {
            let name = shared_name(file);
            match register::check(operations).err()? {
                register::Fault::NoOrder(index) => {
                    let operation = operations[index];
                    Some(format!("{name}: no order gives {operation}"))
                }
                register::Fault::Undecided(index) => {
                    let operation = operations[index];
                    Some(format!(
                        "{name}: too much at once to decide, at {operation}"
                    ))
                }
            }
        });
        faults.collect()
    }
}

impl std::fmt::Display for Operation<Version> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = |it: Version| format!("upload {} of client {}", it.number, it.client);
        match self.what {
            What::Write(it) => write!(f, "{}", version(it))?,
            What::Delete { was_there } => write!(f, "a delete that found it: {was_there}")?,
            What::Read(Some(it)) => write!(f, "a download of {}", version(it))?,
            What::Read(None) => write!(f, "a download that found nothing")?,
            What::Exists(exists) => write!(f, "a list that has it: {exists}")?,
        }
        write!(f, ", asked at {:.6} s", self.begin.as_secs_f64())?;
        match self.end {
            Some(end) => write!(f, ", answered at {:.6} s", end.as_secs_f64()),
            None => write!(f, ", without an answer"),
        }
    }
}

/// The name of a shared file.
pub(super) fn shared_name(file: u32) -> FileName {
    name(&format!("shared-{file}.bin"))
}

/// What a shared file holds in the folder itself, once nobody serves it.
pub(super) fn stored(root: &Path, file: u32, contents: &Contents) -> io::Result<Option<Version>> {
    let mut sink = Recognition::among(contents.clone());
    match File::open(root.join(shared_name(file).as_str())) {
        Ok(mut file) => io::copy(&mut file, &mut sink)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let torn = || io::Error::other("holds none of what was uploaded");
    sink.version().map(Some).ok_or_else(torn)
}

/// Downloads a shared file, and says which version it holds.
pub(super) fn read(
    connection: &mut Connection,
    file: u32,
    contents: &Contents,
) -> Result<Option<Version>, Error> {
    let mut sink = Recognition::among(contents.clone());
    match connection.get(&shared_name(file), &mut sink, &mut ()) {
        Ok(_) => match sink.version() {
            Some(version) => Ok(Some(version)),
            None => Err(Error::Mismatch("none of what was uploaded".into())),
        },
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
