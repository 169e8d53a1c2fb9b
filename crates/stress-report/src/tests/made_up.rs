//! Made-up journals with known times, small enough to be looked through.

use proto::announce::{Connections, Counts, Done, Requests, WorkerLedger};
use stress_data::fault::Fault;
use stress_data::journal::{Contents, End, Line, Sample, Served, Session, Timeline};
use stress_data::machine::{Ceilings, CpuTicks, Loopback};
use stress_data::matrix::{Cell, ClientPool, Operation, Selection, ServerPool};
use stress_data::measurement::{Measurement, ServerChoice, Status, Subject};
use stress_data::record::{Outcome, Record};
use stress_data::testing;

const US: u64 = 1_000;
const RELEASED_NS: u64 = 1_000_000 * US;

/// Two volumes, one to five clients and workers, one sample each; the run was on a busy machine, one client of row
/// 5 was reset, the server of row 14 was lost, and the last row was not run.
pub(super) fn troubled() -> Contents {
    let selection = Selection {
        volumes: vec![1 << 20, 4 << 20],
        clients: vec![1, 5],
        servers: vec![1, 5],
        ..Selection::default()
    };
    let mut contents = started(&selection, 1);
    contents.sessions[0].busy_before_permille = Some(250);
    for index in 0..contents.header.fingerprint.cells.len() - 1 {
        let mut sample = sample(&contents, index, 0);
        match sample.measurement.cell.number {
            5 => {
                sample.measurement.status = Status::Failed;
                let record = &mut sample.measurement.records[4];
                record.outcome = Outcome::Reset;
                record.verified_bytes = 0;
                record.detail = Some("the peer reset <it> after 7 | bytes".into());
            }
            14 => {
                sample.measurement.status = Status::ServerLost;
                sample.measurement.done = None;
                sample.measurement.notes = vec!["the server ended before its ledger".into()];
            }
            _ => {}
        }
        contents.add(Line::Sample(Box::new(sample)));
    }
    ended(contents)
}

/// Process and thread servers, thread and process clients, three samples each of one volume.
pub(super) fn models() -> Contents {
    let selection = Selection {
        operations: vec![Operation::Download, Operation::Upload],
        volumes: vec![1 << 20],
        clients: vec![1, 5],
        servers: vec![5],
        client_pools: vec![ClientPool::Thread, ClientPool::Process],
        server_pools: vec![ServerPool::Process, ServerPool::Thread],
        ..Selection::default()
    };
    let mut contents = started(&selection, 3);
    for index in 0..contents.header.fingerprint.cells.len() {
        for repeat in 0..3 {
            let sample = sample(&contents, index, repeat);
            contents.add(Line::Sample(Box::new(sample)));
        }
    }
    ended(contents)
}

/// Process and event servers without a fault, behind a silent client, and with a worker killed, on a machine whose
/// ceilings are known.
pub(super) fn disturbed() -> Contents {
    let silent = Fault::SilentClient { clients: 1 };
    let selection = Selection {
        operations: vec![Operation::Download],
        volumes: vec![1 << 20],
        clients: vec![5],
        servers: vec![1, 5],
        server_pools: vec![ServerPool::Process, ServerPool::Event],
        faults: vec![Fault::None, silent, Fault::KillWorker],
        ..Selection::default()
    };
    let mut contents = started(&selection, 1);
    contents.header.fingerprint.settings.warmup = 1;
    let loopback = |connections, wire_bytes_per_s| Loopback {
        connections,
        wire_bytes_per_s,
    };
    contents.sessions[0].ceilings = Some(Ceilings {
        loopback: vec![loopback(1, 3_000_000_000), loopback(5, 4_000_000_000)],
        cache_write_bytes_per_s: 2_500_000_000,
        cache_read_bytes_per_s: 5_000_000_000,
    });
    for index in 0..contents.header.fingerprint.cells.len() {
        let mut sample = sample(&contents, index, 0);
        let Measurement {
            cell,
            records,
            done,
            status,
            ..
        } = &mut sample.measurement;
        let is_held_up = cell.server_pool.is_blocking() && cell.servers == 1;
        if cell.fault == silent && is_held_up {
            for record in records {
                record.first_byte_ns = record.first_byte_ns.map(|at| at + 900_000 * US);
                record.ended_ns = record.ended_ns.map(|at| at + 900_000 * US);
            }
        } else if cell.fault == Fault::KillWorker {
            *status = Status::Failed;
            records[4].outcome = Outcome::Reset;
            records[4].verified_bytes = 0;
            let sum = done
                .as_mut()
                .map(|done| &mut done.sum.connections.aborted_by_crash);
            sum.into_iter().for_each(|cut| *cut = 1);
        }
        contents.add(Line::Sample(Box::new(sample)));
    }
    ended(contents)
}

/// Six clients download from five workers, and once more with a timeline: the sixth waits until the first has its file.
pub(crate) fn queued(operation: Operation) -> Contents {
    let selection = Selection {
        operations: vec![operation],
        volumes: vec![1 << 20],
        clients: vec![6],
        servers: vec![5],
        ..Selection::default()
    };
    let mut contents = started(&selection, 1);
    let first = sample(&contents, 0, 0);
    contents.add(Line::Sample(Box::new(first)));
    let again = sample(&contents, 0, 1);
    let served = |record: &Record| {
        let began_ns = record.first_byte_ns.unwrap() - 40 * US;
        Served {
            worker: record.client % 5,
            client: (operation != Operation::List).then_some(record.client),
            began_ns,
            ended_ns: record.ended_ns.unwrap(),
            bytes: record.bytes,
        }
    };
    let served = again.measurement.records.iter().map(served).collect();
    let sample = again;
    contents.add(Line::Timeline(Box::new(Timeline { sample, served })));
    ended(contents)
}

/// The downloads of [`models`], by a server that is not ours and gives no ledger.
pub(super) fn foreign() -> Contents {
    let selection = Selection {
        operations: vec![Operation::Download],
        volumes: vec![1 << 20],
        clients: vec![1, 5],
        servers: vec![5],
        ..Selection::default()
    };
    let mut contents = started(&selection, 3);
    contents.header.label = "python".into();
    contents.header.fingerprint.settings.server = stress_data::testing::foreign(
        "python3 …/reference_server.py --port {port} --workers {workers} --root {root}",
    );
    for index in 0..contents.header.fingerprint.cells.len() {
        for repeat in 0..3 {
            let mut sample = sample(&contents, index, repeat);
            sample.measurement.ready = None;
            sample.measurement.done = None;
            for record in &mut sample.measurement.records {
                record.ended_ns = record.ended_ns.map(|at| at + 40_000 * US);
            }
            contents.add(Line::Sample(Box::new(sample)));
        }
    }
    ended(contents)
}

/// A server of ours and one that is not, in one run, in three rounds: the other one takes 40 ms longer, and one of its rows fails.
pub(super) fn subjects() -> Contents {
    let selection = Selection {
        operations: vec![Operation::Download, Operation::Upload],
        volumes: vec![1 << 20],
        clients: vec![1, 5],
        servers: vec![1, 5],
        subjects: vec!["ours".into(), "python".into()],
        ..Selection::default()
    };
    let mut contents = started(&selection, 3);
    let subject = |name: &str, server| Subject {
        name: name.into(),
        server,
        server_args: Vec::new(),
        terminator: None,
    };
    let python = testing::foreign("python3 …/server.py --port {port} --root {root}");
    contents.header.fingerprint.settings.subjects = vec![
        subject("ours", ServerChoice::Own),
        subject("python", python),
    ];
    for index in 0..contents.header.fingerprint.cells.len() {
        for repeat in 0..3 {
            let mut sample = sample(&contents, index, repeat);
            let measurement = &mut sample.measurement;
            if measurement.cell.subject.as_deref() == Some("python") {
                measurement.ready = None;
                measurement.done = None;
                for record in &mut measurement.records {
                    record.ended_ns = record.ended_ns.map(|at| at + 40_000 * US);
                }
            }
            if measurement.cell.number == 41 {
                measurement.status = Status::Failed;
                measurement.records[0].outcome = Outcome::Eof;
                measurement.records[0].verified_bytes = 0;
            }
            contents.add(Line::Sample(Box::new(sample)));
        }
    }
    ended(contents)
}

fn started(selection: &Selection, repeats: u32) -> Contents {
    let mut contents = testing::contents(selection, repeats);
    contents.header.fingerprint.settings.list_requests = 2;
    let words = ["…/stress", "--size", "1M,4M", "--label", "a b"];
    contents.add(Line::Session(Session {
        command_line: words.map(str::to_owned).to_vec(),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        ..testing::session()
    }));
    contents
}

fn ended(mut contents: Contents) -> Contents {
    contents.add(Line::End(End {
        session: 0,
        ended_utc: "2026-11-24T04:00:41Z".into(),
        wall_ns: 39_706_736_906,
        cpu: Some(CpuTicks {
            total: 1_000,
            idle: 500,
            steal: 6,
        }),
        interrupted: false,
    }));
    contents
}

fn sample(contents: &Contents, index: usize, repeat: u32) -> Sample {
    let cell = &contents.header.fingerprint.cells[index];
    let requests = contents.header.fingerprint.settings.requests(cell);
    let records = (0..cell.clients).flat_map(|client| records(cell, client, requests, repeat));
    let mut ready = testing::ready();
    ready.pool = cell.server_pool.as_str().into();
    ready.workers = cell.servers;
    let measurement = Measurement {
        records: records.collect(),
        ready: Some(ready),
        done: Some(done(cell)),
        client_cpu_us: Some(1_500 * u64::from(cell.clients)),
        ..testing::measurement(contents, index, repeat, Status::Ok)
    };
    Sample {
        session: 0,
        cpu: None,
        is_warmup: false,
        wall_ns: None,
        measurement,
    }
}

/// A client waits until a worker is free and gets its share of the wire; with each repeat it is slower by a tenth.
fn records(cell: &Cell, client: u32, requests: u32, repeat: u32) -> Vec<Record> {
    let mib = match cell.operation {
        Operation::List => 1,
        Operation::Download | Operation::Upload => cell.volume >> 20,
    };
    let slower = match (cell.operation, cell.server_pool) {
        (Operation::Upload, _) => 15,
        (_, ServerPool::Process) => 10,
        (..) => 11,
    };
    let sharing = u64::from(cell.clients.min(cell.servers));
    let transfer_us = mib * 1_000 * sharing * slower / 10 * (10 + u64::from(repeat)) / 10;
    let turn = u64::from(client / cell.servers);
    let bytes = match cell.operation {
        Operation::List => 600,
        Operation::Download | Operation::Upload => cell.volume,
    };
    let mut start_ns = RELEASED_NS;
    let mut records = Vec::new();
    for request in 0..requests {
        let connected_ns = start_ns + (80 + 10 * u64::from(client)) * US;
        let first_byte_ns = connected_ns + (200 + turn * transfer_us) * US;
        let ended_ns = first_byte_ns + transfer_us * US;
        records.push(Record {
            released_ns: RELEASED_NS,
            connected_ns: Some(connected_ns),
            first_byte_ns: Some(first_byte_ns),
            ended_ns: Some(ended_ns),
            bytes,
            verified_bytes: bytes,
            outcome: Outcome::Ok,
            ..Record::not_sent(client, request)
        });
        start_ns = ended_ns;
    }
    records
}

fn done(cell: &Cell) -> Done {
    let busy = cell.clients.min(cell.servers);
    let worker = |slot: u32| worker(slot, u64::from(slot < busy));
    Done {
        peak_rss_bytes: Some((2 << 20) + 4_096 * u64::from(cell.number)),
        cpu_user_us: 900 * u64::from(cell.clients),
        ..ledger((0..cell.servers).map(worker).collect())
    }
}

/// A server's ledger with these workers.
pub(super) fn ledger(workers: Vec<WorkerLedger>) -> Done {
    Done {
        reason: "drained".into(),
        stop_ms: 1,
        workers,
        sum: Counts::default(),
        cpu_user_us: 0,
        cpu_system_us: 0,
        peak_rss_bytes: None,
        crashes: 0,
        balanced: true,
    }
}

/// A worker that took `accepted` connections.
pub(super) fn worker(slot: u32, accepted: u64) -> WorkerLedger {
    WorkerLedger {
        slot,
        pid: 1,
        generations: 1,
        crashes: 0,
        counts: Counts {
            connections: Connections {
                accepted,
                closed: accepted,
                ..Connections::default()
            },
            requests: Requests::default(),
        },
        cpu_user_us: None,
        cpu_system_us: None,
        peak_rss_bytes: None,
    }
}
