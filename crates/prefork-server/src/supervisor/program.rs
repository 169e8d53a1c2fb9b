//! Which file an upgrade starts: what was typed at the start, looked up again, so that a link that was switched to
//! another release leads to that release.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use nix::unistd::{AccessFlags, access};

/// The kernel's own name for the file that runs.
const RUNNING: &str = "/proc/self/exe";

/// This program's file.
#[derive(Debug)]
pub(super) struct Program {
    /// None if it was started under a name that leads elsewhere.
    typed: Option<Typed>,
    /// Without links.
    running: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Path(PathBuf),
    /// To be looked up in PATH.
    Name(OsString),
}

impl Program {
    /// That of this process, while it is still where it was started from.
    ///
    /// # Errors
    /// Without /proc nothing can be known for sure.
    pub(super) fn of_this_process() -> io::Result<Self> {
        let running = std::env::current_exe()?;
        let typed = std::env::args_os().next().map(Typed::new);
        let leads_here = |typed: &Typed| {
            typed
                .find()
                .is_some_and(|path| is_same(&path, Path::new(RUNNING)))
        };
        Ok(Self {
            typed: typed.filter(leads_here),
            running,
        })
    }

    /// Looks for the file, and into it: so that what cannot be had just now is waited for here.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program is not in the root that the store guards"
    )]
    pub(super) fn look(&self) {
        if let Ok(mut file) = self.find().and_then(|path| Ok(File::open(path)?)) {
            let _ = file.read(&mut [0; 4096]);
        }
    }

    /// The file that its name leads to now.
    ///
    /// # Errors
    /// If there is none, with the name.
    pub(super) fn find(&self) -> Result<PathBuf> {
        match &self.typed {
            None => Ok(self.running.clone()),
            Some(typed) => match (typed.find(), typed) {
                (Some(path), _) => Ok(path),
                (None, Typed::Path(path)) => bail!("there is no program at {}", path.display()),
                (None, Typed::Name(name)) => bail!("there is no {} in PATH", name.display()),
            },
        }
    }
}

impl Typed {
    fn new(word: OsString) -> Self {
        if word.as_bytes().contains(&b'/') {
            Self::Path(logical_folder().join(word))
        } else {
            Self::Name(word)
        }
    }

    fn find(&self) -> Option<PathBuf> {
        let can_run = |path: &PathBuf| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
        match self {
            Self::Path(path) => Some(path.clone()).filter(can_run),
            Self::Name(name) => std::env::split_paths(&std::env::var_os("PATH")?)
                .map(|folder| folder.join(name))
                .find(can_run),
        }
    }
}

/// The folder that this process was started in, by the name that a shell has for it: the kernel's is without links.
fn logical_folder() -> PathBuf {
    let named = std::env::var_os("PWD").map(PathBuf::from);
    let named = named.filter(|path| path.is_absolute() && is_same(path, Path::new(".")));
    named
        .or_else(|| std::env::current_dir().ok())
        .unwrap_or_default()
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|it| (it.dev(), it.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}
