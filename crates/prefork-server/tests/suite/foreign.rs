//! Clients in another language, as people of the course write them: `scripts/reference_client.py`, for each end
//! of a request that is in use.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::{Server, each_pool, noise};

const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../scripts/reference_client.py"
);

/// Runs the client's `main` for each line of arguments, and says how it ended: to start an interpreter takes longer
/// than most of what it is started for.
const RUN_MANY: &str = "
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
import reference_client
for line in sys.stdin:
    sys.argv = ['reference_client.py', *json.loads(line)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = reference_client.main()
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
";

/// How one run of the client ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    output: String,
}

/// Clients of one server, one after the other in one interpreter.
struct Clients {
    python: Child,
    answers: BufReader<ChildStdout>,
    address: (String, String),
}

impl Clients {
    fn of(server: &Server) -> Self {
        let mut python = Command::new(python().unwrap())
            .args(["-S", "-c", RUN_MANY])
            .arg(Path::new(CLIENT).parent().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (host, port) = server.ready.address.rsplit_once(':').unwrap();
        Self {
            answers: BufReader::new(python.stdout.take().unwrap()),
            python,
            address: (host.to_owned(), port.to_owned()),
        }
    }

    /// Runs the client; its output is shown if the test fails.
    fn run(&mut self, terminator: &str, args: &[&str]) -> Ended {
        let (host, port) = (self.address.0.as_str(), self.address.1.as_str());
        let fixed = ["--host", host, "--port", port, "--terminator", terminator];
        let argv = serde_json::to_string(&[&fixed[..], args].concat()).unwrap();
        writeln!(self.python.stdin.as_ref().unwrap(), "{argv}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let (code, output, errors): (i32, String, String) = serde_json::from_str(&answer).unwrap();
        eprintln!("{terminator} {args:?}: {code} {output:?} {errors:?}");
        Ended { code, output }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        drop(self.python.stdin.take());
        let _ = self.python.wait();
    }
}

/// Runs the client as a program of its own; its output is shown if the test fails.
fn client(server: &Server, terminator: &str, args: &[&str]) -> Output {
    let (host, port) = server.ready.address.rsplit_once(':').unwrap();
    let output = Command::new(python().unwrap())
        .args(["-S", CLIENT, "--host", host, "--port", port])
        .args(["--terminator", terminator])
        .args(args)
        .output()
        .unwrap();
    eprintln!("{terminator} {args:?}: {output:?}");
    output
}

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

/// Whether there is a Python to run it; says so loudly where there is none.
fn has_python() -> bool {
    let found = python().is_some();
    if !found {
        // Past the test harness's capture, so that a green run cannot hide it.
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
        let mut clients = Clients::of(&server);
        let folder = TempDir::new().unwrap();
        for (seed, len) in [0, 1, 1_000_003, 10_000_000].into_iter().enumerate() {
            let sent = noise(seed as u64, len);
            fs::write(folder.path().join("sent.bin"), &sent).unwrap();
            for terminator in ["crlf", "crlfcrlf", "lf"] {
                let name = format!("{terminator}-{len}.bin");
                let up = clients.run(terminator, &["upload", &path(folder.path(), "sent.bin"), "--as", &name]);
                assert_eq!(up.code, 0);
                assert_eq!(crc32fast::hash(&server.stored(&name).unwrap()), crc32fast::hash(&sent));
            }
            for terminator in ["crlf", "crlfcrlf", "lf", "none"] {
                let name = format!("crlf-{len}.bin");
                let got = path(folder.path(), "got.bin");
                assert_eq!(clients.run(terminator, &["get", &name, "-o", &got]).code, 0);
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
        let mut clients = Clients::of(&server);
        let folder = TempDir::new().unwrap();
        // A short one, a line of wrapped base64 in each length, and one of many pieces.
        for (seed, len) in [1, 48, 57, 1_000_003].into_iter().enumerate() {
            let sent = noise(seed as u64, len);
            let file = path(folder.path(), "sent.bin");
            fs::write(&file, &sent).unwrap();
            for (body, verb) in [("same", "ADD"), ("repr", "UPLOAD"), ("next", "POST"), ("next-repr", "PUT")] {
                let name = format!("{body} {len}.bin");
                let up = clients.run("crlfcrlf", &["--verb", verb, "upload", &file, "--as", &name, "--body", body]);
                assert_eq!(up.code, 0);
                assert_eq!(crc32fast::hash(&server.stored(&name).unwrap()), crc32fast::hash(&sent));
                assert_eq!(clients.run("crlf", &["--verb", "HAPUS", "delete", &name]).code, 0);
            }
            let wrapped = clients.run("lf", &["upload", &file, "--body", "wrapped"]);
            assert_eq!(wrapped.code == 0, len <= 57);
            assert!(len <= 57 || wrapped.output.contains("base64 -w0"));
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
