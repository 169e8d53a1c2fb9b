//! Listing the root: the names of its files, sorted, and never more of them in memory than a reply may carry.

use std::fs::File;

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstatat};
use proto::FileName;
use proto::limits::LIST_LEN_MAX;

use super::StoreError;
use super::census::Census;

/// What a name costs in a reply beside its own bytes: two quotes and a comma.
const NAME_OVERHEAD_LEN: usize = 3;

/// Names of regular files, sorted by bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    names: Vec<FileName>,
    truncated: bool,
}

impl Listing {
    /// The names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &FileName> {
        self.names.iter()
    }

    /// Whether there were more names than [`LIST_LEN_MAX`] bytes of a reply hold; these are the first.
    #[must_use]
    pub const fn truncated(&self) -> bool {
        self.truncated
    }
}

/// Lists `directory`, and tells `census` what that leaves out.
pub(super) fn list(directory: &File, census: Census) -> Result<Listing, StoreError> {
    let mut shortlist = Shortlist::new(LIST_LEN_MAX);
    let (mut left_out, mut example) = (0, None);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    // Opened anew each time: a descriptor's place in a directory is shared by all who inherited it.
    let mut entries = Dir::openat(directory, ".", flags, Mode::empty())?;
    for entry in entries.iter() {
        let entry = entry?;
        let kind = entry.file_type();
        if kind.is_some_and(|kind| kind != Type::File) {
            continue;
        }
        let bytes = entry.file_name().to_bytes();
        let Ok(name) = FileName::parse(bytes) else {
            // A leading dot is how one hides a file on purpose.
            if kind.is_some() && !bytes.starts_with(b".") {
                left_out += 1;
                example.get_or_insert_with(|| bytes.to_owned());
            }
            continue;
        };
        // Some file systems do not say what an entry is.
        if kind.is_some() || is_file(directory, &name).unwrap_or(false) {
            shortlist.add(name);
        }
    }
    census.record(left_out, example.as_deref());
    Ok(shortlist.finish())
}

/// Whether `name` is a regular file, without opening it or following it anywhere.
pub(super) fn is_file(directory: &File, name: &FileName) -> nix::Result<bool> {
    let stat = fstatat(directory, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(kind_of(stat.st_mode) == SFlag::S_IFREG)
}

/// What kind of thing a mode belongs to.
pub(super) fn kind_of(mode: nix::libc::mode_t) -> SFlag {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT
}

/// The first names in order that fit into `len_max` bytes of a reply, whatever the order they are added in.
pub(super) struct Shortlist {
    names: Vec<FileName>,
    /// What is held now, in bytes of a reply: never more than twice the limit.
    pub(super) len: usize,
    len_max: usize,
    /// The first name known not to fit. It and all that sort after it are out for good.
    bound: Option<FileName>,
}

impl Shortlist {
    pub(super) const fn new(len_max: usize) -> Self {
        Self {
            names: Vec::new(),
            len: 0,
            len_max,
            bound: None,
        }
    }

    pub(super) fn add(&mut self, name: FileName) {
        if self.bound.as_ref().is_some_and(|bound| name >= *bound) {
            return;
        }
        self.len += reply_len(&name);
        self.names.push(name);
        // Cutting seldom keeps it cheap: each cut gets rid of half.
        if self.len > 2 * self.len_max {
            self.cut();
        }
    }

    pub(super) fn finish(mut self) -> Listing {
        self.cut();
        Listing {
            truncated: self.bound.is_some(),
            names: self.names,
        }
    }

    fn cut(&mut self) {
        self.names.sort_unstable();
        // A directory that changes while it is read may show a name twice.
        self.names.dedup();
        self.len = 0;
        for (index, name) in self.names.iter().enumerate() {
            let len = self.len + reply_len(name);
            if len > self.len_max {
                self.bound = self.names.drain(index..).next();
                return;
            }
            self.len = len;
        }
    }
}

fn reply_len(name: &FileName) -> usize {
    name.as_str().len() + NAME_OVERHEAD_LEN
}
