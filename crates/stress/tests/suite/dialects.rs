//! Programs in Python that speak every dialect: `scripts/reference_server.py` under `stress`, with
//! `scripts/reference_client.py`, and somebody's server with another port, by `scripts/adapt.py`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use stress_data::journal::Contents;
use stress_data::measurement::Status;
use tempfile::TempDir;

use super::support::{python, run};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts");

#[test]
fn each_way_of_ending_requests_is_found_and_measured() {
    let Some(python) = python() else { return };
    let found = |mode: &str| {
        let server = format!(
            "{python} -S '{SCRIPTS}/reference_server.py' --port {{port}} --workers {{workers}} --root {{root}} --terminator-mode {mode}"
        );
        let axes = ["--size", "1K", "--clients", "1", "--servers", "2"];
        let more = ["--op", "upload,download", "--server-settle", "0s"];
        let ended = run(&[&axes[..], &more, &["--server-cmd", &server]].concat());
        assert_eq!(ended.status.code(), Some(0), "{mode}: {}", ended.errors);
        ended.assert_clean();
        let folder = ended.into_folder();
        let contents = Contents::read(&folder.path().join("latest")).unwrap();
        for sample in contents.samples.values() {
            assert_eq!(sample.measurement.status, Status::Ok, "{mode}: {sample:#?}");
        }
        contents.header.fingerprint.settings.terminator
    };
    thread::scope(|scope| {
        for (mode, wanted) in [
            ("any", "crlfcrlf"),
            ("crlfcrlf", "crlfcrlf"),
            ("crlf", "crlf"),
            ("lf", "lf"),
            ("none", "crlfcrlf"),
            ("recv", "none"),
        ] {
            let found = &found;
            scope.spawn(move || assert_eq!(found(mode), wanted, "{mode}"));
        }
    });
}

/// A server of the scripts', listening.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start(python: &str, root: &Path) -> Self {
        let mut child = Command::new(python)
            .arg("-S")
            .arg(format!("{SCRIPTS}/reference_server.py"))
            .args(["--port", "0", "--root"])
            .arg(root)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').unwrap().1.to_owned();
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_python_server_takes_what_the_python_client_writes_in_every_dialect() {
    let Some(python) = python() else { return };
    let root = TempDir::new().unwrap();
    let folder = TempDir::new().unwrap();
    let content: Vec<u8> = (0..10_000_u32).map(|number| (number % 251) as u8).collect();
    let file = folder.path().join("sent.bin");
    fs::write(&file, &content).unwrap();
    let server = Server::start(python, root.path());
    let client = |terminator: &str, args: &[&str]| -> Output {
        let script = format!("{SCRIPTS}/reference_client.py");
        let fixed = ["--port", &server.port, "--terminator", terminator];
        let mut command = Command::new(python);
        command.arg("-S");
        command.arg(script).args(fixed).args(args);
        command.output().unwrap()
    };
    for (body, verb, terminator) in [
        ("same", "ADD", "crlf"),
        ("repr", "UPLOAD", "crlfcrlf"),
        ("next", "POST", "lf"),
        ("next-repr", "PUT", "crlfcrlf"),
    ] {
        let (file, name) = (file.to_str().unwrap(), format!("{body} 1.bin"));
        let upload = [
            "--verb", verb, "upload", file, "--as", &name, "--body", body,
        ];
        let output = client(terminator, &upload);
        assert!(output.status.success(), "{upload:?}: {output:?}");
        assert!(
            fs::read(root.path().join(&name)).unwrap() == content,
            "{body}"
        );
        let output = client(terminator, &["--verb", "HAPUS", "delete", &name]);
        assert!(output.status.success(), "{output:?}");
    }
    // An empty next line is no content, and the connection goes on.
    let empty = folder.path().join("empty.bin");
    fs::write(&empty, "").unwrap();
    let output = client(
        "crlf",
        &["upload", empty.to_str().unwrap(), "--body", "next"],
    );
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("on the next line"),
        "{output:?}"
    );
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

/// A server as the course's: modules of its own, a port and a number of workers in its source, one of them never used,
/// and a folder that it changes to.
const MODULES: [(&str, &str); 2] = [
    (
        "file_interface.py",
        "import base64, os\n\
         class FileInterface:\n\
         \x20   def __init__(self):\n\
         \x20       os.chdir('files/')\n\
         \x20   def list(self):\n\
         \x20       return dict(status='OK', data=os.listdir('.'))\n\
         \x20   def get(self, name):\n\
         \x20       content = base64.b64encode(open(name, 'rb').read()).decode()\n\
         \x20       return dict(status='OK', data_namafile=name, data_file=content)\n\
         \x20   def upload(self, name, content):\n\
         \x20       open(name, 'wb').write(base64.b64decode(content))\n\
         \x20       return dict(status='OK', data=name + ' uploaded')\n",
    ),
    (
        "file_server.py",
        "import json, socket\n\
         from concurrent.futures import ThreadPoolExecutor\n\
         from file_interface import FileInterface\n\
         files = FileInterface()\n\
         def serve(connection):\n\
         \x20   received = ''\n\
         \x20   while '\\r\\n\\r\\n' not in received:\n\
         \x20       data = connection.recv(65536)\n\
         \x20       if not data:\n\
         \x20           break\n\
         \x20       received += data.decode()\n\
         \x20   words = received.split()\n\
         \x20   try:\n\
         \x20       reply = getattr(files, words[0].lower())(*words[1:])\n\
         \x20   except Exception:\n\
         \x20       reply = dict(status='ERROR', data='request tidak dikenali')\n\
         \x20   connection.sendall((json.dumps(reply) + '\\r\\n\\r\\n').encode())\n\
         \x20   connection.close()\n\
         class Server:\n\
         \x20   def __init__(self, ipaddress='0.0.0.0', port=8889):\n\
         \x20       self.listener = socket.create_server((ipaddress, port), backlog=50)\n\
         \x20   def run(self):\n\
         \x20       print('serving with', WORKERS, flush=True)\n\
         \x20       with ThreadPoolExecutor(max_workers=WORKERS) as pool:\n\
         \x20           while True:\n\
         \x20               pool.submit(serve, self.listener.accept()[0])\n\
         WORKERS = 20\n\
         Server(ipaddress='0.0.0.0', port=6667).run()\n",
    ),
];

/// The server in a folder of its own, with a file in the folder that it serves.
fn somebodys_server() -> TempDir {
    let home = TempDir::new().unwrap();
    for (name, source) in MODULES {
        fs::write(home.path().join(name), source).unwrap();
    }
    fs::create_dir(home.path().join("files")).unwrap();
    fs::write(home.path().join("files/thesis.pdf"), "x").unwrap();
    home
}

#[test]
fn a_server_with_modules_and_a_folder_of_its_own_is_measured_as_a_copy() {
    let Some(python) = python() else { return };
    let home = somebodys_server();
    // As in docs/FOREIGN.md.
    let server = format!(
        "{python} -S '{SCRIPTS}/adapt.py' --port {{port}} --workers {{workers}} --root {{root}} '{}/file_server.py'",
        home.path().display()
    );
    let axes = ["--size", "100K", "--clients", "2", "--servers", "2"];
    let ended = run(&[&axes[..], &["--server-cmd", &server]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    assert_eq!(ended.measurements().len(), 3);
    for measurement in &ended.measurements() {
        assert_eq!(measurement.status, Status::Ok, "{measurement:#?}");
    }
    ended.assert_clean();
    // Nothing was added to the original or changed in it.
    for (name, source) in MODULES {
        assert_eq!(fs::read_to_string(home.path().join(name)).unwrap(), source);
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3);
    assert_eq!(fs::read_dir(home.path().join("files")).unwrap().count(), 1);
}

#[test]
fn what_to_change_in_a_source_is_said_where_it_is_not_clear() {
    let Some(python) = python() else { return };
    let home = somebodys_server();
    let quiet = "import socket\nlistener = socket.socket()\nlistener.listen(int('9'))\n";
    fs::write(home.path().join("quiet.py"), quiet).unwrap();
    fs::remove_file(home.path().join("file_server.py")).unwrap();
    let run = TempDir::new().unwrap();
    let root = run.path().join("root");
    fs::create_dir(&root).unwrap();
    let check = |args: &[&str], wanted: &str| {
        let server = home.path().join("quiet.py");
        let mut command = Command::new(python);
        command.arg("-S");
        command.arg(format!("{SCRIPTS}/adapt.py"));
        command
            .args(["--port", "5", "--root"])
            .arg(&root)
            .args(args);
        let output = command.arg(server).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {said}");
    };
    check(&[], "say it with --port-was");
    check(
        &["--port-was", "7777"],
        "--port-was: 7777 stands in no source",
    );
    check(
        &["--replace", "abc", "x"],
        "--replace: 'abc' stands in no source",
    );
    check(
        &["--replace", "'9'", "'5'", "--workers", "3"],
        "leave --workers out",
    );
    check(&["--files", "../files"], "with --folder");
    check(&["--root", "/nonexistent"], "--root: there is no folder");
}
