//! `--read-only`: files can be read and listed, and nothing can change them.

use std::fs;
use std::process::Command;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::exhaustion::Fault;
use crate::support::{
    Server, command, content, each_pool, noise, skip, under, upload, with_a_disk_at,
};

each_pool! {
    fn a_read_only_server_refuses_whatever_would_change_a_file(pool) {
        let server = Server::start(pool, &["--read-only"]);
        assert!(server.ready.settings.read_only);
        assert_eq!(server.ready.settings.temporaries, "none");
        server.put("f", b"abc");
        let mut peer = server.connect();
        let reply = peer.ask("DELETE f\r\n");
        assert_eq!(reply["code"], "unknown_verb");
        let text = reply["data"].as_str().unwrap();
        assert!(text.contains("read-only") && text.contains("request tidak dikenali"), "{text}");
        // The body, of which the last part is still on its way, is taken to its end of line; then the next request.
        assert_eq!(peer.ask(upload("f", &noise(1, 3_000_000)))["code"], "unknown_verb");
        assert_eq!(peer.ask(upload("g", b""))["code"], "unknown_verb");
        assert_eq!(content(&peer.ask("GET f\r\n")), b"abc");
        assert_eq!(peer.ask("LIST\r\n")["data"], serde_json::json!(["f"]));
        assert_eq!(server.entries(), ["f"]);
        drop(peer);
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.errors.unknown_verb, done.sum.requests.ok.get, code), (3, 1, 0));
        assert_eq!((done.sum.connections.closed, done.sum.connections.refused), (1, 0));
    }

    fn a_read_only_server_needs_no_right_to_write(pool) {
        let root = TempDir::new().unwrap();
        let setup = r#"echo content > "$0/f" && : > "$0/.prefork-tmp.999999.0" && mount -o remount,ro "$0" &&"#;
        let Some(launcher) = with_a_disk_at(root.path(), "", setup) else { return };
        let mut command = under(&launcher, &command(root.path(), pool, &["--read-only"]));
        let mut server = Server::spawn(&mut command);
        let mut peer = server.connect();
        assert_eq!(content(&peer.ask("GET f\r\n")), b"content\n");
        assert_eq!(peer.ask("LIST\r\n")["data"], serde_json::json!(["f"]));
        assert_eq!(peer.ask(upload("f", b"new"))["code"], "unknown_verb");
        // What a dead server left unfinished stays, too: nothing is swept.
        server.kill_worker(server.ready.worker_pids[0], Signal::SIGKILL);
        server.wait_for_log("worker died");
        assert_eq!(server.connect().ask("LIST\r\n")["data"], serde_json::json!(["f"]));
        server.signal(Signal::SIGTERM);
        assert_eq!(server.done_in_place().1, 0);
        let log = server.rest_of_log();
        assert!(!log.iter().any(|line| line.contains("temporary")), "{log:?}");
    }

    fn a_root_that_is_mounted_read_only_is_warned_about_and_says_so_to_clients(pool) {
        let root = TempDir::new().unwrap();
        // Less room than --min-free keeps, which is not what is wrong.
        let setup = r#"echo content > "$0/f" && mount -o remount,ro "$0" &&"#;
        let Some(launcher) = with_a_disk_at(root.path(), "-o size=1m", setup) else { return };
        let min_free = ["--min-free", "64M"];
        let server = Server::spawn(&mut under(&launcher, &command(root.path(), pool, &min_free)));
        server.wait_for_log("mounted read-only");
        let mut peer = server.connect();
        assert_eq!(content(&peer.ask("GET f\r\n")), b"content\n");
        assert_eq!(peer.ask("DELETE f\r\n")["code"], "unknown_verb");
        let reply = peer.ask(upload("g", b"new"));
        assert_eq!(reply["code"], "unknown_verb");
        assert!(reply["data"].as_str().unwrap().contains("read-only"), "{reply}");
        drop(peer);
        assert_eq!(server.stop().1, 0);
    }

    /// The kernel is made to take a worker's opening a file for reading as what somebody who has taken the worker
    /// over would try. That it succeeds where it may shows that it is tried.
    fn a_worker_that_was_taken_over_cannot_write_either(pool) {
        let folder = TempDir::new().unwrap();
        let settings = folder.path().join("server.toml");
        let set = |is_read_only: bool| {
            fs::write(&settings, format!("read-only = {is_read_only}\nworkers = 1\n")).unwrap();
        };
        set(true);
        let server = Server::start(pool, &["--config", settings.to_str().unwrap()]);
        let Some(access) = server.ready.settings.sandbox.root_access.clone() else {
            return skip("Landlock");
        };
        assert_eq!(access, "read");
        for is_read_only in [true, false, true] {
            set(is_read_only);
            reload(&server);
            server.put("f", b"abc");
            let got: Vec<_> = OPENINGS.iter().map_while(|(name, flags)| {
                let bytes = (flags.bits() as u64).to_ne_bytes().map(|byte| format!("{byte:02x}")).concat();
                let poke = format!("poke_enter=@arg3={bytes}");
                let tampered = Fault::tamper(server.children()[0], "openat2", &poke)?;
                let reply = server.connect().ask(format!("GET {name}\r\n"));
                tampered.end();
                Some(reply["status"] == "OK")
            }).collect();
            if got.len() < OPENINGS.len() {
                return;
            }
            assert_eq!(got, [!is_read_only; 3]);
            // What was opened with O_CREAT is there, what was with O_TRUNC is empty.
            let (entries, content) = if is_read_only { (vec!["f"], &b"abc"[..]) } else { (vec!["f", "new"], &b""[..]) };
            assert_eq!((server.entries(), server.stored("f").unwrap().as_slice()), (entries.iter().map(ToString::to_string).collect(), content));
            let _ = fs::remove_file(server.root().join("new"));
            assert_eq!(server.connect().ask("GET f\r\n")["status"], "OK");
        }
        server.stop();
    }

    fn a_reload_turns_it_on_and_off(pool) {
        let folder = TempDir::new().unwrap();
        let settings = folder.path().join("server.toml");
        fs::write(&settings, "read-only = true\nworkers = 2\n").unwrap();
        let server = Server::start(pool, &["--config", settings.to_str().unwrap()]);
        for (is_read_only, want) in [(false, None), (true, Some("unknown_verb")), (false, None)] {
            fs::write(&settings, format!("read-only = {is_read_only}\nworkers = 2\n")).unwrap();
            reload(&server);
            let reply = server.connect().ask(upload("f", &noise(1, 300_000)));
            assert_eq!(reply["code"].as_str(), want, "{reply}");
        }
        assert_eq!(server.entries(), ["f"]);
        server.stop();
    }
}

/// To write to a file, to make one, to empty one.
const OPENINGS: [(&str, OFlag); 3] = [
    ("f", OFlag::O_RDWR.union(OFlag::O_CLOEXEC)),
    (
        "new",
        OFlag::O_RDWR.union(OFlag::O_CLOEXEC).union(OFlag::O_CREAT),
    ),
    (
        "f",
        OFlag::O_RDWR.union(OFlag::O_CLOEXEC).union(OFlag::O_TRUNC),
    ),
];

fn reload(server: &Server) {
    let before = server.children();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded");
    server.wait_for_children(|now| now.iter().all(|pid| !before.contains(pid)));
}

#[test]
fn a_read_only_server_does_not_make_its_folder() {
    let folder = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_prefork-server"))
        .args(["--bind", "127.0.0.1:0", "--read-only"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("does not exist"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
