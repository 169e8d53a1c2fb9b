//! The code and both files have the same keys, with the same placeholders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::definitions;
use crate::lang::Lang;

fn placeholders(mut text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    while let Some((_, (name, after))) = placeholder(text) {
        found.insert(name);
        text = after;
    }
    found
}

/// The sources of the crate but this module's, one after the other.
fn sources(folder: &Path) -> String {
    let mut found = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "texts" {
            found += &sources(&path);
        } else if name.ends_with(".rs") && name != "texts.rs" {
            found += &std::fs::read_to_string(&path).unwrap();
        }
    }
    found
}

fn code() -> String {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// Every string of `code` that looks like a key of one of the files' tables.
fn keys(code: &str) -> BTreeSet<&str> {
    let tables: BTreeSet<&str> =
        EN.0.keys()
            .filter_map(|key| Some(key.split_once('.')?.0))
            .collect();
    let is_key = |text: &&str| {
        let mut letters = text.chars();
        let is_plain =
            letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c));
        let table = text.split_once('.').map(|(table, _)| table);
        let is_file = text.ends_with(".toml");
        is_plain && !is_file && table.is_some_and(|table| tables.contains(table))
    };
    code.split('"').filter(is_key).collect()
}

/// The arguments of every call of the macro `name`.
fn calls<'a>(code: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let start = format!("{name}!(");
    let calls = code.match_indices(&start);
    calls
        .map(|(at, _)| arguments(&code[at + start.len()..]))
        .collect()
}

/// `text` up to the parenthesis that closes it, in the parts that commas make of it.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut is_string, mut start) = (0, false, 0);
    let mut found = Vec::new();
    for (at, c) in text.char_indices() {
        let is_end = depth == 0 && (c == ')' || c == ',') && !is_string;
        if is_end {
            found.push(text[start..at].trim());
            start = at + 1;
        }
        match c {
            '"' => is_string = !is_string,
            _ if is_string => {}
            ')' if is_end => break,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    found.retain(|argument| !argument.is_empty());
    found
}

#[test]
fn both_files_have_the_same_keys_with_the_same_placeholders() {
    let of = |texts: &'static Texts| -> BTreeMap<&str, BTreeSet<&str>> {
        let texts = texts.0.iter();
        let of = |forms: &'static Forms| {
            let one = forms.one.as_ref();
            assert!(one.is_none_or(|one| placeholders(one).is_subset(&placeholders(&forms.other))));
            placeholders(&forms.other)
        };
        texts
            .map(|(key, forms)| (key.as_str(), of(forms)))
            .collect()
    };
    assert_eq!(of(&EN), of(&ID));
}

#[test]
fn every_key_of_the_code_is_in_the_files_and_every_one_of_the_files_is_used() {
    let code = code();
    let mut used: BTreeSet<String> = keys(&code).into_iter().map(str::to_owned).collect();
    used.extend(definitions::all().iter().map(definitions::Definition::key));
    let kept: BTreeSet<String> = EN.0.keys().cloned().collect();
    let differ: Vec<&String> = used.symmetric_difference(&kept).collect();
    assert_eq!(differ, Vec::<&String>::new());
}

#[test]
fn the_code_gives_each_text_the_values_that_it_names() {
    let code = code();
    let mut filled = BTreeSet::new();
    for (name, before, given) in [("say", 2, None), ("count", 3, Some("number"))] {
        for call in calls(&code, name) {
            let key = call[1].trim_matches('"');
            let names = call[before..]
                .iter()
                .map(|argument| argument.split(" =").next().unwrap());
            let names: BTreeSet<&str> = names.chain(given).collect();
            assert_eq!(names, placeholders(EN.text(key)), "{key}");
            filled.insert(key);
        }
    }
    for key in keys(&code).difference(&filled) {
        assert_eq!(placeholders(EN.text(key)), BTreeSet::new(), "{key}");
    }
}

#[test]
fn a_value_is_never_read_as_a_text() {
    let values: &Values<'_> = &[("a", &"{b}"), ("b", &7)];
    assert_eq!(filled("{a} and {b}, {a}", values), "{b} and 7, {b}");
    assert_eq!(filled("none", values), "none");
}

#[test]
fn a_single_thing_has_its_own_form_where_the_language_has_one() {
    let both = |number: u64| Lang::ALL.map(|lang| count!(lang, "findings.clients", number));
    assert_eq!(both(1), ["1 client", "1 client"]);
    assert_eq!(both(1_200), ["1,200 clients", "1.200 client"]);
}
