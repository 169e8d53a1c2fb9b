//! LIST beside changes, and beside clients that do not read: each listing is what the folder held at some moment between
//! request and reply, and none is made where one would do.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::scope;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::hung_disk::Mount;
use crate::support::{
    Peer, Server, can_trace, command, content, each_pool, noise, skip, under, upload, wait_until,
};
use crate::trace::Trace;

type Names = BTreeSet<String>;

fn names(reply: &Value) -> Names {
    let names = reply["data"].as_array().expect("a listing");
    names
        .iter()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect()
}

/// What the folder held from when on at the earliest, and at the latest.
struct Version {
    names: Names,
    from: [Instant; 2],
}

/// One LIST: when it was asked for, when it was there, and what it was.
struct Seen {
    asked: Instant,
    had: Instant,
    names: Names,
}

impl Seen {
    fn is_one_of(&self, versions: &[Version]) -> bool {
        let next = |index: usize| versions.get(index + 1);
        versions.iter().enumerate().any(|(index, version)| {
            let begins_in_time = version.from[0] <= self.had;
            let ends_late_enough = next(index).is_none_or(|next| self.asked <= next.from[1]);
            begins_in_time && ends_late_enough && version.names == self.names
        })
    }
}

/// Says when it ends that the others may.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Waits until no change from before can be taken for one from now on.
fn wait_until_settled(folder: &Path) {
    wait_until("the folder was left alone for a while", || {
        let changed = fs::metadata(folder).unwrap();
        let changed = Duration::new(changed.ctime() as u64, changed.ctime_nsec() as u32);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap() > changed + Duration::from_millis(30)
    });
}

/// Makes one change of the folder, by a client or from outside; `names` are those before and after it.
fn change(server: &Server, peer: &mut Peer, names: &mut Names, dice: &[u8]) {
    let [name, other] = [dice[0], dice[1]].map(|it| format!("n{}", it % 8));
    let [path, to] = [&name, &other].map(|it| server.root().join(it));
    match (dice[2] % 4, names.remove(&name)) {
        (0, true) => assert_eq!(peer.ask(format!("DELETE {name}\r\n"))["status"], "OK"),
        (1, true) => fs::remove_file(path).unwrap(),
        (_, true) => {
            fs::rename(path, to).unwrap();
            names.insert(other);
        }
        (0 | 1, false) => {
            assert_eq!(peer.ask(upload(&name, b"x"))["status"], "OK");
            names.insert(name);
        }
        (_, false) => {
            fs::write(path, "x").unwrap();
            names.insert(name);
        }
    }
}

each_pool! {
    fn each_listing_is_what_the_folder_held_between_request_and_reply(pool) {
        const CHANGES: usize = 150;
        let root = tempfile::tempdir_in("/dev/shm").unwrap();
        let server = Server::start_on(root.path(), pool, &["--workers", "2"]);
        let start = Version { names: Names::new(), from: [Instant::now(); 2] };
        let (over, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let ask = || {
            let mut peer = server.connect();
            let mut all = Vec::new();
            while !over.load(SeqCst) {
                let asked = Instant::now();
                let names = names(&peer.ask("LIST\r\n"));
                all.push(Seen { asked, had: Instant::now(), names });
                count.fetch_add(1, SeqCst);
            }
            all
        };
        let (versions, seen) = scope(|scope| {
            let askers: Vec<_> = (0..2).map(|_| scope.spawn(ask)).collect();
            let _over = Over(&over);
            let mut versions = vec![start];
            let mut peer = server.connect();
            for dice in noise(7, 5 * CHANGES).chunks(5) {
                if dice[3].is_multiple_of(4) {
                    wait_until_settled(&server.root());
                }
                let enough = count.load(SeqCst) + u64::from(dice[4] % 4);
                wait_until("others have asked", || count.load(SeqCst) >= enough);
                let mut names = versions[versions.len() - 1].names.clone();
                let began = Instant::now();
                change(&server, &mut peer, &mut names, dice);
                versions.push(Version { names, from: [began, Instant::now()] });
            }
            drop(_over);
            let seen: Vec<_> = askers.into_iter().flat_map(|it| it.join().unwrap()).collect();
            (versions, seen)
        });
        for (number, seen) in seen.iter().enumerate() {
            assert!(seen.is_one_of(&versions), "{number}: {:?}", seen.names);
        }
        let last = &versions[CHANGES].names;
        assert_eq!(&names(&server.connect().ask("LIST\r\n")), last);
        let on_disk: Names = server.entries().into_iter().collect();
        assert_eq!(&on_disk, last);
    }

    fn a_folder_that_is_left_alone_is_read_once(pool) {
        const LISTS: usize = 100;
        if !can_trace() {
            return;
        }
        let folder = TempDir::new().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let trace = folder.path().join("trace").display().to_string();
        let strace = ["strace", "-f", "-e", "trace=getdents64", "-o", &trace];
        let server = Server::spawn(&mut under(&strace, &command(&root, pool, &["--workers", "1"])));
        if !["ext4", "xfs", "btrfs", "tmpfs"].contains(&server.ready.settings.root_file_system.as_str()) {
            return skip("a temporary folder on a file system that shows its changes");
        }
        server.put("a", b"x");
        wait_until_settled(&root);
        let reads = || {
            let trace = fs::read_to_string(&trace).unwrap();
            let ends = |call: &&crate::trace::Call| call.result == Some(0);
            Trace::parse(&trace).calls().iter().filter(ends).count()
        };
        let before = reads();
        let mut peer = server.connect();
        for _ in 0..LISTS {
            assert_eq!(peer.ask("LIST\r\n")["data"], serde_json::json!(["a"]));
        }
        drop(peer);
        let (done, _) = server.stop();
        assert_eq!(done.sum.requests.ok.list, LISTS as u64);
        // Others than the worker read it, too, when it ends.
        assert!(reads() - before < 10, "{}", reads() - before);
    }
}

/// A program between the folder and the server shows the folder's times as they were some time ago.
#[test]
fn where_times_do_not_show_changes_each_listing_is_read() {
    let Some(mount) = Mount::with("attr_timeout=1000,entry_timeout=1000") else {
        return;
    };
    let server = Server::start_on(&mount.root(), "thread", &["--workers", "2"]);
    let mut peer = server.connect();
    wait_until_settled(&mount.root());
    for number in 0..10 {
        let expected: Names = (0..number).map(|it| format!("f{it}")).collect();
        assert_eq!(names(&peer.ask("LIST\r\n")), expected);
        fs::write(mount.beneath().join(format!("f{number}")), "x").unwrap();
    }
    drop(peer);
    assert_eq!(server.stop().1, 0);
}

/// A client whose segments are short, so that the kernel holds little for it.
fn connect_narrow(server: &Server) -> Peer {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    setsockopt(&socket, sockopt::TcpMaxSeg, &536).unwrap();
    setsockopt(&socket, sockopt::RcvBuf, &4096).unwrap();
    let address: std::net::SocketAddrV4 = server.ready.address.parse().unwrap();
    let raw = std::os::fd::AsRawFd::as_raw_fd(&socket);
    connect(raw, &SockaddrIn::from(address)).unwrap();
    Peer::new(TcpStream::from(socket))
}

fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|it| it.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// What all of them hold in memory is bounded, and who asks next has his listing all the same, as they have when they read.
#[test]
fn clients_that_ask_for_lists_and_do_not_read_hold_little_and_keep_it_from_nobody() {
    const CLIENTS: usize = 1000;
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let server = Server::start_on(folder.path(), "event", &["--workers", "1"]);
    // Escaped, names of a megabyte are three.
    let long = "é".repeat(122);
    server.put(".first", b"");
    for number in 0..4200 {
        let name = folder.path().join(format!("{long}{number:04}"));
        fs::hard_link(folder.path().join(".first"), name).unwrap();
    }
    let mut other = server.connect();
    let mut waiting = Vec::new();
    for number in 0..CLIENTS {
        let mut peer = connect_narrow(&server);
        peer.send("LIST\r\n");
        waiting.push(peer);
        if number < 8 || number % 100 == 0 {
            let reply = other.ask(upload("between", number.to_string().as_bytes()));
            assert_eq!(reply["status"], "OK");
            wait_until_settled(folder.path());
        }
        if number % 200 == 10 {
            assert_eq!(other.ask("LIST\r\n")["status"], "OK", "beside {number}");
        }
    }
    let worker = server.ready.worker_pids[0];
    let resident = resident_bytes(worker);
    assert!(resident < 40 << 20, "{resident} bytes");
    assert_eq!(content(&other.ask("GET between\r\n")), b"900");
    // Whichever reads has the whole of it.
    for number in [0, 3, 7, 150, 999] {
        assert_eq!(waiting[number].reply()["status"], "OK", "{number}");
    }
    drop((waiting, other));
    let (done, code) = server.stop();
    assert_eq!(done.sum.requests.errors.busy, 0);
    assert_eq!(code, 0);
}
