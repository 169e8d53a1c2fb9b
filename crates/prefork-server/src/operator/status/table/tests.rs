use std::mem::take;

use proptest::prelude::*;
use proto::announce::WorkerLedger;

use super::*;

/// A status as it is served, with as many workers as `busy`.
fn status(busy: &[bool]) -> Status {
    let mut status: Status = serde_json::from_str(include_str!("tests/status.json")).unwrap();
    let worker = take(&mut status.workers).remove(0);
    for (slot, is_busy) in (0..).zip(busy) {
        let ledger = WorkerLedger {
            slot,
            ..worker.ledger.clone()
        };
        status.workers.push(Worker {
            ledger,
            is_busy: *is_busy,
            ..worker.clone()
        });
    }
    status
}

#[test]
fn eighty_columns_have_what_matters() {
    let page = Page::new(&status(&[false]), Order::Slots, Screen::of_columns(80));
    let text = page.text();
    for want in [
        "slot",
        "state",
        "conns",
        "errors",
        "bytes",
        "memory",
        "no room for: gen",
    ] {
        assert!(text.contains(want), "{want}: {text}");
    }
    let all = Page::new(&status(&[false]), Order::Slots, Screen::FILE).text();
    assert!(all.contains("peak") && !all.contains("no room"), "{all}");
}

#[test]
fn the_encoded_cache_has_a_line_where_there_is_one() {
    let text = |status: &Status| Page::new(status, Order::Slots, Screen::FILE).text();
    let mut status = status(&[false]);
    assert!(!text(&status).contains("encoded cache"));
    status.server.cached_bytes = Some(20 << 20);
    status.sum.counts.requests.sent_from_cache_bytes = 3 << 30;
    let said = text(&status);
    let want = "encoded cache: holds 20.0 MiB, has sent 3.0 GiB\n";
    assert!(said.contains(want), "{said}");
}

#[test]
fn with_more_workers_than_rows_the_head_stays_and_the_busy_come_first() {
    let mut busy = [false; 50];
    busy[47] = true;
    let page = Page::new(&status(&busy), Order::BusyFirst, Screen::of_columns(80));
    let lines = page.within(23);
    assert_eq!(lines.len(), 23);
    assert!(lines[0].starts_with("prefork-server"), "{lines:?}");
    let heads = lines
        .iter()
        .position(|line| line.trim_start().starts_with("slot"))
        .unwrap();
    let first = lines[heads + 1].trim_start();
    assert!(
        first.starts_with("47 ") && first.contains(" busy "),
        "{first}"
    );
    let shown = lines.len() - heads - 2;
    let last = format!(
        "… and {} more lines; without --watch all are shown",
        50 - shown
    );
    assert_eq!(lines[22], last);
    // All of it where there is room.
    assert_eq!(page.within(200).len(), page.text().lines().count());
}

#[test]
fn a_screen_too_small_for_the_head_has_its_beginning() {
    let page = Page::new(
        &status(&[true; 5]),
        Order::BusyFirst,
        Screen::of_columns(80),
    );
    let lines = page.within(4);
    assert_eq!(lines.len(), 4);
    assert_eq!(
        lines[3],
        "… and 5 more lines; without --watch all are shown"
    );
}

#[test]
fn one_is_no_plural() {
    let mut status = status(&[false]);
    status.server.workers_wanted = 1;
    status.sum.crashes = 1;
    status.sum.restarts = 1;
    let text = Page::new(&status, Order::Slots, Screen::FILE).text();
    for want in ["1 process worker wanted", "1 crash, 1 restart\n"] {
        assert!(text.contains(want), "{want}: {text}");
    }
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal(
        columns in 80..=200_usize,
        workers in prop::collection::vec((any::<bool>(), any::<u64>(), any::<u32>()), 0..90),
        root in "(/[a-z— ×]{1,40}){1,8}",
    ) {
        let busy: Vec<bool> = workers.iter().map(|(is_busy, _, _)| *is_busy).collect();
        let mut status = status(&busy);
        status.settings.root = root;
        for (worker, (_, large, small)) in status.workers.iter_mut().zip(&workers) {
            let ledger = &mut worker.ledger;
            (ledger.pid, ledger.generations, ledger.crashes) = (*small, *small, *small);
            ledger.counts.connections.accepted = *large;
            ledger.counts.connections.in_flight = *large;
            ledger.counts.requests.ok.get = *large / 2;
            ledger.counts.requests.ok_bytes.get = *large;
            ledger.counts.requests.errors.not_found = *large;
            ledger.cpu_user_us = Some(*large / 2);
            worker.rss_bytes = Some(*large);
        }
        let page = Page::new(&status, Order::BusyFirst, Screen::of_columns(columns));
        for line in page.text().lines() {
            prop_assert!(line.chars().count() <= columns, "{line}");
        }
    }
}
