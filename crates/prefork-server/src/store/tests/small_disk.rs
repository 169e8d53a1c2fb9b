//! A full disk. It is a tmpfs of ten MiB that only a process of its own sees, so it is gone with that process.

use std::fs;
use std::process::Command;

use super::*;

const MIB: usize = 1 << 20;

#[test]
fn a_full_disk_costs_only_the_upload_that_filled_it() {
    if let Some(root) = std::env::var_os(ROOT_VARIABLE) {
        return fill_the_disk(Path::new(&root));
    }
    let mut probe = on_a_small_disk();
    if !probe
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("SKIPPED: this machine does not let this user mount a file system of its own");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let this = std::env::current_exe().expect("this test binary");
    let test = "small_disk::a_full_disk_costs_only_the_upload_that_filled_it";
    let mut launcher = on_a_small_disk();
    assert!(passes_in_another_process(
        launcher.arg(this),
        test,
        directory.path()
    ));
}

/// What is appended runs with the small disk mounted on [`ROOT_VARIABLE`], or else on /mnt.
fn on_a_small_disk() -> Command {
    let mount =
        format!(r#"mount -t tmpfs -o size=10m none "${{{ROOT_VARIABLE}:-/mnt}}" && exec "$@""#);
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &mount,
        "sh",
    ]);
    command
}

fn fill_the_disk(root: &Path) {
    // Once as it is, once reserving blocks as on a real disk.
    for reserves in [false, true] {
        let mut store = open(root);
        assert_eq!(store.file_system(), "tmpfs");
        Arc::get_mut(&mut store.root)
            .expect("nothing is pending")
            .reserves = reserves;
        put(&store, "old", b"old content").expect("an upload");
        let error = put(&store, "old", &vec![1; 11 * MIB]).expect_err("too much");
        assert!(matches!(error, StoreError::NoSpace), "{error:?}");
        assert_eq!(error.code(), proto::Code::NoSpace);
        assert_eq!(get(&store, "old").expect("a download"), b"old content");
        assert_eq!(raw_names(root), ["old"]);
        // Its second reserve does not fit; the file does.
        put(&store, "large", &vec![2; 9 * MIB]).expect("an upload that fits");
        assert_eq!(get(&store, "large").expect("a download"), vec![2; 9 * MIB]);
        store.delete(&name("large")).expect("a delete");
        drop(store);
        leaves_free_what_it_has_to(root, reserves);
    }
}

/// Exactly, however far the steps of the reserve are apart.
fn leaves_free_what_it_has_to(root: &Path, reserves: bool) {
    let options = StoreOptions {
        min_free_bytes: 4 << 20,
        ..OPTIONS
    };
    let mut store = try_open(root, options).expect("a root");
    Arc::get_mut(&mut store.root)
        .expect("nothing is pending")
        .reserves = reserves;
    put(&store, "fits", &vec![3; 5 * MIB]).expect("an upload that fits");
    let error = put(&store, "over", &vec![4; MIB]).expect_err("too much");
    assert!(matches!(error, StoreError::NoSpace), "{error:?}");
    assert_eq!(raw_names(root), ["fits", "old"]);
    for text in ["fits", "old"] {
        fs::remove_file(root.join(text)).expect("a file");
    }
}
