//! Opening and reading one file, and nothing that is not a file.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;
use proto::FileName;

use super::freeing::Opened;
use super::{Root, StoreError};
use crate::shared::encoded_cache::{FileKey, PIECE_LEN};

/// A file that is being read. It stays what it was when it was opened.
#[derive(Debug)]
pub struct Download {
    file: Opened,
    key: FileKey,
    len: u64,
}

impl Download {
    /// The file's length in bytes when it was opened.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// What the file was known by when it was opened.
    #[must_use]
    pub const fn key(&self) -> &FileKey {
        &self.key
    }

    /// Whether it is still known by that: neither its content nor its names have changed.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let metadata = self.file.metadata();
        metadata.is_ok_and(|now| FileKey::of(&now) == self.key)
    }

    /// Whether its content was changed in place, as far as its times tell.
    #[must_use]
    pub fn is_rewritten(&self) -> bool {
        let metadata = self.file.metadata();
        metadata.is_ok_and(|now| FileKey::of(&now).is_rewritten_since(&self.key))
    }

    /// Fills `buffer` from `offset` on. Files are not read through a cursor: it would be shared with every
    /// process that inherited the descriptor.
    ///
    /// # Errors
    /// What the kernel says; `UnexpectedEof` if the file has become shorter.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// How often a name is looked up whose file is denied. Landlock denies a file that is moved out of the root
/// between its being found and its being opened; the name then means something else, or nothing.
const LOOKS_MAX: u32 = 4;

/// Opens the regular file of that name.
pub(super) fn open(root: &Arc<Root>, name: &FileName) -> Result<Download, StoreError> {
    let directory = &root.directory;
    let look = || match open_beneath(directory, name) {
        // Linux before 5.6, or a sandbox that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => open_component(directory, name),
        result => result,
    };
    let is_settled = |opened: &nix::Result<OwnedFd>| !matches!(opened, Err(Errno::EACCES));
    let mut looks = (0..LOOKS_MAX).map(|_| look());
    let opened = looks.find(is_settled).unwrap_or(Err(Errno::EACCES));
    download(root, opened.map_err(StoreError::of_lookup)?)
}

/// Takes what was opened if it is a file: folders, FIFOs and devices open as readily.
pub(super) fn download(root: &Arc<Root>, opened: OwnedFd) -> Result<Download, StoreError> {
    let mut file = Opened::new(root, opened);
    let metadata = file.metadata()?;
    if metadata.len() <= PIECE_LEN as u64 {
        // It is read in one piece and closed, before it could become large.
        file.frees_little();
    }
    if !metadata.is_file() {
        return Err(StoreError::NotFound);
    }
    Ok(Download {
        file,
        key: FileKey::of(&metadata),
        len: metadata.len(),
    })
}

/// NONBLOCK: opening a FIFO must not wait for a writer.
const FLAGS: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

/// A [`FileName`] cannot leave the directory, and no link under that name can lead out of it.
fn open_beneath(directory: &File, name: &FileName) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(FLAGS).resolve(resolve);
    openat2(directory, name.as_str(), how)
}

/// The same without openat2: for a single component, NOFOLLOW says it all.
pub(super) fn open_component(directory: &File, name: &FileName) -> nix::Result<OwnedFd> {
    openat(directory, name.as_str(), FLAGS, Mode::empty())
}
