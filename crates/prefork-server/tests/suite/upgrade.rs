//! USR2, socket activation, the service manager, the pidfile.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::load::Load;
use crate::support::{self, DEADLINE, Server, content, each_pool, noise};

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
    let hear = || {
        let mut said = [0; 1000];
        let len = manager.recv(&mut said).unwrap();
        String::from_utf8_lossy(&said[..len]).into_owned()
    };
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
