//! What "uploaded" promises, as the kernel saw it: the system calls of every upload of a concurrent run.

mod order;

use std::fs;

use tempfile::TempDir;

use crate::support::{Server, can_trace, command, each_pool, noise, skip, under, upload};
use crate::trace::Trace;

/// What the order is made of.
const CALLS: &str = "trace=openat,openat2,accept4,close,write,writev,pwrite64,ftruncate,fallocate,fsync,fdatasync,linkat,renameat,renameat2,unlinkat,sendto,sendmsg";

/// Nothing, a byte, one piece, several with blocks reserved that a commit gives back.
const LENGTHS: [usize; 4] = [0, 1, 300_000, 9_000_001];

const CLIENTS: u64 = 4;

each_pool! {
    fn full_is_written_synced_linked_renamed_and_the_folder_synced_before_the_reply(pool) {
        check(pool, "full");
    }

    fn data_is_synced_before_it_has_its_name(pool) {
        check(pool, "data");
    }

    fn none_syncs_nothing(pool) {
        check(pool, "none");
    }
}

/// Several clients upload and delete at once, names of their own and one that all fight for.
fn check(pool: &str, durability: &str) {
    if !can_trace() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let root = TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let tracer = [
        "strace",
        "-f",
        "-qq",
        "-s",
        "256",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        CALLS,
    ];
    let args = [
        "--workers",
        "3",
        "--exit-with-stdin",
        "--durability",
        durability,
    ];
    let server = Server::spawn(&mut under(&tracer, &command(root.path(), pool, &args)));
    if server.ready.settings.temporaries != "tmpfile" {
        return skip("a file system with unnamed files (O_TMPFILE) for its temporary folder");
    }
    let mut expected: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn({
                    let server = &server;
                    move || use_server(server, client)
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    let (done, code) = server.stop();
    let ok = &done.sum.requests.ok;
    assert_eq!(
        ((ok.upload + ok.delete) as usize, code),
        (expected.len(), 0)
    );

    let trace = Trace::parse(&fs::read_to_string(&trace).unwrap());
    let mut shown = match order::check(&trace, durability.parse().unwrap()) {
        Ok(shown) => shown,
        Err(faults) => panic!("{}", faults.join("\n")),
    };
    expected.sort();
    shown.sort();
    assert_eq!(
        shown, expected,
        "each acknowledged change is in the trace, and no other"
    );
}

/// What is left for the fsync does not grow with the file: each step is begun before the next, and waited for after it.
#[test]
fn a_durable_upload_is_written_to_the_disk_while_it_grows() {
    if !can_trace() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let root = TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let file = trace.to_str().unwrap();
    let tracer = [
        "strace",
        "-f",
        "-qq",
        "-o",
        file,
        "-e",
        "trace=sync_file_range,fdatasync",
    ];
    let args = [
        "--workers",
        "1",
        "--exit-with-stdin",
        "--durability",
        "data",
    ];
    let server = Server::spawn(&mut under(&tracer, &command(root.path(), "process", &args)));
    let step = 16 << 20;
    let request = upload("f", &vec![7; 3 * step + 5]);
    assert_eq!(server.connect().ask(request)["size"], 3 * step + 5);
    server.stop();
    let trace = Trace::parse(&fs::read_to_string(&trace).unwrap());
    let calls: Vec<_> = trace
        .calls()
        .iter()
        .map(|call| (call.name.clone(), call.args[1..].join(" ")))
        .collect();
    let expected = [
        (0, "WRITE"),
        (0, "WAIT_BEFORE"),
        (1, "WRITE"),
        (1, "WAIT_BEFORE"),
        (2, "WRITE"),
    ];
    let range = |(at, what): &(usize, &str)| {
        (
            "sync_file_range".to_owned(),
            format!("{} {step} SYNC_FILE_RANGE_{what}", at * step),
        )
    };
    let mut expected: Vec<_> = expected.iter().map(range).collect();
    expected.push(("fdatasync".to_owned(), String::new()));
    assert_eq!(calls, expected);
}

/// What the server has acknowledged to this client. A connection for each request: one that idles may be closed
/// for a client that waits.
fn use_server(server: &Server, client: u64) -> Vec<String> {
    let ask = |request: Vec<u8>| assert_eq!(server.connect().ask(request)["status"], "OK");
    let mut acknowledged = Vec::new();
    for (round, len) in LENGTHS.into_iter().enumerate() {
        let file = noise(client, len);
        for name in [format!("own-{client}-{round}"), "shared".to_owned()] {
            ask(upload(&name, &file));
            acknowledged.push(format!("upload {name}"));
        }
    }
    let name = format!("own-{client}-0");
    ask(format!("DELETE {name}\r\n").into_bytes());
    acknowledged.push(format!("delete {name}"));
    acknowledged
}
