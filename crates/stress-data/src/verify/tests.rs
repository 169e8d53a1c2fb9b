//! A made-up run on disk, and what happens when one thing in it is changed.

mod older;
mod timeline;

use std::fs;
use std::io::Write as _;

use crate::journal::{self, End, Journal, Line, Sample};
use crate::matrix::{Operation, Selection};
use crate::measurement::{Measurement, Status};
use crate::record::{Outcome, Record};
use proto::announce::{Connections, Counts, Done, Requests, WorkerLedger};
use tempfile::TempDir;

use super::*;
use crate::derived;
use crate::testing;

const NOTHING: Besides = Besides {
    table: |_, _| Vec::new(),
    handed_in: |_| Ok(HandedIn::default()),
};

fn verified(run: &Path) -> Checked {
    check(run, NOTHING)
}

const VOLUME: u64 = 1_000_000;

/// Two cells, uploads by five clients to one worker and to five.
fn contents() -> Contents {
    let selection = Selection {
        operations: vec![Operation::Upload],
        volumes: vec![VOLUME],
        clients: vec![5],
        servers: vec![1, 5],
        ..Selection::default()
    };
    let mut contents = testing::contents(&selection, 1);
    contents.add(Line::Session(testing::session()));
    for index in 0..2 {
        let sample = sample(&contents, index);
        contents.add(sample);
    }
    contents.add(Line::End(End {
        session: 0,
        ended_utc: "2026-11-24T04:01:00Z".into(),
        wall_ns: 1_000_000_000,
        cpu: None,
        interrupted: false,
    }));
    contents
}

fn sample(contents: &Contents, index: usize) -> Line {
    let mut measurement = testing::measurement(contents, index, 0, Status::Ok);
    let released_ns = 1_000_000_000 * (1 + index as u64);
    measurement.records = (0..5_u64)
        .map(|client| Record {
            released_ns,
            connected_ns: Some(released_ns + 50_001 + 997 * client),
            first_byte_ns: Some(released_ns + 7_000_000 + 10_007 * client * (index as u64 + 3)),
            ended_ns: Some(released_ns + 7_003_000 + 10_009 * client * (index as u64 + 3)),
            bytes: VOLUME,
            verified_bytes: VOLUME,
            outcome: Outcome::Ok,
            ..Record::not_sent(u32::try_from(client).unwrap(), 0)
        })
        .collect();
    let workers = measurement.cell.servers;
    measurement.done = Some(done(workers));
    Line::Sample(Box::new(Sample {
        session: 0,
        is_warmup: false,
        cpu: None,
        wall_ns: Some(20_000_000),
        measurement,
    }))
}

/// The ledger of a server whose first worker took all five uploads.
fn done(workers: u32) -> Done {
    let mut all = Counts {
        connections: Connections {
            accepted: 5,
            closed: 5,
            ..Connections::default()
        },
        requests: Requests {
            started: 5,
            ..Requests::default()
        },
    };
    all.requests.ok.upload = 5;
    all.requests.ok_bytes.upload = 5 * VOLUME;
    let worker = |slot: u32| WorkerLedger {
        slot,
        pid: 100 + slot,
        generations: 1,
        crashes: 0,
        counts: if slot == 0 {
            all.clone()
        } else {
            Counts::default()
        },
        cpu_user_us: Some(1),
        cpu_system_us: Some(1),
        peak_rss_bytes: None,
    };
    Done {
        reason: "drained".into(),
        stop_ms: 1,
        workers: (0..workers).map(worker).collect(),
        sum: all.clone(),
        cpu_user_us: u64::from(workers),
        cpu_system_us: u64::from(workers),
        peak_rss_bytes: None,
        crashes: 0,
        balanced: true,
    }
}

/// Writes a run as a run is written.
fn written(contents: &Contents) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut journal = Journal::create(folder.path(), &contents.header).unwrap();
    let sessions = contents.sessions.iter().cloned().map(Line::Session);
    let samples = contents.retaken.iter().chain(contents.samples.values());
    let samples = samples.map(|sample| Line::Sample(Box::new(sample.clone())));
    let drawn = contents.timelines.iter().cloned();
    let drawn = drawn.map(|timeline| Line::Timeline(Box::new(timeline)));
    let ends = contents.ends.iter().cloned().map(Line::End);
    for line in sessions.chain(samples).chain(drawn).chain(ends) {
        journal.append(&line).unwrap();
    }
    derived::write_all(folder.path(), contents, &summary::rows(contents)).unwrap();
    folder
}

fn findings(folder: &TempDir) -> Vec<String> {
    let checked = verified(folder.path());
    checked.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn an_honest_run_is_verified_packed_or_not() {
    let folder = written(&contents());
    assert_eq!(findings(&folder), Vec::<String>::new());
    let checked = verified(folder.path());
    assert_eq!(
        (checked.rows, checked.samples, checked.operations),
        (2, 2, 10)
    );

    let pack = |name: &str| {
        let plain = folder.path().join(name);
        let packed = fs::File::create(folder.path().join(format!("{name}.gz"))).unwrap();
        let mut packer = flate2::write::GzEncoder::new(packed, Default::default());
        packer.write_all(&fs::read(&plain).unwrap()).unwrap();
        packer.finish().unwrap();
        plain
    };
    fs::remove_file(pack("clients.csv")).unwrap();
    let plain = pack(journal::FILE_NAME);
    assert_eq!(findings(&folder), Vec::<String>::new());
    fs::OpenOptions::new()
        .append(true)
        .open(&plain)
        .unwrap()
        .write_all(b"{}")
        .unwrap();
    let found = findings(&folder);
    assert_eq!(
        found,
        ["journal.ndjson.gz: it is another journal than journal.ndjson"]
    );
    fs::remove_file(plain).unwrap();
    assert_eq!(findings(&folder), Vec::<String>::new());
}

#[test]
fn a_changed_value_of_a_table_is_named_by_file_row_and_column() {
    let check = |file: &str, from: &str, to: &str, want: &str| {
        let folder = written(&contents());
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let found = findings(&folder);
        assert!(found.iter().any(|found| found == want), "{found:?}");
    };
    check(
        "summary.csv",
        ",5,0,1,0,0,",
        ",4,1,1,0,0,",
        "summary.csv, row 13, clients_ok: 4 is written, 5 follows from the journal",
    );
    check(
        "summary.csv",
        ",5,0,1,0,0,",
        ",4,0,1,0,0,",
        "summary.csv, row 13, clients_ok: clients_ok + clients_failed are not client_workers",
    );
    check(
        "summary.csv",
        ",ok,",
        ",fine,",
        "summary.csv, row 13, status: unknown status 'fine'",
    );
    check(
        "summary.csv",
        "makespan_s",
        "makespan",
        "summary.csv, line 1: the column makespan_s is missing",
    );
    check(
        "clients.csv",
        "0.000050998",
        "0.000050999",
        "clients.csv, row 13, repeat 0, client 1, request 0, connected_s: 0.000050999 is written, 0.000050998 follows from the journal",
    );
    check(
        "run.json",
        "\"ok\": 2",
        "\"ok\": 3",
        "run.json, totals.ok: 3 is written, 2 follows from the journal",
    );
    check(
        "run.json",
        "\"schema\"",
        "\"more\": 1, \"schema\"",
        "run.json, more: the journal gives no such key",
    );
}

#[test]
fn missing_rows_and_files_are_found() {
    let folder = written(&contents());
    let path = folder.path().join("summary.csv");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.push(lines[2]);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    fs::remove_file(folder.path().join("clients.csv")).unwrap();
    assert_eq!(
        findings(&folder),
        [
            "summary.csv: 3 rows are written, 2 follow from the journal",
            "clients.csv: it is missing",
            "summary.csv, row 14, no: there is more than one row of this number",
        ]
    );
    let nowhere = verified(Path::new("/nonexistent/run"));
    let finding = nowhere.findings[0].to_string();
    assert!(
        finding.starts_with("journal.ndjson: it is not there"),
        "{finding}"
    );
    assert!(super::text(&nowhere).starts_with("/nonexistent/run: NOT consistent, 1 finding:\n"));
}

/// What is found after `change` of the journal, with the tables written anew from it.
fn found_after(change: impl FnOnce(&mut Contents)) -> Vec<String> {
    let mut contents = contents();
    change(&mut contents);
    findings(&written(&contents))
}

fn check_change(change: impl FnOnce(&mut Measurement), want: &str) {
    let found = found_after(|contents| {
        let sample = contents.samples.get_mut(&(13, 0)).unwrap();
        change(&mut sample.measurement);
    });
    let is_found = found.iter().any(|found| found.contains(want));
    assert!(is_found, "no '{want}' in {found:?}");
}

#[test]
fn a_changed_fact_of_the_journal_contradicts_the_others() {
    check_change(
        |it| it.status = Status::Failed,
        "journal.ndjson, row 13, repeat 0: its status is failed, but ok follows",
    );
    check_change(
        |it| it.records[0].bytes -= 1,
        "its status is ok, but inconsistent follows",
    );
    check_change(
        |it| {
            it.records[0].bytes -= 1;
            it.records[0].verified_bytes -= 1;
        },
        "4999999 bytes ok at the clients, 5000000 at the server",
    );
    check_change(
        |it| {
            it.records.pop();
        },
        "5 operations were planned, but 4 records",
    );
    check_change(|it| it.done = None, "but server_lost follows");
    check_change(
        |it| it.done.as_mut().unwrap().sum.requests.ok.upload = 6,
        "the workers' 5 are 6 in the server's sum",
    );
    check_change(
        |it| it.records[2].released_ns -= 1,
        "its clients were not released at one time",
    );
    check_change(|it| it.cell.volume += 1, "no such row is in the plan");
    check_change(
        |it| it.status = Status::NotRun,
        "but something was measured",
    );
}

fn check_sample(change: impl FnOnce(&mut Sample), want: &str) {
    let found = found_after(|contents| {
        let five_workers = contents.samples.get_mut(&(14, 0)).unwrap();
        let ready = testing::ready();
        let workers = &mut five_workers.measurement.done.as_mut().unwrap().workers;
        for (worker, pid) in workers.iter_mut().zip(&ready.worker_pids) {
            worker.pid = *pid;
        }
        five_workers.measurement.ready = Some(ready);
        change(five_workers);
    });
    match want {
        "" => assert_eq!(found, Vec::<String>::new()),
        want => {
            let is_found = found.iter().any(|found| found.contains(want));
            assert!(is_found, "no '{want}' in {found:?}");
        }
    }
}

#[test]
fn a_server_that_contradicts_its_settings_or_itself_is_found() {
    fn done(sample: &mut Sample) -> &mut Done {
        sample.measurement.done.as_mut().unwrap()
    }
    fn ready(sample: &mut Sample) -> &mut proto::announce::Ready {
        sample.measurement.ready.as_mut().unwrap()
    }
    check_sample(|_| {}, "");
    check_sample(
        |it| done(it).cpu_user_us -= 1,
        "user CPU time: the workers' 5 µs are 4 in the server's sum",
    );
    check_sample(
        |it| done(it).workers[3].cpu_system_us = Some(2),
        "system CPU time: the workers' 6 µs are 5 in the server's sum",
    );
    // Threads have none of their own.
    check_sample(|it| done(it).workers[3].cpu_user_us = None, "");
    check_sample(
        |it| ready(it).settings.durability = "full".into(),
        "the settings ask for durability none, and the server says full",
    );
    check_sample(
        |it| ready(it).settings.congestion = "bbr".into(),
        "the settings ask for congestion auto, and the server says bbr",
    );
    check_sample(
        |it| done(it).workers[2].pid = 99,
        "its worker processes were 2, 3, 4, 5, 6 when it was ready, and are 2, 3, 5, 6, 99 in its ledger",
    );
    check_sample(
        |it| ready(it).worker_pids[2] = 99,
        "its worker processes were 2, 3, 5, 6, 99 when it was ready",
    );
    // One that died has a successor; the others are who they were.
    let replace = |it: &mut Sample| {
        done(it).workers[2].pid = 99;
        done(it).workers[2].generations = 2;
    };
    check_sample(replace, "");
    check_sample(
        |it| {
            replace(it);
            done(it).workers[1].pid = 98;
        },
        "and are 2, 5, 6, 98 in its ledger",
    );
    check_sample(
        |it| it.wall_ns = Some(7_000_000),
        "row 14, repeat 0: the whole sample took 7000000 ns, and its window alone ",
    );
    check_sample(
        |it| it.wall_ns = Some(990_000_000),
        "session 0: its samples took 1010000000 ns, and all of it 1000000000",
    );
}

#[test]
fn samples_with_one_anothers_records_are_found_and_a_clock_that_was_set_back_is_a_warning() {
    let found = found_after(|contents| {
        let records = |contents: &mut Contents, number: u32| {
            std::mem::take(
                &mut contents
                    .samples
                    .get_mut(&(number, 0))
                    .unwrap()
                    .measurement
                    .records,
            )
        };
        let (first, second) = (records(contents, 13), records(contents, 14));
        contents
            .samples
            .get_mut(&(13, 0))
            .unwrap()
            .measurement
            .records = second;
        contents
            .samples
            .get_mut(&(14, 0))
            .unwrap()
            .measurement
            .records = first;
    });
    let want = "journal.ndjson, row 14, repeat 0: its clients were released before those of row 13, repeat 0";
    assert!(
        found.iter().any(|found| found.starts_with(want)),
        "{found:?}"
    );

    let mut contents = contents();
    let earlier = "2026-11-24T03:00:00Z".to_owned();
    contents
        .samples
        .get_mut(&(14, 0))
        .unwrap()
        .measurement
        .started_utc = earlier;
    let checked = verified(written(&contents).path());
    assert_eq!(checked.findings, []);
    let warning = checked.warnings[0].to_string();
    let want = "journal.ndjson, row 14, repeat 0: by the calendar it began before row 13, repeat 0";
    assert!(warning.starts_with(want), "{warning}");
    let text = super::text(&checked);
    assert!(
        text.contains(": consistent: 2 rows (2 ok), 2 samples, 10 operations\n  warning: "),
        "{text}"
    );
}

#[test]
fn what_is_consistent_need_not_be_ok() {
    let mut contents = contents();
    let sample = contents.samples.get_mut(&(13, 0)).unwrap();
    sample.measurement.status = Status::ServerLost;
    sample.measurement.done = None;
    let (lost, fine) = (written(&contents), written(&self::contents()));
    let checked = [verified(lost.path()), verified(fine.path())];
    let text = super::text(&checked[0]);
    assert!(
        text.contains(": consistent: 2 rows (1 ok), 2 samples"),
        "{text}"
    );
    let want = "2 runs, all consistent: 4 rows (3 ok), 4 samples, 20 operations\n";
    assert_eq!(super::total(&checked), want);
    assert_eq!(super::total(&checked[..1]), "");
    fs::remove_file(fine.path().join("clients.csv")).unwrap();
    let checked = [verified(lost.path()), verified(fine.path())];
    let total = super::total(&checked);
    assert!(
        total.starts_with("2 runs, 1 consistent: 4 rows (3 ok)"),
        "{total}"
    );
}

#[test]
fn bytes_of_a_foreign_server_are_those_of_the_volume() {
    let found = found_after(|contents| {
        contents.header.fingerprint.settings.server = testing::foreign("x {port} {root}");
        for sample in contents.samples.values_mut() {
            sample.measurement.done = None;
        }
        let sample = contents.samples.get_mut(&(13, 0)).unwrap();
        sample.measurement.records[0].bytes = 7;
        sample.measurement.records[0].verified_bytes = 7;
    });
    assert_eq!(
        found,
        [
            "journal.ndjson, row 13, repeat 0: client 0, request 0: 7 bytes are verified, not the volume"
        ]
    );
}

#[test]
fn samples_that_overlap_belong_to_no_session_or_were_taken_twice_are_found() {
    let found = found_after(|contents| {
        for record in &mut contents
            .samples
            .get_mut(&(14, 0))
            .unwrap()
            .measurement
            .records
        {
            let later = 995_000_000;
            record.released_ns -= later;
            for time in [
                &mut record.connected_ns,
                &mut record.first_byte_ns,
                &mut record.ended_ns,
            ] {
                *time = time.map(|time| time - later);
            }
        }
    });
    assert_eq!(
        found,
        ["journal.ndjson, row 14, repeat 0: it was measured at the same time as row 13, repeat 0"]
    );
    let found = found_after(|contents| contents.samples.get_mut(&(14, 0)).unwrap().session = 4);
    assert_eq!(
        found,
        ["journal.ndjson, row 14, repeat 0: it belongs to no session"]
    );
    let found = found_after(|contents| {
        let again = contents.samples[&(13, 0)].clone();
        contents.add(Line::Sample(Box::new(again)));
    });
    assert!(
        found
            .iter()
            .any(|found| found.contains("it was taken twice")),
        "{found:?}"
    );
}

#[test]
fn a_failed_sample_that_was_taken_again_later_is_fine() {
    let found = found_after(|contents| {
        let mut failed = contents.samples[&(13, 0)].clone();
        failed.measurement.status = Status::ServerLost;
        failed.measurement.done = None;
        for record in &mut failed.measurement.records {
            *record = Record {
                outcome: Outcome::NotSent,
                ..Record::not_sent(record.client, 0)
            };
        }
        contents.retaken.push(failed);
        let mut session = testing::session();
        session.number = 1;
        contents.sessions.push(session);
        contents.samples.get_mut(&(13, 0)).unwrap().session = 1;
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_schemas_are_what_the_types_say() {
    crate::schemas::keep::<AllJson<'_>>("verify", "stress verify --json");
}
