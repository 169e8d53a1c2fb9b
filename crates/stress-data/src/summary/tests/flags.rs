//! Rows that need care say so.

use super::*;
use crate::edges::{Edge, Edges, Memory, Pressure, ServerUse, Ticks};
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

/// The flags of a row whose sample's window of a second on two processors has these edges.
fn at_edges(change: impl Fn(&mut Edge, &mut Edge)) -> Vec<Flag> {
    let mut sample = all_ok(0, 100);
    let mut before = Edge {
        ticks: Some(Ticks {
            total: 5_000,
            processes: 3_000,
        }),
        memory: Some(Memory {
            free_bytes: 1 << 30,
            dirty_bytes: 0,
            writeback_bytes: 0,
        }),
        pressure: Some(Pressure {
            cpu_us: 0,
            io_us: 0,
            memory_us: 0,
        }),
        server: Some(ServerUse {
            processes: 3,
            ..ServerUse::default()
        }),
        ..Edge::default()
    };
    let mut after = before;
    after.at_ns = 1_000_000_000;
    after.ticks = Some(Ticks {
        total: 5_200,
        processes: 3_100,
    });
    after.harness_cpu_us = 100_000;
    after.server = Some(ServerUse {
        processes: 3,
        cpu_us: 300_000,
        ..ServerUse::default()
    });
    change(&mut before, &mut after);
    sample.measurement.edges = Some(Edges { before, after });
    sample.measurement.client_cpu_us = Some(400_000);
    let mut contents = testing::contents(&Selection::default(), 1);
    contents.header.fingerprint.machine.cores = 2;
    contents.header.fingerprint.machine.memory_bytes = 1 << 30;
    contents.add(crate::journal::Line::Sample(Box::new(sample)));
    let mut flags = rows(&contents).swap_remove(4).flags;
    flags.retain(|flag| *flag != Flag::ClientBound);
    flags
}

#[test]
fn a_window_that_others_disturbed_is_flagged() {
    // Of two seconds all processes used one, of which 0.8 s are ours.
    assert_eq!(at_edges(|_, _| ()), []);
    let with = |processes: u64| {
        at_edges(move |_, after| after.ticks.as_mut().unwrap().processes = 3_000 + processes)
    };
    assert_eq!(with(100), []);
    assert_eq!(with(101), [Flag::Disturbed]);
    // The harness's is ours, too; and what is not known is not others'.
    assert_eq!(
        at_edges(|_, after| after.harness_cpu_us = 99_999),
        [Flag::Disturbed]
    );
    assert_eq!(
        at_edges(|_, after| (after.harness_cpu_us, after.server) = (0, None)),
        []
    );
    let short = |total: u64| {
        at_edges(move |_, after| {
            after.ticks = Some(Ticks {
                total: 5_000 + total,
                processes: 3_000 + total,
            });
        })
    };
    assert_eq!(short(99), []);
    assert_eq!(short(100), [Flag::Disturbed]);
}

#[test]
fn a_window_whose_memory_was_not_at_hand_is_flagged() {
    let taken = |bytes: u64| {
        at_edges(move |before, after| {
            let free_bytes = 4 << 30;
            before.memory = Some(Memory {
                free_bytes,
                dirty_bytes: 0,
                writeback_bytes: 0,
            });
            after.memory.as_mut().unwrap().free_bytes = free_bytes - bytes;
        })
    };
    // 1.2 s a gigabyte, and a tenth of two seconds.
    assert_eq!(taken(166_000_000), []);
    assert_eq!(taken(167_000_000), [Flag::ColdMemory]);
    let short = at_edges(|before, after| {
        after.at_ns = 1_000_000;
        before.memory.as_mut().unwrap().free_bytes = (1 << 30) + (64 << 20) - 1;
        after.ticks = None;
    });
    assert_eq!(short, [], "too little to be noticed");
    let written = |bytes: u64| {
        at_edges(move |before, _| {
            let memory = before.memory.as_mut().unwrap();
            (memory.dirty_bytes, memory.writeback_bytes) = (bytes / 2, bytes / 2);
        })
    };
    assert_eq!(written((1 << 30) / 10 - 2), []);
    assert_eq!(written((1 << 30) / 10 + 2), [Flag::ColdMemory]);
    let waited = |us: u64| at_edges(move |_, it| it.pressure.as_mut().unwrap().memory_us = us);
    assert_eq!(waited(100_000), []);
    assert_eq!(waited(100_001), [Flag::ColdMemory]);
}

#[test]
fn a_servers_cpu_time_is_that_of_its_window_and_not_of_its_life() {
    let mut sample = all_ok(0, 100);
    let lives = row_of(1, vec![sample.clone()]).server_cpu;
    let edge = |at_ns, cpu_us| Edge {
        at_ns,
        server: Some(ServerUse {
            cpu_us,
            ..ServerUse::default()
        }),
        ..Edge::default()
    };
    let (before, after) = (edge(0, 2_000_000), edge(1, 2_000_700));
    sample.measurement.edges = Some(Edges { before, after });
    let row = row_of(1, vec![sample]);
    assert_eq!(row.server_cpu, Some(Duration::from_micros(700)));
    assert_ne!(row.server_cpu, lives);
}
