//! The store: the only module that touches files.
//!
//! Everything is relative to one directory descriptor and one checked [`FileName`]; no path of a client's
//! making ever reaches the kernel. A name shows a whole old or a whole new content, never a mix or a part.

mod census;
mod error;
mod file_system;
mod folder;
mod freeing;
mod list;
mod lock;
mod quota;
mod read;
mod temporary;
mod upload;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nix::sys::stat::Mode;
use nix::unistd::{Pid, UnlinkatFlags, unlinkat};
use proto::FileName;

use census::Census;
use file_system::Trait;
use freeing::{Freeing, Opened};
use lock::{Lock, Standing};
use quota::QuotaGuard;
use temporary::{Mark, Owner};

pub(crate) use error::{OpenError, StoreError};
pub use folder::Folder;
pub(crate) use list::{KnownBy, Listing};
pub use quota::Quota;
pub(crate) use read::Download;
pub(crate) use temporary::{Swept, Temporaries};
pub(crate) use upload::PendingUpload;

proto::worded! {
    /// What "uploaded" promises.
    #[derive(clap::ValueEnum)]
    pub enum Durability {
        /// Survives the death of any process.
        None = "none",
        /// The content is on disk; the name may be lost with the power.
        Data = "data",
        /// Content and name survive a power loss.
        Full = "full",
    }
}

/// How a store behaves.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// What an upload promises.
    pub durability: Durability,
    /// The largest upload in bytes.
    pub upload_len_max: u64,
    /// Free space in bytes that uploads leave on the file system.
    pub min_free_bytes: u64,
    /// Change nothing in it, and need no right to.
    pub read_only: bool,
    /// What all files may hold together, in bytes; needs [`Store::share_quota`].
    pub root_bytes_max: Option<u64>,
}

/// A directory of files, locked for one server that writes.
#[derive(Debug)]
pub struct Store {
    root: Arc<Root>,
    path: PathBuf,
    /// None in a store that has only been read so far.
    lock: Option<Arc<Lock>>,
}

/// What an upload needs of the store while it is pending.
#[derive(Debug)]
struct Root {
    /// Nobody unlocks it: that would free it for every worker.
    directory: Arc<File>,
    options: StoreOptions,
    /// What the names of its temporary files begin with.
    mark: Mark,
    /// How pending uploads are kept out of sight; none in a store that is only read.
    temporaries: Option<Temporaries>,
    /// What an upload that replaces nothing lets others do, once that is known.
    new_mode: OnceLock<Mode>,
    /// Whether uploads reserve blocks ahead.
    reserves: bool,
    /// Whether every change of the folder changes its times.
    shows_changes: bool,
    /// What it takes to keep `options.root_bytes_max`.
    quota: Option<Arc<Quota>>,
    /// What listings leave out.
    census: Census,
    /// What this process has removed and not freed yet.
    freeing: Arc<Freeing>,
}

impl Store {
    /// Makes a store of a folder, and locks it if anything is to be written. All of it is done with the rights of this
    /// process's user.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it.
    pub fn open(folder: Folder, options: StoreOptions) -> Result<Self, OpenError> {
        let Folder { directory, path } = folder;
        let directory = Arc::new(directory);
        let lock = match options.read_only {
            true => None,
            false => Some(Lock::take(&directory, &path)?),
        };
        Self::new(directory, path, lock, options)
    }

    /// Takes over the directory of another server, which must be `folder`, with its `lock` if it has one.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it.
    pub fn adopt(
        directory: OwnedFd,
        lock: Option<OwnedFd>,
        folder: Folder,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        let directory = Arc::new(File::from(directory));
        let identity = |file: &File| file.metadata().map(|it| (it.dev(), it.ino()));
        match (identity(&directory), identity(&folder.directory)) {
            (Ok(own), Ok(asked_for)) if own == asked_for => {}
            (Err(error), _) | (_, Err(error)) => return Err(OpenError::io(&folder.path, error)),
            _ => return Err(OpenError::Another(folder.path)),
        }
        let lock = match (options.read_only, lock) {
            (true, None) => None,
            (_, lock) => Some(Lock::adopt(&directory, &folder.path, lock)?),
        };
        Self::new(directory, folder.path, lock, options)
    }

    fn new(
        directory: Arc<File>,
        path: PathBuf,
        lock: Option<Lock>,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        let mark = Mark::new();
        let failed = |errno| OpenError::io(&path, errno);
        let temporaries = match options.read_only {
            true => None,
            false => Some(Temporaries::probe(&directory, &mark).map_err(failed)?),
        };
        let root = Root {
            reserves: file_system::gains_by_reserving(&directory),
            shows_changes: file_system::has(&directory, Trait::TimesOfFolders),
            directory,
            options,
            mark,
            temporaries,
            new_mode: OnceLock::new(),
            quota: None,
            census: Census::new().map_err(failed)?,
            freeing: Arc::default(),
        };
        Ok(Self {
            root: Arc::new(root),
            path,
            lock: lock.map(Arc::new),
        })
    }

    /// Locks a directory that has only been read so far, before anything is written.
    ///
    /// # Errors
    /// [`OpenError::InUse`] where another server writes to it; what locking it says.
    pub fn lock_for_writing(&mut self) -> Result<(), OpenError> {
        if self.lock.is_none() {
            let lock = Lock::take(&self.root.directory, &self.path)?;
            self.lock = Some(Arc::new(lock));
        }
        Ok(())
    }

    /// The same directory under other options.
    #[must_use]
    pub fn with_options(&self, options: StoreOptions) -> Self {
        let temporaries = match self.root.temporaries {
            _ if options.read_only => None,
            Some(known) => Some(known),
            // It was only read until now. What can always be done is good enough where that cannot be found out.
            None => {
                let probed = Temporaries::probe(&self.root.directory, &self.root.mark);
                Some(probed.unwrap_or(Temporaries::Named))
            }
        };
        let root = Root {
            directory: Arc::clone(&self.root.directory),
            options,
            mark: self.root.mark.clone(),
            temporaries,
            new_mode: OnceLock::new(),
            reserves: self.root.reserves,
            shows_changes: self.root.shows_changes,
            quota: self.root.quota.clone(),
            census: self.root.census,
            freeing: Arc::clone(&self.root.freeing),
        };
        Self {
            root: Arc::new(root),
            path: self.path.clone(),
            lock: self.lock.clone(),
        }
    }

    /// The descriptors that a process needs to use it.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let quota = self.root.quota.iter().map(|quota| quota.lock());
        quota.chain(self.lock()).chain([self.directory()])
    }

    /// Whether nothing in it is changed, by this store.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.root.options.read_only
    }

    /// The directory, to be handed to another server.
    #[must_use]
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.root.directory.as_fd()
    }

    /// The lock, to be handed to another server.
    #[must_use]
    pub fn lock(&self) -> Option<BorrowedFd<'_>> {
        Some(self.lock.as_ref()?.file()?.as_fd())
    }

    /// Whether this process is to remove the lock's file when it has done with the store: not if another server goes on
    /// with it, before this one or after it.
    pub fn remove_lock_at_the_end(&self, removes: bool) {
        if let Some(lock) = &self.lock {
            lock.remove_at_the_end(removes);
        }
    }

    /// Removes the lock's file if `process` is to, which may be this one's parent.
    pub fn remove_lock_for(&self, process: Pid) {
        if let Some(lock) = &self.lock {
            lock.remove_for(process);
        }
    }

    /// Gives the store what it takes to keep all files within [`StoreOptions::root_bytes_max`].
    pub fn share_quota(&mut self, quota: Quota) {
        if let Some(root) = Arc::get_mut(&mut self.root) {
            root.quota = Some(Arc::new(quota));
        }
    }

    /// What this process and its children reserve of the quota from now on is written down in row `index`.
    pub fn hold_in(&self, index: u32) {
        if let Some(quota) = &self.root.quota {
            quota.hold_in(index);
        }
    }

    /// What all files hold together, with what pending uploads have reserved; none if there is no limit on it.
    ///
    /// # Errors
    /// What measuring the folder says.
    pub fn used_bytes(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.root.books()?.map(|books| books.used_bytes()))
    }

    /// Removes the temporary files of servers that are gone, for a start. Where it is not certain that one is gone they
    /// stay: another server may be writing them, through another mount or on another machine.
    ///
    /// # Errors
    /// What the directory's reading says.
    pub fn sweep(&self) -> io::Result<Swept> {
        let is_local = file_system::has(&self.root.directory, Trait::OneSetOfLocks);
        let standing = self.lock.as_ref().map(|lock| lock.standing);
        self.sweep_where(|owner| match (standing, &owner.mark) {
            // There nobody else can write while this server has the locks.
            (Some(Standing::Sole), _) if is_local => true,
            (Some(Standing::Successor), None) if is_local => owner.is_dead(),
            _ => owner.is_provably_dead(&self.root.mark),
        })
    }

    /// Removes the temporary files of these dead processes of this server.
    ///
    /// # Errors
    /// What the directory's reading says.
    pub fn sweep_of(&self, dead: &[u32]) -> io::Result<Swept> {
        let mark = Some(self.root.mark.clone());
        self.sweep_where(|owner| owner.mark == mark && dead.contains(&owner.pid))
    }

    fn sweep_where(&self, is_stale: impl Fn(&Owner) -> bool) -> io::Result<Swept> {
        if self.is_read_only() {
            return Ok(Swept::default());
        }
        temporary::sweep(&self.root.directory, is_stale)
    }

    /// How pending uploads are kept out of sight; none in a store that is only read.
    #[must_use]
    pub fn temporaries(&self) -> Option<Temporaries> {
        self.root.temporaries
    }

    /// The directory's absolute path, for people: nothing is ever opened by it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.path
    }

    /// Whether `path` still leads to the directory.
    ///
    /// # Errors
    /// What stat(2) says.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        let (own, other) = (self.root.directory.metadata()?, path.metadata()?);
        Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
    }

    /// The kind of file system, `ext4` for instance.
    #[must_use]
    pub fn file_system(&self) -> String {
        file_system::name(&self.root.directory)
    }

    /// The names of the regular files, sorted by bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Listing, StoreError> {
        let root = &self.root;
        list::list(&root.directory, root.census, root.shows_changes)
    }

    /// A file that has `content` and no name, for the time until it is closed.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] where nothing can be put that way, or nobody accounts for it; [`StoreError::NoSpace`] or
    /// [`StoreError::Io`].
    pub fn put_aside(&self, content: &[u8]) -> Result<File, StoreError> {
        let root = &self.root;
        if root.temporaries != Some(Temporaries::Tmpfile) || root.options.root_bytes_max.is_some() {
            return Err(StoreError::ReadOnly);
        }
        if root.spare_bytes()? < content.len() as u64 {
            return Err(StoreError::NoSpace);
        }
        let mut file = File::from(temporary::open_unnamed(
            &root.directory,
            temporary::PRIVATE,
        )?);
        file.write_all(content)?;
        Ok(file)
    }

    /// Whether a listing of the folder would be the one that it was known by that for.
    #[must_use]
    pub fn is_known_by(&self, known_by: &KnownBy) -> bool {
        list::is_known_by(&self.root.directory, self.root.census, known_by)
    }

    /// How many files the last listing of any process left out, because no client can name them; none before the first.
    #[must_use]
    pub fn files_unlisted(&self) -> Option<u64> {
        self.root.census.left_out()
    }

    /// Opens a file for reading. Replacing or deleting it meanwhile does not touch what is read.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] also for everything that is not a regular file.
    pub fn read(&self, name: &FileName) -> Result<Download, StoreError> {
        read::open(&self.root, name)
    }

    /// Begins an upload that nobody sees until it is committed.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], [`StoreError::NotAFile`] where the name is a folder's,
    /// [`StoreError::NameRefused`], [`StoreError::NoSpace`], [`StoreError::NotYet`] or [`StoreError::Io`].
    pub fn create(&self, name: &FileName) -> Result<PendingUpload, StoreError> {
        PendingUpload::create(&self.root, name)
    }

    /// Removes a regular file.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`]; [`StoreError::NotYet`]; [`StoreError::NotFound`] also for everything that is not a regular file.
    pub fn delete(&self, name: &FileName) -> Result<(), StoreError> {
        if self.is_read_only() {
            return Err(StoreError::ReadOnly);
        }
        let directory = &self.root.directory;
        if !list::is_file(directory, name).map_err(StoreError::of_lookup)? {
            return Err(StoreError::NotFound);
        }
        let _held = Opened::hold(&self.root, name.as_str())?;
        let unlink = || {
            // Whatever the name becomes between that look and this is in the root; a folder stays.
            unlinkat(directory, name.as_str(), UnlinkatFlags::NoRemoveDir)
                .map_err(StoreError::of_lookup)
        };
        match self.root.books()? {
            None => unlink()?,
            Some(mut books) => {
                let old_len = quota::visible_len(directory, name.as_str())?;
                books.record(old_len, 0, unlink)?;
            }
        }
        if self.root.options.durability == Durability::Full {
            directory.sync_all()?;
        }
        Ok(())
    }
}

impl Root {
    /// The quota's books, open for this thread, if there is a limit.
    fn books(&self) -> Result<Option<QuotaGuard<'_>>, StoreError> {
        match (&self.quota, self.options.root_bytes_max) {
            (Some(quota), Some(bytes_max)) => quota.open(&self.directory, bytes_max).map(Some),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
