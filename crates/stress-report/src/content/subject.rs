//! What was run on what, and how to do it again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use stress_data::journal::{Contents, Session};
use stress_data::measurement::Settings;
use stress_data::run::Run;
use stress_data::shell::quoted;

use super::{View, fact};
use crate::document::{Block, Fact, Section, Text};
use crate::lang::Lang;
use crate::texts::say;
use crate::variants::{Foreign, foreign_server};

impl View<'_> {
    pub(super) fn subject(&self) -> Section {
        let lang = self.lang;
        let mut blocks = Vec::new();
        for run in self.runs {
            if self.runs.len() > 1 {
                blocks.push(Block::heading(&run.name));
            }
            blocks.push(Block::Facts {
                facts: machine_facts(&run.contents, lang),
            });
            blocks.push(Block::Facts {
                facts: plan_facts(run, lang),
            });
            if let Some(table) = reported_settings(&run.contents, lang) {
                blocks.push(Block::heading(lang.text("subject.reported_settings")));
                blocks.push(table);
            }
        }
        Section {
            id: "subject",
            title: lang.text("subject.title").into(),
            blocks,
        }
    }

    pub(super) fn reproduction(&self) -> Section {
        let lang = self.lang;
        let mut blocks = Vec::new();
        for run in self.runs {
            if self.runs.len() > 1 {
                blocks.push(Block::heading(&run.name));
            }
            blocks.extend(steps(run, lang));
        }
        Section {
            id: "reproduction",
            title: lang.text("subject.reproduction").into(),
            blocks,
        }
    }
}

fn machine_facts(contents: &Contents, lang: Lang) -> Vec<Fact> {
    let machine = &contents.header.fingerprint.machine;
    let cores = lang.int(machine.cores);
    let mut facts = vec![
        fact(lang.text("subject.processor"), &machine.cpu_model),
        fact(lang.text("subject.processors_usable"), cores),
        fact(
            lang.text("subject.memory"),
            lang.bytes(machine.memory_bytes),
        ),
        fact("Kernel", &machine.kernel),
    ];
    if let Some(session) = contents.sessions.first() {
        facts.extend(session_facts(session, lang));
    }
    facts.extend(ceiling_facts(contents, lang));
    let steal = contents
        .ends
        .iter()
        .filter_map(|end| end.cpu?.steal_permille());
    if let Some(permille) = steal.max() {
        facts.push(fact(
            lang.text("subject.steal"),
            lang.percent(permille as f64 / 1e3),
        ));
    }
    facts
}

/// What the machine can at most, if that was measured.
fn ceiling_facts(contents: &Contents, lang: Lang) -> Vec<Fact> {
    let mut sessions = contents.sessions.iter();
    let Some(ceilings) = sessions.find_map(|session| session.ceilings.as_ref()) else {
        return Vec::new();
    };
    let loopback = ceilings.loopback.iter().map(|loopback| {
        let connections = lang.int(loopback.connections);
        let name = say!(lang, "subject.ceiling_loopback", connections);
        fact(&name, lang.rate(loopback.wire_bytes_per_s))
    });
    let cache = [
        (
            lang.text("subject.ceiling_page_cache_writing"),
            ceilings.cache_write_bytes_per_s,
        ),
        (
            lang.text("subject.ceiling_page_cache_reading"),
            ceilings.cache_read_bytes_per_s,
        ),
    ];
    loopback
        .chain(cache.map(|(name, rate)| fact(name, lang.rate(rate))))
        .collect()
}

fn session_facts(session: &Session, lang: Lang) -> Vec<Fact> {
    let mut facts = vec![fact(
        lang.text("subject.file_system"),
        &session.work_file_system,
    )];
    if let Some(name) = &session.congestion_default {
        facts.push(fact(lang.text("subject.kernels_congestion_control"), name));
    }
    if let Some(load) = &session.load_before {
        let words = match lang {
            Lang::En => load.clone(),
            Lang::Id => load.replace('.', ","),
        };
        facts.push(fact(lang.text("subject.load_average_before"), words));
    }
    if let Some(permille) = session.busy_before_permille {
        facts.push(fact(
            lang.text("subject.processors_in_use_before"),
            lang.percent(f64::from(u32::try_from(permille).unwrap_or(u32::MAX)) / 1e3),
        ));
    }
    facts
}

fn plan_facts(run: &Run, lang: Lang) -> Vec<Fact> {
    let contents = &run.contents;
    let fingerprint = &contents.header.fingerprint;
    let settings = &fingerprint.settings;
    let mut facts = vec![
        fact(
            lang.text("subject.combinations"),
            say!(
                lang,
                "subject.of_full_plan",
                cells = lang.int(fingerprint.cells.len() as u64),
                all = lang.int(fingerprint.full_len)
            ),
        ),
        fact(
            lang.text("subject.samples_of_each"),
            lang.int(fingerprint.repeats),
        ),
        fact(lang.text("subject.seed"), settings.seed.to_string()),
        fact(
            lang.text("subject.timeout"),
            lang.set_time(settings.timeout),
        ),
        fact(lang.text("subject.verified"), verified(settings, lang)),
        fact(
            lang.text("subject.operations_of_each_client"),
            say!(
                lang,
                "subject.operations",
                transfers = lang.int(settings.transfer_requests),
                lists = lang.int(settings.list_requests)
            ),
        ),
    ];
    if let Some(session) = contents.sessions.first() {
        facts.push(fact(
            lang.text("subject.harness"),
            format!("stress {}", session.version),
        ));
        facts.push(Fact::code("Commit", short_commit(&session.commit)));
    }
    if settings.warmup > 0 {
        let words = lang.text("subject.warm_up_samples");
        facts.push(fact(words, lang.int(settings.warmup)));
    }
    facts.push(server_fact(run, lang));
    facts
}

/// Its first characters, and whether the sources were changed; all of it stands where it can be copied.
fn short_commit(commit: &str) -> String {
    let (hash, changed) = match commit.strip_suffix("-dirty") {
        Some(hash) => (hash, "-dirty"),
        None => (commit, ""),
    };
    let short: String = hash.chars().take(12).collect();
    format!("{short}{changed}")
}

fn verified(settings: &Settings, lang: Lang) -> &'static str {
    use stress_data::measurement::Verify;
    match settings.verify {
        Verify::Full => lang.text("subject.verified_and_read_back"),
        Verify::Checksum => lang.text("subject.verified_by_checksum"),
        Verify::Size => lang.text("subject.lengths_only"),
        Verify::Off => lang.text("subject.complete_replies"),
    }
}

fn server_fact(run: &Run, lang: Lang) -> Fact {
    match foreign_server(run) {
        None => {}
        Some(Foreign::Command(command)) => {
            return Fact::code(lang.text("subject.server_foreign"), command);
        }
        Some(Foreign::Target(address)) => {
            let name = lang.text("subject.server_that_ran_already");
            return Fact::code(name, address);
        }
    }
    let samples = run.contents.samples.values();
    let readies = samples.filter_map(|sample| sample.measurement.ready.as_ref());
    let mut versions: Vec<String> = readies
        .map(|ready| format!("prefork-server {}", ready.version))
        .collect();
    versions.sort_unstable();
    versions.dedup();
    let words = match versions.is_empty() {
        true => lang.text("subject.never_ready").into(),
        false => versions.join(", "),
    };
    fact("Server", words)
}

/// Every setting with all values that servers of this run reported.
fn reported_settings(contents: &Contents, lang: Lang) -> Option<Block> {
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
    let fact = |(name, values): (String, Vec<String>)| fact(&name, values.join("; "));
    let facts: Vec<Fact> = settings.into_iter().map(fact).collect();
    (!facts.is_empty()).then_some(Block::Facts { facts })
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

fn steps(run: &Run, lang: Lang) -> Vec<Block> {
    let contents = &run.contents;
    let sessions = &contents.sessions;
    let commit = sessions
        .first()
        .map_or("unknown", |session| session.commit.as_str());
    let mut lines = Vec::new();
    match commit.strip_suffix("-dirty").unwrap_or(commit) {
        "unknown" => {}
        commit => lines.push(format!("git checkout {commit}")),
    }
    for session in sessions {
        let words = session.command_line.iter().skip(1);
        let words: Vec<String> = words.map(|word| quoted(word)).collect();
        let line = ["cargo run --release --bin stress --".to_owned()]
            .into_iter()
            .chain(words);
        lines.push(
            line.collect::<Vec<_>>()
                .join(" ")
                .trim_end_matches(" --")
                .to_owned(),
        );
    }
    let seed = contents.header.fingerprint.settings.seed;
    let words = say!(lang, "subject.same_bytes_same_order", seed);
    let mut blocks = vec![
        Block::Code {
            text: lines.join("\n"),
        },
        Block::paragraph(words),
    ];
    if lines.iter().any(|line| line.contains('…')) {
        blocks.push(Block::paragraph(lang.text("subject.folder_left_out")));
    }
    let binary = &contents.header.fingerprint.binary;
    blocks.push(Block::Facts {
        facts: vec![
            Fact {
                name: lang.text("subject.program").into(),
                value: Text::plain(say!(
                    lang,
                    "subject.binary",
                    bytes = lang.int(binary.bytes),
                    crc32 = binary.crc32
                )),
            },
            Fact::code(lang.text("subject.run"), &run.name),
        ],
    });
    blocks
}
