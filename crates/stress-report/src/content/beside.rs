//! The subjects of a run: each row of each beside the reference's, with the paired ratio and how sure it is.

use stress_data::run::Run;
use stress_data::summary::Row;

use super::View;
use super::tables::{Shared, decimals, grouped};
use crate::document::{Block, Cell, Column, Section, Table, TableRow};
use crate::subjects;
use crate::texts::say;
use crate::variants::{Place, Variant};

impl View<'_> {
    pub(super) fn subjects(&self) -> Option<Section> {
        let lang = self.lang;
        let mut blocks = Vec::new();
        for run in self.runs {
            let comparisons = subjects::comparisons(run);
            let Some(first) = comparisons.first() else {
                continue;
            };
            blocks.extend(self.run_heading(run));
            let reference = &first.names.0;
            blocks.push(Block::paragraph(say!(lang, "subjects.intro", reference)));
            for comparison in &comparisons {
                let sentences = subjects::sentences(comparison, lang);
                blocks.extend(sentences.iter().map(Block::paragraph));
            }
            let is_of = |variant: &&Variant<'_>| {
                let subject = variant.rows[0].cell.subject.as_ref();
                std::ptr::eq(variant.run, run) && subject != Some(reference)
            };
            for variant in self.variants.iter().filter(is_of) {
                blocks.push(Block::heading(&variant.label));
                blocks.push(Block::Table(self.ratios(run, variant, reference)));
            }
        }
        let title = lang.text("subjects.title");
        (!blocks.is_empty()).then(|| Section::new("subjects", title, blocks))
    }

    fn ratios(&self, run: &Run, variant: &Variant<'_>, reference: &str) -> Table {
        let lang = self.lang;
        let decimals = decimals(variant);
        let seconds = |row: &Row| row.time().map(|time| lang.seconds(time, decimals));
        let fingerprint = &run.contents.header.fingerprint;
        let beside = |row: &Row| {
            let number = fingerprint.reference(&row.cell)?.number;
            run.rows.iter().find(|row| row.cell.number == number)
        };
        let row = |row: &&Row| {
            let ratio = row.ratio.map(|it| lang.ratio(it.ratio));
            let interval = row.ratio.and_then(|it| it.interval).map(|it| {
                let ends = [it.low, it.high].map(|end| lang.ratio(end));
                format!("{} … {}", ends[0], ends[1])
            });
            let cells: Vec<Cell> = vec![
                Cell::plain(lang.int(row.cell.number)),
                Cell::plain(lang.int(row.cell.clients)),
                Cell::plain(lang.int(row.cell.servers)),
                Cell::maybe(beside(row).and_then(seconds)),
                Cell::maybe(seconds(row)),
                Cell::maybe(ratio),
                Cell::maybe(interval),
            ];
            (Place::of(row), TableRow::from(cells))
        };
        let name = variant.rows[0].cell.subject.as_deref().unwrap_or_default();
        let head = |key| lang.text(key).to_owned();
        let time = |name: &str| say!(lang, "subjects.time", name);
        let columns = [
            head("nine.number"),
            head("tables.client_workers"),
            head("tables.server_workers"),
            time(reference),
            time(name),
            head("subjects.ratio"),
            head("subjects.interval"),
        ];
        Table {
            columns: columns.map(Column::number).into(),
            groups: grouped(
                variant.rows.iter().map(row),
                &Shared::of(&variant.rows),
                lang,
            ),
        }
    }
}
