//! Freeing large files beside the worker's other work.
//!
//! A file's blocks and pages are freed inside the call that takes its last name or its last descriptor: 4 GiB keep ext4
//! busy for seconds, and tmpfs for half of one. So a large file is kept open while it loses its name, and then closed by
//! a thread, which a process starts with the first such file. A download that still reads the file reads it to its end.

use std::fs::File;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};

use super::{Quota, Root, StoreError};
use crate::shared::holdings::Row;

/// Smaller files are freed at once: at the worst rate that was measured, 7 s for 4 GiB, this takes a turn's 2 ms.
const AT_ONCE_BYTES_MAX: u64 = 1 << 20;

/// When so many files wait to be freed, no large one loses its name. It bounds the descriptors that they hold.
const WAITING_MAX: u64 = 64;

/// The thread does nothing but close.
const STACK_LEN: usize = 64 << 10;

/// The files of this process that wait to be freed.
#[derive(Debug, Default)]
pub(super) struct Freeing {
    line: OnceLock<Line>,
    len: Arc<AtomicU64>,
}

/// The way to the thread that frees them.
#[derive(Debug)]
struct Line {
    sender: Sender<Waiting>,
    thread: JoinHandle<()>,
}

/// One of them. It is freed, and then not counted any more.
#[derive(Debug)]
struct Waiting {
    _file: File,
    _counted: Counted,
}

#[derive(Debug)]
struct Counted {
    len: Arc<AtomicU64>,
    /// Where other processes see it.
    row: Option<Row>,
}

/// An open file under the root, which is freed beside the worker if it is large and closing it frees it.
#[derive(Debug)]
pub(super) struct Opened {
    root: Arc<Root>,
    file: File,
    may_be_large: bool,
}

impl Opened {
    pub(super) fn new(root: &Arc<Root>, file: OwnedFd) -> Self {
        Self {
            root: Arc::clone(root),
            file: File::from(file),
            may_be_large: true,
        }
    }

    /// It is known to be small when it is closed.
    pub(super) const fn frees_little(&mut self) {
        self.may_be_large = false;
    }

    /// Holds the file that has `name`, if it is large, while something takes the name from it. What cannot be held is
    /// freed at once.
    ///
    /// # Errors
    /// [`StoreError::NotYet`] if too many wait to be freed.
    pub(super) fn hold(root: &Arc<Root>, name: &str) -> Result<Option<Self>, StoreError> {
        let seen = fstatat(&root.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        if !seen.is_ok_and(is_large) {
            return Ok(None);
        }
        // This needs no right to read it, and opens no FIFO or device.
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(held) = openat(&root.directory, name, flags, Mode::empty()) else {
            return Ok(None);
        };
        if root.freeing.len.load(SeqCst) >= WAITING_MAX {
            return Err(StoreError::NotYet);
        }
        Ok(Some(Self::new(root, held)))
    }
}

impl Deref for Opened {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let is_freed_by_closing = |stat: FileStat| stat.st_nlink == 0 && is_large(stat);
        if !self.may_be_large || !fstat(&self.file).is_ok_and(is_freed_by_closing) {
            return;
        }
        // This is closed here in the file's place. Without a descriptor for it the file is.
        if let Ok(instead) = self.root.directory.try_clone() {
            let file = mem::replace(&mut self.file, instead);
            let row = self.root.quota.as_deref().map(Quota::row);
            self.root.freeing.add(file, row);
        }
    }
}

impl Root {
    /// A full disk may soon have room, if a process of this server has files to free.
    pub(super) fn unless_freeing(&self, error: StoreError) -> StoreError {
        let others = || self.quota.as_deref().is_some_and(Quota::is_freeing);
        match error {
            StoreError::NoSpace if self.freeing.len.load(SeqCst) > 0 || others() => {
                StoreError::NotYet
            }
            error => error,
        }
    }
}

fn is_large(stat: FileStat) -> bool {
    // Blocks may be reserved beyond its end, and not every file system counts them.
    let bytes = stat.st_size.max(stat.st_blocks * 512);
    bytes.cast_unsigned() > AT_ONCE_BYTES_MAX
}

impl Freeing {
    fn add(&self, file: File, row: Option<Row>) {
        let waiting = Waiting {
            _file: file,
            _counted: Counted::new(&self.len, row),
        };
        match self.line.get().map_or_else(|| self.start(), Ok) {
            // If the thread is gone, the file comes back and is freed here.
            Ok(line) => drop(line.sender.send(waiting)),
            Err(error) => tracing::debug!(%error, "cannot free a file beside the worker"),
        }
    }

    fn start(&self) -> io::Result<&Line> {
        let (sender, files) = mpsc::channel::<Waiting>();
        // Signals are the worker's.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let started = thread::Builder::new()
            .name("prefork:free".to_owned())
            .stack_size(STACK_LEN)
            .spawn(move || files.into_iter().for_each(drop));
        mask.thread_set_mask()?;
        let thread = started?;
        // Of two threads that start one at once, one's has nothing to do.
        Ok(self.line.get_or_init(|| Line { sender, thread }))
    }
}

impl Drop for Freeing {
    /// A process that has done with the store has freed what it removed.
    fn drop(&mut self) {
        if let Some(Line { sender, thread }) = self.line.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

impl Counted {
    fn new(len: &Arc<AtomicU64>, row: Option<Row>) -> Self {
        len.fetch_add(1, SeqCst);
        if let Some(row) = row {
            row.freeing().fetch_add(1, SeqCst);
        }
        Self {
            len: Arc::clone(len),
            row,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.len.fetch_sub(1, SeqCst);
        if let Some(row) = self.row {
            row.freeing().fetch_sub(1, SeqCst);
        }
    }
}
