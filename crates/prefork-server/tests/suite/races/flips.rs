//! Somebody who may write to the root, and turns the names in it into something else all the time.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;

use super::HARMLESS;

/// How many names are fought for.
pub(super) const NAMES: u64 = 6;

/// How many things wait outside the root for their turn.
const STAGED: u64 = 14;

/// A name that is fought for.
pub(super) fn name(number: u64) -> String {
    format!("n{number}")
}

/// Pseudo-random numbers, the same for the same seed (xorshift64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

pub(super) struct Racer {
    root: PathBuf,
    outside: PathBuf,
    stage: PathBuf,
    makes_devices: bool,
    random: Random,
    flips: u64,
}

impl Racer {
    pub(super) fn new(root: &Path, outside: &Path, stage: &Path, makes_devices: bool) -> Self {
        let racer = Self {
            root: root.to_owned(),
            outside: outside.to_owned(),
            stage: stage.to_owned(),
            makes_devices,
            random: Random::new(99),
            flips: 0,
        };
        for number in 0..STAGED {
            racer.make(number, &racer.stage.join(number.to_string()));
        }
        racer
    }

    /// How many times a name has become something else.
    pub(super) const fn flips(&self) -> u64 {
        self.flips
    }

    /// Tries to turn one name into something else; clients fight for it too.
    pub(super) fn flip(&mut self) {
        let contested = self.root.join(name(self.random.below(NAMES)));
        let staged = self.stage.join(self.random.below(STAGED).to_string());
        let other = self.root.join(name(self.random.below(NAMES)));
        let flipped = match self.random.below(8) {
            // In one step: there is no moment without the name.
            0..5 => exchange(&contested, &staged) || rename(&staged, &contested),
            5 => exchange(&contested, &other),
            6 => rename(&other, &contested),
            _ => {
                let _ = fs::remove_file(&contested).or_else(|_| fs::remove_dir(&contested));
                let kind = self.random.below(STAGED);
                self.make(kind, &contested)
            }
        };
        self.flips += u64::from(flipped);
        // What was moved into the root with nothing to move back has to be made again.
        if fs::symlink_metadata(&staged).is_err() {
            let kind = self.random.below(STAGED);
            self.make(kind, &staged);
        }
    }

    /// Puts something under a free name.
    fn make(&self, kind: u64, path: &Path) -> bool {
        let outside = |name: &str| self.outside.join(name);
        let beside = |name: &str| Path::new("../outside").join(name);
        match kind {
            0 => symlink(outside("secret"), path).is_ok(),
            1 => symlink(beside("secret"), path).is_ok(),
            2 => symlink(&self.outside, path).is_ok(),
            // To nothing: an upload through it would make a file outside.
            3 => symlink(beside("new"), path).is_ok(),
            4 => symlink("/proc/self/environ", path).is_ok(),
            5 => symlink("/proc/self/root/etc/passwd", path).is_ok(),
            6 => symlink(path.file_name().unwrap(), path).is_ok(),
            7 => mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).is_ok(),
            // /dev/zero: it reads without end.
            8 if self.makes_devices => {
                let mode = Mode::S_IRUSR | Mode::S_IWUSR;
                mknod(path, SFlag::S_IFCHR, mode, makedev(1, 5)).is_ok()
            }
            8 | 9 => UnixListener::bind(path).is_ok(),
            10 => fs::create_dir(path).is_ok(),
            11 => fs::hard_link(outside("linked"), path).is_ok(),
            _ => {
                // Whole from the start, as a local user who means well does it.
                let whole = self.stage.join("whole");
                fs::write(&whole, HARMLESS).unwrap();
                rename(&whole, path)
            }
        }
    }
}

fn rename(from: &Path, to: &Path) -> bool {
    from != to && fs::rename(from, to).is_ok()
}

fn exchange(one: &Path, other: &Path) -> bool {
    let flags = RenameFlags::RENAME_EXCHANGE;
    one != other && renameat2(AT_FDCWD, one, AT_FDCWD, other, flags).is_ok()
}
