//! Opening and reading one file.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;
use proto::FileName;

use super::StoreError;

/// A file that is being read. It stays what it was when it was opened.
#[derive(Debug)]
pub struct Download {
    file: File,
    len: u64,
}

impl Download {
    /// The file's length in bytes when it was opened.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file was empty when it was opened.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// What the kernel says; `UnexpectedEof` if the file has become shorter.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

pub(super) fn open(directory: &File, name: &FileName) -> Result<Download, StoreError> {
    let file = File::from(open_beneath(directory, name)?);
    let metadata = file.metadata()?;
    // openat2 opens folders, FIFOs and devices as readily as files.
    if !metadata.is_file() {
        return Err(StoreError::NotFound);
    }
    Ok(Download {
        file,
        len: metadata.len(),
    })
}

/// A [`FileName`] cannot leave the directory, and no link under that name can lead out of it.
fn open_beneath(directory: &File, name: &FileName) -> nix::Result<OwnedFd> {
    // NONBLOCK: opening a FIFO must not wait for a writer.
    let flags = OFlag::O_RDONLY
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    match openat2(
        directory,
        name.as_str(),
        OpenHow::new().flags(flags).resolve(resolve),
    ) {
        // Linux before 5.6, or a sandbox that does not know the call. One component and NOFOLLOW say the same.
        Err(Errno::ENOSYS | Errno::EPERM) => openat(directory, name.as_str(), flags, Mode::empty()),
        result => result,
    }
}
