//! What is in a report, and in which order.

mod beside;
mod faults;
mod settings;
mod subject;
mod tables;
mod timeline;

use std::cmp::Reverse;
use std::time::Duration;

use stress_data::derived::Totals;
use stress_data::matrix::Operation;
use stress_data::measurement::Status;
use stress_data::run::Run;
use stress_data::summary::Row;

use super::chart;
use super::definitions::{self, Definition};
use super::diagram;
use super::document::{
    Block, Column, Document, Group, Inline, Picture, Pictures, Plate, Section, Table, TableRow,
    Text, Tile,
};
use super::findings::Findings;
use super::lang::Lang;
use super::nine;
use super::submission::Submission;
use super::texts::say;
use super::variants::{self, Variant};

/// The report on `runs`.
pub(super) fn document(runs: &[Run], submission: &Submission, lang: Lang) -> Document {
    let variants = variants::of(runs, lang);
    let undisturbed = variants::undisturbed(runs, lang);
    let view = View {
        runs,
        variants: &variants,
        undisturbed: &undisturbed,
        lang,
    };
    let mut sections = vec![view.findings(), view.table()];
    sections.extend(view.subjects());
    sections.extend(view.comparison());
    sections.extend(view.faults());
    sections.extend(view.timelines());
    sections.extend(view.charts());
    sections.extend([view.subject(), view.architecture()]);
    sections.extend(submission.sections(lang));
    sections.extend([view.definitions(), view.reproduction()]);
    Document {
        lang,
        title: lang.text("content.title").into(),
        subtitle: view.subtitle(),
        byline: submission.byline(lang),
        sections,
    }
}

/// What the parts of a report are made from.
struct View<'a> {
    runs: &'a [Run],
    variants: &'a [Variant<'a>],
    /// Those without a fault: what faults do is told apart from what the pools do.
    undisturbed: &'a [Variant<'a>],
    lang: Lang,
}

impl<'a> View<'a> {
    fn subtitle(&self) -> String {
        let lang = self.lang;
        match self.runs {
            [run] => {
                let date = lang.date(&run.contents.header.created_utc);
                say!(lang, "content.run", name = run.name, date)
            }
            runs => {
                let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
                say!(lang, "content.runs", names = lang.list(&names))
            }
        }
    }

    /// Of several runs, which one follows.
    fn run_heading(&self, run: &Run) -> Option<Block> {
        (self.runs.len() > 1).then(|| Block::heading(&run.name))
    }

    fn findings(&self) -> Section {
        let lang = self.lang;
        let findings = Findings {
            runs: self.runs,
            variants: self.undisturbed,
            lang,
        };
        let verdict = Text::plain(findings.coverage().join(" "));
        let mut blocks = vec![
            Block::Paragraph(Text(vec![Inline::Strong(verdict)])),
            Block::Tiles(self.tiles()),
        ];
        blocks.extend(self.pictures(&findings).map(Block::Pictures));
        let topics = self.fault_findings().into_iter().chain(findings.topics());
        blocks.push(Block::Topics(topics.collect()));
        Section::new("findings", lang.text("content.findings"), blocks)
    }

    /// What more clients, and more server workers, do to the time of one client: a chart an operation, of the first variant,
    /// with what it says.
    fn pictures(&self, findings: &Findings<'_>) -> Option<Pictures> {
        let lang = self.lang;
        let first = self.undisturbed.first()?;
        let (mut pictures, mut plate) = (Vec::new(), None);
        for operation in Operation::ALL {
            if let Some((chart, drawn)) = chart::headline(first, operation, lang) {
                let sentences = findings.of_operation(operation).join(" ");
                pictures.push(Picture {
                    title: nine::operation(operation).into(),
                    chart,
                    sentences: Text::marked(&sentences),
                });
                plate.get_or_insert(drawn);
            }
        }
        let plate = plate?;
        let of = match self.undisturbed {
            [_] => String::new(),
            _ => format!(" ({})", first.label),
        };
        Some(Pictures {
            title: format!("{}{of}", lang.text("content.time_per_client")),
            caption: plate.caption,
            legend: plate.legend,
            pictures,
            is_wide: false,
        })
    }

    fn tiles(&self) -> Vec<Tile> {
        let lang = self.lang;
        let totals: Vec<Totals> = self
            .runs
            .iter()
            .map(|run| Totals::new(&run.contents, &run.rows))
            .collect();
        let sum = |pick: fn(&Totals) -> usize| totals.iter().map(pick).sum::<usize>() as u64;
        let (rows, ok) = (sum(|totals| totals.rows), sum(|totals| totals.ok));
        let bytes = totals.iter().map(|totals| totals.verified_bytes).sum();
        let wall: Duration = totals.iter().map(Totals::wall).sum();
        let tile = |figure: String, label: &str| Tile {
            figure,
            label: label.into(),
            is_bad: false,
        };
        let mut tiles = vec![
            Tile {
                // What was cut off on purpose is not verified, and as it should be.
                is_bad: !self
                    .runs
                    .iter()
                    .flat_map(|it| &it.rows)
                    .all(Row::is_as_expected),
                ..tile(
                    format!("{} / {}", lang.int(ok), lang.int(rows)),
                    lang.text("content.rows_verified_in_full"),
                )
            },
            tile(lang.bytes(bytes), lang.text("content.of_content_verified")),
        ];
        for operation in Operation::ALL {
            let rows = self
                .runs
                .iter()
                .flat_map(|run| run.rows.iter().map(move |row| (run, row)));
            let ok =
                rows.filter(|(_, row)| row.cell.operation == operation && row.status == Status::Ok);
            let rates = ok.filter_map(|(run, row)| {
                Some((row.aggregate_bytes_per_s?, Reverse(row.cell.number), run))
            });
            if let Some((most, Reverse(number), run)) = rates.max_by_key(|it| (it.0, it.1)) {
                let name = nine::operation(operation);
                let run = match self.runs {
                    [_] => String::new(),
                    _ => format!(", {}", run.contents.header.label),
                };
                let number = lang.int(number);
                let label = say!(lang, "content.most", name, number, run);
                tiles.push(tile(lang.rate(most), &label));
            }
        }
        if !wall.is_zero() {
            tiles.push(tile(lang.time(wall), lang.text("content.of_measuring")));
        }
        tiles
    }

    fn architecture(&self) -> Section {
        let lang = self.lang;
        let is_own = self
            .runs
            .iter()
            .any(|run| run.rows.iter().any(|row| row.is_own_server));
        let caption = match is_own {
            true => lang.text("content.sample_of_own_server"),
            false => lang.text("content.sample_of_foreign_server"),
        };
        let plate = Plate {
            title: lang.text("content.harness_and_server").into(),
            caption: Text::plain(caption),
            legend: Vec::new(),
            columns: 1,
            panels: vec![diagram::draw(self.variants, lang)],
        };
        Section::new(
            "architecture",
            lang.text("content.architecture"),
            vec![Block::Plate(plate)],
        )
    }

    fn charts(&self) -> Option<Section> {
        let lang = self.lang;
        let mut blocks = Vec::new();
        for operation in Operation::ALL {
            let plates = chart::plates(self.undisturbed, operation, lang);
            blocks.extend(plates.into_iter().map(Block::Plate));
        }
        (!blocks.is_empty()).then(|| Section::new("charts", lang.text("content.charts"), blocks))
    }

    fn definitions(&self) -> Section {
        let lang = self.lang;
        let summary = definitions::summary();
        let meaning = |index: usize| summary[index].meaning(lang);
        let meanings = |index: usize| match index {
            7 => format!("{} / {}", meaning(7), meaning(8)),
            8 => {
                let idle = say!(lang, "content.idle", meaning = meaning(11));
                format!("{} / {} {idle}", meaning(9), meaning(10))
            }
            index => meaning(index).to_owned(),
        };
        let nine = nine::headings(lang)
            .iter()
            .enumerate()
            .map(|(index, heading)| row(Text::plain(*heading), &meanings(index)))
            .collect();
        let heading = |key| Block::heading(lang.text(key));
        Section::new(
            "definitions",
            lang.text("content.definitions"),
            vec![
                heading("content.nine_columns"),
                two_columns(nine, lang),
                heading("content.all_columns"),
                listed(&definitions::summary(), lang),
                heading("content.statuses"),
                listed(&definitions::statuses(), lang),
                heading("content.outcomes"),
                listed(&definitions::outcomes(), lang),
                heading("content.flags"),
                listed(&definitions::flags(), lang),
            ],
        )
    }
}

fn listed(definitions: &[Definition], lang: Lang) -> Block {
    let row = |it: &Definition| row(Text::code(it.name), it.meaning(lang));
    two_columns(definitions.iter().map(row).collect(), lang)
}

fn row(name: Text, meaning: &str) -> TableRow {
    vec![name.into(), Text::marked(meaning).into()].into()
}

fn two_columns(rows: Vec<TableRow>, lang: Lang) -> Block {
    Block::Table(Table {
        columns: vec![
            Column::word(lang.text("content.name")),
            Column::prose(lang.text("content.meaning")),
        ],
        groups: vec![Group { title: None, rows }],
    })
}
