//! Keeps the server's own files outside the folder it serves: there a client could read a log, delete the pidfile, or
//! upload the configuration of the next reload.

use std::path::{Path, PathBuf};

use proto::FileName;

/// Whether each of `files`, a flag and its value, is out of reach of whoever may ask for what is in `root`.
///
/// # Errors
/// Names the first that is not, and where it could be.
pub fn check(root: &Path, files: &[(&str, Option<&Path>)]) -> Result<(), String> {
    for (flag, path) in files {
        if let Some(path) = path
            && is_served(root, path)
        {
            return Err(format!(
                "{flag} {}: clients could read, replace and delete it in --root {}; \
                 put it elsewhere, or give it a name with a leading dot, which nobody can ask for",
                path.display(),
                root.display()
            ));
        }
    }
    Ok(())
}

/// A name in the root may be a link to a file elsewhere, and a link elsewhere may lead into the root: either is in reach.
fn is_served(root: &Path, path: &Path) -> bool {
    let root = real(root);
    [path.to_owned(), real(path)]
        .iter()
        .any(|path| is_entry(&root, path))
}

fn is_entry(root: &Path, path: &Path) -> bool {
    let Some(name) = path.file_name() else {
        return false;
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    real(folder) == root && FileName::parse(name.as_encoded_bytes()).is_ok()
}

/// `path` without links; what is not there yet, as it is written.
fn real(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.canonicalize().unwrap_or_else(|_| absolute())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make files")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_client_could_ask_for_is_refused_and_nothing_else() {
        let ground = tempfile::tempdir().unwrap();
        let at = |name: &str| ground.path().join(name);
        for folder in ["root", "root/folder", "elsewhere"] {
            std::fs::create_dir(at(folder)).unwrap();
        }
        std::fs::write(at("root/there.log"), "").unwrap();
        std::fs::write(at("elsewhere/far.log"), "").unwrap();
        symlink(at("root"), at("to-root")).unwrap();
        symlink(at("root/there.log"), at("to-there.log")).unwrap();
        symlink(at("elsewhere/far.log"), at("root/to-far.log")).unwrap();
        let check = |path: &str, is_refused: bool| {
            for root in ["root", "to-root", "elsewhere/../root"] {
                let result = check(&at(root), &[("--log-file", Some(&at(path)))]);
                assert_eq!(result.is_err(), is_refused, "{path} in {root}: {result:?}");
            }
        };
        check("root/new.log", true);
        check("root/there.log", true);
        check("to-root/new.log", true);
        check("to-there.log", true);
        check("root/to-far.log", true);
        check("root/folder/../new.log", true);
        check("root/.hidden.log", false);
        check("root/folder/new.log", false);
        check("elsewhere/far.log", false);
        check("new.log", false);
        check("not/there/new.log", false);
    }

    #[test]
    fn a_root_that_is_not_there_yet_counts_too() {
        let check = |path: &str| {
            check(
                Path::new("no-such-root"),
                &[("--pidfile", Some(path.as_ref()))],
            )
        };
        let said = check("no-such-root/pid").unwrap_err();
        assert!(said.starts_with("--pidfile no-such-root/pid: "), "{said}");
        assert!(said.contains("--root no-such-root"), "{said}");
        check("pid").unwrap();
    }
}
