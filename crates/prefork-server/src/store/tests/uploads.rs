//! Uploads: invisible until whole, whole or not at all.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::super::temporary::{PRIVATE, link_through_proc, open_unnamed};
use super::*;

#[test]
fn what_is_uploaded_is_downloaded() {
    for (store, _directory) in stores_of_both_kinds() {
        // Nothing, a byte, one piece and a bit, more than one reserve.
        for len in [0, 1, 300_000, 20_000_001] {
            let content: Vec<u8> = (0..len).map(|i: usize| (i / 3 + i % 7) as u8).collect();
            put(&store, "a.bin", &content).expect("an upload");
            assert!(
                get(&store, "a.bin").expect("a download") == content,
                "{len}"
            );
        }
    }
}

#[test]
fn an_upload_is_invisible_until_it_is_committed() {
    for (store, directory) in stores_of_both_kinds() {
        put(&store, "taken", b"old").expect("an upload");
        for text in ["taken", "free"] {
            let mut upload = store.create(&name(text)).expect("an upload");
            upload.write(b"new").expect("room");
            assert_eq!(store.list().expect("a listing").names().len(), 1);
            assert_eq!(get(&store, "taken").expect("a download"), b"old");
            drop(upload);
        }
        assert!(matches!(get(&store, "free"), Err(StoreError::NotFound)));
        assert_eq!(raw_names(directory.path()), ["taken"]);
    }
}

#[test]
fn a_committed_upload_leaves_only_its_name() {
    for (store, directory) in stores_of_both_kinds() {
        put(&store, "a", b"1").expect("an upload");
        put(&store, "a", b"2").expect("an upload");
        put(&store, "b", b"3").expect("an upload");
        assert_eq!(raw_names(directory.path()), ["a", "b"]);
    }
}

#[test]
fn an_unnamed_file_can_be_named_without_privileges() {
    let (store, directory) = empty_store();
    if store.temporaries() == Some(Temporaries::Named) {
        eprintln!("SKIPPED: no unnamed files in {directory:?}");
        return;
    }
    let root = &store.root.directory;
    let file = open_unnamed(root, PRIVATE).expect("an unnamed file").into();
    link_through_proc(root, &file, "a").expect("a name");
    assert_eq!(raw_names(directory.path()), ["a"]);
}

#[test]
fn a_commit_that_fails_leaves_nothing() {
    for (store, directory) in stores_of_both_kinds() {
        let mut upload = store.create(&name("a")).expect("an upload");
        fs::create_dir(directory.path().join("a")).expect("a folder");
        assert!(matches!(upload.commit(), Err(StoreError::NotAFile)));
        drop(upload);
        assert_eq!(raw_names(directory.path()), ["a"]);
    }
}

#[test]
fn a_folders_name_is_refused_before_anything_is_sent() {
    let (store, directory) = empty_store();
    fs::create_dir(directory.path().join("a")).expect("a folder");
    let error = store.create(&name("a")).expect_err("a folder's name");
    assert!(matches!(error, StoreError::NotAFile));
    assert_eq!(error.code(), proto::Code::BadName);
}

#[test]
fn a_link_is_replaced_and_never_written_through() {
    let (store, directory) = empty_store();
    let outside = tempfile::tempdir().expect("a temporary directory");
    let target = outside.path().join("target");
    fs::write(&target, "outside").expect("a file");
    symlink(&target, directory.path().join("a")).expect("a link");
    put(&store, "a", b"inside").expect("an upload");
    assert_eq!(fs::read(&target).expect("the target"), b"outside");
    assert_eq!(get(&store, "a").expect("a download"), b"inside");
}

#[test]
fn every_durability_stores_the_content() {
    for durability in [Durability::None, Durability::Data, Durability::Full] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = StoreOptions {
            durability,
            ..OPTIONS
        };
        let store = try_open(directory.path(), options).expect("a root");
        put(&store, "a", b"content").expect("an upload");
        assert_eq!(get(&store, "a").expect("a download"), b"content");
        store.delete(&name("a")).expect("a delete");
        assert!(raw_names(directory.path()).is_empty());
    }
}

#[test]
fn an_upload_over_the_limit_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = StoreOptions {
        upload_len_max: 4,
        ..OPTIONS
    };
    let store = try_open(directory.path(), options).expect("a root");
    put(&store, "fits", b"1234").expect("an upload");
    let error = put(&store, "over", b"12345").expect_err("too large");
    assert!(matches!(error, StoreError::TooLarge(4)));
    assert_eq!(raw_names(directory.path()), ["fits"]);
}

#[test]
fn uploads_leave_the_free_space_they_have_to() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = StoreOptions {
        min_free_bytes: u64::MAX,
        ..OPTIONS
    };
    let store = try_open(directory.path(), options).expect("a root");
    assert!(matches!(put(&store, "a", b""), Err(StoreError::NoSpace)));
    assert!(raw_names(directory.path()).is_empty());
}

#[test]
fn reserved_blocks_are_given_back() {
    let (store, directory) = empty_store();
    put(&store, "a", &[1; 300_000]).expect("an upload");
    let metadata = fs::metadata(directory.path().join("a")).expect("the file");
    assert!(
        metadata.blocks() * 512 < 1 << 20,
        "{} blocks",
        metadata.blocks()
    );
    assert_eq!(
        metadata.permissions().mode() & 0o133,
        0,
        "mode 0644 at most"
    );
}

/// The modes of the files under `directory` that this process has open without a name of a client's.
fn pending_modes(directory: &Path) -> Vec<u32> {
    let open = fs::read_dir("/proc/self/fd").expect("this process's files");
    let paths = open.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| {
            let target = fs::read_link(path).unwrap_or_default();
            target.parent() == Some(directory)
                && target.file_name().is_some_and(|name| name != lock::NAME)
        })
        .filter_map(|path| Some(fs::metadata(path).ok()?.permissions().mode() & 0o7777))
        .collect()
}

#[test]
fn replacing_a_file_keeps_who_may_read_and_write_it_and_nothing_else() {
    for (store, directory) in stores_of_both_kinds() {
        let path = directory.path().join("a");
        let mode = || fs::metadata(&path).expect("the file").permissions().mode() & 0o7777;
        for (old, wanted) in [
            (0o600, 0o600),
            (0o640, 0o640),
            (0o664, 0o664),
            (0o666, 0o666),
            (0o444, 0o444),
            (0o755, 0o644),
            (0o6770, 0o660),
            (0o1777, 0o666),
        ] {
            fs::write(&path, "old").expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(old)).expect("its owner may");
            let mut upload = store.create(&name("a")).expect("an upload");
            upload.write(b"new").expect("room");
            assert_eq!(pending_modes(directory.path()), [0o600], "{old:o}");
            upload.commit().expect("a name");
            assert_eq!(mode(), wanted, "{old:o}");
            assert_eq!(fs::read(&path).expect("the file"), b"new");
            fs::remove_file(&path).expect("its owner may");
        }
    }
}

#[test]
fn a_file_that_replaces_no_file_is_as_readable_as_any_new_one() {
    for (store, directory) in stores_of_both_kinds() {
        let at = |text: &str| directory.path().join(text);
        let mode = |text| fs::metadata(at(text)).expect("a file").permissions().mode() & 0o7777;
        fs::write(at("ordinary"), "").expect("a file");
        // A link may be used by anybody, which says nothing of what it leads to.
        symlink(at("ordinary"), at("link")).expect("a link");
        for text in ["new", "link", "newer"] {
            let mut upload = store.create(&name(text)).expect("an upload");
            assert_eq!(pending_modes(directory.path()), [0o600], "{text}");
            upload.commit().expect("a name");
            assert_eq!(mode(text), mode("ordinary") & 0o644, "{text}");
        }
        let names = raw_names(directory.path());
        assert_eq!(names, ["link", "new", "newer", "ordinary"]);
    }
}

#[test]
fn a_small_upload_reserves_little() {
    let (mut store, _directory) = empty_store();
    Arc::get_mut(&mut store.root)
        .expect("nothing is pending")
        .temporaries = Some(Temporaries::Named);
    let mut upload = store.create(&name("a")).expect("an upload");
    upload.write(&[1; 256 << 10]).expect("room");
    let pending = fs::read_dir(store.root()).expect("the root").next();
    let pending = pending.expect("an entry").expect("its name").metadata();
    let held_len = pending.expect("its size").blocks() * 512;
    assert!(held_len <= 2 * (256 << 10), "{held_len} bytes");
}

#[test]
fn readers_and_writers_of_one_name_see_whole_contents_only() {
    const LEN: usize = 400_000;
    let is_whole =
        |content: &[u8]| content.len() == LEN && content.iter().all(|b| *b == content[0]);
    for (store, directory) in stores_of_both_kinds() {
        put(&store, "a", &[0; LEN]).expect("an upload");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(is_whole(&get(&store, "a").expect("never missing")));
                }
            });
            let writers: Vec<_> = (1..=4)
                .map(|byte| {
                    let store = &store;
                    scope.spawn(move || {
                        for _ in 0..8 {
                            put(store, "a", &[byte; LEN]).expect("an upload");
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().expect("a writer");
            }
            done.store(true, Ordering::Relaxed);
            reader.join().expect("a reader");
        });
        assert!(is_whole(&get(&store, "a").expect("a download")));
        assert_eq!(raw_names(directory.path()), ["a"]);
    }
}
