use proptest::prelude::*;

use super::*;

fn table() -> Table {
    let mut table = Table::new([
        Column::number("no"),
        Column::number("workers").under("client"),
        Column::number("client, s")
            .under("time per")
            .short("s per", "client"),
        Column::number("ok").under("clients"),
        Column::number("failed").under("clients"),
        Column::number("idle").under("server workers").spare(1),
        Column::text("status"),
    ]);
    table.heading("download 10M, thread clients");
    table.row(["1", "5", "0.0277", "5", "0", "0", "ok"]);
    table.bad_row(["2", "50", "12.3456", "49", "1", "3", "failed"]);
    table.note("row 2: 1 of 50 clients failed");
    table
}

fn check(screen: Screen, want: &[&str]) {
    let got = table().render(screen);
    assert_eq!(got.lines().collect::<Vec<_>>(), want);
}

#[test]
fn with_room_all_is_there() {
    check(
        Screen::FILE,
        &[
            "     client   time per     clients  server workers",
            "no  workers  client, s  ok  failed            idle  status",
            "download 10M, thread clients",
            " 1        5     0.0277   5       0               0  ok",
            " 2       50    12.3456  49       1               3  failed",
            "    row 2: 1 of 50 clients failed",
        ],
    );
}

#[test]
fn with_less_room_it_is_denser_then_shorter_then_has_fewer_columns() {
    check(
        Screen::of_columns(52),
        &[
            "    client  time per   clients server workers",
            "no workers client, s ok failed           idle status",
            "download 10M, thread clients",
            " 1       5    0.0277  5      0              0 ok",
            " 2      50   12.3456 49      1              3 failed",
            "    row 2: 1 of 50 clients failed",
        ],
    );
    check(
        Screen::of_columns(50),
        &[
            "    client   s per   clients server workers",
            "no workers  client ok failed           idle status",
            "download 10M, thread clients",
            " 1       5  0.0277  5      0              0 ok",
            " 2      50 12.3456 49      1              3 failed",
            "    row 2: 1 of 50 clients failed",
        ],
    );
    check(
        Screen::of_columns(41),
        &[
            "    client  time per   clients",
            "no workers client, s ok failed status",
            "download 10M, thread clients",
            " 1       5    0.0277  5      0 ok",
            " 2      50   12.3456 49      1 failed",
            "    row 2: 1 of 50 clients failed",
            "(no room for: server workers idle; a",
            "  wider terminal or a file has it all)",
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in it, and in what place.
    #[test]
    fn no_line_is_wider_than_the_screen(
        cells in prop::collection::vec(prop::collection::vec("[a-z0-9—…×≥写]{0,40}", 7), 0..8),
        heading in "[a-z ×]{0,300}",
        columns in 20..200_usize,
    ) {
        let mut table = table();
        table.heading(&heading);
        for cells in cells {
            table.row(cells);
        }
        for line in table.render(Screen::of_columns(columns)).lines() {
            prop_assert!(width(line) <= columns, "{} > {columns}: {line}", width(line));
        }
    }
}
