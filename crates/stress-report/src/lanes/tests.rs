use stress_data::matrix::ServerPool;

use super::*;
use crate::tests::made_up;

const US: u64 = 1_000;

fn timeline(operation: Operation) -> Timeline {
    made_up::queued(operation).timelines.remove(0)
}

fn span(kind: Kind, from_us: u64, to_us: u64) -> Span {
    Span {
        kind,
        from_ns: from_us * US,
        to_ns: to_us * US,
        track: 0,
    }
}

#[test]
fn five_workers_take_five_clients_and_the_sixth_waits() {
    let lanes = Lanes::of(&timeline(Operation::Download)).unwrap();
    assert_eq!((lanes.clients.len(), lanes.workers.len()), (6, 5));
    let first = [
        span(Kind::Connecting, 0, 80),
        span(Kind::Waiting, 80, 280),
        span(Kind::Moving, 280, 5_780),
    ];
    assert_eq!(lanes.clients[0].spans, first);
    let sixth = [
        span(Kind::Connecting, 0, 130),
        span(Kind::Waiting, 130, 5_830),
        span(Kind::Moving, 5_830, 11_330),
    ];
    assert_eq!(lanes.clients[5].spans, sixth);
    let both = [
        span(Kind::Serving, 240, 5_780),
        span(Kind::Serving, 5_790, 11_330),
    ];
    assert_eq!(lanes.workers[0].spans, both);
    assert!(lanes.workers[1..].iter().all(|lane| lane.spans.len() == 1));
    assert_eq!((lanes.window_ns, lanes.most_at_once()), (11_330 * US, 5));
}

#[test]
fn every_byte_is_in_a_part_of_the_window() {
    for operation in Operation::ALL {
        let timeline = timeline(operation);
        let lanes = Lanes::of(&timeline).unwrap();
        let records = timeline.sample.measurement.records.iter();
        let bytes: u64 = records.map(|record| record.bytes).sum();
        let sum: f64 = lanes.bytes.iter().sum();
        assert!((sum - bytes as f64).abs() < 1.0, "{operation:?}: {sum}");
        assert!(
            lanes.bytes[0].abs() < 1e-9,
            "nobody had a byte at the release"
        );
    }
}

#[test]
fn an_upload_waits_until_a_worker_has_its_head() {
    let mut timeline = timeline(Operation::Upload);
    let lanes = Lanes::of(&timeline).unwrap();
    let head = timeline.served[5].began_ns - timeline.sample.measurement.records[5].released_ns;
    assert_eq!(lanes.clients[5].total_ns(Kind::Waiting), head - 130 * US);
    // Without an access log nobody knows.
    timeline.served.clear();
    let lanes = Lanes::of(&timeline).unwrap();
    assert_eq!(lanes.clients[5].total_ns(Kind::Waiting), 0);
    assert!(lanes.workers.is_empty());
    assert_eq!(lanes.most_at_once(), 6);
}

#[test]
fn requests_that_a_worker_has_at_once_lie_side_by_side() {
    let mut timeline = timeline(Operation::Download);
    timeline.sample.measurement.cell.server_pool = ServerPool::Event;
    for served in &mut timeline.served {
        served.worker = 3;
    }
    let lanes = Lanes::of(&timeline).unwrap();
    let tracks: Vec<usize> = lanes.workers[3].spans.iter().map(|it| it.track).collect();
    assert_eq!(tracks, [0, 1, 2, 3, 4, 0]);
    let of_each: Vec<usize> = lanes.workers.iter().map(|lane| lane.tracks).collect();
    assert_eq!(of_each, [1, 1, 1, 5, 1]);
}

#[test]
fn what_did_not_succeed_is_marked_from_where_it_stopped() {
    let mut timeline = timeline(Operation::Download);
    let record = &mut timeline.sample.measurement.records[0];
    record.outcome = Outcome::Reset;
    let lanes = Lanes::of(&timeline).unwrap();
    assert_eq!(lanes.clients[0].total_ns(Kind::Failed), 5_500 * US);
    timeline.sample.measurement.records[0].first_byte_ns = None;
    let lanes = Lanes::of(&timeline).unwrap();
    assert_eq!(lanes.clients[0].total_ns(Kind::Failed), 5_700 * US);
    timeline.sample.measurement.records[0].ended_ns = None;
    assert_eq!(Lanes::of(&timeline).unwrap().clients[0].spans, []);
    timeline.sample.measurement.records.clear();
    assert_eq!(Lanes::of(&timeline), None);
}
