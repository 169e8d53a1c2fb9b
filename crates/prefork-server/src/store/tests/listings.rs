//! Listings: sorted, filtered, and cut at the same place whatever the order of the directory.

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use proto::limits::LIST_LEN_MAX;

use super::super::list::Shortlist;
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
