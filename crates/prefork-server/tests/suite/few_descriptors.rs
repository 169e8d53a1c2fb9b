//! A limit on descriptors, from one that the program can just be loaded with on: the server serves, or it refuses to start by name.

use std::process::Stdio;

use tempfile::TempDir;

use crate::support::{Server, command, content, each_pool, under, upload};

each_pool! {
    fn with_few_descriptors_it_serves_or_refuses_to_start_and_says_why(pool) {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(at("root")).unwrap();
        let (access, log, admin, pid) = (at("access"), at("log"), at("admin"), at("pid"));
        let everything = [
            "--access-log", &access, "--log-file", &log, "--admin", &admin, "--pidfile", &pid,
            "--metrics", "127.0.0.1:0", "--max-connections-per-address", "9", "--root-max-bytes", "1G",
        ];
        // Only what waits in accept.
        let nothing: &[&str] = if pool == "event" { &[] } else { &["--set-aside", "0"] };
        let mut started = 0;
        for settings in [nothing, &everything] {
            for limit in [6, 8, 12, 20, 33, 36, 37, 40] {
                let plain = command(at("root").as_ref(), pool, &[&["--workers", "2"], settings].concat());
                let ulimit = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
                let mut limited = under(&["sh", "-c", &ulimit], &plain);
                // What starts ends with its input.
                let output = limited.arg("--exit-with-stdin").stdin(Stdio::null()).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                if output.status.code() == Some(1) {
                    let wanted = ["RLIMIT_NOFILE", "at the least", "ulimit -Hn", &format!("limit is {limit}:")];
                    assert!(wanted.iter().all(|part| said.contains(part)), "{limit}: {said}");
                    assert!(output.stdout.is_empty(), "{limit}: {output:?}");
                    continue;
                }
                assert_eq!(output.status.code(), Some(0), "{limit}: {said}");
                let server = Server::spawn(&mut under(&["sh", "-c", &ulimit], &plain));
                started += 1;
                let mut peer = server.connect();
                assert_eq!(peer.ask(upload("a", b"content"))["status"], "OK", "{limit}");
                assert_eq!(content(&peer.ask("GET a\r\n")), b"content", "{limit}");
                drop(peer);
                let (done, code) = server.stop();
                assert_eq!((done.sum.requests.errors.busy, done.sum.connections.accept_errors, code), (0, 0, 0));
            }
        }
        assert!(started >= 4, "some limits are enough");
    }
}

#[test]
fn the_encoded_cache_is_had_where_nobody_is_refused_for_its_descriptors() {
    for (limit, has_cache) in [(50, false), (51, true)] {
        let root = TempDir::new().unwrap();
        let settings = [
            "--workers",
            "1",
            "--set-aside",
            "0",
            "--encoded-cache",
            "8M",
        ];
        let plain = command(root.path(), "process", &settings);
        let ulimit = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        let server = Server::spawn(&mut under(&["sh", "-c", &ulimit], &plain));
        let bytes_max = server.ready.settings.encoded_cache_bytes;
        assert_eq!(bytes_max.is_some(), has_cache, "{limit}");
        server.stop();
    }
}
