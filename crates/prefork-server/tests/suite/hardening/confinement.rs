//! What a worker can reach: the root and nothing else.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::chown;
use std::process::Stdio;

use nix::unistd::User;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Server, can_trace, command, content, each_pool, is_root, noise, under, upload,
};
use crate::trace::{Call, Trace};

/// What Landlock keeps a worker from, in the self-test's words.
const OUT_OF_REACH: [&str; 12] = [
    "read /etc/passwd",
    "list the folder that holds the root",
    "read a file of its own user's outside",
    "write to a file of its own user's outside",
    "make a file outside",
    "make a folder outside",
    "link a file from outside into the root",
    "make a symbolic link in the root",
    "run a program",
    "read another process's memory",
    "cut a file of its own user's outside short",
    "move or remove a file of its own user's outside",
];

each_pool! {
    /// The self-test's worker is made by the code that makes every worker, and then tries to get out. That it
    /// can fail is shown by the same without confinement.
    fn a_worker_cannot_reach_anything_outside_the_root(pool) {
        let root = TempDir::new().unwrap();
        let (report, code) = self_test(&root, pool, &[]);
        if report["sandbox"]["landlock_abi"].as_u64() < Some(3) {
            return crate::support::skip("Landlock, version 3 or later");
        }
        for what in OUT_OF_REACH {
            assert_eq!(outcome(&report, what), "denied", "{report:#}");
        }
        assert_eq!(outcome(&report, "upload, list, download and delete in the root"), "allowed");
        assert_eq!((&report["passed"], code), (&Value::Bool(true), 0));
        assert_eq!(report["core_limit_bytes"], 0);
        assert_eq!(report["sandbox"]["no_new_privs"], true);

        let (report, code) = self_test(&root, pool, &["--sandbox", "off"]);
        for what in ["read /etc/passwd", "make a file outside", "run a program", "cut a file of its own user's outside short"] {
            assert_eq!(outcome(&report, what), "allowed", "{report:#}");
        }
        assert_eq!((&report["passed"], code), (&Value::Bool(false), 1));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing is left of the trials");
    }

    fn a_worker_of_a_read_only_server_can_change_nothing_in_the_root_either(pool) {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join("f"), b"abc").unwrap();
        let changes = [
            "make a file in the root",
            "make an unnamed file in the root",
            "make a folder in the root",
            "write to a file in the root",
            "rename or remove a file in the root",
        ];
        let (report, code) = self_test(&root, pool, &["--read-only"]);
        if report["sandbox"]["landlock_abi"].as_u64() < Some(3) {
            return crate::support::skip("Landlock, version 3 or later");
        }
        for what in OUT_OF_REACH.into_iter().chain(changes) {
            assert_eq!(outcome(&report, what), "denied", "{report:#}");
        }
        assert_eq!(outcome(&report, "list and download in the root"), "allowed");
        assert_eq!((&report["passed"], code), (&Value::Bool(true), 0));
        assert_eq!(report["sandbox"]["root_access"], "read");
        // That each could succeed is shown by the same without confinement.
        let (report, code) = self_test(&root, pool, &["--read-only", "--sandbox", "off"]);
        for what in changes {
            assert_eq!(outcome(&report, what), "allowed", "{report:#}");
        }
        assert_eq!((&report["passed"], code), (&Value::Bool(false), 1));
        assert_eq!(fs::read(root.path().join("f")).unwrap(), b"abc");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing is left of the trials");
    }

    fn every_process_that_accepts_was_confined_before(pool) {
        if !can_trace() {
            return;
        }
        let folder = TempDir::new().unwrap();
        let root = TempDir::new().unwrap();
        let trace = folder.path().join("trace");
        let calls = "trace=landlock_restrict_self,accept4,clone,clone3,fork,vfork";
        let tracer = ["strace", "-f", "-qq", "-o", trace.to_str().unwrap(), "-e", calls];
        let args = ["--workers", "3", "--exit-with-stdin"];
        let server = Server::spawn(&mut under(&tracer, &command(root.path(), pool, &args)));
        if server.ready.settings.sandbox.landlock_abi.is_none() {
            return crate::support::skip("Landlock");
        }
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        server.stop();
        let trace = Trace::parse(&fs::read_to_string(&trace).unwrap());
        assert!(!accepting(&trace).is_empty(), "{trace:?}");
        let unconfined: Vec<_> = accepting(&trace).difference(&confined(&trace)).copied().collect();
        assert_eq!(unconfined, [0; 0], "{trace:?}");
    }

    /// Kernels before 6.10 let only root link an unnamed file directly; everybody else goes through /proc, of
    /// which a confined worker may open nothing.
    fn a_confined_worker_stores_files_the_way_of_older_kernels_too(pool) {
        let Some(traced) = server_of_nobodys(pool, "inject=linkat:error=ENOENT:when=1+2") else { return };
        assert_eq!(traced.server.ready.settings.temporaries, "tmpfile");
        store_and_get_back(&traced.server);
        let trace = traced.stop();
        let by_proc = |call: &&Call| call.result == Some(0) && call.args[1].starts_with("\"/proc/self/fd/");
        // The three uploads, and the parent's own look at what the file system can.
        assert_eq!(trace.calls().iter().filter(by_proc).count(), 4, "{trace:#?}");
        assert_eq!(trace.calls().iter().filter(|call| call.result.is_some()).count(), 4);
    }

    /// The kernel's answer to which version it has, of which the rest follows.
    fn an_older_landlock_is_used_as_far_as_it_goes(pool) {
        for (abi, not_denied) in [(1, 7), (2, 7), (3, 6), (4, 5), (5, 4)] {
            let inject = format!("inject=landlock_create_ruleset:retval={abi}:when=1");
            let Some(traced) = server_of_nobodys(pool, &inject) else { return };
            let sandbox = traced.server.ready.settings.sandbox.clone();
            assert_eq!((sandbox.level.as_str(), sandbox.landlock_abi), ("partial", Some(abi)));
            assert_eq!(sandbox.not_denied.len(), not_denied, "{sandbox:?}");
            store_and_get_back(&traced.server);
            traced.stop();
        }
    }

    fn without_landlock_it_serves_another_user_than_root_all_the_same(pool) {
        let inject = "inject=landlock_create_ruleset:error=EOPNOTSUPP";
        let Some(traced) = server_of_nobodys(pool, inject) else { return };
        let sandbox = &traced.server.ready.settings.sandbox;
        assert_eq!((sandbox.level.as_str(), sandbox.landlock_abi), ("none", None));
        store_and_get_back(&traced.server);
        traced.stop();
    }
}

#[test]
fn a_worker_that_cannot_be_confined_after_all_does_not_serve() {
    if !can_trace() {
        return;
    }
    let root = TempDir::new().unwrap();
    // The trial at the start is a process whose first prctl(2) comes with being confined; a worker's is its
    // second.
    let inject = "inject=prctl:error=EPERM:when=2+";
    let tracer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject];
    let output = under(
        &tracer,
        &command(root.path(), "process", &["--workers", "1"]),
    )
    .stderr(Stdio::piped())
    .output()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("worker cannot start") && text.contains("gave up"),
        "{text}"
    );
    assert!(!String::from_utf8_lossy(&output.stdout).contains("ready"));
    assert_eq!(output.status.code(), Some(4), "{text}");
}

fn self_test(root: &TempDir, pool: &str, args: &[&str]) -> (Value, i32) {
    let args = [&["--self-test", "--json"], args].concat();
    let output = command(root.path(), pool, &args).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (
        serde_json::from_str(&text).expect(&text),
        output.status.code().unwrap(),
    )
}

fn outcome<'r>(report: &'r Value, what: &str) -> &'r str {
    let trials = report["trials"].as_array().unwrap();
    let trial = trials.iter().find(|trial| trial["what"] == what);
    trial.expect(what)["outcome"].as_str().unwrap()
}

/// A server that runs as nobody, under a tracer that makes the kernel look older than it is.
struct Traced {
    server: Server,
    folder: TempDir,
}

impl Traced {
    /// Stops it and returns the calls that were tampered with, and others of the same name.
    fn stop(self) -> Trace {
        assert_eq!(self.server.stop().1, 0);
        Trace::parse(&fs::read_to_string(self.folder.path().join("trace")).unwrap())
    }
}

fn server_of_nobodys(pool: &str, inject: &str) -> Option<Traced> {
    if !is_root() || !can_trace() {
        return None;
    }
    let folder = TempDir::new().unwrap();
    let (root, trace) = (folder.path().join("root"), folder.path().join("trace"));
    fs::create_dir(&root).unwrap();
    let nobody = User::from_name("nobody").unwrap().unwrap();
    chown(&root, Some(nobody.uid.as_raw()), None).unwrap();
    let args = ["--user", "nobody", "--workers", "2", "--exit-with-stdin"];
    let call = inject.split(['=', ':']).nth(1).unwrap();
    let only = format!("trace={call}");
    let tracer = [
        "strace",
        "-f",
        "-qq",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        &only,
        "-e",
        inject,
    ];
    let server = Server::spawn(&mut under(&tracer, &command(&root, pool, &args)));
    Some(Traced { server, folder })
}

fn store_and_get_back(server: &Server) {
    let file = noise(3, 500_000);
    let mut peer = server.connect();
    for _ in 0..2 {
        assert_eq!(peer.ask(upload("a.bin", &file))["status"], "OK");
    }
    assert_eq!(content(&peer.ask("GET a.bin\r\n")), file);
    assert_eq!(peer.ask(upload("b.bin", &file))["status"], "OK");
    assert_eq!(peer.ask("DELETE b.bin\r\n")["status"], "OK");
}

fn accepting(trace: &Trace) -> HashSet<u32> {
    let accepts = trace.calls().iter().filter(|call| call.name == "accept4");
    accepts.map(|call| call.tid).collect()
}

/// The threads that were confined before they first accepted, by themselves or by whoever made them.
fn confined(trace: &Trace) -> HashSet<u32> {
    let confined_itself = |tid: u32, before: usize| {
        trace.calls().iter().any(|call| {
            let is_confining = call.name == "landlock_restrict_self" && call.result == Some(0);
            is_confining && call.tid == tid && call.began < before
        })
    };
    let is_confined = |tid: u32| {
        let of_it = |call: &&Call| call.tid == tid && call.name == "accept4";
        let makes_it = |call: &&Call| call.name != "accept4" && call.result == Some(i64::from(tid));
        let mut calls = trace.calls().iter();
        let accepts = calls.find(of_it).map_or(0, |call| call.began);
        let maker = trace.calls().iter().find(makes_it);
        confined_itself(tid, accepts)
            || maker.is_some_and(|maker| confined_itself(maker.tid, maker.began))
    };
    accepting(trace)
        .into_iter()
        .filter(|tid| is_confined(*tid))
        .collect()
}
