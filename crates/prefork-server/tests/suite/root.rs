//! What is and what is not in reach of a client.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, command, content, upload};

fn code(reply: &Value) -> &str {
    reply["code"].as_str().unwrap_or("ok")
}

#[test]
fn nothing_outside_the_root_can_be_read_replaced_or_deleted() {
    let outside = TempDir::new().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, b"secret").unwrap();
    let server = Server::start("process", &[]);
    symlink(&secret, server.root().join("link")).unwrap();
    symlink(outside.path(), server.root().join("folder-link")).unwrap();
    fs::create_dir(server.root().join("folder")).unwrap();
    nix::unistd::mkfifo(&server.root().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();

    let mut peer = server.connect();
    for name in ["link", "folder-link", "folder", "fifo"] {
        assert_eq!(
            code(&peer.ask(format!("GET {name}\r\n"))),
            "not_found",
            "{name}"
        );
        assert_eq!(
            code(&peer.ask(format!("DELETE {name}\r\n"))),
            "not_found",
            "{name}"
        );
    }
    for name in [
        "..",
        ".",
        "../secret",
        "/etc/passwd",
        "folder/x",
        "a\\b",
        ".hidden",
        "folder-link/secret",
    ] {
        for request in [
            format!("GET {name}\r\n"),
            format!("DELETE {name}\r\n"),
            format!("UPLOAD {name} QUJD\r\n"),
        ] {
            assert_eq!(code(&peer.ask(&request)), "bad_name", "{request:?}");
        }
    }
    // An upload replaces a link itself, not what it points to; a folder it cannot replace.
    assert_eq!(code(&peer.ask(upload("link", b"new"))), "ok");
    assert_eq!(code(&peer.ask(upload("folder", b"new"))), "bad_name");
    assert_eq!(content(&peer.ask("GET link\r\n")), b"new");
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
    assert_eq!(server.entries(), ["fifo", "folder", "folder-link", "link"]);
}

#[test]
fn a_root_in_use_is_refused_until_its_server_is_gone() {
    let server = Server::start("process", &[]);
    let refused = command(&server.root(), "process", &[])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        text.contains(&format!("(process {})", server.ready.pid)) && text.contains("--root"),
        "{text}"
    );

    let root = TempDir::new().unwrap();
    Server::start_on(root.path(), "process", &[]).stop();
    Server::start_on(root.path(), "process", &[]).stop();
}

#[test]
fn what_an_earlier_server_left_unfinished_is_removed() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join(".prefork-tmp.999999.0"), b"half").unwrap();
    fs::write(root.path().join(".prefork-tmp.notes"), b"not ours").unwrap();
    let server = Server::start_on(root.path(), "process", &[]);
    assert_eq!(server.entries(), [".prefork-tmp.notes"]);
}

#[test]
fn a_missing_root_is_an_error_unless_it_is_the_default_one() {
    let folder = TempDir::new().unwrap();
    let missing = command(&folder.path().join("nowhere"), "process", &[])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        String::from_utf8(missing.stderr)
            .unwrap()
            .contains("does not exist")
    );
}

#[test]
fn the_servers_own_files_are_not_among_those_it_serves() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("own.file");
    fs::write(&file, b"").unwrap();
    for flag in [
        "--config",
        "--log-file",
        "--access-log",
        "--pidfile",
        "--admin",
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_prefork-server"))
            .arg("--check-config")
            .arg("--root")
            .arg(root.path())
            .arg(flag)
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag}: {said}");
        let want = format!("error: {flag} {}: clients could read", file.display());
        assert!(said.contains(&want), "{said}");
    }
}
