use stress_data::journal::Line;
use stress_data::matrix::{Plan, Selection, ServerPool};
use stress_data::record::{Outcome, Record};
use stress_data::summary::statistics::Spread;
use stress_data::summary::{self, Flag};
use stress_data::testing;

use super::*;

/// Two cells, the second failed.
fn contents(repeats: u32) -> Contents {
    let selection = Selection {
        operations: vec![Operation::Download],
        volumes: vec![10 << 20],
        clients: vec![1],
        servers: vec![1, 5],
        ..Selection::default()
    };
    let mut contents = testing::contents(&selection, repeats);
    for (index, status, outcome) in [
        (0, Status::Ok, Outcome::Ok),
        (1, Status::Failed, Outcome::Reset),
    ] {
        for repeat in 0..repeats {
            let mut measurement = testing::measurement(&contents, index, repeat, status);
            measurement.records = vec![Record {
                client: 0,
                request: 0,
                released_ns: 0,
                started_ns: None,
                connected_ns: None,
                first_byte_ns: None,
                ended_ns: Some(5_000_000 + u64::from(repeat) * 1_000_000),
                bytes: 10 << 20,
                verified_bytes: if outcome == Outcome::Ok { 10 << 20 } else { 0 },
                outcome,
                detail: (outcome != Outcome::Ok).then(|| "connection reset by peer".into()),
            }];
            contents.add(Line::Sample(Box::new(testing::sample(measurement))));
        }
    }
    contents
}

fn rendered(repeats: u32, screen: Screen) -> String {
    let contents = contents(repeats);
    render(&contents, &summary::rows(&contents), screen)
}

#[test]
fn a_table_groups_rows_and_shows_failures() {
    let want = [
        "     client   server   time per  MB/s per      MB/s     clients    server workers",
        "no  workers  workers  client, s    client  together  ok  failed  ok  failed  idle  status",
        "download 10M (10,485,760 bytes), thread clients, process server",
        " 1        1        1     0.0050     2,097     2,097   1       0   -       -     -  ok",
        " 2        1        5          -         -         -   0       1   -       -     -  failed",
        "",
        "row 2, failed: connection reset by peer",
        "One sample per row: nothing is known of its spread; --repeat 3 shows it.",
        "2 rows, 1 ok, 1 failed, 0.0 s",
        "",
    ];
    assert_eq!(rendered(1, Screen::FILE), want.join("\n"));
}

#[test]
fn eighty_columns_have_all_of_it_but_the_blanks() {
    let want = [
        "    client  server  time per MB/s per     MB/s   clients server workers",
        "no workers workers client, s   client together ok failed ok failed idle status",
        "download 10M (10,485,760 bytes), thread clients, process server",
        " 1       1       1    0.0050    2,097    2,097  1      0  -      -    - ok",
        " 2       1       5         -        -        -  0      1  -      -    - failed",
        "",
        "row 2, failed: connection reset by peer",
        "One sample per row: nothing is known of its spread; --repeat 3 shows it.",
        "2 rows, 1 ok, 1 failed, 0.0 s",
        "",
    ];
    assert_eq!(rendered(1, Screen::of_columns(80)), want.join("\n"));
}

#[test]
fn repeats_add_a_column_of_spread() {
    let text = rendered(3, Screen::FILE);
    assert!(text.contains("   0.0060  ±16.7 %  "), "{text}");
    assert!(text.contains("Medians of 3 samples per row"), "{text}");
    let text = rendered(3, Screen::of_columns(80));
    assert!(text.contains(" 0.0060 ±16.7 % "), "{text}");
}

#[test]
fn a_row_that_was_cut_is_none_that_was_not_run() {
    let mut contents = contents(1);
    contents.header.fingerprint.repeats = 3;
    let mut cells = contents.header.fingerprint.cells.clone();
    cells.push(Cell {
        number: 81,
        ..cells[0].clone()
    });
    contents.header.fingerprint.cells = cells;
    let text = render(&contents, &summary::rows(&contents), Screen::FILE);
    assert!(text.contains("row 1, cut: 1 of 3 samples\n"), "{text}");
    let totals = "3 rows, 0 ok, 1 failed, 1 cut, 1 not run, 0.0 s";
    assert!(text.contains(totals), "{text}");
}

#[test]
fn a_heading_names_the_encoded_cache_that_its_servers_have() {
    let mut rows = summary::rows(&contents(1));
    rows.truncate(2);
    rows.push(rows[1].clone());
    let heads = |rows: &[Row]| {
        let heads = rows.iter().map(|row| heading(row, rows));
        let end = |it: String| it.rsplit_once(" server").unwrap().1.to_owned();
        heads.map(end).collect::<Vec<_>>()
    };
    // Runs from before there was one.
    assert_eq!(heads(&rows), ["", "", ""]);
    rows[1].encoded_cache_bytes = Some(512 << 20);
    // The server of another row was lost, and it had the same.
    assert_eq!(heads(&rows), [", encoded cache 512M"; 3]);
    rows[1].encoded_cache_bytes = Some(263_462_911);
    assert_eq!(heads(&rows), [", encoded cache 263.5 MB"; 3]);
    rows[2].cell.encoded_cache = Some(0);
    assert_eq!(heads(&rows)[2], ", no encoded cache");
}

#[test]
fn colours_change_nothing_but_colours() {
    let colourful = rendered(1, Screen::FILE.with_colours(true));
    let mut plain = colourful.clone();
    for code in ["\x1b[1m", "\x1b[31m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, rendered(1, Screen::FILE));
    assert!(colourful.contains("\x1b[31m 2 "), "{colourful}");
}

#[test]
fn rates_have_three_digits_or_more() {
    let check = |bytes_per_s, want| assert_eq!(rate_text(bytes_per_s), want);
    check(0, "0.00");
    check(1_234_567, "1.23");
    check(99_994_999, "99.99");
    check(99_995_000, "100");
    check(1_234_567_890, "1,235");
}

/// All 81 rows with numbers at their extremes, long notes, and headings with all that they can have.
#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut contents = contents(5);
    contents.header.fingerprint.cells = Plan::new(&Selection::default()).cells;
    for (index, cell) in (0_u32..).zip(&mut contents.header.fingerprint.cells) {
        cell.number = u32::MAX - index;
        (cell.clients, cell.servers) = (u32::MAX, u32::MAX);
        cell.volume = (1 << 40) - 1;
        (cell.client_buffer, cell.server_buffer) = (Some((1 << 30) - 1), Some((1 << 30) - 1));
        cell.encoded_cache = Some((1 << 40) - 1);
        cell.server_pool = ServerPool::Process;
        cell.fault = "slow-client:1048575K:1000".parse().unwrap();
    }
    let mut rows = summary::rows(&contents);
    assert_eq!(rows.len(), 81);
    for (index, row) in (0_u32..).zip(&mut rows) {
        row.time_ns = Spread::of([u64::MAX, u64::MAX, 0]);
        row.throughput_bytes_per_s = Some(u64::MAX >> (index % 64));
        row.aggregate_bytes_per_s = Some(u64::MAX);
        row.flags = Flag::ALL.to_vec();
        row.notes = vec!["a note — of … a path ".to_owned() + &"/long".repeat(60)];
        row.status = if index.is_multiple_of(2) {
            Status::Ok
        } else {
            Status::NotRun
        };
    }
    testing::check_fits(|screen| render(&contents, &rows, screen));
}

#[test]
fn uploads_say_what_the_server_promised_about_them() {
    let selection = Selection {
        operations: vec![Operation::Download, Operation::Upload],
        volumes: vec![10 << 20],
        clients: vec![1],
        servers: vec![1],
        ..Selection::default()
    };
    let contents = testing::contents(&selection, 1);
    let mut rows = stress_data::summary::rows(&contents);
    assert_eq!(
        heading(&rows[0], &rows),
        "download 10M (10,485,760 bytes), thread clients, process server"
    );
    // As it was asked for, until the server has said it.
    let upload = "upload 10M (10,485,760 bytes), thread clients, process server, durability";
    assert_eq!(heading(&rows[1], &rows), format!("{upload} none"));
    rows[1].durability = Some("full".into());
    assert_eq!(heading(&rows[1], &rows), format!("{upload} full"));
}
