//! The kept run of all 81 rows that the documents quote.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::content;
use crate::definitions::CHANGED;
use crate::document::Block;
use crate::lang::Lang;
use crate::submission::Submission;
use stress_data::journal::Contents;
use stress_data::run::Run;
use stress_data::summary;

/// Its name.
pub(super) const NAME: &str = "20261124T192330Z-kept-all81";

/// A figure in large type is that of the row it names.
#[test]
fn every_tile_is_the_figure_of_its_row() {
    let runs = [Run::new(NAME.into(), contents())];
    let mut seen = 0;
    for lang in Lang::ALL {
        let document = content::document(&runs, &Submission::default(), lang);
        let blocks = document.sections.iter().flat_map(|section| &section.blocks);
        for tile in blocks.flat_map(|block| match block {
            Block::Tiles(tiles) => &tiles[..],
            _ => &[],
        }) {
            let Some((_, number)) = tile.label.rsplit_once(['(', ' ']) else {
                continue;
            };
            let Ok(number) = number.trim_end_matches(')').parse::<u32>() else {
                continue;
            };
            let mut rows = runs[0].rows.iter();
            let row = rows.find(|row| row.cell.number == number).unwrap();
            let rate = row.aggregate_bytes_per_s.unwrap();
            assert_eq!(tile.figure, lang.rate(rate), "{}", tile.label);
            seen += 1;
        }
    }
    assert_eq!(seen, 6, "three operations in two languages");
}

type Fields = HashMap<String, String>;

/// What its journal says.
pub(super) fn contents() -> Contents {
    Contents::read(&folder()).unwrap()
}

/// The rows computed from a kept journal are the rows kept beside it, but for columns that mean something else by now.
#[test]
fn the_kept_rows_follow_from_the_kept_journal() {
    let mut written = Vec::new();
    summary::csv::write(&summary::rows(&contents()), &mut written).unwrap();
    let written = rows(&String::from_utf8(written).unwrap());
    let kept = rows(&std::fs::read_to_string(folder().join("summary.csv")).unwrap());
    assert_eq!((written.len(), kept.len()), (81, 81));
    for (kept, written) in kept.iter().zip(&written) {
        let is_same = |column: &str| {
            let mut changed = CHANGED.iter().flat_map(|(columns, ..)| *columns);
            column != "schema" && changed.all(|changed| *changed != column)
        };
        // Columns that came later are not in it.
        for (column, value) in kept.iter().filter(|(column, _)| is_same(column)) {
            assert_eq!(&written[column], value, "row {}, {column}", kept["no"]);
        }
    }
}

fn rows(text: &str) -> Vec<Fields> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../results")
        .join(NAME)
}
