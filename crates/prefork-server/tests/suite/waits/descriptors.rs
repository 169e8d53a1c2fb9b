//! What a process has open, by the kernel's word.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::asking::Admin;
use crate::support::each_pool;

/// What each descriptor of a process refers to, without numbers, in order.
pub(super) fn of(pid: u32, root: &Path) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|target| match target.to_str().unwrap() {
            target if Path::new(target) == root => "root".to_owned(),
            target if target.starts_with("/proc/") => "own status".to_owned(),
            target => {
                let name = target.rsplit('/').next().unwrap();
                name.split(':').next().unwrap().to_owned()
            }
        })
        .collect();
    all.sort();
    all
}

each_pool! {
    fn a_worker_has_what_it_needs_and_nothing_else_of_its_parents(pool) {
        let (admin, folder) = (Admin::new(), TempDir::new().unwrap());
        let [access, log] = ["access", "log"].map(|name| folder.path().join(name).display().to_string());
        let args = ["--workers", "2", "--metrics", "127.0.0.1:0", "--access-log", &access, "--log-file", &log];
        let mut server = admin.start(pool, &args);
        // Also a worker that is forked while somebody asks, and one of a server that another has started.
        let _asking = std::os::unix::net::UnixStream::connect(admin.path()).unwrap();
        let first = server.children();
        for pid in &first {
            server.kill_worker(*pid, Signal::SIGKILL);
        }
        let root = server.root();
        let all_are_new = |it: &proto::status::Status| it.processes.iter().all(|it| !first.contains(&it.pid));
        let status = admin.wait_for(|it| crate::admin::serving(it) == first.len() && all_are_new(it));
        let again: Vec<u32> = status.processes.iter().map(|it| it.pid).collect();
        let check = |pids: &[u32]| for pid in pids {
            let mut want = vec![
                ".prefork-lock", "access", "log", "memfd", "own status", "pipe", "pipe", "root",
                // The listener, the reports, and where the two logs are exchanged.
                "socket", "socket", "socket", "socket",
            ];
            // The encoded cache's memory, beside the quota's lock.
            want.extend(["memfd"; 16]);
            // What each worker waits with.
            want.extend(vec!["anon_inode"; if pool == "thread" { 2 } else { 1 }]);
            want.sort_unstable();
            assert_eq!(of(*pid, &root), want);
        };
        check(&again);
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        check(&server.ready.worker_pids);
        server.next_done();
        server.signal(Signal::SIGTERM);
        server.next_done();
        server.wait_until_all_are_gone();
    }
}
