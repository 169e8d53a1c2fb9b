//! The admin socket and the metrics address: what they say, who may ask, and that nobody who asks does harm.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;
use proto::status::{ProcessState, ServerState, Status};
use tempfile::TempDir;

use crate::asking::exposition::Exposition;
use crate::asking::{Admin, whole_answer};
use crate::support::{self, DEADLINE, content, each_pool, noise, upload};

/// As a server leaves it that is killed while it takes over from another.
#[test]
fn a_hidden_socket_of_a_dead_server_is_gone_after_the_next_start() {
    let admin = Admin::new();
    let left = admin.folder.path().join("admin.7fffff");
    drop(UnixListener::bind(left).unwrap());
    let server = admin.start("process", &[]);
    let entries = fs::read_dir(admin.folder.path()).unwrap();
    let entries: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(entries, ["admin"]);
    assert_eq!(server.stop().1, 0);
}

pub(crate) fn serving(status: &Status) -> usize {
    let is_serving = |it: &&proto::status::Process| it.state == ProcessState::Serving;
    status.processes.iter().filter(is_serving).count()
}

each_pool! {
    fn the_status_says_what_the_server_does_and_has_done(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "2"]);
        let before = admin.status();
        assert_eq!(before.server.state, ServerState::Running);
        assert_eq!((before.server.pid, &before.server.address), (server.ready.pid, &server.ready.address));
        assert_eq!((before.server.pool.as_str(), before.server.workers_wanted), (pool, 2));
        assert_eq!(before.settings, server.ready.settings);
        assert_eq!(before.settings.admin.as_deref(), Some(admin.arg()));
        let pids: Vec<u32> = before.processes.iter().map(|it| it.pid).collect();
        assert_eq!(pids, server.ready.worker_pids);
        assert_eq!((serving(&before), before.workers.len()), (pids.len(), 2));
        assert!(before.workers.iter().all(|it| it.state == Some(ProcessState::Serving) && !it.is_busy));
        assert!(before.sum.rss_bytes > 0 && before.sum.peak_rss_bytes.unwrap() > 0);
        assert_eq!(before.listener.backlog, Some(0));

        let mut peer = server.connect();
        peer.ask(upload("f", &[7; 1000]));
        peer.ask("GET missing\r\n");
        assert_eq!(content(&peer.ask("GET f\r\n")).len(), 1000);
        let during = admin.wait_for(|it| it.sum.counts.requests.in_flight == 0);
        let r = &during.sum.counts.requests;
        assert_eq!((r.started, r.ok.upload, r.ok.get, r.errors.not_found), (3, 1, 1, 1));
        assert_eq!((r.ok_bytes.upload, r.ok_bytes.get), (1000, 1000));
        let c = &during.sum.counts.connections;
        assert_eq!((c.accepted, c.in_flight), (1, 1));
        // Between two requests a blocking worker has it set aside.
        let set_aside = usize::from(pool != "event");
        let busy = admin.wait_for(|it| it.workers.iter().filter(|it| it.is_busy).count() == 1 - set_aside);
        let counted = busy.workers.iter().map(|it| it.connections_set_aside).sum::<u64>();
        assert_eq!(counted, set_aside as u64);
        assert_eq!(during.processes.iter().map(|it| it.connections_in_flight).sum::<u64>(), 1);
        drop(peer);
        let after = admin.wait_for(|it| it.sum.counts.connections.closed == 1);
        assert!(after.sum.connections_balanced && after.sum.requests_balanced);
        assert!(after.server.uptime_ms >= before.server.uptime_ms);
        let (done, _) = server.stop();
        assert_eq!(done.sum, after.sum.counts);
    }

    fn the_queue_is_shown_as_it_fills_and_empties(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "2", "--worker-timeout", "0s"]);
        for pid in &server.ready.worker_pids {
            server.kill_worker(*pid, Signal::SIGSTOP);
            wait_until_stopped(*pid);
        }
        let mut peers: Vec<_> = (0..6).map(|_| server.connect()).collect();
        let full = admin.status();
        assert_eq!(full.listener.backlog, Some(6));
        assert!(full.listener.backlog_max >= full.listener.backlog);
        assert_eq!(admin.metrics().value("prefork_listener_backlog", &[]), 6.0);
        for pid in &server.ready.worker_pids {
            server.kill_worker(*pid, Signal::SIGCONT);
        }
        for peer in &mut peers {
            assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
            peer.finish_sending();
            peer.expect_end();
        }
        assert_eq!(admin.status().listener.backlog, Some(0));
        let (done, _) = server.stop();
        assert_eq!(done.sum.connections.closed, 6);
    }

    /// Prometheus takes a counter that goes down for a restart.
    fn no_counter_goes_down_when_an_answer_is_not_taken(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "1"]);
        server.put("f", &[7; 90_000]);
        let started = || admin.status().sum.counts.requests.started;
        for round in 1..=5 {
            let earlier = started();
            let mut peer = server.connect();
            // More answers than the kernel keeps: the last one that was made is on its way and does not get out.
            peer.send(b"GET f\r\n".repeat(200));
            while (0..5).map(|_| started()).any(|now| now == earlier || now != started()) {}
            let before = admin.metrics();
            drop(peer);
            let status = admin.wait_for(|it| it.sum.counts.connections.in_flight == 0);
            admin.metrics().assert_no_counter_is_less_than_in(&before);
            assert_eq!(status.sum.counts.requests.client_gone, round);
        }
        server.stop();
    }

    fn crashes_and_restarts_are_counted_and_a_new_process_is_shown(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "1"]);
        server.connect().ask("LIST\r\n");
        let old = server.ready.worker_pids[0];
        server.kill_worker(old, Signal::SIGKILL);
        let status = admin.wait_for(|it| it.sum.crashes == 1 && serving(it) == 1);
        assert_ne!(status.processes[0].pid, old);
        assert_eq!(status.processes[0].generation, 2);
        assert_eq!((status.sum.restarts, status.workers[0].ledger.generations), (1, 2));
        assert_eq!(status.sum.counts.requests.ok.list, 1, "what the dead one did is not forgotten");
        let metrics = admin.metrics();
        assert_eq!(metrics.value("prefork_worker_crashes_total", &[]), 1.0);
        assert_eq!(metrics.value("prefork_worker_restarts_total", &[]), 1.0);
        server.stop();
    }

    fn a_drain_can_be_watched(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "1"]);
        server.put("f", &vec![1; 20_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        server.signal(Signal::SIGTERM);
        let status = admin.wait_for(|it| it.server.state == ServerState::Draining);
        assert_eq!(status.sum.counts.requests.in_flight, 1);
        assert_eq!(content(&peer.reply()).len(), 20_000_000);
        server.done();
        assert!(!admin.path().exists(), "the socket goes with its server");
    }

    fn metrics_are_well_formed_and_agree_with_the_ledger(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "2", "--metrics", "127.0.0.1:0"]);
        let address = server.ready.settings.metrics.clone().unwrap();
        let over_tcp = || Exposition::parse(&whole_answer(TcpStream::connect(&address).unwrap(), "/metrics"));
        let before = over_tcp();
        assert_eq!(before.sum("prefork_requests_total"), 0.0);
        assert_eq!(before.value("prefork_server_state", &[("state", "running")]), 1.0);
        assert_eq!(before.sum("prefork_server_state"), 1.0);
        assert_eq!(before.value("prefork_workers_wanted", &[]), 2.0);
        assert_eq!(before.value("prefork_workers", &[("state", "idle")]), 2.0);
        assert_eq!(admin.status().settings.metrics, Some(address.clone()));

        server.connect().ask(upload("f", &noise(1, 5000)));
        let mut peer = server.connect();
        peer.ask("GET f\r\n");
        peer.ask("GET missing\r\n");
        let mut refused = server.connect();
        refused.ask("LIST\rX\r\n");
        refused.expect_end();
        drop((peer, refused));
        admin.wait_for(|it| it.sum.counts.connections.in_flight == 0);
        for after in [admin.metrics(), over_tcp()] {
            let request = |verb, outcome| after.value("prefork_requests_total", &[("verb", verb), ("outcome", outcome)]);
            assert_eq!((request("upload", "ok"), request("get", "ok")), (1.0, 1.0));
            assert_eq!((request("any", "not_found"), request("any", "bad_request")), (1.0, 1.0));
            let content = |verb| after.value("prefork_content_bytes_total", &[("verb", verb)]);
            assert_eq!((content("upload"), content("get")), (5000.0, 5000.0));
            assert_eq!(after.sum("prefork_requests_total"), after.value("prefork_requests_started_total", &[]));
            assert_eq!(after.sum("prefork_connections_total"), after.value("prefork_connections_accepted_total", &[]));
            assert_eq!(after.sum("prefork_ledger_balanced"), 2.0);
            assert!(after.value("prefork_worker_resident_memory_bytes", &[]) > 0.0);
        }
        // Over TCP anybody may be asking: nothing but the sums.
        let mut other = TcpStream::connect(&address).unwrap();
        write!(other, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        other.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 404"), "{answer}");
        server.stop();
    }

    fn an_upgrade_takes_the_admin_socket_and_the_metrics_address_along(pool) {
        let admin = Admin::new();
        let mut server = admin.start(pool, &["--workers", "1", "--metrics", "127.0.0.1:0"]);
        let address = server.ready.settings.metrics.clone().unwrap();
        server.put("f", &vec![1; 20_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        let old = server.ready.pid;
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        // The old server finishes what it has in hand, and is no longer the one that is asked.
        let status = admin.status();
        assert_eq!((status.server.pid, status.server.predecessor_pid), (server.ready.pid, Some(old)));
        assert_eq!(server.ready.settings.metrics.as_ref(), Some(&address));
        let metrics = Exposition::parse(&whole_answer(TcpStream::connect(&address).unwrap(), "/metrics"));
        assert_eq!(metrics.value("prefork_connections_accepted_total", &[]), 0.0);
        assert_eq!(content(&peer.reply()).len(), 20_000_000);
        server.next_done();
        server.wait_until_alone(old);
        let status = admin.status();
        assert_eq!((status.server.pid, status.server.predecessor_pid), (server.ready.pid, None));
        server.signal(Signal::SIGTERM);
        server.next_done();
        server.wait_until_all_are_gone();
        assert_eq!(fs::read_dir(admin.folder.path()).unwrap().count(), 0);
    }

    fn an_upgrade_that_fails_leaves_the_admin_socket_where_it_was(pool) {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("server.toml");
        fs::write(&config, "workers = 1\n").unwrap();
        let admin = Admin::new();
        let server = admin.start(pool, &["--config", config.to_str().unwrap(), "--metrics", "127.0.0.1:0"]);
        let address = server.ready.settings.metrics.clone().unwrap();
        // It gets as far as it can without becoming ready.
        fs::write(&config, "workers = 1\nboot-timeout = '0s'\n").unwrap();
        server.signal(Signal::SIGUSR2);
        server.wait_for_log("the upgrade failed");
        assert_eq!(admin.status().server.pid, server.ready.pid);
        Exposition::parse(&whole_answer(TcpStream::connect(&address).unwrap(), "/metrics"));
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        server.stop();
        assert!(!admin.path().exists());
    }

    fn who_asks_slowly_or_too_much_or_with_many_harms_nobody(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "2"]);
        let mut silent: Vec<_> = (0..20).map(|_| admin.connect()).collect();
        // The first four have made room for the last four, or are about to.
        let staying = silent.iter_mut().skip(4).enumerate();
        for (len, stream) in staying.take(b"GET /status HT".len()) {
            stream.write_all(&b"GET /status HT"[..len]).unwrap();
        }
        // The parent does its own work meanwhile: it reaps, forks, and takes signals.
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        let before = server.children();
        server.kill_worker(before[0], Signal::SIGKILL);
        server.wait_for_children(|now| now.len() == before.len() && !now.contains(&before[0]));
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        // Each of them has its deadline, and then whoever asks is answered.
        for mut stream in silent {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(rest.is_empty());
        }
        assert_eq!(admin.status().sum.crashes, 1);
        // One that sends too much is told so, and reads it.
        let mut endless = admin.connect();
        let request = format!("GET /status HTTP/1.0\r\nX: {}\r\n\r\n", "x".repeat(10_000));
        endless.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        endless.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 431"), "{answer}");
        server.stop();
    }

    fn a_worker_that_counts_nonsense_harms_nobody_but_the_sums(pool) {
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "1"]);
        let worker = server.ready.worker_pids[0];
        for round in 0..40 {
            scribble(worker, &if round == 0 { vec![0xff; COUNTERS_LEN] } else { noise(round, COUNTERS_LEN) });
            admin.status();
            admin.metrics();
        }
        // What it wrote is booked, too.
        server.kill_worker(worker, Signal::SIGKILL);
        let status = admin.wait_for(|it| it.sum.crashes == 1 && serving(it) == 1);
        assert_eq!(status.server.pid, server.ready.pid);
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        server.signal(Signal::SIGTERM);
        assert!(server.exit_code().is_some(), "it has ended in good order");
    }
}

/// Until it is, it may still take somebody from the queue.
fn wait_until_stopped(pid: u32) {
    let deadline = Instant::now() + DEADLINE;
    let is_stopped = |thread: &Path| {
        let stat = fs::read_to_string(thread.join("stat")).unwrap();
        let (_, after_name) = stat.rsplit_once(") ").unwrap();
        after_name.starts_with('T')
    };
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    while !threads().all(|it| is_stopped(&it.unwrap().path())) {
        assert!(Instant::now() < deadline, "{pid} does not stop");
        std::thread::yield_now();
    }
}

/// The worker's own counters, at the start of its slot; the parent's word to it comes after.
const COUNTERS_LEN: usize = 48 * 8;

/// Overwrites the counters of the first slot, as a worker gone mad could.
fn scribble(worker: u32, bytes: &[u8]) {
    let maps = fs::read_to_string(format!("/proc/{worker}/maps")).unwrap();
    let scoreboard = maps
        .lines()
        .find(|line| line.contains(" rw-s ") && line.contains("/dev/zero"))
        .expect("a shared mapping");
    let start = scoreboard.split('-').next().unwrap();
    let memory = fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/{worker}/mem"))
        .unwrap();
    let start = u64::from_str_radix(start, 16).unwrap();
    memory.write_all_at(bytes, start).unwrap();
}

#[test]
fn the_admin_socket_is_its_owners_and_never_takes_another_servers_place() {
    let admin = Admin::new();
    // What a killed server leaves.
    drop(std::os::unix::net::UnixListener::bind(admin.path()).unwrap());
    let server = admin.start("process", &[]);
    let mode = fs::symlink_metadata(admin.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let refused = |args: &[&str], want: &[&str]| {
        let root = TempDir::new().unwrap();
        let output = support::command(root.path(), "process", args)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(want.iter().all(|it| said.contains(it)), "{said}");
    };
    let who = format!("(process {})", server.ready.pid);
    refused(
        &["--admin", admin.arg()],
        &["--admin", "another server listens there", &who],
    );
    refused(
        &["--admin", "/nowhere/at/all"],
        &["--admin /nowhere/at/all"],
    );
    let file = admin.folder.path().join("precious");
    fs::write(&file, "content").unwrap();
    refused(&["--admin", file.to_str().unwrap()], &["no socket"]);
    assert_eq!(fs::read(&file).unwrap(), b"content");
    refused(
        &["--metrics", &server.ready.address],
        &["--metrics", "in use by process"],
    );
    assert_eq!(
        admin.status().server.pid,
        server.ready.pid,
        "the server is not disturbed"
    );
    server.stop();
}

#[test]
fn curl_reads_the_status_and_the_metrics() {
    let admin = Admin::new();
    let server = admin.start("process", &["--workers", "1"]);
    let curl = |args: &[&str]| {
        Command::new("curl")
            .args(["-sS", "--max-time", "60"])
            .args(args)
            .output()
    };
    let Ok(output) = curl(&["--unix-socket", admin.arg(), "http://x/status"]) else {
        support::skip("curl");
        return;
    };
    let status: Status = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status.server.pid, server.ready.pid);
    let output = curl(&["-f", "--unix-socket", admin.arg(), "http://x/metrics"]).unwrap();
    Exposition::parse(std::str::from_utf8(&output.stdout).unwrap());
    let output = curl(&[
        "--unix-socket",
        admin.arg(),
        "-X",
        "POST",
        "http://x/status",
    ])
    .unwrap();
    assert!(output.stdout.starts_with(b"only GET"), "{output:?}");
    server.stop();
}
