//! Two made-up runs with known times beside each other.

use stress_data::journal::{Contents, Line};
use stress_data::matrix::{Operation, Selection};
use stress_data::measurement::Status;
use stress_data::record::{Outcome, Record};
use stress_data::run::Run;
use stress_data::testing;

use super::*;

/// A run of two cells whose samples took these milliseconds; a 0 is a sample that failed.
fn contents(times_ms: [&[u64]; 2]) -> Contents {
    let selection = Selection {
        operations: vec![Operation::Download],
        volumes: vec![10 << 20],
        clients: vec![1],
        servers: vec![1, 5],
        ..Selection::default()
    };
    let repeats = u32::try_from(times_ms[0].len()).unwrap();
    let mut contents = testing::contents(&selection, repeats);
    for (index, times_ms) in times_ms.into_iter().enumerate() {
        for (repeat, ms) in (0..).zip(times_ms) {
            let status = if *ms == 0 { Status::Failed } else { Status::Ok };
            let mut measurement = testing::measurement(&contents, index, repeat, status);
            measurement.records = vec![Record {
                ended_ns: Some(ms * 1_000_000),
                bytes: 10 << 20,
                verified_bytes: if *ms == 0 { 0 } else { 10 << 20 },
                outcome: if *ms == 0 {
                    Outcome::Reset
                } else {
                    Outcome::Ok
                },
                ..Record::not_sent(0, 0)
            }];
            contents.add(Line::Sample(Box::new(testing::sample(measurement))));
        }
    }
    contents
}

/// What the two come to: the table, the JSON, and how many regressions.
fn compared(old: &Contents, new: &Contents, metric: Metric) -> (String, serde_json::Value, usize) {
    let run = |name: &str, contents: &Contents| Run::new(name.into(), contents.clone());
    let (old, new) = (run("a", old), run("b", new));
    let comparison = Comparison::new(&old, &new, metric).unwrap();
    testing::check_fits(|screen| table(&comparison, screen));
    (
        table(&comparison, Screen::FILE),
        json(&comparison),
        comparison.regressions(),
    )
}

#[test]
fn a_comparison_shows_each_change_with_its_interval() {
    let old = contents([&[100, 102, 104, 101, 103], &[50, 51, 52, 53, 54]]);
    let mut new = contents([&[101, 102, 105, 99, 103], &[90, 88, 85, 86, 99]]);
    new.header.fingerprint.machine.cores = 4;
    // Nobody would see the difference between 17.2 GB and 17.2 GB.
    new.header.fingerprint.machine.memory_bytes += 4_096;
    let (table, json, regressions) = compared(&old, &new, Metric::TimePerClientS);
    let want = [
        "OLD a",
        "NEW b",
        "cores: 2 in OLD, 4 in NEW",
        "time_per_client_s, seconds, less is better",
        "",
        "no  clients  servers     OLD     NEW   change  interval         verdict",
        "download 10M (10,485,760 bytes), thread clients, process server",
        " 1        1        1  0.1020  0.1020    0.0 %  -2.9 … +3.0 %    no difference seen",
        " 2        1        5  0.0520  0.0880  +69.8 %  +60.4 … +90.4 %  differs",
        "",
        "geometric mean of download, 2 rows: +31.2 % (+9.7 … +56.9 %): chance is not ruled out",
        "intervals beside 'no change': 1 of 2; by chance alone about 0.1",
        "The runs were made one after the other: what differs may be the machine. Subjects of one run tell which is better.",
        "2 rows compared: 1 no difference seen, 1 differs",
        "",
    ];
    let got: Vec<&str> = table.split('\n').map(str::trim_end).collect();
    assert_eq!(got, want);
    assert_eq!(regressions, 1);
    assert_eq!(json["regressions"], 1);
    assert_eq!(json["is_worse"], true);
    assert_eq!(json["means"][0]["operation"], "download");
    assert_eq!(json["rows"][1]["verdict"], "differs");
    assert_eq!(json["rows"][1]["new"]["median"], 0.088);
    assert_eq!(json["conditions"][0]["name"], "cores");
    let confidence = json["rows"][1]["confidence"].as_f64().unwrap();
    assert!((confidence - (1.0 - 8.0 / 252.0)).abs() < 1e-9);
}

#[test]
fn one_sample_has_no_interval_and_says_so() {
    let (old, new) = (contents([&[100], &[100]]), contents([&[110], &[70]]));
    let (table, json, regressions) = compared(&old, &new, Metric::TimePerClientS);
    assert_eq!(regressions, 0);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[6].contains("+10.0 %  one sample"), "{table}");
    assert!(lines[6].ends_with("needs 7 repeats"), "{table}");
    assert!(lines[7].ends_with("needs 7 repeats"), "{table}");
    assert!(table.contains("chance is not ruled out"), "{table}");
    assert!(table.contains("nothing is known of its spread"), "{table}");
    assert!(json["rows"][0]["confidence"].is_null());
}

#[test]
fn what_broke_is_a_regression_and_what_was_repaired_is_none() {
    let (old, new) = (contents([&[100], &[0]]), contents([&[0], &[100]]));
    let (table, _, regressions) = compared(&old, &new, Metric::TimePerClientS);
    assert_eq!(regressions, 1);
    assert!(table.contains("ok, then failed  broken\n"), "{table}");
    assert!(table.contains("failed, then ok  repaired\n"), "{table}");
}

#[test]
fn of_throughput_more_is_better() {
    let times: [&[u64]; 2] = [&[100, 101, 102, 103, 104], &[100, 101, 102, 103, 104]];
    let other: [&[u64]; 2] = [&[50, 51, 52, 51, 50], &[200, 203, 201, 202, 200]];
    let (old, new) = (contents(times), contents(other));
    let (table, _, regressions) = compared(&old, &new, Metric::AggregateBytesPerS);
    assert_eq!(regressions, 1);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[2].ends_with(", MB/s, more is better"), "{table}");
    assert!(
        lines[6].contains(" 103    206 ") && lines[6].ends_with("differs"),
        "{table}"
    );
    assert!(lines[7].ends_with("differs"), "{table}");
}

/// As [`compared`] checks for every comparison here.
#[test]
fn no_line_is_wider_than_the_terminal() {
    let times: [&[u64]; 2] = [&[1, 1_000_000_000], &[999_999_999_999]];
    let (mut old, mut new) = (contents(times), contents([&[3, 10_000_000_000], &[0]]));
    for (cells, most) in [(&mut old, u32::MAX), (&mut new, u32::MAX - 7)] {
        cells.header.fingerprint.machine.cpu_model = format!("A CPU — {most} ").repeat(40);
    }
    compared(&old, &new, Metric::TimePerClientS);
}

#[test]
fn the_schemas_are_what_the_types_say() {
    crate::schemas::keep::<program::ComparisonJson<'_>>("compare", "stress compare --json");
}
