//! Faults as an axis: each becomes exactly what it should, with good clients beside it.

use std::process::{Child, Command};

use stress_data::fault::{FaultReport, FaultyEnd};
use stress_data::measurement::{Measurement, Status};
use stress_data::record::Outcome;
use stress_data::summary::{self, Flag};

use super::support::run;

/// The pools that differ in what a fault costs.
const BLOCKING: [&str; 2] = ["process", "thread"];

fn measure(pool: &str, fault: &str, more: &[&str]) -> Measurement {
    let axes = ["--server-pool", pool, "--fault", fault];
    let ended = run(&[&axes[..], more].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    ended.assert_clean();
    let measurement = ended.measurement();
    assert_eq!(
        measurement.notes,
        Vec::<String>::new(),
        "every identity holds"
    );
    let done = measurement.done.as_ref().unwrap();
    assert!(done.balanced, "{done:#?}");
    measurement
}

fn ends(measurement: &Measurement) -> Vec<FaultyEnd> {
    let report: &FaultReport = measurement.fault.as_ref().unwrap();
    report.clients.iter().map(|client| client.end).collect()
}

fn failed(measurement: &Measurement) -> Vec<Outcome> {
    let outcomes = measurement.records.iter().map(|record| record.outcome);
    outcomes.filter(|outcome| *outcome != Outcome::Ok).collect()
}

#[test]
fn a_killed_process_costs_one_connection_and_a_killed_thread_pool_all_of_them() {
    for operation in ["upload", "download"] {
        for pool in BLOCKING {
            let axes = ["--op", operation, "--size", "300M"];
            let pools = ["--clients", "3", "--servers", "3"];
            let textbook = ["--server-args", "--set-aside 0"];
            let axes = [&axes[..], &pools, &textbook].concat();
            let measurement = measure(pool, "kill-worker", &axes);
            assert_eq!(measurement.status, Status::Failed);
            let killed = measurement.fault.as_ref().unwrap().killed.unwrap();
            let workers = &measurement.ready.as_ref().unwrap().worker_pids;
            assert!(workers.contains(&killed.pid));
            let done = measurement.done.as_ref().unwrap();
            assert_eq!(done.crashes, 1);
            let cut = failed(&measurement);
            assert!(
                cut.iter()
                    .all(|outcome| matches!(outcome, Outcome::Reset | Outcome::Eof)),
                "{cut:?}"
            );
            // The load is on when the worker is killed, but a client may have come late to it.
            let most = if pool == "process" { 1 } else { 3 };
            assert!((1..=most).contains(&killed.in_hand), "{pool}: {killed:?}");
            assert_eq!(cut.len(), killed.in_hand as usize, "{pool}, {operation}");
            // What a thread has accepted and not yet counted, nobody can book.
            let booked = done.sum.connections.aborted_by_crash;
            assert!(booked <= u64::from(killed.in_hand), "{booked}, {killed:?}");
        }
    }
}

#[test]
fn silent_clients_stop_a_pool_until_its_deadline_and_spare_a_larger_one() {
    for pool in BLOCKING {
        let axes = ["--op", "list", "--size", "64K", "--requests", "1"];
        let limit = ["--server-args", "--head-timeout 1s --set-aside 0"];
        let pools = ["--clients", "2", "--servers", "2"];
        let more = [&axes[..], &pools].concat();
        let axes = [&axes[..], &pools, &limit].concat();
        let stopped = measure(pool, "silent-client:2", &axes);
        // Where the second one came later than both good ones take, they are done before its time is up.
        let both = ends(&stopped);
        let closed = both.iter().filter(|&&end| end == FaultyEnd::Closed).count();
        assert!(both.len() == 2 && closed > 0, "{both:?}");
        let head_timeout_ns = 1_000_000 * stopped.ready.as_ref().unwrap().settings.head_timeout_ms;
        for record in &stopped.records {
            let waited_ns = record.ended_ns.unwrap() - record.released_ns;
            // The silent ones were there a moment before the good ones.
            assert!(waited_ns > head_timeout_ns / 2, "{record:?}");
        }
        assert_eq!(
            stopped.done.as_ref().unwrap().sum.connections.timed_out,
            closed as u64,
            "silent ones and nobody else"
        );

        let spared = measure(pool, "silent-client", &axes);
        assert_eq!(ends(&spared), [FaultyEnd::Held]);
        assert_eq!(spared.status, Status::Ok);

        // Those that are set aside stop nobody.
        let aside = measure(pool, "silent-client:2", &more);
        assert_eq!(ends(&aside), [FaultyEnd::Held; 2]);
        assert_eq!(aside.status, Status::Ok);
    }
}

#[test]
fn a_stalled_client_has_a_worker_until_the_good_ones_are_done() {
    for pool in BLOCKING {
        let axes = ["--op", "download", "--size", "1M"];
        let pools = ["--clients", "2", "--servers", "3"];
        let measurement = measure(pool, "stall-client:2", &[&axes[..], &pools].concat());
        assert_eq!(ends(&measurement), [FaultyEnd::Held; 2]);
        let sum = &measurement.done.as_ref().unwrap().sum;
        assert_eq!(sum.connections.accepted, 4);
        assert_eq!(
            (sum.connections.client_gone, sum.connections.closed),
            (2, 2)
        );
        assert_eq!(sum.requests.ok.get, 2);
        assert_eq!(sum.requests.ok.upload, 0);
    }
}

#[test]
fn slow_clients_keep_to_their_rate_and_the_good_ones_wait_for_them() {
    // Of a download the kernel takes a few megabytes off the worker's hands.
    for (operation, size, bytes) in [("upload", "16M", 16 << 20), ("download", "24M", 8 << 20)] {
        let axes = ["--op", operation, "--size", size];
        let pools = ["--clients", "2", "--servers", "1"];
        // With a place to be set aside, a slow one that has not asked yet would let the good ones pass.
        let textbook = ["--server-args", "--set-aside 0"];
        let axes = [&axes[..], &pools, &textbook].concat();
        let measurement = measure("process", "slow-client:16M", &axes);
        let slow = &measurement.fault.as_ref().unwrap().clients[0];
        assert!(slow.bytes >= bytes, "{slow:?}");
        let least_ns = slow.bytes * 1_000_000_000 / (16 << 20);
        // What it gave last may still have been on its way.
        assert!(slow.held_ns >= least_ns * 9 / 10, "{slow:?}");
        for record in &measurement.records {
            let waited_ns = record.ended_ns.unwrap() - record.released_ns;
            assert!(waited_ns > 100_000_000, "{record:?}");
        }
        let requests = &measurement.done.as_ref().unwrap().sum.requests;
        if operation == "upload" {
            assert_eq!(slow.end, FaultyEnd::Done);
            assert_eq!(requests.ok.upload, 3);
        }
    }
}

#[test]
fn an_event_pool_serves_the_good_beside_the_bad_and_loses_all_that_one_worker_has() {
    let axes = ["--op", "download", "--size", "1M"];
    let pools = ["--clients", "3", "--servers", "2"];
    let axes = [&axes[..], &pools].concat();
    for fault in ["silent-client:4", "stall-client:4"] {
        let measurement = measure("event", fault, &axes);
        assert_eq!(measurement.status, Status::Ok);
        assert_eq!(ends(&measurement), [FaultyEnd::Held; 4], "nobody waited");
    }
    let large = ["--op", "upload", "--size", "300M"];
    let measurement = measure("event", "kill-worker", &[&large[..], &pools].concat());
    let killed = measurement.fault.as_ref().unwrap().killed.unwrap();
    assert!((1..=3).contains(&killed.in_hand), "{killed:?}");
    assert_eq!(failed(&measurement).len(), killed.in_hand as usize);
}

/// A shell that uses up a processor; ended when dropped.
struct Spinner(Child);

impl Spinner {
    fn start(_: usize) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "while :; do :; done"]);
        Self(shell.spawn().unwrap())
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn other_programs_that_have_the_processors_are_a_flag() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let spinners: Vec<Spinner> = (0..cores).map(Spinner::start).collect();
    // For a second the good client waits for the slow one, and the processors for nobody of ours.
    let axes = [
        "--op",
        "upload",
        "--size",
        "16M",
        "--clients",
        "1",
        "--servers",
        "1",
    ];
    let slow = [
        "--fault",
        "slow-client:16M",
        "--server-args",
        "--set-aside 0",
    ];
    let ended = run(&[&axes[..], &slow].concat());
    drop(spinners);
    ended.assert_clean();
    let row = summary::rows(&ended.contents()).swap_remove(0);
    assert!(row.flags.contains(&Flag::Disturbed), "{row:#?}");
}
