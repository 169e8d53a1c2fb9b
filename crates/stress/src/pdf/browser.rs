//! Which browser prints, and where it can read and write: not every one sees all folders.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::windows;

/// What they are called on the PATH.
const NAMES: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "microsoft-edge-stable",
];
/// Where Snap has its, whatever the PATH.
const SNAP: &str = "/snap/bin/chromium";
/// Where they are on a Windows that we run under (WSL).
const WINDOWS: [&str; 4] = [
    "/mnt/c/Program Files/Google/Chrome/Application/chrome.exe",
    "/mnt/c/Program Files (x86)/Google/Chrome/Application/chrome.exe",
    "/mnt/c/Program Files/Microsoft/Edge/Application/msedge.exe",
    "/mnt/c/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
];
/// A script that starts another program says so in its first lines.
const SCRIPT_LEN: u64 = 4096;

/// A browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Browser {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

/// What it can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everything.
    Plain,
    /// Of Snap: neither /tmp nor hidden folders, but a folder that Snap made for it.
    Snap,
    /// Of Windows: Windows' own folders, by Windows' names.
    Windows,
}

impl Browser {
    /// The first that is found.
    pub(super) fn find() -> Option<Self> {
        let folders = folders_on_path();
        let elsewhere = [SNAP].into_iter().chain(WINDOWS).map(PathBuf::from);
        Self::first(&folders, elsewhere)
    }

    fn first(folders: &[PathBuf], elsewhere: impl Iterator<Item = PathBuf>) -> Option<Self> {
        let on_path = NAMES
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let mut found = on_path.chain(elsewhere).filter(|path| is_program(path));
        // Without the snap, the script that stands for it only says so.
        let browser = found.find(|path| !stands_for_snap(path) || is_program(Path::new(SNAP)));
        browser.map(Self::at)
    }

    /// The one that somebody named: a file, or a name on the PATH.
    pub(super) fn named(path: &Path) -> Result<Self, String> {
        let on_path = folders_on_path()
            .into_iter()
            .map(|folder| folder.join(path))
            .find(|found| path.components().count() == 1 && is_program(found));
        let found = on_path.unwrap_or_else(|| path.to_owned());
        let wrong = |what: &str| format!("--browser {}: {what}", path.display());
        let cure = "name the file that starts the browser, or leave --browser out to use the first one that is found";
        match fs::metadata(&found) {
            Ok(_) if is_program(&found) => Ok(Self::at(found)),
            Ok(_) => Err(wrong(&format!("it is not a program: {cure}"))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(wrong(&format!("there is no such file: {cure}")))
            }
            Err(error) => Err(wrong(&format!("{error}: {cure}"))),
        }
    }

    fn at(path: PathBuf) -> Self {
        let is_windows = path.extension().is_some_and(|ending| ending == "exe");
        let is_snap = path.starts_with("/snap")
            || fs::canonicalize(&path).is_ok_and(|real| real.ends_with("bin/snap"))
            || stands_for_snap(&path);
        let kind = match () {
            () if is_windows => Kind::Windows,
            () if is_snap => Kind::Snap,
            () => Kind::Plain,
        };
        Self { path, kind }
    }

    /// A new folder that the browser can read and write.
    pub(super) fn make_folder(&self) -> Result<TempDir> {
        let parent = match self.kind {
            Kind::Plain => std::env::temp_dir(),
            Kind::Snap => self.snap_folder()?,
            Kind::Windows => windows::temp()?,
        };
        tempfile::Builder::new()
            .prefix("stress-pdf-")
            .tempdir_in(&parent)
            .with_context(|| format!("no folder for the browser in {}", parent.display()))
    }

    /// What Snap calls SNAP_USER_COMMON: the snap's own, whichever version of it runs.
    fn snap_folder(&self) -> Result<PathBuf> {
        let home =
            std::env::var_os("HOME").context("HOME is not set, where Snap has its folders")?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix("-browser").unwrap_or(&name);
        let folder = Path::new(&home).join("snap").join(name).join("common");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }
}

fn folders_on_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Whether this is Ubuntu's script that starts the snap if there is one.
fn stands_for_snap(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(SCRIPT_LEN).read_to_end(&mut start));
    read.is_ok() && start.starts_with(b"#!") && String::from_utf8_lossy(&start).contains(SNAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these programs, and a file that is none.
    fn folder(programs: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in programs {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(folder.path().join("chromium"), "not a program").unwrap();
        folder
    }

    #[test]
    fn the_first_program_with_a_browsers_name_is_found_on_the_path_then_elsewhere() {
        let one = folder(&[
            ("microsoft-edge", "#!/bin/sh\n"),
            ("firefox", "#!/bin/sh\n"),
        ]);
        let two = folder(&[("google-chrome", "#!/bin/sh\n")]);
        let windows = folder(&[("msedge.exe", "MZ")]).keep();
        let exe = windows.join("msedge.exe");
        let check = |folders: &[&TempDir], want: Option<(PathBuf, Kind)>| {
            let folders: Vec<PathBuf> = folders.iter().map(|dir| dir.path().into()).collect();
            let found = Browser::first(&folders, [exe.clone()].into_iter());
            assert_eq!(found.map(|found| (found.path, found.kind)), want);
        };
        let chrome = two.path().join("google-chrome");
        check(&[&one, &two], Some((chrome, Kind::Plain)));
        let edge = one.path().join("microsoft-edge");
        check(&[&one], Some((edge, Kind::Plain)));
        check(&[], Some((exe.clone(), Kind::Windows)));
        fs::remove_dir_all(&windows).unwrap();
        check(&[], None);
    }

    #[test]
    fn the_script_that_stands_for_the_snap_is_no_browser_without_it() {
        let script =
            format!("#!/bin/sh\nif ! [ -x {SNAP} ]; then exit 1; fi\nexec {SNAP} \"$@\"\n");
        let one = folder(&[("chromium-browser", &script)]);
        let folders = [one.path().to_owned()];
        let found = Browser::first(&folders, std::iter::empty());
        assert_eq!(found.is_some(), is_program(Path::new(SNAP)));
        let named = Browser::named(&one.path().join("chromium-browser")).unwrap();
        assert_eq!(named.kind, Kind::Snap);
        let real = folder(&[(
            "chromium-browser",
            "#!/bin/sh\nexec /usr/lib/chromium \"$@\"\n",
        )]);
        let named = Browser::named(&real.path().join("chromium-browser")).unwrap();
        assert_eq!(named.kind, Kind::Plain);
    }

    #[test]
    fn a_named_browser_that_cannot_be_run_is_said_with_the_flag() {
        let one = folder(&[]);
        let check = |path: &Path, part: &str| {
            let said = Browser::named(path).unwrap_err();
            assert!(
                said.starts_with("--browser /") && said.contains(part),
                "{said}"
            );
        };
        check(&one.path().join("none"), "no such file: name the file");
        check(one.path(), "not a program");
        check(&one.path().join("chromium"), "not a program");
    }
}
