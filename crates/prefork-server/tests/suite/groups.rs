//! Limits of a real control group: they are named, waited for, and end no server that serves.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use nix::sys::signal::Signal;
use proto::status::Status;
use tempfile::TempDir;

use crate::asking::Admin;
use crate::downloads::warm_up;
use crate::support::{self, DEADLINE, Server, content, each_pool, noise, skip, upload};

/// A control group of version 1 or 2 below this process's, removed at the end.
struct Group {
    folder: PathBuf,
}

impl Group {
    /// Nothing, and says so, where that is not allowed.
    fn new(controller: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("prefork-test-{}-{number}", std::process::id());
        let made = own_folder(controller).and_then(|own| {
            let folder = own.join(&name);
            fs::create_dir(&folder).ok()?;
            Some(Self { folder })
        });
        let limited = made.filter(|group| group.has(controller));
        if limited.is_none() {
            skip(&format!(
                "a control group of one's own for {controller} (root, and /sys/fs/cgroup to write to)"
            ));
        }
        limited
    }

    fn has(&self, controller: &str) -> bool {
        let names = match controller {
            "pids" => ["pids.max", "pids.max"],
            _ => ["memory.max", "memory.limit_in_bytes"],
        };
        names.iter().any(|name| self.folder.join(name).exists())
    }

    fn set(&self, name: &str, value: &str) {
        fs::write(self.folder.join(name), value).unwrap();
    }

    fn take_in(&self, pid: u32) {
        self.set("cgroup.procs", &pid.to_string());
    }

    /// A server of which all is in it but its program's text: the kernel would take that first, and give it back page by
    /// page to processes that do nothing else.
    fn start(&self, root: &Path, pool: &str, args: &[&str]) -> Server {
        fs::read(env!("CARGO_BIN_EXE_prefork-server")).unwrap();
        let join = format!(
            "echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"",
            self.folder.display()
        );
        let like = support::command(root, pool, args);
        Server::spawn(&mut support::under(&["sh", "-c", &join], &like))
    }

    /// What the kernel cannot have again by dropping pages of files.
    fn memory_in_use(&self) -> u64 {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).ok();
        let used = read("memory.current").or_else(|| read("memory.usage_in_bytes"));
        let used: u64 = used.unwrap().trim().parse().unwrap();
        let stat = read("memory.stat").unwrap();
        let lines = stat.lines().filter_map(|line| line.split_once(' '));
        let of_files = lines.filter(|(name, _)| matches!(*name, "active_file" | "inactive_file"));
        used - of_files
            .map(|(_, bytes)| bytes.parse::<u64>().unwrap())
            .sum::<u64>()
    }

    fn limit_memory(&self, bytes: &str) {
        for (limit, swap, none) in [
            ("memory.max", "memory.swap.max", "0"),
            ("memory.limit_in_bytes", "memory.swappiness", "0"),
        ] {
            if self.folder.join(limit).exists() {
                self.set(limit, bytes);
                // Without swap there may be no such file.
                let _ = fs::write(self.folder.join(swap), none);
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel takes a moment to see that its processes are gone.
        let deadline = Instant::now() + DEADLINE;
        while self.folder.exists()
            && fs::remove_dir(&self.folder).is_err()
            && Instant::now() < deadline
        {
            std::thread::yield_now();
        }
    }
}

/// Where this process's group is: in a hierarchy of the controller's own, or in the one of version 2.
fn own_folder(controller: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = |is_it: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            is_it(controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let base = Path::new("/sys/fs/cgroup");
    match path(&|it| it.split(',').any(|it| it == controller)) {
        Some(path) => Some(base.join(controller).join(path)),
        None => Some(base.join(path(&str::is_empty)?)),
    }
}

fn hits(status: &Status, limit: &str) -> u64 {
    let all = &status.sum.limits_hit;
    all.iter()
        .filter(|it| it.limit == limit)
        .map(|it| it.hits)
        .sum()
}

each_pool! {
    fn a_full_group_of_processes_is_named_and_waited_for(pool) {
        let Some(group) = Group::new("pids") else { return };
        let admin = Admin::new();
        let server = admin.start(pool, &["--workers", "2"]);
        let before = server.children();
        // The workers are not in it; what the server forks from here on is.
        group.take_in(server.ready.pid);
        group.set("pids.max", "1");
        server.kill_worker(before[0], Signal::SIGKILL);
        let said = server.wait_for_log("a worker cannot be forked");
        assert!(said.contains("pids.max is reached") && said.contains("it is 1 in /sys/fs/cgroup"), "{said}");
        admin.wait_for(|status| hits(status, "pids.max") >= 2);
        if pool != "thread" {
            assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        }
        server.signal(Signal::SIGUSR2);
        let said = server.wait_for_log("not upgrading");
        assert!(said.contains("pids.max is reached"), "{said}");
        group.set("pids.max", "max");
        server.wait_for_children(|now| now.len() == before.len() && !now.contains(&before[0]));
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        let (done, code) = server.stop();
        assert_eq!((done.crashes, code), (1, 0));
    }

    fn when_memory_runs_out_a_worker_goes_before_the_parent(pool) {
        // Of a group that is full the kernel ends who has the highest score, and a worker may be smaller than its parent.
        let score = |pid: u32| -> i32 {
            let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
            text.trim().parse().unwrap()
        };
        let users: &[&[&str]] = if support::is_root() { &[&[], &["--user", "nobody"]] } else { &[&[]] };
        for user in users {
            let root = TempDir::new().unwrap();
            fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
            let server = Server::start_on(root.path(), pool, &[&["--workers", "2"], *user].concat());
            let parent = score(server.ready.pid);
            for worker in server.children() {
                assert_eq!(score(worker), (parent + 500).min(1000), "{user:?}");
            }
            server.stop();
        }
    }
}

/// Half uploads hold memory, and the kernel kills the worker that has them.
#[test]
fn a_worker_that_the_kernel_kills_for_want_of_memory_is_replaced_and_the_limit_named() {
    let Some(group) = Group::new("memory") else {
        return;
    };
    let admin = Admin::new();
    let root = TempDir::new().unwrap();
    group.limit_memory("24M");
    let args = ["--workers", "1", "--admin", admin.arg()];
    let server = group.start(root.path(), "event", &args);
    let request = upload("f", &[7; 190_000]);
    for kills in 1..=2 {
        let worker = server.children()[0];
        // The end is never sent, and some may be sent to one who is dead.
        let hold = |_| {
            let mut peer = server.connect();
            let _ = peer.stream.write_all(&request[..250_000]);
            peer
        };
        let peers: Vec<_> = (0..200).map(hold).collect();
        server.wait_for_children(|now| !now.contains(&worker));
        admin.wait_for(|status| hits(status, "memory.max") == kills);
        drop(peers);
        server.wait_for_children(|now| now.len() == 1);
    }
    server.wait_for_log("memory.max is reached");
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    let (done, code) = server.stop();
    assert_eq!((done.crashes, code), (2, 0));
}

/// What the cache holds is in no process's memory that the kernel could free by killing it.
#[test]
fn memory_that_runs_out_costs_the_encoded_cache_before_it_costs_a_second_worker() {
    let Some(group) = Group::new("memory") else {
        return;
    };
    let admin = Admin::new();
    let root = TempDir::new().unwrap();
    let file = noise(1, 6_000_000);
    fs::write(root.path().join("f"), &file).unwrap();
    group.limit_memory("32M");
    let args = ["--workers", "1", "--admin", admin.arg()];
    let asked = ["--encoded-cache", "1G"];
    let server = group.start(root.path(), "event", &[&args[..], &asked].concat());
    // Not more than half of what there is, whatever it is told.
    assert_eq!(server.ready.settings.encoded_cache_bytes, Some(16 << 20));
    warm_up(&server, &admin, "f", &file);
    let request = upload("f", &[7; 190_000]);
    let worker = server.children()[0];
    let hold = |_| {
        let mut peer = server.connect();
        let _ = peer.stream.write_all(&request[..250_000]);
        peer
    };
    let peers: Vec<_> = (0..250).map(hold).collect();
    server.wait_for_children(|now| !now.contains(&worker));
    admin.wait_for(|status| {
        hits(status, "memory.max") == 1 && status.server.cached_bytes == Some(0)
    });
    server.wait_for_log("the encoded cache is emptied");
    drop(peers);
    server.wait_for_children(|now| now.len() == 1);
    for _ in 0..3 {
        assert!(content(&server.connect().ask("GET f\r\n")) == file);
    }
    assert_eq!(admin.status().server.cached_bytes, Some(0));
    let (done, code) = server.stop();
    assert_eq!((done.crashes, code), (1, 0));
}

/// As in a container, which sees the machine's memory and may have less of it.
#[test]
fn the_encoded_cache_keeps_to_the_groups_memory_and_gives_it_back_before_anybody_is_killed() {
    let Some(group) = Group::new("memory") else {
        return;
    };
    let admin = Admin::new();
    let root = TempDir::new().unwrap();
    let file = noise(1, 18_000_000);
    fs::write(root.path().join("f"), &file).unwrap();
    group.limit_memory("240M");
    let args = ["--workers", "2", "--admin", admin.arg()];
    let server = group.start(root.path(), "process", &args);
    let bytes_max = server.ready.settings.encoded_cache_bytes;
    assert_eq!(bytes_max, Some(30 << 20), "an eighth");
    warm_up(&server, &admin, "f", &file);
    // A thirty-second is left; what else the kernel takes back for the limit is taken off again.
    admin.wait_for(|status| {
        let used = group.memory_in_use();
        let is_empty = status.server.cached_bytes == Some(0);
        if !is_empty {
            group.limit_memory(&format!("{}", used + used / 32));
        }
        is_empty
    });
    server.wait_for_log("memory is short: the encoded cache is emptied");
    for _ in 0..3 {
        assert!(content(&server.connect().ask("GET f\r\n")) == file);
    }
    assert_eq!(admin.status().server.cached_bytes, Some(0));
    let (done, code) = server.stop();
    assert_eq!((done.crashes, code), (0, 0));
}
