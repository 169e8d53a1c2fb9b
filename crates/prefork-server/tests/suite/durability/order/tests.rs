//! The checker itself: made-up traces, in the right order and in every wrong one.

use super::*;

/// A made-up call by its short name.
fn line(word: &str) -> &str {
    match word {
        "open" => r#"openat(5, ".", O_WRONLY|O_CLOEXEC|O_TMPFILE, 0644) = 9"#,
        "write" => r#"write(9, "abc"..., 262144) = 262144"#,
        "cut" => "ftruncate(9, 3) = 0",
        "sync" => "fsync(9) = 0",
        "datasync" => "fdatasync(9) = 0",
        "failed-sync" => "fsync(9) = -1 EIO (Input/output error)",
        "other-sync" => "fsync(10) = 0",
        "link" => r#"linkat(9, "", 5, ".prefork-tmp.7.0", AT_EMPTY_PATH) = 0"#,
        "failed-link" => {
            r#"linkat(9, "", 5, ".prefork-tmp.7.0", AT_EMPTY_PATH) = -1 ENOENT (No such file or directory)"#
        }
        "link-by-proc" => {
            r#"linkat(AT_FDCWD, "/proc/self/fd/9", 5, ".prefork-tmp.7.0", AT_SYMLINK_FOLLOW) = 0"#
        }
        "rename" => r#"renameat(5, ".prefork-tmp.7.0", 5, "a.bin") = 0"#,
        "folder" => "fsync(5) = 0",
        "close" => "close(9) = 0",
        "reply" => {
            r#"sendto(8, "{\"status\":\"OK\",\"data\":\"a.bin has been uploaded\",\"size\":3}"..., 90, MSG_NOSIGNAL, NULL, 0) = 90"#
        }
        "unlink" => r#"unlinkat(5, "a.bin", 0) = 0"#,
        "deleted" => {
            r#"sendto(8, "{\"status\":\"OK\",\"message\":\"a.bin has been deleted\"}"..., 50, MSG_NOSIGNAL, NULL, 0) = 50"#
        }
        // A second upload of the same thread.
        "open2" => r#"openat(5, ".", O_WRONLY|O_CLOEXEC|O_TMPFILE, 0644) = 11"#,
        "write2" => r#"write(11, "abc"..., 262144) = 262144"#,
        "sync2" => "fsync(11) = 0",
        "link2" => r#"linkat(11, "", 5, ".prefork-tmp.7.1", AT_EMPTY_PATH) = 0"#,
        "rename2" => r#"renameat(5, ".prefork-tmp.7.1", 5, "b.bin") = 0"#,
        "reply2" => {
            r#"sendto(10, "{\"status\":\"OK\",\"data\":\"b.bin has been uploaded\",\"size\":3}"..., 90, MSG_NOSIGNAL, NULL, 0) = 90"#
        }
        other => panic!("{other}"),
    }
}

fn of(words: &str, promise: Promise) -> Result<Vec<String>, Vec<String>> {
    let lines = words.split_whitespace().map(line);
    let text: String = lines.map(|line| format!("7 {line}\n")).collect();
    check(&Trace::parse(&text), promise)
}

#[test]
fn the_right_orders_pass() {
    let check = |promise, words: &str, shown: &[&str]| {
        let found = of(words, promise).unwrap_or_else(|faults| panic!("{words}: {faults:#?}"));
        assert_eq!(found, shown, "{words}");
    };
    let up = ["upload a.bin"];
    let (full, data, none) = (Promise::Full, Promise::Data, Promise::None);
    check(full, "open write cut sync link rename folder reply", &up);
    check(
        full,
        "open write sync failed-link link-by-proc rename folder close reply",
        &up,
    );
    check(data, "open write datasync link rename reply", &up);
    check(data, "open write sync link rename reply", &up);
    check(none, "open write link rename reply", &up);
    check(full, "unlink folder deleted", &["delete a.bin"]);
    // Nothing was acknowledged, so nothing was promised: an upload that failed, and a look at what linking does.
    check(full, "open write failed-sync close", &[]);
    check(full, "open link close", &[]);
    // Two at once, as an event loop has them: one sync of the folder does for both.
    let both = "open open2 write write2 sync sync2 link link2 rename rename2 folder reply2 reply";
    check(full, both, &["upload b.bin", "upload a.bin"]);
}

#[test]
fn every_wrong_order_is_found() {
    let check = |promise, words: &str, fault: &str| {
        let faults = of(words, promise).expect_err(words);
        let is_found = faults.iter().any(|found| found.starts_with(fault));
        assert!(is_found, "{words}: {fault}: {faults:#?}");
    };
    let (full, data, none) = (Promise::Full, Promise::Data, Promise::None);
    let fault = "linked before its last byte was synced";
    check(full, "open write link rename folder reply", fault);
    check(full, "open sync write link rename folder reply", fault);
    check(full, "open write sync cut link rename folder reply", fault);
    check(full, "open write link sync rename folder reply", fault);
    check(full, "open write datasync link rename folder reply", fault);
    check(
        full,
        "open write other-sync link rename folder reply",
        fault,
    );
    check(
        full,
        "open write failed-sync link rename folder reply",
        fault,
    );
    // The number belongs to another file by then.
    check(
        full,
        "open write sync close open write link rename folder reply",
        fault,
    );
    check(
        full,
        "open open2 write write2 sync link link2 rename rename2 folder reply reply2",
        fault,
    );
    let fault = "changed after it was linked";
    check(
        full,
        "open write sync link write rename folder reply",
        fault,
    );
    check(none, "open write link rename cut reply", fault);
    let fault = "acknowledged before the folder was synced";
    check(full, "open write sync link rename reply", fault);
    check(full, "open write sync link rename reply folder", fault);
    check(full, "open write sync link folder rename reply", fault);
    check(
        full,
        "open open2 write write2 sync sync2 link link2 rename folder rename2 reply reply2",
        fault,
    );
    check(full, "unlink deleted", fault);
    check(full, "folder unlink deleted", fault);
    let fault = "acknowledged before it was done";
    check(full, "open write sync reply link rename folder", fault);
    check(none, "reply open write link rename", fault);
    check(none, "open write link rename reply reply", fault);
    check(none, "open write link rename reply2", fault);
    check(none, "deleted unlink", fault);
    let fault = "renamed before its last byte was synced";
    check(data, "open write link rename datasync reply", fault);
    check(data, "open datasync write link rename reply", fault);
    check(data, "open write failed-sync link rename reply", fault);
    let fault = "synced without having promised it";
    check(none, "open write sync link rename reply", fault);
    check(none, "open write datasync link rename reply", fault);
    check(none, "open write link rename folder reply", fault);
    check(
        none,
        "open write rename reply",
        "renamed what was not linked",
    );
    check(none, "link", "linked what was not opened");
}
