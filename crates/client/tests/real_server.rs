//! Library and command line against the real server, which is this program run again.

mod common;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use client::{Buffers, Connection, Error, FileName, Options, Terminator};
use libtest_mimic::{Arguments, Failed, Trial};
use proto::announce::{Announcement, Done};
use tempfile::TempDir;

use common::{PATIENCE, content};

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    if args.nth(1).is_some_and(|first| first == "serve") {
        // The server forks, so this must come before any thread.
        let args = std::iter::once(OsString::from("prefork-server")).chain(args);
        return prefork_server::main_with_args(args);
    }
    let trials = vec![
        trial(
            "contents_of_every_length_come_back_as_sent",
            contents_come_back,
        ),
        trial(
            "one_set_of_buffers_serves_one_connection_after_another",
            one_set_of_buffers_serves_one_connection_after_another,
        ),
        trial("names_of_every_kind_come_back_as_sent", names_come_back),
        trial(
            "a_refused_upload_is_heard_and_the_server_goes_on",
            refused_upload,
        ),
        trial(
            "after_a_refusal_a_connection_is_called_usable_only_if_the_server_keeps_it",
            usable_after_refusal,
        ),
        trial("every_terminator_but_none_is_understood", terminators),
        trial(
            "the_program_moves_many_files_over_one_connection",
            many_files,
        ),
        trial(
            "a_refused_file_costs_the_program_one_connection_more",
            refused_file_among_many,
        ),
        trial(
            "an_upload_whose_source_fails_leaves_no_file_and_the_old_one_as_it_was",
            failing_source,
        ),
        trial(
            "replacing_a_private_file_keeps_it_private_on_both_sides",
            private_file,
        ),
        trial(
            "a_killed_worker_is_reported_and_leaves_no_file",
            killed_worker,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok::<(), Failed>(())
    })
}

/// A server of its own for each test; it ends with this value, or with this process.
struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
    worker_pids: Vec<u32>,
    root: TempDir,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "serve",
                "--bind",
                "127.0.0.1:0",
                "--workers",
                "2",
                "--exit-with-stdin",
                "--allow-root",
            ])
            .args(["--durability", "none", "--log-level", "error", "--root"])
            .arg(root.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        match announcement(&mut lines) {
            Announcement::Ready(ready) => Self {
                child,
                lines,
                address: ready.address,
                worker_pids: ready.worker_pids,
                root,
            },
            other => panic!("{other:?}"),
        }
    }

    fn connect(&self) -> Connection {
        let options = Options {
            idle_timeout: PATIENCE,
            ..Options::default()
        };
        Connection::connect(self.address.as_str(), &options).unwrap()
    }

    fn program(&self, folder: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-client"));
        command
            .env("PREFORK_SERVER", &self.address)
            .current_dir(folder)
            .args(args);
        command.output().unwrap()
    }

    /// Ends the server and returns its ledger.
    fn done(mut self) -> Done {
        drop(self.child.stdin.take());
        match announcement(&mut self.lines) {
            Announcement::Done(done) => done,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn announcement(lines: &mut Lines<BufReader<ChildStdout>>) -> Announcement {
    let line = lines
        .next()
        .expect("the server says READY and DONE")
        .unwrap();
    Announcement::from_line(&line).unwrap()
}

fn name(text: &str) -> FileName {
    text.parse().unwrap()
}

/// Shorter after longer, and after a connection that failed: nothing of the one before is left.
fn one_set_of_buffers_serves_one_connection_after_another() {
    let server = Server::start(&[]);
    let mut buffers = Buffers::default();
    let absent = name("absent");
    for len in [300_001, 98_304, 5, 0] {
        let mut connection = server.connect().with_buffers(buffers);
        let file = content(len);
        let name = name(&format!("{len}.bin"));
        connection.upload(&name, &mut &file[..], &mut ()).unwrap();
        let refused = connection.get(&absent, &mut std::io::sink(), &mut ());
        assert!(matches!(refused, Err(Error::Refused { .. })));
        let mut connection = server.connect().with_buffers(connection.into_buffers());
        let mut sink = Vec::new();
        connection.get(&name, &mut sink, &mut ()).unwrap();
        assert!(sink == file, "{len} bytes");
        buffers = connection.into_buffers();
    }
    server.done();
}

fn contents_come_back() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for len in [0, 1, 2, 3, 98_303, 98_304, 98_305, 262_144, 5_000_001] {
        let file = content(len);
        let name = name(&format!("{len}.bin"));
        let upload = connection.upload(&name, &mut &file[..], &mut ()).unwrap();
        assert!(upload.verified);
        assert!(fs::read(server.root.path().join(name.as_str())).unwrap() == file);
        let mut sink = Vec::new();
        let download = connection.get(&name, &mut sink, &mut ()).unwrap();
        assert!(download.verified && sink == file, "{len} bytes");
    }
    assert_eq!(connection.list(&mut ()).unwrap().names.len(), 9);
    drop(connection);
    let done = server.done();
    assert_eq!((done.sum.connections.accepted, done.balanced), (1, true));
}

fn names_come_back() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let names = [
        "plain",
        "two words",
        "it's \"quoted\"",
        "#1",
        "写真.png",
        "a&b;c|d",
        "~",
    ];
    for text in names {
        connection
            .upload(&name(text), &mut text.as_bytes(), &mut ())
            .unwrap();
        let mut sink = Vec::new();
        connection.get(&name(text), &mut sink, &mut ()).unwrap();
        assert_eq!(sink, text.as_bytes());
    }
    let mut sorted = names.map(str::to_owned);
    sorted.sort();
    assert_eq!(connection.list(&mut ()).unwrap().names, sorted);
    for text in names {
        connection.delete(&name(text)).unwrap();
    }
    assert!(connection.list(&mut ()).unwrap().names.is_empty());
}

fn refused_upload() {
    let server = Server::start(&["--upload-max", "1M"]);
    let mut connection = server.connect();
    let mut endless = std::io::repeat(7).take(100 << 20);
    match connection.upload(&name("big"), &mut endless, &mut ()) {
        Err(Error::Refused { code, .. }) => assert_eq!(code.as_deref(), Some("too_large")),
        other => panic!("{other:?}"),
    }
    assert!(!connection.is_usable(Duration::ZERO));
    assert!(server.connect().list(&mut ()).unwrap().names.is_empty());
}

fn usable_after_refusal() {
    let server = Server::start(&["--upload-max", "1000"]);
    let refusal = |result: Result<(), Error>| match result {
        Err(Error::Refused { code, .. }) => code.unwrap(),
        other => panic!("{other:?}"),
    };
    // Refused with an end that both sides agree on: the server goes on, on this connection.
    let mut connection = server.connect();
    let result = connection.get(&name("none"), &mut std::io::sink(), &mut ());
    assert_eq!(refusal(result.map(drop)), "not_found");
    assert!(connection.is_usable(Duration::ZERO));
    assert!(connection.list(&mut ()).is_ok());
    // Refused with no such end, whether little or all of it was sent by then: the server closes. That must be
    // known at once, and not only when its close has arrived.
    for (len, rounds) in [(1_001, 100), (100_000, 20), (100 << 20, 2)] {
        for _ in 0..rounds {
            let mut connection = server.connect();
            let mut source = std::io::repeat(7).take(len);
            let result = connection.upload(&name("a"), &mut source, &mut ());
            assert_eq!(refusal(result.map(drop)), "too_large");
            assert!(!connection.is_usable(Duration::ZERO), "{len} bytes");
            let next = connection.list(&mut ());
            assert!(
                matches!(next, Err(Error::Unusable(_))),
                "{len} bytes: {next:?}"
            );
        }
    }
}

fn terminators() {
    let server = Server::start(&[]);
    for terminator in [Terminator::Crlf, Terminator::CrlfCrlf, Terminator::Lf] {
        let options = Options {
            terminator,
            idle_timeout: PATIENCE,
            ..Options::default()
        };
        let mut connection = Connection::connect(server.address.as_str(), &options).unwrap();
        for text in ["one", "two"] {
            connection
                .upload(&name(text), &mut text.as_bytes(), &mut ())
                .unwrap();
            let download = connection
                .get(&name(text), &mut std::io::sink(), &mut ())
                .unwrap();
            assert!(download.verified);
        }
        assert_eq!(connection.list(&mut ()).unwrap().names, ["one", "two"]);
    }
}

fn many_files() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..20).map(|index| format!("file {index}.bin")).collect();
    for (index, name) in names.iter().enumerate() {
        fs::write(folder.path().join(name), content(index * 10_007)).unwrap();
    }
    let back = folder.path().join("back");
    fs::create_dir(&back).unwrap();
    let run = |verb, more: &[&str]| {
        let args = [
            vec![verb],
            names.iter().map(String::as_str).collect(),
            more.to_vec(),
        ]
        .concat();
        let output = server.program(folder.path(), &args);
        assert!(output.status.success(), "{output:?}");
    };
    run("upload", &[]);
    run("get", &["-o", "back"]);
    run("delete", &[]);
    for name in &names {
        let [sent, got] = [folder.path(), &back].map(|place| fs::read(place.join(name)).unwrap());
        assert!(sent == got, "{name}");
    }
    let done = server.done();
    assert_eq!((done.sum.connections.accepted, done.balanced), (3, true));
    assert_eq!(done.sum.requests.ok.upload, 20);
}

fn refused_file_among_many() {
    let server = Server::start(&["--upload-max", "1000"]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("large"), content(1_001)).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(folder.path().join(name), content(1_000)).unwrap();
    }
    let output = server.program(folder.path(), &["upload", "large", "a", "b", "c"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let done = server.done();
    assert_eq!(done.sum.requests.ok.upload, 3);
    assert_eq!(done.sum.connections.accepted, 2);
}

fn failing_source() {
    let server = Server::start(&[]);
    fs::write(server.root.path().join("old"), "old").unwrap();
    for (text, pieces) in [("new", 0), ("new", 1), ("new", 50), ("old", 50)] {
        let mut connection = server.connect();
        let mut source = std::io::repeat(7).take(pieces * 98_304).chain(Failing);
        let error = connection
            .upload(&name(text), &mut source, &mut ())
            .unwrap_err();
        assert!(matches!(error, Error::Local(_)), "{error:?}");
        assert!(!connection.sent_all());
        let listing = server.connect().list(&mut ()).unwrap();
        assert_eq!(listing.names, ["old"], "{text} after {pieces} pieces");
    }
    let old = fs::read(server.root.path().join("old")).unwrap();
    assert_eq!(old, b"old");
    let done = server.done();
    assert_eq!((done.sum.requests.ok.upload, done.balanced), (0, true));
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("it changed"))
    }
}

fn private_file() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = [folder.path(), server.root.path()].map(|place| place.join("a"));
    for path in [&ours, &theirs] {
        fs::write(path, "old").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::write(&ours, "new").unwrap();
    for args in [&["upload", "a"][..], &["get", "a", "--force"]] {
        let output = server.program(folder.path(), args);
        assert!(output.status.success(), "{output:?}");
        for path in [&ours, &theirs] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{args:?}");
            assert_eq!(fs::read(path).unwrap(), b"new");
        }
    }
}

fn killed_worker() {
    use nix::sys::signal::{Signal, kill};
    let server = Server::start(&[]);
    let mut connection = server.connect();
    /// Kills every worker once some content has been sent.
    struct Killing<'a>(&'a [u32], u64);
    impl Read for Killing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 += buffer.len() as u64;
            if self.1 > 10 << 20 {
                for &pid in std::mem::take(&mut self.0) {
                    kill(
                        nix::unistd::Pid::from_raw(pid.cast_signed()),
                        Signal::SIGKILL,
                    )?;
                }
            }
            Ok(buffer.len())
        }
    }
    let mut source = Killing(&server.worker_pids, 0).take(1 << 30);
    let error = connection
        .upload(&name("a"), &mut source, &mut ())
        .unwrap_err();
    assert!(error.leaves_fate_unknown(), "{error:?}");
    assert!(
        !connection.sent_all(),
        "and yet nothing is stored, as is seen below"
    );
    // A new worker answers. A worker that was killed while waiting in accept(2) may take one more
    // connection to its grave, so the first answer counts.
    let end = Instant::now() + PATIENCE;
    let listing = loop {
        match server.connect().list(&mut ()) {
            Err(Error::Reset(_) | Error::Eof) if Instant::now() < end => {}
            result => break result.unwrap(),
        }
    };
    assert!(listing.names.is_empty());
    assert!(server.done().crashes >= 1);
}
