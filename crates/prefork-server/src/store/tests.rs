//! What the store promises, each promise against a real directory.
#![expect(
    clippy::disallowed_methods,
    reason = "what the store does is looked at from outside"
)]

mod downloads;
mod listings;
mod quota;
mod roots;
mod small_disk;
mod uploads;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use proto::FileName;
use tempfile::TempDir;

use super::{Durability, Folder, OpenError, Store, StoreError, StoreOptions, Temporaries, lock};

const OPTIONS: StoreOptions = StoreOptions {
    durability: Durability::None,
    upload_len_max: 64 << 20,
    min_free_bytes: 0,
    read_only: false,
    root_bytes_max: None,
};

/// Names the directory to a test that runs again in a process of its own.
const ROOT_VARIABLE: &str = "PREFORK_STORE_TEST_ROOT";

fn open(path: &Path) -> Store {
    try_open(path, OPTIONS).expect("a root of its own")
}

fn try_open(path: &Path, options: StoreOptions) -> Result<Store, OpenError> {
    Store::open(Folder::open(path)?, options)
}

/// An empty store, and the directory that lasts as long as the test.
fn empty_store() -> (Store, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    (open(directory.path()), directory)
}

/// The same for both ways of hiding a pending upload.
fn stores_of_both_kinds() -> [(Store, TempDir); 2] {
    [Temporaries::Tmpfile, Temporaries::Named].map(|temporaries| {
        let (mut store, directory) = empty_store();
        let root = Arc::get_mut(&mut store.root).expect("nothing is pending yet");
        if temporaries == Temporaries::Tmpfile && root.temporaries == Some(Temporaries::Named) {
            eprintln!("SKIPPED half: no unnamed files in {directory:?}");
        } else {
            root.temporaries = Some(temporaries);
        }
        (store, directory)
    })
}

fn name(text: &str) -> FileName {
    text.parse().expect("a name of the protocol")
}

fn put(store: &Store, text: &str, content: &[u8]) -> Result<(), StoreError> {
    let mut upload = in_the_end(|| store.create(&name(text)))?;
    for piece in content.chunks(256 << 10) {
        in_the_end(|| upload.write(piece))?;
    }
    assert_eq!(upload.len(), content.len() as u64);
    in_the_end(|| upload.commit())
}

/// What is asked of a store until it can.
fn in_the_end<T>(mut ask: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    loop {
        match ask() {
            Err(StoreError::NotYet) => std::thread::yield_now(),
            result => return result,
        }
    }
}

fn get(store: &Store, text: &str) -> Result<Vec<u8>, StoreError> {
    let download = store.read(&name(text))?;
    let mut content = vec![0; usize::try_from(download.len()).expect("a small file")];
    download.read_exact_at(&mut content, 0)?;
    Ok(content)
}

/// Everything in the directory, hidden or not, sorted, but for the lock.
fn raw_names(directory: &Path) -> Vec<OsString> {
    let entries = std::fs::read_dir(directory).expect("a readable directory");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name != lock::NAME)
        .collect();
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    names
}

/// Runs one test of this binary again in another process, on `root`; says whether it passed.
fn passes_in_another_process(launcher: &mut Command, test: &str, root: &Path) -> bool {
    let output = launcher
        .args(["--exact", &format!("store::tests::{test}"), "--nocapture"])
        .env(ROOT_VARIABLE, root)
        .output()
        .expect("another process");
    let text = String::from_utf8_lossy(&output.stdout);
    eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
    output.status.success() && text.contains("1 passed")
}
