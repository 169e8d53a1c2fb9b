//! One upload: written out of sight, then put under its name in one step.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FallocateFlags, fallocate, renameat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, fstatat};
use proto::FileName;

use super::freeing::Opened;
use super::list::kind_of;
use super::quota::{self, Claim, Quota, QuotaGuard};
use super::{Durability, Root, StoreError, Temporaries, file_system, temporary};
use crate::sys;

/// What a file keeps of the one that it replaces.
const READ_AND_WRITE: Mode = Mode::from_bits_truncate(0o666);

/// What a file has that replaces none, less the umask.
const NEW: Mode = Mode::from_bits_truncate(0o644);

/// Blocks are reserved in steps, of this size at most. Without that, a rename over an existing file makes ext4 flush
/// what it had not yet placed on the disk: five uploads over one name went from 908–1,048 MB/s to 2,203–2,351.
const RESERVE_LEN_MAX: u64 = 8 << 20;

/// Pieces shorter than this are a small file's only one, or a large one's last: they need no reserve.
const RESERVE_FROM_LEN: u64 = 128 << 10;

/// What was seen of the disk when an upload began is good for a first piece that came with its head: less time than others
/// need to fill it.
const SEEN_JUST_NOW: Duration = Duration::from_millis(1);

/// A durable upload begins to write what it has got to the disk in steps of this size, and waits for the step before. So
/// no more than two steps are left for the fsync at its end, however large it is and however slow the disk.
pub(crate) const WRITEBACK_LEN: u64 = 16 << 20;

/// An upload that nobody sees until [`PendingUpload::commit`], and that leaves nothing when dropped.
#[derive(Debug)]
pub struct PendingUpload {
    root: Arc<Root>,
    file: Opened,
    name: FileName,
    /// The hidden name, if the file has one.
    hidden: Option<String>,
    len: u64,
    /// Up to here the kernel has been told to write it to the disk.
    begun_len: u64,
    /// How much may still be filled, and when that was seen.
    spare: Option<(u64, Instant)>,
    /// The file may grow to this length before anybody needs to look for room again.
    room_len: u64,
    reserves: bool,
    /// Blocks beyond the end may have been reserved, which a commit gives back.
    reserved: bool,
    /// How large the file is that this one is to replace, as far as is known.
    replaced_len: u64,
    /// What it takes up of the quota, if there is one.
    claim: Option<Claim>,
    /// The content is whole, and as durable as it is to be: only the name is missing.
    is_complete: bool,
}

impl PendingUpload {
    pub(super) fn create(root: &Arc<Root>, name: &FileName) -> Result<Self, StoreError> {
        let temporaries = root.temporaries.ok_or(StoreError::ReadOnly)?;
        let replaced_len = refuse_unusable(&root.directory, name)?;
        let spare_bytes = root.spare_bytes();
        let spare_bytes = spare_bytes.map_err(|it| root.unless_freeing(it))?;
        let (file, hidden) = match temporaries {
            Temporaries::Tmpfile => {
                let file = temporary::open_unnamed(&root.directory, temporary::PRIVATE)?;
                (file, None)
            }
            Temporaries::Named => {
                let (file, hidden) = root.open_named(temporary::PRIVATE)?;
                (file, Some(hidden))
            }
        };
        let claim = root.quota.as_deref().map(Quota::claim);
        Ok(Self {
            root: Arc::clone(root),
            file: Opened::new(root, file),
            name: name.clone(),
            hidden,
            len: 0,
            begun_len: 0,
            spare: Some((spare_bytes, Instant::now())),
            room_len: 0,
            reserves: root.reserves,
            reserved: false,
            replaced_len,
            claim,
            is_complete: false,
        })
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Appends `data`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::NoSpace`] or [`StoreError::Io`]; the upload is then to be dropped.
    /// [`StoreError::NotYet`], and nothing of `data` has been written.
    pub fn write(&mut self, data: &[u8]) -> Result<(), StoreError> {
        let len = self.len + data.len() as u64;
        let len_max = self.root.options.upload_len_max;
        if len > len_max {
            return Err(StoreError::TooLarge(len_max));
        }
        self.claim_bytes(len)?;
        let root = Arc::clone(&self.root);
        if len > self.room_len {
            self.make_room(len).map_err(|it| root.unless_freeing(it))?;
        }
        // At its place, whatever of it was written before there was no room.
        let written = self.file.write_all_at(data, self.len);
        written.map_err(|it| root.unless_freeing(it.into()))?;
        self.len = len;
        if self.root.options.durability != Durability::None {
            self.write_back()?;
        }
        Ok(())
    }

    fn write_back(&mut self) -> Result<(), StoreError> {
        while self.len - self.begun_len >= WRITEBACK_LEN {
            let begun_len = self.begun_len;
            let earlier = begun_len.saturating_sub(WRITEBACK_LEN)..begun_len;
            self.begun_len += WRITEBACK_LEN;
            let begun = sys::write_back(&self.file, earlier, begun_len..self.begun_len);
            // The kernel tells of a failure once: the fsync would not know of it. Other errors say that this file system
            // cannot do it, or that a sandbox does not allow it.
            if let Err(errno @ (Errno::EIO | Errno::ENOSPC | Errno::EDQUOT)) = begun {
                return Err(errno.into());
            }
        }
        Ok(())
    }

    /// Puts the file under its name, as durably as the store promises. The last complete upload wins. A link
    /// or a FIFO that had the name is replaced itself; nothing is ever written through it.
    ///
    /// # Errors
    /// [`StoreError`]; the old content is intact then, and of the new one nothing is left once the upload is dropped,
    /// which it is to be unless it was [`StoreError::NotYet`]. A failed sync is
    /// not tried again: the kernel may have dropped the pages it could not write. Only when the very last
    /// step fails, to sync the folder, the new content is there already, but may not survive a power loss.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.complete()?;
        let root = Arc::clone(&self.root);
        let _replaced = Opened::hold(&root, self.name.as_str())?;
        match root.books()? {
            None => self.take_name()?,
            Some(books) => self.take_name_within(books)?,
        }
        if root.options.durability == Durability::Full {
            root.directory.sync_all()?;
        }
        Ok(())
    }

    /// Makes the content what it is to be, once.
    fn complete(&mut self) -> Result<(), StoreError> {
        if self.is_complete {
            return Ok(());
        }
        if self.reserved {
            self.file.set_len(self.len)?;
        }
        self.set_mode()?;
        match self.root.options.durability {
            Durability::None => {}
            Durability::Data => self.file.sync_data()?,
            Durability::Full => self.file.sync_all()?,
        }
        self.is_complete = true;
        Ok(())
    }

    /// Lets those read and write the file who might with the one that it replaces, and makes it executable, setuid or
    /// setgid for nobody.
    fn set_mode(&self) -> Result<(), StoreError> {
        let replaced = fstatat(
            &self.root.directory,
            self.name.as_str(),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        );
        let mode = match replaced {
            Ok(stat) if kind_of(stat.st_mode) == SFlag::S_IFREG => {
                Mode::from_bits_truncate(stat.st_mode) & READ_AND_WRITE
            }
            _ => self.root.mode_of_new_file()?,
        };
        match fchmod(&*self.file, mode) {
            // There are file systems without permission bits. Elsewhere nobody but this user gets at the file.
            Ok(()) | Err(Errno::EPERM | Errno::EOPNOTSUPP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The same as [`PendingUpload::take_name`], once the quota has room for what there is more than before.
    fn take_name_within(&mut self, mut books: QuotaGuard<'_>) -> Result<(), StoreError> {
        // Another upload or a delete may have come in between; from here to the rename none does.
        let old_len = quota::visible_len(&self.root.directory, self.name.as_str())?;
        if let Some(claim) = &mut self.claim {
            let growth = self.len.saturating_sub(old_len);
            books.raise(claim, growth)?;
            books.confirm(claim, growth)?;
        }
        books.record(old_len, self.len, || self.take_name())?;
        // Before the books are closed: what was claimed is visible now.
        self.claim = None;
        Ok(())
    }

    fn take_name(&mut self) -> Result<(), StoreError> {
        let directory = &self.root.directory;
        // To link it under its own name at once would save the rename when that name is free; it gained
        // nothing that could be measured on ext4, and the name may be taken at any time.
        let hidden = match self.hidden.take() {
            Some(hidden) => hidden,
            None => temporary::link_unnamed(directory, &self.file, &self.root.mark)?,
        };
        // From here on the hidden name has to go if the rename fails.
        let hidden = self.hidden.insert(hidden);
        renameat(directory, hidden.as_str(), directory, self.name.as_str())
            .map_err(StoreError::of_naming)?;
        self.hidden = None;
        Ok(())
    }

    /// Reserves what the file needs of the quota to grow to `len`: before it is written, so that however many
    /// upload at once, what they hold together stays within it.
    fn claim_bytes(&mut self, len: u64) -> Result<(), StoreError> {
        let growth = len.saturating_sub(self.replaced_len);
        if let Some(claim) = self.claim.as_mut().filter(|claim| claim.bytes() < growth)
            && let Some(mut books) = self.root.books()?
        {
            books.raise(claim, growth)?;
        }
        Ok(())
    }

    /// Finds room for the file to grow to `len`: looks whether that leaves the disk as free as it has to be,
    /// and reserves some more than is needed now where there is plenty.
    fn make_room(&mut self, len: u64) -> Result<(), StoreError> {
        let start = self.room_len.max(self.len);
        let needed_len = len - start;
        let spare_bytes = match self.spare.take() {
            Some((bytes, at)) if at.elapsed() < SEEN_JUST_NOW => bytes,
            _ => self.root.spare_bytes()?,
        };
        if needed_len > spare_bytes {
            return Err(StoreError::NoSpace);
        }
        self.room_len = len;
        let step_len = reserve_len(len, needed_len);
        let piece_len = len - self.len;
        if self.reserves && piece_len >= RESERVE_FROM_LEN && step_len <= spare_bytes {
            self.reserved = true;
            let flags = FallocateFlags::FALLOC_FL_KEEP_SIZE;
            match fallocate(
                &*self.file,
                flags,
                start.cast_signed(),
                step_len.cast_signed(),
            ) {
                Ok(()) => self.room_len = start + step_len,
                Err(Errno::EINTR) => {}
                // Not supported, or no room for the step. The file may still fit: from here on the writes tell.
                Err(_) => self.reserves = false,
            }
        }
        Ok(())
    }
}

impl Drop for PendingUpload {
    fn drop(&mut self) {
        if self.len < RESERVE_FROM_LEN {
            self.file.frees_little();
        }
        if let Some(hidden) = &self.hidden {
            // What cannot be removed now the sweep removes.
            let _ = self.root.remove_named(hidden);
        }
    }
}

impl Root {
    /// A file under a hidden name. It changes the folder, which the quota is told, lest it measures it again.
    fn open_named(&self, mode: Mode) -> Result<(OwnedFd, String), StoreError> {
        let open = || Ok(temporary::open_named(&self.directory, &self.mark, mode)?);
        match self.books()? {
            None => open(),
            Some(mut books) => books.record(0, 0, open),
        }
    }

    /// What the umask and the folder's default ACL leave a new file, found out by making one, once in each process.
    fn mode_of_new_file(&self) -> Result<Mode, StoreError> {
        if let Some(&mode) = self.new_mode.get() {
            return Ok(mode);
        }
        let (probe, hidden) = match self.temporaries {
            Some(Temporaries::Tmpfile) => (temporary::open_unnamed(&self.directory, NEW)?, None),
            Some(Temporaries::Named) | None => {
                let (probe, hidden) = self.open_named(NEW)?;
                (probe, Some(hidden))
            }
        };
        let stat = fstat(&probe);
        if let Some(hidden) = hidden {
            // What cannot be removed now the sweep removes.
            let _ = self.remove_named(&hidden);
        }
        let mode = Mode::from_bits_truncate(stat?.st_mode) & READ_AND_WRITE;
        Ok(*self.new_mode.get_or_init(|| mode))
    }

    /// Removes such a file, and tells the quota if that can be done at once.
    fn remove_named(&self, hidden: &str) -> Result<(), StoreError> {
        let unlink = || Ok(temporary::unlink(&self.directory, hidden)?);
        match self.books() {
            Ok(Some(mut books)) => books.record(0, 0, unlink),
            Ok(None) | Err(_) => unlink(),
        }
    }

    /// The bytes that uploads may still fill; an error when there are none.
    pub(super) fn spare_bytes(&self) -> Result<u64, StoreError> {
        let min_free_bytes = self.options.min_free_bytes;
        if min_free_bytes == 0 {
            return Ok(u64::MAX);
        }
        let free_bytes = file_system::free_bytes(&self.directory)?;
        free_bytes
            .checked_sub(min_free_bytes)
            .ok_or(StoreError::NoSpace)
    }
}

/// How much is reserved at once for a file that grows to `len`, of which `needed_len` has no room yet. No more than it
/// has already: many clients that each send a little and then nothing must not fill the disk.
fn reserve_len(len: u64, needed_len: u64) -> u64 {
    needed_len.max(len.min(RESERVE_LEN_MAX))
}

/// Refuses a name that the rename would refuse, before gigabytes have been sent in vain. Whatever this look
/// does not find, the rename does. Returns the size of the file that the name has, 0 if there is none.
fn refuse_unusable(directory: &File, name: &FileName) -> Result<u64, StoreError> {
    match fstatat(directory, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if kind_of(stat.st_mode) == SFlag::S_IFDIR => Err(StoreError::NotAFile),
        Err(errno @ (Errno::ENAMETOOLONG | Errno::EILSEQ | Errno::EINVAL)) => {
            Err(StoreError::of_naming(errno))
        }
        Ok(stat) if kind_of(stat.st_mode) == SFlag::S_IFREG => Ok(stat.st_size.cast_unsigned()),
        _ => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the pieces, what is set aside is at most what was sent once more, and soon as much as pays.
        #[test]
        fn an_upload_reserves_in_proportion_to_what_it_has_sent(
            pieces in proptest::collection::vec(RESERVE_FROM_LEN..4 << 20, 1..60),
        ) {
            let (mut len, mut room_len) = (0, 0);
            for piece in pieces {
                len += piece;
                if len > room_len {
                    room_len += reserve_len(len, len - room_len);
                }
                prop_assert!(room_len >= len && room_len <= 2 * len);
                prop_assert!(room_len - len <= RESERVE_LEN_MAX);
            }
        }
    }
}
