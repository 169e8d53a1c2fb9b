//! Roots: opened once, locked against a second server, swept of what the dead left.

use std::fs;
use std::process;
use std::time::{Duration, Instant};

use super::super::lock::Standing;
use super::super::temporary::{Mark, Owner, hidden_name, owner};
use super::super::{Swept, file_system};
use super::*;

#[test]
fn a_root_is_made_only_when_asked_for() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("root");
    assert!(matches!(Folder::open(&path), Err(OpenError::Missing(_))));
    for _ in 0..2 {
        let folder = Folder::open_or_make(&path, None).expect("a new root, or the one there is");
        let store = Store::open(folder, OPTIONS).expect("a store");
        assert!(store.root().is_absolute() && store.root().ends_with("root"));
        assert!(!store.file_system().is_empty());
    }
}

#[test]
fn a_file_is_not_a_root() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    for opened in [
        Folder::open(file.path()),
        Folder::open_or_make(file.path(), None),
    ] {
        assert!(matches!(opened, Err(OpenError::NotADirectory(_))));
    }
}

#[test]
fn a_root_in_use_is_refused() {
    let (store, directory) = empty_store();
    let error = try_open(directory.path(), OPTIONS).expect_err("a second store");
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
    while try_open(directory.path(), OPTIONS).is_err() {
        assert!(Instant::now() < deadline, "the lock outlived the store");
        std::thread::yield_now();
    }
}

#[test]
fn a_root_in_use_is_refused_to_other_processes() {
    if let Some(root) = std::env::var_os(ROOT_VARIABLE) {
        let refused = try_open(Path::new(&root), OPTIONS);
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

/// Which temporary files stay, by who may have left them and what is known of other servers.
#[test]
fn a_sweep_removes_what_is_provably_left_behind_and_nothing_else() {
    let (mut store, directory) = empty_store();
    let mine = store.root.mark.clone();
    let dead = dead_pid();
    let (other, elsewhere) = (
        Mark::new(),
        Mark {
            place: "0123456789abcdef-1".to_owned(),
            ..Mark::new()
        },
    );
    let no_temporaries = [
        ".prefork-tmp.".to_owned(),
        ".prefork-tmp.1".to_owned(),
        ".prefork-tmp.+1.1".to_owned(),
        ".prefork-tmp.1.1.bak".to_owned(),
        hidden_name(&mine, dead, 0) + "0.",
        ".x".to_owned(),
        "a".to_owned(),
    ];
    let own_workers = hidden_name(&mine, dead, 1);
    let dead_here = hidden_name(&other, dead, 1);
    let living_here = hidden_name(&other, process::id(), 1);
    let dead_elsewhere = hidden_name(&elsewhere, dead, 1);
    let old_dead = format!(".prefork-tmp.{dead}.1");
    let old_living = format!(".prefork-tmp.{}.1", process::id());
    let all = [
        &own_workers,
        &dead_here,
        &living_here,
        &dead_elsewhere,
        &old_dead,
        &old_living,
    ];
    let mut sweep = |how: &str, removed: &[&String]| {
        for name in no_temporaries.iter().chain(all) {
            fs::write(directory.path().join(name), "").expect("a file");
        }
        let swept = match how {
            "of a worker" => store.sweep_of(&[dead]),
            how => {
                let standing = match how {
                    "alone" => Standing::Sole,
                    "successor" => Standing::Successor,
                    _ => Standing::Unknown,
                };
                let lock = Arc::get_mut(store.lock.as_mut().expect("a lock")).expect("one owner");
                lock.standing = standing;
                store.sweep()
            }
        };
        let swept = swept.expect("a sweep");
        assert_eq!(
            (swept.removed, swept.left),
            (removed.len(), all.len() - removed.len()),
            "{how}"
        );
        let left = raw_names(directory.path());
        for name in no_temporaries.iter().chain(all) {
            let is_left = left.contains(&OsString::from(name));
            assert_eq!(is_left, !removed.contains(&name), "{how}: {name}");
        }
    };
    sweep("of a worker", &[&own_workers]);
    sweep("perhaps not alone", &[&own_workers, &dead_here]);
    // On a file system of this machine's own.
    if store_is_local(directory.path()) {
        sweep("alone", &all);
        sweep("successor", &[&own_workers, &dead_here, &old_dead]);
    }
}

fn store_is_local(root: &Path) -> bool {
    let directory = fs::File::open(root).expect("a directory");
    file_system::has(&directory, file_system::Trait::OneSetOfLocks)
}

/// The number of a process that there was.
fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().expect("a process");
    child.wait().expect("its end");
    child.id()
}

#[test]
fn what_cannot_be_removed_is_counted_and_ends_nothing() {
    let (store, directory) = empty_store();
    fs::create_dir(directory.path().join(".prefork-tmp.42.9")).expect("a folder");
    assert_eq!(store.sweep().expect("a sweep"), Swept::default());
    if nix::unistd::Uid::effective().is_root() {
        // Even root may not remove it, as others may not in a sticky folder.
        let file = directory.path().join(".prefork-tmp.42.0");
        fs::write(&file, "").expect("a file");
        let immutable = |flag| Command::new("chattr").arg(flag).arg(&file).status();
        if immutable("+i").is_ok_and(|status| status.success()) {
            let swept = store.sweep();
            immutable("-i").expect("undone");
            assert_eq!(
                swept.expect("a sweep"),
                Swept {
                    removed: 0,
                    left: 1
                }
            );
        }
    }
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
        assert_eq!(
            store.sweep_of(&[process::id()]).expect("a sweep").removed,
            expected
        );
        assert!(raw_names(directory.path()).is_empty());
    }
}

#[test]
fn a_name_that_is_taken_is_passed_over() {
    let (store, directory) = stores_of_both_kinds().into_iter().next_back().expect("two");
    let upload = store.create(&name("a")).expect("an upload");
    let hidden = raw_names(directory.path())[0]
        .to_str()
        .expect("UTF-8")
        .to_owned();
    drop(upload);
    let (taken, number) = hidden.rsplit_once('.').expect("a number");
    let number: u64 = number.parse().expect("a number");
    // Other tests use numbers too, so take many.
    for number in number..number + 100 {
        fs::write(directory.path().join(format!("{taken}.{number}")), "left").expect("a file");
    }
    put(&store, "a", b"content").expect("an upload");
    assert_eq!(get(&store, "a").expect("a download"), b"content");
}

#[test]
fn an_owner_is_read_only_from_names_that_servers_make() {
    let mark = Mark::new();
    let name = hidden_name(&mark, 42, 7);
    assert_eq!(
        owner(&name),
        Some(Owner {
            mark: Some(mark),
            pid: 42
        })
    );
    for (text, pid) in [
        (".prefork-tmp.42.0", Some(42)),
        (".prefork-tmp.42.18446744073709551615", Some(42)),
        (".prefork-tmp.042.0", None),
        (".prefork-tmp.-1.0", None),
        (".prefork-tmp.42.", None),
        (".prefork-tmp.99999999999.0", None),
        ("prefork-tmp.42.0", None),
        (".prefork-tmp.00000000000000ff.place-1.42.0", Some(42)),
        (".prefork-tmp.ff.place-1.42.0", None),
        (".prefork-tmp.00000000000000FF.place-1.42.0", None),
        (".prefork-tmp.00000000000000ff.place-1.042.0", None),
        (".prefork-tmp.00000000000000ff.42.0", None),
    ] {
        assert_eq!(owner(text).map(|owner| owner.pid), pid, "{text}");
    }
}

#[test]
fn readers_share_a_root_with_each_other_and_with_one_writer() {
    let reading = StoreOptions {
        read_only: true,
        ..OPTIONS
    };
    let (writer, directory) = empty_store();
    let mut readers = [(); 2].map(|()| try_open(directory.path(), reading).expect("a reader"));
    assert!(matches!(
        try_open(directory.path(), OPTIONS),
        Err(OpenError::InUse { .. })
    ));
    // One that is to write from now on needs the lock.
    let refused = readers[0].lock_for_writing();
    assert!(matches!(refused, Err(OpenError::InUse { .. })));
    drop(writer);
    readers[0].lock_for_writing().expect("nobody else writes");
    assert!(matches!(
        readers[1].lock_for_writing(),
        Err(OpenError::InUse { .. })
    ));
}

#[test]
fn the_lock_is_the_servers_own_file_or_the_server_does_not_start() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(lock::NAME);
    let precious = directory.path().join("precious");
    fs::write(&precious, "").expect("a file");
    let make: [(&str, &dyn Fn()); 5] = [
        ("link", &|| {
            std::os::unix::fs::symlink(&precious, &path).expect("a link");
        }),
        ("hard link", &|| {
            fs::hard_link(&precious, &path).expect("a link");
        }),
        ("file with content", &|| {
            fs::write(&path, "words").expect("a file");
        }),
        ("folder", &|| fs::create_dir(&path).expect("a folder")),
        ("pipe", &|| {
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        }),
    ];
    for (what, make) in make {
        make();
        let refused = try_open(directory.path(), OPTIONS)
            .expect_err(what)
            .to_string();
        assert!(
            refused.contains("--root") && refused.contains(lock::NAME),
            "{what}: {refused}"
        );
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
    // Of one that was killed.
    fs::write(&path, "").expect("a file");
    drop(open(directory.path()));
    assert!(!path.exists(), "removed with the store");
}

/// The lock of a server that stops, and of others that start just then.
#[test]
fn however_often_the_file_comes_and_goes_one_server_at_a_time_has_the_lock() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let holders = std::sync::atomic::AtomicU32::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    if let Ok(store) = try_open(directory.path(), OPTIONS) {
                        assert_eq!(holders.fetch_add(1, order), 0);
                        std::thread::yield_now();
                        holders.fetch_sub(1, order);
                        drop(store);
                    }
                }
            });
        }
    });
}
