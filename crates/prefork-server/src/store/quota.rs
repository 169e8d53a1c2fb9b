//! `--root-max-bytes`: how much the files under the root may hold together, whoever uploads at once.
//!
//! What is counted is the visible files' sizes, and beside them what pending uploads have reserved before they
//! wrote it. The sum of both never passes the limit, because it is compared and changed by one process at a
//! time: whoever has the books open. A file that is replaced counts until the new one has its name, and not a
//! second time: an upload needs room only for what it is larger by.
//!
//! Nothing leaks when a process dies. The books are locked by a record lock, which ends with its owner
//! (fcntl(2)); what it had reserved is in its row of the [`Holdings`], which the parent clears; and a change that
//! it did not finish shows, so that the next one to open the books measures the folder again.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::{Mode, SFlag, fstat, fstatat};
use nix::time::ClockId;

use super::list::kind_of;
use super::{StoreError, temporary};
use crate::shared::holdings::{Holdings, Row};
use crate::sys;

/// How long a call waits for books that somebody else has open before it is left to whoever drives the connection to
/// wait, who may have others to serve. Most often they are open for as long as a rename takes, which is less: an
/// upload of 1 KiB or of 8 MiB is not measurably slower for them (`cargo bench --bench limits`). To measure a folder
/// of 10,000 files takes 29 ms.
const OPEN_PATIENCE: Duration = Duration::from_micros(200);

/// The pauses between two tries to open them.
const PAUSE_MIN: Duration = Duration::from_micros(20);

/// The shared words.
const VISIBLE: usize = 0;
const MTIME_S: usize = 1;
const MTIME_NS: usize = 2;
const CHANGING: usize = 3;
/// When the folder was last measured, in milliseconds of CLOCK_MONOTONIC, which all processes share.
const MEASURED_AT_MS: usize = 4;
/// How often it was.
const MEASUREMENTS: usize = 5;
/// How long it took, in milliseconds.
const MEASURING_MS: usize = 6;
/// Whether the books have been changed since.
const RECORDED: usize = 7;
const WORDS: usize = 8;

/// A full folder is measured again before somebody is refused, for it may have been changed without the books; but no
/// more often than this. Each refusal costing a reading of the whole folder, refused clients could occupy every worker.
const MEASURE_AGAIN_MS: u64 = 1000;

/// What others do to the folder between a look at its time and a change of the server's own shows in no time. So books
/// that have been changed are compared with the folder from time to time: after so many times what it takes to measure it.
const MEASURE_PAUSE: u64 = 50;

/// The limit, and what it takes to keep it.
#[derive(Debug)]
pub struct Quota {
    holdings: Holdings,
    /// In which row this process writes down what it reserves.
    row: AtomicU32,
    /// The visible files' sizes in sum, and what that sum is worth.
    words: &'static [AtomicU64],
    /// Locks the books against other processes. It is never closed: that would end the lock.
    lock: OwnedFd,
    /// Locks them against other threads, which a record lock does not.
    threads: Mutex<()>,
    /// Somebody else had them open when this process last looked.
    is_taken: AtomicBool,
}

/// The books, open for one process and thread at a time.
#[derive(Debug)]
pub(super) struct QuotaGuard<'q> {
    quota: &'q Quota,
    directory: &'q File,
    bytes_max: u64,
    _threads: MutexGuard<'q, ()>,
}

/// What one pending upload has reserved; given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    row: Row,
    bytes: u64,
}

impl Quota {
    /// Books shared with every process forked from now on. This process has row 0 until `Quota::hold_in` says
    /// otherwise.
    ///
    /// # Errors
    /// What mmap(2) and memfd_create(2) say.
    pub fn new(holdings: Holdings) -> nix::Result<Self> {
        let words = sys::shared_words(WORDS)?;
        // Nothing has been measured yet.
        words[CHANGING].store(1, SeqCst);
        Ok(Self {
            holdings,
            row: AtomicU32::new(0),
            words,
            lock: sys::memory_file("prefork-server quota")?.into(),
            threads: Mutex::new(()),
            is_taken: AtomicBool::new(false),
        })
    }

    /// What this process and its children reserve from now on is written down in row `index`.
    pub(super) fn hold_in(&self, index: u32) {
        self.row.store(index, SeqCst);
    }

    /// How often the folder was measured.
    #[cfg(test)]
    pub(super) fn measurements(&self) -> u64 {
        self.words[MEASUREMENTS].load(SeqCst)
    }

    /// What locks the books, for a process that is to keep it.
    pub(super) fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// A claim on nothing yet.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            row: self.row(),
            bytes: 0,
        }
    }

    /// What this process holds.
    pub(super) fn row(&self) -> Row {
        self.holdings.row(self.row.load(SeqCst))
    }

    /// Whether any process of the server has removed a file that is not freed yet.
    pub(super) fn is_freeing(&self) -> bool {
        self.holdings
            .rows()
            .any(|row| row.freeing().load(SeqCst) > 0)
    }

    /// Opens the books on `directory`, unless somebody else has them open, and brings them up to date. What they say
    /// is held against `bytes_max`.
    ///
    /// # Errors
    /// [`StoreError::NotYet`] if somebody has; what measuring the folder says.
    pub(super) fn open<'q>(
        &'q self,
        directory: &'q File,
        bytes_max: u64,
    ) -> Result<QuotaGuard<'q>, StoreError> {
        let threads = self.wait_for_lock()?;
        let mut books = QuotaGuard {
            quota: self,
            directory,
            bytes_max,
            _threads: threads,
        };
        if books.are_stale()? {
            books.measure()?;
        }
        Ok(books)
    }

    /// Only the first of many waits: once it was in vain, the next ones look, and do not add up.
    fn wait_for_lock(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        let waits = !self.is_taken.load(SeqCst);
        let deadline = Instant::now() + OPEN_PATIENCE;
        let mut pause = PAUSE_MIN;
        loop {
            if let Some(threads) = self.try_lock()? {
                self.is_taken.store(false, SeqCst);
                return Ok(threads);
            }
            if !waits || Instant::now() >= deadline {
                self.is_taken.store(true, SeqCst);
                return Err(StoreError::NotYet);
            }
            thread::sleep(pause);
            pause *= 2;
        }
    }

    fn try_lock(&self) -> Result<Option<MutexGuard<'_, ()>>, StoreError> {
        let threads = match self.threads.try_lock() {
            Ok(threads) => threads,
            Err(TryLockError::Poisoned(threads)) => threads.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        match self.set_lock(libc::F_WRLCK) {
            Ok(()) => Ok(Some(threads)),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn set_lock(&self, kind: i32) -> nix::Result<()> {
        let whole = libc::flock {
            l_type: kind as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&self.lock, FcntlArg::F_SETLK(&whole)).map(drop)
    }
}

impl QuotaGuard<'_> {
    /// Bytes under the root, with what pending uploads have reserved.
    pub(super) fn used_bytes(&self) -> u64 {
        self.word(VISIBLE)
            .load(SeqCst)
            .saturating_add(self.quota.holdings.reserved_bytes())
    }

    /// Raises a claim to `bytes`, unless it is as high already.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] if that would pass the limit.
    pub(super) fn raise(&mut self, claim: &mut Claim, bytes: u64) -> Result<(), StoreError> {
        let more = bytes.saturating_sub(claim.bytes);
        if more > self.spare_bytes() || (more > 0 && self.is_to_be_compared()) {
            self.measure_again()?;
        }
        if more > self.spare_bytes() {
            return Err(StoreError::NoSpace);
        }
        claim.row.reserved().fetch_add(more, SeqCst);
        claim.bytes += more;
        Ok(())
    }

    /// Looks once more whether the folder may grow by `growth` bytes, which `claim` covers: since they were reserved
    /// somebody may have put files there who reserves nothing here, such as another server during an upgrade.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] if that would pass the limit.
    pub(super) fn confirm(&mut self, claim: &Claim, growth: u64) -> Result<(), StoreError> {
        let unneeded = claim.bytes.saturating_sub(growth);
        let passes = |books: &Self| books.used_bytes().saturating_sub(unneeded) > books.bytes_max;
        if growth > 0 && passes(self) {
            self.measure_again()?;
        }
        if growth > 0 && passes(self) {
            return Err(StoreError::NoSpace);
        }
        Ok(())
    }

    /// Carries out a change of the folder that makes `old_len` visible bytes into `new_len`.
    ///
    /// # Errors
    /// What `change` says.
    pub(super) fn record<T>(
        &mut self,
        old_len: u64,
        new_len: u64,
        change: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // If this process dies from here on, or fails, the sum is not to be believed.
        self.word(CHANGING).store(1, SeqCst);
        let changed = change()?;
        let visible = self.word(VISIBLE).load(SeqCst);
        let visible = visible.saturating_sub(old_len).saturating_add(new_len);
        self.word(VISIBLE).store(visible, SeqCst);
        self.word(RECORDED).store(1, SeqCst);
        self.are_as_of(self.mtime()?);
        Ok(changed)
    }

    fn spare_bytes(&self) -> u64 {
        self.bytes_max.saturating_sub(self.used_bytes())
    }

    /// Whether somebody changed the folder without the books, as an administrator may, or died while changing
    /// it. A change in the same tick of the clock that stamps the folder, or between a look at its time and a change of
    /// the server's own, is found when the folder is measured again.
    fn are_stale(&self) -> Result<bool, StoreError> {
        let (seconds, nanos) = self.mtime()?;
        Ok(self.word(CHANGING).load(SeqCst) != 0
            || self.word(MTIME_S).load(SeqCst) != seconds
            || self.word(MTIME_NS).load(SeqCst) != nanos)
    }

    fn are_as_of(&self, (seconds, nanos): (u64, u64)) {
        self.word(MTIME_S).store(seconds, SeqCst);
        self.word(MTIME_NS).store(nanos, SeqCst);
        self.word(CHANGING).store(0, SeqCst);
    }

    fn is_to_be_compared(&self) -> bool {
        let pause_ms = self.word(MEASURING_MS).load(SeqCst) * MEASURE_PAUSE;
        let due_ms = self.word(MEASURED_AT_MS).load(SeqCst) + pause_ms;
        self.word(RECORDED).load(SeqCst) != 0 && now_ms().is_ok_and(|now_ms| now_ms >= due_ms)
    }

    /// Before somebody is refused: nobody is for a file that was cut short behind the server's back a while ago.
    fn measure_again(&mut self) -> Result<(), StoreError> {
        let measured_at_ms = self.word(MEASURED_AT_MS).load(SeqCst);
        if now_ms()?.saturating_sub(measured_at_ms) < MEASURE_AGAIN_MS {
            return Ok(());
        }
        self.measure()
    }

    fn measure(&mut self) -> Result<(), StoreError> {
        let begun_ms = now_ms()?;
        self.word(MEASURED_AT_MS).store(begun_ms, SeqCst);
        self.word(MEASUREMENTS).fetch_add(1, SeqCst);
        self.word(RECORDED).store(0, SeqCst);
        self.word(CHANGING).store(1, SeqCst);
        // Before it is read: what is changed meanwhile makes the books stale.
        let mtime = self.mtime()?;
        self.word(VISIBLE).store(measure(self.directory)?, SeqCst);
        self.word(MEASURING_MS)
            .store(now_ms()?.saturating_sub(begun_ms), SeqCst);
        self.are_as_of(mtime);
        Ok(())
    }

    fn mtime(&self) -> Result<(u64, u64), StoreError> {
        let stat = fstat(self.directory)?;
        Ok((
            stat.st_mtime.cast_unsigned(),
            stat.st_mtime_nsec.cast_unsigned(),
        ))
    }

    fn word(&self, index: usize) -> &'static AtomicU64 {
        &self.quota.words[index]
    }
}

impl Drop for QuotaGuard<'_> {
    fn drop(&mut self) {
        // It cannot fail for a lock that is held; and if it did, this process's end would free it.
        let _ = self.quota.set_lock(libc::F_UNLCK);
    }
}

impl Claim {
    /// What has been reserved.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.row.reserved().fetch_sub(self.bytes, SeqCst);
    }
}

fn now_ms() -> nix::Result<u64> {
    let now = ClockId::CLOCK_MONOTONIC.now()?;
    let (seconds, nanos) = (now.tv_sec(), now.tv_nsec());
    Ok(seconds.cast_unsigned() * 1000 + nanos.cast_unsigned() / 1_000_000)
}

/// The size of the regular file that has `name`; 0 where there is none.
pub(super) fn visible_len(directory: &File, name: &str) -> Result<u64, StoreError> {
    match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if kind_of(stat.st_mode) == SFlag::S_IFREG => Ok(stat.st_size.cast_unsigned()),
        Ok(_) | Err(Errno::ENOENT) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

/// The sizes of all regular files right under the root, whatever their names, but for pending uploads: those
/// have reserved what they hold.
fn measure(directory: &File) -> Result<u64, StoreError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut entries = Dir::openat(directory, ".", flags, Mode::empty())?;
    let mut sum = 0u64;
    for entry in entries.iter() {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type();
        let is_pending = name
            .to_str()
            .is_ok_and(|name| temporary::owner(name).is_some());
        if is_pending || kind.is_some_and(|kind| kind != Type::File) {
            continue;
        }
        match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) if kind_of(stat.st_mode) == SFlag::S_IFREG => {
                sum = sum.saturating_add(stat.st_size.cast_unsigned());
            }
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(sum)
}
