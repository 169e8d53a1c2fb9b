//! The settings of our server: those that somebody chose, and the rest folded; of several runs those that differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use stress_data::journal::Contents;

use crate::document::{Block, Cell, Column, Fact, Group, Table, TableRow};
use crate::lang::Lang;
use crate::texts::{count, say};

/// What a server says that nobody told anything. What depends on its machine or its pool is left out.
const DEFAULTS: &str = include_str!("defaults.json");

/// None if no server of ours reported anything.
pub(super) fn blocks(contents: &Contents, lang: Lang) -> Vec<Block> {
    let all = reported(contents, lang);
    let defaults = serde_json::from_str(DEFAULTS).unwrap_or(Value::Null);
    let mut usual = BTreeMap::new();
    flatten(String::new(), &defaults, lang, &mut usual);
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for (name, value) in all {
        match usual.get(&name).filter(|usual| **usual != value) {
            Some(usual) => {
                let value = say!(lang, "subject.by_default", value, usual);
                chosen.push(Fact::plain(name, value));
            }
            None => others.push(Fact::plain(name, value)),
        }
    }
    if others.is_empty() {
        return Vec::new();
    }
    let number = others.len() as u64;
    let folded = count!(lang, "subject.other_settings", number);
    let said = match chosen.is_empty() {
        true => Block::paragraph(lang.text("subject.only_defaults")),
        false => Block::Facts(chosen),
    };
    let heading = Block::heading(lang.text("subject.chosen_settings"));
    vec![
        heading,
        said,
        Block::Folded(folded, vec![Block::Facts(others)]),
    ]
}

/// Every setting of a run's servers.
pub(super) fn facts(contents: &Contents, lang: Lang) -> Vec<Fact> {
    let all = reported(contents, lang).into_iter();
    all.map(|(name, value)| Fact::plain(name, value)).collect()
}

/// What differs between runs, by their names, and what does not, folded.
pub(super) fn differences(runs: &[(&str, Vec<Fact>)], lang: Lang) -> Vec<Block> {
    let (mut rows, mut same, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for fact in runs.iter().flat_map(|(_, facts)| facts) {
        if !seen.insert(&fact.name) {
            continue;
        }
        let of = |facts: &[Fact]| {
            let mut facts = facts.iter();
            let own = facts.find(|it| it.name == fact.name);
            own.map(|it| it.value.clone())
        };
        let values: Vec<_> = runs.iter().map(|(_, facts)| of(facts)).collect();
        if values.iter().all(|value| *value == values[0]) {
            same.push(fact.clone());
        } else {
            let cells = values
                .into_iter()
                .map(|it| Cell::from(it.unwrap_or_default()));
            let cells = std::iter::once(Cell::plain(&fact.name)).chain(cells);
            rows.push(TableRow::from(cells.collect::<Vec<_>>()));
        }
    }
    let names = runs.iter().map(|(name, _)| Column::prose(*name));
    let table = Table {
        columns: std::iter::once(Column::word("")).chain(names).collect(),
        groups: vec![Group { title: None, rows }],
    };
    let folded = count!(lang, "subject.same_in_all_runs", same.len() as u64);
    vec![
        Block::paragraph(lang.text("subject.differences")),
        Block::Table(table),
        Block::Folded(folded, vec![Block::Facts(same)]),
    ]
}

/// Every setting with all values that servers of this run reported.
fn reported(contents: &Contents, lang: Lang) -> Vec<(String, String)> {
    let mut settings: Vec<(String, Vec<String>)> = Vec::new();
    for sample in contents.samples.values() {
        let Some(ready) = &sample.measurement.ready else {
            continue;
        };
        let mut reported = BTreeMap::new();
        let value = serde_json::to_value(&ready.settings).unwrap_or(Value::Null);
        flatten(String::new(), &value, lang, &mut reported);
        for (name, value) in reported {
            match settings.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) if values.contains(&value) => {}
                Some((_, values)) => values.push(value),
                None => settings.push((name, vec![value])),
            }
        }
    }
    let joined = |(name, values): (String, Vec<String>)| (name, values.join("; "));
    settings.into_iter().map(joined).collect()
}

/// Settings within settings get names with a point.
fn flatten(name: String, value: &Value, lang: Lang, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = match name.is_empty() {
                    true => field.clone(),
                    false => format!("{name}.{field}"),
                };
                flatten(name, value, lang, found);
            }
        }
        value => {
            let text = setting(&name, value, lang);
            found.insert(name, text);
        }
    }
}

fn setting(name: &str, value: &Value, lang: Lang) -> String {
    match value {
        Value::Null => lang.text("subject.not_set").into(),
        Value::Bool(value) => lang
            .text(if *value { "subject.yes" } else { "subject.no" })
            .into(),
        Value::String(text) if text.is_empty() => lang.text("subject.not_set").into(),
        Value::Array(items) if items.is_empty() => lang.text("subject.none").into(),
        Value::Array(items) => {
            let items = items.iter().map(|item| setting(name, item, lang));
            items.collect::<Vec<_>>().join(", ")
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(ms) if name.ends_with("_ms") => lang.set_time(Duration::from_millis(ms)),
            Some(number) => lang.int(number),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}
