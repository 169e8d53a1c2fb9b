//! Listing the root: the names of its files, sorted, and never more of them in memory than a reply may carry.
//!
//! The names alone are listed, so a listing stays right until the folder's times change, if these are sure to change with
//! the folder: then [`Listing::known_by`] says by what the folder is known until then.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::time::{ClockId, clock_getres, clock_gettime};
use proto::FileName;
use proto::limits::LIST_LEN_MAX;

use super::StoreError;
use super::census::Census;

/// For how long a folder is left alone whose times may be in whole seconds, as on ext4 with small inodes.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

/// What a name costs in a reply beside its own bytes: two quotes and a comma.
const NAME_OVERHEAD_LEN: usize = 3;

/// Names of regular files, sorted by bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    names: Vec<FileName>,
    truncated: bool,
    known_by: Option<KnownBy>,
}

/// By what a listed folder is known until it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBy {
    times: Times,
    left_out: LeftOut,
}

/// What a listing leaves out: how many files, and the name of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct LeftOut {
    files: u64,
    example: Option<Vec<u8>>,
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

    /// By what the folder is known as long as this is what it holds; none if a change might not show.
    #[must_use]
    pub fn known_by(&self) -> Option<&KnownBy> {
        self.known_by.as_ref()
    }
}

/// Lists `directory`, and tells `census` what that leaves out. `shows_changes` says whether every change of the folder
/// changes its times.
pub(super) fn list(
    directory: &File,
    census: Census,
    shows_changes: bool,
) -> Result<Listing, StoreError> {
    let before = shows_changes.then(|| Times::settled(directory)).flatten();
    let mut left_out = LeftOut::default();
    let (shortlist, has_kinds) = read(directory, &mut left_out)?;
    census.record(left_out.files, left_out.example.as_deref());
    let mut listing = shortlist.finish();
    let is_known = |times: &Times| has_kinds && Times::of(directory) == Some(*times);
    listing.known_by = before
        .filter(is_known)
        .map(|times| KnownBy { times, left_out });
    Ok(listing)
}

/// Whether `directory` is still known by that; `census` is told what listing it again would leave out.
pub(super) fn is_known_by(directory: &File, census: Census, known_by: &KnownBy) -> bool {
    let KnownBy { times, left_out } = known_by;
    let is_known = Times::of(directory) == Some(*times);
    if is_known {
        census.record(left_out.files, left_out.example.as_deref());
    }
    is_known
}

/// Reads `directory`; says, too, whether the folder itself said of each entry what it is.
fn read(directory: &File, left_out: &mut LeftOut) -> Result<(Shortlist, bool), StoreError> {
    let mut shortlist = Shortlist::new(LIST_LEN_MAX);
    let mut has_kinds = true;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    // Opened anew each time: a descriptor's place in a directory is shared by all who inherited it.
    let mut entries = Dir::openat(directory, ".", flags, Mode::empty())?;
    for entry in entries.iter() {
        let entry = entry?;
        let kind = entry.file_type();
        has_kinds &= kind.is_some();
        if kind.is_some_and(|kind| kind != Type::File) {
            continue;
        }
        let bytes = entry.file_name().to_bytes();
        let Ok(name) = FileName::parse(bytes) else {
            // A leading dot is how one hides a file on purpose.
            if kind.is_some() && !bytes.starts_with(b".") {
                left_out.files += 1;
                left_out.example.get_or_insert_with(|| bytes.to_owned());
            }
            continue;
        };
        // Some file systems do not say what an entry is.
        if kind.is_some() || is_file(directory, &name).unwrap_or(false) {
            shortlist.add(name);
        }
    }
    Ok((shortlist, has_kinds))
}

/// When a folder's entries were last changed, and when the folder itself was: since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times([Duration; 2]);

impl Times {
    pub(super) const fn new(modified: Duration, changed: Duration) -> Self {
        Self([modified, changed])
    }

    fn of(directory: &File) -> Option<Self> {
        let metadata = directory.metadata().ok()?;
        let time = |seconds: i64, nanos: i64| {
            let nanos = u32::try_from(nanos).ok()?;
            Some(Duration::new(u64::try_from(seconds).ok()?, nanos))
        };
        let modified = time(metadata.mtime(), metadata.mtime_nsec())?;
        let changed = time(metadata.ctime(), metadata.ctime_nsec())?;
        Some(Self::new(modified, changed))
    }

    /// The folder's times, if its next change is sure to give it others. The clock is read first: a change that the reading
    /// which follows does not show is stamped with this time or a later one.
    fn settled(directory: &File) -> Option<Self> {
        let clock = ClockId::CLOCK_REALTIME_COARSE;
        let now = clock_gettime(clock).ok()?.into();
        let tick = clock_getres(clock).ok()?.into();
        Self::of(directory).filter(|times| times.are_settled(now, tick))
    }

    /// Whether a change at `now`, by a clock that goes forward in steps of `tick`, gets other times.
    pub(super) fn are_settled(&self, now: Duration, tick: Duration) -> bool {
        self.0.iter().all(|time| {
            let step = match time.subsec_nanos() {
                0 => WHOLE_SECONDS,
                _ => tick * 2,
            };
            *time + step < now
        })
    }
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
            known_by: None,
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
