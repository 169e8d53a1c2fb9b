use crate::journal::Line;
use crate::matrix::{Operation, Selection, ServerPool};
use crate::measurement::{Measurement, ServerMemory};
use crate::record::{Outcome, Record};
use crate::summary;
use proto::announce::{Counts, Done};

use super::*;
use crate::testing;

const MS: u64 = 1_000_000;

/// 20 clients with 5 operations of 1 MiB each, back to back, each of `each_ms`; the first of each client waits
/// `wait_ms` more; `cut` clients are cut off in their last.
fn records(each_ms: u64, wait_ms: u64, cut: u32) -> Vec<Record> {
    let record = |client: u32, request: u32| {
        let ended_ms = wait_ms + each_ms * u64::from(request + 1);
        let started_ms = match request {
            0 => 0,
            _ => ended_ms - each_ms,
        };
        let outcome = match request == 4 && client < cut {
            true => Outcome::Reset,
            false => Outcome::Ok,
        };
        Record {
            client,
            request,
            released_ns: 0,
            started_ns: None,
            connected_ns: Some(started_ms * MS),
            first_byte_ns: Some(ended_ms * MS),
            ended_ns: Some(ended_ms * MS),
            bytes: 1 << 20,
            verified_bytes: if outcome == Outcome::Ok { 1 << 20 } else { 0 },
            outcome,
            detail: None,
        }
    };
    (0..20)
        .flat_map(|client| (0..5).map(move |request| record(client, request)))
        .collect()
}

fn done(cut: u64) -> Done {
    let mut sum = Counts::default();
    sum.connections.aborted_by_crash = cut;
    Done {
        reason: "drained".into(),
        stop_ms: 1,
        workers: Vec::new(),
        sum,
        cpu_user_us: 0,
        cpu_system_us: 0,
        peak_rss_bytes: None,
        crashes: u32::from(cut > 0),
        balanced: true,
    }
}

fn contents() -> Contents {
    let selection = Selection {
        operations: vec![Operation::Download],
        volumes: vec![1 << 20],
        clients: vec![20],
        servers: vec![5],
        server_pools: vec![ServerPool::Process, ServerPool::Thread],
        faults: vec![
            Fault::None,
            Fault::SilentClient { clients: 5 },
            Fault::KillWorker,
        ],
        ..Selection::default()
    };
    let mut contents = testing::contents(&selection, 1);
    contents.header.fingerprint.settings.transfer_requests = 5;
    for cell in contents.header.fingerprint.cells.clone() {
        let (wait_ms, cut) = match (cell.fault, cell.server_pool) {
            (Fault::SilentClient { .. }, _) => (10_000, 0),
            (Fault::KillWorker, ServerPool::Thread) => (0, 5),
            (Fault::KillWorker, _) => (0, 1),
            _ => (0, 0),
        };
        let status = if cut > 0 { Status::Failed } else { Status::Ok };
        let (each_ms, memory) = match cell.server_pool {
            ServerPool::Thread => (25, 2_500_000),
            _ => (20, 10_000_000),
        };
        let measurement = Measurement {
            records: records(each_ms, wait_ms, cut),
            done: Some(done(cut.into())),
            server_memory: Some(ServerMemory {
                idle_bytes: 1,
                peak_bytes: memory,
            }),
            ..Measurement::empty(&cell, 0, String::new(), status)
        };
        contents.add(Line::Sample(Box::new(testing::sample(measurement))));
    }
    contents
}

#[test]
fn the_page_says_what_each_pool_costs_to_the_last_character() {
    let contents = contents();
    let page = markdown(&contents, &summary::rows(&contents));
    let (figures, legend) = page.split_once("\n\np50,").unwrap();
    assert!(legend.contains("one"), "{legend}");
    assert_eq!(figures, WANTED.trim_end(), "{figures}");
}

/// Worked out by hand: 100 operations of 1,048,576 bytes in 100 ms are 1,049 MB/s, and so on.
const WANTED: &str = include_str!("wanted.md");

#[test]
fn the_page_says_what_blocking_workers_set_aside_and_a_crash_may_cost_those_too() {
    let contents = contents();
    let mut rows = summary::rows(&contents);
    for row in &mut rows {
        row.set_aside = Some(2);
    }
    let page = markdown(&contents, &rows);
    // Five workers with three connections each, and twenty clients.
    for want in [
        " 5 of 15 |",
        " 1 of 15 |",
        "--set-aside 2: a worker sets aside",
    ] {
        assert!(page.contains(want), "{want}: {page}");
    }
    assert!(!markdown(&contents, &summary::rows(&contents)).contains("set-aside"));
}

#[test]
fn a_fault_is_judged_by_the_rarest_latency_that_both_rows_know() {
    let mut rows = summary::rows(&contents());
    let judged = |rows: &[Row]| -> Vec<(u8, u64)> {
        let slowed = slowed(rows);
        let one = |it: &Slowed<'_>| (it.percentile, it.after.as_millis() as u64);
        slowed.iter().map(one).collect()
    };
    assert_eq!(judged(&rows), [(99, 10_020), (99, 10_025)]);
    for row in &mut rows {
        row.latency_p99 = None;
    }
    assert_eq!(judged(&rows)[0].0, 90);
    for row in &mut rows {
        row.latency_p90 = None;
    }
    // Of the others half take no longer than without a fault: nothing to say.
    assert_eq!(judged(&rows), []);
}

#[test]
fn a_pool_that_completed_nothing_for_most_of_a_window_is_named() {
    let contents = contents();
    let rows = summary::rows(&contents);
    // Behind silent clients nobody got anything for ten seconds; where a worker was killed the others went on.
    let named: Vec<Fault> = stalled(&rows)
        .iter()
        .map(|(row, ..)| row.cell.fault)
        .collect();
    assert_eq!(named, [Fault::SilentClient { clients: 5 }; 2]);
    let page = markdown(&contents, &rows);
    let want =
        "for 10,020 ms of 10,100 ms no operation was completed in a pool of 5 process workers";
    assert!(page.contains(want), "{page}");
}

#[test]
fn a_terminal_gets_the_same_figures_without_markup() {
    let contents = contents();
    let rows = summary::rows(&contents);
    let page = render(&contents, &rows, Screen::FILE);
    assert!(!page.contains("**") && !page.contains('|'), "{page}");
    for figure in ["1,049", "10,020 ms", "2.0 MB", "5 of 5"] {
        assert!(page.contains(figure), "no {figure} in {page}");
    }
    assert!(rows.iter().all(Row::is_as_expected));
    testing::check_fits(|screen| render(&contents, &rows, screen));
}

#[test]
fn times_are_in_milliseconds_with_a_decimal_where_that_says_something() {
    let check = |us: u64, want: &str| {
        assert_eq!(milliseconds(Duration::from_micros(us)), want);
    };
    check(0, "0.0 ms");
    check(1_949, "1.9 ms");
    check(9_949, "9.9 ms");
    check(9_950, "10 ms");
    check(10_020_400, "10,020 ms");
}
