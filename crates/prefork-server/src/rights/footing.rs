//! Whether root may put a file of its own under a name.
//!
//! Who can write to a folder on the way there can exchange what the name leads to, for a link to any file of root's.
//! So a process that is root's takes no name from such a folder, as logrotate does not; a dropped server acts with its
//! user's rights, and has nothing to give away.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::Uid;

use crate::{sys, words};

/// As many links as the kernel follows in one name (path_resolution(7)).
pub(crate) const LINKS_MAX: u32 = 40;

/// Mode bits: who may write, and that only its owner may rename or remove an entry.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// What others can do with the names in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Footing {
    /// Nothing.
    Own,
    /// They can take a name that is free, but not exchange one of root's: `/tmp` is such a folder.
    Shared,
}

/// What others can do with the names in the folder that `path` names a file in. A process that is not root's has all footing
/// there is.
///
/// # Errors
/// In words for a person: another user can exchange what `path` leads to.
pub(crate) fn of_file(path: &Path) -> Result<Footing, String> {
    if !Uid::effective().is_root() {
        return Ok(Footing::Own);
    }
    Walk::new(Machine::this()).to(folder_of(path))
}

/// Whether a file of the server's may take the place of what lies at `path`. Where everybody can put files, only what
/// is the server's user's own may: all else is another user's.
///
/// # Errors
/// In words for a person, without the path.
pub(crate) fn may_replace(path: &Path) -> Result<(), String> {
    let Ok(metadata) = path.symlink_metadata() else {
        return Ok(());
    };
    if !is_shared(path)? || is_own(&metadata) {
        return Ok(());
    }
    let user = Uid::effective();
    let why = match metadata.uid() == user.as_raw() {
        true => "has another name too".to_owned(),
        false => format!("is user {}'s, not user {user}'s", metadata.uid()),
    };
    Err(format!(
        "it is there already, and {why}: where everybody can put files, the server does not replace it: \
         remove it, or name a file in a folder that only the server's user can write to"
    ))
}

/// Gives what is at `made` the name `path`, in place of what [may be replaced](may_replace) and of nothing else.
pub(crate) fn put_in_place(made: &Path, path: &Path) -> io::Result<()> {
    let is_taken = path
        .symlink_metadata()
        .is_ok_and(|metadata| is_own(&metadata));
    // What is the server's own nobody can exchange there; a name that is free, anybody can take.
    let flags = match is_shared(path).map_err(io::Error::other)? && !is_taken {
        true => RenameFlags::RENAME_NOREPLACE,
        false => RenameFlags::empty(),
    };
    renameat2(AT_FDCWD, made, AT_FDCWD, path, flags).map_err(Errno::into)
}

/// Whether nobody but this process's user can have put it there, and it is nothing else by another name.
pub(crate) fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == Uid::effective().as_raw() && metadata.nlink() == 1
}

/// Whether everybody can put files beside `path`, and remove his own only.
fn is_shared(path: &Path) -> Result<bool, String> {
    if of_file(path)? == Footing::Shared {
        return Ok(true);
    }
    let metadata = folder_of(path).metadata();
    Ok(metadata.is_ok_and(|it| it.mode() & OTHERS_WRITE != 0 && it.mode() & STICKY != 0))
}

/// The folder that `path` names a file in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Whom root must not trust: everybody but root. In a user namespace the machine's root is shown as the overflow user.
#[derive(Debug, Clone, Copy)]
struct Machine {
    overflow_uid: Option<u32>,
}

impl Machine {
    fn this() -> Self {
        let read = |path| sys::read_kernel_file(path).unwrap_or_default();
        let map = read("/proc/self/uid_map");
        let is_namespace = !map.is_empty() && map.split_whitespace().ne(["0", "0", "4294967295"]);
        let overflow = read("/proc/sys/kernel/overflowuid").trim().parse().ok();
        Self {
            overflow_uid: overflow.filter(|_| is_namespace),
        }
    }

    fn is_root(self, uid: u32) -> bool {
        uid == 0 || Some(uid) == self.overflow_uid
    }
}

/// Goes from `/` to a folder, name by name. Each step is taken from a folder in which nobody else can exchange the next
/// name, so none can be exchanged between the look and the use.
struct Walk {
    machine: Machine,
    at: PathBuf,
    footing: Footing,
    links: u32,
}

impl Walk {
    fn new(machine: Machine) -> Self {
        Self {
            machine,
            at: PathBuf::from("/"),
            footing: Footing::Own,
            links: 0,
        }
    }

    fn to(mut self, folder: &Path) -> Result<Footing, String> {
        let absolute = std::path::absolute(folder).map_err(|error| cannot_look(folder, &error))?;
        let mut names = names_of(&absolute);
        self.look()?;
        while let Some(name) = names.pop() {
            if name == ".." {
                self.at.pop();
                self.look()?;
                continue;
            }
            let next = self.at.join(name);
            let metadata = match next.symlink_metadata() {
                Ok(metadata) => metadata,
                // To open the file will say so.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.footing),
                Err(error) => return Err(cannot_look(&next, &error)),
            };
            if self.footing == Footing::Shared && !self.machine.is_root(metadata.uid()) {
                return Err(exposed(&next));
            }
            if metadata.is_symlink() {
                self.links += 1;
                let target = next
                    .read_link()
                    .map_err(|error| cannot_look(&next, &error))?;
                if self.links > LINKS_MAX {
                    return Err(format!("{} leads in a circle", next.display()));
                }
                if target.is_absolute() {
                    self.at = PathBuf::from("/");
                    self.look()?;
                }
                names.extend(names_of(&target));
            } else {
                self.at = next;
                self.look()?;
            }
        }
        Ok(self.footing)
    }

    /// Finds out what others can do with the names in the folder it has come to.
    fn look(&mut self) -> Result<(), String> {
        let failed = |error| cannot_look(&self.at, &error);
        let metadata = self.at.symlink_metadata().map_err(failed)?;
        let (mode, is_roots) = (metadata.mode(), self.machine.is_root(metadata.uid()));
        let is_roots_group = metadata.gid() == 0 && !sys::has_access_list(&self.at);
        let group_writes = mode & GROUP_WRITES != 0 && !is_roots_group;
        let others_write = group_writes || mode & OTHERS_WRITE != 0;
        self.footing = match (is_roots, others_write, mode & STICKY != 0) {
            (true, false, _) => Footing::Own,
            (true, true, true) => Footing::Shared,
            _ => return Err(exposed(&self.at)),
        };
        Ok(())
    }
}

/// The parts of a path, the first one last.
fn names_of(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<_> = names.collect();
    names.reverse();
    names
}

fn cannot_look(path: &Path, error: &io::Error) -> String {
    format!("cannot look at {}: {}", path.display(), words::plain(error))
}

fn exposed(folder: &Path) -> String {
    format!(
        "others than root can write to {} and put a link to a file of root's there: run as another user with \
         --user NAME, or name a file in a folder that only root can write to",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn root_takes_a_name_only_from_where_nobody_else_can_exchange_it() {
        if !Uid::effective().is_root() {
            eprintln!("SKIPPED: only root can make what is somebody else's");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let make = |name: &str, mode, owner: (u32, u32)| {
            fs::create_dir(at(name)).unwrap();
            chown(at(name), Some(owner.0), Some(owner.1)).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        };
        make("roots", 0o755, (0, 7));
        make("for-roots-group", 0o775, (0, 0));
        make("theirs", 0o700, (7, 7));
        make("for-a-group", 0o775, (0, 7));
        make("for-all", 0o777, (0, 0));
        make("sticky", 0o1777, (0, 0));
        make("their-sticky", 0o1777, (7, 7));
        make("theirs/roots", 0o700, (0, 0));
        make("sticky/roots", 0o700, (0, 0));
        make("sticky/theirs", 0o700, (7, 7));
        symlink(at("roots"), at("link")).unwrap();
        symlink("theirs", at("to-theirs")).unwrap();
        symlink("circle", at("circle")).unwrap();
        symlink(at("roots"), at("sticky/link")).unwrap();
        symlink(at("roots"), at("sticky/their-link")).unwrap();
        std::os::unix::fs::lchown(at("sticky/their-link"), Some(7), Some(7)).unwrap();

        let check = |path: &str, want: Result<Footing, &str>| {
            let found = of_file(&at(path));
            match (&found, want) {
                (Ok(footing), Ok(want)) => assert_eq!(*footing, want, "{path}"),
                (Err(said), Err(want)) => assert!(said.contains(want), "{path}: {said}"),
                _ => panic!("{path}: {found:?}"),
            }
        };
        check("file", Ok(Footing::Own));
        check("roots/file", Ok(Footing::Own));
        check("roots/not/there/file", Ok(Footing::Own));
        check("for-roots-group/file", Ok(Footing::Own));
        check("link/file", Ok(Footing::Own));
        check("sticky/file", Ok(Footing::Shared));
        check("sticky/roots/file", Ok(Footing::Own));
        check("sticky/link/file", Ok(Footing::Own));
        check("theirs/../roots/file", Err("/theirs "));
        check("roots/../roots/file", Ok(Footing::Own));
        check("theirs/file", Err("/theirs and put a link"));
        check("theirs/roots/file", Err("/theirs and"));
        check("to-theirs/file", Err("/theirs and"));
        check("for-a-group/file", Err("--user NAME"));
        check("for-all/file", Err("/for-all and"));
        check("their-sticky/file", Err("/their-sticky and"));
        check("sticky/theirs/file", Err("/sticky/theirs and"));
        check("sticky/their-link/file", Err("/sticky/their-link and"));
        check("circle/file", Err("circle"));
        // Its mode is that of `for-roots-group`, but the bits are what the list may allow.
        make("for-somebody", 0o755, (0, 0));
        if allow_by_list(&at("for-somebody"), 7) {
            assert_eq!(at("for-somebody").metadata().unwrap().mode() & 0o777, 0o775);
            check("for-somebody/file", Err("/for-somebody and"));
        }
    }

    /// Lets a user write to a folder by an access control list; or says that this cannot be tried here.
    fn allow_by_list(folder: &Path, user: u32) -> bool {
        let entries = [
            (1, 7, u32::MAX),
            (2, 7, user),
            (4, 5, u32::MAX),
            (16, 7, u32::MAX),
            (32, 5, u32::MAX),
        ];
        let list = entries.iter().fold(
            "02000000".to_owned(),
            |list, (tag, rights, id): &(u16, u16, u32)| {
                let (tag, rights, id) = (tag.swap_bytes(), rights.swap_bytes(), id.swap_bytes());
                format!("{list}{tag:04x}{rights:04x}{id:08x}")
            },
        );
        let program = "import os, sys; os.setxattr(sys.argv[1], 'system.posix_acl_access', bytes.fromhex(sys.argv[2]))";
        let set = std::process::Command::new("python3")
            .args(["-c", program])
            .arg(folder)
            .arg(list)
            .status();
        let is_set = set.is_ok_and(|status| status.success());
        if !is_set {
            eprintln!("SKIPPED: python3 and a file system with access control lists");
        }
        is_set
    }
}
