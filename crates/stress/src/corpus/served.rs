//! A folder that is not the harness's own: that of a server that serves no other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use stress_data::shell::quoted;
use stress_data::size;

/// The folder, for one row. What the row leaves in it under the names that it gives is removed when dropped; whatever
/// else is in it is somebody's, and stays.
#[derive(Debug)]
pub(crate) struct ServedFolder {
    path: PathBuf,
}

impl ServedFolder {
    /// Takes the folder, which is made if it is missing and must be empty.
    ///
    /// # Errors
    /// What the system said, or that it is not empty.
    pub(crate) fn take(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let path = fs::canonicalize(path)?;
        let found = visible(&path)?;
        match found.first() {
            None => Ok(Self { path }),
            Some(first) => Err(io::Error::other(not_empty(&path, first, &found))),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ServedFolder {
    fn drop(&mut self) {
        let found = visible(&self.path).unwrap_or_default();
        for entry in found.iter().filter(|entry| is_named_by_us(entry)) {
            // What stays all the same is told by the next row.
            let _ = fs::remove_file(entry);
        }
    }
}

/// Why the folder cannot be taken. What a killed run left is not removed without being asked: it could be anybody's.
fn not_empty(folder: &Path, first: &Path, found: &[PathBuf]) -> String {
    let stranger = found.iter().find(|entry| !is_named_by_us(entry));
    let shown = stranger.map_or(first, PathBuf::as_path);
    let name = shown.file_name().unwrap_or_default().display();
    let folder_text = folder.display();
    if stranger.is_some() {
        return format!(
            "--server-root: {folder_text} is not empty ({name} is in it): empty it, or name another"
        );
    }
    let files = size::counted(found.len() as u64, "file");
    let folder = quoted(&folder.to_string_lossy());
    format!(
        "--server-root: {folder_text} is not empty: {files} in it ({name}), all with names that this program gives, as a run that was killed leaves them. If nobody else put them there, remove them: (cd {folder} && rm -f [dlu][0-9]*.bin slow[0-9]*.bin stalled.bin)"
    )
}

/// Whether the entry has a name of `corpus`, `d0001.bin`, `l0001.bin`, `u0001-1.bin`, `slow0001.bin` or `stalled.bin`,
/// and is no folder.
fn is_named_by_us(entry: &Path) -> bool {
    let is_number = |text: &str, digits_min: usize| {
        text.len() >= digits_min && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let name = entry.file_name().and_then(|name| name.to_str());
    let Some(stem) = name.and_then(|name| name.strip_suffix(".bin")) else {
        return false;
    };
    let letters_len = stem.bytes().take_while(u8::is_ascii_alphabetic).count();
    let is_ours = match stem.split_at(letters_len) {
        ("d" | "l" | "slow", number) => is_number(number, 4),
        ("u", rest) => rest
            .split_once('-')
            .is_some_and(|(client, request)| is_number(client, 4) && is_number(request, 1)),
        ("stalled", rest) => rest.is_empty(),
        _ => false,
    };
    is_ours && !entry.is_dir()
}

fn visible(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{download_name, list_names, upload_name};

    #[test]
    fn a_folder_is_left_as_it_was_found_and_not_taken_with_somebodys_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("files");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(".gitkeep"), "").unwrap();
        let served = ServedFolder::take(&path).unwrap();
        let names = [
            "u0000-0.bin",
            "d0000.bin",
            "l12345.bin",
            "slow0001.bin",
            "stalled.bin",
        ];
        for name in names {
            fs::write(served.path().join(name), "x").unwrap();
        }
        // Somebody works in the folder meanwhile.
        fs::write(path.join("thesis.pdf"), "x").unwrap();
        fs::write(path.join("d0000.bin.txt"), "x").unwrap();
        drop(served);
        let mut left = visible(&path).unwrap();
        left.sort();
        assert_eq!(left, [path.join("d0000.bin.txt"), path.join("thesis.pdf")]);
        assert!(path.join(".gitkeep").exists());
        fs::remove_file(path.join("d0000.bin.txt")).unwrap();
        fs::remove_file(path.join("thesis.pdf")).unwrap();

        fs::write(path.join("thesis.pdf"), "x").unwrap();
        let error = ServedFolder::take(&path).unwrap_err().to_string();
        assert!(error.contains("not empty (thesis.pdf is in it)"), "{error}");
        assert!(path.join("thesis.pdf").exists());
    }

    #[test]
    fn what_a_killed_run_left_is_known_by_its_names_and_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let left = [
            download_name(1).to_string(),
            upload_name(12_345, 0).to_string(),
            list_names(1).swap_remove(0),
        ];
        for name in &left {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let error = || ServedFolder::take(folder.path()).unwrap_err().to_string();
        let said = error();
        assert!(said.contains("3 files in it"), "{said}");
        let command = said.split_once("remove them: ").unwrap().1.to_owned();
        for name in [
            "data.bin",
            "d1.bin",
            "u0001.bin",
            "d0001.bin.gz",
            "u0001-x.bin",
            "dddddd.bin",
            "stalled1.bin",
            "slow1.bin",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
            let said = error();
            assert!(said.contains(name) && !said.contains("rm "), "{said}");
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        let inner = folder.path().join("d0007.bin");
        fs::create_dir(&inner).unwrap();
        assert!(!error().contains("rm "), "a folder is none of ours");
        fs::remove_dir(&inner).unwrap();
        assert_eq!(visible(folder.path()).unwrap().len(), 3);
        let shell = std::process::Command::new("sh")
            .args(["-c", &command])
            .status();
        assert!(shell.unwrap().success());
        assert!(ServedFolder::take(folder.path()).is_ok());
    }
}
