//! Clients in another language, as people of the course write them: `scripts/reference_client.py`, for each end
//! of a request that is in use.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::{Server, each_pool, noise};

const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../scripts/reference_client.py"
);

/// Runs the client; its output is shown if the test fails.
fn client(server: &Server, terminator: &str, args: &[&str]) -> Output {
    let (host, port) = server.ready.address.rsplit_once(':').unwrap();
    let output = Command::new(python().unwrap())
        .args([
            CLIENT,
            "--host",
            host,
            "--port",
            port,
            "--terminator",
            terminator,
        ])
        .args(args)
        .output()
        .unwrap();
    eprintln!("{terminator} {args:?}: {output:?}");
    output
}

/// Whether there is a Python to run it; says so loudly where there is none.
/// The interpreter itself: what `python3` names may be a script that takes longer to start than it.
fn python() -> Option<&'static str> {
    static PYTHON: OnceLock<Option<String>> = OnceLock::new();
    let find = || {
        let mut asked = Command::new("python3");
        let output = asked
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .ok()?;
        let path = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| path.trim().to_owned())
    };
    PYTHON.get_or_init(find).as_deref()
}

fn has_python() -> bool {
    let found = python().is_some();
    if !found {
        // Past the test harness's capture, so that a green run cannot hide it.
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED, python3 is not installed: clients in Python were NOT tested"
        );
    }
    found
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

each_pool! {
    fn python_clients_move_files_to_the_byte(pool) {
        if !has_python() {
            return;
        }
        let server = Server::start(pool, &["--workers", "2", "--accept-unterminated", "50ms"]);
        let folder = TempDir::new().unwrap();
        for (seed, len) in [0, 1, 1_000_003, 10_000_000].into_iter().enumerate() {
            let sent = noise(seed as u64, len);
            fs::write(folder.path().join("sent.bin"), &sent).unwrap();
            for terminator in ["crlf", "crlfcrlf", "lf"] {
                let name = format!("{terminator}-{len}.bin");
                let up = client(&server, terminator, &["upload", &path(folder.path(), "sent.bin"), "--as", &name]);
                assert!(up.status.success());
                assert_eq!(crc32fast::hash(&server.stored(&name).unwrap()), crc32fast::hash(&sent));
            }
            for terminator in ["crlf", "crlfcrlf", "lf", "none"] {
                let name = format!("crlf-{len}.bin");
                let got = path(folder.path(), "got.bin");
                assert!(client(&server, terminator, &["get", &name, "-o", &got]).status.success());
                assert_eq!(crc32fast::hash(&fs::read(&got).unwrap()), crc32fast::hash(&sent));
            }
        }
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.ok.upload, done.sum.requests.ok.get, code), (12, 16, 0));
        assert_eq!(done.sum.requests.errors.total(), 0);
    }

    fn every_dialect_of_python_clients_moves_files_to_the_byte(pool) {
        if !has_python() {
            return;
        }
        let server = Server::start(pool, &["--workers", "2"]);
        let folder = TempDir::new().unwrap();
        // A short one, a line of wrapped base64 in each length, and one of many pieces.
        for (seed, len) in [1, 48, 57, 1_000_003].into_iter().enumerate() {
            let sent = noise(seed as u64, len);
            let file = path(folder.path(), "sent.bin");
            fs::write(&file, &sent).unwrap();
            for (body, verb) in [("same", "ADD"), ("repr", "UPLOAD"), ("next", "POST"), ("next-repr", "PUT")] {
                let name = format!("{body} {len}.bin");
                let up = client(&server, "crlfcrlf", &["--verb", verb, "upload", &file, "--as", &name, "--body", body]);
                assert!(up.status.success());
                assert_eq!(crc32fast::hash(&server.stored(&name).unwrap()), crc32fast::hash(&sent));
                assert!(client(&server, "crlf", &["--verb", "HAPUS", "delete", &name]).status.success());
            }
            let wrapped = client(&server, "lf", &["upload", &file, "--body", "wrapped"]);
            assert_eq!(wrapped.status.success(), len <= 57);
            assert!(len <= 57 || String::from_utf8_lossy(&wrapped.stdout).contains("base64 -w0"));
        }
        assert_eq!(server.entries(), ["sent.bin"]);
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.ok.upload, done.sum.requests.ok.delete, code), (19, 16, 0));
        assert_eq!((done.sum.requests.errors.total(), done.sum.connections.refused), (1, 1));
    }

    fn python_clients_list_delete_and_are_told_what_is_wrong(pool) {
        if !has_python() {
            return;
        }
        let server = Server::start(pool, &["--workers", "2", "--accept-unterminated", "50ms"]);
        for terminator in ["crlf", "crlfcrlf", "lf", "none"] {
            server.put("a.txt", b"abc");
            let list = client(&server, terminator, &["list"]);
            assert!(list.status.success() && String::from_utf8_lossy(&list.stdout).contains("a.txt"));
            assert!(client(&server, terminator, &["delete", "a.txt"]).status.success());
            assert_eq!(client(&server, terminator, &["delete", "a.txt"]).status.code(), Some(1));
            // Several requests over one connection: an answer to an empty line would come as the next one's.
            assert!(client(&server, terminator, &["--count", "3", "list"]).status.success());
        }
    }
}
