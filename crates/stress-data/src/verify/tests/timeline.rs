//! The journal's timelines: what their workers served fits what their clients did, and the server's ledger.

use super::*;
use crate::journal::{Served, Timeline};

/// The second row once more: its first worker served the five clients one after the other.
fn timeline(contents: &Contents) -> Timeline {
    let Line::Sample(mut sample) = sample(contents, 1) else {
        unreachable!("it is a sample")
    };
    sample.measurement.repeat = 1;
    for record in &mut sample.measurement.records {
        let times = [
            &mut record.connected_ns,
            &mut record.first_byte_ns,
            &mut record.ended_ns,
        ];
        for (at, later_ns) in times.into_iter().zip([70_003, 81_007, 90_011]) {
            *at = at.map(|ns| ns + 1_000_000_000 + later_ns);
        }
        record.released_ns += 1_000_000_000;
    }
    let released_ns = sample.measurement.records[0].released_ns;
    let served = |client: u32| Served {
        worker: 0,
        client: Some(client),
        began_ns: released_ns + 1_000_000 * u64::from(client) + 900_000,
        ended_ns: released_ns + 1_000_000 * u64::from(client) + 1_900_000,
        bytes: VOLUME,
    };
    Timeline {
        sample: *sample,
        served: (0..5).map(served).collect(),
    }
}

fn found(change: impl FnOnce(&mut Timeline)) -> Vec<String> {
    let mut contents = contents();
    let mut timeline = timeline(&contents);
    change(&mut timeline);
    contents.add(Line::Timeline(Box::new(timeline)));
    findings(&written(&contents))
}

#[test]
fn an_honest_timeline_is_verified_and_counts_as_no_sample() {
    assert_eq!(found(|_| {}), Vec::<String>::new());
    assert_eq!(found(|it| it.served.clear()), Vec::<String>::new());
    let mut with = contents();
    with.add(Line::Timeline(Box::new(timeline(&with))));
    assert_eq!(summary::rows(&with), summary::rows(&contents()));
    let folder = written(&with);
    assert_eq!(Contents::read(folder.path()).unwrap(), with);
}

#[test]
fn a_timeline_that_its_clients_or_its_ledger_contradict_is_found() {
    let check = |change: fn(&mut Timeline), want: &str| {
        let found = found(change);
        assert!(
            found.iter().any(|it| it.contains(want)),
            "{want}: {found:?}"
        );
    };
    check(|it| it.served[2].began_ns = 1, "that no client made then");
    check(
        |it| it.served[2].client = Some(9),
        "that no client made then",
    );
    check(|it| it.served[2].ended_ns = 1, "that no client made then");
    check(
        |it| it.served[4].worker = 1,
        "worker 1 served 1 request, and its ledger says 0",
    );
    check(
        |it| it.served.truncate(4),
        "worker 0 served 4 requests, and its ledger says 5",
    );
    check(|it| it.served[4].worker = 7, "there is no worker 7");
    check(
        |it| it.served[0].bytes += 1,
        "its workers moved 5000001 bytes, and its clients verified 5000000",
    );
    check(
        |it| it.served[0].ended_ns += 500_000,
        "worker 0 served two requests at once",
    );
    check(
        |it| it.sample.measurement.repeat = 0,
        "a row has one timeline, taken after its samples",
    );
    check(
        |it| it.sample.measurement.records[0].verified_bytes += 1,
        "verified, not the volume",
    );
}
