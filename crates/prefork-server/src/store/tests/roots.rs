//! Roots: opened once, locked against a second server, swept of what the dead left.

use std::fs;
use std::process;
use std::time::{Duration, Instant};

use super::super::OpenError;
use super::super::temporary::owner;
use super::*;

#[test]
fn a_root_is_made_only_when_asked_for() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("new/root");
    assert!(matches!(
        Store::open(&path, OPTIONS),
        Err(OpenError::Missing(_))
    ));
    let options = StoreOptions {
        create: true,
        ..OPTIONS
    };
    let store = Store::open(&path, options).expect("a new root");
    assert!(store.root().is_absolute() && store.root().ends_with("new/root"));
    assert!(!store.file_system().is_empty());
}

#[test]
fn a_file_is_not_a_root() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    for create in [false, true] {
        let error = Store::open(file.path(), StoreOptions { create, ..OPTIONS });
        assert!(matches!(error, Err(OpenError::NotADirectory(_))));
    }
}

#[test]
fn a_root_in_use_is_refused() {
    let (store, directory) = empty_store();
    let error = Store::open(directory.path(), OPTIONS).expect_err("a second store");
    let OpenError::InUse { holder, .. } = error else {
        panic!("{error}");
    };
    // Other file systems may not let it be found out.
    let can_tell = matches!(store.file_system().as_str(), "ext4" | "tmpfs" | "xfs");
    if can_tell && Path::new("/proc/locks").exists() {
        assert_eq!(holder, format!(" (process {})", process::id()));
    }
    drop(store);
    // A process that another test starts holds a copy of the descriptor until it runs its program.
    let deadline = Instant::now() + Duration::from_secs(20);
    while Store::open(directory.path(), OPTIONS).is_err() {
        assert!(Instant::now() < deadline, "the lock outlived the store");
        std::thread::yield_now();
    }
}

#[test]
fn a_root_in_use_is_refused_to_other_processes() {
    if let Some(root) = std::env::var_os(ROOT_VARIABLE) {
        let refused = Store::open(Path::new(&root), OPTIONS);
        assert!(matches!(refused, Err(OpenError::InUse { .. })));
        return;
    }
    let (_store, directory) = empty_store();
    let this = std::env::current_exe().expect("this test binary");
    let test = "roots::a_root_in_use_is_refused_to_other_processes";
    assert!(passes_in_another_process(
        &mut Command::new(this),
        test,
        directory.path()
    ));
}

#[test]
fn a_sweep_removes_the_temporaries_of_the_dead_and_nothing_else() {
    let (store, directory) = empty_store();
    let keep = [
        ".prefork-tmp.",
        ".prefork-tmp.1",
        ".prefork-tmp.+1.1",
        ".prefork-tmp.1.1.bak",
        ".x",
        "a",
    ];
    for text in keep.into_iter().chain([
        ".prefork-tmp.41.0",
        ".prefork-tmp.42.7",
        ".prefork-tmp.42.8",
    ]) {
        fs::write(directory.path().join(text), "").expect("a file");
    }
    fs::create_dir(directory.path().join(".prefork-tmp.42.9")).expect("a folder");
    assert_eq!(store.sweep_pid(4).expect("a sweep"), 0);
    assert_eq!(store.sweep_pid(42).expect("a sweep"), 2);
    assert!(directory.path().join(".prefork-tmp.41.0").exists());
    assert_eq!(store.sweep().expect("a sweep"), 1);
    let mut left: Vec<OsString> = keep.iter().map(OsString::from).collect();
    left.push(".prefork-tmp.42.9".into());
    left.sort();
    assert_eq!(raw_names(directory.path()), left);
}

#[test]
fn a_sweep_finds_what_a_dead_process_left() {
    for (store, directory) in stores_of_both_kinds() {
        let mut upload = store.create(&name("a")).expect("an upload");
        upload.write(b"content").expect("room");
        // As a process leaves it that is killed here.
        std::mem::forget(upload);
        let expected = usize::from(store.temporaries() == Some(Temporaries::Named));
        assert_eq!(raw_names(directory.path()).len(), expected);
        assert_eq!(store.sweep_pid(process::id()).expect("a sweep"), expected);
        assert!(raw_names(directory.path()).is_empty());
    }
}

#[test]
fn a_name_left_by_an_earlier_process_of_the_same_pid_is_passed_over() {
    let (store, directory) = stores_of_both_kinds().into_iter().next_back().expect("two");
    let upload = store.create(&name("a")).expect("an upload");
    let hidden = raw_names(directory.path())[0]
        .to_str()
        .expect("UTF-8")
        .to_owned();
    drop(upload);
    let number: u64 = hidden
        .rsplit('.')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    // Other tests use numbers too, so take many.
    for number in number..number + 100 {
        let hidden = format!(".prefork-tmp.{}.{number}", process::id());
        fs::write(directory.path().join(hidden), "left").expect("a file");
    }
    put(&store, "a", b"content").expect("an upload");
    assert_eq!(get(&store, "a").expect("a download"), b"content");
}

#[test]
fn an_owner_is_read_only_from_names_the_store_makes() {
    for (text, pid) in [
        (".prefork-tmp.42.0", Some(42)),
        (".prefork-tmp.42.18446744073709551615", Some(42)),
        (".prefork-tmp.042.0", None),
        (".prefork-tmp.-1.0", None),
        (".prefork-tmp.42.", None),
        (".prefork-tmp.99999999999.0", None),
        ("prefork-tmp.42.0", None),
    ] {
        assert_eq!(owner(text), pid, "{text}");
    }
}
