//! The assignment's table, and the variants side by side.

use std::collections::BTreeSet;

use stress_data::matrix::{LIST_FILE_BYTES, Operation};
use stress_data::measurement::Status;
use stress_data::record::Outcome;
use stress_data::size;
use stress_data::summary::{ClientCounts, Row};

use super::View;
use crate::document::{Block, Cell, Column, Group, Section, Table, TableRow};
use crate::lang::Lang;
use crate::nine;
use crate::table::cache_text;
use crate::texts::{count, say};
use crate::variants::{Place, Variant};

/// What went wrong is told in one line or two.
const TROUBLE_LEN_MAX: usize = 200;
/// Variants beside the first in one table: more would not fit a page.
const BESIDE_MAX: usize = 5;

impl View<'_> {
    pub(super) fn table(&self) -> Section {
        let lang = self.lang;
        let mut blocks = vec![Block::paragraph(lang.text("tables.nine_columns"))];
        let is_without = |variant: &Variant<'_>| {
            let mut rows = variant.rows.iter();
            !rows.any(|row| row.is_own_server || row.server_workers.is_some())
        };
        if self.variants.iter().any(is_without) {
            blocks.push(Block::paragraph(lang.text("tables.no_ledger")));
        }
        for variant in self.variants {
            if self.variants.len() > 1 {
                blocks.push(Block::heading(&variant.label));
            }
            blocks.push(Block::Table(nine_columns(variant, lang)));
        }
        Section::new("table", lang.text("tables.title"), blocks)
    }

    /// Every place that the first variant shares with another: the first one's figure, and the others' beside it.
    pub(super) fn comparison(&self) -> Option<Section> {
        let lang = self.lang;
        let [first, others @ ..] = self.undisturbed else {
            return None;
        };
        // Of subjects of one run more is known than how their medians are to each other.
        if matches!(self.runs, [run] if !run.subjects().is_empty()) {
            return None;
        }
        let mut blocks = vec![Block::paragraph(say!(
            lang,
            "tables.beside",
            first = first.label
        ))];
        for others in others.chunks(BESIDE_MAX) {
            let row = |place: Place| {
                let cells = others
                    .iter()
                    .map(|other| side_by_side(first, other, place, lang));
                let cells: Option<Vec<Cell>> = cells.collect();
                let pools = [place.clients, place.servers].map(|size| lang.int(size));
                let own = [rate(first.at(place)?, lang)?];
                let head: Vec<Cell> = pools.into_iter().chain(own).map(Cell::plain).collect();
                Some((place, [head, cells?].concat().into()))
            };
            let places: BTreeSet<Place> = first.rows.iter().map(|row| Place::of(row)).collect();
            let shared = Shared::of(self.undisturbed.iter().flat_map(|it| &it.rows));
            let rows = places.into_iter().filter_map(row);
            let groups = grouped(rows, &shared, lang);
            if groups.is_empty() {
                continue;
            }
            let head = [
                lang.text("tables.client_workers"),
                lang.text("tables.server_workers"),
            ];
            let labels = std::iter::once(first)
                .chain(others)
                .map(|variant| variant.label.as_str());
            blocks.push(Block::Table(Table {
                columns: head.into_iter().chain(labels).map(Column::number).collect(),
                groups,
            }));
        }
        (blocks.len() > 1)
            .then(|| Section::new("comparison", lang.text("tables.side_by_side"), blocks))
    }
}

/// The assignment's table of one variant, in groups of one operation and volume.
fn nine_columns(variant: &Variant<'_>, lang: Lang) -> Table {
    let headings = nine::headings(lang);
    let columns = headings
        .iter()
        .enumerate()
        .map(|(index, heading)| match index {
            1 | 2 => Column::word(*heading),
            _ => Column::number(*heading),
        });
    let decimals = decimals(variant);
    let rows = variant.rows.iter();
    let rows = rows.map(|row| (Place::of(row), nine_cells(row, decimals, lang)));
    Table {
        columns: columns.collect(),
        groups: grouped(rows, &Shared::of(&variant.rows), lang),
    }
}

/// What a table's servers promise about uploads, and the encoded cache that downloads meet, where that is the same for all;
/// else the variants' names tell it.
pub(super) struct Shared<'a> {
    durability: Option<&'a str>,
    cache: Option<u64>,
}

impl<'a> Shared<'a> {
    pub(super) fn of(rows: impl IntoIterator<Item = &'a &'a Row> + Clone) -> Self {
        let promised = rows.clone().into_iter();
        Self {
            durability: the_same(promised.filter_map(|row| row.upload_durability())),
            cache: the_same(rows.into_iter().filter_map(|row| row.encoded_cache_bytes)),
        }
    }
}

fn the_same<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// Rows in groups of one operation and volume, with what matters for the operation.
pub(super) fn grouped(
    rows: impl Iterator<Item = (Place, TableRow)>,
    shared: &Shared<'_>,
    lang: Lang,
) -> Vec<Group> {
    let mut groups: Vec<((Operation, u64), Group)> = Vec::new();
    for (place, row) in rows {
        let key = (place.operation, place.volume);
        match groups.last_mut() {
            Some((last, group)) if *last == key => group.rows.push(row),
            _ => {
                let title = Some(group_title(place, shared, lang));
                let rows = vec![row];
                groups.push((key, Group { title, rows }));
            }
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Four decimals, or six if a time is so short that four would leave less than two digits of it.
pub(super) fn decimals(variant: &Variant<'_>) -> u32 {
    let times = variant.rows.iter().filter_map(|row| row.time_ns);
    match times.map(|time| time.median).min() {
        Some(..1_000_000) => 6,
        _ => 4,
    }
}

fn nine_cells(row: &Row, decimals: u32, lang: Lang) -> TableRow {
    let cell = &row.cell;
    let mad = row.time_ns.and_then(|time| time.mad_share());
    let time = Cell {
        aside: mad.map(|share| format!("±{}", lang.percent(share))),
        ..Cell::maybe(row.time().map(|time| lang.seconds(time, decimals)))
    };
    let cells = vec![
        Cell::plain(lang.int(cell.number)),
        Cell::plain(nine::operation(cell.operation)),
        Cell::plain(size::format(cell.volume)),
        Cell::plain(lang.int(cell.clients)),
        Cell::plain(lang.int(cell.servers)),
        time,
        Cell::maybe(row.throughput_bytes_per_s.map(|rate| lang.int(rate))),
        counts(row.clients, lang),
        counts(nine::server_workers(row), lang),
    ];
    TableRow {
        cells,
        trouble: (row.status != Status::Ok).then(|| trouble(row)),
    }
}

fn counts(counts: Option<ClientCounts>, lang: Lang) -> Cell {
    match counts {
        None => Cell::default(),
        Some(ClientCounts { ok, failed }) => Cell {
            is_bad: failed > 0,
            ..Cell::plain(format!("{} / {}", lang.int(ok), lang.int(failed)))
        },
    }
}

/// The status, and why in the samples' own words.
fn trouble(row: &Row) -> String {
    let outcome = row
        .top_outcome
        .map(Outcome::as_str)
        .filter(|word| *word != "ok");
    let why = row.notes.first().map(String::as_str).or(outcome);
    let text = match why {
        Some(why) => format!("{}: {why}", row.status.as_str()),
        None => row.status.as_str().to_owned(),
    };
    match text.char_indices().nth(TROUBLE_LEN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn group_title(place: Place, shared: &Shared<'_>, lang: Lang) -> String {
    let Place {
        operation, volume, ..
    } = place;
    let name = nine::operation(operation);
    let size = size::format(volume);
    let bytes = count!(lang, "tables.bytes", volume);
    match operation {
        Operation::Download => {
            let cache = shared.cache.map(|bytes| match bytes {
                0 => lang.text("tables.no_cache").to_owned(),
                _ => say!(lang, "tables.cache", size = cache_text(bytes)),
            });
            format!("{name} {size} ({bytes}{})", cache.unwrap_or_default())
        }
        Operation::Upload => {
            let durability = shared
                .durability
                .map(|value| say!(lang, "tables.durability", value));
            format!("{name} {size} ({bytes}{})", durability.unwrap_or_default())
        }
        Operation::List => {
            let files = count!(lang, "tables.files", volume.div_ceil(LIST_FILE_BYTES));
            format!("{name} {size} ({files}, {bytes})")
        }
    }
}

fn side_by_side(
    first: &Variant<'_>,
    other: &Variant<'_>,
    place: Place,
    lang: Lang,
) -> Option<Cell> {
    let own = first.at(place)?;
    let Some(row) = other.at(place) else {
        return Some(Cell::default());
    };
    let Some(text) = rate(row, lang) else {
        return Some(Cell {
            is_bad: true,
            ..Cell::plain(row.status.as_str())
        });
    };
    let ratio = row.throughput_bytes_per_s? as f64 / own.throughput_bytes_per_s?.max(1) as f64;
    Some(Cell {
        aside: Some(format!("{}×", lang.ratio(ratio))),
        ..Cell::plain(text)
    })
}

/// None unless all of the row was verified.
fn rate(row: &Row, lang: Lang) -> Option<String> {
    let rate = row
        .throughput_bytes_per_s
        .filter(|_| row.status == Status::Ok)?;
    Some(lang.megabytes(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_says_what_matters_for_its_operation() {
        let place = |operation| Place::new(operation, 10 << 20, 1, 1);
        let title = |operation, cache| {
            let shared = Shared {
                durability: Some("none"),
                cache,
            };
            group_title(place(operation), &shared, Lang::En)
        };
        let with_cache = title(Operation::Download, Some(512 << 20));
        assert!(
            with_cache.ends_with("; encoded cache 512M)"),
            "{with_cache}"
        );
        let without = title(Operation::Download, Some(0));
        assert!(without.ends_with("; no encoded cache)"), "{without}");
        assert!(title(Operation::Download, None).ends_with(" bytes)"));
        assert!(title(Operation::Upload, None).ends_with("; durability none)"));
        assert!(title(Operation::List, Some(0)).ends_with(" bytes)"));
    }
}
