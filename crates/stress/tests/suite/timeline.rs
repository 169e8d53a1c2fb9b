//! Rows that are drawn: measured once more at the end of a run, with the server's access log.

use std::collections::BTreeSet;
use std::fs;

use stress_data::journal::Timeline;
use stress_data::matrix::{Operation, Plan, Selection};
use stress_data::measurement::Status;

use crate::support::{self, Ended, python};

const SIX_OF_FIVE: [&str; 7] = [
    "--op=download",
    "--size=1M",
    "--clients=6",
    "--servers=5",
    "--requests=1",
    "--encoded-cache=0",
    "--timeout=60s",
];

fn run(more: &[&str]) -> Ended {
    support::run(&[&SIX_OF_FIVE[..], more].concat())
}

/// That the row is drawn.
fn drawn() -> String {
    let selection = Selection {
        operations: vec![Operation::Download],
        volumes: vec![1 << 20],
        clients: vec![6],
        servers: vec![5],
        ..Selection::default()
    };
    format!("--timeline={}", Plan::new(&selection).cells[0].number)
}

fn only(ended: &Ended) -> Timeline {
    let mut timelines = ended.contents().timelines;
    assert_eq!(timelines.len(), 1, "{}", ended.errors);
    timelines.remove(0)
}

#[test]
fn five_workers_take_five_clients_and_the_sixth_waits() {
    let ended = run(&[&drawn()]);
    // With the run's own verification of all that the timeline says.
    assert!(ended.status.success(), "{}", ended.errors);
    let timeline = only(&ended);
    assert_eq!(timeline.sample.measurement.status, Status::Ok);
    let mut served = timeline.served;
    served.sort_by_key(|it| it.began_ns);
    let mut clients: Vec<u32> = served.iter().filter_map(|it| it.client).collect();
    clients.sort_unstable();
    assert_eq!(clients, [0, 1, 2, 3, 4, 5]);
    // Whoever comes last finds no worker free until one is done with another.
    let last = served.pop().unwrap();
    let first_end = served.iter().map(|it| it.ended_ns).min().unwrap();
    assert!(last.began_ns >= first_end, "{last:?} after {served:?}");
    let records = timeline.sample.measurement.records;
    let record = &records[last.client.unwrap() as usize];
    assert!(record.first_byte_ns.unwrap() >= last.began_ns);

    let contents = ended.contents();
    assert_eq!(contents.samples.len(), 1, "it counts as no sample");
    let page = fs::read_to_string(ended.run().join("report.html")).unwrap();
    let section = page.split_once("<section id=\"timeline\">").unwrap().1;
    let section = section.split_once("</section>").unwrap().0;
    let lanes = |name: &str| section.matches(&format!(": {name}, ")).count();
    let workers: BTreeSet<u32> = contents.timelines[0]
        .served
        .iter()
        .map(|it| it.worker)
        .collect();
    assert_eq!(lanes("a worker serves a client"), workers.len());
    assert_eq!(lanes("its bytes move"), 6);
}

#[test]
fn rows_are_drawn_as_asked_for_and_of_a_foreign_server_the_clients_alone() {
    let ended = run(&["--timeline=none"]);
    assert!(ended.status.success(), "{}", ended.errors);
    assert_eq!(ended.contents().timelines, []);

    let ended = run(&["--timeline=999"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended
            .errors
            .contains("--timeline: row 999 is not in this run"),
        "{}",
        ended.errors
    );
    let ended = run(&["--timeline=two"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended.errors.contains("such as 7,27, or none"),
        "{}",
        ended.errors
    );

    let Some(python) = python() else { return };
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../scripts/reference_server.py"
    );
    let command =
        format!("{python} -S '{script}' --port {{port}} --workers {{workers}} --root {{root}}");
    let mut args = SIX_OF_FIVE.to_vec();
    args.retain(|it| !it.starts_with("--encoded-cache"));
    let (drawn, foreign) = (drawn(), ["--server-cmd", &command]);
    let ended = support::run(&[&args[..], &[&drawn], &foreign].concat());
    assert!(ended.status.success(), "{}", ended.errors);
    let timeline = only(&ended);
    assert_eq!(timeline.sample.measurement.status, Status::Ok);
    assert_eq!(timeline.served, []);
}
