//! What is noticed of a foreign server before the first row, and what it says then.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use stress_data::journal::Contents;
use stress_data::measurement::Status;
use tempfile::TempDir;

use super::support::{refused, run};

const AXES: [&str; 8] = [
    "--size",
    "1K",
    "--clients",
    "1",
    "--servers",
    "1",
    "--op",
    "download",
];

/// Our own server, as one that is not known.
fn own(bind: &str, root: &str) -> String {
    let stress = env!("CARGO_BIN_EXE_stress");
    format!("'{stress}' __server --workers 1 --bind {bind} --root {root}")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_server_on_another_port_is_found_and_its_ports_are_said() {
    let port = free_port().to_string();
    let server = own("127.0.0.1:0", "{root}");
    let args = ["--server-cmd", &server, "--server-port", &port];
    let said = refused(&[&AXES[..], &args].concat());
    assert!(
        said.contains(&format!("127.0.0.1:{port} was tried")),
        "{said}"
    );
    assert!(
        said.contains("its processes listen on 127.0.0.1:"),
        "{said}"
    );
    assert!(said.contains("write --server-port"), "{said}");
    // The end of its log.
    assert!(said.contains("\n    {\"event\":\"done\""), "{said}");
    assert!(said.contains("--keep-going"), "{said}");
}

#[test]
fn a_server_that_dies_at_once_is_quoted_with_its_last_lines() {
    let server = "sh -c 'seq 1000 1999; exit 7' {port} {root}";
    let said = refused(&[&AXES[..], &["--server-cmd", server]].concat());
    assert!(said.contains("ended by itself (exit status: 7)"), "{said}");
    assert!(said.contains("\n    1998\n    1999\n"), "{said}");
    assert!(!said.contains("1500"), "{said}");
    let ended = run(&[&AXES[..], &["--server-cmd", server, "--keep-going"]].concat());
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    let note = ended.measurement().notes.join(" ");
    assert!(note.contains("(exit status: 7); 127.0.0.1:"), "{note}");
    // A row shows the beginning of its note.
    assert!(
        note.contains("was tried. It wrote: 1999 (before that:"),
        "{note}"
    );
}

#[test]
fn a_dead_target_ends_the_run_before_it_begins() {
    let address = format!("127.0.0.1:{}", free_port());
    let said = refused(&[&AXES[..], &["--target", &address]].concat());
    assert!(said.contains(&format!("--target {address}: ")), "{said}");
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn a_server_bound_to_one_address_is_measured_there() {
    let server = own("127.0.0.2:{port}", "{root}");
    let args = [&AXES[..], &["--server-cmd", &server]].concat();
    let said = refused(&args);
    assert!(said.contains("write --server-host 127.0.0.2"), "{said}");
    let ended = run(&[&args[..], &["--server-host", "127.0.0.2"]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    assert_eq!(ended.measurement().status, Status::Ok);
    ended.assert_clean();
    let nowhere = refused(&[&args[..], &["--server-host", "192.0.2.1"]].concat());
    assert!(nowhere.contains("--server-host 192.0.2.1: "), "{nowhere}");
}

#[test]
fn a_server_that_serves_another_folder_is_found_out() {
    let home = TempDir::new().unwrap();
    let folder = |name: &str| {
        let path = home.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (served, named) = (folder("served"), folder("named"));
    fs::write(home.path().join("served/thesis.pdf"), "x").unwrap();
    let server = own("127.0.0.1:{port}", &format!("'{served}'"));
    let args = ["--server-cmd", &server, "--server-root", &named];
    let said = refused(&[&AXES[..], &args].concat());
    assert!(said.contains(&format!("--server-root {named}: ")), "{said}");
    assert!(
        said.contains("d0000.bin was put there, it lists thesis.pdf"),
        "{said}"
    );
    assert_eq!(fs::read_dir(&named).unwrap().count(), 0);
    // The same of a folder that a server is told and takes no notice of.
    let deaf = format!("sh -c \"exec {server}\" {{root}}");
    let said = refused(&[&AXES[..], &["--server-cmd", &deaf]].concat());
    assert!(
        said.contains("{root}: the server serves another folder"),
        "{said}"
    );
}

#[test]
fn the_dialect_that_was_found_is_said_and_kept_and_a_typed_one_is_not_asked_for() {
    let server = own("127.0.0.1:{port}", "{root}");
    let args = [&AXES[..], &["--server-cmd", &server]].concat();
    let terminator = |more: &[&str]| {
        let ended = run(&[&args[..], more].concat());
        assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
        ended.assert_clean();
        let errors = ended.errors.clone();
        let folder = ended.into_folder();
        let contents = Contents::read(&folder.path().join("latest")).unwrap();
        let settings = contents.header.fingerprint.settings;
        (settings.terminator, errors)
    };
    let (found, said) = terminator(&["--progress", "plain"]);
    assert_eq!(found, "crlfcrlf");
    assert!(said.contains("requests end with CRLF CRLF"), "{said}");
    let (typed, said) = terminator(&["--progress", "plain", "--terminator", "lf"]);
    assert_eq!(typed, "lf");
    assert!(!said.contains("requests end"), "{said}");
    // One that the server does not take is noticed before the first row, not in each.
    let said = refused(&[&args[..], &["--terminator", "none"]].concat());
    assert!(said.contains("LIST ended by nothing: no answer"), "{said}");
    assert!(!said.contains("ended by LF"), "{said}");
}
