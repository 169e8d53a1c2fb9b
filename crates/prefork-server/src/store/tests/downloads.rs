//! Downloads and deletes: files only, and one file to its end.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use nix::sys::stat::Mode;

use super::super::read::{download, open_component};
use super::*;

#[test]
fn a_download_serves_the_file_it_opened() {
    let (store, _directory) = empty_store();
    put(&store, "a", b"the old content").expect("an upload");
    let download = store.read(&name("a")).expect("a download");
    put(&store, "a", b"new").expect("an upload");
    store.delete(&name("a")).expect("a delete");
    let mut content = [0; 11];
    download
        .read_exact_at(&mut content, 4)
        .expect("the old file");
    assert_eq!(&content, b"old content");
    assert!(matches!(get(&store, "a"), Err(StoreError::NotFound)));
}

#[test]
fn a_file_that_shrinks_is_an_error_and_never_padded() {
    let (store, directory) = empty_store();
    put(&store, "a", b"content").expect("an upload");
    let download = store.read(&name("a")).expect("a download");
    fs::write(directory.path().join("a"), "con").expect("a shorter file");
    let error = download
        .read_exact_at(&mut [0; 7], 0)
        .expect_err("too short");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_missing_file_is_not_found() {
    let (store, _directory) = empty_store();
    assert!(matches!(get(&store, "a"), Err(StoreError::NotFound)));
    assert!(matches!(
        store.delete(&name("a")),
        Err(StoreError::NotFound)
    ));
}

#[test]
fn what_is_not_a_file_is_not_found_and_stays() {
    let (store, directory) = empty_store();
    let at = |text: &str| directory.path().join(text);
    fs::write(at("target"), "content").expect("a file");
    fs::create_dir(at("folder")).expect("a folder");
    symlink("target", at("link")).expect("a link");
    symlink("/etc/passwd", at("escape")).expect("a link");
    symlink("missing", at("dangling")).expect("a link");
    // Nobody writes to it: an open that waits for a writer would never return.
    nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).expect("a FIFO");
    let _listener = UnixListener::bind(at("socket")).expect("a socket");
    let before = raw_names(directory.path());
    for text in ["folder", "link", "escape", "dangling", "fifo", "socket"] {
        assert!(
            matches!(get(&store, text), Err(StoreError::NotFound)),
            "{text}"
        );
        let old_way = open_component(&store.root.directory, &name(text));
        let old_way = old_way
            .map_err(StoreError::of_lookup)
            .and_then(|it| download(&store.root, it));
        assert!(matches!(old_way, Err(StoreError::NotFound)), "{text}");
        let deleted = store.delete(&name(text));
        assert!(matches!(deleted, Err(StoreError::NotFound)), "{text}");
    }
    assert_eq!(raw_names(directory.path()), before);
    let listing = store.list().expect("a listing");
    assert!(listing.names().eq([&name("target")]));
}

#[test]
fn an_error_names_no_path_of_the_server() {
    let error = StoreError::from(nix::errno::Errno::EIO);
    assert_eq!(error.code(), proto::Code::Internal);
    assert_eq!(
        error.to_string(),
        "the server could not read or write the file"
    );
}
