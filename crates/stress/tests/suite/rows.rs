//! Small rows of every kind, measured for real.

use stress::corpus::Salt;
use stress_data::matrix::{Operation, ServerPool};
use stress_data::measurement::{Measurement, Status};
use stress_data::record::Outcome;
use stress_data::summary;

use super::script;
use super::support::{Ended, run};

const MIB: u64 = 1 << 20;

fn check_fine(measurement: &Measurement, requests: usize) {
    let cell = &measurement.cell;
    let context = format!("{measurement:#?}");
    assert_eq!(measurement.status, Status::Ok, "{context}");
    assert_eq!(measurement.notes, Vec::<String>::new());
    assert_eq!(measurement.records.len(), cell.clients as usize * requests);
    let released_ns = measurement.records[0].released_ns;
    for record in &measurement.records {
        assert_eq!(record.outcome, Outcome::Ok, "{context}");
        assert_eq!(record.released_ns, released_ns);
        assert!(record.started_ns >= Some(released_ns), "{record:?}");
        assert!(record.started_ns < record.connected_ns, "{record:?}");
        assert_eq!(record.verified_bytes, record.bytes);
        match cell.operation {
            Operation::Download | Operation::Upload => assert_eq!(record.bytes, cell.volume),
            // Sixteen names of nine bytes, each with its quotes and a comma, but no comma after the last.
            Operation::List => {
                let around = r#"{"status":"OK","data":[]}"#;
                assert_eq!(record.bytes, 16 * 12 - 1 + around.len() as u64);
            }
        }
    }
    let ready = measurement.ready.as_ref().unwrap();
    assert_eq!(ready.pool, cell.server_pool.as_str());
    let done = measurement.done.as_ref().unwrap();
    assert!(done.balanced && done.crashes == 0 && done.reason == "drained");
    let edges = measurement.edges.unwrap();
    let server = edges.server().unwrap();
    // A parent with its workers, or with one process that has them all.
    let workers = match cell.server_pool {
        ServerPool::Thread => 1,
        ServerPool::Process | ServerPool::Event => cell.servers,
    };
    assert!(server.processes > workers, "{server:?}");
    // A worker that always has something to do waits for nothing; then others take its place.
    let switches = server.voluntary_switches + server.involuntary_switches;
    assert!(server.cpu_us > 0 && switches > 0, "{server:?}");
    let ends = measurement.records.iter().map(|record| record.ended_ns);
    assert!(edges.before.at_ns <= released_ns && ends.max().unwrap() <= Some(edges.after.at_ns));
    assert!(edges.before.memory.is_some() && edges.before.ticks.is_some());
    let planned = measurement.records.len() as u64;
    assert_eq!(
        done.sum.connections.accepted, planned,
        "one connection each"
    );
    assert_eq!(done.sum.requests.ok.total(), planned);
    assert!(measurement.client_cpu_us.is_some_and(|us| us > 0));
    let peak = measurement.client_peak_rss_bytes;
    assert!(peak.is_some_and(|peak| peak > MIB), "{peak:?}");
}

fn check_run(ended: &Ended, cells: usize, requests: [usize; 3]) {
    let measurements = ended.measurements();
    let mut failed = measurements.iter().filter(|it| it.status != Status::Ok);
    assert_eq!(failed.next(), None, "{}", ended.errors);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    assert_eq!(measurements.len(), cells);
    for row in summary::rows(&ended.contents()) {
        let spread = row.start_spread.unwrap();
        assert_eq!(spread.is_zero(), row.cell.clients == 1, "{row:?}");
    }
    for measurement in &measurements {
        let requests = match measurement.cell.operation {
            Operation::Download => requests[0],
            Operation::Upload => requests[1],
            Operation::List => requests[2],
        };
        check_fine(measurement, requests);
    }
    ended.assert_clean();
}

#[test]
fn every_operation_is_measured_with_every_kind_of_pool() {
    let axes = ["--size", "1M", "--clients", "2", "--servers", "2"];
    let pools = [
        "--client-pool",
        "thread,process",
        "--server-pool",
        "process,thread,event",
    ];
    check_run(&run(&[&axes[..], &pools[..]].concat()), 18, [1, 1, 20]);
}

#[test]
fn several_operations_of_each_client_are_read_back_on_demand() {
    let axes = ["--size", "1M", "--clients", "3", "--servers", "1"];
    let more = ["--requests", "4", "--verify", "full"];
    check_run(&run(&[&axes[..], &more[..]].concat()), 3, [4, 4, 4]);
}

#[test]
fn what_the_harness_has_in_memory_is_none_of_its_clients() {
    let axes = [
        "--op",
        "upload",
        "--size",
        "32M",
        "--clients",
        "2",
        "--servers",
        "1",
    ];
    let more = ["--client-pool", "thread,process", "--warm-memory"];
    let ended = run(&[&axes[..], &more].concat());
    for measurement in ended.measurements() {
        let peak = measurement.client_peak_rss_bytes.unwrap();
        // Of a machine that has so much free.
        if let Some(warmed) = measurement.warmed {
            assert!(warmed.bytes >= 64 * MIB && peak < 48 * MIB, "{peak}");
        }
    }
    ended.assert_clean();
}

#[test]
fn many_clients_wait_for_one_worker() {
    let axes = ["--size", "1M", "--clients", "50", "--servers", "1"];
    let pools = ["--client-pool", "thread,process"];
    check_run(&run(&[&axes[..], &pools[..]].concat()), 6, [1, 1, 20]);
}

#[test]
fn one_event_worker_serves_many_clients_at_once() {
    let axes = ["--size", "1M", "--clients", "50", "--servers", "1"];
    let ended = run(&[&axes[..], &["--server-pool", "event"]].concat());
    check_run(&ended, 3, [1, 1, 20]);
    for measurement in ended.measurements() {
        let ready = measurement.ready.unwrap();
        assert_eq!(
            (ready.workers, ready.settings.event_connections),
            (1, Some(1024))
        );
    }
}

#[test]
fn a_soft_limit_on_descriptors_does_not_keep_clients_from_connecting() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // The harness inherits it; other tests of this binary need fewer descriptors than this leaves them.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 256, hard).unwrap();
    let axes = [
        "--size",
        "64K",
        "--clients",
        "300",
        "--servers",
        "2",
        "--op",
        "download",
    ];
    let ended = run(&axes);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    assert_eq!(ended.measurement().records.len(), 300);
}

#[test]
fn content_that_only_a_seed_tells_apart_is_told_apart() {
    let axes = [
        "--size",
        "100K",
        "--clients",
        "1",
        "--servers",
        "1",
        "--op",
        "download",
    ];
    let crc32 = |seed: &str| {
        let ended = run(&[&axes[..], &["--seed", seed]].concat());
        assert_eq!(ended.measurement().status, Status::Ok);
        script::crc32(seed.parse().unwrap(), Salt::DOWNLOAD, 100 << 10)
    };
    assert_ne!(crc32("1"), crc32("2"));
}

/// The report folds the settings that are a server's defaults: those that a server says which nobody told anything.
#[test]
fn the_defaults_that_the_report_folds_are_the_servers() {
    let defaults = include_str!("../../../stress-report/src/content/defaults.json");
    let defaults: serde_json::Value = serde_json::from_str(defaults).unwrap();
    let axes = ["--op=list", "--size=100K", "--clients=1", "--servers=1"];
    let ended = run(&[&axes[..], &["--durability=full", "--requests=1"]].concat());
    let ready = ended.measurement().ready.unwrap();
    let said = serde_json::to_value(&ready.settings).unwrap();
    for (name, usual) in defaults.as_object().unwrap() {
        match usual.as_object() {
            None => assert_eq!(said[name], *usual, "{name}"),
            Some(inner) => {
                for (key, usual) in inner {
                    assert_eq!(said[name][key], *usual, "{name}.{key}");
                }
            }
        }
    }
}
