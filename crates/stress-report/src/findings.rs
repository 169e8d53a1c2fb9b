//! What the figures say, in sentences. Each is computed from the rows, and carries its numbers; where there is no
//! data for one it is left out.

mod effects;
mod trust;

use std::collections::BTreeSet;
use std::time::Duration;

use stress_data::derived::Totals;
use stress_data::matrix::Operation;
use stress_data::measurement::Status;
use stress_data::run::Run;
use stress_data::size;
use stress_data::summary::Row;

use super::document::{Text, Topic};
use super::lang::Lang;
use super::texts::{count, say};
use super::variants::{Place, Variant};

/// Sentences that would come once for each variant come for so many at most.
const VARIANTS_MAX: usize = 6;

/// So many row numbers are named before the rest is left out.
const NUMBERS_MAX: usize = 12;

/// What sentences are made from.
pub(super) struct Findings<'a> {
    pub(super) runs: &'a [Run],
    pub(super) variants: &'a [Variant<'a>],
    pub(super) lang: Lang,
}

impl<'a> Findings<'a> {
    /// Which pool, how far to believe the figures, and what was promised about uploads.
    pub(super) fn topics(&self) -> Vec<Topic> {
        let lang = self.lang;
        let mut topics = vec![
            topic(lang.text("findings.models_side_by_side"), self.models()),
            topic(lang.text("findings.how_far_to_believe_it"), self.trust()),
            topic(lang.text("findings.durability"), self.durability()),
        ];
        topics.retain(|topic| !topic.sentences.is_empty());
        topics
    }

    /// What more clients do to one of them, and what more server workers do.
    pub(super) fn of_operation(&self, operation: Operation) -> Vec<String> {
        let found = [
            self.clients_effect(operation),
            self.servers_effect(operation),
        ];
        found.into_iter().flatten().collect()
    }

    /// What a server promises when it acknowledges an upload: figures of one promise are none of another.
    fn durability(&self) -> Vec<String> {
        let lang = self.lang;
        let rows = self.all_rows();
        let promised: BTreeSet<&str> = rows
            .filter_map(|(_, row)| row.upload_durability())
            .collect();
        let sentence = |value: &str| {
            let meaning = match value {
                "none" => "findings.durability_none",
                "data" => "findings.durability_data",
                _ => "findings.durability_full",
            };
            lang.text(meaning).to_owned()
        };
        promised.into_iter().map(sentence).collect()
    }

    /// How much was measured, and how it went: one sentence a run.
    pub(super) fn coverage(&self) -> Vec<String> {
        let of = |run: &Run| {
            let totals = Totals::new(&run.contents, &run.rows);
            let samples = run.contents.samples.values();
            let operations: usize = samples.map(|sample| sample.measurement.records.len()).sum();
            let sentence = self.coverage_of(&totals, operations as u64, self.bad_rows(run));
            match self.runs {
                [_] => sentence,
                _ => format!("{}: {sentence}", run.name),
            }
        };
        self.runs.iter().map(of).collect()
    }

    fn coverage_of(&self, totals: &Totals, operations: u64, bad: Option<String>) -> String {
        let lang = self.lang;
        let n = |number: usize| lang.int(number as u64);
        let bytes = lang.bytes(totals.verified_bytes);
        if totals.ok == totals.rows {
            let (rows, operations) = (n(totals.rows), lang.int(operations));
            return say!(lang, "findings.coverage_full", rows, operations, bytes);
        }
        let sentence = count!(
            lang,
            "findings.coverage",
            totals.rows as u64,
            ok = n(totals.ok),
            failed = n(totals.failed),
            missing = n(totals.cut + totals.not_run),
            bytes,
            operations = count!(lang, "findings.operations", operations)
        );
        and(sentence, bad)
    }

    /// The rows that went wrong, by number.
    fn bad_rows(&self, run: &Run) -> Option<String> {
        let lang = self.lang;
        let is_bad = |row: &&Row| !matches!(row.status, Status::Ok | Status::NotRun | Status::Cut);
        let bad = run.rows.iter().filter(is_bad);
        let numbers: Vec<u32> = bad.map(|row| row.cell.number).collect();
        let named = self.numbers(&numbers);
        (!numbers.is_empty()).then(|| say!(lang, "findings.bad_rows", numbers = named))
    }

    /// Row numbers, the first few of them if there are many.
    fn numbers(&self, numbers: &[u32]) -> String {
        let named = numbers.iter().take(NUMBERS_MAX);
        let mut named: Vec<String> = named.map(|number| self.lang.int(*number)).collect();
        if numbers.len() > NUMBERS_MAX {
            named.push("…".into());
        }
        named.join(", ")
    }

    fn all_rows(&self) -> impl Iterator<Item = (&'a Variant<'a>, &'a Row)> {
        self.variants
            .iter()
            .flat_map(|variant| variant.rows.iter().map(move |row| (variant, *row)))
    }

    /// The values of an axis that rows of `operation` have, in the first variant: the others stand beside it.
    fn values<T: Ord>(&self, operation: Operation, pick: fn(Place) -> T) -> BTreeSet<T> {
        let rows = self.variants.first().into_iter().flat_map(|it| &it.rows);
        let ok = rows.filter(|row| row.cell.operation == operation && row.status == Status::Ok);
        ok.map(|row| pick(Place::of(row))).collect()
    }

    /// A row for a sentence: `row 23 (100M, 5 clients, 5 server workers)`.
    fn described(&self, variant: &Variant<'a>, row: &Row) -> String {
        let lang = self.lang;
        let number = lang.int(row.cell.number);
        let volume = size::format(row.cell.volume);
        let (clients, servers) = (self.clients(row), self.servers(row));
        let variant = match self.variants {
            [_] => String::new(),
            _ => format!(", {}", variant.label),
        };
        say!(
            lang,
            "findings.described",
            number,
            volume,
            clients,
            servers,
            variant
        )
    }

    fn clients(&self, row: &Row) -> String {
        count!(self.lang, "findings.clients", row.cell.clients)
    }

    fn servers(&self, row: &Row) -> String {
        count!(self.lang, "findings.server_workers", row.cell.servers)
    }

    fn time(&self, ns: u64) -> String {
        self.lang.time(Duration::from_nanos(ns))
    }
}

fn topic(title: &str, sentences: Vec<String>) -> Topic {
    let sentences = sentences.iter();
    Topic {
        title: title.into(),
        sentences: sentences.map(|it| Text::marked(it)).collect(),
    }
}

/// The sentence, and the one after it if there is one.
fn and(sentence: String, after: Option<String>) -> String {
    match after {
        Some(after) => format!("{sentence} {after}"),
        None => sentence,
    }
}
