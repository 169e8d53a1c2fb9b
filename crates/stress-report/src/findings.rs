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
use super::nine;
use super::parts::Parts;
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
    /// What the figures say, operation by operation and across them, and how far to believe it.
    pub(super) fn topics(&self) -> Vec<Topic> {
        let lang = self.lang;
        let of = |operation| topic(nine::operation(operation), self.of_operation(operation));
        let mut topics = Vec::from(Operation::ALL.map(of));
        let across = [self.uploads_against_downloads(), self.memory(), self.idle()];
        let across = across.into_iter().flatten().collect();
        topics.extend([
            topic(lang.text("findings.models_side_by_side"), self.models()),
            topic(lang.text("findings.server"), across),
            topic(lang.text("findings.how_far_to_believe_it"), self.trust()),
        ]);
        topics.retain(|topic| !topic.sentences.is_empty());
        topics
    }

    fn of_operation(&self, operation: Operation) -> Vec<String> {
        let mut found = Vec::new();
        found.extend(self.best(operation));
        found.extend(self.clients_effect(operation));
        found.extend(self.clients_together(operation));
        found.extend(self.servers_effect(operation));
        found.extend(self.volume_effect(operation));
        found.extend(self.before_first_byte(operation));
        found.extend(self.first_and_last(operation));
        found.extend(self.ceiling(operation));
        found
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

    /// The rows with the most for one client, and for all of them together.
    fn best(&self, operation: Operation) -> Option<String> {
        let lang = self.lang;
        let most = |pick: fn(&Row) -> Option<u64>| {
            let rows = self
                .ok_rows(operation)
                .filter_map(|(variant, row)| Some((pick(row)?, variant, row)));
            rows.max_by_key(|(figure, _, row)| (*figure, std::cmp::Reverse(row.cell.number)))
        };
        let (one, one_variant, one_row) = most(|row| row.throughput_bytes_per_s)?;
        let (all, all_variant, all_row) = most(|row| row.aggregate_bytes_per_s)?;
        let is_alone = std::ptr::eq(one_row, all_row) && one_row.cell.clients == 1;
        let (one, all) = (lang.rate(one), lang.rate(all));
        let one_row = self.described(one_variant, one_row);
        let all_row = self.described(all_variant, all_row);
        Some(match is_alone {
            true => say!(lang, "findings.best_alone", row = one_row, rate = one),
            false => say!(lang, "findings.best", one_row, one, all_row, all),
        })
    }

    /// How much of an operation passes before its first byte, with the fewest and the most server workers. Not
    /// for uploads: their reply begins when they are over.
    fn before_first_byte(&self, operation: Operation) -> Vec<String> {
        if operation == Operation::Upload {
            return Vec::new();
        }
        let lang = self.lang;
        let of = |variant: &Variant<'a>| {
            let (few, many) = self.corners(variant, operation)?;
            let share = |row: &Row| {
                let parts = Parts::of(variant.run.contents.samples_of(row.cell.number))?;
                Some(lang.percent(parts.share([parts.connect, parts.wait])))
            };
            let (at_few, at_many) = (share(few)?, share(many)?);
            let volume = size::format(few.cell.volume);
            Some(say!(
                lang,
                "findings.before_first_byte",
                what = format!("{volume}{}", self.in_variant(variant)),
                clients = self.clients(few),
                servers = self.servers(few),
                at_few,
                most = lang.int(many.cell.servers),
                at_many
            ))
        };
        self.variants
            .iter()
            .take(VARIANTS_MAX)
            .filter_map(of)
            .collect()
    }

    /// What the first client sees and what the last one does, where the most clients meet the fewest workers.
    fn first_and_last(&self, operation: Operation) -> Option<String> {
        let lang = self.lang;
        let variant = self.variants.first()?;
        let (row, _) = self.corners(variant, operation)?;
        let first = lang.time(row.first_done?);
        let last = lang.time(row.makespan?);
        let described = self.described(variant, row);
        (row.cell.clients > 1)
            .then(|| say!(lang, "findings.first_and_last", described, first, last))
    }

    /// The rows of the largest volume and most clients, with the fewest and with the most server workers.
    fn corners(&self, variant: &Variant<'a>, operation: Operation) -> Option<(&'a Row, &'a Row)> {
        let rows = || {
            let rows = variant.rows.iter().copied();
            rows.filter(|row| row.cell.operation == operation && row.status == Status::Ok)
        };
        let volume = rows().map(|row| row.cell.volume).max()?;
        let clients = rows().map(|row| row.cell.clients).max()?;
        let at = || rows().filter(|row| row.cell.volume == volume && row.cell.clients == clients);
        let few = at().min_by_key(|row| row.cell.servers)?;
        let many = at().max_by_key(|row| row.cell.servers)?;
        (few.cell.servers < many.cell.servers).then_some((few, many))
    }

    fn memory(&self) -> Option<String> {
        let lang = self.lang;
        let rows = self
            .all_rows()
            .filter_map(|(variant, row)| Some((row.server_peak_rss_bytes?, variant, row)));
        let (bytes, variant, row) =
            rows.max_by_key(|(bytes, _, row)| (*bytes, std::cmp::Reverse(row.cell.number)))?;
        let (bytes, row) = (lang.bytes(bytes), self.described(variant, row));
        Some(say!(lang, "findings.memory", bytes, row))
    }

    fn idle(&self) -> Option<String> {
        let lang = self.lang;
        let idle = |row: &Row| row.server_workers.map_or(0, |workers| workers.idle);
        let rows: Vec<(&Variant<'a>, &'a Row)> =
            self.all_rows().filter(|(_, row)| idle(row) > 0).collect();
        let (variant, most) = rows
            .iter()
            .max_by_key(|(_, row)| (idle(row), std::cmp::Reverse(row.cell.number)))?;
        let (idle, of) = (lang.int(idle(most)), lang.int(most.cell.servers));
        let rows = count!(lang, "findings.rows", rows.len() as u64);
        let most = self.described(variant, most);
        Some(say!(lang, "findings.idle", rows, idle, of, most))
    }

    fn all_rows(&self) -> impl Iterator<Item = (&'a Variant<'a>, &'a Row)> {
        self.variants
            .iter()
            .flat_map(|variant| variant.rows.iter().map(move |row| (variant, *row)))
    }

    fn ok_rows(&self, operation: Operation) -> impl Iterator<Item = (&'a Variant<'a>, &'a Row)> {
        self.all_rows()
            .filter(move |(_, row)| row.cell.operation == operation && row.status == Status::Ok)
    }

    /// The values of an axis that rows of `operation` have.
    fn values<T: Ord>(&self, operation: Operation, pick: fn(Place) -> T) -> BTreeSet<T> {
        let rows = self.ok_rows(operation);
        rows.map(|(_, row)| pick(Place::of(row))).collect()
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

    fn in_variant(&self, variant: &Variant<'a>) -> String {
        match self.variants {
            [_] => String::new(),
            _ => format!(" ({})", variant.label),
        }
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
