//! One upload: written out of sight, then put under its name in one step.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate, renameat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, unlinkat};
use proto::FileName;

use super::{Durability, Root, StoreError, Temporaries, temporary};

/// Blocks are reserved in steps of this size. Without that, a rename over an existing file makes ext4 flush
/// what it had not yet placed on the disk: five uploads over one name went from 908–1,048 MB/s to 2,203–2,351.
const RESERVE_LEN: u64 = 8 << 20;

/// Pieces shorter than this are a small file's only one, which needs no reserve.
const RESERVE_FROM_LEN: usize = 128 << 10;

/// An upload that nobody sees until [`PendingUpload::commit`], and that leaves nothing when dropped.
#[derive(Debug)]
pub struct PendingUpload {
    root: Arc<Root>,
    file: File,
    name: FileName,
    /// The hidden name, if the file has one.
    hidden: Option<String>,
    len: u64,
    reserved_len: u64,
    reserves: bool,
}

impl PendingUpload {
    pub(super) fn create(root: &Arc<Root>, name: &FileName) -> Result<Self, StoreError> {
        let (file, hidden) = match root.temporaries {
            Temporaries::Tmpfile => (temporary::open_unnamed(&root.directory)?, None),
            Temporaries::Named => {
                let (file, hidden) = temporary::open_named(&root.directory)?;
                (file, Some(hidden))
            }
        };
        let upload = Self {
            root: Arc::clone(root),
            file: File::from(file),
            name: name.clone(),
            hidden,
            len: 0,
            reserved_len: 0,
            reserves: true,
        };
        upload.check_free_space()?;
        Ok(upload)
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has been written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `data`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::NoSpace`] or [`StoreError::Io`]; the upload is then to be dropped.
    pub fn write(&mut self, data: &[u8]) -> Result<(), StoreError> {
        let len = self.len + data.len() as u64;
        let len_max = self.root.options.upload_len_max;
        if len > len_max {
            return Err(StoreError::TooLarge(len_max));
        }
        if len > self.reserved_len && data.len() >= RESERVE_FROM_LEN {
            self.reserve()?;
        }
        self.file.write_all(data)?;
        self.len = len;
        Ok(())
    }

    /// Puts the file under its name, as durably as the store promises. The last complete upload wins.
    ///
    /// # Errors
    /// [`StoreError`]; the old content is intact then, and of the new one nothing is left. A failed sync is
    /// not tried again: the kernel may have dropped the pages it could not write.
    pub fn commit(mut self) -> Result<(), StoreError> {
        if self.reserved_len > self.len {
            self.file.set_len(self.len)?;
        }
        match self.root.options.durability {
            Durability::None => {}
            Durability::Data => self.file.sync_data()?,
            Durability::Full => self.file.sync_all()?,
        }
        let hidden = match self.hidden.take() {
            Some(hidden) => hidden,
            None => temporary::link_unnamed(&self.root.directory, &self.file)?,
        };
        let directory = &self.root.directory;
        // From here on the name has to go if the rename fails.
        let hidden = self.hidden.insert(hidden);
        renameat(directory, hidden.as_str(), directory, self.name.as_str())?;
        self.hidden = None;
        if self.root.options.durability == Durability::Full {
            self.root.directory.sync_all()?;
        }
        Ok(())
    }

    /// Reserves the next blocks, and looks whether that leaves the disk as free as it has to be.
    fn reserve(&mut self) -> Result<(), StoreError> {
        self.check_free_space()?;
        self.reserved_len += RESERVE_LEN;
        if self.reserves {
            let start = (self.reserved_len - RESERVE_LEN).cast_signed();
            let flags = FallocateFlags::FALLOC_FL_KEEP_SIZE;
            match fallocate(&self.file, flags, start, RESERVE_LEN.cast_signed()) {
                Ok(()) | Err(Errno::EINTR) => {}
                // The file may still fit where its reserve does not: from here on only the writes themselves tell.
                Err(_) => self.reserves = false,
            }
        }
        Ok(())
    }

    fn check_free_space(&self) -> Result<(), StoreError> {
        let min_free_bytes = self.root.options.min_free_bytes;
        if min_free_bytes == 0 {
            return Ok(());
        }
        let stat = fstatvfs(&self.file)?;
        let free_bytes = u64::from(stat.blocks_available()).saturating_mul(stat.fragment_size());
        if free_bytes < min_free_bytes {
            Err(StoreError::NoSpace)
        } else {
            Ok(())
        }
    }
}

impl Drop for PendingUpload {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            let _ = unlinkat(
                &self.root.directory,
                hidden.as_str(),
                UnlinkatFlags::NoRemoveDir,
            );
        }
    }
}
