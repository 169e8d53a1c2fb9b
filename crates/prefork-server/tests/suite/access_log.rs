//! `--access-log`: one JSON line a request, which together say what the ledger says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use proto::announce::Done;
use serde_json::Value;
use tempfile::TempDir;

use crate::load::Load;
use crate::support::{Server, can_limit, command, each_pool, noise, under, upload};

each_pool! {
    fn each_request_is_one_line_and_the_lines_agree_with_the_ledger(pool) {
        let log = Log::new();
        let server = log.start(pool, &["--workers", "3", "--min-rate", "1M", "--rate-window", "200ms", "--upload-max", "1M"]);
        assert_eq!(server.ready.settings.access_log, Some(log.path().display().to_string()));
        server.put("f", &noise(1, 300_000));
        let mut peer = server.connect();
        let name = "a \"quoted\" name, \u{e9}\u{4e2d}";
        let on_the_wire = name.replace('"', "\\\"");
        peer.ask(upload(&format!("\"{on_the_wire}\""), &noise(2, 12_345)));
        // Several at once.
        peer.send(format!("LIST\r\nGET f\r\nGET missing\r\nDELETE \"{on_the_wire}\"\r\n"));
        for _ in 0..4 {
            peer.reply();
        }
        peer.ask("NONSENSE x\r\n");
        peer.ask("UPLOAD b !!!!\r\n");
        let address = peer.stream.local_addr().unwrap().to_string();
        drop(peer);
        // A head that breaks the framing, a body that is too large, one that comes too slowly, one that is cut off.
        server.connect().ask("LIST\rX\r\n");
        server.connect().ask(upload("big", &noise(3, 2_000_000)));
        server.connect().ask("UPLOAD slow QUJD");
        server.connect().send("UPLOAD cut QUJD").finish_sending();
        let (done, _) = server.stop();

        let lines = log.lines();
        check_against_ledger(&lines, &[&done]);
        let of = |verb: &str, name: Option<&str>| {
            let is_it = |line: &&Value| line["verb"] == verb && line["name"].as_str() == name;
            lines.iter().find(is_it).unwrap_or_else(|| panic!("no line for {verb} {name:?}: {lines:#?}")).clone()
        };
        let line = of("upload", Some(name));
        assert_eq!((&line["bytes"], &line["outcome"], &line["peer"]), (&12_345.into(), &"ok".into(), &address.as_str().into()));
        assert_eq!(of("get", Some("f"))["bytes"], 300_000);
        assert_eq!(of("get", Some("missing"))["outcome"], "not_found");
        assert_eq!(of("delete", Some(name))["outcome"], "ok");
        assert_eq!(of("list", None)["outcome"], "ok");
        assert_eq!(of("upload", Some("b"))["outcome"], "bad_base64");
        let slow = of("upload", Some("slow"));
        assert_eq!(slow["outcome"], "timed_out");
        assert!(slow["transfer_ms"].as_f64().unwrap() >= 200.0, "{slow}");
        let cut = of("upload", Some("cut"));
        assert_eq!((&cut["outcome"], &cut["bytes"]), (&"client_gone".into(), &3.into()));
        // In the order in which they ended, with the answers' own connection last to end.
        let verbs: Vec<_> = lines.iter().filter(|line| line["peer"] == address.as_str()).map(|line| line["verb"].as_str()).collect();
        assert_eq!(verbs, [Some("upload"), Some("list"), Some("get"), Some("get"), Some("delete"), None, Some("upload")]);
    }

    fn what_a_stop_cuts_is_written_down(pool) {
        let log = Log::new();
        let server = log.start(pool, &["--workers", "1"]);
        server.put("f", &vec![1; 50_000_000]);
        let mut peer = server.connect();
        peer.send("GET f\r\n");
        assert_eq!(peer.stream.peek(&mut [0]).unwrap(), 1);
        server.signal(Signal::SIGQUIT);
        let (done, _) = server.done();
        let lines = log.lines();
        check_against_ledger(&lines, &[&done]);
        assert_eq!((lines.len(), &lines[0]["outcome"]), (1, &"aborted_by_stop".into()));
        let bytes = lines[0]["bytes"].as_u64().unwrap();
        assert!(0 < bytes && bytes < 50_000_000, "{bytes}");
    }

    fn a_log_that_cannot_be_written_fails_no_request_and_is_mentioned_once(pool) {
        let server = Server::start(pool, &["--workers", "1", "--access-log", "/dev/full"]);
        let mut peer = server.connect();
        for _ in 0..50 {
            assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
        }
        drop(peer);
        server.signal(Signal::SIGTERM);
        let mut server = server;
        let (done, code) = server.done_in_place();
        assert_eq!((done.sum.requests.ok.list, done.sum.requests.unlogged, code), (50, 50, 0));
        let complaints = server.rest_of_log().into_iter().filter(|line| line.contains("--access-log")).count();
        assert_eq!(complaints, 1);
    }

    fn a_line_that_a_full_disk_has_cut_short_is_not_continued_by_the_next(pool) {
        if !can_limit() {
            return;
        }
        let log = Log::new();
        // A limit on the size of files stands for the disk. It has room for a part of a line.
        fs::write(log.path(), [&b"x".repeat(899)[..], b"\n"].concat()).unwrap();
        let root = TempDir::new().unwrap();
        let path = log.path();
        let args = ["--access-log", path.to_str().unwrap(), "--workers", "1"];
        let launcher = ["prlimit", "--fsize=1000"];
        let server = Server::spawn(&mut under(&launcher, &command(root.path(), pool, &args)));
        let mut peer = server.connect();
        for _ in 0..3 {
            assert_eq!(peer.ask("LIST\r\n")["status"], "OK");
        }
        // Once the connection is over, so are its lines.
        peer.finish_sending();
        peer.expect_end();
        let full = fs::read_to_string(&path).unwrap();
        assert_eq!((full.len(), full.lines().count()), (1000, 2));
        // There is room again: only the part of a line is kept.
        fs::write(&path, full.lines().last().unwrap()).unwrap();
        assert_eq!(server.connect().ask("GET missing\r\n")["code"], "not_found");
        let (done, _) = server.stop();
        let text = fs::read_to_string(&path).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).expect(&text);
        assert_eq!((text.lines().count(), &last["outcome"]), (2, &"not_found".into()));
        assert_eq!((done.sum.requests.ok.list, done.sum.requests.unlogged), (3, 3));
    }

    fn it_is_opened_anew_under_load_without_losing_a_line(pool) {
        let log = Log::new();
        let server = log.start(pool, &["--workers", "3"]);
        Load::put_file(&server);
        let load = Load::default();
        let mut files = vec![log.path()];
        std::thread::scope(|scope| {
            load.start(scope, &server.ready.address, 4);
            for round in 0..10 {
                load.wait_for(5);
                let rotated = log.folder.path().join(format!("access.log.{round}"));
                fs::rename(log.path(), &rotated).unwrap();
                files.push(rotated);
                server.signal(Signal::SIGUSR1);
                server.wait_for_log("reopened");
            }
            load.wait_for(20);
            load.stop();
        });
        let (done, _) = server.stop();
        load.check(&[&done]);
        let lines: Vec<_> = files.iter().flat_map(|path| lines_of(path)).collect();
        check_against_ledger(&lines, &[&done]);
        assert_eq!(done.crashes, 0, "nobody was replaced for it");
        // Everybody has changed over: 20 requests for 3 workers leave nobody without one.
        let newest = lines_of(&log.path());
        assert!(newest.len() >= 20 - 3, "{} lines", newest.len());
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error_that_names_its_flag() {
    for flag in ["--access-log", "--log-file"] {
        let root = TempDir::new().unwrap();
        let args = [flag, "/nowhere/at/all"];
        let output = command(root.path(), "process", &args)
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(&format!("{flag} /nowhere/at/all")), "{text}");
    }
}

struct Log {
    folder: TempDir,
}

impl Log {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    fn start(&self, pool: &str, args: &[&str]) -> Server {
        let path = self.path();
        let log = ["--access-log", path.to_str().unwrap()];
        Server::start(pool, &[&log[..], args].concat())
    }

    fn lines(&self) -> Vec<Value> {
        lines_of(&self.path())
    }
}

/// The lines of a file, each a whole JSON object with a time, a worker and durations that make sense.
fn lines_of(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let time = line["time"].as_str().unwrap();
        let parsed = humantime::parse_rfc3339(time).unwrap();
        assert_eq!(time.len(), "2018-02-14T00:28:07.133Z".len(), "{time}");
        assert!(
            parsed.elapsed().unwrap() < Duration::from_secs(3600),
            "{time}"
        );
        let ns = line["monotonic_ns"].as_u64().unwrap();
        let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
        let ago = now.checked_sub(Duration::from_nanos(ns)).unwrap();
        assert!(ago < Duration::from_secs(3600), "{ago:?} ago");
        assert!(line["worker"].as_u64().unwrap() < 50 && line["pid"].as_u64().unwrap() > 1);
        assert!(
            line["wait_ms"].as_f64().unwrap() >= 0.0
                && line["transfer_ms"].as_f64().unwrap() >= 0.0
        );
        line
    });
    lines.collect()
}

/// As many lines as requests that were started, each outcome as often as in the ledgers, and the same bytes.
fn check_against_ledger(lines: &[Value], ledgers: &[&Done]) {
    let mut logged = BTreeMap::<String, u64>::new();
    for line in lines {
        let outcome = line["outcome"].as_str().unwrap();
        let key = match outcome {
            "ok" => format!("ok {}", line["verb"].as_str().unwrap()),
            other => other.to_owned(),
        };
        *logged.entry(key.clone()).or_default() += 1;
        if outcome == "ok" {
            *logged.entry(format!("{key} bytes")).or_default() += line["bytes"].as_u64().unwrap();
        }
    }
    let mut booked = BTreeMap::<String, u64>::new();
    for done in ledgers {
        let mut requests = done.sum.requests.clone();
        assert_eq!(requests.unlogged, 0);
        let mut book = |key: String, number: u64| {
            if number > 0 {
                *booked.entry(key).or_default() += number;
            }
        };
        for verb in proto::Verb::ALL {
            book(format!("ok {}", verb.as_str()), *requests.ok.get_mut(verb));
            book(
                format!("ok {} bytes", verb.as_str()),
                *requests.ok_bytes.get_mut(verb),
            );
        }
        for code in proto::Code::ALL {
            book(code.as_str().to_owned(), *requests.errors.get_mut(code));
        }
        book("client_gone".to_owned(), requests.client_gone);
        book("timed_out".to_owned(), requests.timed_out);
        book("aborted_by_stop".to_owned(), requests.aborted_by_stop);
    }
    logged.retain(|_, number| *number > 0);
    assert_eq!(logged, booked);
}
