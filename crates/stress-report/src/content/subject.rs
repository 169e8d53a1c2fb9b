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
                blocks.push(Block::heading(lang.of(
                    "Settings as the server reported them",
                    "Pengaturan menurut laporan server",
                )));
                blocks.push(table);
            }
        }
        Section {
            id: "subject",
            title: lang
                .of("What was run on what", "Apa yang diukur, di mesin apa")
                .into(),
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
            title: lang.of("How to reproduce it", "Cara mengulanginya").into(),
            blocks,
        }
    }
}

fn machine_facts(contents: &Contents, lang: Lang) -> Vec<Fact> {
    let machine = &contents.header.fingerprint.machine;
    let cores = lang.int(machine.cores);
    let mut facts = vec![
        fact(lang.of("Processor", "Prosesor"), &machine.cpu_model),
        fact(
            lang.of("Processors usable", "Prosesor yang dapat dipakai"),
            cores,
        ),
        fact(
            lang.of("Memory", "Memori"),
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
            lang.of(
                "Time taken by the hypervisor",
                "Waktu yang diambil hypervisor",
            ),
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
        let name = match lang {
            Lang::En => format!("Ceiling: loopback, connections: {connections}"),
            Lang::Id => format!("Batas: loopback, koneksi: {connections}"),
        };
        fact(&name, lang.rate(loopback.wire_bytes_per_s))
    });
    let cache = [
        (
            lang.of("Ceiling: page cache, writing", "Batas: page cache, tulis"),
            ceilings.cache_write_bytes_per_s,
        ),
        (
            lang.of("Ceiling: page cache, reading", "Batas: page cache, baca"),
            ceilings.cache_read_bytes_per_s,
        ),
    ];
    loopback
        .chain(cache.map(|(name, rate)| fact(name, lang.rate(rate))))
        .collect()
}

fn session_facts(session: &Session, lang: Lang) -> Vec<Fact> {
    let mut facts = vec![fact(
        lang.of(
            "File system of the test files",
            "Sistem berkas untuk berkas uji",
        ),
        &session.work_file_system,
    )];
    if let Some(name) = &session.congestion_default {
        facts.push(fact(
            lang.of(
                "Kernel's congestion control",
                "Congestion control bawaan kernel",
            ),
            name,
        ));
    }
    if let Some(load) = &session.load_before {
        let words = match lang {
            Lang::En => load.clone(),
            Lang::Id => load.replace('.', ","),
        };
        facts.push(fact(
            lang.of("Load average before", "Load average sebelumnya"),
            words,
        ));
    }
    if let Some(permille) = session.busy_before_permille {
        facts.push(fact(
            lang.of("Processors in use before", "Prosesor terpakai sebelumnya"),
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
            lang.of("Combinations", "Kombinasi"),
            match lang {
                Lang::En => format!(
                    "{} of {} of the full plan",
                    lang.int(fingerprint.cells.len() as u64),
                    lang.int(fingerprint.full_len)
                ),
                Lang::Id => format!(
                    "{} dari {} dalam rencana lengkap",
                    lang.int(fingerprint.cells.len() as u64),
                    lang.int(fingerprint.full_len)
                ),
            },
        ),
        fact(
            lang.of("Samples of each", "Sampel masing-masing"),
            lang.int(fingerprint.repeats),
        ),
        fact(lang.of("Seed", "Seed"), settings.seed.to_string()),
        fact(
            lang.of("Longest an operation may take", "Batas waktu satu operasi"),
            lang.set_time(settings.timeout),
        ),
        fact(lang.of("Verified", "Pemeriksaan"), verified(settings, lang)),
        fact(
            lang.of("Operations of each client", "Operasi setiap client"),
            match lang {
                Lang::En => format!(
                    "{}; for list {}",
                    lang.int(settings.transfer_requests),
                    lang.int(settings.list_requests)
                ),
                Lang::Id => format!(
                    "{}; untuk list {}",
                    lang.int(settings.transfer_requests),
                    lang.int(settings.list_requests)
                ),
            },
        ),
    ];
    if let Some(session) = contents.sessions.first() {
        facts.push(fact(
            lang.of("Harness", "Harness"),
            format!("stress {}", session.version),
        ));
        facts.push(Fact::code("Commit", short_commit(&session.commit)));
    }
    if settings.warmup > 0 {
        let words = lang.of("Warm-up samples of each", "Sampel pemanasan masing-masing");
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
        Verify::Full => lang.of(
            "length and CRC-32 of every transfer, every upload read back",
            "panjang dan CRC-32 setiap transfer, setiap hasil upload dibaca ulang",
        ),
        Verify::Checksum => lang.of(
            "length and CRC-32 of every transfer",
            "panjang dan CRC-32 setiap transfer",
        ),
        Verify::Size => lang.of("lengths only", "panjang saja"),
        Verify::Off => lang.of("nothing but complete replies", "hanya kelengkapan jawaban"),
    }
}

fn server_fact(run: &Run, lang: Lang) -> Fact {
    match foreign_server(run) {
        None => {}
        Some(Foreign::Command(command)) => {
            return Fact::code(lang.of("Server, foreign", "Server lain"), command);
        }
        Some(Foreign::Target(address)) => {
            let name = lang.of("Server that ran already", "Server yang sudah berjalan");
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
        true => lang
            .of(
                "prefork-server, never ready",
                "prefork-server, tidak pernah siap",
            )
            .into(),
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
        Value::Null => lang.of("not set", "tidak diatur").into(),
        Value::Bool(value) => lang
            .of(
                if *value { "yes" } else { "no" },
                if *value { "ya" } else { "tidak" },
            )
            .into(),
        Value::String(text) if text.is_empty() => lang.of("not set", "tidak diatur").into(),
        Value::Array(items) if items.is_empty() => lang.of("none", "tidak ada").into(),
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
    let words = match lang {
        Lang::En => format!(
            "File contents and the order of samples come from seed {seed}: the same bytes move in the same order. The times depend on the machine. A run writes this report when it ends; `stress report RUN` renders it again, from the journal alone."
        ),
        Lang::Id => format!(
            "Isi berkas dan urutan sampel berasal dari seed {seed}: byte yang sama berpindah dengan urutan yang sama. Waktunya bergantung pada mesin. Laporan ini ditulis saat pengukuran selesai; `stress report RUN` membuatnya ulang hanya dari jurnal."
        ),
    };
    let mut blocks = vec![
        Block::Code {
            text: lines.join("\n"),
        },
        Block::paragraph(words),
    ];
    if lines.iter().any(|line| line.contains('…')) {
        blocks.push(Block::paragraph(lang.of(
            "`…` stands for a folder of the machine it was run on: put your own there.",
            "`…` adalah folder di mesin tempat pengukuran dijalankan: ganti dengan folder sendiri.",
        )));
    }
    let binary = &contents.header.fingerprint.binary;
    blocks.push(Block::Facts {
        facts: vec![
            Fact {
                name: lang.of("Program", "Program").into(),
                value: Text::plain(match lang {
                    Lang::En => {
                        format!("{} bytes, CRC-32 {}", lang.int(binary.bytes), binary.crc32)
                    }
                    Lang::Id => format!("{} byte, CRC-32 {}", lang.int(binary.bytes), binary.crc32),
                }),
            },
            Fact::code(lang.of("Run", "Pengukuran"), &run.name),
        ],
    });
    blocks
}
