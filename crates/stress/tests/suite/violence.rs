//! What is killed in the middle: who notices, what the row says, and that nothing is left.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::thread;

use nix::sys::signal::Signal;
use stress_data::measurement::{Measurement, Status};
use stress_data::record::Outcome;

use super::support::{Harness, assert_gone, until, work_dirs};

/// A transfer long enough to be met in its middle.
const LARGE: [&str; 6] = ["--size", "512M", "--clients", "2", "--servers", "2"];

fn start_large(more: &[&str]) -> Harness {
    Harness::start(&[&LARGE[..], more].concat())
}

fn outcomes(measurement: &Measurement) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = measurement
        .records
        .iter()
        .map(|record| record.outcome)
        .collect();
    outcomes.sort_unstable();
    outcomes
}

#[test]
fn the_harness_takes_its_server_and_its_clients_with_it() {
    for pool in ["thread", "process"] {
        let harness = start_large(&["--op", "upload", "--client-pool", pool]);
        harness.busy_worker();
        let processes = harness.descendants();
        // A parent and two workers; a parent and two clients, or one process with both.
        let least = if pool == "process" { 6 } else { 5 };
        assert!(processes.len() >= least, "{processes:?}");
        harness.signal(Signal::SIGKILL);
        let ended = harness.wait();
        assert_gone(&processes);

        let folder = ended.into_folder();
        assert_eq!(
            work_dirs(folder.path()).len(),
            1,
            "a killed harness cleans nothing up"
        );
        let small = [
            "--size",
            "64K",
            "--clients",
            "1",
            "--servers",
            "1",
            "--op",
            "list",
        ];
        let next = Harness::start_in(folder, &small).wait();
        assert_eq!(next.status.code(), Some(0), "{}", next.errors);
        next.assert_clean();
    }
}

#[test]
fn the_harness_takes_a_foreign_server_with_it() {
    // Two processes, neither of which knows of the harness or listens to a polite request.
    let command = "sh -c 'trap \"\" TERM; sleep 1000 & sleep 1000' {port} {root}";
    let harness = start_large(&["--op", "download", "--server-cmd", command]);
    let processes = until("the server runs", || {
        let processes = harness.descendants();
        (processes.len() == 4).then_some(processes)
    });
    harness.signal(Signal::SIGKILL);
    harness.wait();
    assert_gone(&processes);
}

#[test]
fn an_interrupt_ends_the_run_with_all_that_belongs_to_it() {
    for pool in ["thread", "process"] {
        let harness = start_large(&["--op", "upload", "--client-pool", pool]);
        harness.busy_worker();
        let processes = harness.descendants();
        harness.signal(Signal::SIGINT);
        let ended = harness.wait();
        assert_eq!(ended.status.code(), Some(130), "{}", ended.errors);
        assert_eq!(
            ended.measurements().len(),
            0,
            "what was cut short is no sample"
        );
        ended.assert_clean();
        assert_gone(&processes);
    }
}

#[test]
fn a_killed_worker_costs_its_client_and_the_server_goes_on() {
    for operation in ["upload", "download"] {
        let harness = start_large(&["--op", operation]);
        harness.busy_worker().kill();
        let ended = harness.wait();
        assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
        let measurement = ended.measurement();
        assert_eq!(measurement.status, Status::Failed, "{measurement:#?}");
        assert_eq!(measurement.notes, Vec::<String>::new());
        let outcomes = outcomes(&measurement);
        assert_eq!(outcomes[0], Outcome::Ok, "the other client");
        assert!(
            matches!(outcomes[1], Outcome::Reset | Outcome::Eof),
            "{outcomes:?}"
        );
        let done = measurement.done.as_ref().unwrap();
        assert!(done.balanced);
        assert_eq!((done.crashes, done.workers.len()), (1, 2));
        let generations: u32 = done.workers.iter().map(|worker| worker.generations).sum();
        assert_eq!(generations, 3, "the dead worker was replaced");
        let lost = measurement
            .records
            .iter()
            .find(|record| record.outcome != Outcome::Ok)
            .unwrap();
        if operation == "upload" {
            let detail = lost.detail.as_deref().unwrap();
            assert!(detail.ends_with("it is not stored"), "{detail}");
        }
        ended.assert_clean();
    }
}

#[test]
fn a_killed_server_is_a_lost_one_and_leaves_its_columns_empty() {
    let harness = start_large(&["--op", "upload"]);
    harness.busy_worker();
    harness.child("__server").kill();
    let ended = harness.wait();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    let measurement = ended.measurement();
    assert_eq!(measurement.status, Status::ServerLost, "{measurement:#?}");
    assert_eq!(measurement.done, None);
    assert!(
        measurement
            .notes
            .iter()
            .any(|note| note.contains("left no ledger"))
    );
    assert!(
        measurement
            .records
            .iter()
            .all(|record| record.verified_bytes == 0)
    );
    ended.assert_clean();
}

#[test]
fn a_killed_client_process_is_a_crashed_client() {
    let harness = start_large(&["--op", "upload", "--client-pool", "process"]);
    harness.busy_worker();
    harness.client().kill();
    let ended = harness.wait();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    let measurement = ended.measurement();
    assert_eq!(measurement.status, Status::Failed, "{measurement:#?}");
    assert_eq!(
        outcomes(&measurement),
        [Outcome::Ok, Outcome::ClientCrashed]
    );
    let crashed = measurement
        .records
        .iter()
        .find(|record| record.outcome != Outcome::Ok)
        .unwrap();
    let detail = crashed.detail.as_deref().unwrap();
    assert!(detail.contains("signal: 9"), "{detail}");
    assert!(detail.ends_with("it is not stored"), "{detail}");
    ended.assert_clean();
}

#[test]
fn client_processes_go_with_their_parent_and_the_row_says_so() {
    let harness = start_large(&["--op", "upload", "--client-pool", "process"]);
    harness.busy_worker();
    let processes = harness.descendants();
    let parent = harness.child("__clients");
    parent.kill();
    let ended = harness.wait();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    assert_gone(&processes);
    let measurement = ended.measurement();
    assert_eq!(measurement.status, Status::Failed, "{measurement:#?}");
    assert_eq!(outcomes(&measurement), [Outcome::ClientCrashed; 2]);
    for record in &measurement.records {
        let detail = record.detail.as_deref().unwrap();
        assert!(detail.contains("with its parent (signal: 9"), "{detail}");
        assert_eq!(record.verified_bytes, 0);
    }
    ended.assert_clean();
}

#[test]
fn clients_that_are_killed_keep_the_records_of_what_was_complete() {
    for (pool, is_parent) in [("thread", false), ("process", false), ("process", true)] {
        let many = [
            "--size",
            "256K",
            "--clients",
            "2",
            "--servers",
            "2",
            "--requests",
            "200",
        ];
        let harness =
            Harness::start(&[&many[..], &["--op", "upload", "--client-pool", pool]].concat());
        let is_stored = |name| harness.work_dirs().iter().any(|work| holds(work, name));
        // Who has begun with an operation has the record of the one before it.
        until("each client is at its fourth upload", || {
            (is_stored("u0000-3.bin") && is_stored("u0001-3.bin")).then_some(())
        });
        match is_parent {
            true => harness.child("__clients").kill(),
            false => harness.client().kill(),
        }
        let ended = harness.wait();
        assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
        let measurement = ended.measurement();
        let with = |outcome| {
            measurement
                .records
                .iter()
                .filter(move |it| it.outcome == outcome)
        };
        let lost = if (pool, is_parent) == ("process", false) {
            1
        } else {
            2
        };
        let crashed = with(Outcome::ClientCrashed).map(|record| record.client);
        assert_eq!(crashed.collect::<BTreeSet<_>>().len(), lost, "{pool}");
        let complete = with(Outcome::Ok).filter(|record| record.request < 3);
        assert_eq!(complete.count(), 6, "{pool}: {measurement:#?}");
        for record in with(Outcome::Ok) {
            assert!(record.started_ns.is_some() && record.started_ns < record.connected_ns);
            assert!(record.first_byte_ns.is_some() && record.first_byte_ns <= record.ended_ns);
            assert_eq!(
                (record.verified_bytes, record.detail.as_ref()),
                (256 << 10, None)
            );
        }
        ended.assert_clean();
    }
}

fn holds(folder: &Path, name: &str) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .any(|path| path.ends_with(name) || holds(&path, name))
}

fn answer_lists(listener: &TcpListener) {
    let mut silent = Vec::new();
    for mut stream in listener.incoming().map(Result::unwrap) {
        let mut request = [0; 4];
        if stream.read_exact(&mut request).is_ok() && request == *b"LIST" {
            let names = b"{\"status\":\"OK\",\"data\":[\"d0000.bin\"]}\r\n\r\n";
            let _ = stream.write_all(names);
        } else {
            silent.push(stream);
        }
    }
}

#[test]
fn a_server_that_never_answers_is_a_row_of_timeouts() {
    let command = "sh -c 'exec sleep 1000' port-{port} {root}";
    let axes = [
        "--size",
        "1K",
        "--clients",
        "2",
        "--servers",
        "2",
        "--op",
        "download",
    ];
    let more = [
        "--requests",
        "20",
        "--timeout",
        "500ms",
        "--server-cmd",
        command,
    ];
    let harness = Harness::start(&[&axes[..], &more].concat());
    let mut port = None;
    while !harness.has_ended() {
        let guard = harness.find("__guard");
        let mut arguments = guard.iter().flat_map(|guard| &guard.arguments);
        let found = arguments.find_map(|argument| argument.strip_prefix("port-"));
        let found = found.map(|port| port.parse::<u16>().unwrap());
        if let Some(new) = found.filter(|_| found != port) {
            port = found;
            // In the server's place: LIST is answered, so that it is ready, and nothing else ever.
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, new)).unwrap();
            thread::spawn(move || answer_lists(&listener));
        }
        thread::yield_now();
    }
    let ended = harness.wait();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    let measurement = ended.measurement();
    assert_eq!(measurement.status, Status::Timeout, "{measurement:#?}");
    // Each client gives up after its first operation: 19 more would take 19 times as long.
    let outcomes = outcomes(&measurement);
    assert_eq!(outcomes[..2], [Outcome::Timeout; 2]);
    assert_eq!(outcomes[2..], [Outcome::NotSent; 38]);
    ended.assert_clean();
}
