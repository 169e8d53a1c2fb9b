//! USR2, socket activation, the service manager, the pidfile.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::announce::Announcement;
use proto::status::Status;
use tempfile::TempDir;

use crate::load::Load;
use crate::support::{self, DEADLINE, Peer, Server, content, each_pool, noise};

each_pool! {
    fn an_upgrade_under_load_loses_nothing(pool) {
        let folder = TempDir::new().unwrap();
        let pidfile = folder.path().join("pid");
        let mut server = Server::start(pool, &["--workers", "3", "--pidfile", pidfile.to_str().unwrap()]);
        let held = || fs::read_to_string(&pidfile).unwrap().trim().parse::<u32>().unwrap();
        Load::put_file(&server);
        let address = server.ready.address.clone();
        let load = Load::default();
        let ledgers = std::thread::scope(|scope| {
            load.start(scope, &address, 4);
            let mut ledgers = Vec::new();
            for _ in 0..2 {
                load.wait_for(20);
                assert_eq!(held(), server.ready.pid);
                let old_pid = server.ready.pid;
                server.signal(Signal::SIGUSR2);
                server.wait_for_successor();
                assert_eq!(server.ready.address, address);
                let old = server.next_done();
                server.wait_until_alone(old_pid);
                assert_eq!((old.reason.as_str(), old.crashes), ("handed_over", 0));
                assert_eq!(held(), server.ready.pid);
                ledgers.push(old);
            }
            load.wait_for(20);
            server.signal(Signal::SIGTERM);
            ledgers.push(server.next_done());
            ledgers
        });
        assert_eq!(ledgers[2].reason, "drained");
        load.check(&ledgers.iter().collect::<Vec<_>>());
        server.wait_until_all_are_gone();
        assert!(!pidfile.exists());
    }

    fn what_is_in_hand_at_an_upgrade_is_finished_by_the_old_server(pool) {
        let mut server = Server::start(pool, &["--workers", "1"]);
        let file = noise(1, 30_000_000);
        server.put("f", &file);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        // The new server serves, beside the old one that still has somebody in hand.
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        assert_eq!(content(&peer.reply()), file);
        peer.expect_end();
        let old = server.next_done();
        assert_eq!((old.reason.as_str(), old.sum.requests.ok.get), ("handed_over", 1));
        server.signal(Signal::SIGTERM);
        let lists = [&old, &server.next_done()].map(|done| done.sum.requests.ok.list);
        // An event worker with somebody in hand goes on accepting until it is told not to.
        assert!(lists == [0, 1] || (pool == "event" && lists == [1, 0]), "{lists:?}");
    }

    fn an_upgrade_that_fails_changes_nothing(pool) {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("server.toml");
        fs::write(&config, "workers = 2\n").unwrap();
        let server = Server::start(pool, &["--config", config.to_str().unwrap()]);
        let before = server.children();
        fs::write(&config, "workers = 'none of your business'\n").unwrap();
        server.signal(Signal::SIGUSR2);
        server.wait_for_log("the upgrade failed");
        assert_eq!(server.wait_for_children(|now| now == before), before);
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        // It can be tried again.
        fs::write(&config, "workers = 3\n").unwrap();
        let mut server = server;
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        assert_eq!(server.ready.workers, 3);
        assert_eq!(server.next_done().reason, "handed_over");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.next_done().reason, "drained");
    }

    fn an_upgrade_that_fails_leaves_the_socket_as_it_was(pool) {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("server.toml");
        fs::write(&config, "workers = 1\n").unwrap();
        let server = Server::start(pool, &["--config", config.to_str().unwrap()]);
        let port = server.ready.address.rsplit_once(':').unwrap().1;
        let socket = || {
            let filter = format!("sport = :{port}");
            let ss = Command::new("ss").args(["-tlnmH", &filter]).output();
            ss.ok().map(|it| String::from_utf8(it.stdout).unwrap())
        };
        let Some(before) = socket() else { return support::skip("ss (apt-get install iproute2)") };
        assert!(before.contains("rb"), "{before}");
        // It is told only when the socket might have been set up already that it cannot have what it is to have.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let metrics = taken.local_addr().unwrap();
        fs::write(&config, format!("receive-buffer = \"4K\"\nmetrics = \"{metrics}\"\n")).unwrap();
        server.signal(Signal::SIGUSR2);
        server.wait_for_log("the upgrade failed");
        assert_eq!(socket().unwrap(), before);
        server.stop();
    }

    fn a_socket_of_a_service_manager_is_served_and_left_open(pool) {
        let root = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let program = env!("CARGO_BIN_EXE_prefork-server");
        // The socket comes as standard input, since nothing else is inherited, and is moved to where it belongs.
        let script = format!(
            "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec {program} --pool {pool} --root {}",
            root.path().display()
        );
        let mut command = Command::new("sh");
        command
            .args(["-c", &script])
            .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())))
            .stdout(Stdio::piped());
        let server = Server::spawn(&mut command);
        assert_eq!(server.ready.address, address);
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        let (done, code) = server.stop();
        assert_eq!((done.reason.as_str(), done.sum.requests.ok.list, code), ("drained", 1, 0));
        // The manager's socket still takes connections, for the next server.
        std::net::TcpStream::connect(&address).unwrap();
    }
}

#[test]
fn a_service_manager_is_told_of_every_change() {
    let folder = TempDir::new().unwrap();
    let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let hear = || hear(&manager);
    let root = TempDir::new().unwrap();
    let mut command = support::command(root.path(), "process", &["--workers", "2"]);
    command.env("NOTIFY_SOCKET", folder.path().join("notify"));
    let mut server = Server::spawn(&mut command);
    let ready = |pid: u32| format!("READY=1\nMAINPID={pid}\n");
    assert_eq!(hear(), ready(server.ready.pid));
    server.signal(Signal::SIGHUP);
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hear(), ready(server.ready.pid));
    server.signal(Signal::SIGUSR2);
    server.wait_for_successor();
    assert_eq!(hear(), ready(server.ready.pid));
    server.signal(Signal::SIGTERM);
    assert_eq!(hear(), "STOPPING=1\n");
    server.wait_until_all_are_gone();
}

/// Nobody reads its READY line: from the start, or from when the line waits for room.
#[test]
fn a_new_server_that_cannot_say_that_it_is_ready_hands_everything_back() {
    for waits in [false, true] {
        fail_to_say_ready(waits);
    }
}

fn fail_to_say_ready(waits: bool) {
    let folder = TempDir::new().unwrap();
    let [pidfile, admin, notify] = ["pid", "admin", "notify"].map(|name| folder.path().join(name));
    let manager = UnixDatagram::bind(&notify).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let root = TempDir::new().unwrap();
    let args = [
        "--pidfile",
        pidfile.to_str().unwrap(),
        "--admin",
        admin.to_str().unwrap(),
    ];
    let mut command = support::command(root.path(), "process", &args);
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
    let mut child = command
        .env("NOTIFY_SOCKET", &notify)
        .stdout(writer.try_clone().unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(fs::File::from(reader));
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let Announcement::Ready(ready) = Announcement::from_line(line.trim_end()).unwrap() else {
        panic!("READY, not {line}");
    };
    let pid = Pid::from_raw(child.id().cast_signed());
    let own = format!("MAINPID={pid}\n");
    let said = hear(&manager);
    assert!(said.contains(&own), "{said}");
    if waits {
        support::fill(&writer);
        kill(pid, Signal::SIGUSR2).unwrap();
        // It has taken everything by now.
        let said = hear(&manager);
        assert!(said.contains("MAINPID") && !said.contains(&own), "{said}");
        drop(lines);
    } else {
        drop(lines);
        kill(pid, Signal::SIGUSR2).unwrap();
    }
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = log.map(Result::unwrap);
    assert!(log.any(|line| line.contains("the upgrade failed")));
    wait_for_status_of(child.id(), &admin);
    assert_eq!(
        fs::read_to_string(&pidfile).unwrap().trim(),
        pid.to_string()
    );
    let mut peer = Peer::new(TcpStream::connect(&ready.address).unwrap());
    assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
    drop(peer);
    let said = hear(&manager);
    assert!(said.contains("READY=1") && said.contains(&own), "{said}");
    kill(pid, Signal::SIGTERM).unwrap();
    for line in log {
        eprintln!("{line}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!pidfile.exists() && !admin.exists());
    assert_eq!(hear(&manager), "STOPPING=1\n");
    manager.set_nonblocking(true).unwrap();
    assert!(manager.recv(&mut [0]).is_err(), "nothing more is said");
}

/// Waits until the server that answers at the admin socket is the old one, which has taken it back.
fn wait_for_status_of(pid: u32, admin: &Path) {
    let deadline = Instant::now() + DEADLINE;
    let status = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
        let output = command
            .args(["status", "--json"])
            .arg(admin)
            .output()
            .unwrap();
        serde_json::from_slice::<Status>(&output.stdout).map(|status| status.server.pid)
    };
    while status().ok() != Some(pid) {
        assert!(
            Instant::now() < deadline,
            "nobody answers at the admin socket"
        );
    }
}

fn hear(manager: &UnixDatagram) -> String {
    let mut said = [0; 1000];
    let len = manager.recv(&mut said).unwrap();
    String::from_utf8_lossy(&said[..len]).into_owned()
}

#[test]
fn a_release_that_a_link_leads_to_is_the_one_that_is_started() {
    for how in ["absolute", "relative", "in PATH"] {
        let folder = TempDir::new().unwrap();
        let folder_path = folder.path().canonicalize().unwrap();
        for release in ["1", "2"] {
            fs::create_dir(folder_path.join(release)).unwrap();
            let program = folder_path.join(release).join("prefork-server");
            fs::copy(env!("CARGO_BIN_EXE_prefork-server"), program).unwrap();
        }
        let current = folder_path.join("current");
        std::os::unix::fs::symlink("1", &current).unwrap();
        let root = TempDir::new().unwrap();
        let like = support::command(root.path(), "process", &["--workers", "1"]);
        let word = match how {
            "absolute" => current.join("prefork-server").display().to_string(),
            "relative" => "./prefork-server".to_owned(),
            _ => "prefork-server".to_owned(),
        };
        // A shell's folder is the one that was typed.
        let script = format!(
            "cd {} && PATH=$PWD:$PATH && exec {word} \"$@\"",
            current.display()
        );
        let mut server = Server::spawn(&mut support::under(&["sh", "-c", &script], &like));
        let running =
            |server: &Server| fs::read_link(format!("/proc/{}/exe", server.ready.pid)).unwrap();
        assert_eq!(
            running(&server),
            folder_path.join("1/prefork-server"),
            "{how}"
        );
        fs::remove_file(&current).unwrap();
        server.signal(Signal::SIGUSR2);
        let line = server.wait_for_log("not upgrading");
        assert!(line.contains("there is no"), "{how}: {line}");
        std::os::unix::fs::symlink("2", &current).unwrap();
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        assert_eq!(
            running(&server),
            folder_path.join("2/prefork-server"),
            "{how}"
        );
        assert_eq!(server.next_done().reason, "handed_over");
        server.signal(Signal::SIGTERM);
        server.wait_until_all_are_gone();
    }
}

#[test]
fn a_pidfile_that_the_new_server_has_under_another_name_goes_with_the_old_one() {
    let folder = TempDir::new().unwrap();
    let root = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let configure = |name: &str| {
        fs::write(at("config"), format!("pidfile = {:?}", at(name))).unwrap();
    };
    configure("old");
    let config = at("config").display().to_string();
    let mut server = Server::start_on(root.path(), "process", &["--config", &config]);
    configure("new");
    server.signal(Signal::SIGUSR2);
    server.wait_for_successor();
    assert_eq!(server.next_done().reason, "handed_over");
    let pid = fs::read_to_string(at("new")).unwrap();
    assert_eq!(pid.trim(), server.ready.pid.to_string());
    assert!(!at("old").exists());
    server.signal(Signal::SIGTERM);
    server.wait_until_all_are_gone();
}

#[test]
fn without_proc_a_server_starts_and_refuses_an_upgrade() {
    let root = TempDir::new().unwrap();
    let Some(launcher) = support::with_a_disk_at(Path::new("/proc"), "", "") else {
        return;
    };
    let like = support::command(root.path(), "process", &["--workers", "2"]);
    let server = Server::spawn(&mut support::under(&launcher, &like));
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    server.signal(Signal::SIGUSR2);
    server.wait_for_log("without /proc");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    assert_eq!(server.stop().1, 0);
}

#[test]
fn process_1_of_a_container_refuses_an_upgrade_and_says_why() {
    let root = TempDir::new().unwrap();
    let launcher = [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
    ];
    let probe = Command::new(launcher[0])
        .args(&launcher[1..])
        .arg("true")
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        support::skip("the permission to make a namespace (unshare --user --pid)");
        return;
    }
    let like = support::command(root.path(), "process", &["--workers", "1"]);
    let mut command = support::under(&launcher, &like);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut ready).unwrap();
    assert!(ready.contains("\"pid\":1,"), "{ready}");
    // Its number out here is another.
    let pid = support::children_of(child.id())[0];
    let signal = |signal| kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    signal(Signal::SIGUSR2);
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = log.map(Result::unwrap);
    assert!(log.any(|line| line.contains("not upgrading") && line.contains("process 1")));
    signal(Signal::SIGTERM);
    for line in log {
        eprintln!("{line}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn nobody_is_signalled_after_it_was_reaped() {
    if !support::can_trace() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let [trace, config] = ["trace", "server.toml"].map(|name| folder.path().join(name));
    fs::write(&config, "workers = 2\n").unwrap();
    let root = TempDir::new().unwrap();
    let like = support::command(
        root.path(),
        "process",
        &["--config", config.to_str().unwrap()],
    );
    let tracer = [
        "strace",
        "-e",
        "trace=kill,wait4",
        "-o",
        trace.to_str().unwrap(),
    ];
    let server = Server::spawn(&mut support::under(&tracer, &like));
    fs::write(&config, "workers = 'many'\n").unwrap();
    server.signal(Signal::SIGUSR2);
    server.wait_for_log("the upgrade failed");
    fs::write(&config, "workers = 3\n").unwrap();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    let workers = server.wait_for_children(|now| now.len() == 3);
    server.kill_worker(workers[0], Signal::SIGKILL);
    server.wait_for_log("worker died");
    server.stop();
    let mut reaped = Vec::new();
    for line in fs::read_to_string(&trace).unwrap().lines() {
        if let Some((_, pid)) = line
            .strip_prefix("wait4(")
            .and_then(|it| it.split_once(" = "))
        {
            reaped.extend(pid.split_whitespace().next().map(str::to_owned));
        } else if let Some((pid, _)) = line.strip_prefix("kill(").and_then(|it| it.split_once(','))
        {
            assert!(!reaped.contains(&pid.to_owned()), "{line}");
        }
    }
    assert!(
        reaped.iter().filter(|pid| *pid != "0").count() >= 5,
        "{reaped:?}"
    );
}

#[test]
fn a_reload_that_is_asked_for_during_an_upgrade_reaches_the_new_server() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("server.toml");
    fs::write(&config, "workers = 2\n").unwrap();
    let mut server = Server::start("process", &["--config", config.to_str().unwrap()]);
    let old = server.ready.pid;
    server.signal(Signal::SIGUSR2);
    server.wait_for_log("upgrading");
    // Whether the new one has read the settings by now, nobody knows.
    fs::write(&config, "workers = 3\n").unwrap();
    server.signal(Signal::SIGHUP);
    server.wait_for_successor();
    assert_ne!(server.ready.pid, old);
    assert_eq!(server.next_done().reason, "handed_over");
    server.wait_for_children(|now| now.len() == 3);
    server.signal(Signal::SIGTERM);
    server.wait_until_all_are_gone();
}
