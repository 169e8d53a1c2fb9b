//! Keeps the server's own files outside the folder it serves, where a client could read a log, delete the pidfile, or
//! upload the configuration of the next reload; and apart from each other, since one would take the place of another.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use proto::FileName;

use crate::rights::footing::folder_of;

/// Hidden names in the root that begin so are the store's: its lock and its temporaries.
const STORES_PREFIX: &[u8] = b".prefork-";

/// Whether each of `files`, a flag and its value, is out of reach of clients, which may ask for what is in `root`, and no other
/// one's file.
///
/// # Errors
/// Names the first that is not, and where it could be.
pub(super) fn check(root: &Path, files: &[(&str, Option<&Path>)]) -> Result<(), String> {
    let mut named: Vec<(&str, &Path)> = Vec::new();
    for (flag, path) in files {
        let Some(path) = path else { continue };
        if is_in(root, path, |name| FileName::parse(name).is_ok()) {
            return Err(format!(
                "{flag} {}: clients could read, replace and delete it in --root {}; \
                 put it elsewhere, or give it a name with a leading dot, which nobody can ask for",
                path.display(),
                root.display()
            ));
        }
        if is_in(root, path, |name| name.starts_with(STORES_PREFIX)) {
            return Err(format!(
                "{flag} {}: the server keeps its lock and unfinished uploads under such names in --root {}: \
                 name another file",
                path.display(),
                root.display()
            ));
        }
        if let Some((other, _)) = named.iter().find(|it| is_same((flag, path), **it)) {
            return Err(format!(
                "{flag} {}: {other} names this file, too: name another",
                path.display()
            ));
        }
        named.push((flag, path));
    }
    Ok(())
}

/// Whether both are one file, and not one that takes what both write: the two logs may be one, and a device is no file.
fn is_same((flag, path): (&str, &Path), (other_flag, other): (&str, &Path)) -> bool {
    let are_logs = [flag, other_flag]
        .iter()
        .all(|it| it.ends_with("-log") || it.starts_with("--log-"));
    let is_device = || {
        path.metadata()
            .is_ok_and(|it| it.file_type().is_char_device())
    };
    !are_logs && place(path) == place(other) && !is_device()
}

/// Where a file is, or would be made.
fn place(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.file_name()) {
        (Ok(real), _) => real,
        (Err(_), Some(name)) => real(folder_of(path)).join(name),
        (Err(_), None) => path.to_owned(),
    }
}

/// A name in the root may be a link to a file elsewhere, and a link elsewhere may lead into the root: either is in reach.
fn is_in(root: &Path, path: &Path, is_so: impl Fn(&[u8]) -> bool) -> bool {
    let root = real(root);
    [path.to_owned(), real(path)].iter().any(|path| {
        let name = path.file_name();
        name.is_some_and(|name| is_so(name.as_encoded_bytes())) && real(folder_of(path)) == root
    })
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
        check("root/.prefork-lock", true);
        check("to-root/.prefork-tmp.new", true);
        check("elsewhere/.prefork-lock", false);
        check("root/folder/new.log", false);
        check("elsewhere/far.log", false);
        check("new.log", false);
        check("not/there/new.log", false);
    }

    #[test]
    fn no_file_is_two_of_the_servers_unless_both_are_logs() {
        let ground = tempfile::tempdir().unwrap();
        let at = |name: &str| match name.starts_with('/') {
            true => PathBuf::from(name),
            false => ground.path().join(name),
        };
        for folder in ["root", "run"] {
            std::fs::create_dir(at(folder)).unwrap();
        }
        std::fs::write(at("there"), "").unwrap();
        symlink(at("run"), at("to-run")).unwrap();
        symlink(at("there"), at("to-there")).unwrap();
        let check = |[flag, path]: [&str; 2], [other, others]: [&str; 2], is_refused: bool| {
            let files = [(flag, Some(at(path))), (other, Some(at(others)))];
            let files = files
                .each_ref()
                .map(|(flag, path)| (*flag, path.as_deref()));
            let result = check(&at("root"), &files);
            assert_eq!(result.is_err(), is_refused, "{files:?}: {result:?}");
            if let Err(said) = result {
                assert!(said.starts_with(other) && said.contains(flag), "{said}");
            }
        };
        check(["--access-log", "run/new"], ["--pidfile", "run/new"], true);
        check(["--log-file", "run/new"], ["--admin", "to-run/new"], true);
        check(["--config", "there"], ["--log-file", "to-there"], true);
        check(["--config", "there"], ["--access-log", "there"], true);
        check(
            ["--pidfile", "run/new"],
            ["--admin", "run/../run/new"],
            true,
        );
        check(["--log-file", "there"], ["--access-log", "there"], false);
        check(
            ["--config", "/dev/null"],
            ["--access-log", "/dev/null"],
            false,
        );
        check(["--pidfile", "run/new"], ["--admin", "run/newer"], false);
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
