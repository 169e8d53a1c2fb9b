//! The kept run of all 81 rows, which was kept without its journal, put together again from its operations: what
//! is in `clients.csv`, and of `summary.csv` only what the server said.

use std::collections::HashMap;
use std::path::PathBuf;

use super::made_up::{ledger, worker};
use crate::environment::{CpuTicks, Machine};
use crate::fingerprint::Binary;
use crate::journal::{Contents, End, Line, Sample, Session};
use crate::matrix::Selection;
use crate::measurement::{Measurement, Status};
use crate::record::{Outcome, Record};
use crate::summary;
use crate::testing;

/// Its name.
pub(super) const NAME: &str = "20261124T063008Z-kept-all81";
const RELEASED_NS: u64 = 1_000_000_000;

type Fields = HashMap<String, String>;

/// What its journal said, as far as tables and reports go.
pub(super) fn contents() -> Contents {
    let run: serde_json::Value = serde_json::from_str(&read("run.json")).unwrap();
    let mut contents = testing::contents(&Selection::default(), 1);
    let header = &mut contents.header;
    header.label = "kept-all81".into();
    header.created_utc = run["created_utc"].as_str().unwrap().into();
    header.fingerprint.machine =
        Machine::clone(&serde_json::from_value(run["machine"].clone()).unwrap());
    header.fingerprint.binary =
        Binary::clone(&serde_json::from_value(run["binary"].clone()).unwrap());
    let session = &run["sessions"][0];
    contents.add(Line::Session(Session::clone(
        &serde_json::from_value(session.clone()).unwrap(),
    )));
    let mut records: HashMap<u32, Vec<Record>> = HashMap::new();
    for_each_row("clients.csv", |fields| {
        let record = record(&fields);
        records
            .entry(number(&fields, "no"))
            .or_default()
            .push(record);
    });
    let mut index = 0;
    for_each_row("summary.csv", |row| {
        let records = records.remove(&number(&row, "no")).unwrap();
        let sample = sample(&contents, index, &row, records);
        contents.add(Line::Sample(Box::new(sample)));
        index += 1;
    });
    contents.add(Line::End(End {
        session: 0,
        ended_utc: session["ended_utc"].as_str().unwrap().into(),
        wall_ns: session["wall_ns"].as_u64().unwrap(),
        cpu: Some(CpuTicks {
            total: 1_000,
            idle: 0,
            steal: session["steal_permille"].as_u64().unwrap(),
        }),
        interrupted: false,
    }));
    contents
}

/// Whoever computes rows from operations gets the rows that were kept.
#[test]
fn the_kept_rows_follow_from_the_kept_operations() {
    let contents = contents();
    let mut written = Vec::new();
    summary::csv::write(&summary::rows(&contents), &mut written).unwrap();
    let written = String::from_utf8(written).unwrap();
    // Columns that came later are not in it.
    let kept = read("summary.csv");
    let columns: Vec<&str> = kept.lines().next().unwrap().split(',').collect();
    let mut reader = csv::Reader::from_reader(written.as_bytes());
    let rows: Vec<Fields> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 81);
    let mut rows = rows.iter();
    for_each_row("summary.csv", |kept| {
        let row = rows.next().unwrap();
        for column in &columns {
            assert_eq!(row[*column], kept[*column], "row {}, {column}", kept["no"]);
        }
    });
}

fn sample(contents: &Contents, index: usize, row: &Fields, records: Vec<Record>) -> Sample {
    let mut ready = testing::ready();
    ready.workers = number(row, "server_workers");
    ready.settings.durability = row["durability"].clone();
    let ok = number(row, "server_workers_ok");
    let workers = (0..ready.workers).map(|slot| worker(slot, u64::from(slot < ok)));
    let mut done = ledger(workers.collect());
    done.cpu_user_us = number::<f64>(row, "server_cpu_s").mul_add(1e6, 0.5) as u64;
    done.peak_rss_bytes = Some(number(row, "server_peak_rss_bytes"));
    let has_steal = row["flags"].contains("steal");
    Sample {
        session: 0,
        cpu: Some(CpuTicks {
            total: 100,
            idle: 0,
            steal: if has_steal { 3 } else { 0 },
        }),
        is_warmup: false,
        wall_ns: None,
        measurement: Measurement {
            records,
            ready: Some(ready),
            done: Some(done),
            client_cpu_us: Some(number::<f64>(row, "client_cpu_s").mul_add(1e6, 0.5) as u64),
            ..testing::measurement(contents, index, 0, Status::Ok)
        },
    }
}

fn record(fields: &Fields) -> Record {
    let at =
        |column: &str| Some(RELEASED_NS + (number::<f64>(fields, column) * 1e9).round() as u64);
    assert_eq!(fields["outcome"], "ok");
    Record {
        released_ns: RELEASED_NS,
        connected_ns: at("connected_s"),
        first_byte_ns: at("first_byte_s"),
        ended_ns: at("ended_s"),
        bytes: number(fields, "bytes"),
        verified_bytes: number(fields, "verified_bytes"),
        outcome: Outcome::Ok,
        ..Record::not_sent(number(fields, "client"), number(fields, "request"))
    }
}

fn number<T: std::str::FromStr>(fields: &Fields, column: &str) -> T {
    let text = &fields[column];
    text.parse().unwrap_or_else(|_| panic!("{column}: {text}"))
}

/// One row at a time: eleven thousand of them would fill the memory that other tests of this process watch.
fn for_each_row(name: &str, mut use_row: impl FnMut(Fields)) {
    let text = read(name);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    for row in reader.deserialize() {
        use_row(row.unwrap());
    }
}

fn read(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../results")
        .join(NAME);
    std::fs::read_to_string(folder.join(name)).unwrap()
}
