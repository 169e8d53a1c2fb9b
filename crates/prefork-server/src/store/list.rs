//! Listing the root.

use std::collections::BinaryHeap;
use std::fs::File;

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstatat};
use proto::FileName;
use proto::limits::LIST_LEN_MAX;

use super::StoreError;

/// Names of regular files, sorted by bytes.
#[derive(Debug)]
pub struct Listing {
    names: Vec<FileName>,
    truncated: bool,
}

impl Listing {
    /// The names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &FileName> {
        self.names.iter()
    }

    /// Whether there were more than [`LIST_LEN_MAX`] bytes of names; these are the first.
    #[must_use]
    pub const fn truncated(&self) -> bool {
        self.truncated
    }
}

pub(super) fn list(directory: &File) -> Result<Listing, StoreError> {
    list_at_most(directory, LIST_LEN_MAX)
}

/// Keeps the first names that fit, however many there are, and never more than that in memory.
pub(super) fn list_at_most(directory: &File, len_max: usize) -> Result<Listing, StoreError> {
    // The largest name on top: it is the one to go when there are too many.
    let mut names = BinaryHeap::new();
    let mut len = 0;
    let mut truncated = false;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut entries = Dir::openat(directory, ".", flags, Mode::empty())?;
    for entry in entries.iter() {
        let entry = entry?;
        let Ok(name) = FileName::parse(entry.file_name().to_bytes()) else {
            continue;
        };
        if !is_file(directory, &name, entry.file_type()) {
            continue;
        }
        len += wire_len(&name);
        names.push(name);
        while len > len_max {
            truncated = true;
            len -= names.pop().map_or(len, |name| wire_len(&name));
        }
    }
    Ok(Listing {
        names: names.into_sorted_vec(),
        truncated,
    })
}

/// The name, its quotes and its comma.
fn wire_len(name: &FileName) -> usize {
    name.as_str().len() + 3
}

fn is_file(directory: &File, name: &FileName, kind: Option<Type>) -> bool {
    match kind {
        Some(kind) => kind == Type::File,
        // Some file systems do not say.
        None => fstatat(directory, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| {
            SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
        }),
    }
}
