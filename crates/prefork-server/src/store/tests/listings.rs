//! Listings: sorted, filtered, and cut at the same place whatever the order of the directory.

use std::fs;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proto::limits::LIST_LEN_MAX;

use super::super::list::{KnownBy, Shortlist, Times};
use super::*;

#[test]
fn a_listing_is_sorted_by_bytes() {
    let (store, _directory) = empty_store();
    for text in ["b", "é", "a b", "B", "a", "10", "9", "~"] {
        put(&store, text, b"").expect("an upload");
    }
    let listing = store.list().expect("a listing");
    let names: Vec<_> = listing.names().map(FileName::as_str).collect();
    assert_eq!(names, ["10", "9", "B", "a", "a b", "b", "~", "é"]);
    assert!(!listing.truncated());
}

#[test]
fn names_that_no_client_could_use_are_not_listed() {
    let (store, directory) = empty_store();
    let unusable: [&[u8]; 4] = [b".hidden", b"not\xffutf8", b"tab\tname", b" space"];
    assert_eq!(store.files_unlisted(), None);
    for bytes in unusable {
        let path = directory.path().join(std::ffi::OsStr::from_bytes(bytes));
        fs::write(path, "").expect("a file");
    }
    let _pending = store.create(&name("pending")).expect("an upload");
    put(&store, "usable", b"").expect("an upload");
    let listing = store.list().expect("a listing");
    assert!(listing.names().eq([&name("usable")]));
    // All but the one that is hidden on purpose.
    assert_eq!(store.files_unlisted(), Some(3));
}

#[test]
fn a_listing_that_is_too_long_is_cut_and_says_so() {
    let (store, directory) = empty_store();
    // Each takes 253 bytes of a reply.
    let count = LIST_LEN_MAX / 253 + 1;
    for number in (0..count).rev() {
        let path = directory.path().join(format!("{number:0250}"));
        fs::hard_link(first_file(directory.path()), path).expect("a name");
    }
    fs::remove_file(directory.path().join("the first")).expect("the first");
    let listing = store.list().expect("a listing");
    assert!(listing.truncated());
    let expected = (0..count - 1).map(|number| format!("{number:0250}"));
    assert!(listing.names().map(FileName::as_str).eq(expected));
}

#[test]
fn a_listing_is_good_for_later_once_the_next_change_is_sure_to_get_other_times() {
    let now = Duration::from_secs(1000);
    let check = |modified: Duration, changed: Duration, want| {
        let times = Times::new(modified, changed);
        let tick = Duration::from_millis(4);
        assert_eq!(
            times.are_settled(now, tick),
            want,
            "{modified:?} {changed:?}"
        );
    };
    let ago = |millis, nanos| now - Duration::from_millis(millis) - Duration::from_nanos(nanos);
    check(ago(8, 1), ago(8, 1), true);
    check(ago(8, 0), ago(9, 1), false);
    check(ago(9, 1), ago(8, 0), false);
    check(ago(0, 1), ago(0, 1), false);
    // By a clock that was set back since.
    check(now + Duration::from_nanos(1), ago(9, 1), false);
    // In whole seconds.
    check(ago(2000, 0), ago(9000, 0), false);
    check(ago(3000, 0), ago(2000, 0), false);
    check(ago(3000, 0), ago(9000, 0), true);
}

/// By what the folder is known once it is left alone.
fn known_by(store: &Store) -> KnownBy {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(known_by) = store.list().expect("a listing").known_by() {
            return known_by.clone();
        }
        assert!(std::time::Instant::now() < deadline, "it never settles");
        std::thread::yield_now();
    }
}

/// In memory, where it can be known, whatever the temporary folder is on.
fn store_that_shows_changes() -> (Store, TempDir) {
    let directory = tempfile::tempdir_in("/dev/shm").expect("a file system in memory");
    (open(directory.path()), directory)
}

#[test]
fn a_folder_is_not_known_again_after_any_change_of_its_names() {
    let (store, directory) = store_that_shows_changes();
    let path = |name: &str| directory.path().join(name);
    let change = |what: &str| match what {
        "made" => fs::write(path("a"), "x"),
        "linked" => fs::hard_link(path("a"), path("b")),
        "renamed" => fs::rename(path("b"), path("c")),
        "made one that is not listed" => fs::write(path("bad\tname"), ""),
        "made one to put in its place" => fs::write(path("d"), "y"),
        "replaced" => fs::rename(path("d"), path("c")),
        "removed" => fs::remove_file(path("c")),
        _ => fs::create_dir(path("a folder")),
    };
    let changes = [
        "made",
        "linked",
        "renamed",
        "made one that is not listed",
        "made one to put in its place",
        "replaced",
        "removed",
        "a folder",
    ];
    for what in changes {
        let before = known_by(&store);
        assert!(store.is_known_by(&before));
        change(what).expect(what);
        assert!(!store.is_known_by(&before), "{what}");
    }
    // The names are what is listed, not the contents.
    let before = known_by(&store);
    fs::write(path("a"), "more than before").expect("a file");
    assert!(store.is_known_by(&before));
    assert_eq!(store.files_unlisted(), Some(1));
}

#[test]
fn two_changes_at_once_are_never_taken_for_one() {
    let (store, directory) = store_that_shows_changes();
    let [a, b] = ["a", "b"].map(|name| directory.path().join(name));
    fs::write(&a, "").expect("a file");
    for _ in 0..300 {
        fs::hard_link(&a, &b).expect("another name");
        let between = store.list().expect("a listing").known_by().cloned();
        fs::remove_file(&b).expect("one name less");
        assert!(between.is_none_or(|it| !store.is_known_by(&it)));
    }
}

#[test]
fn what_a_listing_leaves_out_is_counted_also_when_the_folder_is_known() {
    let (store, directory) = store_that_shows_changes();
    fs::write(directory.path().join("bad\tname"), "").expect("a file");
    let one_is_bad = known_by(&store);
    store.root.census.record(7, None);
    assert!(store.is_known_by(&one_is_bad));
    assert_eq!(store.files_unlisted(), Some(1));
}

/// One inode for all names is faster to make than a file each.
fn first_file(directory: &Path) -> std::path::PathBuf {
    let path = directory.join("the first");
    if !path.exists() {
        fs::write(&path, "").expect("a file");
    }
    path
}

proptest! {
    /// The longest sorted beginning that fits, even where a short name behind the cut would have fitted too.
    #[test]
    fn the_cut_does_not_depend_on_the_order(
        texts in vec("[a-c]{1,9}", 0..60),
        len_max in 0_usize..120,
    ) {
        let mut sorted: Vec<FileName> = texts.iter().map(|text| name(text)).collect();
        sorted.sort();
        sorted.dedup();
        let mut left = len_max;
        let expected: Vec<&FileName> = sorted
            .iter()
            .take_while(|name| {
                let fits = name.as_str().len() + 3 <= left;
                left = left.saturating_sub(name.as_str().len() + 3);
                fits
            })
            .collect();

        let mut shortlist = Shortlist::new(len_max);
        for text in &texts {
            shortlist.add(name(text));
            prop_assert!(shortlist.len <= 2 * len_max);
        }
        let listing = shortlist.finish();
        prop_assert!(listing.names().eq(expected.iter().copied()));
        prop_assert_eq!(listing.truncated(), expected.len() < sorted.len());
    }
}
