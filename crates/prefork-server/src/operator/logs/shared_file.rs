//! A file that all processes append to, and that the parent can exchange under them.
//!
//! A sandboxed worker cannot open a path, nor can one that runs as another user; and to replace all workers for
//! a new log file would close connections that only idle. So the parent opens the file and passes the descriptor
//! on (unix(7), `SCM_RIGHTS`), through one socket that all workers read: there is always at most one message in
//! it, and nobody takes it out but the parent, when it puts in the next. A worker only peeks, which gives it a
//! descriptor of its own as well. So the message reaches every worker exactly when it looks, however many there
//! are, also when one dies or is forked meanwhile; and the parent reads nothing a worker could have written.
//!
//! A worker looks when the parent's number, in shared memory, is not the one it has seen: before each line, and
//! from time to time. The new descriptor takes the place of the old one under the same number (dup3(2)), at one
//! stroke for all threads. A line goes whole into one file or the other.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair,
};
use nix::unistd::{dup2_stderr, write};

use super::opening;
use crate::sys;

/// The file, as every process has it.
#[derive(Debug)]
pub struct SharedFile {
    target: Target,
    /// Where a new descriptor is to be found.
    socket: OwnedFd,
    /// How often the file has been exchanged; written by the parent.
    exchanges: &'static AtomicU64,
    /// Which exchange this process has gone along with.
    seen: AtomicU64,
    /// Held while a thread changes over.
    changing: Mutex<()>,
}

/// The parent's end.
#[derive(Debug)]
pub(crate) struct Opener {
    path: PathBuf,
    socket: OwnedFd,
    file: Arc<SharedFile>,
}

/// Which descriptor of a process refers to it.
#[derive(Debug)]
pub(super) enum Target {
    /// One of its own.
    Own(OwnedFd),
    /// Standard error.
    StandardError,
}

impl SharedFile {
    /// The file that `target` refers to, and that is found under `path` when it is opened anew.
    ///
    /// # Errors
    /// What socketpair(2) and mmap(2) say.
    pub(super) fn new(path: &Path, target: Target) -> nix::Result<(Arc<Self>, Opener)> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (sender, receiver) = socketpair(AddressFamily::Unix, SockType::Datagram, None, flags)?;
        let words = sys::shared_words(1)?;
        let file = Arc::new(Self {
            target,
            socket: receiver,
            exchanges: &words[0],
            seen: AtomicU64::new(0),
            changing: Mutex::new(()),
        });
        let opener = Opener {
            path: path.to_owned(),
            socket: sender,
            file: Arc::clone(&file),
        };
        Ok((file, opener))
    }

    /// Appends `line` to the newest file there is. Returns how much of it was written: all, unless the disk is
    /// full.
    ///
    /// # Errors
    /// What write(2) says; nothing was written then.
    pub fn append(&self, line: &[u8]) -> nix::Result<usize> {
        self.refresh();
        loop {
            match write(self, line) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// What a process needs to write it and to follow it.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.as_fd(), self.socket.as_fd()]
    }

    /// Changes over to the file that the parent has opened anew, if it has.
    pub fn refresh(&self) {
        if self.exchanges.load(SeqCst) != self.seen.load(SeqCst) {
            self.change_over();
        }
    }

    #[cold]
    fn change_over(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.exchanges.load(SeqCst) == self.seen.load(SeqCst) {
            return;
        }
        let mut number = [0; 8];
        // Nothing there: the parent is at the next exchange already. Out of descriptors: perhaps not for long. The
        // old file is as good until then; the next line tries again.
        if let Ok(Some(file)) = sys::peek_descriptor(&self.socket, &mut number)
            && self.take(&file).is_ok()
        {
            self.seen.store(u64::from_le_bytes(number), SeqCst);
        }
    }

    fn take(&self, file: &OwnedFd) -> nix::Result<()> {
        match &self.target {
            Target::Own(own) => sys::replace_descriptor(own, file),
            Target::StandardError => dup2_stderr(file),
        }
    }
}

impl AsFd for SharedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.target {
            Target::Own(own) => own.as_fd(),
            Target::StandardError => sys::standard_error(),
        }
    }
}

impl Opener {
    /// Opens the path anew, for this process, for those it forks from now on and for those it has forked.
    ///
    /// # Errors
    /// In words for a person; then everybody keeps the file there was.
    pub(crate) fn reopen(&mut self) -> Result<(), String> {
        // Nobody moves a stream away, and only root could open it anew.
        if opening::is_standard_stream(&self.path) {
            return Ok(());
        }
        let new = opening::append_to(&self.path)?;
        self.pass_on(&new).map_err(|errno| errno.desc().to_owned())
    }

    /// Opens the path and leaves it.
    pub(crate) fn look(&self) {
        if !opening::is_standard_stream(&self.path) {
            let _ = opening::append_to(&self.path);
        }
    }

    fn pass_on(&mut self, new: &OwnedFd) -> nix::Result<()> {
        let number = self.file.exchanges.load(SeqCst).wrapping_add(1);
        // The last exchange's message, unless this is the first: a process that has not read it reads the next.
        let _ = recv(
            self.file.socket.as_raw_fd(),
            &mut [0; 8],
            MsgFlags::MSG_DONTWAIT,
        );
        sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[std::io::IoSlice::new(&number.to_le_bytes())],
            &[ControlMessage::ScmRights(&[new.as_raw_fd()])],
            MsgFlags::MSG_DONTWAIT,
            None,
        )?;
        self.file.take(new)?;
        self.file.seen.store(number, SeqCst);
        // From here on the others look; what they look for is there.
        self.file.exchanges.store(number, SeqCst);
        Ok(())
    }

    /// Where the file is.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is written is looked at from outside"
)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use tempfile::TempDir;

    use super::*;

    /// The file as another process has it: the same shared things, and its own descriptor.
    fn worker_of(file: &SharedFile) -> SharedFile {
        SharedFile {
            target: Target::Own(file.as_fd().try_clone_to_owned().unwrap()),
            socket: file.socket.try_clone().unwrap(),
            exchanges: file.exchanges,
            seen: AtomicU64::new(file.seen.load(SeqCst)),
            changing: Mutex::new(()),
        }
    }

    fn open(path: &Path) -> (Arc<SharedFile>, Opener) {
        SharedFile::new(path, Target::Own(opening::append_to(path).unwrap())).unwrap()
    }

    fn append(file: &SharedFile, line: &str) {
        assert_eq!(file.append(line.as_bytes()), Ok(line.len()));
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn everybody_changes_over_with_the_next_line_however_often_the_file_was_exchanged() {
        let folder = TempDir::new().unwrap();
        let [path, old, older] = ["log", "log.1", "log.2"].map(|name| folder.path().join(name));
        let (file, mut opener) = open(&path);
        let (eager, lazy) = (worker_of(&file), worker_of(&file));
        for worker in [&*file, &eager, &lazy] {
            append(worker, "a\n");
        }
        fs::rename(&path, &older).unwrap();
        // Until the parent says so, the old file is the file.
        append(&eager, "b\n");
        opener.reopen().unwrap();
        append(&eager, "c\n");
        fs::rename(&path, &old).unwrap();
        opener.reopen().unwrap();
        let late = worker_of(&file);
        for worker in [&*file, &eager, &lazy, &late] {
            append(worker, "d\n");
        }
        assert_eq!(read(&older), "a\na\na\nb\n");
        assert_eq!(read(&old), "c\n");
        assert_eq!(read(&path), "d\nd\nd\nd\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_anew_leaves_the_old_one_in_use() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        let (file, mut opener) = open(&path);
        let worker = worker_of(&file);
        fs::rename(&path, folder.path().join("log.1")).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(opener.reopen().unwrap_err().contains("a folder"));
        append(&file, "a\n");
        append(&worker, "b\n");
        assert_eq!(read(&folder.path().join("log.1")), "a\nb\n");
        fs::remove_dir(&path).unwrap();
        opener.reopen().unwrap();
        append(&worker, "c\n");
        assert_eq!(read(&path), "c\n");
    }

    #[test]
    fn no_line_is_lost_or_torn_while_threads_write_and_the_file_is_exchanged() {
        const LINES: usize = 2_000;
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        let (file, mut opener) = open(&path);
        let workers = [worker_of(&file), worker_of(&file)];
        let mut files = 1;
        thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let worker = &workers[writer % 2];
                    scope.spawn(move || {
                        for line in 0..LINES {
                            append(
                                worker,
                                &format!("{writer} {line} {}\n", "x".repeat(line % 300)),
                            );
                        }
                    })
                })
                .collect();
            while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
                fs::rename(&path, folder.path().join(format!("log.{files}"))).unwrap();
                opener.reopen().unwrap();
                files += 1;
            }
        });
        let all = fs::read_dir(folder.path()).unwrap();
        let text: String = all.map(|entry| read(&entry.unwrap().path())).collect();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        let mut expected: Vec<_> = (0..4)
            .flat_map(|writer| {
                (0..LINES).map(move |line| format!("{writer} {line} {}", "x".repeat(line % 300)))
            })
            .collect();
        expected.sort_unstable();
        assert!(
            lines == expected,
            "{} of {} lines",
            lines.len(),
            expected.len()
        );
        assert!(files > 2);
    }
}
