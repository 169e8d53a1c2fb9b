//! Rows that need care say so.

use super::*;
use crate::journal::Session;

#[test]
fn flags_say_what_disturbed_a_row() {
    let session = |busy, file_system: &str| Session {
        busy_before_permille: Some(busy),
        work_file_system: file_system.into(),
        ..testing::session()
    };
    let flags = |session: Session, sample: Sample| {
        let mut contents = testing::contents(&Selection::default(), 1);
        contents.add(crate::journal::Line::Session(session));
        contents.add(crate::journal::Line::Sample(Box::new(sample)));
        rows(&contents).swap_remove(4).flags
    };
    let ticks = |total, steal| {
        Some(crate::machine::CpuTicks {
            total,
            idle: 0,
            steal,
        })
    };
    assert_eq!(flags(session(100, "ext4"), all_ok(0, 100)), []);
    assert_eq!(
        flags(session(101, "tmpfs"), all_ok(0, 100)),
        [Flag::BusyMachine, Flag::Tmpfs]
    );
    let stolen = |cpu| Sample {
        cpu,
        ..all_ok(0, 100)
    };
    assert_eq!(
        flags(session(0, "ext4"), stolen(ticks(100, 3))),
        [Flag::Steal]
    );
    assert_eq!(flags(session(0, "ext4"), stolen(ticks(10, 2))), []);
    assert_eq!(flags(session(0, "ext4"), stolen(ticks(150, 3))), []);
    // Two processors for 140 ms are 280 ms; the server used 3.5 ms.
    let bound = |client_cpu_us| {
        let mut sample = all_ok(0, 100);
        sample.measurement.client_cpu_us = Some(client_cpu_us);
        sample
    };
    assert_eq!(
        flags(session(0, "ext4"), bound(252_000)),
        [Flag::ClientBound]
    );
    assert_eq!(
        flags(session(0, "ext4"), bound(249_000)),
        [Flag::ClientBound]
    );
    assert_eq!(flags(session(0, "ext4"), bound(248_000)), []);
}

#[test]
fn clients_that_start_far_apart_are_flagged() {
    let flags = |spread_us: u64| {
        let mut sample = all_ok(0, 100);
        for record in &mut sample.measurement.records {
            let late_us = u64::from(record.client) * spread_us / 4;
            record.started_ns = Some(1_000 * MS + late_us * 1_000);
        }
        row_of(1, vec![sample]).flags
    };
    // A client took 120 ms.
    assert_eq!(flags(12_000), []);
    assert_eq!(flags(12_004), [Flag::StartSpread]);
}

#[test]
fn a_full_listening_queue_and_an_upload_on_trust_are_flags() {
    let flags = |listen_overflows, unverified| {
        let mut sample = all_ok(0, 100);
        sample.measurement.listen_overflows = listen_overflows;
        sample.measurement.unverified = unverified;
        let mut contents = testing::contents(&Selection::default(), 1);
        contents.add(crate::journal::Line::Sample(Box::new(sample)));
        rows(&contents).swap_remove(4).flags
    };
    assert_eq!(flags(None, 0), []);
    assert_eq!(flags(Some(0), 0), []);
    assert_eq!(flags(Some(1), 0), [Flag::ListenOverflow]);
    assert_eq!(flags(Some(9), 2), [Flag::ListenOverflow, Flag::Unverified]);
}

#[test]
fn clients_that_got_nothing_or_hardly_started_used_up_no_processors() {
    let flags = |ended_ms: u64, outcome: Outcome, status: Status| {
        let records = (0..5).map(|client| Record {
            ended_ns: Some(1_000 * MS + ended_ms * MS / 10),
            ..record(client, 0, outcome)
        });
        let mut sample = sample(0, status, records.collect());
        // Of two processors all that there is, and what starting took.
        sample.measurement.client_cpu_us = Some(200 * ended_ms + 500);
        row_of(1, vec![sample]).flags
    };
    assert_eq!(flags(500, Outcome::Ok, Status::Ok), [Flag::ClientBound]);
    assert_eq!(flags(10, Outcome::Ok, Status::Ok), [Flag::ClientBound]);
    assert_eq!(flags(9, Outcome::Ok, Status::Ok), []);
    assert_eq!(flags(500, Outcome::ServerError, Status::Failed), []);
}

#[test]
fn an_outlier_is_flagged_and_still_counted() {
    let samples = [100, 101, 102, 103, 900]
        .into_iter()
        .zip(0..)
        .map(|(ms, repeat)| all_ok(repeat, ms));
    let row = row_of(5, samples.collect());
    assert_eq!(row.flags, [Flag::Outlier]);
    assert_eq!(row.samples, 5);
    assert_eq!(row.time_ns.unwrap().max, 920 * MS);
    let calm = [100, 101, 102, 103, 104]
        .into_iter()
        .zip(0..)
        .map(|(ms, repeat)| all_ok(repeat, ms));
    assert_eq!(row_of(5, calm.collect()).flags, []);
}
