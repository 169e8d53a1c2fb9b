//! A local file that appears only when it is complete.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// What to do about a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Refuse, with [`io::ErrorKind::AlreadyExists`].
    Never,
    /// Put the new file in its place.
    Allowed,
}

/// A file in the making, under a hidden name in the folder where it is to appear, and nobody else's to read. Dropped
/// without [`Destination::commit`] it is removed.
///
/// It gets the permission bits of the file that it replaces, but for setuid and setgid; not its owner, and not its ACL.
#[derive(Debug)]
pub struct Destination {
    temporary: NamedTempFile,
    path: PathBuf,
    overwrite: Overwrite,
}

impl Destination {
    /// Starts a file that will be `path`. Where `path` is a symbolic link, the file it leads to will be
    /// replaced, not the link.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is a `path` that must not be overwritten,
    /// [`io::ErrorKind::IsADirectory`] if it is a folder, and what creating a file in its folder gives.
    pub fn create(path: &Path, overwrite: Overwrite) -> io::Result<Self> {
        let path = match fs::canonicalize(path) {
            Ok(existing) if existing.is_dir() => {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            Ok(_) if overwrite == Overwrite::Never => {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            Ok(existing) => existing,
            Err(_) => path.to_path_buf(),
        };
        let temporary = temporary_beside(&path, 0o600)?;
        Ok(Self {
            temporary,
            path,
            overwrite,
        })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if a file of that name has come up meanwhile and must not be
    /// overwritten, and what renaming gives. The temporary file is then gone.
    pub fn commit(self) -> io::Result<()> {
        self.set_mode()?;
        self.take_name()
    }

    /// Like [`Destination::commit`]; content and name then survive a loss of power.
    ///
    /// # Errors
    /// As for [`Destination::commit`], and what `fsync(2)` gives.
    pub fn commit_durably(self) -> io::Result<()> {
        self.set_mode()?;
        self.temporary.as_file().sync_all()?;
        let folder = self.temporary.path().parent().map(File::open).transpose()?;
        self.take_name()?;
        match folder {
            Some(folder) => folder.sync_all(),
            None => Ok(()),
        }
    }

    fn set_mode(&self) -> io::Result<()> {
        let mode = match fs::symlink_metadata(&self.path) {
            Ok(replaced) if replaced.is_file() => replaced.permissions().mode() & 0o777,
            // What the umask and the folder's default ACL leave any new file: it is to be as visible as one from `cp`.
            _ => {
                let new = temporary_beside(&self.path, 0o666)?;
                new.as_file().metadata()?.permissions().mode() & 0o777
            }
        };
        let permissions = Permissions::from_mode(mode);
        match self.temporary.as_file().set_permissions(permissions) {
            // There are file systems without permission bits. Elsewhere nobody but this user gets at the file.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            result => result,
        }
    }

    fn take_name(self) -> io::Result<()> {
        let persisted = match self.overwrite {
            Overwrite::Never => self.temporary.persist_noclobber(&self.path),
            Overwrite::Allowed => self.temporary.persist(&self.path),
        };
        match persisted {
            Ok(_) => Ok(()),
            Err(failed) => Err(failed.error),
        }
    }
}

/// A file under a fresh hidden name in the folder of `path`, with what the umask leaves of `mode`.
fn temporary_beside(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".prefork-client-")
        .suffix(".part")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.as_file_mut().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_with_its_commit_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let mut destination = Destination::create(&path, Overwrite::Never).unwrap();
        destination.write_all(b"content").unwrap();
        assert!(!path.exists());
        destination.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_dropped_destination_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let mut destination = Destination::create(&path, Overwrite::Never).unwrap();
        destination.write_all(b"content").unwrap();
        assert!(
            names(folder.path())
                .iter()
                .all(|name| name.starts_with('.'))
        );
        drop(destination);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_file_that_is_there_stays_unless_overwriting_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        fs::write(&path, "old").unwrap();
        let refused = Destination::create(&path, Overwrite::Never).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        let mut destination = Destination::create(&path, Overwrite::Allowed).unwrap();
        destination.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        destination.commit_durably().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_file_that_came_up_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let destination = Destination::create(&path, Overwrite::Never).unwrap();
        fs::write(&path, "another's").unwrap();
        assert_eq!(
            destination.commit().unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_file_is_as_visible_as_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let ordinary = folder.path().join("ordinary");
        let path = folder.path().join("a.bin");
        fs::write(&ordinary, "").unwrap();
        Destination::create(&path, Overwrite::Never)
            .unwrap()
            .commit()
            .unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(path), mode(ordinary));
    }

    #[test]
    fn replacing_a_file_keeps_its_permission_bits_but_for_setuid_and_setgid() {
        for durably in [false, true] {
            for old in [0o600, 0o640, 0o664, 0o444, 0o755, 0o6750, 0o1777] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("a.bin");
                fs::write(&path, "old").unwrap();
                fs::set_permissions(&path, Permissions::from_mode(old)).unwrap();
                let mut destination = Destination::create(&path, Overwrite::Allowed).unwrap();
                destination.write_all(b"new").unwrap();
                let pending = destination.temporary.as_file().metadata().unwrap();
                assert_eq!(pending.permissions().mode() & 0o7777, 0o600, "{old:o}");
                match durably {
                    true => destination.commit_durably(),
                    false => destination.commit(),
                }
                .unwrap();
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                assert_eq!(mode & 0o7777, old & 0o777, "{old:o}");
                assert_eq!(names(folder.path()), ["a.bin"]);
            }
        }
    }

    #[test]
    fn a_link_stays_a_link_when_its_target_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mut destination = Destination::create(&link, Overwrite::Allowed).unwrap();
        destination.write_all(b"new").unwrap();
        destination.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for overwrite in [Overwrite::Never, Overwrite::Allowed] {
            let refused = Destination::create(folder.path(), overwrite).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::IsADirectory);
        }
    }
}
