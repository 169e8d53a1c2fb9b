//! The quota: what all files hold together, and what pending uploads have reserved, stays within the limit.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::super::quota::Quota;
use super::*;
use crate::shared::holdings::Holdings;

const KIB: usize = 1 << 10;
const MAX: usize = 1000 * KIB;

/// The same for both ways of hiding a pending upload.
fn stores_within_max() -> [(Store, TempDir); 2] {
    stores_of_both_kinds().map(|(store, directory)| (within_max(store), directory))
}

fn within_max(mut store: Store) -> Store {
    let holdings = Holdings::new(1, 1).expect("a page of memory");
    holdings.use_row(0);
    store.share_quota(Quota::new(holdings).expect("a page of memory"));
    store.with_options(StoreOptions {
        root_bytes_max: Some(MAX as u64),
        ..OPTIONS
    })
}

fn is_no_space(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::NoSpace))
}

/// What the books say, which must be what is there.
fn used_bytes(store: &Store, directory: &Path) -> u64 {
    let books = in_the_end(|| store.root.books())
        .expect("books")
        .expect("a limit");
    let visible: u64 = raw_names(directory)
        .iter()
        .filter(|name| !name.as_bytes().starts_with(b"."))
        .map(|name| fs::metadata(directory.join(name)).map_or(0, |file| file.len()))
        .sum();
    let used = books.used_bytes();
    assert!(used >= visible, "{used} booked, {visible} there");
    used
}

#[test]
fn the_last_byte_fits_and_one_more_does_not() {
    for (store, directory) in stores_within_max() {
        put(&store, "a", &vec![1; MAX - 1]).expect("room");
        put(&store, "b", &[2]).expect("room for one byte");
        put(&store, "empty", &[]).expect("nothing needs no room");
        assert!(is_no_space(put(&store, "c", &[3])));
        assert_eq!(raw_names(directory.path()), ["a", "b", "empty"]);
        store.delete(&name("a")).expect("a delete");
        put(&store, "c", &vec![3; MAX - 1]).expect("the room that the delete made");
        assert_eq!(used_bytes(&store, directory.path()), MAX as u64);
    }
}

#[test]
fn a_replaced_file_counts_once() {
    for (store, directory) in stores_within_max() {
        for len in [600, 600, 900, 100, 1000].map(|kib| kib * KIB) {
            put(&store, "f", &vec![1; len]).expect("room in place of the old one");
            assert_eq!(used_bytes(&store, directory.path()), len as u64);
        }
        assert!(is_no_space(put(&store, "f", &vec![1; MAX + 1])));
        assert_eq!(get(&store, "f").expect("the old content"), vec![1; MAX]);
        assert_eq!(used_bytes(&store, directory.path()), MAX as u64);
    }
}

#[test]
fn what_is_pending_counts_until_it_is_dropped() {
    for (store, directory) in stores_within_max() {
        let mut pending = store.create(&name("a")).expect("an upload");
        pending.write(&vec![1; 600 * KIB]).expect("room");
        assert_eq!(used_bytes(&store, directory.path()), 600 << 10);
        assert!(is_no_space(put(&store, "b", &vec![1; 600 * KIB])));
        drop(pending);
        put(&store, "b", &vec![1; 600 * KIB]).expect("room again");
        assert_eq!(used_bytes(&store, directory.path()), 600 << 10);
    }
}

#[test]
fn an_upload_whose_predecessor_is_gone_needs_its_own_room() {
    for (store, directory) in stores_within_max() {
        put(&store, "f", &vec![1; 600 * KIB]).expect("room");
        let mut pending = store.create(&name("f")).expect("an upload");
        pending
            .write(&vec![2; 600 * KIB])
            .expect("room in place of the old one");
        // What it was to replace goes, and something else comes.
        store.delete(&name("f")).expect("a delete");
        put(&store, "g", &vec![3; 700 * KIB]).expect("room");
        assert!(is_no_space(pending.commit()));
        drop(pending);
        assert_eq!(raw_names(directory.path()), ["g"]);
        assert_eq!(used_bytes(&store, directory.path()), 700 << 10);
    }
}

#[test]
fn what_others_put_and_remove_is_noticed() {
    for (store, directory) in stores_within_max() {
        put(&store, "a", &vec![1; 600 * KIB]).expect("room");
        fs::write(directory.path().join("b"), vec![2; 300 * KIB]).expect("a file");
        assert!(is_no_space(put(&store, "c", &vec![3; 300 * KIB])));
        fs::remove_file(directory.path().join("a")).expect("a file");
        once_noticed(|| put(&store, "c", &vec![3; 300 * KIB]));
        // Longer, without a change of the folder: not noticed by itself, but when it is measured.
        fs::write(directory.path().join("b"), [2]).expect("a file");
        once_noticed(|| put(&store, "d", &vec![4; MAX - 300 * KIB - 1]));
        assert_eq!(used_bytes(&store, directory.path()), MAX as u64);
    }
}

#[test]
fn what_others_put_in_the_moment_of_a_change_of_the_servers_own_is_noticed_after_a_while() {
    let [(store, directory), _] = stores_within_max();
    put(&store, "a", &vec![1; 600 * KIB]).expect("room");
    let mut books = store.root.books().expect("books").expect("a limit");
    let changed = books.record(0, 0, || {
        fs::write(directory.path().join("b"), vec![2; 300 * KIB]).expect("a file");
        Ok(())
    });
    changed.expect("a change");
    drop(books);
    let deadline = Instant::now() + Duration::from_secs(60);
    while put(&store, "c", &vec![3; 200 * KIB]).is_ok() {
        assert!(Instant::now() < deadline, "it is never noticed");
        store.delete(&name("c")).expect("a delete");
    }
    assert_eq!(used_bytes(&store, directory.path()), 900 << 10);
}

/// Whoever would be refused is measured for, if that was not done within the last second.
fn once_noticed(mut upload: impl FnMut() -> Result<(), StoreError>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match upload() {
            Err(StoreError::NoSpace) => assert!(Instant::now() < deadline, "it is never noticed"),
            result => return result.expect("room"),
        }
    }
}

#[test]
fn a_full_folder_is_not_measured_for_each_upload_that_is_refused() {
    for (store, _directory) in stores_within_max() {
        put(&store, "a", &vec![1; MAX]).expect("room");
        let quota = store.root.quota.as_ref().expect("a limit");
        let (since, before) = (Instant::now(), quota.measurements());
        for _ in 0..100 {
            assert!(is_no_space(put(&store, "b", &[2])));
        }
        let measurements = quota.measurements() - before;
        let seconds = since.elapsed().as_secs();
        assert!(measurements <= seconds + 1, "{measurements} in {seconds} s");
    }
}

#[test]
fn a_change_that_was_not_finished_is_measured_again() {
    for (store, directory) in stores_within_max() {
        put(&store, "f", &vec![1; 100 * KIB]).expect("room");
        let mut books = store.root.books().expect("books").expect("a limit");
        let died = books.record(0, 0, || -> Result<(), StoreError> {
            fs::write(directory.path().join("g"), vec![2; 50 * KIB]).expect("a file");
            Err(StoreError::NoSpace)
        });
        assert!(died.is_err());
        drop(books);
        assert_eq!(used_bytes(&store, directory.path()), 150 << 10);
    }
}

#[test]
fn a_root_that_holds_too_much_still_takes_what_makes_it_smaller() {
    let (store, directory) = empty_store();
    put(&store, "f", &vec![1; 2 * MAX]).expect("no limit yet");
    let store = within_max(store);
    assert_eq!(store.used_bytes().expect("a root"), Some(2 * MAX as u64));
    assert!(is_no_space(put(&store, "g", &[1])));
    put(&store, "f", &vec![2; 2 * MAX - 1]).expect("less than before");
    store.delete(&name("f")).expect("a delete");
    put(&store, "g", &[1]).expect("room");
    assert_eq!(used_bytes(&store, directory.path()), 1);
}

#[test]
fn whoever_uploads_and_deletes_at_once_the_limit_holds() {
    for (store, directory) in stores_within_max() {
        thread::scope(|scope| {
            for seed in 0..4usize {
                let (store, directory) = (&store, directory.path());
                scope.spawn(move || {
                    for round in 0..100 {
                        let text = ["x", "y", "z"][(seed + round) % 3];
                        if round % 7 == 6 {
                            let _ = in_the_end(|| store.delete(&name(text)));
                        }
                        let len = (seed * 131 + round * 277) % 700 * KIB;
                        match put(store, text, &vec![1; len]) {
                            Ok(()) | Err(StoreError::NoSpace) => {}
                            Err(error) => panic!("{error}"),
                        }
                        // The books are not open to others meanwhile, so nothing changes but claims.
                        assert!(used_bytes(store, directory) <= MAX as u64);
                    }
                });
            }
        });
        let visible: u64 = ["x", "y", "z"]
            .map(|text| get(&store, text).map_or(0, |c| c.len() as u64))
            .iter()
            .sum();
        assert_eq!(used_bytes(&store, directory.path()), visible);
        assert!(raw_names(directory.path()).len() <= 3);
    }
}
