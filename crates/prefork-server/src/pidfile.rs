//! The file that holds the parent's process id, for whoever wants to signal it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A process id on disk. It is always there whole, and removed only by whom it names.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
}

impl Pidfile {
    /// Writes this process's id, in place of whatever the file held: after an upgrade the predecessor's.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(path: &Path) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        writeln!(file, "{}", std::process::id())?;
        file.persist(path)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Removes the file if it still names this process.
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's file, not one in the root that the store guards"
    )]
    pub fn remove(self) {
        let holds = std::fs::read_to_string(&self.path).unwrap_or_default();
        if holds.trim() == std::process::id().to_string()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the pidfile");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test looks at the file")]
    fn it_holds_this_process_and_goes_with_it_but_not_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let pidfile = Pidfile::write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        pidfile.remove();
        assert!(!path.exists());

        let pidfile = Pidfile::write(&path).unwrap();
        std::fs::write(&path, "1\n").unwrap();
        pidfile.remove();
        assert!(path.exists());
    }
}
