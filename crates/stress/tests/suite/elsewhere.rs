//! Servers that are where they are: with a port and a folder of their own, running already, on another host.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use proto::announce::{Announcement, Ready};
use stress_data::journal::Contents;
use stress_data::measurement::{Measurement, Status};
use tempfile::TempDir;

use super::support::{python, refused, run, skip};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../scripts/reference_server.py"
);

/// The names in a root but the server's own, which are hidden.
fn files(root: &Path) -> Vec<String> {
    let names = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

#[test]
fn a_server_with_a_port_and_a_folder_of_its_own_is_measured_as_it_is() {
    let Some(python) = python() else { return };
    let home = TempDir::new().unwrap();
    let port = free_port();
    // What it takes from nobody: port, workers, and a folder relative to where it is started.
    let program = format!(
        "import runpy, sys\n\
         sys.argv = ['server', '--port', '{port}', '--workers', '2', '--root', 'files']\n\
         runpy.run_path({SCRIPT:?}, run_name='__main__')\n"
    );
    fs::write(home.path().join("server.py"), program).unwrap();
    // Its port is taken for a while: not by somebody who listens, but by connections that have ended.
    let start = format!(
        "if test -e tried; then exec {python} -S server.py; fi; touch tried; \
         echo 'OSError: [Errno 98] Address already in use' >&2; exit 1"
    );
    fs::write(home.path().join("start.sh"), start).unwrap();
    let folder = home.path().join("files");
    let (home_path, folder_path) = (home.path().to_str().unwrap(), folder.to_str().unwrap());
    let port = port.to_string();
    let server = [
        "--server-cmd",
        "sh start.sh",
        "--server-cwd",
        home_path,
        "--server-port",
        &port,
        "--server-root",
        folder_path,
    ];
    // Three rows one after the other on one port.
    let axes = ["--size", "200K", "--clients", "2", "--servers", "2"];
    let ended = run(&[&axes[..], &server].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    assert_eq!(ended.measurements().len(), 3);
    for measurement in &ended.measurements() {
        assert_ok(measurement);
    }
    ended.assert_clean();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

    fs::write(folder.join("thesis.pdf"), "x").unwrap();
    let ended = run(&[&axes[..], &server].concat());
    assert_eq!(ended.status.code(), Some(2), "{}", ended.errors);
    assert!(ended.errors.contains("is not empty"), "{}", ended.errors);
    assert!(folder.join("thesis.pdf").exists());
}

#[test]
fn an_adapter_of_one_line_gives_a_server_another_port_and_folder() {
    let Some(python) = python() else { return };
    let home = TempDir::new().unwrap();
    let program = format!(
        "import runpy, sys\n\
         sys.argv = ['server', '--port', '6666', '--workers', '2', '--root', '.']\n\
         runpy.run_path({SCRIPT:?}, run_name='__main__')\n"
    );
    let server = home.path().join("server.py");
    fs::write(&server, program).unwrap();
    // What the shell can do for a server of one file.
    let command = format!(
        "sh -c 'sed s/6666/{{port}}/ {} > {{root}}/../s.py; cd {{root}}; exec {python} -S ../s.py'",
        server.display()
    );
    let axes = ["--size", "200K", "--clients", "2", "--servers", "2"];
    let ended = run(&[&axes[..], &["--server-cmd", &command]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    for measurement in &ended.measurements() {
        assert_ok(measurement);
    }
    ended.assert_clean();
}

#[test]
fn somebody_elses_server_on_the_port_is_not_measured_instead() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = ["--server-cmd", "sleep 100 {root}", "--server-port", &port];
    let axes = ["--op", "upload", "--size", "1K", "--clients", "1"];
    let args = [&axes[..], &["--servers", "1"], &server].concat();
    let said = refused(&args);
    assert!(said.contains("another program is listening"), "{said}");
    let ended = run(&[&args[..], &["--keep-going"]].concat());
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    let measurement = ended.measurement();
    assert_eq!(measurement.status, Status::ServerLost);
    let notes = measurement.notes.join(" ");
    assert!(notes.contains("another program is listening"), "{notes}");
}

#[test]
fn a_server_that_runs_already_is_measured_through_itself_and_left_as_it_was() {
    let root = TempDir::new().unwrap();
    let server = Server::start(&[], "127.0.0.1:0", root.path());
    let axes = ["--size", "200K", "--clients", "3", "--servers", "2"];
    let target = ["--target", &server.ready.address];
    for more in [&[][..], &["--verify", "full", "--client-pool", "process"]] {
        let ended = run(&[&axes[..], &target, more].concat());
        assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
        assert_eq!(ended.measurements().len(), 3);
        for measurement in &ended.measurements() {
            assert_ok(measurement);
            assert_eq!(measurement.done, None);
        }
        ended.assert_clean();
        assert_eq!(files(root.path()), [""; 0]);
    }

    fs::write(root.path().join("kept.bin"), "x").unwrap();
    let ended = run(&[&axes[..], &target, &["--op", "list"]].concat());
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    let notes = ended.measurement().notes.join(" ");
    assert!(notes.contains("holds 1 file already"), "{notes}");
    assert!(root.path().join("kept.bin").exists());

    for (op, name) in [("download", "d0000.bin"), ("upload", "u0002-0.bin")] {
        let path = root.path().join(name);
        fs::write(&path, "somebody's own").unwrap();
        let ended = run(&[&axes[..], &target, &["--op", op]].concat());
        assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
        let notes = ended.measurement().notes.join(" ");
        let words = format!("holds {name} already, which this row would replace");
        assert!(notes.contains(&words), "{notes}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's own");
    }
}

#[test]
fn the_ledger_of_a_running_server_is_asked_where_it_can_be() {
    let root = TempDir::new().unwrap();
    let admin = TempDir::new().unwrap();
    let admin = admin.path().join("admin.sock");
    let socket = admin.to_str().unwrap();
    let server = Server::start_with(&["--admin", socket], &[], "127.0.0.1:0", root.path());
    let axes = ["--size", "200K", "--clients", "3", "--servers", "2"];
    let target = ["--target", &server.ready.address, "--target-admin", socket];
    let ended = run(&[&axes[..], &target].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    for measurement in &ended.measurements() {
        assert_ok(measurement);
        // Of the window alone: not what put the files there and took them away.
        let done = measurement.done.as_ref().unwrap();
        let planned = measurement.records.len() as u64;
        assert_eq!(done.sum.connections.accepted, planned);
        assert_eq!(done.sum.requests.ok.total(), planned);
        assert_eq!(done.workers.len(), 2);
    }
    let nowhere = ["--target-admin", "/nonexistent.sock"];
    let args = [&axes[..], &target[..2], &nowhere].concat();
    let said = refused(&args);
    assert!(said.contains("no such socket"), "{said}");
    let ended = run(&[&args[..], &["--keep-going"]].concat());
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    let notes = ended.measurements()[0].notes.join(" ");
    assert!(notes.contains("no such socket"), "{notes}");
}

#[test]
fn a_server_on_another_host_is_measured_over_a_network() {
    let Some(hosts) = Hosts::make() else {
        skip("network namespaces (root and ip are needed)");
        return;
    };
    let root = TempDir::new().unwrap();
    let server = Server::start(&hosts.on(0), "10.77.0.1:0", root.path());
    let out = TempDir::new().unwrap();
    let mut command = command(&hosts.on(1));
    command
        .args(["--size", "3M", "--clients", "3", "--servers", "2"])
        .args(["--target", &server.ready.address, "--progress", "none"])
        .arg("--out")
        .arg(out.path())
        .arg("--work-dir")
        .arg(out.path());
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let samples = Contents::read(&out.path().join("latest")).unwrap().samples;
    assert_eq!(samples.len(), 3);
    for sample in samples.values() {
        assert_ok(&sample.measurement);
    }
    assert_eq!(files(root.path()), [""; 0]);
}

fn assert_ok(measurement: &Measurement) {
    assert_eq!(measurement.status, Status::Ok, "{measurement:#?}");
    assert_eq!(measurement.notes, Vec::<String>::new());
    let mut records = measurement.records.iter();
    assert!(records.all(|record| record.verified_bytes > 0));
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The program, behind the words that lead to its host.
fn command(on: &[String]) -> Command {
    let stress = env!("CARGO_BIN_EXE_stress").to_owned();
    let mut words = on.iter().cloned().chain([stress]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

/// Our server, running for itself.
struct Server {
    child: Child,
    ready: Ready,
}

impl Server {
    fn start(on: &[String], address: &str, root: &Path) -> Self {
        Self::start_with(&[], on, address, root)
    }

    fn start_with(flags: &[&str], on: &[String], address: &str, root: &Path) -> Self {
        let mut child = command(on)
            .args(["__server", "--workers", "2", "--exit-with-stdin"])
            .args(flags)
            .args(["--durability", "none", "--bind", address, "--root"])
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        match Announcement::from_line(&line) {
            Ok(Announcement::Ready(ready)) => Self { child, ready },
            other => panic!("{line}: {other:?}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Two hosts with a wire between them: 10.77.0.1 and 10.77.0.2.
struct Hosts([String; 2]);

impl Hosts {
    /// None where this process may not.
    fn make() -> Option<Self> {
        let id = std::process::id();
        let hosts = Self([format!("stress-{id}-a"), format!("stress-{id}-b")]);
        let [a, b] = &hosts.0;
        for host in [a, b] {
            ip(&["netns", "add", host])?;
        }
        ip(&[
            "-n", a, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", b,
        ])?;
        for (host, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            ip(&["-n", host, "address", "add", address, "dev", "wire"])?;
            ip(&["-n", host, "link", "set", "wire", "up"])?;
        }
        Some(hosts)
    }

    /// The words that lead to a host.
    fn on(&self, number: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.0[number]]
            .map(str::to_owned)
            .to_vec()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in &self.0 {
            let _ = ip(&["netns", "delete", host]);
        }
    }
}

fn ip(words: &[&str]) -> Option<Output> {
    let output = Command::new("ip").args(words).output().ok()?;
    output.status.success().then_some(output)
}
